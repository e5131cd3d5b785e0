"""
The policy as a whole.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field

from dantetw.policy.addresses import External, Internal, Rotation
from dantetw.policy.rules import Rule, RuleKind
from dantetw.policy.settings import (
    DEBUG_LOG,
    AuthenticationPolicy,
    CompatibilityPolicy,
    LoggingPolicy,
    ProcessPolicy,
    ResolveProtocol,
    SocketOption,
    Timeouts,
    UdpPolicy,
    UserPolicy,
)
from dantetw.values import FAMILIES, Family, Method


@dataclass(frozen=True, slots=True)
class Policy:
    """
    All that a configuration file says.

    :ivar file: its name, as given.
    :ivar generation: how many configurations the server has had before this one.
    :ivar waits: our keyword ``interface.missing``: the server waits for interfaces and addresses
        that are not there; False: it does not start without them.
    :ivar indexes: of the rules, by kind, made when first asked for
        (:mod:`dantetw.rules.index`).
    """

    file: str
    _: KW_ONLY
    generation: int = 0
    internal: tuple[Internal, ...] = ()
    external: tuple[External, ...] = ()
    external_families: frozenset[Family] = FAMILIES
    rotation: Rotation = Rotation.NONE
    waits: bool = True
    authentication: AuthenticationPolicy = field(default_factory=AuthenticationPolicy)
    users: UserPolicy = field(default_factory=UserPolicy)
    timeouts: Timeouts = field(default_factory=Timeouts)
    logging: LoggingPolicy = field(default_factory=LoggingPolicy)
    resolve_protocol: ResolveProtocol = ResolveProtocol.UDP
    udp: UdpPolicy = field(default_factory=UdpPolicy)
    compatibility: CompatibilityPolicy = field(default_factory=CompatibilityPolicy)
    processes: ProcessPolicy = field(default_factory=ProcessPolicy)
    socket_options: tuple[SocketOption, ...] = ()
    client_rules: tuple[Rule, ...] = ()
    socks_rules: tuple[Rule, ...] = ()
    indexes: dict[RuleKind, object] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def families_out(self) -> frozenset[Family]:
        """The families of the external addresses that there were when the file was read."""
        addresses = (address for line in self.external for address in line.addresses)
        found = {Family.IPV6 if ":" in address else Family.IPV4 for address in addresses}
        return self.external_families & found or self.external_families

    @property
    def methods(self) -> frozenset[Method]:
        """All methods that it names anywhere."""
        own = self.authentication
        rules = (*self.client_rules, *self.socks_rules)
        of_rules = (m for rule in rules for m in (*rule.client_methods, *rule.socks_methods))
        return frozenset((*own.client_methods, *own.socks_methods, *of_rules))

    @property
    def default_log(self) -> int:
        """
        ``LOG_…`` bits of the built-in block rule: what ``log.unmatched`` says, and with ``debug``
        all but data and tcpinfo.
        """
        return (DEBUG_LOG if self.logging.debug > 0 else 0) | self.logging.unmatched
