"""
A port of ours that waits for who connects to it, and a client that has been told of it.
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
from dantetw.session.commands.relaying import Relaying
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


class Waiting(Relaying):
    """
    A BIND: the port, until somebody has come.

    :ivar backlog: how many may come before they are accepted.

    :param rule: that of the request.
    :param awaited: the port, which does not listen yet.
    """

    __slots__ = ("_awaited", "_unaccepted")

    command = Command.BINDREPLY
    backlog: ClassVar[int] = 1

    def __init__(self, session: Session, rule: Rule, awaited: PeerPort) -> None:
        super().__init__(session, rule)
        self._awaited = awaited
        self._unaccepted = False

    def wait(self) -> None:
        """Let the peer come, and tell the client where to."""
        session, rule, awaited = self._session, self._rule, self._awaited
        record = session.record
        server, client = session.server, session.sock
        assert client is not None
        options = rule.socket_options
        try:
            awaited.listen(server.poller, self._comes, options, self.backlog)
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
        record.connecting_at = session.since = server.monotonic()
        session.advanced()
        unanswered = session.grant(awaited.bound, "sending response to client failed")
        if unanswered is not None:
            session.end(unanswered)
            return
        if rule.log & LOG_CONNECT:
            server.journal.record(
                Connected(record.number, rule, session.record.path, command=Command.BIND)
            )
        server.poller.resume(client.fileno())
        server.poller.hand_over(client.fileno(), self._client_stirs)
        if session.hints & ~WRITABLE:
            self._client_stirs(session.hints)

    def _client_stirs(self, mask: int) -> None:
        """The client has said something, or gone."""
        raise NotImplementedError

    def _client_failed(self, number: int, operation: Operation, text: str) -> None:
        self._session.end(self._session.client_ending(number, operation, text))

    def _comes(self, mask: int) -> None:
        """Somebody has come."""
        raise NotImplementedError

    def _about(self, peer: Endpoint) -> Question:
        """What the socks rules are asked about somebody who has come."""
        session = self._session
        record = session.record
        assert record.request is not None
        return Question(
            source=peer,
            target=record.client,
            command=Command.BINDREPLY,
            proxy_protocol=record.request.proxy_protocol,
        )

    def _cannot_accept(self, failed: OSError) -> None:
        """No descriptors are left, or the peer is in trouble: it may come again."""
        log_unaccepted(self._session, self._awaited.bound, failed.errno or 0)
        self._awaited.pause()
        self._unaccepted = True
