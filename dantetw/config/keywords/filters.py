"""
``SIDE.log.LEVEL.…``: which failures, and which connections, are logged in addition.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from dantetw.config.arguments import Words
from dantetw.config.draft import Context, Draft
from dantetw.config.keyword import ANYWHERE, SIDE, Keyword, Repeat, Statement, Values
from dantetw.config.problems import nearest
from dantetw.config.program import Program
from dantetw.config.reader import Reader
from dantetw.config.report import ConfigError
from dantetw.policy import Edge, ErrorFilter
from dantetw.values import Severity

#: Names of the levels in ``SIDE.log.LEVEL.error``; four differ from the words in the log.
LEVEL_NAMES: Final = {
    "emerg": Severity.EMERGENCY,
    "alert": Severity.ALERT,
    "crit": Severity.CRITICAL,
    "err": Severity.ERROR,
    "warning": Severity.WARNING,
    "notice": Severity.NOTICE,
    "info": Severity.INFO,
    "debug": Severity.DEBUG,
}

#: Every ``errno`` and ``EAI_`` name that ``SIDE.log.LEVEL.error`` knows.  Some numbers have two
#: names, one of which is in ``errno.errorcode``: that one is used for both.
ERRNO_SYMBOLS: Final = {
    name: errno.errorcode[getattr(errno, name)] for name in dir(errno) if name.startswith("E")
}
EAI_SYMBOLS: Final = frozenset(
    f"EAI_{name}"
    for name in (
        "AGAIN",
        "BADFLAGS",
        "FAIL",
        "FAMILY",
        "MEMORY",
        "NONAME",
        "OVERFLOW",
        "SERVICE",
        "SOCKTYPE",
        "SYSTEM",
        # Dante does not know these two on glibc, and so misses names without an address.
        "NODATA",
        "ADDRFAMILY",
    )
)
#: Symbols that stand for several others (``sockd.conf(5)``, "ERROR SYMBOLS").
SYMBOL_GROUPS: Final = {
    "NO-ROUTE": frozenset(("ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "ETIMEDOUT")),
    "DNS-ANY": EAI_SYMBOLS,
    "SYSTEM-ANY": frozenset(ERRNO_SYMBOLS.values()),
}
#: All error symbols, in upper case.
SYMBOL_NAMES: Final = (*ERRNO_SYMBOLS, *sorted(EAI_SYMBOLS), *SYMBOL_GROUPS)

#: ``internal.log.LEVEL.tcp.enabled`` and ``.disabled``.
TCP_FEATURES: Final = ("ecn", "sack", "timestamps", "wscale")

_SYMBOL: Final = re.compile(r"(?a)[A-Za-z][^\s{}#]*")


def symbols(word: str) -> frozenset[str]:
    """What an error symbol stands for, in any case; empty if there is no such symbol."""
    upper = word.upper()
    if upper in SYMBOL_GROUPS:
        return SYMBOL_GROUPS[upper]
    if upper in ERRNO_SYMBOLS:
        return frozenset((ERRNO_SYMBOLS[upper],))
    if upper in EAI_SYMBOLS:
        return frozenset((upper,))
    return frozenset()


@dataclass(frozen=True, slots=True)
class Symbols:
    """Error symbols, of any name: an unknown one is not an error, but warned of later."""

    @property
    def form(self) -> str:
        return "SYMBOL …"

    def read(self, reader: Reader) -> Values:
        words = [reader.expect(_SYMBOL, "error symbols such as ECONNREFUSED or no-route")]
        while not reader.at_end():
            token = reader.expect(_SYMBOL, "error symbols such as ECONNREFUSED or no-route")
            if reader.keyword_follows(token):
                raise ConfigError(
                    token,
                    f'"{token.text}" on the same line: a list owns the rest of its line',
                    "keywords after a list on a new line",
                )
            words.append(token)
        return Values(tuple(words))


class FilterDraft(Draft):
    """The filters of the global settings, or of a rule."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.filters: list[ErrorFilter] = []

    def add(self, statement: Statement) -> None:
        """
        ``SIDE.log.LEVEL.error``; unknown symbols only warn.

        :raises ConfigError: there is no such level.
        """
        severity = log_level(statement)
        expanded: set[str] = set()
        for word in statement.values.words:
            found = symbols(word.text)
            if not found:
                self.report.warning(
                    word,
                    "unknown error symbol specified",
                    "the name of an errno or EAI_ code, or dns-any, no-route, system-any",
                    nearest(word.text.upper(), SYMBOL_NAMES),
                )
            expanded |= found
        edge, where = Edge(statement.parts[0]), statement.written.where
        self.filters.append(ErrorFilter(edge, severity, frozenset(expanded), where))

    def check_level(self, statement: Statement) -> None:
        """``SIDE.log.LEVEL.tcp.…``.  :raises ConfigError: there is no such level."""
        log_level(statement)


def log_level(statement: Statement) -> Severity:
    """
    The LEVEL in ``SIDE.log.LEVEL.…``.

    :raises ConfigError: there is no such level.
    """
    name = statement.parts[1]
    severity = LEVEL_NAMES.get(name)
    if severity is None:
        raise ConfigError(
            statement.written,
            f'unknown loglevel: "{name}"',
            " ".join(LEVEL_NAMES),
            nearest(name, LEVEL_NAMES),
        )
    return severity


def _on_each_side(rest: str) -> Callable[[Program], Iterable[str]]:
    return lambda program: [f"{side}.log.LEVEL.{rest}" for side in ("internal", "external")]


KEYWORDS: Final[tuple[Keyword, ...]] = (
    Keyword(
        "SIDE.log.LEVEL.error",
        ANYWHERE,
        Symbols(),
        "priority at which these errors are logged; in a rule, for its sessions",
        "",
        Repeat.ADD,
        rf"{SIDE}\.log\.([^.\s]*)\.error",
        setting=FilterDraft.add,
        in_block=FilterDraft.add,
        examples=_on_each_side("error"),
    ),
    Keyword(
        "SIDE.log.LEVEL.tcp.enabled",
        ANYWHERE,
        Words(TCP_FEATURES, "TCP feature"),
        "log connections that have the feature",
        "",
        Repeat.ADD,
        rf"{SIDE}\.log\.([^.\s]*)\.tcp\.enabled",
        setting=FilterDraft.check_level,
        in_block=FilterDraft.check_level,
        examples=_on_each_side("tcp.enabled"),
    ),
    Keyword(
        "SIDE.log.LEVEL.tcp.disabled",
        ANYWHERE,
        Words(TCP_FEATURES, "TCP feature"),
        "log connections that lack the feature",
        "",
        Repeat.ADD,
        rf"{SIDE}\.log\.([^.\s]*)\.tcp\.disabled",
        setting=FilterDraft.check_level,
        in_block=FilterDraft.check_level,
        examples=_on_each_side("tcp.disabled"),
    ),
)

UNSUPPORTED: Final = {
    "SIDE.log.LEVEL.tcp.enabled": "logging of TCP features",
    "SIDE.log.LEVEL.tcp.disabled": "logging of TCP features",
}
