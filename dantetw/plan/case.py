"""
The facts of one client's request, and the questions about it for the socks rules.
"""

from __future__ import annotations

from collections.abc import Callable

from dantetw.net.sources import Sources
from dantetw.policy import Policy, Rule
from dantetw.rules.addresses import Known, Lookup
from dantetw.rules.authentication import AuthCheck, AuthState
from dantetw.rules.decision import Decision, Question, Tried, decide_socks
from dantetw.values import (
    COMMAND_UDPASSOCIATE,
    FAMILY_NAME,
    PROTOCOL_OF,
    Endpoint,
    Method,
    Protocol,
    User,
)
from dantetw.wire.dialects import Request

#: How the rules fared, of each question that they have answered, in order.
Traces = list[tuple[Question, list[Tried]]]


class Premises:
    """
    The facts that requests under one policy share.

    :ivar policy: the configuration.
    :ivar sources: the addresses to connect from.
    :ivar is_ours: whether a connection to an endpoint would come back to this server.
    :ivar groups_of: which of the groups that rules name a user is in.
    """

    __slots__ = ("groups_of", "is_ours", "policy", "sources")

    def __init__(
        self,
        policy: Policy,
        sources: Sources,
        is_ours: Callable[[Endpoint], bool],
        groups_of: Callable[[str], frozenset[str]],
    ) -> None:
        self.policy = policy
        self.sources = sources
        self.is_ours = is_ours
        self.groups_of = groups_of


class Case:
    """
    One request, and all that a decision about it may depend on.

    The functions of this package do not change it.  A caller that finds out what they ask for
    stores the answer here: ``addresses`` for a :class:`~dantetw.plan.outcome.Resolve`, ``bound``
    for a :class:`~dantetw.plan.outcome.BindPort`.

    :ivar around: what it has in common with others; ``policy``: the configuration.
    :ivar client: the client's end of its connection; ``local``: ours.
    :ivar client_rule: the rule that admitted it.
    :ivar request: what it asks for.
    :ivar asked: its target, with an address in place of a name that spells one
        (:func:`dantetw.addresses.literal_endpoint`).
    :ivar client_method: how it authenticated when it was accepted.
    :ivar user: the name it has authenticated as; None: it has not.
    :ivar auth: its authentication, where a policy asks for methods beyond ``none`` and
        ``username``; else None.
    :ivar addresses: of the target's name; None: it is none, or they are not known yet.
    :ivar bound: the port that was bound for a BIND; None: none was bound yet.
    """

    __slots__ = (
        "addresses",
        "around",
        "asked",
        "auth",
        "bound",
        "client",
        "client_method",
        "client_rule",
        "local",
        "policy",
        "request",
        "user",
    )

    def __init__(
        self,
        around: Premises,
        client: Endpoint,
        local: Endpoint,
        client_rule: Rule,
        request: Request,
        asked: Endpoint,
        client_method: Method,
        user: User | None,
        auth: AuthState | None,
    ) -> None:
        self.around = around
        self.policy = around.policy
        self.client = client
        self.local = local
        self.client_rule = client_rule
        self.request = request
        self.asked = asked
        self.client_method = client_method
        self.user = user
        self.auth = auth
        self.addresses: tuple[str, ...] | None = None
        self.bound: Endpoint | None = None

    def question(self) -> Question:
        """
        What the socks rules are asked about the request: its target, of a BIND the port that was
        bound, of an association no target.
        """
        request, user, target = self.request, self.user, self.bound or self.asked
        command = request.command
        return Question(
            self.client,
            None if command is COMMAND_UDPASSOCIATE else target,
            command,
            PROTOCOL_OF[command],
            request.proxy_protocol,
            self.client_method,
            request.method,
            user,
            self.around.groups_of(user.name) if user is not None else None,
            self.addresses if target.family is FAMILY_NAME else None,
        )

    def datagram_question(
        self, client: Endpoint, target: Endpoint, addresses: tuple[str, ...] | None
    ) -> Question:
        """
        What the socks rules are asked about a datagram of an association.

        :param client: where it came from.
        :param addresses: of a target that is a name.
        """
        request, user = self.request, self.user
        return Question(
            client,
            target,
            COMMAND_UDPASSOCIATE,
            Protocol.UDP,
            request.proxy_protocol,
            self.client_method,
            request.method,
            user,
            self.around.groups_of(user.name) if user is not None else None,
            addresses,
        )


def ask_rules(
    case: Case, question: Question, known: Known, traces: Traces | None, auth: AuthState | None
) -> Decision | Lookup | AuthCheck:
    """
    Ask the socks rules of a case.

    :param traces: if given, gets how the rules fared.
    :param auth: the client's authentication, if the rules need it.
    """
    if traces is None:
        return decide_socks(case.policy, question, known, None, auth)
    trace: list[Tried] = []
    decision = decide_socks(case.policy, question, known, trace, auth)
    if isinstance(decision, Decision):
        traces.append((question, trace))
    return decision
