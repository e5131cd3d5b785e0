"""
SOCKS 4, and 4a with host names.  There is no RFC: the sources are the memos "SOCKS: A protocol for
TCP proxy across firewalls" and "SOCKS 4A: A Simple Extension to SOCKS 4 Protocol" by Ying-Da Lee.

A request is version, command, port, IPv4 address, a user id that ends with a NUL, and, if the
address is 0.0.0.x with x other than 0, a host name that ends with a NUL.  It is all that a client
sends: there is no login.
"""

from __future__ import annotations

from socket import AF_INET, inet_ntop, inet_pton
from typing import Final

from zope.interface import implementer

from dantetw.values import (
    NOWHERE,
    REPLY_SUCCEEDED,
    Cause,
    Command,
    Endpoint,
    Family,
    Method,
    ProxyProtocol,
    ReplyCode,
)
from dantetw.wire.addresses import AddressError, build_name, name_endpoint
from dantetw.wire.dialects import IDialect, Negotiation, Reader, Request, over
from dantetw.wire.messages import ProtocolError, user_text

VERSION: Final = 4

#: Most bytes of a user id, without its NUL.  The memos set no limit; this is what Dante 1.4.2 takes
#: as Debian builds it.
USER_ID_LIMIT: Final = 1382
#: Most bytes of a host name, without its NUL: that of SOCKS 5.  A DNS name has no more than 253.
NAME_LIMIT: Final = 255
#: Longest request in bytes.
REQUEST_LIMIT: Final = 8 + USER_ID_LIMIT + 1 + NAME_LIMIT + 1

#: Command codes.
COMMANDS: Final = {1: Command.CONNECT, 2: Command.BIND}
COMMAND_CODES: Final = {command: code for code, command in COMMANDS.items()}

#: Codes of replies: request granted, and request rejected or failed.  92 and 93 blame the ident
#: protocol, which we do not ask on a client's behalf.
GRANTED: Final = 90
REJECTED: Final = 91

#: The address that says "a host name follows".
_NAME_FOLLOWS: Final = b"\x00\x00\x00\x01"


def parse_request(data: bytes) -> tuple[Request, int] | None:
    """
    A client's request, and where it ends; None: not complete yet.

    :raises ProtocolError: on another version, an unknown command, a user id or host name that is
        too long, and an empty host name; each with reply 91 but the first.
    """
    if not data:
        return None
    if data[0] != VERSION:
        raise ProtocolError(f"unknown SOCKS version {data[0]} in client request", at=1)
    if len(data) < 2:
        return None
    command = COMMANDS.get(data[1])
    if command is None:
        raise ProtocolError(f"unknown socks_v4 command: {data[1]}", REFUSAL, Cause.UNSUPPORTED, 2)
    if len(data) < 8:
        return None
    field = _field(data, 8, USER_ID_LIMIT, "username")
    if field is None:
        return None
    user_id, end = field
    port = data[2] << 8 | data[3]
    if data[4:7] == b"\x00\x00\x00" and data[7]:
        field = _field(data, end, NAME_LIMIT, "host name")
        if field is None:
            return None
        host, end = field
        try:
            target = name_endpoint(host, port)
        except AddressError as error:
            raise ProtocolError(error.text, REFUSAL, error.cause, end) from None
    else:
        target = Endpoint(inet_ntop(AF_INET, data[4:8]), port, Family.IPV4)
    name = user_text(user_id) if user_id else ""
    return Request(command, target, DIALECT, user_id=name), end


def build_request(command: Command, target: Endpoint, user_id: bytes = b"") -> bytes:
    """
    A request: of SOCKS 4 to an IPv4 address, of SOCKS 4a to a host name.

    :raises ValueError: if the target is an IPv6 address or a host name that cannot be written, or
        if ``user_id`` is too long or has a NUL.
    :raises KeyError: if ``command`` is neither ``CONNECT`` nor ``BIND``.
    """
    if len(user_id) > USER_ID_LIMIT or 0 in user_id:
        raise ValueError(f"a user id on the wire has at most {USER_ID_LIMIT} bytes and no NUL")
    start = bytes((VERSION, COMMAND_CODES[command])) + target.port.to_bytes(2, "big")
    if target.family is Family.IPV4:
        return start + inet_pton(AF_INET, target.host) + user_id + b"\x00"
    if target.family is Family.NAME:
        return start + _NAME_FOLLOWS + user_id + b"\x00" + build_name(target.host) + b"\x00"
    raise ValueError("SOCKS 4 knows no IPv6 addresses")


def parse_reply(data: bytes) -> tuple[bool, Endpoint, int] | None:
    """
    A server's reply: whether it granted the request, the bound endpoint, and where the reply ends;
    None: not complete yet.

    :raises ProtocolError: if the version is neither 0, as it should be, nor 4, as some servers
        have it.
    """
    if not data:
        return None
    if data[0] not in (0, VERSION):
        raise ProtocolError(f"unknown SOCKS version {data[0]} in server reply", at=1)
    if len(data) < 8:
        return None
    bound = Endpoint(inet_ntop(AF_INET, data[4:8]), data[2] << 8 | data[3], Family.IPV4)
    return data[1] == GRANTED, bound, 8


def _field(data: bytes, start: int, limit: int, what: str) -> tuple[bytes, int] | None:
    """A field that ends with a NUL, and the offset behind the NUL; None: not complete yet."""
    nul = data.find(0, start, start + limit + 1)
    if nul >= 0:
        return data[start:nul], nul + 1
    if len(data) - start <= limit:
        return None
    raise ProtocolError(
        f"socks_v4 {what} received from client is too long.  Max length is {limit}",
        REFUSAL,
        at=start + limit + 1,
    )


def _read_request(negotiation: Negotiation, data: bytes) -> tuple[Request, Reader, int] | None:
    found = parse_request(data)
    return None if found is None else (found[0], over, found[1])


@implementer(IDialect)
class Socks4:
    """SOCKS 4 and 4a as clients talk it to the server."""

    proxy_protocol = ProxyProtocol.SOCKS_V4
    first_bytes = bytes((VERSION,))
    families = frozenset((Family.IPV4,))

    def negotiate(self, methods: tuple[Method, ...]) -> Negotiation:
        """See :meth:`IDialect.negotiate`; there are no methods in SOCKS 4."""
        return Negotiation(methods, _read_request)

    def reply(self, code: ReplyCode, bound: Endpoint) -> bytes:
        """
        See :meth:`IDialect.reply`.

        All failures have one code.  Of an address that is not IPv4, the port is left out too, since
        a port without its host would mislead.
        """
        verdict = GRANTED if code == REPLY_SUCCEEDED else REJECTED
        if bound.family is not Family.IPV4:
            return bytes((0, verdict)) + bytes(6)
        port = bound.port.to_bytes(2, "big")
        return bytes((0, verdict)) + port + inet_pton(AF_INET, bound.host)


DIALECT: Final = Socks4()

#: What is sent with each :exc:`ProtocolError` of a request.
REFUSAL: Final = DIALECT.reply(ReplyCode.FAILURE, NOWHERE)
