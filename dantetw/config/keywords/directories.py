"""
Groups of users in directories: LDAP, Active Directory.

Their keywords are read, but not supported yet.
"""

from __future__ import annotations

from typing import Final

from dantetw.config.arguments import YES_OR_NO, Rest
from dantetw.config.keyword import CLIENT, SOCKS, Keyword

_PLACES: Final = CLIENT | SOCKS

KEYWORDS: Final[tuple[Keyword, ...]] = (
    Keyword(
        "pac.sid",
        _PLACES,
        Rest("SID …"),
        "Active Directory groups of the user, since Dante 1.4.3",
    ),
    Keyword("pac.sid.b64", _PLACES, Rest("SID …"), "the same, in base 64"),
    Keyword("pac.off", _PLACES, YES_OR_NO, "no check of those groups", "no"),
    Keyword("ldap.NAME", SOCKS, Rest("…"), "LDAP groups", pattern=r"(ldap\.[a-z0-9.]+)"),
)

UNSUPPORTED: Final = {
    "ldap.NAME": "LDAP groups",
    "pac.sid": "Active Directory groups",
    "pac.sid.b64": "Active Directory groups",
    "pac.off": "Active Directory groups",
}
