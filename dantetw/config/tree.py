"""
The tree of a configuration file: what was written, before anybody asks what it means.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from dantetw.config.lexer import Token
from dantetw.values import Verdict

if TYPE_CHECKING:
    from dantetw.config.keywords import Keyword


class Place(Enum):
    """Where a keyword may stand; the value is how to speak of it."""

    GLOBAL = "global settings"
    CLIENT = "client rule"
    SOCKS = "socks rule"
    ROUTE = "route"
    MONITOR = "monitor"
    HOSTID = "hostid rule"


@dataclass(frozen=True, slots=True)
class PortText:
    """
    A port condition as written.

    :ivar operator: ``=``, ``ne``…; ``:`` for ``port: N``; ``-`` for a range.
    :ivar first: number or service name; ``last``: a range's end.
    :ivar text: all of it, blanks collapsed.
    """

    operator: str
    first: Token
    last: Token | None
    text: str


@dataclass(frozen=True, slots=True)
class AddressText:
    """An address as written: host, mask and port, where they are there."""

    host: Token
    mask: Token | None = None
    port: PortText | None = None


@dataclass(frozen=True, slots=True)
class Values:
    """
    What follows a keyword.

    :ivar words: all values as written, numbers too; ``numbers``: the numbers' values.
    """

    words: tuple[Token, ...] = ()
    numbers: tuple[int, ...] = ()
    address: AddressText | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """
    A keyword with its values.

    :ivar name: its present-day name, with placeholders filled: ``internal.tcp.tcp_nodelay``.
    :ivar parts: what stands for the placeholders.
    :ivar written: the word in the file, which may be an old name.
    """

    name: str
    keyword: Keyword
    parts: tuple[str, ...]
    written: Token
    values: Values

    @property
    def token(self) -> Token:
        """The last value, or the keyword if there is none: what a problem is about."""
        if self.values.address is not None:
            return self.values.address.host
        return self.values.words[-1] if self.values.words else self.written


@dataclass(frozen=True, slots=True)
class Block:
    """
    A rule, route or monitor.

    :ivar head: its first word; ``close``: the closing brace, or the last thing read.
    :ivar intact: whether all of it was understood; if not, checks about what is missing would only
        repeat it.
    """

    place: Place
    verdict: Verdict
    head: Token
    statements: tuple[Statement, ...]
    close: Token
    intact: bool


@dataclass(frozen=True, slots=True)
class Tree:
    """A whole file."""

    settings: tuple[Statement, ...]
    blocks: tuple[Block, ...]
