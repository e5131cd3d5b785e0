"""
Datagrams: ``udp.…``.
"""

from __future__ import annotations

import socket
from typing import Final

from dantetw.config.arguments import YES_NO, YES_OR_NO, FreeWords, Pair, Words
from dantetw.config.draft import BlockDraft, Context, Draft
from dantetw.config.keyword import GLOBAL, SOCKS, Keyword, Repeat, Statement
from dantetw.config.report import ConfigError
from dantetw.config.tree import Block
from dantetw.policy import RuleUdpPolicy, UdpPolicy
from dantetw.values import AF_OF, Endpoint, Family

#: ``udp.source``: whether the address that a client is connected from is served too.
SOURCES: Final = {"announced": False, "connected": True}


class UdpDraft(Draft):
    """
    The global settings.

    :ivar from_connected: ``udp.source`` of rules that have none of their own.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.connectdst = True
        self.announce: list[Endpoint] = []
        self.from_connected = False

    def set_connectdst(self, statement: Statement) -> None:
        """``udp.connectdst``."""
        self.connectdst = YES_NO[statement.token.text]

    def add_announced(self, statement: Statement) -> None:
        """``udp.announce``.  :raises ConfigError: clients cannot send to such an address."""
        for word in statement.values.words:
            family = Family.IPV6 if ":" in word.text else Family.IPV4
            try:
                number = socket.inet_pton(AF_OF[family], word.text)
            except (OSError, ValueError):  # ValueError: characters that no address has
                number = b""
            if not any(number):
                raise ConfigError(
                    word,
                    f'"{word.text}" is no address that clients could send to',
                    "an IPv4 or an IPv6 address",
                )
            self.announce.append(Endpoint(word.text, 0, family))

    def set_source(self, statement: Statement) -> None:
        """``udp.source``."""
        self.from_connected = SOURCES[statement.token.text]

    def finish(self) -> UdpPolicy:
        """The part of the policy."""
        return UdpPolicy(self.connectdst, tuple(self.announce))


class RuleUdpDraft(BlockDraft):
    """A rule."""

    def __init__(self, context: Context, block: Block, settings: UdpDraft) -> None:
        super().__init__(context, block)
        self.portrange: tuple[int, int] | None = None
        self.from_connected = settings.from_connected

    def set_source(self, statement: Statement) -> None:
        """``udp.source``."""
        self.from_connected = SOURCES[statement.token.text]

    def set_portrange(self, statement: Statement) -> None:
        """``udp.portrange``.  :raises ConfigError: it ends before it begins."""
        first, last = statement.values.numbers
        if last < first:
            raise ConfigError(
                statement.token,
                f"end port ({last}) can not be less than start port ({first})",
            )
        self.portrange = (first, last)

    def finish(self) -> RuleUdpPolicy:
        """The part of the rule."""
        return RuleUdpPolicy(self.portrange, self.from_connected)


KEYWORDS: Final[tuple[Keyword, ...]] = (
    Keyword(
        "udp.connectdst",
        GLOBAL,
        YES_OR_NO,
        "connect the outgoing UDP socket while there is one destination",
        "yes",
        setting=UdpDraft.set_connectdst,
    ),
    Keyword(
        "udp.announce",
        GLOBAL,
        FreeWords("ADDRESS"),
        "where clients are to send their datagrams, behind NAT (dantetw's own)",
        "where they came in",
        Repeat.ADD,
        setting=UdpDraft.add_announced,
    ),
    Keyword(
        "udp.source",
        GLOBAL | SOCKS,
        Words(SOURCES, "source", many=False, owns_line=False),
        "whose datagrams are served: from the address that the client announces; or also from that"
        " which it is connected from (dantetw's own)",
        "announced",
        setting=UdpDraft.set_source,
        in_block=RuleUdpDraft.set_source,
    ),
    Keyword(
        "udp.portrange",
        SOCKS,
        Pair("A - B", ("-",), high=65535),
        "ports for the client's side of UDP",
        "any",
        in_block=RuleUdpDraft.set_portrange,
    ),
)
