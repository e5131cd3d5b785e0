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

#: Bytes of a client's that are taken from the kernel and dropped at a refusal.
UNREAD_BYTES: Final = 65536


def answer_delay(since: float, now: float) -> float:
    """
    How long to wait with the answer to a failed login.

    The answer comes a fixed time after the login, :data:`FAILED_LOGIN_DELAY_SECONDS` or a multiple
    of it where the check took longer.  Counted from the end of the check it would come the later
    the longer that took, which differs between a user and no user, or between users.

    :param since: when the login came in; ``now``: when the check ended; monotonic seconds.
    :returns: seconds from ``now``.
    """
    took = max(0.0, now - since)
    delay = FAILED_LOGIN_DELAY_SECONDS
    return max(1, math.ceil(took / delay)) * delay - took


class IClosing(Protocol):
    """A connection as far as closing it goes: one of Twisted's transports, for example."""

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
    The connections of a process that wait to be closed, their sessions being over.

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
