"""
GSSAPI.

Its keywords are read, but not supported yet.
"""

from __future__ import annotations

from typing import Final

from dantetw.config.arguments import NAME, Words
from dantetw.config.keyword import CLIENT, ROUTE, SOCKS, Keyword

_PLACES: Final = CLIENT | SOCKS | ROUTE

KEYWORDS: Final[tuple[Keyword, ...]] = (
    Keyword("gssapi.servicename", _PLACES, NAME, "GSSAPI service", "rcmd"),
    Keyword("gssapi.keytab", _PLACES, NAME, "GSSAPI keytab", "FILE:/etc/sockd.keytab"),
    Keyword(
        "gssapi.enctype",
        _PLACES,
        Words(("any", "clear", "integrity", "confidentiality"), "protection"),
        "GSSAPI protection",
        "integrity confidentiality",
    ),
    Keyword(
        "clientcompatibility",
        CLIENT | ROUTE,
        Words(("necgssapi",), "option"),
        "concessions to GSSAPI clients",
        "none",
    ),
)

UNSUPPORTED: Final = {
    "gssapi.servicename": "GSSAPI",
    "gssapi.keytab": "GSSAPI",
    "gssapi.enctype": "GSSAPI",
    "clientcompatibility": "GSSAPI",
}
