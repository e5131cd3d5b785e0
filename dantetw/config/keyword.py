"""
Keywords, and statements that use them.

A :class:`Keyword` is a row of the table in :mod:`dantetw.config.keywords.table`: where the keyword
may be used, what its values are and what it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from enum import Enum
from typing import Any, Final, Protocol

from dantetw.config.lexer import Token
from dantetw.config.program import Program
from dantetw.config.reader import Reader


class Place(Enum):
    """Where a keyword may be used; the value is its name in messages."""

    GLOBAL = "global settings"
    CLIENT = "client rule"
    SOCKS = "socks rule"
    ROUTE = "route"
    MONITOR = "monitor"
    HOSTID = "hostid rule"


#: Places of many keywords.
GLOBAL: Final = frozenset((Place.GLOBAL,))
RULES: Final = frozenset((Place.CLIENT, Place.SOCKS, Place.HOSTID))
ANYWHERE: Final = GLOBAL | RULES
CLIENT: Final = frozenset((Place.CLIENT,))
SOCKS: Final = frozenset((Place.SOCKS,))
ROUTE: Final = frozenset((Place.ROUTE,))
MONITOR: Final = frozenset((Place.MONITOR,))

#: The two sides in ``SIDE.…`` keywords, as a pattern.
SIDE: Final = "(internal|external)"


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


class Argument(Protocol):
    """What follows a keyword's colon."""

    @property
    def form(self) -> str:
        """How to write it, for documentation."""

    def read(self, reader: Reader) -> Values:
        """Read it.  :raises ConfigError: it cannot be understood."""


class Repeat(Enum):
    """What a second occurrence does to the first."""

    ADD = "adds"
    REPLACE = "replaces"
    NEW_LIST = "starts a new list"
    ONCE = "not allowed"


#: What a statement does: it is given the draft of the keyword's concern and the statement, and may
#: raise :exc:`~dantetw.config.report.ConfigError`.
Effect = Callable[[Any, "Statement"], None]


def no_examples(program: Program) -> Iterable[str]:
    """The examples of a name without placeholders."""
    return ()


def no_effect(draft: Any, statement: Statement) -> None:
    """The effect of keywords that do nothing, or nothing here."""


@dataclass(frozen=True, slots=True)
class Keyword:
    """
    A row of the table.

    :ivar name: the keyword; words in capitals (and what is in brackets) are placeholders.
    :ivar places: where it may be used; ``argument``: the kind of its values.
    :ivar meaning: for documentation; ``default``: what holds without it, likewise.
    :ivar pattern: a regular expression for a name with placeholders, its groups being their values.
    :ivar setting: its effect in the global settings; ``in_block``: in rules, routes and monitors.
    :ivar present: its present-day name, if it is an old name; ``present_in``: by place, where it
        differs.
    :ivar deprecated: the old name is warned of; ``ignored``: the statement is skipped with a
        warning.
    :ivar examples: names without placeholders that are worth suggesting.
    """

    name: str
    places: frozenset[Place]
    argument: Argument
    meaning: str
    default: str = ""
    repeat: Repeat = Repeat.REPLACE
    pattern: str = ""
    _: KW_ONLY
    setting: Effect = no_effect
    in_block: Effect = no_effect
    present: str = ""
    present_in: Mapping[Place, str] | None = None
    deprecated: bool = False
    ignored: bool = False
    examples: Callable[[Program], Iterable[str]] = no_examples


@dataclass(frozen=True, slots=True)
class Statement:
    """
    A keyword with its values.

    :ivar name: its present-day name, with placeholders filled: ``internal.tcp.tcp_nodelay``.
    :ivar parts: what replaces the placeholders.
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

    @property
    def words(self) -> list[str]:
        """The texts of all values."""
        return [word.text for word in self.values.words]
