"""
The story of one client, from its arrival to its one end.

A session is accepted and admitted by the client rules (:meth:`Session.begin`), negotiates
(:meth:`Session.received`), perhaps logs in; then its request is resolved, authorised by the socks
rules and performed by its command (:meth:`Session._perform`, a coroutine).  Whatever ends it, in
whichever stage, ends it in :meth:`Session.end`, which gives back what it holds and records it.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from dantetw.auth.interfaces import AuthenticationFailed
from dantetw.config.policy import Rule, RuleKind
from dantetw.escaping import escape
from dantetw.net.naming import words_of
from dantetw.net.poller import FAILED
from dantetw.net.resolving import ResolveError
from dantetw.net.sources import no_address_text
from dantetw.net.tcpinfo import read as read_tcpinfo
from dantetw.observe.events import Accepted, Counts, Ended, Path, Times
from dantetw.rules.addresses import Lookup, literal_endpoint
from dantetw.rules.deciding import Decision, Question, block_rule, decide_client, decide_socks
from dantetw.values import (
    LOG_CONNECT,
    LOG_TCPINFO,
    Cause,
    Command,
    Ending,
    Endpoint,
    Family,
    Method,
    Phase,
    Protocol,
    ProxyProtocol,
    Side,
    User,
    Verdict,
)
from dantetw.wire.messages import Credentials, ProtocolError, Reply, Request
from dantetw.wire.negotiation import Negotiation
from dantetw.wire.replies import ReplyCode, reply

if TYPE_CHECKING:
    from dantetw.net.transports import ClientTransport
    from dantetw.session.protocol import SocksFactory

#: Seconds between a wrong password and its answer, so that guessing takes time.
LOGIN_PENALTY: Final = 2.0

_PROTOCOL_OF: Final = {
    Command.CONNECT: Protocol.TCP,
    Command.BIND: Protocol.TCP,
    Command.UDPASSOCIATE: Protocol.UDP,
}
_UNSPECIFIED: Final = frozenset(("0.0.0.0", "::"))
_OWN_ADDRESS: Final = (
    "client is requesting a connection to the same address we listen to new clients on: {}."
    "  Very suspicious.   For security reasons that is not allowed, as otherwise one client could"
    " trivially use up all our resources by going into a loop sending a stream of requests that all"
    " asked us to connect to ourselves"
)
_TALKING: Final = (Phase.ACCEPT, Phase.NEGOTIATE, Phase.AUTHENTICATE)
_log = Logger()


class Performing:
    """
    A command being performed for a session, as the session sees it.

    What is here suits a command that is not built, or has not begun.
    """

    __slots__ = ()

    def check(self, now: float) -> None:
        """Act if a time limit of the command has passed; ``now`` is monotonic seconds."""

    def cancel(self) -> None:
        """Release all that the command holds."""

    @property
    def counts(self) -> Counts:
        """Bytes moved so far."""
        return Counts()

    @property
    def first_io(self) -> float:
        """Monotonic seconds of the first bytes moved, or 0.0."""
        return 0.0

    @property
    def target_socket(self) -> socket.socket | None:
        """The connection to the target, if there is one."""
        return None


class Session:
    """
    One client's visit.

    :ivar server: what all sessions share; ``policy`` the configuration this one began with.
    :ivar number: from 1, in order of arrival.
    :ivar phase: how far it has come.
    :ivar client: the client's address; ``local`` the one it came in on.
    :ivar client_rule: the client rule that matched; ``socks_rule`` likewise, once there is one.
    :ivar user: who the client has shown to be.
    :ivar request: what it asks for; ``asked`` its target, ``addresses`` of the name in it;
        ``target`` what became of it when the rules had been asked; ``source`` our end of the way
        there.
    :ivar sock: the client's socket, once negotiation is over; ``hints`` what the poller has said of
        it that nobody has acted on; ``leftover`` what came behind the request.
    :ivar since: monotonic seconds from which the current time limit counts.
    """

    __slots__ = (
        "accepted_at",
        "addresses",
        "asked",
        "client",
        "client_rule",
        "connected_at",
        "ended",
        "hints",
        "leftover",
        "local",
        "negotiating_at",
        "negotiation",
        "number",
        "performing",
        "phase",
        "policy",
        "request",
        "requested_at",
        "server",
        "since",
        "sock",
        "socks_rule",
        "source",
        "target",
        "transport",
        "user",
        "waiting",
    )

    def __init__(
        self, server: SocksFactory, number: int, client: Endpoint, local: Endpoint
    ) -> None:
        self.server = server
        self.policy = server.policy
        self.number = number
        self.phase = Phase.ACCEPT
        self.client = client
        self.local = local
        self.client_rule: Rule = server.nobody
        self.socks_rule: Rule | None = None
        self.user: User | None = None
        self.request: Request | None = None
        self.asked: Endpoint | None = None
        self.addresses: tuple[str, ...] | None = None
        self.target: Endpoint | None = None
        self.source: Endpoint | None = None
        self.transport: ClientTransport | None = None
        self.negotiation: Negotiation | None = None
        self.sock: socket.socket | None = None
        self.performing: Performing | None = None
        self.waiting: Deferred[Any] | None = None
        self.hints = 0
        self.leftover = b""
        self.ended = False
        self.accepted_at = self.since = server.monotonic()
        self.negotiating_at = self.requested_at = self.connected_at = 0.0

    # Accepted.

    def begin(self, transport: ClientTransport) -> None:
        """The client is there: ask the client rules."""
        self.transport = transport
        self.server.sessions.add(self)

        def decide(known: Any) -> Decision | Lookup:
            return decide_client(self.policy, self.client, self.local, known)

        decision = decide(self.server.known)
        if isinstance(decision, Decision):
            self._admit(decision)
        else:
            transport.pauseProducing()
            self.server.sweep.add(self)
            self._when(self.server.decide_waiting(decide), self._admit_late)

    def _admit_late(self, decision: Decision) -> None:
        transport = self.transport
        self._admit(decision)
        if transport is not None and not self.ended:
            transport.resumeProducing()

    def _admit(self, decision: Decision) -> None:
        rule = self.client_rule = decision.rule
        if rule.verdict is Verdict.BLOCK:
            self._close(Ending(Side.RULE, Phase.ACCEPT, Cause.BLOCKED))
            return
        if rule.log & LOG_CONNECT:
            tcpinfo = b""
            if rule.log & LOG_TCPINFO and self.transport is not None:
                tcpinfo = read_tcpinfo(self.transport.socket)
            path = Path(self.client, self.local)
            self.server.journal.record(Accepted(self.number, rule, path, tcpinfo))
        self.phase = Phase.NEGOTIATE
        self.negotiation = Negotiation(rule.socks_methods)
        self.server.sweep.add(self)

    # Negotiating.

    def received(self, data: bytes) -> None:
        """Bytes from the client while it negotiates."""
        if not self.negotiating_at:
            self.negotiating_at = self.server.monotonic()
        self._negotiate(data)

    def _negotiate(self, data: bytes) -> None:
        negotiation, transport = self.negotiation, self.transport
        if negotiation is None or transport is None:
            return  # ended already
        try:
            while (step := negotiation.feed(data)) is not None:
                data = b""
                if isinstance(step, Reply):
                    transport.write(step.data)
                elif isinstance(step, Request):
                    self._take_over(step)
                    return
                else:
                    self._log_in(step)
                    return
        except ProtocolError as wrong:
            ending = Ending(Side.CLIENT, Phase.NEGOTIATE, wrong.cause, text=wrong.text)
            self._close(ending, wrong.reply)

    def _log_in(self, credentials: Credentials) -> None:
        assert self.transport is not None
        self.phase = Phase.AUTHENTICATE
        self.transport.pauseProducing()
        user = User(Method.USERNAME, credentials.name)
        authenticator = self.server.authenticators[Method.USERNAME]
        check = authenticator.authenticate(credentials.name, credentials.password)
        self._when(check, lambda _: self._logged_in(user), self._login_failed)

    def _logged_in(self, user: User) -> None:
        negotiation, transport = self.negotiation, self.transport
        assert negotiation is not None and transport is not None
        self.user = user
        self.phase = Phase.NEGOTIATE
        transport.write(negotiation.accepted())
        transport.resumeProducing()
        self._negotiate(b"")

    def _login_failed(self, failure: Failure) -> None:
        negotiation, transport = self.negotiation, self.transport
        assert negotiation is not None and transport is not None
        text = "internal error"
        if isinstance(failure.value, AuthenticationFailed):
            text = str(failure.value)
        else:
            _log.failure("Could not check a password", failure)
        self.transport = None
        self.server.punish(transport, negotiation.refused(), LOGIN_PENALTY)
        self.end(Ending(Side.CLIENT, Phase.AUTHENTICATE, Cause.CREDENTIALS, text=text))

    def _close(self, ending: Ending, answer: bytes = b"") -> None:
        """End while the client is still on Twisted's transport."""
        transport = self.transport
        if transport is not None and answer:
            transport.write(answer)
        self.end(ending)
        self.transport = None
        if transport is not None:
            transport.loseConnection()

    def lost(self, number: int) -> None:
        """The client's connection is gone while it negotiates; ``number`` is the errno, or 0."""
        self.transport = None
        if number:
            self.end(Ending(Side.CLIENT, self.phase, Cause.ERROR, number, words_of(number)))
        else:
            text = "eof from local client"
            self.end(Ending(Side.CLIENT, self.phase, Cause.CLOSED, text=text))

    # The request.

    def _take_over(self, request: Request) -> None:
        """The negotiation is over: leave Twisted's transport, watch the bare socket."""
        server, transport, negotiation = self.server, self.transport, self.negotiation
        assert transport is not None and negotiation is not None
        self.request = request
        # Names such as 0x7f.1 are addresses to the C library, so they must be to the rules.
        self.asked = literal_endpoint(request.target)
        self.phase = Phase.RESOLVE
        self.requested_at = self.since = server.monotonic()
        self.leftover = negotiation.leftover
        self.transport = self.negotiation = None
        self.sock = transport.detach()
        self.hints = transport.hints
        server.poller.pause(self.sock.fileno())
        server.poller.hand_over(self.sock.fileno(), self._stirs)
        Deferred.fromCoroutine(self._perform(request, self.asked)).addErrback(self._broken)

    def _stirs(self, mask: int) -> None:
        # Input and its end can wait until there is a relay; a broken connection cannot.
        self.hints |= mask
        if mask & FAILED and self.sock is not None:
            number = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.EPIPE
            text = "" if self.source is not None else words_of(number)
            self.end(Ending(Side.CLIENT, self.phase, Cause.ERROR, number, text))

    async def _perform(self, request: Request, asked: Endpoint) -> None:
        if not await self._resolve(request, asked):
            return
        self.phase = Phase.AUTHORISE
        decision = await self._authorise(request, asked)
        self.socks_rule, self.target = decision.rule, decision.target
        if decision.rule.verdict is Verdict.BLOCK:
            self.refuse(Ending(Side.RULE, Phase.AUTHORISE, Cause.BLOCKED), ReplyCode.NOT_ALLOWED)
            return
        target = self._numeric(decision.target)
        if target.host != self._numeric(asked).host and not self._usable(target):
            return  # the rule chose another of the name's addresses
        command = self.server.commands.get(request.command)
        if command is None:
            text = f"command {request.command.value} is not supported yet"
            ending = Ending(Side.US, Phase.AUTHORISE, Cause.UNSUPPORTED, text=text)
            self.refuse(ending, ReplyCode.COMMAND_NOT_SUPPORTED)
            return
        await command(self, decision.rule, target)

    async def _resolve(self, request: Request, target: Endpoint) -> bool:
        """Find the target's addresses, and refuse what nobody can serve; False if it ended so."""
        server = self.server
        if request.command is not Command.CONNECT:
            return True  # what these name need not be an address to go to
        if target.family is Family.NAME:
            families = server.sources.families()
            found = server.resolver.cached(target.host, families)
            if found is None:
                server.sweep.add(self)
                try:
                    found = await self.until(server.resolver.resolve(target.host, families))
                except ResolveError as failed:
                    self._unresolved(failed)
                    return False
            self.addresses = found
        return self._usable(self._numeric(target))

    def _unresolved(self, failed: ResolveError) -> None:
        self.server.unresolved(failed)
        text = f'could not resolve hostname "{escape(failed.name)}": {failed.reason}'
        ending = Ending(Side.TARGET, Phase.RESOLVE, Cause.UNRESOLVED, text=text)
        self.refuse(ending, ReplyCode.HOST_UNREACHABLE)

    def _usable(self, target: Endpoint) -> bool:
        """Refuse what nobody can connect to; False if it ended so.  ``target`` is numeric."""
        code = ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED
        if target.host in _UNSPECIFIED:
            text = f"unbound ipaddress ({target}) in request"
        elif not target.port:
            text = f"unbound port ({target}) in request"
        elif not self.server.sources.addresses(target.family):
            text = no_address_text(target.family)
        elif self.server.is_ours(target):
            code, text = ReplyCode.NOT_ALLOWED, _OWN_ADDRESS.format(target)
        else:
            return True
        self.refuse(Ending(Side.CLIENT, Phase.RESOLVE, Cause.UNUSABLE, text=text), code)
        return False

    def _numeric(self, target: Endpoint) -> Endpoint:
        if target.family is not Family.NAME or not self.addresses:
            return target
        return Endpoint.of((self.addresses[0], target.port))

    async def _authorise(self, request: Request, target: Endpoint) -> Decision:
        """Ask the socks rules."""
        server = self.server
        if request.method not in self.client_rule.socks_methods:
            # SOCKS 4 has no negotiation of methods, and must not be a way around it.
            return Decision(block_rule(RuleKind.SOCKS, self.policy.default_log), target)
        question = Question(
            source=self.client,
            target=target,
            command=request.command,
            protocol=_PROTOCOL_OF[request.command],
            proxy_protocol=request.proxy_protocol,
            method=request.method,
            user=self.user,
            groups=server.groups_of(self.user) if self.user is not None else None,
            addresses=self.addresses,
        )

        def decide(known: Any) -> Decision | Lookup:
            return decide_socks(self.policy, question, known)

        decision = decide(server.known)
        if isinstance(decision, Decision):
            return decision
        server.sweep.add(self)
        return await self.until(server.decide_waiting(decide))

    def refuse(self, ending: Ending, code: ReplyCode, bound: Endpoint | None = None) -> None:
        """Answer the request with a failure, and end.  Dante echoes the target as the address."""
        assert self.request is not None
        if self.sock is not None:
            answer = reply(self.request.proxy_protocol, code, bound or self.request.target)
            try:
                self.sock.send(answer)
                self.sock.shutdown(socket.SHUT_WR)
                # Bytes left unread would make ``close`` send a reset that overtakes the answer.
                self.sock.recv(65536)
            except OSError:
                pass  # the client has gone, or sent nothing more
        self.end(ending)

    # Waiting.

    async def until(self, deferred: Deferred[Any]) -> Any:
        """Wait for a Deferred that the session's end cancels."""
        self.waiting = deferred
        try:
            return await deferred
        finally:
            self.waiting = None

    def _when(
        self,
        deferred: Deferred[Any],
        then: Callable[[Any], None],
        otherwise: Callable[[Failure], None] | None = None,
    ) -> None:
        """The same outside of a coroutine."""

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
        deferred.addBoth(arrived).addErrback(self._broken)

    def _broken(self, failure: Failure) -> None:
        """A mistake of ours must cost one session only."""
        if failure.check(CancelledError) is None:
            _log.failure("Failure in a session", failure)
        self.end(Ending(Side.US, self.phase, Cause.ERROR, errno.EIO, "internal error"))

    def check(self, now: float) -> None:
        """Act if a time limit has passed; ``now`` is monotonic seconds."""
        if self.phase in _TALKING:
            limit = self.client_rule.timeouts.negotiate
            if limit and int(now) - int(self.since) > limit:
                self._close(Ending(Side.CLIENT, self.phase, Cause.TIMEOUT))
        elif self.performing is not None:
            self.performing.check(now)
        else:
            limit = self.policy.timeouts.connect
            if limit and int(now) - int(self.since) > limit and self.request is not None:
                name = escape(self.request.target.host)
                text = f'could not resolve hostname "{name}": Temporary failure in name resolution'
                ending = Ending(Side.TARGET, self.phase, Cause.TIMEOUT, text=text)
                self.refuse(ending, ReplyCode.HOST_UNREACHABLE)

    # The end.

    def stop(self) -> None:
        """The server is stopping."""
        ending = Ending(Side.US, self.phase, Cause.SHUTDOWN)
        if self.transport is not None:
            self._close(ending)
        else:
            self.end(ending)

    def end(self, ending: Ending) -> None:
        """End, once: give back what is held, and record what has happened."""
        if self.ended:
            return
        self.ended = True
        server = self.server
        server.sessions.discard(self)
        server.sweep.discard(self)
        if self.client_rule.log or (self.socks_rule is not None and self.socks_rule.log):
            server.journal.record(self._account(ending))
        if self.performing is not None:
            self.performing.cancel()
        if self.sock is not None:
            server.poller.forget(self.sock.fileno())
            self.sock.close()
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            waiting.cancel()

    def _account(self, ending: Ending) -> Ended:
        request, performing = self.request, self.performing
        now = self.server.monotonic()
        return Ended(
            self.number,
            self.client_rule,
            self.socks_rule,
            Path(self.client, self.local, self.user, self.source, self.target),
            ending,
            Times(
                self.accepted_at,
                now,
                self.negotiating_at,
                self.requested_at,
                self.connected_at,
                performing.first_io if performing is not None else 0.0,
            ),
            performing.counts if performing is not None else Counts(),
            command=request.command if request is not None else None,
            protocol=_PROTOCOL_OF[request.command] if request is not None else Protocol.TCP,
            proxy_protocol=request.proxy_protocol if request is not None else None,
            asked=self.asked,
            read=self.negotiation.read if self.negotiation is not None else 0,
            tcpinfo=self.tcpinfo(),
        )

    def tcpinfo(self) -> tuple[bytes, bytes]:
        """What the kernel says of the client's and the target's connection, if a rule wants it."""
        log = self.client_rule.log | (self.socks_rule.log if self.socks_rule is not None else 0)
        if not log & LOG_TCPINFO:
            return b"", b""
        client = self.sock
        if client is None and self.transport is not None:
            client = self.transport.socket
        target = self.performing.target_socket if self.performing is not None else None
        return (
            read_tcpinfo(client) if client is not None else b"",
            read_tcpinfo(target) if target is not None else b"",
        )
