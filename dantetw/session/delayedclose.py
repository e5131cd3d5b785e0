"""
Connections that are closed after a delay: a failed login is answered late, so that guessing takes
time.
"""

from __future__ import annotations

import math
import socket
from typing import Any, Final, Protocol

from dantetw.net.poller import IPoller

#: Seconds between a failed login and its answer.
FAILED_LOGIN_DELAY_SECONDS: Final = 2.0

#: Bytes of a refused client to read from the kernel and drop.
UNREAD_BYTES: Final = 65536


def answer_delay(since: float, now: float) -> float:
    """
    The delay before the answer to a failed login.

    The answer comes a fixed time after the login, :data:`FAILED_LOGIN_DELAY_SECONDS` or a multiple
    of it where the check took longer.  A delay counted from the end of the check would show how
    long the check took, and so whether the user exists.

    :param since: when the login arrived; ``now``: when the check ended; monotonic seconds.
    :returns: seconds from ``now``.
    """
    took = max(0.0, now - since)
    delay = FAILED_LOGIN_DELAY_SECONDS
    return max(1, math.ceil(took / delay)) * delay - took


class IClosing(Protocol):
    """A connection that can be written to and closed, such as one of Twisted's transports."""

    def write(self, data: bytes) -> object:
        """Send."""

    def loseConnection(self) -> object:  # noqa: N802 - as of Twisted's transports
        """Close."""


class ClosingSocket:
    """The socket of a client whose session is over."""

    def __init__(self, sock: socket.SocketType, poller: IPoller) -> None:
        self._sock = sock
        self._poller = poller
        poller.hand_over(sock.fileno(), lambda mask: None)

    def write(self, data: bytes) -> None:
        """Send what the kernel takes."""
        try:
            self._sock.send(data)
            # Bytes left unread would make ``close`` send a reset that overtakes the answer.
            self._sock.recv(UNREAD_BYTES)
        except OSError:
            pass  # the client has gone, or sent nothing more

    def loseConnection(self) -> None:  # noqa: N802 - as of Twisted's transports
        """Close."""
        if self._sock.fileno() >= 0:
            self._poller.forget(self._sock.fileno())
            self._sock.close()


class DelayedCloses:
    """
    The connections of a process that wait to be closed after their sessions have ended.

    :param reactor: a Twisted clock.
    :ivar pending: those connections.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.pending: set[IClosing] = set()

    def add(self, connection: IClosing, answer: bytes, seconds: float) -> None:
        """Answer and close a connection in so many seconds."""
        self.pending.add(connection)
        self._reactor.callLater(seconds, self._close, connection, answer)

    def _close(self, connection: IClosing, answer: bytes) -> None:
        self.pending.discard(connection)
        connection.write(answer)
        connection.loseConnection()

    def stop(self) -> None:
        """Close all now, unanswered."""
        for connection in tuple(self.pending):
            connection.loseConnection()
