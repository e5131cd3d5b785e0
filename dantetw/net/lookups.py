"""
The look-ups of names and addresses themselves: what is asked of the system, and what is made of
its answer.  They wait for it; :mod:`.resolving` calls them in threads.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.logger import Logger
from twisted.python.failure import Failure

from dantetw.addresses import literal, number_of
from dantetw.escaping import escape
from dantetw.net.errors import EAI_WORDS, eai_symbol_of, words_of
from dantetw.net.zones import endpoint_of
from dantetw.values import AF_OF, FAMILIES, FAMILY_WORDS, Family

#: Addresses kept of one name.  A DNS answer may hold thousands; no client tries them all.
ADDRESSES: Final = 64

# RFC 1035, 2.3.4.
_NAME_LENGTH: Final = 255
_LABEL_LENGTH: Final = 63

# What may be so for one family and not for the other.
_FAMILY_MATTERS: Final = frozenset(("EAI_FAMILY", "EAI_FAIL", "EAI_NONAME"))

_log: Final = Logger()


class ResolveError(Exception):
    """
    A name has no address, or an address could not be asked for its name.

    :ivar symbol: the ``EAI_`` name, for ``external.log.LEVEL.error``.
    :ivar reason: ``gai_strerror``'s words; for ``EAI_SYSTEM`` those for the ``errno``.
    :ivar name: what was asked for, as received, hence hostile.
    """

    def __init__(self, symbol: str, reason: str, name: str) -> None:
        super().__init__(symbol, reason, name)
        self.symbol = symbol
        self.reason = reason
        self.name = name

    def __str__(self) -> str:
        return f'could not resolve hostname "{escape(self.name)}": {self.reason}'


def look_up(
    name: str,
    families: frozenset[Family] = FAMILIES,
    getaddrinfo: Callable[..., Sequence[tuple[Any, ...]]] = socket.getaddrinfo,
) -> tuple[str, ...]:
    """
    The addresses of a host name, in the system's order of preference (:rfc:`6724`).

    :param families: which kinds of addresses are wanted.
    :raises ResolveError: if there are none.
    """
    address = literal(name)
    if address is not None:
        if number_of(address)[0] in families:
            return (address,)
        raise known_error("EAI_ADDRFAMILY", name)
    query = query_of(name)
    if query is None:
        raise known_error("EAI_NONAME", name)
    try:
        found = ask(query, families, getaddrinfo)
    except (OSError, ValueError):
        raise error_of(Failure(), name) from None
    if not found:
        raise known_error("EAI_NODATA", name)
    return found


def look_up_back(
    address: str, getnameinfo: Callable[..., tuple[str, str]] = socket.getnameinfo
) -> str | None:
    """
    The name of a numeric address; None: it has none.

    :raises ResolveError: if no server could say.
    """
    if number_of(address)[0] is Family.NAME:
        raise known_error("EAI_NONAME", address)
    try:
        found = ask_back(address, getnameinfo)
    except (OSError, ValueError):
        raise error_of(Failure(), address) from None
    return found[0] if found else None


def ask(
    query: bytes,
    families: frozenset[Family],
    getaddrinfo: Callable[..., Sequence[tuple[Any, ...]]],
) -> tuple[str, ...]:
    """
    The numeric addresses in the system's answer: those wanted, each once, not too many.

    :param query: as of :func:`query_of`.
    :raises OSError: the system's error, see :func:`error_of`.
    """
    addresses: dict[str, None] = {}
    for entry in getaddrinfo(query, 0, af_of(families), socket.SOCK_STREAM):
        # A hostile AAAA record may map an IPv4 address; this unmaps it.
        endpoint = endpoint_of(entry[4])
        if endpoint.family in families:
            addresses[endpoint.host] = None
            if len(addresses) == ADDRESSES:
                break
    return tuple(addresses)


def ask_back(address: str, getnameinfo: Callable[..., tuple[str, str]]) -> tuple[str, ...]:
    """
    The name in the system's answer: none or one.

    :raises OSError: the system's error, see :func:`error_of`.
    """
    try:
        found = getnameinfo((address, 0), socket.NI_NAMEREQD)
    except socket.gaierror as error:
        if eai_symbol_of(error.errno or 0) in ("EAI_NONAME", "EAI_NODATA"):
            return ()
        raise
    return (found[0],)


def af_of(families: frozenset[Family]) -> int:
    """The kernel's number for what is asked for."""
    if len(families) != 1:
        return int(socket.AF_UNSPEC)
    (family,) = families
    return AF_OF[family]


def query_of(name: str) -> bytes | None:
    """
    The bytes to ask for; None if no host can have this name.

    Bytes, since Python would encode text as IDNA, which makes a digit of anything that looks like
    one, and cuts bytes at a NUL.
    """
    try:
        query = name.encode("ascii")
    except UnicodeEncodeError:
        return None
    # A backslash would begin an escape (RFC 1035, 5.1): the C library asks for another name than
    # the one the rules have seen.
    if b"\x00" in query or b"\\" in query or len(query) > _NAME_LENGTH:
        return None
    labels = query.removesuffix(b".").split(b".")
    if all(0 < len(label) <= _LABEL_LENGTH for label in labels):
        return query
    return None


def with_family(failed: ResolveError, families: frozenset[Family]) -> ResolveError:
    """
    A failed look-up with the only family in its reason that was asked for, as Dante has it.

    :param families: those that we go out by.
    """
    if len(families) != 1 or failed.symbol not in _FAMILY_MATTERS:
        return failed
    (family,) = families
    reason = f"{failed.reason} for {FAMILY_WORDS[family]} address"
    return ResolveError(failed.symbol, reason, failed.name)


def known_error(symbol: str, name: str) -> ResolveError:
    """An error that we find ourselves, in the system's words."""
    return ResolveError(symbol, EAI_WORDS[symbol], name)


def error_of(failure: Failure, name: str) -> ResolveError:
    """An exception of a look-up's as a :class:`ResolveError`."""
    error = failure.value
    if isinstance(error, socket.gaierror):
        symbol = eai_symbol_of(error.errno or 0)
        return ResolveError(symbol, error.strerror or symbol, name)
    if isinstance(error, OSError):
        # Python raises the errno behind an EAI_SYSTEM instead.
        return ResolveError("EAI_SYSTEM", words_of(error.errno or 0), name)
    if isinstance(error, UnicodeError | ValueError):
        return known_error("EAI_NONAME", name)
    # A bug: log it, and let the client know only that the name did not resolve.
    _log.failure("look-up failed", failure)
    return known_error("EAI_FAIL", name)
