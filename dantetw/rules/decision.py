"""
Finds the rule that decides.

Rules are tried in the order of the file; the first whose conditions all hold decides, whatever its
verdict.  If none holds, the built-in block rule, number 0, does.

Within a rule the conditions are tried in Dante's order: ``protocol``, ``command``,
``proxyprotocol`` (these in socks rules only), ``from``, ``to``, ``clientmethod``, ``socksmethod``,
``user``, ``group``.  For replies (``bindreply``, ``udpreply``) the last four do not count, since a
remote end that answers has not authenticated.  :mod:`.authentication` has the last four where
methods need checks.

A decision is made twice per session, and once per datagram with a new target, so one pass over a
rule allocates nothing, and of many rules only those are tried that :mod:`.index` finds.  With a
trace all of them are tried.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import Enum
from functools import lru_cache
from typing import Final

from dantetw.policy import (
    BUILT_IN,
    Address,
    HostKind,
    Policy,
    ResolveProtocol,
    Rule,
    RuleKind,
    Where,
)
from dantetw.rules.addresses import Known, Lookup, LookupNeededError, Subject, fits
from dantetw.rules.authentication import AuthCheck, AuthState, CheckNeededError, Identity
from dantetw.rules.index import FEW, index_of
from dantetw.values import (
    NOWHERE,
    VERDICT_BLOCK,
    Command,
    Endpoint,
    Family,
    Method,
    Protocol,
    ProxyProtocol,
    User,
    Verdict,
    value,
)

_REPLIES: Final = frozenset((Command.BINDREPLY, Command.UDPREPLY))
_FAKE: Final = ResolveProtocol.FAKE

_EVERYBODY: Final = Address(kind=HostKind.ANY, text="0/0", where=BUILT_IN)


@value
class Question:
    """
    A question to the socks rules.

    :ivar source: compared with ``from``: the client; of a UDP packet, where it came from; of a
        reply, the remote peer.
    :ivar target: compared with ``to``: what the client asked for; for ``BIND`` the external address
        that was bound; of a reply, the client.  None where there is none yet: the UDP ASSOCIATE
        itself.
    :ivar addresses: the addresses of a target that is a name, in the order of preference; None if
        they have not been looked up.  The connection must go to one of these same addresses, or
        the rules were asked about another host.
    :ivar client_method: how the client authenticated when it was accepted; ``method``: what was
        negotiated since.
    :ivar user: the user that the client has authenticated as; ``groups``: the system's groups of
        that user, None if they are not known.
    """

    source: Endpoint
    target: Endpoint | None
    command: Command
    protocol: Protocol = Protocol.TCP
    proxy_protocol: ProxyProtocol = ProxyProtocol.SOCKS_V5
    client_method: Method = Method.NONE
    method: Method = Method.NONE
    user: User | None = None
    groups: frozenset[str] | None = None
    addresses: tuple[str, ...] | None = None


@value
class Decision:
    """
    The answer.

    :ivar rule: the rule that decided; number 0 if none matched.
    :ivar target: the target, with an address in place of its name if the rule fitted only through
        that address.  :data:`~dantetw.values.NOWHERE` if the question had none.
    :ivar identity: what the client has shown to that rule, if its methods had to be asked for.
    """

    rule: Rule
    target: Endpoint
    identity: Identity | None = None

    @property
    def blocks(self) -> bool:
        """Whether the client is refused, by the rule or since a check has failed."""
        return self.rule.verdict is VERDICT_BLOCK or self.refusal != ""

    @property
    def refusal(self) -> str:
        """The failed check for which a rule that matches refuses the client; empty: none."""
        return "" if self.identity is None else self.identity.refusal


@value
class Tried:
    """
    How one rule fared, for explanations.

    :ivar failed: keyword of the first condition that did not hold; empty if all did.
    :ivar where: that condition's place; the rule's if the condition was filled in.
    :ivar wanted: the rule's value, as in the file; ``got``: the value it was compared with,
        unescaped and hence hostile.
    :ivar refusal: all held, but a check of the client failed.
    """

    rule: Rule
    failed: str
    where: Where
    wanted: str
    got: str
    refusal: str = ""


@lru_cache(maxsize=8)
def block_rule(kind: RuleKind, log: int) -> Rule:
    """
    The built-in rule, which blocks when no rule of the file matches.

    :param log: its ``LOG_…`` bits: :attr:`~dantetw.policy.Policy.default_log`.
    """
    return Rule(
        kind=kind,
        number=0,
        verdict=Verdict.BLOCK,
        where=BUILT_IN,
        source=_EVERYBODY,
        target=_EVERYBODY,
        log=log,
    )


def decide_client(
    policy: Policy,
    client: Endpoint,
    local: Endpoint,
    known: Known,
    trace: list[Tried] | None = None,
    auth: AuthState | None = None,
) -> Decision | Lookup | AuthCheck:
    """
    Decide whether a client may connect.

    :param client: its end of the connection; ``local``: ours.
    :param trace: if given, gets what became of each rule tried.
    :param auth: the client, where a policy :func:`~dantetw.rules.authentication.needs_checks`.
    :returns: the decision, or what must be looked up or asked first.
    """
    question = Question(source=client, target=local, command=Command.ACCEPT)
    return _decide(policy, RuleKind.CLIENT, question, known, trace, auth)


def decide_socks(
    policy: Policy,
    question: Question,
    known: Known,
    trace: list[Tried] | None = None,
    auth: AuthState | None = None,
) -> Decision | Lookup | AuthCheck:
    """
    Decide whether a request is granted, or a reply may pass.

    A question without a target, which is the UDP ASSOCIATE before any packet, fits the ``to`` of
    every pass rule, but of a block rule only if that covers all a packet could go to.

    :param trace: if given, gets what became of each rule tried.
    :param auth: the client, where a policy :func:`~dantetw.rules.authentication.needs_checks`.
    :returns: the decision, or what must be looked up or asked first.
    """
    return _decide(policy, RuleKind.SOCKS, question, known, trace, auth)


def asks_for_groups(policy: Policy) -> frozenset[str]:
    """All groups that rules name; only their members must be known."""
    rules = (*policy.client_rules, *policy.socks_rules)
    return frozenset(name for rule in rules for name in rule.groups)


def names_to_look_up(policy: Policy) -> frozenset[str]:
    """All host names in rules whose addresses may have to be known."""
    if policy.resolve_protocol is _FAKE:
        return frozenset()
    rules = (*policy.client_rules, *policy.socks_rules)
    addresses = (address for rule in rules for address in (rule.source, rule.target))
    return frozenset(address.name for address in addresses if address.kind is HostKind.NAME)


def _decide(
    policy: Policy,
    kind: RuleKind,
    question: Question,
    known: Known,
    trace: list[Tried] | None,
    auth: AuthState | None,
) -> Decision | Lookup | AuthCheck:
    source = Subject(question.source)
    target = None if question.target is None else Subject(question.target, question.addresses)
    own = policy.client_rules if kind is RuleKind.CLIENT else policy.socks_rules
    rules: Iterable[Rule] = own
    if trace is None and len(own) > FEW:
        resolved, fake = question.addresses is not None, policy.resolve_protocol is _FAKE
        rules = index_of(policy, kind).candidates(source, target, resolved, fake)
    before = 0 if trace is None else len(trace)
    try:
        for rule in rules:
            failed = _first_failed(rule, question, source, target, policy, known, auth)
            if trace is not None:
                trace.append(_tried(rule, failed, question, auth))
            if not failed:
                identity = None if auth is None else auth.identity
                return Decision(rule, _used(target), identity)
    except (LookupNeededError, CheckNeededError) as needed:
        if trace is not None:
            del trace[before:]  # the rules will be tried again from the first
        return needed.lookup if isinstance(needed, LookupNeededError) else needed.check
    if target is not None:
        target.used = None  # set by a rule that failed later on
    return Decision(block_rule(kind, policy.default_log), _used(target))


def _used(target: Subject | None) -> Endpoint:
    if target is None:
        return NOWHERE
    return target.used or target.endpoint


def _first_failed(
    rule: Rule,
    question: Question,
    source: Subject,
    target: Subject | None,
    policy: Policy,
    known: Known,
    auth: AuthState | None,
) -> str:
    """The keyword of the first condition that does not hold; empty if all do."""
    command = question.command
    if rule.kind is RuleKind.SOCKS:
        if question.protocol not in rule.protocols:
            return "protocol"
        if command not in rule.commands:
            return "command"
        if question.proxy_protocol not in rule.proxy_protocols:
            return "proxyprotocol"
    fake = policy.resolve_protocol is _FAKE
    if not fits(rule.source, source, known, fake):
        return "from"
    if target is None:
        if rule.verdict is Verdict.BLOCK and not _covers_all(rule.target, policy):
            return "to"
    else:
        target.used = None
        if not fits(rule.target, target, known, fake):
            return "to"
    if command in _REPLIES:
        return ""
    if auth is not None:
        # That of the client rule is not tried again for a socks rule (observed with Dante 1.4.2).
        if rule.kind is RuleKind.SOCKS and question.client_method not in rule.client_methods:
            return "clientmethod"
        return auth.first_failed(rule)
    if question.client_method not in rule.client_methods:
        return "clientmethod"
    if rule.kind is RuleKind.SOCKS and question.method not in rule.socks_methods:
        return "socksmethod"
    if rule.users and (question.user is None or question.user.name not in rule.users):
        return "user"
    if rule.groups and (question.groups is None or rule.groups.isdisjoint(question.groups)):
        return "group"
    return ""


def _covers_all(address: Address, policy: Policy) -> bool:
    """Whether an address covers everything that a packet could be sent to."""
    ports = address.ports
    if ports.outside or ports.low > 0 or ports.high < 65535:
        return False
    if address.kind is HostKind.ANY:
        return True
    return (
        address.kind is HostKind.NET
        and address.mask == 0
        and policy.families_out == {address.family}
    )


# What follows is only for traces.


def _tried(rule: Rule, failed: str, question: Question, auth: AuthState | None) -> Tried:
    wanted, got, where, refusal = "", "", None, ""
    if auth is not None:
        identity = auth.identity
        refusal = "" if failed else identity.refusal
        method = question.client_method if rule.kind is RuleKind.SOCKS else identity.method
        question = replace(
            question, client_method=method, method=identity.method, user=identity.user
        )
    if failed in ("from", "to"):
        address, endpoint = (
            (rule.source, question.source) if failed == "from" else (rule.target, question.target)
        )
        where = address.where
        wanted = f"{address.text} {address.ports.text}".rstrip()
        got = _described(endpoint, question.addresses if failed == "to" else None)
    elif failed:
        wanted, got = _asked_for(rule, failed, question)
    where = where or rule.places.get(failed, rule.where)
    return Tried(rule, failed, where, wanted, got, refusal)


def _described(endpoint: Endpoint | None, addresses: tuple[str, ...] | None) -> str:
    if endpoint is None:
        return "any target of UDP"
    if endpoint.family is not Family.NAME or not addresses:
        return str(endpoint)
    return f"{endpoint} ({', '.join(addresses)})"


def _asked_for(rule: Rule, failed: str, question: Question) -> tuple[str, str]:
    match failed:
        case "protocol":
            return _words(rule.protocols), question.protocol.value
        case "command":
            return _words(rule.commands), question.command.value
        case "proxyprotocol":
            return _words(rule.proxy_protocols), question.proxy_protocol.value
        case "clientmethod":
            wanted = " ".join(method.value for method in rule.client_methods)
            return wanted, question.client_method.value
        case "socksmethod":
            wanted = " ".join(method.value for method in rule.socks_methods)
            return wanted, question.method.value
        case "user":
            name = "nobody in particular" if question.user is None else question.user.name
            return " ".join(sorted(rule.users)), name
        case _:
            groups = "unknown" if question.groups is None else " ".join(sorted(question.groups))
            return " ".join(sorted(rule.groups)), groups or "none"


def _words(members: Iterable[Enum]) -> str:
    return " ".join(sorted(str(member.value) for member in members))
