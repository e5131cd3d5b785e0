"""
Decides whether a client's request is granted, and where it leads.
"""

from __future__ import annotations

from dataclasses import replace

from dantetw.escaping import escape
from dantetw.plan.announced import (
    announced_address,
    is_complete,
    receiving_host,
    unreceivable_text,
    unreceived_text,
)
from dantetw.plan.case import Case, Traces, ask_rules
from dantetw.plan.outcome import BindPort, Plan, Refusal, Resolve
from dantetw.plan.usable import UNUSABLE_ADDRESS, refuse_unusable, unusable
from dantetw.policy import Rule, RuleKind
from dantetw.rules.addresses import Known, Lookup
from dantetw.rules.authentication import AuthCheck, Identity
from dantetw.rules.cache import DecisionCache
from dantetw.rules.decision import Decision, Question, block_rule
from dantetw.values import (
    CLIENT_METHODS,
    COMMAND_BIND,
    COMMAND_CONNECT,
    COMMAND_UDPASSOCIATE,
    EXTENSION,
    FAMILIES,
    FAMILY_NAME,
    NOWHERE,
    UNSPECIFIED,
    Cause,
    Ending,
    Endpoint,
    Family,
    Phase,
    ReplyCode,
    Side,
)


def plan_request(
    case: Case, known: Known, cache: DecisionCache | None = None, traces: Traces | None = None
) -> Plan | Refusal | Resolve | BindPort | Lookup | AuthCheck:
    """
    Decide about a request, from its first step.

    Ask again when a :class:`Resolve` or a :class:`BindPort` has been answered, which the case then
    holds.  When a :class:`Lookup` or an :class:`AuthCheck` has been, go on with :func:`authorise`.

    :param known: answers to look-ups.
    :param cache: decisions of this policy on other requests.
    :param traces: if given, gets how the rules fared; then ``cache`` must be None.
    """
    command = case.request.command
    found: Refusal | Resolve | BindPort | None = None
    if command is COMMAND_CONNECT:
        asked = case.asked
        found = _check_name(case) if asked.family is FAMILY_NAME else unusable(case, asked)
    elif command is COMMAND_UDPASSOCIATE:
        found = _check_announced(case)
    elif case.bound is None:
        found = _check_peer(case)
    return found or authorise(case, known, cache, traces)


# Before the rules are asked.


def _check_name(case: Case) -> Refusal | Resolve | None:
    """The refusal of a connection to a name, or None."""
    asked, addresses = case.asked, case.addresses
    if addresses is None:
        # Without a family to connect by the refusal says so, not that the name has no address.
        return Resolve(asked.host, case.around.sources.families() or FAMILIES)
    # Of several one suffices; each is checked again before it is tried.
    wrong = None
    for address in addresses:
        found = unusable(case, Endpoint.of((address, asked.port)))
        if found is None:
            return None
        wrong = wrong or found
    return wrong


def _check_peer(case: Case) -> Refusal | Resolve | BindPort:
    """The refusal of a port for a peer, or the missing fact, or the port to bind."""
    asked, request, policy = case.asked, case.request, case.policy
    if asked.family is FAMILY_NAME and case.addresses is None:
        families = case.around.sources.families() or FAMILIES
        # A reply could not name a port of another family.
        return Resolve(asked.host, families & request.dialect.families)
    extended = asked.host == EXTENSION
    target = _anywhere(case) if extended else _first_address(case, asked)
    wrong = unusable(case, target, connects=False)
    if wrong is not None:
        return wrong
    if extended and not policy.compatibility.bind_extension:
        # Dante too says it in the name of the built-in rule.
        text = "client requested disabled Dante extension: bind"
        ending = Ending(Side.RULE, Phase.AUTHORISE, Cause.BLOCKED, text=text)
        return Refusal(ending, ReplyCode.NOT_ALLOWED, _nobody(case))
    # A client that accepts any peer asks for a port; one that uses the extension, for its own.
    port = asked.port if asked.host in UNSPECIFIED else 0
    return BindPort(target, case.client.port if extended else port)


def _check_announced(case: Case) -> Refusal | Resolve | None:
    """The refusal of an association, or the missing fact, or None."""
    asked = case.asked
    if asked.family is FAMILY_NAME and case.addresses is None:
        return Resolve(asked.host, FAMILIES)  # it is not where we go
    text = unreceivable_text(case)
    return refuse_unusable(text) if text else None


def _anywhere(case: Case) -> Endpoint:
    """The wildcard address for the peers of a port for many, of an external family."""
    families = case.request.dialect.families
    if Family.IPV6 in families and not case.around.sources.addresses(Family.IPV4):
        return Endpoint("::", 0, Family.IPV6)
    return NOWHERE


