"""
Socket options (``sockd.conf(5)``, "SOCKET OPTIONS").

Numbers are Linux's (``asm-generic/socket.h``, ``linux/in.h``, ``linux/tcp.h``, ``linux/udp.h``):
Python's :mod:`socket` lacks some of them, and what is read here is applied on this system.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from dantetw.config.arguments import Rest
from dantetw.config.draft import BlockDraft, Context, Draft
from dantetw.config.keyword import (
    ANYWHERE,
    GLOBAL,
    ROUTE,
    SIDE,
    Keyword,
    Place,
    Repeat,
    Statement,
    Values,
)
from dantetw.config.lexer import Token
from dantetw.config.problems import nearest
from dantetw.config.reader import Reader
from dantetw.config.report import ConfigError
from dantetw.config.tree import Block
from dantetw.policy import Edge, SocketOption
from dantetw.values import Verdict

_SOCKET: Final = 1
_IP: Final = 0
_TCP: Final = 6
_UDP: Final = 17

#: Levels by their name in ``SIDE.LEVEL.NAME``.
LEVELS: Final = {"socket": _SOCKET, "ip": _IP, "tcp": _TCP, "udp": _UDP}


@dataclass(frozen=True, slots=True)
class Option:
    """
    A socket option.

    :ivar level, number: what ``setsockopt(2)`` takes.
    :ivar shift, bits: for a sub-field, where it lies in the option's value and how wide it is.
    :ivar symbols: names for values, before shifting.
    :ivar early: it should be set before a connection is made, so in a rule it comes too late for
        the client's side (Dante warns of that).
    """

    level: int
    number: int
    shift: int = 0
    bits: int = 0
    symbols: dict[str, int] = field(default_factory=dict)
    early: bool = True


# RFC 2474, 2597 and 3246.
_DSCP: Final = (
    {f"cs{number}": number << 3 for number in range(8)}
    | {f"af{c}{drop}": (c << 3) + (drop << 1) for c in range(1, 5) for drop in range(1, 4)}
    | {"ef": 46}
)
# RFC 791, 3.1.
_PRECEDENCE: Final = {
    "netcontrol": 7,
    "internetcontrol": 6,
    "critic_ecp": 5,
    "flashoverride": 4,
    "flash": 3,
    "immediate": 2,
    "priority": 1,
    "routine": 0,
}
# RFC 1349, 4.
_TOS: Final = {"lowdelay": 8, "throughput": 4, "reliability": 2}
_IP_TOS: Final = 1

#: All options by name.
OPTIONS: Final = {
    "so_broadcast": Option(_SOCKET, 6),
    "so_debug": Option(_SOCKET, 1, early=False),
    "so_dontroute": Option(_SOCKET, 5),
    "so_keepalive": Option(_SOCKET, 9),
    "so_linger": Option(_SOCKET, 13),
    "so_oobinline": Option(_SOCKET, 10),
    "so_priority": Option(_SOCKET, 12),
    "so_rcvbuf": Option(_SOCKET, 8),
    "so_rcvbufforce": Option(_SOCKET, 33),
    "so_rcvlowat": Option(_SOCKET, 18),
    "so_rcvtimeo": Option(_SOCKET, 20),
    "so_sndbuf": Option(_SOCKET, 7),
    "so_sndbufforce": Option(_SOCKET, 32),
    "so_sndlowat": Option(_SOCKET, 19),
    "so_sndtimeo": Option(_SOCKET, 21),
    "so_timestamp": Option(_SOCKET, 29),
    "tcp_cork": Option(_TCP, 3),
    "tcp_keepcnt": Option(_TCP, 6),
    "tcp_keepidle": Option(_TCP, 4),
    "tcp_keepintvl": Option(_TCP, 5),
    "tcp_linger2": Option(_TCP, 8),
    "tcp_maxseg": Option(_TCP, 2),
    "tcp_md5sig": Option(_TCP, 14),
    "tcp_nodelay": Option(_TCP, 1),
    "tcp_syncnt": Option(_TCP, 7),
    "tcp_window_clamp": Option(_TCP, 10),
    "udp_cork": Option(_UDP, 1),
    "ip_freebind": Option(_IP, 15),
    "ip_minttl": Option(_IP, 21),
    "ip_mtu_discover": Option(_IP, 10),
    "ip_tos": Option(_IP, _IP_TOS, early=False),
    "ip_tos.dscp": Option(_IP, _IP_TOS, 2, 6, _DSCP, early=False),
    "ip_tos.prec": Option(_IP, _IP_TOS, 5, 3, _PRECEDENCE, early=False),
    "ip_tos.tos": Option(_IP, _IP_TOS, 1, 4, _TOS, early=False),
    "ip_ttl": Option(_IP, 2),
}

_LARGEST_INT: Final = 2**31 - 1
_SYMBOL: Final = re.compile(r"(?a)[A-Za-z_][\w.]*")

_TOO_LATE: Final = (
    'to our knowledge the socket option "{}" can only be correctly applied at pre-connection '
    "establishment time, but by the time this rule is matched, the connection will already have "
    "been established"
)


@dataclass(frozen=True, slots=True)
class OptionValue:
    """A socket option's value: a number or a symbol."""

    @property
    def form(self) -> str:
        return "NUMBER | SYMBOL"

    def read(self, reader: Reader) -> Values:
        reader.lexer.blanks()
        symbol = reader.lexer.take(_SYMBOL)
        if symbol is not None:
            values = Values((symbol,))
        else:
            token, number = reader.number("a number or a symbol")
            values = Values((token,), (number,))
        reader.end_of_line()
        return values


