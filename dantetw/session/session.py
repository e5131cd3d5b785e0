"""
The story of one client, from its arrival to its one end.

A session is accepted and admitted by the client rules (:meth:`Session.begin`), negotiates
(:meth:`Session.received`), perhaps logs in (:mod:`.authenticating`);
then its request is resolved, authorised by the socks rules and given to its command
(:mod:`.requesting`).  Whatever ends it, in whichever stage, ends it in :meth:`Session.end`, which
gives back what it holds and records it (:mod:`.accounting`).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from dantetw.addresses import literal_endpoint
from dantetw.net.errors import EAI_WORDS, words_of
from dantetw.net.lookups import ResolveError
from dantetw.net.poller import FAILED
from dantetw.observe.events import Accepted
from dantetw.rules.decision import Decision, decide_client
from dantetw.session import tracing
from dantetw.session.accounting import account, tcpinfo_of
from dantetw.session.authenticating import log_in
from dantetw.session.failing import tell, unresolved
from dantetw.session.parting import UNREAD
from dantetw.session.performing import Performing
from dantetw.session.proving import Proving
from dantetw.session.record import SessionRecord
from dantetw.session.requesting import perform, refuse_name
from dantetw.values import (
    LOG_CONNECT,
    LOG_TCPINFO,
    Cause,
    Ending,
    Endpoint,
    Operation,
    Phase,
    ReplyCode,
    Side,
)
from dantetw.wire.dialects import Negotiation, Request
from dantetw.wire.messages import ProtocolError, Reply

if TYPE_CHECKING:
    from dantetw.net.awaiting import Await
    from dantetw.net.transports import ClientTransport, SocketLost
    from dantetw.session.protocol import SocksFactory

_TALKING: Final = (Phase.ACCEPT, Phase.NEGOTIATE, Phase.AUTHENTICATE)
# Looked up once: in Python 3.11 finding a member of an Enum takes 0.2 us, and each session does.
_ACCEPT: Final = Phase.ACCEPT
_NEGOTIATE: Final = Phase.NEGOTIATE
_RESOLVE: Final = Phase.RESOLVE
_log = Logger()


class Session:
    """
    One client's visit: what drives it from stage to stage, and what it holds meanwhile.

    :ivar server: what all sessions share; ``context``: what was made of the configuration that this
        one began with.
    :ivar record: the facts.
    :ivar ended: it is over.
    :ivar proving: how the client shows who it is, where that takes asking others.
    :ivar transport: the client's connection and ``negotiation`` what is said there, until the
        request is complete; ``sock``: the client's socket after that.
    :ivar hints: what the poller has said of ``sock`` that nobody has acted on; ``leftover``: what
        came behind the request.
    :ivar performing: the command at work.
    :ivar awaited: of a BIND the port that was bound, until its peer has come.
    :ivar waiting: what is waited for, which the end cancels.
    :ivar since: monotonic seconds from which the current time limit counts.
    """

    __slots__ = (
        "awaited",
        "context",
        "ended",
        "hints",
        "leftover",
        "negotiation",
        "performing",
        "proving",
        "record",
        "server",
        "since",
        "sock",
        "transport",
        "waiting",
    )

    def __init__(
        self, server: SocksFactory, number: int, client: Endpoint, local: Endpoint
    ) -> None:
        self.server = server
        context = self.context = server.context
        self.since = now = server.monotonic()
        self.record = SessionRecord(number, context.policy, client, local, context.nobody, now)
        self.ended = False
        self.proving = Proving() if context.asks else None
        self.transport: ClientTransport | None = None
        self.negotiation: Negotiation | None = None
        self.sock: socket.SocketType | None = None
        self.hints = 0
        self.leftover = b""
        self.performing: Performing | None = None
        self.awaited: Await | None = None
        self.waiting: Deferred[Any] | None = None

    # Accepted.

    def begin(self, transport: ClientTransport) -> None:
        """The client is there: ask the client rules."""
        record = self.record
        self.transport = transport
        self.server.sessions[record.number] = self
        if self.server.journal.debug:
            tracing.step(self, f"accepted on {record.local}")
        elif (known := self.context.decisions.of_client(record.client, record.local)) is not None:
            self._admit(Decision(known, record.local))
            return
        claim = None if self.proving is None else self.proving.claim(self)
        ask = partial(decide_client, record.policy, record.client, record.local)
        decide = partial(tracing.judged, self, ask, claim)
        try:
            decision = decide(self.server.known)
        except Exception:
            self.broken(Failure())
            return
        if isinstance(decision, Decision):
            self.context.decisions.remember_client(record.client, record.local, decision)
            self._admit(decision)
        else:
            transport.pauseProducing()
            self.server.sweep.add(self)
            self.when(self.server.decide_waiting(decide, self), self._admit_late)

    def _admit_late(self, decision: Decision) -> None:
        transport = self.transport
        self._admit(decision)
        if transport is not None and not self.ended:
            transport.resumeProducing()

    def _admit(self, decision: Decision) -> None:
        record = self.record
        rule = record.client_rule = decision.rule
        if self.proving is not None:
            record.identity = decision.shown
        if decision.blocks:
            self._close(Ending(Side.RULE, _ACCEPT, Cause.BLOCKED, text=decision.refusal))
            return
        if rule.log & LOG_CONNECT:
            tcpinfo = tcpinfo_of(self)[0] if rule.log & LOG_TCPINFO else b""
            self.server.journal.record(Accepted(record.number, rule, self.record.path, tcpinfo))
        if rule.socket_options and self.transport is not None:
            self.server.set_options(self.transport.socket, rule.socket_options)
        record.phase = _NEGOTIATE
        self.server.sweep.add(self)

    # Negotiating.

    def received(self, data: bytes) -> None:
        """Bytes from the client while it negotiates."""
        record = self.record
        if not record.negotiating_at:
            record.negotiating_at = self.server.monotonic()
            methods = record.client_rule.socks_methods
            self.negotiation = self.server.dialects.negotiate(data[0], methods)
        if self.server.journal.debug > 1:
            tracing.step(self, f"{len(data)} bytes in phase {record.phase.word}")
        self.negotiate(data)

    def negotiate(self, data: bytes) -> None:
        """Act on what the client has said; ``data`` are bytes that came just now, if any."""
        negotiation, transport = self.negotiation, self.transport
        if negotiation is None or transport is None or self.ended:
            return
        try:
            while (step := negotiation.feed(data)) is not None:
                data = b""
                if isinstance(step, Reply):
                    transport.write(step.data)
                    if not negotiation.leftover:
                        return
                elif isinstance(step, Request):
                    self._take_over(step)
                    return
                else:
                    log_in(self, step)
                    return
        except ProtocolError as wrong:
            if self.server.journal.debug:
                tracing.offered(self, negotiation.offered)
            ending = Ending(Side.CLIENT, _NEGOTIATE, wrong.cause, text=wrong.text)
            self._close(ending, wrong.reply)

    def _close(self, ending: Ending, answer: bytes = b"") -> None:
        """End while the client is still on Twisted's transport."""
        transport = self.transport
        if transport is not None and answer:
            transport.write(answer)
        self.end(ending)
        self.transport = None
        if transport is not None:
            transport.loseConnection()

    def lost(self, lost: SocketLost | None) -> None:
        """The client's connection is gone while it negotiates; None: it has closed."""
        self.transport = None
        if lost is None:
            text = "eof from local client"
            self.end(Ending(Side.CLIENT, self.record.phase, Cause.CLOSED, text=text))
        else:
            self._client_failed(lost.number, lost.operation, words_of(lost.number))

    def _client_failed(self, number: int, operation: Operation, text: str) -> None:
        self.end(Ending(Side.CLIENT, self.record.phase, Cause.ERROR, number, text, operation))

    # The request.

    def _take_over(self, request: Request) -> None:
        """The negotiation is over: leave Twisted's transport, watch the bare socket."""
        record = self.record
        server, transport, negotiation = self.server, self.transport, self.negotiation
        assert transport is not None and negotiation is not None
        server.requested += 1
        record.request = request
        record.method = request.method
        # Names such as 0x7f.1 are addresses to the C library, so they must be to the rules.
        record.asked = literal_endpoint(request.target)
        record.phase = _RESOLVE
        record.requested_at = self.since = server.monotonic()
        self.leftover = negotiation.leftover
        if server.journal.debug:
            tracing.offered(self, negotiation.offered)
            tracing.requested(self)
        self.transport = self.negotiation = None
        self.sock = transport.detach()
        self.hints = transport.hints
        server.poller.pause(self.sock.fileno())
        server.poller.hand_over(self.sock.fileno(), self._stirs)
        try:
            perform(self, request, record.asked)
        except Exception:
            self.broken(Failure())

    def _stirs(self, mask: int) -> None:
        # Input and its end can wait until there is a relay; a broken connection cannot.
        self.hints |= mask
        if mask & FAILED and self.sock is not None:
            number = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.EPIPE
            text = "" if self.record.source is not None else words_of(number)
            self._client_failed(number, Operation.RECEIVE, text)

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
                self.sock.recv(UNREAD)
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
        Go on when a Deferred fires, which the session's end cancels.

        :param otherwise: called with the failure; without it a failure is a mistake of ours.
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

    def broken(self, failure: Failure) -> None:
        """A mistake of ours must cost one session only."""
        if failure.check(CancelledError) is None:
            _log.failure("Failure in a session", failure)
        self._close(Ending(Side.US, self.record.phase, Cause.ERROR, errno.EIO, "internal error"))

    def check(self, now: float) -> None:
        """Act if a time limit has passed; ``now`` is monotonic seconds."""
        record = self.record
        if record.phase in _TALKING:
            # As long as no client rule has been found the global limit holds.
            rule = record.client_rule
            limit = (rule if rule.number else record.policy).timeouts.negotiate
            if limit and int(now) - int(self.since) > limit:
                self._close(Ending(Side.CLIENT, record.phase, Cause.TIMEOUT))
        elif self.performing is not None:
            self.performing.check(now)
        else:
            limit = record.policy.timeouts.connect
            if limit and int(now) - int(self.since) > limit and record.request is not None:
                name, reason = record.request.target.host, EAI_WORDS["EAI_AGAIN"]
                if record.phase is _RESOLVE:
                    unresolved(self, ResolveError("EAI_AGAIN", reason, name))
                refuse_name(self, Cause.TIMEOUT, name, reason)

    def advanced(self) -> None:
        """Announce that a phase of importance begins."""
        for advanced in self.server.subscribers.advanced:
            advanced(self)

    # The end.

    def stop(self) -> None:
        """The server is stopping."""
        ending = Ending(Side.US, self.record.phase, Cause.SHUTDOWN)
        if self.transport is not None:
            self._close(ending)
        else:
            self.end(ending)

    def end(self, ending: Ending) -> None:
        """End, once: give back what is held, and record what has happened."""
        record = self.record
        if self.ended:
            return
        self.ended = True
        server = self.server
        server.sessions.pop(record.number, None)
        server.sweep.discard(self)
        if record.request is None:
            server.unrequested += 1
        elif self.performing is None or not self.performing.under_way:
            server.unperformed += 1
        try:
            if self.performing is not None:
                self.performing.closing()
            if ending.operation is not None:
                tell(self, ending)
            if self.record.log:
                event = account(self, ending)
                for recording in server.subscribers.recording:
                    recording(self)
                server.journal.record(event)
            if server.journal.debug:
                tracing.ended(self, ending)
            for over in server.subscribers.ended:
                over(self, ending)
        finally:
            self._give_back()
            if server.room.short:
                server.room.left(record.number)

    def _give_back(self) -> None:
        """Let go of all that is held."""
        server = self.server
        performing, self.performing = self.performing, None
        if performing is not None:
            performing.cancel()
        if self.awaited is not None:
            self.awaited.close()
        if self.sock is not None:
            server.poller.forget(self.sock.fileno())
            self.sock.close()
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            waiting.cancel()
