"""
Monitors and their alarms.

They are read and checked, but not supported yet.
"""

from __future__ import annotations

import re
from typing import Final

from dantetw.config.arguments import Nothing, Pair
from dantetw.config.keyword import MONITOR, Argument, Keyword, Repeat
from dantetw.config.report import Report
from dantetw.config.tree import Block


def check_alarms(block: Block, report: Report) -> None:
    """Report what does not fit together in a monitor."""
    data: set[tuple[str, ...]] = set()
    alarms = 0
    for statement in block.statements:
        name = statement.keyword.name
        if "alarm" not in name:
            continue
        alarms += 1
        if name.startswith("[SIDE.]alarm.data"):
            # An alarm without a side covers both, and so overlaps with any other.
            one_sided = all(side for side, _ in (*data, statement.parts))
            if data and (not one_sided or statement.parts in data):
                report.error(
                    statement.token,
                    "one aggregated data alarm has already been specified.  No more data alarms "
                    "can be specified in this monitor",
                )
            data.add(statement.parts)
        elif name.startswith("[SIDE.]alarm.disconnect"):
            count, ratio = statement.values.numbers[:2]
            if count > ratio:
                report.error(
                    statement.values.words[1],
                    f"internal session limit value ({count}) cannot be lower than disconnect limit "
                    f"({ratio})",
                )
    if not alarms and block.intact:
        report.warning(block.close, "monitor has no alarms configured.  Is this intended?")


def _alarm(name: str, argument: Argument, meaning: str, pattern: str) -> Keyword:
    shortest = re.sub(r"\[.*?\]", "", name)
    return Keyword(
        name,
        MONITOR,
        argument,
        meaning,
        "",
        Repeat.ADD,
        r"(?:(internal|external)\.)?" + pattern,
        examples=lambda program: [shortest],
    )


KEYWORDS: Final[tuple[Keyword, ...]] = (
    _alarm(
        "[SIDE.]alarm.data[.DIRECTION]",
        Pair("BYTES in SECONDS", ("in",)),
        "warn if no more than so many bytes move",
        r"alarm\.data(?:\.(recv|send))?",
    ),
    _alarm(
        "[SIDE.]alarm.disconnect",
        Pair("COUNT/RATIO in SECONDS", ("/", "in"), optional=1),
        "warn if so many sessions end",
        r"alarm\.disconnect",
    ),
    _alarm(
        "[SIDE.]alarm.mtu-error",
        Nothing(),
        "warn of path MTU problems",
        r"alarm\.mtu-error",
    ),
)

UNSUPPORTED: Final = {"monitor {}": "monitors"}
