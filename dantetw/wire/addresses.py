"""
Addresses as SOCKS 5 writes them (:rfc:`1928`, 5): type, host, port in network byte order.
"""

from __future__ import annotations

from contextlib import suppress
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final

from dantetw.values import FAMILY_IPV4, Cause, Endpoint, Family, ReplyCode

#: Address types of :rfc:`1928`, 5.
IPV4: Final = 1
NAME: Final = 3
IPV6: Final = 4

#: Most bytes of a host name: its length is one byte on the wire.
NAME_LIMIT: Final = 255

# A global is found faster than an attribute of an enumeration, and each session looks this one up.


class AddressError(ValueError):
    """
    Not an address.

    :ivar text: why.
    :ivar code: the reply to the client.
    :ivar cause: for the session's ending.
    :ivar at: how many bytes had to be read to know, from where parsing began.
    """

    def __init__(self, text: str, code: ReplyCode, cause: Cause, at: int) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.cause = cause
        self.at = at


def name_endpoint(raw: bytes, port: int) -> Endpoint:
    """
    The endpoint meant by what stands in a host name field.

    Clients put numeric addresses there: canonical dotted quads, IPv6 addresses and bracketed IPv6
    addresses become the numeric endpoints they are, so that rules on addresses see them.
    Everything else stays a name, byte for byte (``0x7f.1``, ``127.1`` and ``010.0.0.1`` too:
    whether those are addresses is up to the resolver, after which rules look again).

    Host names are ASCII (internationalised ones travel in their ``xn--`` form), other bytes are
    kept as surrogates.  Not as Latin-1 or UTF-8: the ``idna`` codec, which :mod:`socket` applies
    to text, folds ``evil\\xaa.example`` to ``evila.example``, and so a name could pass the rules
    as one thing and be resolved as another.  No codec lets a surrogate through by accident.

    :raises AddressError: if the name is empty or has a NUL, where C code would cut it; ``at`` is 0.
    """
    if not raw:
        raise _unreachable("empty host name in request", 0)
    if 0 in raw:
        raise _unreachable("NUL byte in the host name of a request", 0)
    host = raw.decode("ascii", "surrogateescape")
    # Only what might be numeric is worth the attempt: most names end with a letter.
    if ":" in host:
        inner = host[1:-1] if host[0] == "[" and host[-1] == "]" else host
        try:
            packed = inet_pton(AF_INET6, inner)
        except (OSError, ValueError):
            return Endpoint(host, port, Family.NAME)
        return Endpoint.of((inet_ntop(AF_INET6, packed), port))
    if host[-1].isdigit():
        # Some libraries' inet_pton() takes leading zeros, hence the comparison.
        with suppress(OSError, ValueError):
            canonical = inet_ntop(AF_INET, inet_pton(AF_INET, host)) == host
            return Endpoint(host, port, Family.IPV4 if canonical else Family.NAME)
    return Endpoint(host, port, Family.NAME)


def parse_address(data: bytes | memoryview, start: int = 0) -> tuple[Endpoint, int] | None:
    """
    The address at ``start``, and the offset behind it; None: not complete yet.

    :raises AddressError: on an unknown type and on unusable host names.
    """
    size = len(data)
    if size <= start:
        return None
    kind = data[start]
    if kind == IPV4:
        end = start + 7
        if size < end:
            return None
        host = inet_ntop(AF_INET, data[start + 1 : start + 5])
        return Endpoint(host, data[end - 2] << 8 | data[end - 1], FAMILY_IPV4), end
    if kind == NAME:
        if size < start + 2:
            return None
        length = data[start + 1]
        if not length:
            raise _unreachable("empty host name in request", 2)
        end = start + length + 4
        if size < end:
            return None
        try:
            name = bytes(data[start + 2 : end - 2])
            return name_endpoint(name, data[end - 2] << 8 | data[end - 1]), end
        except AddressError as error:
            error.at = end - start
            raise
    if kind == IPV6:
        end = start + 19
        if size < end:
            return None
        host = inet_ntop(AF_INET6, data[start + 1 : start + 17])
        return Endpoint.of((host, data[end - 2] << 8 | data[end - 1])), end
    raise AddressError(
        f"unknown socks_v5 address type: {kind}",
        ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED,
        Cause.UNSUPPORTED,
        1,
    )


def build_address(endpoint: Endpoint) -> bytes:
    """
    The bytes of an address.  A scope (``fe80::1%eth0``) has no place on the wire and is left out.

    :raises ValueError: if a host name is empty, too long or has no bytes.
    """
    port = endpoint.port.to_bytes(2, "big")
    if endpoint.family is FAMILY_IPV4:
        return b"\x01" + inet_pton(AF_INET, endpoint.host) + port
    if endpoint.family is Family.IPV6:
        return b"\x04" + inet_pton(AF_INET6, endpoint.host.partition("%")[0]) + port
    name = build_name(endpoint.host)
    return bytes((NAME, len(name))) + name + port


def build_name(host: str) -> bytes:
    """
    The bytes of a host name.

    :raises ValueError: if it is empty, too long, has a NUL or characters that stand for no byte.
    """
    name = host.encode("ascii", "surrogateescape")
    if not 0 < len(name) <= NAME_LIMIT or 0 in name:
        raise ValueError("a host name on the wire has 1 to 255 bytes and no NUL")
    return name


def _unreachable(text: str, at: int) -> AddressError:
    """A name that leads nowhere gets the reply that Dante gives for names it cannot resolve."""
    return AddressError(text, ReplyCode.HOST_UNREACHABLE, Cause.PROTOCOL, at)
