"""
The header of relayed datagrams (:rfc:`1928`, 7): reserved, fragment, address.
"""

from __future__ import annotations

from typing import Final

from dantetw.values import Cause, Endpoint
from dantetw.wire.addresses import AddressError, build_address, parse_address
from dantetw.wire.messages import ProtocolError

#: Longest header in bytes: a fixed part of four, a host name behind its length, a port.
HEADER_LIMIT: Final = 4 + 1 + 255 + 2


def parse_datagram(data: bytes | memoryview) -> tuple[Endpoint, int]:
    """
    The target of a client's datagram, and the offset of its payload, which may be empty.

    Nothing of the payload is copied.  A relay that sees the same header again and again compares
    it (``data.startswith(header)``) and need not call this: equal headers mean equal targets.
    The reserved bytes are ignored, as in requests.

    :raises ProtocolError: if the datagram is to be dropped: no complete header, a fragment (which
        :rfc:`1928` allows to drop), an unknown address type, or an unusable host name.
    """
    if len(data) > 2 and data[2]:
        raise ProtocolError("fragmented socks udp packet", cause=Cause.UNSUPPORTED, at=3)
    try:
        found = parse_address(data, 3)
    except AddressError as error:
        raise ProtocolError(error.text, cause=error.cause, at=3 + error.at) from None
    if found is None:
        raise ProtocolError("socks udp packet is too short for its header", at=len(data))
    return found


def build_header(source: Endpoint) -> bytes:
    """
    The header of a datagram: to a client with its source, to an upstream proxy with its target.

    :raises ValueError: if a host name cannot be written.
    """
    return b"\x00\x00\x00" + build_address(source)
