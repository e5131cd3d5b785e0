"""
How a log daemon elsewhere is written: ``syslog+udp://HOST[:PORT][/FACILITY]``, ``syslog+tcp://…``.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import Final

from dantetw.observe.sinks.syslog import DEFAULT_FACILITY, check_facility
from dantetw.policy import Misspelling

#: What precedes ``://``.
SCHEMES: Final = ("syslog+udp", "syslog+tcp")
#: The port where none is named (:rfc:`5426`, 3.3).
SYSLOG_PORT: Final = 514

_WORD: Final = re.compile(r"syslog\+(udp|tcp)://(\[[^\]]*\]|[^:/[]*)(:[^/]*)?(/.*)?")
_HOST_NAME: Final = re.compile(r"(?a)\w[\w.-]{0,254}")
_PORT: Final = re.compile(r"(?a)[0-9]{1,5}")
_FORM: Final = "syslog+udp://HOST[:PORT][/FACILITY], an IPv6 address in brackets"


@dataclass(frozen=True, slots=True)
class RemoteAddress:
    """
    Where a log daemon is.

    :ivar transport: ``udp`` or ``tcp``.
    :ivar host: a name or an address, without brackets.
    :ivar facility: one of :data:`~dantetw.observe.sinks.syslog.FACILITIES`.
    """

    transport: str
    host: str
    port: int
    facility: str


def read_address(word: str) -> RemoteAddress | Misspelling:
    """What a word with one of our schemes means, or what is wrong with it."""
    match = _WORD.fullmatch(word)
    if match is None:
        start = word.index("://") + 3
        return Misspelling(f'"{word[start:]}" is not a host', start, None, _FORM)
    host = match[2]
    wrong = _check_host(host, match.start(2))
    if wrong is not None:
        return wrong
    port = match[3][1:] if match[3] else str(SYSLOG_PORT)
    if not _PORT.fullmatch(port) or not 1 <= int(port) <= 65535:
        start, expected = match.start(3) + 1, "a port from 1 to 65535"
        return Misspelling(f'"{port}" is not a port', start, len(port), expected)
    facility = match[4][1:] if match[4] else DEFAULT_FACILITY
    wrong = check_facility(facility, match.start(4) + 1)
    return wrong or RemoteAddress(match[1], host.strip("[]"), int(port), facility)


def check_address(word: str) -> Misspelling | None:
    """What is wrong with a word with one of our schemes; None: nothing."""
    found = read_address(word)
    return found if isinstance(found, Misspelling) else None


def _check_host(host: str, start: int) -> Misspelling | None:
    if host.startswith("["):
        address = host[1:-1]
        if not _is_ipv6(address):
            text = f'"{address}" is not an IPv6 address'
            return Misspelling(text, start + 1, len(address), _FORM)
    elif not _HOST_NAME.fullmatch(host):
        text = f'"{host}" is not a host' if host else "no host"
        return Misspelling(text, start, len(host), _FORM)
    return None


def _is_ipv6(address: str) -> bool:
    """Whether it is an address, with a zone or without, that is not an IPv4 address in disguise."""
    try:
        number = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except (OSError, ValueError):  # ValueError: characters that no address has
        return False
    return number[:12] != bytes(10) + b"\xff\xff"
