"""
The closed sets of words of the configuration language, and what they stand for.
"""

from __future__ import annotations

import errno
from typing import Final

from dantetw.policy import ResolveProtocol, Rotation
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
