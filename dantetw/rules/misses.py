"""
Finds all conditions that keep a rule from matching, not only the first that fails.

A rule is tried, the condition that failed is made to fit, and the rule is tried again, until it
matches.  So the answer comes from the function that decides (:mod:`.decision`).  Address and port
count as two conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from dantetw.policy import ALL_PORTS, Address, HostKind, Rule
from dantetw.rules.decision import Question, Tried
from dantetw.values import Method, value

_ADDRESSES: Final = frozenset(("from", "to"))


@value
class Missed:
    """
    A condition that does not hold.

    :ivar what: its keyword; ``from port`` or ``to port`` where the address fits.
    :ivar tried: how the rule fared when this was the first condition that failed.
    """

    what: str
    tried: Tried


def missed(
    rule: Rule, question: Question, method: Method, ask: Callable[[Rule], Tried]
) -> tuple[Missed, ...]:
    """
    All conditions of a rule that do not hold, in the order in which they are tried.

    :param method: what the client has shown; of a client rule: when it was accepted.
    :param ask: how a rule fares.
    """
    found: list[Missed] = []
    while (tried := ask(rule)).failed:
        what = tried.failed
        if what in _ADDRESSES:
            address = rule.source if what == "from" else rule.target
            other = _with_address(rule, what, replace(address, ports=ALL_PORTS))
            if address.ports != ALL_PORTS and ask(other).failed != what:
                rule, what = other, f"{what} port"
            else:
                rule = _with_address(rule, what, replace(address, kind=HostKind.ANY))
        else:
            rule = _relaxed(rule, what, question, method)
        found.append(Missed(what, tried))
    return tuple(found)


def is_near(missed: Sequence[Missed]) -> bool:
    """
    Whether a rule nearly matched: both of its addresses fit, and what does not is a port, a
    command, a method, a user or the like.
    """
    return bool(missed) and all(each.what not in _ADDRESSES for each in missed)


def _with_address(rule: Rule, which: str, address: Address) -> Rule:
    return replace(rule, source=address) if which == "from" else replace(rule, target=address)


def _relaxed(rule: Rule, what: str, question: Question, method: Method) -> Rule:
    match what:
        case "protocol":
            return replace(rule, protocols=rule.protocols | {question.protocol})
        case "command":
            return replace(rule, commands=rule.commands | {question.command})
        case "proxyprotocol":
            return replace(rule, proxy_protocols=rule.proxy_protocols | {question.proxy_protocol})
        case "clientmethod":
            both = (question.client_method, method)
            return replace(rule, client_methods=rule.client_methods + both)
        case "socksmethod":
            return replace(rule, socks_methods=(*rule.socks_methods, method))
        case "user":
            return replace(rule, users=frozenset())
        case _:
            return replace(rule, groups=frozenset())
