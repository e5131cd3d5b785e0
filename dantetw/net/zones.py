"""
Zones: the links that link-local IPv6 addresses belong to (:rfc:`4007`).

``fe80::1%eth1`` is an address and a zone.  The C library's functions keep the zone apart, as the
number of its interface; here it stays in the text of the host, by the interface's name, so that
an :class:`~dantetw.values.Endpoint` is all that must be passed on.  Rules and Dante's lines know
the address alone.

Only link-local addresses keep a zone: for others the C library accepts any number (``::%1``), and
the address that rules judge must be the one connected to.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from dantetw.addresses import is_link_local, zone_of
from dantetw.values import AF_OF, Endpoint, Family


def endpoint_of(sockaddr: tuple[Any, ...]) -> Endpoint:
    """As :meth:`dantetw.values.Endpoint.of`, with the zone of a link-local address in the host."""
    endpoint = Endpoint.of(sockaddr)
    if endpoint.family is Family.IPV6 and len(sockaddr) > 3 and sockaddr[3]:
        host = endpoint.host
        if "%" not in host and is_link_local(host):
            return Endpoint(f"{host}%{_name(sockaddr[3])}", endpoint.port, Family.IPV6)
    return endpoint


def sockaddr_of(host: str, port: int) -> tuple[Any, ...]:
    """
    The kernel's form of an address.

    :param host: numeric, perhaps with a zone.
    :raises OSError: there is no such zone, ``ENODEV``.
    """
    address, _, zone = host.partition("%")
    return (address, port, 0, _number(zone)) if zone else (address, port)


def on_link_of(host: str, sock: socket.SocketType) -> str:
    """
    A link-local address of either end of a client's connection, with the zone of that connection.

    :param sock: the connection.  Any other host stays as it is.
    """
    if "%" in host or not is_link_local(host):
        return host
    zone = zone_of(endpoint_of(sock.getsockname()).host)
    return f"{host}%{zone}" if zone else host


def kernel_choice(target: Endpoint) -> str:
    """
    The address the kernel would connect from, found by connecting a UDP socket, which sends
    nothing.

    :raises OSError: if there is no route.
    """
    with socket.socket(AF_OF[target.family], socket.SOCK_DGRAM) as probe:
        probe.connect(sockaddr_of(target.host, target.port or 1))
        return endpoint_of(probe.getsockname()).host


def _name(number: int) -> str:
    try:
        return socket.if_indextoname(number)
    except OSError:
        return str(number)


def _number(zone: str) -> int:
    try:
        return socket.if_nametoindex(zone)
    except (OSError, ValueError):
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from None
