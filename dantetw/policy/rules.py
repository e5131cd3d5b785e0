"""
Client rules and socks rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum

from dantetw.policy.addresses import Address
from dantetw.policy.places import Where
from dantetw.policy.settings import ErrorFilter, SocketOption, Timeouts
from dantetw.values import Command, Method, Protocol, ProxyProtocol, Verdict

#: The PAM service of rules that name none.
PAM_SERVICE = "sockd"


class RuleKind(Enum):
    """Client rules judge which clients are accepted, socks rules what they may request."""

    CLIENT = "client"
    SOCKS = "socks"


@dataclass(frozen=True, slots=True)
class RuleUdpPolicy:
    """
    Datagrams of a rule's sessions.

    :ivar portrange: ``udp.portrange``: first and last port of the client's side; None: any.
    :ivar from_connected: our keyword ``udp.source``: datagrams are served from the address that the
        client is connected from, whatever address it announces.
    """

    portrange: tuple[int, int] | None = None
    from_connected: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """
    One client or socks rule.

    :ivar number: from 1, per kind, in file order; 0 is the built-in block rule.
    :ivar source: the condition ``from``; ``target``: the condition ``to``.
    :ivar commands: socks rules: what it covers, after ``command`` and ``protocol`` filled each
        other in; client rules: only ``ACCEPT``.
    :ivar proxy_protocols: socks rules: SOCKS versions it covers.
    :ivar client_methods: methods the client must have passed at accept.
    :ivar socks_methods: socks rule: methods it admits, in order, after the global ones filled in;
        client rule: the methods offered to the client in negotiation, in order.
    :ivar pam_service: ``pam.servicename``: the PAM service of its methods ``pam.…``.
    :ivar users: exact names, empty if the rule does not ask; ``groups`` likewise.
    :ivar log: ``LOG_…`` bits of :mod:`dantetw.values`.
    :ivar error_filters: for its sessions, in addition to the global ones.
    :ivar timeouts: the global ones, overridden by the rule's own.
    :ivar places: for each keyword the rule's text has, where its last value was written.  A
        condition that is absent here was filled in, not written.
    :ivar fingerprint: identifies its text among the rules of its kind, over reloads; empty: the
        built-in block rule.
    """

    kind: RuleKind
    number: int
    verdict: Verdict
    where: Where
    source: Address
    target: Address
    _: KW_ONLY
    commands: frozenset[Command] = frozenset()
    protocols: frozenset[Protocol] = frozenset()
    proxy_protocols: frozenset[ProxyProtocol] = frozenset()
    client_methods: tuple[Method, ...] = (Method.NONE,)
    socks_methods: tuple[Method, ...] = ()
    pam_service: str = PAM_SERVICE
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    log: int = 0
    error_filters: tuple[ErrorFilter, ...] = ()
    timeouts: Timeouts = field(default_factory=Timeouts)
    socket_options: tuple[SocketOption, ...] = ()
    udp: RuleUdpPolicy = field(default_factory=RuleUdpPolicy)
    places: Mapping[str, Where] = field(default_factory=dict)
    fingerprint: str = ""
