"""
Explains the decision about a client's request.

The client's bytes are parsed as the server parses them, its request is decided by
:mod:`dantetw.plan`, and the facts it needs are supplied at once.  Afterwards each rule is evaluated
alone, to find everything that keeps it from matching.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from dantetw import catalogue
from dantetw.addresses import literal_endpoint
from dantetw.auth.groups import groups_of
from dantetw.cli.explain.given import AssumedResults, Client, Facts, GivenNames, NameAnswer
from dantetw.config.machine import Machine
from dantetw.net.lookups import ResolveError, with_family
from dantetw.net.sources import NoSource, Sources
from dantetw.net.zones import kernel_choice
from dantetw.plan.address import judge_address, order_of
from dantetw.plan.admission import admit
from dantetw.plan.case import Case, Premises
from dantetw.plan.datagram import plan_datagram, resolve_target
from dantetw.plan.listening import Listening
from dantetw.plan.outcome import (
    NO_SOURCE_TO_BIND,
    Admission,
    BindPort,
    Plan,
    Refusal,
    Resolve,
    unresolved,
    without_source,
)
from dantetw.plan.request import plan_request, shuns_login
from dantetw.plan.usable import refuse_unusable, unusable
from dantetw.policy import Policy, Rule, RuleKind
from dantetw.rules.addresses import Lookup
from dantetw.rules.authentication import AuthCheck, AuthResult, AuthState, early_check, needs_checks
from dantetw.rules.decision import (
    Decision,
    Question,
    Tried,
    asks_for_groups,
    decide_client,
    decide_socks,
)
from dantetw.rules.misses import Missed, missed
from dantetw.values import (
    Cause,
    Command,
    Drop,
    Ending,
    Endpoint,
    Method,
    Outcome,
    Phase,
    ReplyCode,
    Side,
    User,
    value,
)
from dantetw.wire.dialects import Dialects, Request
from dantetw.wire.messages import Credentials, ProtocolError

#: Stands for any port that the system would choose: the first of those :rfc:`6335` leaves for that.
FREE_PORT: Final = 49152

#: Why an address is not tried that a rule blocks.
BLOCKED: Final = "blocked"

# Asks the rules of a policy, for how each fares.
_Decide = Callable[[Policy, list[Tried]], Decision | Lookup | AuthCheck]


@value
class RuleResult:
    """
    How a rule fared.

    :ivar tried: with its first condition that failed; ``missed``: all that did.
    """

    tried: Tried
    missed: tuple[Missed, ...]


@value
class AddressResult:
    """
    One of the several addresses of a name that is to be connected to.

    :ivar rule: the socks rule that passes or blocks it; None: none was asked.
    :ivar source: the local address towards it; ``why``: why it is not tried, empty if it is.
    """

    target: Endpoint
    rule: Rule | None
    source: str = ""
    why: str = ""


@value
class Explanation:
    """
    The decision about a request.

    :ivar ending: how the server would end the session; None: it would perform the command.
    :ivar client_rule: the one that decided; ``socks_rule``: None if none was asked.
    :ivar client, socks: how each rule fared that was tried, in order.
    :ivar method, user: what the client has shown.
    :ivar target: where it would be connected to, numeric; of a BIND the peer it would wait for, as
        the client named it.  ``source``: the local address it would connect from, or listen on.
    :ivar answers: look-ups, in order; ``assumed``: the assumptions about the client, by the fact
        that was needed.
    :ivar association: the socks rule that granted an association, which ``socks`` are not about:
        they are asked about a datagram.
    :ivar addresses: where the target's name has several, each, in the order of the attempts.
    :ivar unnegotiated: a SOCKS 4 request to a server that demands a login.
    """

    ending: Ending | None
    client_rule: Rule
    socks_rule: Rule | None
    client: tuple[RuleResult, ...]
    socks: tuple[RuleResult, ...]
    method: Method
    user: User | None
    target: Endpoint | None
    source: str
    answers: tuple[NameAnswer, ...]
    assumed: dict[AuthCheck, AuthResult]
    unnegotiated: bool
    association: Rule | None = None
    addresses: tuple[AddressResult, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the server would go on to perform the command."""
        return self.ending is None


def explain(
    policy: Policy,
    client: Client,
    machine: Machine,
    names: GivenNames,
    groups: frozenset[str] | None = None,
) -> Explanation:
    """
    Explain what a server with a policy would do with a client's request.

    :param groups: the groups that the client's user is in; None: ask the system.
    :raises ValueError: if the client's protocol cannot express its request; the message says what.
    """
    return _Visit(policy, client, machine, names, groups).explain()


