"""
A session: what it holds, what it waits for, and its one end.

Stages and commands (:mod:`.request`, :mod:`.login`, :mod:`.commands`) are given a
session and act on it.  Every end of a session, in any stage, goes through :meth:`Session.end`,
which logs the end and releases the session's resources.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from dantetw.net.errors import words_of
from dantetw.net.peerport import PeerPort
from dantetw.net.tcpinfo import read
from dantetw.net.transports import ClientTransport
from dantetw.observe.events import Ended
from dantetw.rules.addresses import Known, Lookup
from dantetw.rules.authentication import AuthCheck
from dantetw.session import tracing
from dantetw.session.activity import Activity
from dantetw.session.authentication import Authentication
from dantetw.session.delayedclose import UNREAD_BYTES
from dantetw.session.failures import log_ending, log_unresolved
from dantetw.session.record import SessionRecord
from dantetw.session.sensitive import sensitive_values
from dantetw.session.services import SessionServices
from dantetw.session.view import SessionView
from dantetw.values import (
    LOG_TCPINFO,
    REPLY_SUCCEEDED,
    WORK_IO,
    WORK_NEGOTIATE,
    WORK_REQUEST,
    Cause,
    Ending,
    Endpoint,
    Operation,
    ReplyCode,
    Side,
    Work,
)
from dantetw.wire.dialects import Negotiation

# The command at work before there is one.
_NOTHING: Final = Activity()
_NO_TCPINFO: Final = (b"", b"")
_log = Logger()

_Decision = TypeVar("_Decision")


class Session(SessionView):
    """
    What a session holds and waits for, how it answers, and how it ends.

    It is driven from stage to stage by :class:`~dantetw.session.clientsession.ClientSession`.

    :ivar ended: whether it has ended.
    :ivar authentication: the client's authentication, where external checks are needed.
    :ivar transport: the client's connection, and ``negotiation`` the state of the negotiation,
        until the request is complete; ``sock``: the client's socket after that.
    :ivar hints: the poller's events for ``sock`` that are not handled yet; ``leftover``: bytes that
        came behind the request.
    :ivar activity: the command being performed.
    :ivar awaited: the bound port of a BIND, until its peer has connected.
    :ivar waiting: the pending Deferred, which the end cancels.
    :ivar since: monotonic seconds from which the current time limit counts.
    """

    __slots__ = (
        "activity",
        "authentication",
        "awaited",
        "ended",
        "hints",
        "leftover",
        "negotiation",
        "since",
        "sock",
        "transport",
        "waiting",
    )

    def __init__(
        self, server: SessionServices, number: int, client: Endpoint, local: Endpoint
    ) -> None:
        self.server = server
        context = self.context = server.context
        self.since = now = server.monotonic()
        self.record = SessionRecord(
            number, context.policy, client, local, context.initial_rule, now
        )
        self.ended = False
        self.authentication = Authentication(self.record, context) if context.needs_checks else None
        self.transport: ClientTransport | None = None
        self.negotiation: Negotiation | None = None
        self.sock: socket.SocketType | None = None
        self.hints = 0
        self.leftover = b""
        self.activity: Activity | None = None
        self.awaited: PeerPort | None = None
        self.waiting: Deferred[Any] | None = None

    # Answering.

    def close(self, ending: Ending, answer: bytes = b"") -> None:
        """End while the client is still on Twisted's transport."""
        transport = self.transport
        if transport is not None and answer:
            transport.write(answer)
        self.end(ending)
        self.transport = None
        if transport is not None:
            transport.loseConnection()

    def client_ending(self, number: int, operation: Operation, text: str = "") -> Ending:
        """The ending of a session whose client cannot be read from, or written to."""
        return Ending(Side.CLIENT, self.record.phase, Cause.ERROR, number, text, operation)

    def grant(self, bound: Endpoint, failing: str = "") -> Ending | None:
        """
        Answer the request: the client has what it asked for.

        :param bound: the address in the answer.
        :param failing: the text of a failure, in Dante's words.
        :returns: the ending of the session if the answer cannot be sent.
        """
        request, sock = self.record.request, self.sock
        assert request is not None and sock is not None
        try:
            # A few bytes always fit into a buffer nothing else was ever written to.
            os.write(sock.fileno(), request.dialect.reply(REPLY_SUCCEEDED, bound))
        except OSError as failed:
            number = failed.errno or 0
            text = f"{failing}: {words_of(number)}" if failing else ""
            return self.client_ending(number, Operation.SEND, text)
        return None

    def refuse(self, ending: Ending, code: ReplyCode, bound: Endpoint | None = None) -> None:
        """Answer the request with a failure, and end.  Dante echoes the target as the address."""
        record = self.record
        assert record.request is not None
        if self.server.journal.debug:
            tracing.replied(self, code)
        if self.sock is not None:
            answer = record.request.dialect.reply(code, bound or record.request.target)
            try:
                self.sock.send(answer)
                self.sock.shutdown(socket.SHUT_WR)
                # Bytes left unread would make ``close`` send a reset that overtakes the answer.
                self.sock.recv(UNREAD_BYTES)
            except OSError:
                pass  # the client has gone, or sent nothing more
        self.end(ending)

    # Waiting.

    def when(
        self,
        deferred: Deferred[Any],
        then: Callable[[Any], None],
        otherwise: Callable[[Failure], None] | None = None,
    ) -> None:
        """
        Go on when a Deferred fires; the session's end cancels it.

        :param otherwise: called with the failure; without it a failure is a bug.
        """

        def arrived(result: Any) -> None:
            self.waiting = None
            if self.ended:
                return
            if not isinstance(result, Failure):
                then(result)
            elif otherwise is not None:
                otherwise(result)
            else:
                result.raiseException()

        self.waiting = deferred
        deferred.addBoth(arrived).addErrback(self.broken)

    def decide_waiting(
        self, decide: Callable[[Known], _Decision | Lookup | AuthCheck]
    ) -> Deferred[_Decision]:
        """Make a decision that needs name look-ups, or checks of the client's login."""
        return Deferred.fromCoroutine(self._decide(decide))

    async def _decide(self, decide: Callable[[Known], _Decision | Lookup | AuthCheck]) -> _Decision:
        known, host = self.server.known, self.record.client.host
        while True:
            decision: _Decision | AuthCheck
            decision = await known.decide_waiting(decide, partial(log_unresolved, self), host)
            if not isinstance(decision, AuthCheck):
                return decision
            # This terminates: each check is made once, and rules need finitely many.
            assert self.authentication is not None
            await self.authentication.ask(decision)

    def broken(self, failure: Failure) -> None:
        """End the session after a bug, which must not affect the others."""
        if failure.check(CancelledError) is None:
            _log.failure("Failure in a session", failure)
        self.close(Ending(Side.US, self.record.phase, Cause.ERROR, errno.EIO, "internal error"))

    def advanced(self) -> None:
        """Announce the beginning of a major phase."""
        for advanced in self.server.subscribers.advanced:
            advanced(self)

    @property
    def work(self) -> Work:
        """The stage that the session is in."""
        if self.record.request is None:
            return WORK_NEGOTIATE
        activity = self.activity
        return WORK_IO if activity is not None and activity.is_active else WORK_REQUEST

    # The end.

    def stop(self) -> None:
        """The server is stopping."""
        ending = Ending(Side.US, self.record.phase, Cause.SHUTDOWN)
        if self.transport is not None:
            self.close(ending)
        else:
            self.end(ending)

    def end(self, ending: Ending) -> None:
        """End, once: log the end, and release all resources."""
        if self.ended:
            return
        self.ended = True
        record, server, activity = self.record, self.server, self.activity
        server.sessions.pop(record.number, None)
        server.sweep.discard(self)
        server.charging.end(record.number, server.accounts, self.work, ending.cause)
        try:
            if activity is not None:
                activity.closing()
            if ending.operation is not None:
                log_ending(self, ending, None if activity is None else activity.named)
            log = record.log
            if log:
                event = self._end_event(ending, log)
                for recording in server.subscribers.recording:
                    recording(self)
                server.journal.record(event)
            if server.journal.debug:
                tracing.ended(self, ending)
            for over in server.subscribers.ended:
                over(self, ending)
        finally:
            self._give_back()
            if server.descriptors.short:
                server.descriptors.left(record.number)

    def _end_event(self, ending: Ending, log: int) -> Ended:
        """
        Build the event of the end; the sockets must still be open.

        :param log: the ``LOG_…`` bits of the session's rules.
        """
        record, activity = self.record, self.activity or _NOTHING
        negotiation = self.negotiation
        return record.snapshot(
            Ended,
            self.server.monotonic(),
            first_io=activity.first_io,
            ending=ending,
            counts=activity.counts,
            read=0 if negotiation is None else negotiation.read,
            tcpinfo=self.tcpinfo() if log & LOG_TCPINFO else _NO_TCPINFO,
            traffic=activity.traffic,
            packets=activity.packets,
            drops=activity.drops,
            named=sensitive_values(record) if ending.text or record.tried else (),
            attempts=activity.attempts,
        )

    def tcpinfo(self) -> tuple[bytes, bytes]:
        """What the kernel says of the client's and the target's connection, if a rule wants it."""
        if not self.record.log & LOG_TCPINFO:
            return _NO_TCPINFO
        client, transport, activity = self.sock, self.transport, self.activity
        if client is None and transport is not None:
            client = transport.socket
        target = None if activity is None else activity.target_socket
        return b"" if client is None else read(client), b"" if target is None else read(target)

    def _give_back(self) -> None:
        """Release all resources."""
        server = self.server
        activity, self.activity = self.activity, None
        if activity is not None:
            activity.cancel()
        if self.awaited is not None:
            self.awaited.close()
        if self.sock is not None:
            server.poller.forget(self.sock.fileno())
            self.sock.close()
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            waiting.cancel()
