"""
Twisted's side of a session: a thin Protocol, and the Factory that makes sessions.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet import error
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from dantetw.net.transports import ClientTransport, SocketLost
from dantetw.plan.case import Case
from dantetw.plan.outcome import Plan
from dantetw.session.clientsession import ClientSession
from dantetw.session.services import SessionServices
from dantetw.session.session import Session
from dantetw.values import Endpoint

#: A command of :mod:`dantetw.session.commands`.
Perform = Callable[[Session, Case, Plan], None]

_DONE = Failure(error.ConnectionDone())


class SocksProtocol(Protocol):
    """A client that negotiates: its bytes go to its session, which takes the socket in the end."""

    session: ClientSession | None = None

    def __init__(self, server: SocksFactory) -> None:
        self._server = server

    def connectionMade(self) -> None:
        transport = self.transport
        assert isinstance(transport, ClientTransport)
        self.session = self._server.arrived(transport)

    def dataReceived(self, data: bytes) -> None:
        if self.session is not None:
            self.session.received(data)

    def connectionLost(self, reason: Failure = _DONE) -> None:
        session, self.session = self.session, None
        if session is not None:
            lost = reason.value
            session.lost(lost if isinstance(lost, SocketLost) else None)


class SocksFactory(SessionServices, Factory):
    """
    Makes the sessions of a process, which share it.

    :ivar sessions: all that are alive, by number, and so in order of arrival.
    """

    noisy = False
    sessions: dict[int, ClientSession]

    def buildProtocol(self, addr: IAddress | None) -> SocksProtocol:
        return SocksProtocol(self)

    def arrived(self, transport: ClientTransport) -> ClientSession:
        """Begin the session of a client that has just been accepted."""
        self.charging.open(self.accounts)
        session = ClientSession(
            self, self.next_number(), Endpoint.of(transport.peer), transport.local
        )
        session.begin(transport)
        if not session.ended:
            for began in self.subscribers.began:
                began(session)
        return session

    def stop(self) -> None:
        """End all sessions."""
        for session in tuple(self.sessions.values()):
            session.stop()
        self.delayed_closes.stop()
