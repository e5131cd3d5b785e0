"""
The connection of a client that has an association: nothing is said on it, but it ends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dantetw.escaping import escape
from dantetw.session.dropping import Drops
from dantetw.values import Cause, Ending, Operation, Phase, Severity, Side

if TYPE_CHECKING:
    from dantetw.session.session import Session

#: Bytes that are read in one turn.
_READ: Final = 4096
#: Bytes that are shown of what a client says.
_SHOWN: Final = 256


class Control:
    """
    Listens to the client.

    :param drops: say how often something may be told.
    """

    __slots__ = ("_drops", "_session")

    def __init__(self, session: Session, drops: Drops) -> None:
        self._session = session
        self._drops = drops

    def begin(self) -> None:
        """Begin, with what has come already."""
        session = self._session
        poller, sock = session.server.poller, session.sock
        assert sock is not None
        poller.resume(sock.fileno())
        poller.hand_over(sock.fileno(), self._ready)
        early, session.leftover = session.leftover, b""
        if early:
            self._babbled(early)
        self._listen()

    def _ready(self, mask: int) -> None:
        self._listen()

    def _listen(self) -> None:
        session = self._session
        if session.sock is None or session.ended:
            return
        try:
            data = session.sock.recv(_READ)
        except BlockingIOError:
            return
        except OSError as failed:
            number, operation = failed.errno or 0, Operation.RECEIVE
            session.end(Ending(Side.CLIENT, Phase.RELAY, Cause.ERROR, number, operation=operation))
            return
        if not data:
            session.end(Ending(Side.CLIENT, Phase.RELAY, Cause.CLOSED))
            return
        self._babbled(data)
        # Others have their turn before there is more of this.
        session.server.poller.again(self._listen)

    def _babbled(self, data: bytes) -> None:
        """The client has said something where there is nothing to be said."""
        session = self._session
        if not self._drops.may_tell(None):
            return
        shown = escape(data[:_SHOWN]) + ("..." if len(data) > _SHOWN else "")
        text = (
            f"run_io(): {len(data)} unexpected bytes over control connection from client"
            f" {session.client}: {shown}"
        )
        named = (("client", session.client.host),)
        session.server.journal.message(Severity.NOTICE, "association.bytes", text, named=named)
