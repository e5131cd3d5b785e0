"""
How names are looked up, and what is asked of clients' names.
"""

from __future__ import annotations

from typing import Final

from dantetw.config.arguments import Words
from dantetw.config.draft import Context, Draft
from dantetw.config.keyword import GLOBAL, Keyword, Repeat, Statement
from dantetw.policy import ResolveProtocol

RESOLVE_PROTOCOLS: Final = {protocol.value: protocol for protocol in ResolveProtocol}


class ResolvingDraft(Draft):
    """The global settings."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.protocol = ResolveProtocol.UDP

    def set_protocol(self, statement: Statement) -> None:
        """``resolveprotocol``."""
        self.protocol = RESOLVE_PROTOCOLS[statement.token.text]


KEYWORDS: Final[tuple[Keyword, ...]] = (
    Keyword(
        "resolveprotocol",
        GLOBAL,
        Words(RESOLVE_PROTOCOLS, "protocol", many=False),
        "how names are looked up; fake: rules never look names up",
        "udp",
        setting=ResolvingDraft.set_protocol,
    ),
    Keyword(
        "srchost",
        GLOBAL,
        Words(("nodnsmismatch", "nodnsunknown", "checkreplyauth"), "option"),
        "checks of the client's reverse name; authentication of replies",
        "none",
        Repeat.ADD,
    ),
)

UNSUPPORTED: Final = {
    "resolveprotocol: tcp": "name lookups by TCP",
    "srchost": "checks of reverse names",
}
