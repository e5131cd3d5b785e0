"""
Decides whether a datagram of an association may go to its target, and whether an answer may come
back.  (Reference: ``sockd.conf(5)``, ``udpassociate`` and ``udpreply``.)
"""

from __future__ import annotations

from dantetw.plan.case import Case, Traces, ask_rules
from dantetw.plan.outcome import Resolve
from dantetw.plan.usable import unusable_text
from dantetw.policy import Rule, RuleKind
from dantetw.rules.addresses import Known, Lookup
from dantetw.rules.decision import Decision, Question, block_rule
from dantetw.values import FAMILIES, FAMILY_NAME, Command, Drop, Endpoint, Protocol, value


@value
class DatagramPlan:
    """
    What becomes of a datagram.

    :ivar rule: the socks rule that passes or blocks it.
    :ivar target: numeric: where it goes to; of an answer where it comes from.
    :ivar dropped: why it is not relayed, ``BLOCKED`` or ``UNUSABLE``; None: it is relayed.
    :ivar text: the same in Dante's words, where it takes any.
    """

    rule: Rule
    target: Endpoint
    dropped: Drop | None = None
    text: str = ""


def resolve_target(case: Case, asked: Endpoint) -> Resolve | None:
    """The look-up that a datagram's target needs; None: it is an address."""
    if asked.family is not FAMILY_NAME:
        return None
    return Resolve(asked.host, case.around.sources.families() or FAMILIES)


def plan_datagram(
    case: Case,
    question: Question,
    known: Known,
    traces: Traces | None = None,
) -> DatagramPlan | Lookup:
    """
    Ask the socks rules about a datagram.

    :param question: as of :meth:`~dantetw.plan.case.Case.datagram_question`; a target that is a
        name has its addresses in it.
    :param known: answers to look-ups.
    :param traces: if given, gets how the rules fared.
    """
    decision = ask_rules(case, question, known, traces, case.auth)
    if isinstance(decision, Lookup):
        return decision
    if not isinstance(decision, Decision):
        # The password is no longer kept, and no login is checked for each datagram.
        return blocked(case, question)
    target, addresses = decision.target, question.addresses
    if target.family is FAMILY_NAME and addresses:
        target = Endpoint.of((addresses[0], target.port))
    if decision.blocks:
        return DatagramPlan(decision.rule, target, Drop.BLOCKED)
    text = unusable_text(target)
    return DatagramPlan(decision.rule, target, Drop.UNUSABLE if text else None, text)


def reply_question(case: Case, sender: Endpoint, client: Endpoint) -> Question:
    """What the socks rules are asked about an answer from ``sender`` to the client."""
    return Question(
        sender,
        client,
        Command.UDPREPLY,
        Protocol.UDP,
        case.request.proxy_protocol,
    )


def plan_reply(
    case: Case, question: Question, known: Known, traces: Traces | None = None
) -> DatagramPlan | Lookup:
    """
    Ask the socks rules about an answer.

    :param question: as of :func:`reply_question`.
    """
    # A remote end that answers does not authenticate.
    decision = ask_rules(case, question, known, traces, None)
    if isinstance(decision, Lookup):
        return decision
    assert isinstance(decision, Decision)
    dropped = Drop.BLOCKED if decision.blocks else None
    return DatagramPlan(decision.rule, question.source, dropped)


def blocked(case: Case, question: Question) -> DatagramPlan:
    """The plan for a datagram that the rules cannot decide about."""
    rule = block_rule(RuleKind.SOCKS, case.policy.default_log)
    return DatagramPlan(rule, question.target or question.source, Drop.BLOCKED)
