"""
One of the several addresses of a target's name: may it be tried?

Each is judged as if the name had no other, so that a rule that passes one of them says nothing
about the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dantetw.net.race import arrange
from dantetw.plan.case import Case, Traces, ask_rules
from dantetw.plan.outcome import Plan
from dantetw.plan.usable import unusable
from dantetw.policy import Rule
from dantetw.rules.addresses import Known, Lookup
from dantetw.rules.decision import Decision
from dantetw.values import FAMILY_NAME, Endpoint, Outcome, value


@value
class Candidate:
    """
    One of the addresses, judged.

    :ivar rule: the socks rule that passes or blocks it; None: none was asked.
    :ivar name: the target's name, if the rule passes it by that.
    :ivar refused: why it is not tried: ``BLOCKED`` or ``UNUSABLE``; None: it is tried.
    :ivar text: the same in words.
    """

    target: Endpoint
    rule: Rule | None = None
    name: Endpoint | None = None
    refused: Outcome | None = None
    text: str = ""


def order_of(plan: Plan, failed_lately: Callable[[str, int], bool]) -> tuple[str, ...]:
    """
    The addresses of a plan in the order in which they are tried.

    :param failed_lately: whether a host and port could not be reached recently.
    """
    # Where the rule is about one address only, that one comes first.
    first, port = plan.address.host, plan.address.port
    leading = first if plan.name is None else ""
    return arrange(plan.addresses, leading, lambda host: failed_lately(host, port))


def judge_address(
    case: Case, plan: Plan, target: Endpoint, known: Known, traces: Traces | None = None
) -> Candidate | Lookup:
    """
    Judge one of the addresses.

    :param plan: that of the request.
    :param target: the address, with the port.
    :param known: answers to look-ups.
    :param traces: if given, gets how the rules fared.
    """
    wrong = unusable(case, target)
    if wrong is not None:
        return Candidate(target, refused=Outcome.UNUSABLE, text=wrong.ending.text)
    if target.host == plan.address.host:
        return Candidate(target, plan.rule, plan.name)  # the plan's rule is about this one
    question = replace(case.question(), addresses=(target.host,))
    decision = ask_rules(case, question, known, traces, case.auth)
    if isinstance(decision, Lookup):
        return decision
    if not isinstance(decision, Decision):
        # The password is no longer kept: only the present authentication counts.
        return _blocked(target, None)
    rule, shown, before = decision.rule, decision.identity, plan.identity
    same = shown is None or (
        before is not None and (shown.user, shown.method) == (before.user, before.method)
    )
    if decision.blocks or not same:
        return _blocked(target, rule)
    name = decision.target if decision.target.family is FAMILY_NAME else None
    return Candidate(target, rule, name)


def _blocked(target: Endpoint, rule: Rule | None) -> Candidate:
    number = 0 if rule is None else rule.number
    return Candidate(target, rule, None, Outcome.BLOCKED, f"blocked by rule {number}")
