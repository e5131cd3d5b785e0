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

#: Seconds to wait for descriptors when none are left; clients wait in the backlog meanwhile.
ACCEPT_RETRY_SECONDS: Final = 1.0

# Errors of one client, not ours: ``accept(2)``, "Error handling", lists those of the network, which
# are pending on the new connection.
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
        self._descriptors = factory.descriptors
        self._exhausted = False
        # A call that accepts is scheduled: readability needs no action meanwhile.
        self._scheduled = False
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
        """Refuse new connections, but not those in their handshake; False: impossible."""
        return self._sock.fileno() >= 0 and turn_away(self._sock)

    @property
    def crowded(self) -> bool:
        """Whether clients wait for descriptors."""
        return self._sock.fileno() >= 0 and self._descriptors.clients() <= 0 and waits(self._sock)

    def drain(self) -> None:
        """Accept all queued clients: closing would reset their connections."""
        if self._sock.fileno() < 0:
            return
        for _ in range(BACKLOG + 1):  # one more than asked for fits in
            if not self._accept():
                return

    def _ready(self, mask: int) -> None:
        if not self._scheduled:
            self._accept_some()

    def _accept_some(self) -> None:
        """Accept queued clients; of many, some now and the others in the next iteration."""
        room = self._descriptors.clients()
        for _ in range(min(ACCEPT_BATCH, room)):
            if not self._accept():
                return
        if room < ACCEPT_BATCH:
            self._await_room()
            return
        self._scheduled = True
        self._poller.again(self._go_on)

    def _go_on(self) -> None:
        self._scheduled = False
        if self._sock.fileno() >= 0:
            self._accept_some()

    def _accept(self) -> bool:
        """Accept one client; False if no more can be accepted now."""
        try:
            sock, peer = self._sock.accept()
        except BlockingIOError:
            self._exhausted = False  # not as long as clients wait: some get in as others leave
            return False
        except OSError as failed:
            number = failed.errno or 0
            logged = number != errno.EINTR and self._log_failure(number)
            if number in _CLIENT_ERRNOS:
                return True
            self._wait(number, logged)
            return False
        factory, transport = self._factory, None
        try:
            # Our factory does not look at the address, which takes a while to make.
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
        """There are no descriptors for more clients: let them wait."""
        if not waits(self._sock):
            self._exhausted = False
            return
        if not self._exhausted:
            self._warn_exhausted(errno.EMFILE, self._log_failure(errno.EMFILE))
        self._scheduled = True
        self._poller.pause(self._sock.fileno())
        self._descriptors.wait(self._enter)

    def _enter(self) -> None:
        """There are descriptors again: accept a client at each port, then another at the first."""
        self._scheduled = False
        if self._sock.fileno() >= 0:
            self._poller.resume(self._sock.fileno())
            if self._descriptors.clients() <= 0 or self._accept():
                self._await_room()
        self._descriptors.wake()

    def _log_failure(self, number: int) -> bool:
        """Log that ``accept`` has failed; whether the configuration asks for that."""
        symbol, journal = symbol_of(number), self._factory.journal
        severity = self._factory.context.filters.severity(Edge.INTERNAL, symbol)
        if journal.wants(severity):
            journal.record(AcceptFailed(severity, Edge.INTERNAL, self.endpoint, symbol, number))
        return severity is not Severity.DEBUG

    def _wait(self, number: int, logged: bool) -> None:
        """
        No descriptors or no memory are left: let clients wait.

        :param logged: the failure has been logged; otherwise warn, once until no client waits.
        """
        self._warn_exhausted(number, logged)
        self._scheduled = True
        self._poller.pause(self._sock.fileno())
        self._reactor.callLater(ACCEPT_RETRY_SECONDS, self._resume)

    def _warn_exhausted(self, number: int, logged: bool) -> None:
        if not self._exhausted and not logged:
            text = f"could not accept a client on {self.endpoint}: {words_of(number)}"
            self._factory.journal.message(Severity.WARNING, "internal.exhausted", text)
        self._exhausted = True

    def _resume(self) -> None:
        if self._sock.fileno() >= 0:
            self._poller.resume(self._sock.fileno())
        self._go_on()
