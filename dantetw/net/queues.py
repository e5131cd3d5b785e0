"""How much waits in the kernel's queues of a socket; nothing is read or sent to find out."""

from __future__ import annotations

import fcntl
import socket
import sys
import termios
from typing import Final

_ROOM: Final = bytes(4)


def unread(sock: socket.SocketType) -> int | None:
    """Bytes that have come and are not read (``FIONREAD``); None: the system cannot tell."""
    return _ask(sock, termios.FIONREAD)


def unsent(sock: socket.SocketType) -> int | None:
    """
    Bytes that were written and that the peer has not acknowledged (``SIOCOUTQ``, ``tcp(7)``); None:
    the system cannot tell.
    """
    return _ask(sock, termios.TIOCOUTQ)


def _ask(sock: socket.SocketType, request: int) -> int | None:
    try:
        return int.from_bytes(fcntl.ioctl(sock, request, _ROOM), sys.byteorder)
    except (OSError, ValueError):
        return None
