"""
The control connection of a client that has an association: when it ends, so does the association.
"""

from __future__ import annotations

from typing import Final

from dantetw.escaping import escape
from dantetw.session.drops import LogRate
from dantetw.session.session import Session
from dantetw.values import Cause, Ending, Operation, Phase, Severity, Side

#: Bytes to read at a time.
_READ: Final = 4096
#: Bytes of unexpected data that are logged.
_SHOWN: Final = 256


class Control:
    """Waits for the end of the connection, and logs what the client sends before it."""

    __slots__ = ("_queued", "_rate", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rate = LogRate()
        self._queued = False

    def begin(self) -> None:
        """Begin, with what the client has sent already."""
        session = self._session
        poller, sock = session.server.poller, session.sock
        assert sock is not None
        poller.resume(sock.fileno())
        poller.hand_over(sock.fileno(), self._ready)
        early, session.leftover = session.leftover, b""
        if early:
            self._unexpected(early)
        self._listen()

    def close(self) -> None:
        """Log what has not been logged."""
        if self._rate.suppressed:
            self._log(f"{self._rate.take_suppressed()} more times unexpected bytes")

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
            session.end(session.client_ending(failed.errno or 0, Operation.RECEIVE))
            return
        if not data:
            session.end(Ending(Side.CLIENT, Phase.RELAY, Cause.CLOSED))
            return
        self._unexpected(data)
        # Serve other sockets before reading more.
        self._queued = True
        session.server.poller.again(self._listen)

    def _unexpected(self, data: bytes) -> None:
        """The client has sent something, where the protocol has nothing to send."""
        if self._rate.allows(self._session.server.monotonic()):
            shown = escape(data[:_SHOWN]) + ("..." if len(data) > _SHOWN else "")
            self._log(f"{len(data)} unexpected bytes", shown, self._rate.take_suppressed())

    def _log(self, what: str, shown: str = "", more: int = 0) -> None:
        client = self._session.record.client
        text = f"run_io(): {what} over control connection from client {client}"
        if shown:
            text = f"{text}: {shown}"
        if more:
            text = f"{text}; {more} more like it since this was last told"
        # The bytes may be private, as what is relayed may be.
        named = (("client", client.host), ("data", shown))
        journal = self._session.server.journal
        journal.message(Severity.NOTICE, "association.bytes", text, named=named)
