"""
Limits of a rule's sessions: ``session.…`` and ``bandwidth``.

They are read and checked, but not supported yet.
"""

from __future__ import annotations

from typing import Final

from dantetw.config.arguments import YES_OR_NO, Number, Pair, Words
from dantetw.config.keyword import RULES, SOCKS, Keyword
from dantetw.config.report import Report
from dantetw.config.tree import Block

_STATE: Final = ("session.state.max", "session.state.throttle")
_RATE: Final = Pair("N/SECONDS", ("/",), low=1)


def check_limits(block: Block, report: Report) -> None:
    """Report what does not fit together in a rule."""
    last = {statement.name: statement for statement in block.statements}
    key = last.get("session.state.key")
    limits = [last[name] for name in _STATE if name in last]
    if key is not None and not limits:
        report.error(
            key.token,
            "session state key is set, but no value has been given to state.max or state.throttle",
        )
    for limit in limits:
        if key is None:
            report.error(limit.written, f"{limit.name} is set, but session.state.key is not")
            return
    each, total = last.get("session.state.max"), last.get("session.max")
    if each is not None and total is not None:
        one, all_ = each.values.numbers[0], total.values.numbers[0]
        if one > all_:
            report.error(
                each.token,
                "it does not make sense to have a larger value for session.state.max "
                f"({one}) than the combined, state-less, session.max value ({all_}).  "
                "Configuration error?",
            )
    each, total = last.get("session.state.throttle"), last.get("session.throttle")
    if each is not None and total is not None:
        (one, in_one), (all_, in_all) = each.values.numbers, total.values.numbers
        if one * in_all > all_ * in_one:
            report.error(
                each.token,
                "it does not make sense to have a more strict limit for the combined, state-less, "
                f"session.throttle limit ({all_}/{in_all}), than for the per from state "
                f"session.state.throttle ({one}/{in_one}).  Configuration error?",
            )


KEYWORDS: Final[tuple[Keyword, ...]] = (
    Keyword("session.max", RULES, Number(low=1), "sessions at a time", "no limit"),
    Keyword("session.throttle", RULES, _RATE, "new sessions in a time"),
    Keyword(
        "session.state.key",
        RULES,
        Words(("from", "hostid"), "key", many=False, owns_line=False),
        "what session.state limits are counted per",
    ),
    Keyword("session.state.max", RULES, Number(low=1), "sessions at a time, per key", "no limit"),
    Keyword("session.state.throttle", RULES, _RATE, "the same, new ones"),
    Keyword(
        "session.inheritable",
        RULES - SOCKS,
        YES_OR_NO,
        "whether socks rules inherit limits",
        "yes",
    ),
    Keyword("bandwidth", RULES, Number("BYTES", low=1), "bytes per second, shared", "no limit"),
)

UNSUPPORTED: Final = {
    "session.max": "session limits",
    "session.throttle": "session limits",
    "session.state.key": "session limits",
    "session.state.max": "session limits",
    "session.state.throttle": "session limits",
    "session.inheritable": "session limits",
    "bandwidth": "bandwidth limits",
}
