"""
The several addresses of a target's name: in which order they are tried, and which may be.

Each is judged by the socks rules as if the name had no other, so that a rule that passes one of
them says nothing about the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from dantetw.net.race import arrange
from dantetw.policy import Rule
from dantetw.rules.addresses import Known, Lookup
from dantetw.rules.authentication import AuthCheck
from dantetw.rules.decision import Decision, decide_socks
from dantetw.session import tracing
from dantetw.session.requesting import question_of
from dantetw.session.session import Session
from dantetw.values import Endpoint, Family

_NAME: Final = Family.NAME


def order(session: Session, named: Endpoint | None, first: Endpoint) -> tuple[str, ...]:
    """
    The addresses of a session's target in the order in which they are tried.

    :param named: the target's name, if the rule of the request passes it by that.
    :param first: the address that rule is about, which comes first if it is about no other.
    """
    unreached, port = session.server.unreached, first.port
    leading = "" if named is not None else first.host
    addresses = session.record.addresses or ()
    return arrange(addresses, leading, lambda host: unreached.lately(host, port))


def judge(session: Session, target: Endpoint) -> Callable[[Known], Decision | Lookup | AuthCheck]:
    """
    What asks the socks rules about one of the addresses.

    :param target: the address.
    """
    record = session.record
    assert record.request is not None and record.asked is not None
    question = question_of(session, record.request, record.asked)
    question = replace(question, addresses=(target.host,))
    state = None if session.authentication is None else session.authentication.state()
    ask = partial(decide_socks, record.policy, question)
    return partial(tracing.judged, session, ask, state, datagram=question)


def passed(session: Session, decision: Decision | AuthCheck) -> tuple[Rule | None, bool]:
    """
    The rule that decided about an address, if one did, and whether it may be tried.

    The password is gone by now, so an address is only for what the client has shown already.
    """
    record = session.record
    if isinstance(decision, AuthCheck):
        return None, False
    shown = decision.shown
    same = shown is None or (shown.user, shown.method) == (
        record.user,
        record.method,
    )
    return decision.rule, same and not decision.blocks


def name_in(decision: Decision) -> Endpoint | None:
    """The target's name, if a rule passes an address by that."""
    return decision.target if decision.target.family is _NAME else None
