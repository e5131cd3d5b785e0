"""
The connection of a client that has an association: nothing is said on it, but it ends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dantetw.escaping import escape
from dantetw.session.dropping import Pace
from dantetw.values import Cause, Ending, Operation, Phase, Severity, Side

if TYPE_CHECKING:
    from dantetw.session.session import Session

#: Bytes that are read in one turn.
_READ: Final = 4096
#: Bytes that are shown of what a client says.
_SHOWN: Final = 256


class Control:
    """Listens to the client."""

    __slots__ = ("_pace", "_queued", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pace = Pace()
        self._queued = False

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

    def close(self) -> None:
        """Tell what has not been told."""
        if self._pace.more:
            self._tell(f"{self._pace.taken()} more times unexpected bytes")

    def _ready(self, mask: int) -> None:
        if not self._queued:
            self._listen()

    def _listen(self) -> None:
        self._queued = False
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
        self._queued = True
        session.server.poller.again(self._listen)

    def _babbled(self, data: bytes) -> None:
        """The client has said something where there is nothing to be said."""
        if self._pace.allows(self._session.server.monotonic()):
            shown = escape(data[:_SHOWN]) + ("..." if len(data) > _SHOWN else "")
            self._tell(f"{len(data)} unexpected bytes", shown, self._pace.taken())

    def _tell(self, what: str, shown: str = "", more: int = 0) -> None:
        client = self._session.record.client
        text = f"run_io(): {what} over control connection from client {client}"
        if shown:
            text = f"{text}: {shown}"
        if more:
            text = f"{text}; {more} more like it since this was last told"
        # What was said may be anything, as what is relayed may be.
        named = (("client", client.host), ("data", shown))
        journal = self._session.server.journal
        journal.message(Severity.NOTICE, "association.bytes", text, named=named)
