"""
SOCKS 5 (:rfc:`1928`): greeting, choice of a method, perhaps a login, request, reply.

The order of a negotiation, in which each state is the function that reads it::

    _read_greeting --(no login)----------------------------> _read_request --> over
        \\--(login)--> _read_login --> read_ahead --(accepted)--^
                                          \\--(refused)--> over

Any :exc:`~dantetw.wire.messages.ProtocolError` leads to ``over``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from zope.interface import implementer

from dantetw.values import (
    NOWHERE,
    Cause,
    Command,
    Endpoint,
    Family,
    Method,
    ProxyProtocol,
    ReplyCode,
)
from dantetw.wire import userpass
from dantetw.wire.addresses import AddressError, build_address, parse_address
from dantetw.wire.dialects import (
    IDialect,
    Negotiation,
    Reader,
    Request,
    over,
    read_ahead,
)
from dantetw.wire.messages import Credentials, ProtocolError, Reply

VERSION: Final = 5

#: Longest greeting in bytes: version, count, and as many methods as one byte can count.
GREETING_LIMIT: Final = 2 + 255
#: Longest request in bytes: a fixed part of four, a host name behind its length, a port.
REQUEST_LIMIT: Final = 4 + 1 + 255 + 2

#: Method codes (:rfc:`1928`, 3).
NO_LOGIN: Final = 0
LOGIN: Final = 2
NO_ACCEPTABLE: Final = 0xFF

#: The method codes with which each of our methods can be spoken, the preferred one first.
METHOD_CODES: Final[dict[Method, tuple[int, ...]]] = {
    Method.NONE: (NO_LOGIN,),
    Method.USERNAME: (LOGIN,),
    Method.RFC931: (NO_LOGIN, LOGIN),
    Method.PAM_USERNAME: (LOGIN,),
    Method.PAM_ADDRESS: (LOGIN, NO_LOGIN),
    Method.PAM_ANY: (LOGIN, NO_LOGIN),
    Method.BSDAUTH: (LOGIN,),
    Method.LDAPAUTH: (LOGIN,),
}

#: Command codes (:rfc:`1928`, 4).
COMMANDS: Final = {1: Command.CONNECT, 2: Command.BIND, 3: Command.UDPASSOCIATE}
COMMAND_CODES: Final = {command: code for code, command in COMMANDS.items()}

#: The address that says nothing.
_ZEROS: Final = b"\x01\x00\x00\x00\x00\x00\x00"


def parse_greeting(data: bytes) -> tuple[bytes, int] | None:
    """
    The method codes a client offers, and where its greeting ends; None: not complete yet.

    :raises ProtocolError: if the version is another.
    """
    if not data:
        return None
    if data[0] != VERSION:
        raise ProtocolError(f"unknown SOCKS version {data[0]} in client request", at=1)
    if len(data) < 2:
        return None
    end = 2 + data[1]
    if len(data) < end:
        return None
    return data[2:end], end


def build_greeting(codes: Sequence[int]) -> bytes:
    """A greeting that offers ``codes``, at most 255 of them."""
    return bytes((VERSION, len(codes), *codes))


# Rules have few lists of methods, and clients few greetings.
@lru_cache(maxsize=256)
def choose(methods: tuple[Method, ...], offered: bytes) -> tuple[Method, int] | None:
    """
    The first of ``methods`` that can be spoken with one of the ``offered`` codes, and that code;
    None if there is none.

    The server's order decides, as in Dante; :rfc:`1928` leaves it open.
    """
    for method in methods:
        for code in METHOD_CODES.get(method, ()):
            if code in offered:
                return method, code
    return None


def parse_choice(data: bytes) -> tuple[int, int] | None:
    """
    The method code a server chose, perhaps :data:`NO_ACCEPTABLE`, and where its message ends;
    None: not complete yet.

    :raises ProtocolError: if the version is another.
    """
    if not data:
        return None
    if data[0] != VERSION:
        raise ProtocolError(f"unknown SOCKS version {data[0]} in server reply", at=1)
    return (data[1], 2) if len(data) > 1 else None


def build_choice(code: int) -> bytes:
    """The answer to a greeting."""
    return bytes((VERSION, code))


def parse_request(data: bytes, method: Method = Method.NONE) -> tuple[Request, int] | None:
    """
    A client's request, and where it ends; None: not complete yet.

    The reserved byte is ignored, as :rfc:`1928` gives no meaning to any value but zero and Dante
    does not look at it.

    :param method: goes into the request.
    :raises ProtocolError: on another version (4 included: a client does not change its mind),
        unknown commands (reply 7), unknown address types (reply 8) and host names that are empty
        or have a NUL (reply 4).
    """
    if not data:
        return None
    if data[0] != VERSION:
        raise ProtocolError("local client protocol error", at=1)
    if len(data) < 2:
        return None
    command = COMMANDS.get(data[1])
    if command is None:
        raise ProtocolError(
            f"unknown socks_v5 command: {data[1]}",
            DIALECT.reply(ReplyCode.COMMAND_NOT_SUPPORTED, NOWHERE),
            Cause.UNSUPPORTED,
            2,
        )
    try:
        found = parse_address(data, 3)
    except AddressError as error:
        raise ProtocolError(
            error.text,
            DIALECT.reply(error.code, NOWHERE),
            error.cause,
            3 + error.at,
        ) from None
    if found is None:
        return None
    target, end = found
    return Request(command, target, DIALECT, method), end


def build_request(command: Command, target: Endpoint) -> bytes:
    """
    A request.

    :raises ValueError: if the target's host name cannot be written.
    :raises KeyError: if ``command`` is not one of the three.
    """
    return bytes((VERSION, COMMAND_CODES[command], 0)) + build_address(target)


def parse_reply(data: bytes) -> tuple[int, Endpoint, int] | None:
    """
    A server's reply: its code, the bound endpoint, and where it ends; None: not complete yet.

    The code is a plain number, as servers may use codes that :class:`ReplyCode` does not know.

    :raises ProtocolError: if the version is another or the address is none.
    """
    if not data:
        return None
    if data[0] != VERSION:
        raise ProtocolError(f"unknown SOCKS version {data[0]} in server reply", at=1)
    try:
        found = parse_address(data, 3)
    except AddressError as error:
        raise ProtocolError(error.text, cause=error.cause, at=3 + error.at) from None
    if found is None:
        return None
    bound, end = found
    return data[1], bound, end


class _Negotiation(Negotiation):
    """The logins of SOCKS 5."""

    __slots__ = ()

    def accepted(self) -> bytes:
        self.decide(_read_request)
        return userpass.ACCEPTED

    def refused(self) -> bytes:
        self.decide(over)
        return userpass.REFUSED


def _read_greeting(negotiation: Negotiation, data: bytes) -> tuple[Reply, Reader, int] | None:
    found = parse_greeting(data)
    if found is None:
        return None
    negotiation.offered, end = found
    chosen = choose(negotiation.methods, negotiation.offered)
    if chosen is None:
        raise ProtocolError(
            "client offered no acceptable authentication method",
            build_choice(NO_ACCEPTABLE),
            at=end,
        )
    negotiation.method, code = chosen
    return *_CHOICES[code], end


def _read_login(negotiation: Negotiation, data: bytes) -> tuple[Credentials, Reader, int] | None:
    found = userpass.parse_login(data)
    return None if found is None else (found[0], read_ahead, found[1])


def _read_request(negotiation: Negotiation, data: bytes) -> tuple[Request, Reader, int] | None:
    found = parse_request(data, negotiation.method)
    return None if found is None else (found[0], over, found[1])


# The two answers to a greeting that the server knows, by method code, with what follows them.
_CHOICES: Final[dict[int, tuple[Reply, Reader]]] = {
    NO_LOGIN: (Reply(build_choice(NO_LOGIN)), _read_request),
    LOGIN: (Reply(build_choice(LOGIN)), _read_login),
}


@implementer(IDialect)
class Socks5:
    """SOCKS 5 as clients talk it to the server."""

    proxy_protocol = ProxyProtocol.SOCKS_V5
    first_bytes = bytes((VERSION,))
    families = frozenset((Family.IPV4, Family.IPV6))

    def negotiate(self, methods: tuple[Method, ...]) -> Negotiation:
        """See :meth:`IDialect.negotiate`."""
        return _Negotiation(methods, _read_greeting)

    def reply(self, code: ReplyCode, bound: Endpoint) -> bytes:
        """
        See :meth:`IDialect.reply`.

        Of a host name that is empty, too long or not bytes, the port is left out too, since a port
        without its host would mislead.
        """
        try:
            address = build_address(bound)
        except ValueError:
            address = _ZEROS
        return b"\x05" + code.to_bytes(1, "big") + b"\x00" + address


DIALECT: Final = Socks5()
