"""
Drives a session from stage to stage.

A client is accepted and admitted by the client rules (:meth:`ClientSession.begin`), negotiates
(:meth:`ClientSession.received`) and perhaps logs in (:mod:`.login`); then its request is planned
and given to its command (:mod:`.request`).
"""

from __future__ import annotations

import errno
import socket
from typing import Final

from twisted.python.failure import Failure

from dantetw.addresses import literal_endpoint
from dantetw.net.errors import EAI_WORDS, words_of
from dantetw.net.lookups import ResolveError
from dantetw.net.poller import FAILED
from dantetw.net.transports import ClientTransport, SocketLost
from dantetw.observe.events import Accepted
from dantetw.plan.admission import admit
from dantetw.plan.outcome import Admission, Refusal
from dantetw.rules.addresses import Known, Lookup
from dantetw.rules.authentication import AuthCheck
from dantetw.rules.decision import Tried
from dantetw.session import tracing
from dantetw.session.failures import log_unresolved
from dantetw.session.login import log_in
from dantetw.session.request import perform, refuse_name
from dantetw.session.session import Session
from dantetw.values import (
    LOG_CONNECT,
    LOG_TCPINFO,
    PHASE_NEGOTIATE,
    PHASE_RESOLVE,
    Cause,
    Ending,
    Operation,
    Phase,
    Side,
)
from dantetw.wire.dialects import Request
from dantetw.wire.messages import ProtocolError, Reply

_TALKING: Final = (Phase.ACCEPT, Phase.NEGOTIATE, Phase.AUTHENTICATE)


class ClientSession(Session):
    """A session from the moment its client is accepted."""

    __slots__ = ()

    # Accepted.

    def begin(self, transport: ClientTransport) -> None:
        """The client is connected: ask the client rules."""
        record = self.record
        self.transport = transport
        self.server.sessions[record.number] = self
        if self.server.journal.debug:
            tracing.step(self, f"accepted on {record.local}")
        elif (known := self.context.decisions.of_client(record.client, record.local)) is not None:
            self._admit(Admission(known))
            return
        try:
            found = self._ask(self.server.known)
        except Exception:
            self.broken(Failure())
            return
        if isinstance(found, Admission):
            self.context.decisions.remember_client(record.client, record.local, found.rule)
            self._admit(found)
        elif isinstance(found, Refusal):
            self._admit(found)
        else:
            transport.pauseProducing()
            self.server.sweep.add(self)
            self.when(self.decide_waiting(self._ask), self._admit_late)

    def _ask(self, known: Known) -> Admission | Refusal | Lookup | AuthCheck:
        """Ask the client rules, with what is known now."""
        record = self.record
        auth = None if self.authentication is None else self.authentication.state()
        trace: list[Tried] | None = [] if self.server.journal.debug else None
        found = admit(record.policy, record.client, record.local, known, auth, trace)
        if trace is not None or isinstance(found, Refusal):
            tracing.admitted(self, found, known, auth, trace)
        return found

    def _admit_late(self, found: Admission | Refusal) -> None:
        transport = self.transport
        self._admit(found)
        if transport is not None and not self.ended:
            transport.resumeProducing()

    def _admit(self, found: Admission | Refusal) -> None:
        record, rule = self.record, found.rule
        assert rule is not None
        record.client_rule = rule
        if self.authentication is not None:
            record.identity = found.identity
        if isinstance(found, Refusal):
            self.close(found.ending)
            return
        if rule.log & LOG_CONNECT:
            tcpinfo = self.tcpinfo()[0] if rule.log & LOG_TCPINFO else b""
            self.server.journal.record(Accepted(record.number, rule, self.record.path, tcpinfo))
        if rule.socket_options and self.transport is not None:
            self.server.set_options(self.transport.socket, rule.socket_options)
        record.enter(PHASE_NEGOTIATE)
        self.server.sweep.add(self)

    # Negotiating.

    def received(self, data: bytes) -> None:
        """Bytes from the client while it negotiates."""
        record = self.record
        if not record.negotiating_at:
            record.hear_client(self.server.monotonic())
            methods = record.client_rule.socks_methods
            self.negotiation = self.server.dialects.negotiate(data[0], methods)
        if self.server.journal.debug > 1:
            tracing.step(self, f"{len(data)} bytes in phase {record.phase.word}")
        self._negotiate(data)

    def _negotiate(self, data: bytes) -> None:
        """Act on the client's messages; ``data``: new bytes, if any."""
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
                    log_in(self, step, self._go_on)
                    return
        except ProtocolError as wrong:
            if self.server.journal.debug:
                tracing.offered(self, negotiation.offered)
            ending = Ending(Side.CLIENT, PHASE_NEGOTIATE, wrong.cause, text=wrong.text)
            self.close(ending, wrong.reply)

    def _go_on(self) -> None:
        """The client has logged in."""
        self._negotiate(b"")

    def lost(self, lost: SocketLost | None) -> None:
        """The client's connection is lost while it negotiates; None: it has closed."""
        self.transport = None
        if lost is None:
            text = "eof from local client"
            self.end(Ending(Side.CLIENT, self.record.phase, Cause.CLOSED, text=text))
        else:
            self.end(self.client_ending(lost.number, lost.operation, words_of(lost.number)))

    # The request.

    def _take_over(self, request: Request) -> None:
        """The negotiation is over: leave Twisted's transport, watch the bare socket."""
        record = self.record
        server, transport, negotiation = self.server, self.transport, self.negotiation
        assert transport is not None and negotiation is not None
        server.charging.request()
        # Names such as 0x7f.1 are addresses to the C library, so they must be to the rules.
        asked = literal_endpoint(request.target)
        now = self.since = server.monotonic()
        record.take_request(request, asked, now)
        self.leftover = negotiation.leftover
        if server.journal.debug:
            tracing.offered(self, negotiation.offered)
            tracing.requested(self, len(self.leftover))
        self.transport = self.negotiation = None
        self.sock = transport.detach()
        self.hints = transport.hints
        server.poller.pause(self.sock.fileno())
        server.poller.hand_over(self.sock.fileno(), self._stirs)
        try:
            perform(self, request, asked)
        except Exception:
            self.broken(Failure())

    def _stirs(self, mask: int) -> None:
        # Input and its end can wait until there is a relay; a broken connection cannot.
        self.hints |= mask
        if mask & FAILED and self.sock is not None:
            number = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.EPIPE
            text = "" if self.record.source is not None else words_of(number)
            self.end(self.client_ending(number, Operation.RECEIVE, text))

    def check(self, now: float) -> None:
        """Act if a time limit has passed; ``now`` is monotonic seconds."""
        record = self.record
        if record.phase in _TALKING:
            # As long as no client rule has been found the global limit holds.
            rule = record.client_rule
            limit = (rule if rule.number else record.policy).timeouts.negotiate
            if limit and int(now) - int(self.since) > limit:
                self.close(Ending(Side.CLIENT, record.phase, Cause.TIMEOUT))
        elif self.activity is not None:
            self.activity.check(now)
        else:
            limit = record.policy.timeouts.connect
            if limit and int(now) - int(self.since) > limit and record.request is not None:
                name, reason = record.request.target.host, EAI_WORDS["EAI_AGAIN"]
                if record.phase is PHASE_RESOLVE:
                    log_unresolved(self, ResolveError("EAI_AGAIN", reason, name))
                refuse_name(self, Cause.TIMEOUT, name, reason)
