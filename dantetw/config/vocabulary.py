"""
The closed sets of words of the configuration language, and what they stand for; and the words for
log daemons elsewhere.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from typing import Final

from dantetw.config.addresses import numeric
from dantetw.config.lexer import Token
from dantetw.config.problems import nearest
from dantetw.config.report import Mistake
from dantetw.policy import ResolveProtocol, Rotation, Where
from dantetw.values import Command, Family, Method, Protocol, ProxyProtocol

YES_NO: Final = {"yes": True, "no": False}
#: ``udp.source``: whether the address that a client is connected from is served too.
UDP_SOURCES: Final = {"announced": False, "connected": True}

FAMILIES: Final = {"ipv4": Family.IPV4, "ipv6": Family.IPV6}

ROTATIONS: Final = {rotation.value: rotation for rotation in Rotation}

RESOLVE_PROTOCOLS: Final = {protocol.value: protocol for protocol in ResolveProtocol}

PROTOCOLS: Final = {protocol.value: protocol for protocol in Protocol}

#: ``accept`` is what client rules judge; nobody can write it.
COMMANDS: Final = {command.value: command for command in Command if command is not Command.ACCEPT}

TCP_COMMANDS: Final = frozenset((Command.CONNECT, Command.BIND, Command.BINDREPLY))
UDP_COMMANDS: Final = frozenset((Command.UDPASSOCIATE, Command.UDPREPLY))
REPLY_COMMANDS: Final = frozenset((Command.BINDREPLY, Command.UDPREPLY))

PROXY_PROTOCOLS: Final = {
    "socks_v4": ProxyProtocol.SOCKS_V4,
    "socks_v5": ProxyProtocol.SOCKS_V5,
    "http": ProxyProtocol.HTTP,
    "http_v1.0": ProxyProtocol.HTTP,
    "upnp": ProxyProtocol.UPNP,
}

#: ``pam`` is an old name of ``pam.username``.
OLD_METHOD: Final = "pam"
METHODS: Final = {method.value: method for method in Method} | {OLD_METHOD: Method.PAM_USERNAME}

#: Methods after which there may be no user name, which ``user`` and ``group`` need.
NAMELESS_METHODS: Final = frozenset((Method.NONE, Method.PAM_ANY))

#: Facilities of ``syslog/FACILITY`` as Dante knows them (not all that syslog has).
FACILITIES: Final = (
    "auth",
    "authpriv",
    "daemon",
    "user",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
)

#: Every ``errno`` and ``EAI_`` name that ``SIDE.log.LEVEL.error`` knows.  Some numbers have two
#: names, one of which is in ``errno.errorcode``: that one stands for both.
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

#: Processes of Dante that ``cpu.…`` keywords name, and scheduling policies of Linux.
PROCESSES: Final = ("mother", "monitor", "negotiate", "request", "io")
SCHEDULING: Final = ("other", "fifo", "fifo2", "fifo3", "fifo4", "rr", "idle", "batch")

#: ``internal.log.LEVEL.tcp.enabled`` and ``.disabled``.
TCP_FEATURES: Final = ("ecn", "sack", "timestamps", "wscale")


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


#: What ``logoutput`` and ``errorlog`` take.
DESTINATIONS: Final = (
    "stdout | stderr | syslog[/FACILITY] | syslog+(udp|tcp)://HOST[:PORT][/FACILITY] | FILE …"
)

_REMOTE: Final = re.compile(r"syslog\+(udp|tcp)://(\[[^\]]*\]|[^:/[]*)(:[^/]*)?(/.*)?")
_HOST_NAME: Final = re.compile(r"(?a)\w[\w.-]{0,254}")
_PORT: Final = re.compile(r"(?a)[0-9]{1,5}")

#: The port of ``syslog+udp`` and ``syslog+tcp`` where none is named (:rfc:`5426`, 3.3).
SYSLOG_PORT: Final = 514
_REMOTE_FORM: Final = "syslog+udp://HOST[:PORT][/FACILITY], an IPv6 address in brackets"


@dataclass(frozen=True, slots=True)
class RemoteLog:
    """
    A log daemon elsewhere.

    :ivar transport: ``udp`` or ``tcp``.
    :ivar host: a name or an address, without brackets.
    :ivar facility: one of :data:`FACILITIES`.
    """

    transport: str
    host: str
    port: int
    facility: str


def remote_log(word: Token) -> RemoteLog | None:
    """
    What ``syslog+udp://HOST[:PORT][/FACILITY]`` means, or ``syslog+tcp``; None: it is another word.

    In Dante a colon is a syntax error in any destination, so nothing else is meant by it.

    :raises Mistake: it is none of the words with a colon that there are.
    """
    text = word.text
    if ":" not in text:
        return None
    match = _REMOTE.fullmatch(text)
    if match is None:
        at = text.find("://")
        colon = _part(word, text.index(":"), 1)
        hint = "" if at < 0 else nearest(text[:at], ("syslog+udp", "syslog+tcp"))
        if hint == text[:at]:
            raise Mistake(_part(word, at + 3), f'"{text[at + 3 :]}" is not a host', _REMOTE_FORM)
        raise Mistake(colon, f'unexpected ":" in "{text}"', DESTINATIONS, hint)
    host = _part(word, match.start(2), len(match[2]))
    if match[2].startswith("["):
        host = _part(word, match.start(2) + 1, len(match[2]) - 2)
        found = numeric(host) if ":" in host.text else None
        if found is None or found[0] is not Family.IPV6:
            raise Mistake(host, f'"{host.text}" is not an IPv6 address', _REMOTE_FORM)
    elif not _HOST_NAME.fullmatch(host.text):
        what = f'"{host.text}" is not a host' if host.text else "no host"
        raise Mistake(host, what, _REMOTE_FORM)
    else:
        numeric(host)
    port = match[3][1:] if match[3] else str(SYSLOG_PORT)
    if not _PORT.fullmatch(port) or not 1 <= int(port) <= 65535:
        part = _part(word, match.start(3) + 1, len(port))
        raise Mistake(part, f'"{port}" is not a port', "a port from 1 to 65535")
    facility = match[4][1:] if match[4] else "daemon"
    if facility not in FACILITIES:
        part = _part(word, match.start(4) + 1, len(facility))
        what, hint = f'unknown syslog facility "{facility}"', nearest(facility, FACILITIES)
        raise Mistake(part, what, f"one of: {' '.join(FACILITIES)}", hint)
    return RemoteLog(match[1], host.text, int(port), facility)


def _part(word: Token, start: int, length: int | None = None) -> Token:
    """A part of a word; without ``length`` all from ``start`` on."""
    where = Where(word.where.file, word.where.line, word.where.column + start)
    return Token(word.text[start:][:length], where, word.offset + start)
