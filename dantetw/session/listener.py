"""
Accepting clients.
"""

from __future__ import annotations

import errno
from typing import Any, Final

from twisted.logger import Logger

from dantetw.net.errors import symbol_of, words_of
from dantetw.net.listening import BACKLOG, ListeningSocket, Port, turn_away, waits
from dantetw.net.transports import ClientTransport
from dantetw.observe.events import AcceptFailed
from dantetw.policy import Edge
from dantetw.session.descriptors import ACCEPT_BATCH
from dantetw.session.protocol import SocksFactory
from dantetw.values import Severity

#: Seconds to wait when there are no descriptors left; clients wait in the backlog meanwhile.
ACCEPT_RETRY_SECONDS: Final = 1.0

# One client's trouble, not ours: ``accept(2)``, "Error handling", has those of the network, which
# wait on the new connection.
_CLIENT_ERRNOS: Final = frozenset(
    (
        errno.ECONNABORTED,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EINTR,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENONET,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EPERM,
        errno.EPROTO,
    )
)
_log: Final = Logger()


class Listener:
    """
    Accepts at a port.

    :param sock: one of its sockets.
    """

    def __init__(
        self, sock: ListeningSocket, port: Port, factory: SocksFactory, reactor: Any
    ) -> None:
        self._factory = factory
        self._poller = factory.poller
        self._reactor = reactor
        self._room = factory.descriptors
        self._exhausted = False
        # It is our turn soon, whoever comes meanwhile.
        self._awaits_turn = False
        self._sock = sock
        self._local = port.local
        self.endpoint = port.endpoint

    def start(self) -> None:
        """Begin to accept."""
        self._poller.watch(self._sock.fileno(), self._ready)

    def stop(self) -> None:
        """Accept no more, and close."""
        if self._sock.fileno() >= 0:
            self._poller.forget(self._sock.fileno(), shared=True)
            self._sock.close()

    def turn_away(self) -> bool:
        """Let no more clients come than are on their way; False if that cannot be done."""
        return self._sock.fileno() >= 0 and turn_away(self._sock)

    @property
    def crowded(self) -> bool:
        """Whether clients wait for whom there is no room."""
        return self._sock.fileno() >= 0 and self._room.clients() <= 0 and waits(self._sock)

    def drain(self) -> None:
        """Accept all who wait now: closing would reset their connections."""
        if self._sock.fileno() < 0:
            return
        for _ in range(BACKLOG + 1):  # one more than asked for fits in
            if not self._accept():
                return

    def _ready(self, mask: int) -> None:
        if not self._awaits_turn:
            self._accept_some()

    def _accept_some(self) -> None:
        """Accept who waits; of many, some now and the others when it is our turn again."""
        room = self._room.clients()
        for _ in range(min(ACCEPT_BATCH, room)):
            if not self._accept():
                return
        if room < ACCEPT_BATCH:
            self._await_room()
            return
        self._awaits_turn = True
        self._poller.again(self._go_on)

    def _go_on(self) -> None:
        self._awaits_turn = False
        if self._sock.fileno() >= 0:
            self._accept_some()

    def _accept(self) -> bool:
        """Accept one client; False if no more can be had now."""
        try:
            sock, peer = self._sock.accept()
        except BlockingIOError:
            self._exhausted = False  # not before nobody waits: some get in as others leave
            return False
        except OSError as failed:
            number = failed.errno or 0
            told = number != errno.EINTR and self._tell(number)
            if number in _CLIENT_ERRNOS:
                return True
            self._wait(number, told)
            return False
        factory, transport = self._factory, None
        try:
            # Our factory does not ask who it is for; making Twisted's address takes a while.
            protocol = factory.buildProtocol(None)
            transport = ClientTransport(sock, peer, factory.poller, protocol, self._local)
            protocol.makeConnection(transport)  # type: ignore[no-untyped-call]
        except Exception:
            _log.failure("Failure in accepting a client")
            if transport is None:
                sock.close()
            else:
                transport.loseConnection()
        return True

    def _await_room(self) -> None:
        """No more clients can be had than there are: let those who wait do so."""
        if not waits(self._sock):
            self._exhausted = False
            return
        if not self._exhausted:
            self._say_exhausted(errno.EMFILE, self._tell(errno.EMFILE))
        self._awaits_turn = True
        self._poller.pause(self._sock.fileno())
        self._room.wait(self._enter)

    def _enter(self) -> None:
        """There is room again: for one client at each port, then for another at the first."""
        self._awaits_turn = False
        if self._sock.fileno() >= 0:
            self._poller.resume(self._sock.fileno())
            if self._room.clients() <= 0 or self._accept():
                self._await_room()
        self._room.wake()

    def _tell(self, number: int) -> bool:
        """Tell that ``accept`` has failed; whether anybody has asked for that."""
        symbol, journal = symbol_of(number), self._factory.journal
        severity = self._factory.context.filters.severity(Edge.INTERNAL, symbol)
        if journal.wants(severity):
            journal.record(AcceptFailed(severity, Edge.INTERNAL, self.endpoint, symbol, number))
        return severity is not Severity.DEBUG

    def _wait(self, number: int, told: bool) -> None:
        """
        No descriptors or no memory are left: let clients wait.

        :param told: the operator has heard of it; otherwise say so once until nobody waits.
        """
        self._say_exhausted(number, told)
        self._awaits_turn = True
        self._poller.pause(self._sock.fileno())
        self._reactor.callLater(ACCEPT_RETRY_SECONDS, self._resume)

    def _say_exhausted(self, number: int, told: bool) -> None:
        if not self._exhausted and not told:
            text = f"could not accept a client on {self.endpoint}: {words_of(number)}"
            self._factory.journal.message(Severity.WARNING, "internal.exhausted", text)
        self._exhausted = True

    def _resume(self) -> None:
        if self._sock.fileno() >= 0:
            self._poller.resume(self._sock.fileno())
        self._go_on()
