"""
libwrap: ``hosts.allow`` and ``hosts.deny``.

Its keywords are read, but not supported yet.
"""

from __future__ import annotations

from typing import Final

from dantetw.config.arguments import FILE, YES_OR_NO, Rest
from dantetw.config.keyword import GLOBAL, RULES, Keyword

KEYWORDS: Final[tuple[Keyword, ...]] = (
    Keyword(
        "libwrap.hosts_access",
        GLOBAL,
        YES_OR_NO,
        "ask hosts.allow and hosts.deny before any rule",
        "no",
    ),
    Keyword("libwrap.allow", GLOBAL, FILE, "file for hosts.allow; without effect", "system's"),
    Keyword("libwrap.deny", GLOBAL, FILE, "file for hosts.deny; without effect", "system's"),
    Keyword("libwrap", RULES, Rest("LINE"), "a line for libwrap"),
)

UNSUPPORTED: Final = {"libwrap": "libwrap", "libwrap.hosts_access: yes": "libwrap"}
