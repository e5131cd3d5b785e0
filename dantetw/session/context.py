"""
A policy with the objects that are built for it once, and shared by the sessions that begin with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from dantetw.auth.groups import Groups
from dantetw.net.sources import Sources
from dantetw.observe.filters import ErrorFilters
from dantetw.plan.case import Premises
from dantetw.policy import Policy, RuleKind
from dantetw.rules.authentication import needs_checks
from dantetw.rules.cache import DecisionCache
from dantetw.rules.decision import asks_for_groups, block_rule
from dantetw.upstream.interfaces import IUpstream
from dantetw.values import Endpoint, Method


class PolicyContext:
    """
    A policy as sessions use it.

    :param authenticators: the checker of each method that has something to check: an
        :class:`~dantetw.auth.interfaces.IAuthenticator` for ``username``, else an
        :class:`~dantetw.auth.interfaces.IProver`.
    :param sources: chooses source addresses.
    :param upstreams: the upstreams, by name.
    :param is_ours: whether a connection to an endpoint would come back to us as a client.
    :param reactor: the clock of ``groups``.
    :ivar needs_checks: whether rules have methods that need checks beyond the negotiation.
    :ivar decisions: the decision cache.
    :ivar filters: which failures are logged.
    :ivar groups: the users' groups that rules name.
    :ivar premises: the inputs of plans that all requests share.
    :ivar initial_rule: the client rule of a session for which none has been found yet.
    """

    def __init__(
        self,
        policy: Policy,
        authenticators: Mapping[Method, Any],
        sources: Sources,
        upstreams: Mapping[str, IUpstream],
        is_ours: Callable[[Endpoint], bool],
        reactor: Any,
    ) -> None:
        self.policy: Final = policy
        self.authenticators = authenticators
        self.sources = sources
        self.upstreams = upstreams
        self.needs_checks: Final = needs_checks(policy)
        self.decisions: Final = DecisionCache(policy, self.needs_checks)
        self.filters: Final = ErrorFilters(policy)
        self.groups = Groups(asks_for_groups(policy), reactor)
        self.premises: Final = Premises(policy, sources, is_ours, self.groups.of)
        self.initial_rule: Final = block_rule(RuleKind.CLIENT, policy.default_log)
