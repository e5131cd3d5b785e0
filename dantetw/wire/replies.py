"""
Replies to requests: the same fact in the words of either version of SOCKS.
"""

from __future__ import annotations

from socket import AF_INET, inet_pton
from typing import Final

from dantetw.values import Endpoint, Family, ProxyProtocol, ReplyCode
from dantetw.wire.addresses import build_address

#: SOCKS 4: request granted, and request rejected or failed.  92 and 93 blame the ident protocol,
#: which we do not ask on a client's behalf.
GRANTED: Final = 90
REJECTED: Final = 91

_ZEROS: Final = b"\x01\x00\x00\x00\x00\x00\x00"
# Looked up once: in Python 3.11 finding a member of an Enum takes 0.2 us, and each session does.
_SUCCEEDED: Final = ReplyCode.SUCCEEDED
_SOCKS_V5: Final = ProxyProtocol.SOCKS_V5


def reply(proxy_protocol: ProxyProtocol, code: ReplyCode, bound: Endpoint) -> bytes:
    """
    The bytes of a reply to a SOCKS request.

    :param bound: our end of the way to the target, or of what we listen on; in failures, whatever
        address the reply is about.  What the version cannot express (SOCKS 4: all but IPv4;
        SOCKS 5: host names that are empty, too long or not bytes) becomes zeros: address and port,
        since a port without its host would mislead.
    """
    if proxy_protocol is _SOCKS_V5:
        try:
            address = build_address(bound)
        except ValueError:
            address = _ZEROS
        return b"\x05" + code.to_bytes(1, "big") + b"\x00" + address
    verdict = GRANTED if code == _SUCCEEDED else REJECTED
    if bound.family is not Family.IPV4:
        return bytes((0, verdict)) + bytes(6)
    port = bound.port.to_bytes(2, "big")
    return bytes((0, verdict)) + port + inet_pton(AF_INET, bound.host)
