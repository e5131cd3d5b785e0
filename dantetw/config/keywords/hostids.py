"""
The TCP option hostid, as a condition.

Its keywords are read, but not supported yet.
"""

from __future__ import annotations

from typing import Final

from dantetw.config.arguments import Number, Rest
from dantetw.config.keyword import MONITOR, RULES, Keyword, Repeat

KEYWORDS: Final[tuple[Keyword, ...]] = (
    Keyword("hostid", RULES | MONITOR, Rest("ADDRESS …"), "TCP option hostid", "", Repeat.ADD),
    Keyword("hostindex", RULES | MONITOR, Number(), "which of the hostids", "0"),
)

UNSUPPORTED: Final = {
    "hostid {}": "hostid rules",
    "hostid": "hostid conditions",
    "hostindex": "hostid conditions",
}
