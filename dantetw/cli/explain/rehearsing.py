"""
A client's visit, played through the running server's own code, without a network.

A :class:`~dantetw.session.session.Session` gets a client's bytes over a pair of local sockets, and
goes from the client rules to the point where it would connect.  Afterwards the same rules are
asked once more, for how each fared.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from dantetw import catalogue
from dantetw.addresses import literal_endpoint
from dantetw.cli.explain.staging import Answer, Client, Names
from dantetw.cli.explain.standing import (
    Assumed,
    Believer,
    Deaf,
    Members,
    Proven,
    Silence,
    Supposed,
    Turns,
)
from dantetw.config.machine import Machine
from dantetw.net.resolving import ResolveError, Resolver
from dantetw.net.sources import NoSource
from dantetw.net.transports import ClientTransport
from dantetw.observe.journal import Journal
from dantetw.policy import Policy, Rule, RuleKind
from dantetw.rules.addresses import Known, Lookup
from dantetw.rules.authentication import AuthCheck, AuthResult, AuthState
from dantetw.rules.decision import Decision, Question, Tried, decide_client, decide_socks
from dantetw.rules.misses import Missed, missed
from dantetw.session.candidates import judge, order, passed
from dantetw.session.judging import Judge
from dantetw.session.protocol import SocksFactory, SocksProtocol
from dantetw.session.requesting import (
    question_of,
    refuse_name,
    refuse_unusable,
    shuns_login,
    unusable,
    unusable_text,
)
from dantetw.session.session import Session
from dantetw.threads import Threads
from dantetw.values import (
    Cause,
    Command,
    Ending,
    Endpoint,
    Family,
    Method,
    Phase,
    ReplyCode,
    Side,
    User,
    value,
)
from dantetw.wire.dialects import Dialects

#: Why an address is not tried that a rule blocks.
BLOCKED: Final = "blocked"

# Asks the rules of a policy, for how each fares.
_Decide = Callable[[Policy, Known, list[Tried]], Decision | Lookup | AuthCheck]


@value
class Fared:
    """
    How a rule fared.

    :ivar tried: with its first condition that failed; ``missed``: all that did.
    """

    tried: Tried
    missed: tuple[Missed, ...]


@value
class Considered:
    """
    One of the several addresses of a name that is to be connected to.

    :ivar rule: the socks rule that passes or blocks it; None: none was asked.
    :ivar source: our address towards it; ``why``: why it is not tried, empty if it is.
    """

    target: Endpoint
    rule: Rule | None
    source: str = ""
    why: str = ""


@value
class Outcome:
    """
    What came of a visit.

    :ivar ending: how the server ended it; None: it would connect.
    :ivar client_rule: the one that decided; ``socks_rule``: None if none was asked.
    :ivar client, socks: how each rule fared that was tried, in order.
    :ivar method, user: what the client has shown.
    :ivar target: where it would be connected to, numeric; of a BIND whom it would wait for, as the
        client named it.  ``source``: from, or on, which of our addresses.
    :ivar answers: look-ups, in order; ``proofs``: what was assumed of the client, by what was
        asked.
    :ivar association: the socks rule that granted an association, which ``socks`` are not about:
        they are asked about a datagram.
    :ivar addresses: where the target's name has several, each, in the order of the attempts.
    :ivar unnegotiated: a SOCKS 4 request to a server that wants to know who asks.
    """

    ending: Ending | None
    client_rule: Rule
    socks_rule: Rule | None
    client: tuple[Fared, ...]
    socks: tuple[Fared, ...]
    method: Method
    user: User | None
    target: Endpoint | None
    source: str
    answers: tuple[Answer, ...]
    proofs: dict[AuthCheck, AuthResult]
    unnegotiated: bool
    association: Rule | None = None
    addresses: tuple[Considered, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the server would go on to perform the command."""
        return self.ending is None


class _Visit(Session):
    """A session that remembers how it ended, whatever its rules log."""

    ending: Ending | None = None

    def end(self, ending: Ending) -> None:
        if not self.ended:
            self.ending = ending
        super().end(ending)


