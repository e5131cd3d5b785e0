"""The lengths of a socket's queues in the kernel, found without reading or sending."""

from __future__ import annotations

import fcntl
import socket
import sys
import termios
from typing import Final

_ROOM: Final = bytes(4)


def unread(sock: socket.SocketType) -> int | None:
    """Bytes received and not yet read (``FIONREAD``); None: unknown to the system."""
    return _ask(sock, termios.FIONREAD)


def unsent(sock: socket.SocketType) -> int | None:
    """
    Bytes written and not yet acknowledged by the peer (``SIOCOUTQ``, ``tcp(7)``); None: unknown to
    the system.
    """
    return _ask(sock, termios.TIOCOUTQ)


def _ask(sock: socket.SocketType, request: int) -> int | None:
    try:
        return int.from_bytes(fcntl.ioctl(sock, request, _ROOM), sys.byteorder)
    except (OSError, ValueError):
        return None
