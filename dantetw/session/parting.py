"""
The end of a client whose login turned out wrong only when its request was judged.

Where several kinds of password could be meant, the socks rules decide which it is.  The client has
left Twisted's transport by then, but must wait for its answer like everybody who guesses.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from dantetw.net.poller import IPoller
from dantetw.values import Cause, Ending, Phase, Side
from dantetw.wire.replies import ReplyCode, reply

if TYPE_CHECKING:
    from dantetw.session.session import Session

#: Seconds between a wrong password and its answer, so that guessing takes time.
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


def refuse_late(session: Session, text: str) -> None:
    """Record at once that a login was wrong, and answer the request later."""
    request, sock, server = session.request, session.sock, session.server
    if request is None or sock is None:
        return  # gone meanwhile
    session.sock = None
    session.end(Ending(Side.RULE, Phase.AUTHORISE, Cause.BLOCKED, text=text))
    answer = reply(request.proxy_protocol, ReplyCode.NOT_ALLOWED, request.target)
    server.punish(Parting(sock, server.poller), answer, LOGIN_PENALTY)