class Rehearsal:
    """
    One visit to a server with a policy.

    :param system: the machine.
    :param groups: what groups the client's user is in; None: ask the system.
    """

    def __init__(
        self,
        policy: Policy,
        client: Client,
        system: Machine,
        names: Names,
        groups: frozenset[str] | None = None,
    ) -> None:
        self._policy = policy
        self._client = client
        self._names = names
        self._turns = turns = Turns()
        self._source = ""
        self._datagram: Question | None = None
        self._association: Rule | None = None
        self._addresses: tuple[Considered, ...] = ()
        server = self._server = SocksFactory(
            turns,
            Journal(Silence()),
            Resolver(
                turns,
                Threads(turns, 1, 1, "resolver", turns),
                names.getaddrinfo,
                names.getnameinfo,
            ),
            Deaf(),
            Dialects(catalogue.DIALECTS),
            dict.fromkeys(catalogue.COMMANDS, self._reached),
            system.addresses_of,
            system.all_addresses,
            monotonic=turns.seconds,
        )
        server.adopt(policy, {Method.USERNAME: Believer()})
        server.wait_on = Supposed
        server.listening = frozenset(e for line in policy.internal for e in line.listens)
        if groups is not None:
            server.context.groups = Members(groups)
        self._assumed = Assumed(client)
        self._visit = _Visit(server, 1, client.source, client.local)
        if server.context.asks:
            self._visit.proving = Proven(self._assumed)

    def play(self) -> Outcome:
        """
        Play it.

        :raises ValueError: if no client can say that in its protocol; the message says what.
        """
        visit = self._visit
        record = visit.record
        self._converse(self._client.said())
        if self._several and visit.ending is None:
            self._consider()
        ending, request, asked = visit.ending, record.request, record.asked
        # What follows may look up and assume more than the server does.
        answers, proofs = tuple(self._names.answers), dict(self._assumed.asked)
        socks: tuple[Fared, ...] = ()
        unnegotiated = False
        if request is not None and asked is not None and record.socks_rule is not None:
            unnegotiated = shuns_login(visit, request)
            judged: Endpoint | None = asked
            if request.command is Command.BIND:
                judged = None if visit.awaited is None else visit.awaited.bound
            if judged is not None and not unnegotiated:
                socks = self._socks(self._datagram or question_of(visit, request, judged))
        return Outcome(
            ending,
            record.client_rule,
            record.socks_rule,
            self._clients(),
            socks,
            request.method if request is not None else Method.NONE,
            record.user,
            record.target,
            self._source,
            answers,
            proofs,
            unnegotiated,
            self._association,
            self._addresses,
        )

    @property
    def _several(self) -> bool:
        connects = self._client.command is Command.CONNECT
        return connects and len(self._visit.record.addresses or ()) > 1

    def _converse(self, said: bytes) -> None:
        """Let the client come and say all it has to say."""
        visit, server, client = self._visit, self._server, self._client
        ours, theirs = socket.socketpair()
        try:
            ours.setblocking(False)
            peer = (client.source.host, client.source.port)
            protocol = SocksProtocol(server)
            visit.begin(ClientTransport(ours, peer, server.poller, protocol, client.local))
            self._turns.run()
            if not visit.ended:
                visit.received(said)
                self._turns.run()
        finally:
            theirs.close()
            ours.close()

    def _reached(self, session: Session, rule: Rule, target: Endpoint) -> None:
        """The command would be performed now: which of our addresses would it use?"""
        record = session.record
        record.phase = Phase.CONNECT
        if session.awaited is not None:
            self._source = session.awaited.bound.host
            return
        self._rule = rule
        self._passed, record.target = record.target, target
        if self._client.command is Command.CONNECT:
            if not self._several:
                self._choose(session, target)
        elif self._client.command is Command.UDPASSOCIATE:
            self._send(session)

    def _send(self, session: Session) -> None:
        """The client has its association, and sends a datagram."""
        record = session.record
        self._association = record.socks_rule
        client = self._client
        asked = literal_endpoint(client.target)

        def decided(decision: Decision, target: Endpoint) -> None:
            assert record.request is not None
            record.socks_rule, record.target = decision.rule, target
            addresses = None
            if asked.family is Family.NAME:
                addresses = self._server.resolver.cached(
                    asked.host, session.context.sources.families()
                )
            question = question_of(session, record.request, asked)
            self._datagram = replace(question, target=asked, addresses=addresses)
            if decision.blocks:
                blocked = Ending(Side.RULE, Phase.AUTHORISE, Cause.BLOCKED)
                session.refuse(blocked, ReplyCode.NOT_ALLOWED)
            elif text := unusable_text(target):
                unusable = Ending(Side.CLIENT, Phase.RESOLVE, Cause.UNUSABLE, text=text)
                session.refuse(unusable, ReplyCode.FAILURE)
            else:
                self._choose(session, target)

        def unresolved(failed: ResolveError) -> None:
            refuse_name(session, Cause.UNRESOLVED, failed.name, failed.reason)

        Judge(session).target(client.source, asked, decided, unresolved)

    def _choose(self, session: Session, target: Endpoint) -> None:
        record = session.record
        try:
            self._source = session.context.sources.choose(target, record.client, record.local)
        except NoSource as none:
            session.refuse(
                Ending(Side.US, Phase.CONNECT, Cause.UNUSABLE, text=none.text), none.reply
            )

    def _consider(self) -> None:
        """Look at each of a name's addresses, as the server does before it tries it."""
        visit, first, passed = self._visit, self._visit.record.target, self._passed
        record = visit.record
        assert first is not None and passed is not None
        named = passed if passed.family is Family.NAME else None
        found = tuple(
            self._considered(Endpoint.of((host, first.port)), first)
            for host in order(visit, named, first)
        )
        self._addresses = found
        tried = [each for each in found if not each.why]
        if tried:
            record.socks_rule, record.target = tried[0].rule, tried[0].target
            self._source = tried[0].source
        elif (wrong := unusable(visit, first)) is not None:
            refuse_unusable(visit, *wrong)
        else:
            self._choose(visit, first)

    def _considered(self, target: Endpoint, first: Endpoint) -> Considered:
        visit = self._visit
        record = visit.record
        if (wrong := unusable(visit, target)) is not None:
            return Considered(target, None, why=wrong[1])
        rule: Rule | None = self._rule
        if target.host != first.host:
            rule, may = passed(visit, self._decided(judge(visit, target)))
            if not may:
                return Considered(target, rule, why=BLOCKED)
        try:
            source = visit.context.sources.choose(target, record.client, record.local)
        except NoSource as none:
            return Considered(target, rule, why=none.text)
        return Considered(target, rule, source)

    def _decided(
        self, decide: Callable[[Known], Decision | Lookup | AuthCheck]
    ) -> Decision | AuthCheck:
        """Ask rules, and look up what they ask for."""
        results: list[object] = []
        decision = self._server.known.decide_waiting(decide, lambda failed: None)
        Deferred.fromCoroutine(decision).addBoth(results.append)
        self._turns.run()
        (result,) = results
        if isinstance(result, Failure):
            result.raiseException()
        assert isinstance(result, Decision | AuthCheck), result
        return result

    # How the rules fared.

    def _clients(self) -> tuple[Fared, ...]:
        source, local, asks = self._client.source, self._client.local, self._server.context.asks
        question = Question(source=source, target=local, command=Command.ACCEPT)

        def decide(
            policy: Policy, known: Known, trace: list[Tried]
        ) -> Decision | Lookup | AuthCheck:
            claim = AuthState(self._assumed, self._visit.context.groups.of) if asks else None
            return decide_client(policy, source, local, known, trace, claim)

        return self._fared(decide, question, Method.NONE)

    def _socks(self, question: Question) -> tuple[Fared, ...]:
        proving, method = self._visit.proving, question.method
        if proving is not None:
            method = proving.claim(self._visit).shown.method

        def decide(
            policy: Policy, known: Known, trace: list[Tried]
        ) -> Decision | Lookup | AuthCheck:
            claim = proving.claim(self._visit) if proving is not None else None
            return decide_socks(policy, question, known, trace, claim)

        return self._fared(decide, question, method)

    def _fared(self, decide: _Decide, question: Question, method: Method) -> tuple[Fared, ...]:
        def alone(rule: Rule) -> Tried:
            rules = (rule,)
            if rule.kind is RuleKind.CLIENT:
                policy = replace(self._policy, client_rules=rules)
            else:
                policy = replace(self._policy, socks_rules=rules)
            return self._trace(decide, policy)[-1]

        return tuple(
            Fared(tried, missed(tried.rule, question, method, alone))
            for tried in self._trace(decide, self._policy)
        )

    def _trace(self, decide: _Decide, policy: Policy) -> Sequence[Tried]:
        trace: list[Tried] = []
        result = self._decided(lambda known: decide(policy, known, trace))
        assert isinstance(result, Decision), result  # all that may be asked is assumed
        return trace
