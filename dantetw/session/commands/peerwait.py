"""
A BIND that waits for peers: the listening port and the client.
"""

from __future__ import annotations

from typing import ClassVar

from dantetw.net.errors import reply_of, words_of
from dantetw.net.peerport import PeerPort
from dantetw.net.poller import WRITABLE
from dantetw.observe.events import Connected
from dantetw.policy import Rule
from dantetw.rules.decision import Question
from dantetw.session import tracing
from dantetw.session.commands.relaycommand import RelayCommand
from dantetw.session.failures import log_unaccepted
from dantetw.session.session import Session
from dantetw.values import (
    LOG_CONNECT,
    NOWHERE,
    Cause,
    Command,
    Ending,
    Endpoint,
    Operation,
    Phase,
    Side,
)


class PeerWait(RelayCommand):
    """
    A BIND until a peer has connected.

    :ivar backlog: how many peers may connect before they are accepted.

    :param rule: that of the request.
    :param awaited: the port, which does not listen yet.
    """

    __slots__ = ("_accept_again", "_awaited")

    command = Command.BINDREPLY
    backlog: ClassVar[int] = 1

    def __init__(self, session: Session, rule: Rule, awaited: PeerPort) -> None:
        super().__init__(session, rule)
        self._awaited = awaited
        self._accept_again = False

    def wait(self) -> None:
        """Listen, and reply with the address of the port."""
        session, rule, awaited = self._session, self._rule, self._awaited
        record = session.record
        server, client = session.server, session.sock
        assert client is not None
        options = rule.socket_options
        try:
            awaited.listen(server.poller, self._peer_ready, options, self.backlog)
        except OSError as failed:
            number = failed.errno or 0
            text = f"listen(2) on bindreply socket failed: {words_of(number)}"
            ending = Ending(Side.US, Phase.CONNECT, Cause.ERROR, number, text)
            session.refuse(ending, reply_of(number), NOWHERE)
            return
        server.report_refused(awaited.refused)
        if options:
            server.set_options(client, options)
        if server.journal.debug:
            tracing.step(session, f"waits on {record.source} for a peer")
        now = session.since = server.monotonic()
        record.begin_connecting(now)
        session.advanced()
        unanswered = session.grant(awaited.bound, "sending response to client failed")
        if unanswered is not None:
            self._end(unanswered)
            return
        if rule.log & LOG_CONNECT:
            server.journal.record(
                Connected(record.number, rule, session.record.path, command=Command.BIND)
            )
        server.poller.resume(client.fileno())
        server.poller.hand_over(client.fileno(), self._client_ready)
        if session.hints & ~WRITABLE:
            self._client_ready(session.hints)

    def _client_ready(self, mask: int) -> None:
        """The client has sent something, or closed its connection."""
        raise NotImplementedError

    def _receive(self, size: int) -> bool:
        """
        Read from the client while it waits, and keep what it has sent.

        :param size: bytes to read at most.
        :returns: whether there was anything; the session may have ended otherwise.
        """
        session = self._session
        assert session.sock is not None
        try:
            data = session.sock.recv(size)
        except BlockingIOError:
            return False
        except OSError as failed:
            number = failed.errno or 0
            text = f"receiving request from client failed ({words_of(number)})"
            self._client_failed(number, Operation.RECEIVE, text)
            return False
        if not data:
            self._client_closed()
            return False
        session.leftover += data
        return True

    def _client_closed(self) -> None:
        # Even if only this direction has ended: a client that has gone looks the same.
        self._end(Ending(Side.CLIENT, Phase.CONNECT, Cause.CLOSED))

    def _client_failed(self, number: int, operation: Operation, text: str) -> None:
        self._end(self._session.client_ending(number, operation, text))

    def _end(self, ending: Ending) -> None:
        self._session.end(ending)

    def _peer_ready(self, mask: int) -> None:
        """A peer has connected."""
        raise NotImplementedError

    def _question_about(self, peer: Endpoint) -> Question:
        """What the socks rules are asked about a peer."""
        session = self._session
        record = session.record
        assert record.request is not None
        return Question(
            source=peer,
            target=record.client,
            command=Command.BINDREPLY,
            proxy_protocol=record.request.proxy_protocol,
        )

    def _accept_failed(self, failed: OSError) -> None:
        """Try again later: no descriptors are left, or the connection failed."""
        log_unaccepted(self._session, self._awaited.bound, failed.errno or 0)
        self._awaited.pause()
        self._accept_again = True
