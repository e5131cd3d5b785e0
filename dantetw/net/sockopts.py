"""
Socket options: those that every socket gets, and those of the configuration.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable, Iterable
from errno import EACCES, EADDRINUSE, EINVAL, EPERM
from typing import Final

from dantetw.net.zones import sockaddr_of
from dantetw.policy import Edge, SocketOption

#: The first port that takes no privileges to bind.
FIRST_FREE: Final = 1024
#: Let the kernel choose the port at ``connect``, where it knows the target: many more connections
#: fit, and choosing is cheaper (``ip(7)``, since Linux 4.2; Python has no name for it).
_IP_BIND_ADDRESS_NO_PORT: Final = 24


def set_options(
    sock: socket.SocketType, options: Iterable[SocketOption], edge: Edge
) -> list[tuple[SocketOption, int]]:
    """
    Set the options of one side.

    :returns: those the system refused, with the ``errno``; the others are set.
    """
    refused = []
    for option in options:
        if option.edge is edge:
            try:
                sock.setsockopt(option.level, option.option, _value_of(option))
            except OSError as failed:
                refused.append((option, failed.errno or 0))
            except (OverflowError, TypeError, struct.error):
                refused.append((option, EINVAL))  # more than the kernel's ``int`` holds
    return refused


def _value_of(option: SocketOption) -> int | bytes:
    """The value as the kernel wants it: some options take a structure (``socket(7)``)."""
    if option.level == socket.SOL_SOCKET:
        if option.option == socket.SO_LINGER:
            return struct.pack("ii", 1, option.value)
        if option.option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            return struct.pack("ll", option.value, 0)
    return option.value


def prepare(sock: socket.SocketType, keep_alive: bool) -> None:
    """
    Set the options of every TCP socket: no delay for small writes, since we write what we have read
    and nothing is gained by waiting; urgent data inline, as with Dante, since a relay would lose
    what is read out of order; and keep-alive unless ``-n`` was given.

    Accepted sockets inherit all of these from the listening one.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    if keep_alive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


#: Binds a socket to a port below 1024, which takes privileges.
LowBinder = Callable[[socket.SocketType, tuple[str, int]], None]


def bind_wished(
    sock: socket.SocketType, address: str, port: int, low: LowBinder | None = None
) -> bool:
    """
    Bind to an address, and to a port if possible.

    :param port: the preferred port; 0: any.
    :param low: binds ports below 1024; None: these are not bound.
    :returns: whether it was bound; if not, the socket is not bound yet.
    :raises OSError: if the address cannot be bound.
    """
    bind = socket.socket.bind if port >= FIRST_FREE else low
    if not port or bind is None:
        return False
    if "%" in address:
        # The privileged helper knows no zones; such a port on such an address is never needed.
        if bind is low:
            return False
        at = sockaddr_of(address, port)
    else:
        at = (address, port)
    try:
        bind(sock, at)
        return True
    except OSError as failed:
        if failed.errno not in (EADDRINUSE, EACCES, EPERM):
            raise
    return False


def bind_source(
    sock: socket.SocketType, address: str, port: int, low: LowBinder | None = None
) -> bool:
    """
    Bind to an address to connect from, and to ``port`` if possible.

    As in Dante, the server connects from the client's port number: some protocols require that, and
    it makes the two halves of a session easy to find in a capture.

    :param port: the preferred port, as above; likewise ``low``.
    :returns: whether that port was bound; if not, the port is known when ``connect`` has been
        called.
    :raises OSError: if the address cannot be bound.
    """
    if bind_wished(sock, address, port, low):
        return True
    # The number means other things to other systems.
    if sys.platform == "linux":
        try:
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        except OSError:
            pass  # an old one: the port is chosen now
    sock.bind((address, 0) if "%" not in address else sockaddr_of(address, 0))
    return False
