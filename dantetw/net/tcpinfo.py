"""The kernel's information on a TCP connection, ``struct tcp_info``, for ``log: tcpinfo``."""

from __future__ import annotations

import socket
from typing import Final

# Room for the members up to tcpi_total_retrans, which is all that is shown.
_SIZE: Final = 104


def read(connection: socket.SocketType | None) -> bytes:
    """
    The raw ``struct tcp_info`` of a connection, for
    :func:`dantetw.observe.formats.tcpinfo.block`.

    Never raises: without a socket, after its close, for another protocol, on another system it
    returns ``b""``.
    """
    if connection is None:
        return b""
    try:
        return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    except (OSError, AttributeError):
        return b""
