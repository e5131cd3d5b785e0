"""
The end of a client whose login turned out wrong only when its request was judged.

Where several kinds of password could be meant, the socks rules decide which it is.  The client has
left Twisted's transport by then, but must wait for its answer like everybody who guesses.
"""

from __future__ import annotations

import math
import socket
from typing import TYPE_CHECKING, Final

from dantetw.net.poller import IPoller
from dantetw.values import Cause, Ending, Phase, ReplyCode, Side

if TYPE_CHECKING:
    from dantetw.session.session import Session

#: Seconds between a wrong login and its answer, so that guessing takes time.
LOGIN_PENALTY: Final = 2.0

#: Bytes of a client's that are taken from the kernel and dropped at a refusal.
UNREAD: Final = 65536


class Parting:
    """The socket of a client whose session is over, with what is needed of a transport."""

    def __init__(self, sock: socket.SocketType, poller: IPoller) -> None:
        self._sock = sock
        self._poller = poller
        poller.hand_over(sock.fileno(), lambda mask: None)

    def write(self, data: bytes) -> None:
        """Send what the kernel takes."""
        try:
            self._sock.send(data)
            # Bytes left unread would make ``close`` send a reset that overtakes the answer.
            self._sock.recv(UNREAD)
        except OSError:
            pass  # the client has gone, or sent nothing more

    def loseConnection(self) -> None:  # noqa: N802 - as of Twisted's transports
        """Close."""
        if self._sock.fileno() >= 0:
            self._poller.forget(self._sock.fileno())
            self._sock.close()


def answer_delay(since: float, now: float) -> float:
    """
    How long to wait with the answer to a wrong login.

    The answer comes a fixed time after the login, :data:`LOGIN_PENALTY` or a multiple of it where
    the check took longer.  Counted from the end of the check it would come the later the longer
    that took, which differs between a user and no user, or between users.

    :param since: when the login came in; ``now``: when the check ended; monotonic seconds.
    :returns: seconds from ``now``.
    """
    took = max(0.0, now - since)
    return max(1, math.ceil(took / LOGIN_PENALTY)) * LOGIN_PENALTY - took


def refuse_late(session: Session, text: str) -> None:
    """Record at once that a login was wrong, and answer the request later."""
    record = session.record
    request, sock, server = record.request, session.sock, session.server
    if request is None or sock is None:
        return  # gone meanwhile
    session.sock = None
    session.end(Ending(Side.RULE, Phase.AUTHORISE, Cause.BLOCKED, text=text))
    answer = request.dialect.reply(ReplyCode.NOT_ALLOWED, request.target)
    delay = answer_delay(record.requested_at, server.monotonic())
    server.punish(Parting(sock, server.poller), answer, delay)
