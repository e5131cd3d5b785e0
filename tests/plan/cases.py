"""
Requests for tests of plans: a case from a configuration and what a client asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dantetw import catalogue
from dantetw.addresses import literal_endpoint
from dantetw.net.sources import Sources
from dantetw.plan.case import Case, Premises
from dantetw.plan.listening import Listening
from dantetw.plan.outcome import BindPort, Plan, Refusal, Resolve
from dantetw.plan.request import plan_request
from dantetw.policy import Policy
from dantetw.rules.addresses import Lookup, LookupKind
from dantetw.rules.authentication import AuthCheck, AuthResult, AuthState, Identity
from dantetw.values import Command, Endpoint, Method, ProxyProtocol, User
from dantetw.wire.dialects import Request
from tests.session.world import CLIENT, HEAD, HERE, TARGET, Machine, compiled

#: A configuration's head with one client rule, which admits all.
ADMITTING = HEAD + "socksmethod: none username\nclient pass { from: 0/0 to: 0/0 }\n"

Found = Plan | Refusal | Resolve | BindPort | Lookup | AuthCheck


class Net:
    """
    The premises of a case.

    :ivar interfaces: the addresses of network interfaces.
    :ivar groups: the members of groups, by user.
    """

    def __init__(self) -> None:
        self.interfaces: dict[str, Sequence[str]] = {}
        self.groups: dict[str, frozenset[str]] = {}

    def addresses_of(self, interface: str) -> Sequence[str]:
        """Addresses of an interface."""
        return self.interfaces.get(interface, ())

    def groups_of(self, user: str) -> frozenset[str]:
        """The groups of a user."""
        return self.groups.get(user, frozenset())


def no_route(target: Endpoint) -> str:
    """A kernel that must not be asked."""
    raise AssertionError(target)


def case(
    policy: str | Policy,
    target: Endpoint = TARGET,
    command: Command = Command.CONNECT,
    protocol: ProxyProtocol = ProxyProtocol.SOCKS_V5,
    user: str = "",
    *,
    client: Endpoint = CLIENT,
    local: Endpoint = HERE,
    auth: Mapping[AuthCheck, AuthResult] | None = None,
    addresses: tuple[str, ...] | None = None,
    bound: Endpoint | None = None,
    net: Net | None = None,
) -> Case:
    """
    A client's request.

    :param policy: or the lines behind :data:`ADMITTING`.
    :param user: who has logged in with ``username``.
    :param auth: the results of checks, if the policy asks for any.
    """
    net = net or Net()
    policy = compiled(ADMITTING + policy) if isinstance(policy, str) else policy
    method = Method.USERNAME if user else Method.NONE
    (dialect,) = (each for each in catalogue.DIALECTS if each.proxy_protocol is protocol)
    listening = Listening(
        (each for line in policy.internal for each in line.listens), Machine().all_addresses
    )
    sources = Sources(policy, net.addresses_of, lambda: 0.0, no_route)
    made = Case(
        Premises(policy, sources, listening.is_ours, net.groups_of),
        client,
        local,
        policy.client_rules[0],
        Request(command, target, dialect, method),
        literal_endpoint(target),
        Method.NONE,
        User(method, user) if user else None,
        None if auth is None else AuthState(auth, net.groups_of, method, user or None),
    )
    made.addresses, made.bound = addresses, bound
    return made


#: What is known of names and addresses.
Answers = Mapping[Lookup, tuple[str, ...]]


def answers(
    forward: Mapping[str, tuple[str, ...]] | None = None,
    reverse: Mapping[str, tuple[str, ...]] | None = None,
) -> Answers:
    """Answers to look-ups."""
    found = {Lookup(LookupKind.FORWARD, name): each for name, each in (forward or {}).items()}
    return found | {
        Lookup(LookupKind.REVERSE, name): each for name, each in (reverse or {}).items()
    }


def planned(
    made: Case, known: Answers | None = None, plan: Callable[..., Found] = plan_request
) -> Found:
    """What comes of a case."""
    return plan(made, answers() if known is None else known)


def shown(found: Found) -> object:
    """
    What came of a case, short enough for a table: ``(rule number, target, address)``, a refusal's
    ``(phase, cause, text, reply)``, or what is needed.
    """
    if isinstance(found, Plan):
        target = None if found.target is None else str(found.target)
        return found.rule.number, target, str(found.address)
    if isinstance(found, Refusal):
        ending = found.ending
        return ending.phase.word, ending.cause.word, ending.text, int(found.reply)
    return found


def identity(method: Method, name: str | None = None, refusal: str = "") -> Identity:
    """What a client has shown."""
    return Identity(method, None if name is None else User(method, name), refusal)
