"""
The ports clients come in by.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from dantetw.config.policy import Edge, SocketOption
from dantetw.net.naming import symbol_of, words_of
from dantetw.net.sockopts import prepare
from dantetw.net.transports import ClientTransport
from dantetw.observe.events import AcceptFailed
from dantetw.session.protocol import SocksFactory
from dantetw.values import AF_OF, Endpoint, Family, Severity

#: Connections the kernel keeps for us until we accept them; it takes the lower of this and
#: ``net.core.somaxconn``.
BACKLOG: Final = 4096
#: Clients accepted in one turn before others get theirs.
TURN: Final = 64
#: Seconds to wait when there are no descriptors left; clients wait in the backlog meanwhile.
PATIENCE: Final = 1.0

# Address families by the length of their kernel addresses.
_NUMBER: Final = {2: socket.AF_INET, 4: socket.AF_INET6}
# One client's trouble, not ours: ``accept(2)``, "Error handling", has those of the network, which
# wait on the new connection.
_THEIRS: Final = frozenset(
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


class _ListeningSocket(socket.socket):
    """Accepts without asking each time what family and type it is of, as the base class does."""

    def accept(self) -> tuple[socket.socket, tuple[Any, ...]]:
        descriptor, peer = self._accept()  # type: ignore[attr-defined]
        sock = socket.socket(_NUMBER[len(peer)], socket.SOCK_STREAM, 0, descriptor)
        sock.setblocking(False)
        return sock, peer


@implementer(IReadDescriptor)
class Listener:
    """
    Listens on one address, which it binds at once.

    :param options: socket options; accepted sockets inherit the ``internal`` ones among them.
    :param share: a listener of ours that shares the port (:meth:`share`) may be in the way.
    :param bind: binds a socket, with privileges if that takes some.
    :raises OSError: if the address cannot be bound.
    :ivar endpoint: where clients come in, the port being the real one.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        factory: SocksFactory,
        reactor: Any,
        options: Sequence[SocketOption] = (),
        share: bool = False,
        bind: Callable[[socket.socket, Any], None] = socket.socket.bind,
    ) -> None:
        self._factory = factory
        self._reactor = reactor
        self._exhausted = False
        self._sock = _ListeningSocket(
            AF_OF[endpoint.family], socket.SOCK_STREAM | socket.SOCK_NONBLOCK
        )
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if endpoint.family is Family.IPV6:
                # ``internal: ::`` means IPv6, as with Dante; both take two lines.
                self._sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            prepare(self._sock, factory.keep_alive)
            self.set_options(options)
            # Resolves a scope such as ``fe80::1%eth0``.
            info = socket.getaddrinfo(
                endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
            )
            self.share(share)
            bind(self._sock, info[0][4])
            self._sock.listen(BACKLOG)
            self.share(False)
        except OSError:
            self._sock.close()
            raise
        self.endpoint = Endpoint.of(self._sock.getsockname())
        # On a wildcard each connection has a local address of its own.
        self._local = None if endpoint.host in ("0.0.0.0", "::") else self.endpoint

    def set_options(self, options: Sequence[SocketOption]) -> None:
        """Set the ``internal`` ones among these for clients from now on."""
        self._factory.set_options(self._sock, options)

    def share(self, sharing: bool) -> None:
        """
        Let another listener of ours have the same port, or no longer.

        A wildcard and an address of its own cannot follow each other otherwise.  Only for as long
        as it takes: a process of the same user that sets the option too could take clients of ours.
        """
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, sharing)

    def start(self) -> None:
        """Begin to accept."""
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Accept no more, and close."""
        self._reactor.removeReader(self)
        self._sock.close()

    def fileno(self) -> int:
        return self._sock.fileno()

    def logPrefix(self) -> str:
        return "listener"

    def connectionLost(self, reason: Any) -> None:
        """Asked for by the interface; a listening socket is never lost."""

    def drain(self) -> None:
        """Accept all who wait now: closing would reset their connections."""
        for _ in range(BACKLOG + 1):  # one more than asked for fits in
            if not self._accept():
                return

    def doRead(self) -> None:
        """Accept who waits.  The reactor calls this."""
        for _ in range(TURN):
            if not self._accept():
                return

    def _accept(self) -> bool:
        """Accept one client; False if no more can be had now."""
        try:
            sock, peer = self._sock.accept()
        except BlockingIOError:
            return False
        except OSError as failed:
            number = failed.errno or 0
            told = number != errno.EINTR and self._tell(number)
            if number in _THEIRS:
                return True
            self._wait(number, told)
            return False
        self._exhausted = False
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

    def _tell(self, number: int) -> bool:
        """Tell that ``accept`` has failed; whether anybody has asked for that."""
        symbol, journal = symbol_of(number), self._factory.journal
        severity = self._factory.filters.severity(Edge.INTERNAL, symbol)
        if journal.wants(severity):
            journal.record(AcceptFailed(severity, Edge.INTERNAL, self.endpoint, symbol, number))
        return severity is not Severity.DEBUG

    def _wait(self, number: int, told: bool) -> None:
        """
        No descriptors or no memory are left: let clients wait.

        :param told: the operator has heard of it; otherwise say so once.
        """
        if not self._exhausted and not told:
            self._exhausted = True
            text = f"could not accept a client on {self.endpoint}: {words_of(number)}"
            self._factory.journal.message(Severity.WARNING, "internal.exhausted", text)
        self._reactor.removeReader(self)
        self._reactor.callLater(PATIENCE, self._resume)

    def _resume(self) -> None:
        if self._sock.fileno() >= 0:
            self._reactor.addReader(self)
