"""
The processes that use the privileged helper, and the share of it that each of them has.

A worker is known by the door that it has made when it began (:mod:`.requests`).  What it starts
later, when an attacker may have taken it over, has the same door and no share of its own.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from threading import BoundedSemaphore
from typing import Final

#: Channels of one process: it needs one for each thread that asks, five at most.
MOST_CHANNELS: Final = 16
#: Wrong passwords that one process may try without a pause, and each second from then on.
WRONG_BURST: Final = 200
WRONG_PER_SECOND: Final = 10.0
#: Processes for PAM that one process may have started at once, and each second from then on.
PAM_BURST: Final = 16
PAM_PER_SECOND: Final = 1.0

_CREDENTIALS: Final = struct.Struct("3i")
# Linux's number (``asm-generic/socket.h``): PyPy has no name for it.
_SO_PEERCRED: Final = 17


def peer_of(sock: socket.socket) -> tuple[int, int]:
    """
    Process and user at the other end of a Unix socket; process 0 if it is not in our namespace.

    :raises OSError: if the kernel does not say.
    """
    option = getattr(socket, "SO_PEERCRED", _SO_PEERCRED)
    data = sock.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(data)
    return pid, uid


class Bucket:
    """
    How often something may be done: so many times, and then so often a second.

    :param clock: returns seconds.
    """

    def __init__(self, burst: int, per_second: float, clock: Callable[[], float]) -> None:
        self._burst = burst
        self._per_second = per_second
        self._clock = clock
        self._left = float(burst)
        self._at = clock()

    def _fill(self) -> None:
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now

    def wait(self) -> float:
        """Seconds until it may be done; 0: now."""
        self._fill()
        return max(0.0, (1.0 - self._left) / self._per_second)

    def take(self) -> None:
        """It has been done."""
        self._fill()
        self._left -= 1.0


class Peer:
    """
    A process of the server that makes requests, with those it has started.

    :param is_server: it is the supervisor process.
    :param clock: returns seconds.
    :ivar wrong: how often it may try wrong passwords; ``pam``: start processes for PAM.
    """

    def __init__(self, is_server: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_server = is_server
        self.wrong = Bucket(WRONG_BURST, WRONG_PER_SECOND, clock)
        self.pam = Bucket(PAM_BURST, PAM_PER_SECOND, clock)
        self.channels = BoundedSemaphore(MOST_CHANNELS)


def name_of(sock: socket.socket) -> str:
    """Which process has made a socket, for people."""
    try:
        pid, _ = peer_of(sock)
    except OSError:
        pid = 0
    return f"process {pid}" if pid > 0 else "some process"