def _first_address(case: Case, target: Endpoint) -> Endpoint:
    """A target as an address: the first of a name's."""
    if target.family is not FAMILY_NAME or not case.addresses:
        return target
    return Endpoint.of((case.addresses[0], target.port))


# The rules.


def shuns_login(case: Case) -> bool:
    """
    Whether a request is blocked before any socks rule: SOCKS 4 has no negotiation of methods, and
    must not bypass it.
    """
    methods = case.client_rule.socks_methods
    return case.request.method not in methods and CLIENT_METHODS.isdisjoint(methods)


def authorise(
    case: Case, known: Known, cache: DecisionCache | None = None, traces: Traces | None = None
) -> Plan | Refusal | Lookup | AuthCheck:
    """
    Ask the socks rules about a request that can be served.

    :param case: what :func:`plan_request` has asked for must be known.
    :param known, cache, traces: as of :func:`plan_request`.
    """
    if shuns_login(case):
        return _blocked(case, _nobody(case), case.bound or case.asked, None, None)
    question = case.question()
    if cache is not None and (rule := cache.of_request(question)) is not None:
        return _granted(case, rule, case.bound or case.asked, None)
    decision = ask_rules(case, question, known, traces, case.auth)
    if not isinstance(decision, Decision):
        return decision
    if question.command is COMMAND_UDPASSOCIATE and is_complete(case.asked):
        return _authorise_announced(case, question, decision, known, traces)
    if cache is not None:
        cache.remember_request(question, decision)
    return _concluded(case, question, decision)


def _authorise_announced(
    case: Case, question: Question, decision: Decision, known: Known, traces: Traces | None
) -> Plan | Refusal | Lookup | AuthCheck:
    """The rules' decision about the client is made; ask about the address that it announces."""
    if not decision.blocks and decision.rule.udp.from_connected:
        return _concluded(case, question, decision)
    about = replace(question, source=announced_address(case))
    announced = ask_rules(case, about, known, traces, case.auth)
    if not isinstance(announced, Decision):
        return announced
    if announced.blocks:
        asked = case.asked
        why = "" if decision.blocks else f"announced address {escape(asked.host)}.{asked.port}"
        return _concluded(case, about, announced, why)
    return _concluded(case, question, decision)


def _nobody(case: Case) -> Rule:
    """The built-in rule."""
    return block_rule(RuleKind.SOCKS, case.policy.default_log)


def _concluded(case: Case, question: Question, decision: Decision, why: str = "") -> Plan | Refusal:
    rule, target, identity = decision.rule, decision.target, decision.identity
    if decision.blocks:
        return _blocked(case, rule, target, identity, question, why)
    return _granted(case, rule, target, identity)


# Results of the rules.


def _blocked(
    case: Case,
    rule: Rule,
    target: Endpoint,
    identity: Identity | None,
    question: Question | None,
    why: str = "",
) -> Refusal:
    """The rules refuse it: by a block rule, or since the client has lied to a pass rule."""
    wrong_login = "" if identity is None else identity.refusal
    return Refusal(
        Ending(Side.RULE, Phase.AUTHORISE, Cause.BLOCKED, text=wrong_login or why),
        ReplyCode.NOT_ALLOWED,
        rule,
        _far_end(case, target),
        identity,
        question,
        bool(wrong_login),
    )


def _granted(case: Case, rule: Rule, target: Endpoint, identity: Identity | None) -> Plan | Refusal:
    """The rules pass it; ``target``: with the address by which a rule has passed a name."""
    command, addresses = case.request.command, case.addresses
    if command is COMMAND_UDPASSOCIATE:
        return _associated(case, rule, identity)
    connects = command is COMMAND_CONNECT
    if connects and addresses is None:
        return Plan(rule, target, target, (), identity)
    several = connects and addresses is not None and len(addresses) > 1
    address, far_end = _first_address(case, target), _far_end(case, target)
    # A single address has been checked before the rules were asked, of several each will be.
    return Plan(rule, far_end, address, addresses or () if several else (), identity)


def _associated(case: Case, rule: Rule, identity: Identity | None) -> Plan | Refusal:
    announced = announced_address(case)
    host = receiving_host(case, announced)
    if not host and rule.udp.from_connected:
        host = case.local.host  # it can still be served from where it is connected from
    if not host:
        text = unreceived_text(case, announced.family)
        ending = Ending(Side.CLIENT, Phase.CONNECT, Cause.UNUSABLE, text=text)
        return Refusal(ending, UNUSABLE_ADDRESS, rule, identity=identity)
    return Plan(rule, None, announced, identity=identity, receiving_host=host)


def _far_end(case: Case, target: Endpoint) -> Endpoint | None:
    """The far end of a session, as its record has it."""
    command = case.request.command
    if command is COMMAND_CONNECT:
        return target
    return case.asked if command is COMMAND_BIND else None  # the peer has not come yet
