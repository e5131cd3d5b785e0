"""
Interfaces and addresses that a configuration names and that are not there when it is read.

By default the server waits for them, and one warning lists them all.  With ``interface.missing:
fail`` each is an error, as in Dante.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dantetw.config.lexer import Token
from dantetw.config.problems import nearest
from dantetw.config.report import Mistake, Report

#: How many the warning names.
MOST_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class Absent:
    """
    Something that is not there.

    :ivar token: its name, where it was written.
    :ivar use: the keyword that it was written for.
    :ivar lacks: what it lacks, if it is there: ``no IPv4 address``; else empty.
    :ivar mistake: the error that Dante makes of it; None: none.
    :ivar warning: or its warning; empty: none.
    """

    token: Token
    use: str
    lacks: str = ""
    mistake: Mistake | None = None
    warning: str = ""


def report_absent(
    absent: Sequence[Absent], waits: bool, interfaces: Sequence[str], report: Report
) -> None:
    """
    Note what is missing.

    :param waits: ``interface.missing: wait``; otherwise errors are noted.
    :param interfaces: names of those there are, one of which may have been meant.
    """
    if not waits:
        for each in absent:
            if each.mistake is not None:
                report.attempted.add(each.use)
                report.mistake(each.mistake)
            elif each.warning:
                report.warning(each.token, each.warning)
        return
    if not absent:
        return
    # In the order of the file: rules are read after the settings.
    ordered = sorted(absent, key=lambda each: (each.token.where.line, each.token.where.column))
    named = dict.fromkeys(_words(each, interfaces) for each in ordered)
    words = ", ".join(list(named)[:MOST_NAMED])
    if len(named) > MOST_NAMED:
        words += f" and {len(named) - MOST_NAMED} more"
    text = f"not there yet: {words}; dantetw waits for it"
    if len(named) > 1:
        text = f"not there yet: {words}; dantetw waits for them"
    report.advice(ordered[0].token, text)


def _words(absent: Absent, interfaces: Sequence[str]) -> str:
    name = absent.token.text
    words = f'"{name}" ({absent.use}, line {absent.token.where.line}'
    if absent.lacks:
        words += f", {absent.lacks}"
    near = nearest(name, [each for each in interfaces if _number(each) == _number(name)])
    if near and not absent.lacks and near != name:
        words += f', did you mean "{near}"?'
    return f"{words})"


def _number(name: str) -> str:
    """The digits a name ends in: tun1 is no slip of the pen for tun0."""
    return name[len(name.rstrip("0123456789")) :]