class _Visit:
    """The stages of one client, as far as it comes."""

    def __init__(
        self,
        policy: Policy,
        client: Client,
        machine: Machine,
        names: GivenNames,
        groups: frozenset[str] | None,
    ) -> None:
        self._policy, self._client, self._names = policy, client, names
        self._known = Facts(names, machine)
        self._assumed = AssumedResults(client)
        self._asks = needs_checks(policy)
        named = asks_for_groups(policy)
        self._groups_of = lambda user: groups_of(user, named) if groups is None else groups
        self._sources = Sources(policy, machine.addresses_of, lambda: 0.0, kernel_choice)
        listens = (endpoint for line in policy.internal for endpoint in line.listens)
        is_ours = Listening(listens, machine.all_addresses).is_ours
        self._around = Premises(policy, self._sources, is_ours, self._groups_of)
        # What the negotiation has made of the client.
        self._method = Method.NONE
        self._name: str | None = None
        self._user: User | None = None
        # The results so far.
        self._ending: Ending | None = None
        self._socks_rule: Rule | None = None
        self._target: Endpoint | None = None
        self._source = ""
        self._question: Question | None = None
        self._association: Rule | None = None
        self._addresses: tuple[AddressResult, ...] = ()

    def explain(self) -> Explanation:
        """See :func:`explain`."""
        sent = self._client.bytes_sent()
        admitted = admit(
            self._policy, self._client.source, self._client.local, self._known, self._auth()
        )
        assert isinstance(admitted, Admission | Refusal), admitted
        rule, request, case = admitted.rule, None, None
        assert rule is not None
        if isinstance(admitted, Refusal):
            self._ending = admitted.ending
        else:
            request = self._negotiate(rule, sent)
        if request is not None:
            case = self._case(admitted, rule, request)
            self._perform(case)
        # What follows may look up and assume more than the server does.
        answers, assumed = tuple(self._names.answers), dict(self._assumed.used)
        unnegotiated = case is not None and self._socks_rule is not None and shuns_login(case)
        socks: tuple[RuleResult, ...] = ()
        if case is not None and self._socks_rule is not None and not unnegotiated:
            unbound = case.request.command is Command.BIND and case.bound is None
            if not unbound:
                socks = self._socks(self._question or case.question())
        return Explanation(
            self._ending,
            rule,
            self._socks_rule,
            self._clients(),
            socks,
            Method.NONE if request is None else request.method,
            self._user,
            self._target,
            self._source,
            answers,
            assumed,
            unnegotiated,
            self._association,
            self._addresses,
        )

    def _auth(self) -> AuthState | None:
        if not self._asks:
            return None
        return AuthState(self._assumed, self._groups_of, self._method, self._name)

    # The negotiation.

    def _negotiate(self, rule: Rule, sent: bytes) -> Request | None:
        """The request; None: the negotiation fails."""
        dialects = Dialects(catalogue.DIALECTS)
        negotiation = dialects.negotiate(sent[0], rule.socks_methods)
        try:
            while not isinstance(step := negotiation.feed(sent), Request):
                sent = b""
                assert step is not None
                if isinstance(step, Credentials):
                    self._log_in(rule, step.name)
                    negotiation.accepted()
        except ProtocolError as wrong:
            self._ending = Ending(Side.CLIENT, Phase.NEGOTIATE, wrong.cause, text=wrong.text)
            return None
        return step

    def _log_in(self, rule: Rule, name: str) -> None:
        """The client gives a name and a password, which are assumed to be right."""
        if not self._asks:
            self._user = User(Method.USERNAME, name)
            return
        check = early_check(self._policy, rule.socks_methods)
        self._method = Method.USERNAME if check is None else check.method
        self._name = name
        if check is not None:
            assert not self._assumed[check].refusal
            self._user = User(self._method, name)

    # The request.

    def _case(self, admitted: Admission | Refusal, rule: Rule, request: Request) -> Case:
        identity = admitted.identity
        return Case(
            self._around,
            self._client.source,
            self._client.local,
            rule,
            request,
            literal_endpoint(request.target),
            Method.NONE if identity is None else identity.method,
            self._user,
            self._auth(),
        )

    def _perform(self, case: Case) -> None:
        """Decide about the request, up to the point where it would be carried out."""
        plan = self._plan(case)
        self._socks_rule = plan.rule
        if plan.identity is not None:
            self._user = case.user = plan.identity.user
        if isinstance(plan, Refusal):
            self._ending = plan.ending
            return
        self._target = plan.address
        if case.request.command is Command.BIND:
            self._target, self._source = plan.target, plan.address.host
        elif case.request.command is Command.UDPASSOCIATE:
            self._send(case, plan)
        elif plan.addresses:
            self._judge_addresses(case, plan)
        else:
            self._choose_source(plan.address)

    def _plan(self, case: Case) -> Plan | Refusal:
        while True:
            found = plan_request(case, self._known)
            if isinstance(found, Resolve):
                try:
                    case.addresses = self._names.addresses_of(found.name, found.families)
                except ResolveError as failed:
                    return self._unresolved(failed, Phase.RESOLVE)
            elif isinstance(found, BindPort):
                try:
                    source = self._sources.choose(found.target, case.client, case.local)
                except NoSource as none:
                    return without_source(NO_SOURCE_TO_BIND, none.text, none.reply)
                case.bound = Endpoint(source, found.port or FREE_PORT, found.target.family)
            else:
                # All that may be looked up is known, and all that may be asked is assumed.
                assert isinstance(found, Plan | Refusal), found
                return found

    def _unresolved(self, failed: ResolveError, phase: Phase) -> Refusal:
        failed = with_family(failed, self._sources.families())
        return unresolved(phase, Cause.UNRESOLVED, failed.name, failed.reason)

    def _choose_source(self, target: Endpoint) -> None:
        try:
            self._source = self._sources.choose(target, self._client.source, self._client.local)
        except NoSource as none:
            self._ending = Ending(Side.US, Phase.CONNECT, Cause.UNUSABLE, text=none.text)

    def _send(self, case: Case, plan: Plan) -> None:
        """The client has its association, and sends a datagram."""
        self._association = plan.rule
        asked, addresses = literal_endpoint(self._client.target), None
        needed = resolve_target(case, asked)
        if needed is not None:
            try:
                addresses = self._names.addresses_of(needed.name, needed.families)
            except ResolveError as failed:
                self._ending = self._unresolved(failed, Phase.CONNECT).ending
                return
        question = self._question = case.datagram_question(case.client, asked, addresses)
        sent = plan_datagram(case, question, self._known)
        assert not isinstance(sent, Lookup)
        self._socks_rule, self._target = sent.rule, sent.target
        if sent.dropped is Drop.BLOCKED:
            self._ending = Ending(Side.RULE, Phase.AUTHORISE, Cause.BLOCKED)
        elif sent.dropped is not None:
            self._ending = refuse_unusable(sent.text, ReplyCode.FAILURE).ending
        else:
            self._choose_source(sent.target)

    def _judge_addresses(self, case: Case, plan: Plan) -> None:
        """Judge each of a name's addresses, as the server does before it tries it."""
        port = plan.address.port
        self._addresses = found = tuple(
            self._judged(case, plan, Endpoint.of((host, port)))
            for host in order_of(plan, lambda host, port: False)
        )
        tried = [each for each in found if not each.why]
        if tried:
            self._socks_rule, self._target = tried[0].rule, tried[0].target
            self._source = tried[0].source
        elif (wrong := unusable(case, plan.address)) is not None:
            self._ending = wrong.ending
        else:
            self._choose_source(plan.address)

    def _judged(self, case: Case, plan: Plan, target: Endpoint) -> AddressResult:
        candidate = judge_address(case, plan, target, self._known)
        assert not isinstance(candidate, Lookup)
        rule = candidate.rule
        if candidate.refused is not None:
            blocked = candidate.refused is Outcome.BLOCKED
            return AddressResult(target, rule, why=BLOCKED if blocked else candidate.text)
        try:
            source = self._sources.choose(target, case.client, case.local)
        except NoSource as none:
            return AddressResult(target, rule, why=none.text)
        return AddressResult(target, rule, source)

    # How the rules fared.

    def _clients(self) -> tuple[RuleResult, ...]:
        source, local = self._client.source, self._client.local
        question = Question(source=source, target=local, command=Command.ACCEPT)

        def decide(policy: Policy, trace: list[Tried]) -> Decision | Lookup | AuthCheck:
            auth = AuthState(self._assumed, self._groups_of) if self._asks else None
            return decide_client(policy, source, local, self._known, trace, auth)

        return self._results(decide, question, Method.NONE)

    def _socks(self, question: Question) -> tuple[RuleResult, ...]:
        auth = self._auth()
        method = question.method if auth is None else auth.identity.method

        def decide(policy: Policy, trace: list[Tried]) -> Decision | Lookup | AuthCheck:
            return decide_socks(policy, question, self._known, trace, self._auth())

        return self._results(decide, question, method)

    def _results(
        self, decide: _Decide, question: Question, method: Method
    ) -> tuple[RuleResult, ...]:
        def alone(rule: Rule) -> Tried:
            rules = (rule,)
            if rule.kind is RuleKind.CLIENT:
                policy = replace(self._policy, client_rules=rules)
            else:
                policy = replace(self._policy, socks_rules=rules)
            return _trace(decide, policy)[-1]

        return tuple(
            RuleResult(tried, missed(tried.rule, question, method, alone))
            for tried in _trace(decide, self._policy)
        )


def _trace(decide: _Decide, policy: Policy) -> Sequence[Tried]:
    trace: list[Tried] = []
    decision = decide(policy, trace)
    assert isinstance(decision, Decision), decision
    return trace
