"""
Closes listeners without resetting connections.

The kernel queues clients that have connected, and others are in their handshake; closing the socket
would reset both.  So new connections are refused first, handshakes get :data:`HANDSHAKE_SECONDS` to
complete, and all clients that have connected are accepted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from dantetw.session.listener import Listener

#: Seconds to allow for a handshake, from the first packet to the third.
HANDSHAKE_SECONDS: Final = 1.0
#: Clients that cannot be accepted yet get at most so many times as long.
_MOST_LOOKS: Final = 30


class DrainingListeners:
    """Listeners that refuse new clients, and are closed when the last have been accepted."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._leaving: dict[Deferred[None], tuple[list[Listener], IDelayedCall]] = {}

    def leave(self, listeners: Iterable[Listener], grace: bool = True) -> Deferred[None]:
        """
        Close listeners; fires when all are closed.

        :param grace: wait for handshakes to complete.
        """
        over, late = Deferred[None](), []
        for listener in listeners:
            if grace and listener.turn_away():
                late.append(listener)
            else:
                # Clients in their handshake are lost.
                listener.drain()
                listener.stop()
        if late:
            self._later(over, late, _MOST_LOOKS)
        else:
            over.callback(None)
        return over

    def _later(self, over: Deferred[None], listeners: list[Listener], times: int) -> None:
        call = self._reactor.callLater(HANDSHAKE_SECONDS, self._look, over, listeners, times)
        self._leaving[over] = listeners, call

    def _look(self, over: Deferred[None], listeners: list[Listener], times: int) -> None:
        late = [each for each in listeners if times > 1 and each.crowded]
        for listener in listeners:
            if listener not in late:
                listener.drain()
                listener.stop()
        if late:
            self._later(over, late, times - 1)
        else:
            del self._leaving[over]
            over.callback(None)

    def stop(self) -> None:
        """Close all now."""
        while self._leaving:
            over, (listeners, call) = self._leaving.popitem()
            call.cancel()
            for listener in listeners:
                listener.stop()
            over.callback(None)