class SocketDraft(Draft):
    """The global settings."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.options: list[SocketOption] = []

    def add(self, statement: Statement) -> None:
        """``SIDE.LEVEL.OPTION``.  :raises ConfigError: there is no such option, or value of it."""
        self.options.append(_socket_option(self, statement))

    def refuse_buffer(self, statement: Statement) -> None:
        """``socket.recvbuf.tcp`` and the like.  :raises ConfigError: always, as in Dante."""
        name = statement.written.text
        which = "so_rcvbuf" if "recvbuf" in name else "so_sndbuf"
        raise ConfigError(
            statement.written,
            f'given keyword "{name}" is deprecated.  New keyword is a general socket api',
            f'"internal.socket.{which}: …" or "external.socket.{which}: …"',
        )


class RuleSocketDraft(BlockDraft):
    """A rule or route."""

    def __init__(self, context: Context, block: Block) -> None:
        super().__init__(context, block)
        self.options: list[SocketOption] = []

    def add(self, statement: Statement) -> None:
        """``SIDE.LEVEL.OPTION``.  :raises ConfigError: it is none, or not for such a rule."""
        option = _socket_option(self, statement)
        if option.edge is Edge.EXTERNAL:
            self._check_external(statement)
        else:
            named = OPTIONS.get(statement.parts[2])
            if named is not None and named.early:
                self.report.warning(statement.token, _TOO_LATE.format(statement.parts[2]))
        self.options.append(option)

    def _check_external(self, statement: Statement) -> None:
        if self.block.place in (Place.CLIENT, Place.HOSTID):
            raise ConfigError(
                statement.written,
                "can not set socket options for the external side in a client-rule, as there "
                "is no external side set up yet at this point.  Needs to be set in the "
                "corresponding socks-rule if necessary",
            )
        if self.block.verdict is Verdict.BLOCK:
            raise ConfigError(
                statement.written,
                "it does not make sense to set a socket option for the external side in a rule "
                "that blocks access; the external side will never be accessed as the rule "
                "blocks access to it",
            )


def _socket_option(draft: Draft, statement: Statement) -> SocketOption:
    side, level, name = statement.parts
    option = _option(statement.written, name, LEVELS[level])
    value = _option_value(statement, option)
    if option.level != LEVELS[level]:
        draft.report.advice(
            statement.written,
            f'socket option "{name}" does not belong to the level "{level}"; it is set at its own '
            "level",
        )
    written = statement.written
    return SocketOption(Edge(side), option.level, option.number, value, written.text, written.where)


def _option(written: Token, name: str, level: int) -> Option:
    if name.isdigit():
        if len(name) > 10 or int(name) > _LARGEST_INT:
            raise ConfigError(written, f'socket option number "{name[:20]}" is too large')
        return Option(level, int(name), early=False)
    option = OPTIONS.get(name)
    if option is None:
        raise ConfigError(
            written,
            f'unknown socket option "{name}"',
            "the lower-case name of a socket option, or its number",
            nearest(name, OPTIONS),
        )
    return option


def _option_value(statement: Statement, option: Option) -> int:
    token = statement.values.words[0]
    if statement.values.numbers:
        value = statement.values.numbers[0]
        limit = (1 << option.bits) - 1 if option.bits else _LARGEST_INT
        if value > limit:
            raise ConfigError(token, f"number {value} is too large", f"at most {limit}")
    else:
        found = option.symbols.get(token.text)
        if found is None:
            raise ConfigError(
                token,
                f'"{token.text}" is not a value of {statement.parts[2]}',
                " ".join(option.symbols) or "a number",
                nearest(token.text, option.symbols),
            )
        value = found
    return value << option.shift


KEYWORDS: Final[tuple[Keyword, ...]] = (
    Keyword(
        "SIDE.LEVEL.OPTION",
        ANYWHERE | ROUTE,
        OptionValue(),
        "socket option; LEVEL is socket, ip, tcp or udp",
        "",
        Repeat.ADD,
        rf"{SIDE}\.(socket|ip|tcp|udp)\.([\w.]+)",
        setting=SocketDraft.add,
        in_block=RuleSocketDraft.add,
    ),
    Keyword(
        "socket.BUFFER.PROTOCOL",
        GLOBAL,
        Rest("…"),
        "an error: use socket options",
        pattern=r"socket\.(recvbuf|sendbuf)\.(tcp|udp)",
        setting=SocketDraft.refuse_buffer,
    ),
)
