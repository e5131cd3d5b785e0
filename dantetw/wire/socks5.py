"""
SOCKS 5 (:rfc:`1928`): greeting, choice of a method, request, reply.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dantetw.values import NOWHERE, Cause, Command, Endpoint, Method, ProxyProtocol, ReplyCode
from dantetw.wire.addresses import AddressError, build_address, parse_address
from dantetw.wire.messages import ProtocolError, Request
from dantetw.wire.replies import reply

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


def choose(methods: Sequence[Method], offered: bytes) -> tuple[Method, int] | None:
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
            reply(ProxyProtocol.SOCKS_V5, ReplyCode.COMMAND_NOT_SUPPORTED, NOWHERE),
            Cause.UNSUPPORTED,
            2,
        )
    try:
        found = parse_address(data, 3)
    except AddressError as error:
        raise ProtocolError(
            error.text,
            reply(ProxyProtocol.SOCKS_V5, error.code, NOWHERE),
            error.cause,
            3 + error.at,
        ) from None
    if found is None:
        return None
    target, end = found
    return Request(command, target, ProxyProtocol.SOCKS_V5, method), end


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

    Build replies with :func:`dantetw.wire.replies.reply`.

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
