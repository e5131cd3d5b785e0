"""
Decides whether a client may connect.
"""

from __future__ import annotations

from dantetw.plan.outcome import Admission, Refusal
from dantetw.policy import Policy
from dantetw.rules.addresses import Known, Lookup
from dantetw.rules.authentication import AuthCheck, AuthState
from dantetw.rules.decision import Decision, Tried, decide_client
from dantetw.values import Cause, Ending, Endpoint, Phase, ReplyCode, Side


def admit(
    policy: Policy,
    client: Endpoint,
    local: Endpoint,
    known: Known,
    auth: AuthState | None = None,
    trace: list[Tried] | None = None,
) -> Admission | Refusal | Lookup | AuthCheck:
    """
    Ask the client rules about a client that has just connected.

    :param client: its end of the connection; ``local``: ours.
    :param auth: the client, where a policy :func:`~dantetw.rules.authentication.needs_checks`.
    :param trace: if given, gets the result of each rule tried.
    :returns: a look-up or a check is to be answered before asking again.
    """
    decision = decide_client(policy, client, local, known, trace, auth)
    if not isinstance(decision, Decision):
        return decision
    rule = decision.rule
    if decision.blocks:
        ending = Ending(Side.RULE, Phase.ACCEPT, Cause.BLOCKED, text=decision.refusal)
        return Refusal(ending, ReplyCode.NOT_ALLOWED, rule, identity=decision.identity)
    return Admission(rule, decision.identity)
