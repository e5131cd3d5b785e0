"""
Describes for operators how rules fared.
"""

from __future__ import annotations

from collections.abc import Sequence

from dantetw.policy import Rule
from dantetw.rules.decision import Tried
from dantetw.rules.misses import Missed


def told(trace: Sequence[Tried]) -> list[str]:
    """
    A line for each rule tried, and one more if none matched.

    The lines contain data of the client, unescaped: escape them before showing them.
    """
    lines = [told_of(tried) for tried in trace]
    if not trace or trace[-1].failed:
        lines.append("no rule matches: blocked by the built-in rule 0")
    return lines


def name_of(rule: Rule) -> str:
    """``client-rule #1 (sockd.conf:9)``."""
    return f"{rule.kind.value}-rule #{rule.number} ({rule.where.file}:{rule.where.line})"


def told_of(tried: Tried) -> str:
    """How one rule fared.  As in :func:`told`, it is to be escaped."""
    name = name_of(tried.rule)
    if tried.refusal:
        return f"{name} matches, but {tried.refusal}"
    if not tried.failed:
        return f"{name} matches: {tried.rule.verdict.word}"
    place = f" (line {tried.where.line})" if tried.where.line != tried.rule.where.line else ""
    return f"{name} does not match: {tried.failed}: {tried.wanted}{place}, but it is {tried.got}"


def told_near(missed: Sequence[Missed]) -> str:
    """What else keeps a nearly matching rule from matching; escape it, as for :func:`told`."""
    first, *others = missed
    parts = ["the address fits, the port does not"] if first.what.endswith(" port") else []
    if others:
        parts += [f"besides, {e.what}: {e.tried.wanted}, but it is {e.tried.got}" for e in others]
    else:
        parts.append("all else fits")
    return "near miss: " + "; ".join(parts)
