"""
A cache of decisions.

A decision on addresses alone does not change, and the same clients and targets come again and
again.  Decisions to pass are cached, which saves 5 % of a short session, whatever the number of
rules.  All others are made each time: those that depend on a look-up, a user or the client's port,
and those that block, which may have to be explained in the log.
"""

from __future__ import annotations

from typing import Final

from dantetw.policy import ALL_PORTS, Address, HostKind, Policy, Rule
from dantetw.rules.decision import Decision, Question
from dantetw.values import FAMILY_NAME, Command, Endpoint, Method, ProxyProtocol

#: Cached decisions of a kind; when there would be more, all are dropped.  An entry has some 300
#: bytes.
MOST: Final = 4096

_ADDRESSES: Final = frozenset((HostKind.ANY, HostKind.NET))

_Client = tuple[str, str, int]
_Socks = tuple[str, str, int, Command, ProxyProtocol, Method, Method]


class DecisionCache:
    """
    The clients and requests that one policy has passed.

    :param checks: the policy has methods that need checks: then nothing is kept.
    """

    def __init__(self, policy: Policy, checks: bool) -> None:
        self._by_client = not checks and all(map(_addresses_only, policy.client_rules))
        self._by_target = not checks and all(map(_addresses_only, policy.socks_rules))
        self._clients: dict[_Client, Rule] = {}
        self._targets: dict[_Socks, Rule] = {}

    def of_client(self, client: Endpoint, local: Endpoint) -> Rule | None:
        """The client rule that has passed a client like this one; None: ask the rules."""
        return self._clients.get((client.host, local.host, local.port))

    def remember_client(self, client: Endpoint, local: Endpoint, rule: Rule) -> None:
        """Keep the client rule that has passed a client, if that depends on addresses alone."""
        if self._by_client:
            if len(self._clients) >= MOST:
                self._clients.clear()
            self._clients[client.host, local.host, local.port] = rule

    def of_request(self, question: Question) -> Rule | None:
        """The socks rule that has passed a request like this one; None: ask the rules."""
        target = question.target
        # A user may not do what a client without a name may.
        if target is None or question.user is not None:
            return None
        return self._targets.get(_key(question, target))

    def remember_request(self, question: Question, decision: Decision) -> None:
        """Keep a decision on a request, if it depends on addresses alone."""
        target = question.target
        if not self._by_target or decision.blocks or question.user is not None:
            return
        # Only a name's addresses make a decision's target another than what was asked for.
        if target is not None and target.family is not FAMILY_NAME and decision.target is target:
            if len(self._targets) >= MOST:
                self._targets.clear()
            self._targets[_key(question, target)] = decision.rule


def _key(question: Question, target: Endpoint) -> _Socks:
    return (
        question.source.host,
        target.host,
        target.port,
        question.command,
        question.proxy_protocol,
        question.client_method,
        question.method,
    )


def _addresses_only(rule: Rule) -> bool:
    # Its other conditions are on what is in the key.  One on anything else (the time, the number of
    # sessions) must be excluded here.
    return _fixed(rule.source) and rule.source.ports is ALL_PORTS and _fixed(rule.target)


def _fixed(address: Address) -> bool:
    return address.kind in _ADDRESSES
