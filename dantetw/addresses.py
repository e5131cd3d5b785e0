"""
Numeric addresses: as numbers, with and without a zone, and names that the C library takes for them.
"""

from __future__ import annotations

import re
import socket
from functools import lru_cache
from typing import Final

from dantetw.values import AF_OF, FAMILY_IPV4, FAMILY_IPV6, FAMILY_NAME, Endpoint, Family

# Looking a member of an Enum up in its class takes longer than comparing it.
_AF_IPV4: Final = AF_OF[Family.IPV4]
_AF_IPV6: Final = AF_OF[Family.IPV6]

_MAPPED_PREFIX: Final = 0xFFFF  # of the upper 96 bits of ::ffff:0:0/96

# What inet_aton(3) might take: digits, hex digits and dots, beginning with a digit.
_PERHAPS_NUMBER: Final = re.compile(r"[0-9][0-9A-Fa-fxX.]*")


@lru_cache(maxsize=4096)
def number_of(address: str) -> tuple[Family, int]:
    """
    The family and the number of a numeric address.

    A zone (``%eth0``) is left out, a mapped IPv4 address becomes IPv4.

    :returns: ``(Family.NAME, 0)`` for anything that is not an address.
    """
    try:
        if ":" not in address:
            return FAMILY_IPV4, int.from_bytes(socket.inet_pton(_AF_IPV4, address), "big")
        if "%" in address:
            address = address.partition("%")[0]
        number = int.from_bytes(socket.inet_pton(_AF_IPV6, address), "big")
    except (OSError, ValueError):  # ValueError: NUL bytes, lone surrogates
        return FAMILY_NAME, 0
    if number >> 32 == _MAPPED_PREFIX:
        return FAMILY_IPV4, number & 0xFFFFFFFF
    return FAMILY_IPV6, number


def literal(name: str) -> str | None:
    """
    The address that the C library takes a host name for, in canonical form.

    ``getaddrinfo`` reads names with ``inet_aton`` before it asks any server: ``127.1``,
    ``0x7f.0.0.1``, ``017700000001`` and ``2130706433`` are all 127.0.0.1.

    :returns: None for a real name, and for an address with a zone (``fe80::1%eth0``), which only
        the kernel can read.
    """
    if _PERHAPS_NUMBER.fullmatch(name):
        try:
            return socket.inet_ntop(_AF_IPV4, socket.inet_aton(name))
        except OSError:
            return None
    if ":" in name and "%" not in name:
        family, number = number_of(name)
        if family is FAMILY_IPV4:
            return socket.inet_ntop(_AF_IPV4, number.to_bytes(4, "big"))
        if family is FAMILY_IPV6:
            return socket.inet_ntop(_AF_IPV6, number.to_bytes(16, "big"))
    return None


def literal_endpoint(endpoint: Endpoint) -> Endpoint:
    """The endpoint, with the address in place of a number in disguise or a mapped address."""
    host, family = endpoint.host, endpoint.family
    if family is FAMILY_IPV4 or (family is FAMILY_IPV6 and not host.lower().startswith("::ffff:")):
        return endpoint
    address = literal(host)
    if address is None:
        return endpoint
    return Endpoint(address, endpoint.port, FAMILY_IPV6 if ":" in address else FAMILY_IPV4)


#: How link-local addresses begin in canonical form: fe80::/10, and multicast of that scope.
_LINK_LOCAL: Final = ("fe8", "fe9", "fea", "feb", "ff02:", "ff12:", "ff32:")


def is_link_local(host: str) -> bool:
    """Whether a numeric address in canonical form means nothing without a zone."""
    return host.startswith(_LINK_LOCAL)


def zone_of(host: str) -> str:
    """The zone in the text of a host; empty: there is none."""
    return host.partition("%")[2]


def without_zone(host: str) -> str:
    """The address alone."""
    return host.partition("%")[0]
