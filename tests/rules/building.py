"""
Addresses, rules and questions for tests: one default per field, so that a test names only what it
is about.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from dantetw.policy import (
    ALL_PORTS,
    Address,
    HostKind,
    LoggingPolicy,
    Policy,
    PortSet,
    ResolveProtocol,
    Rule,
    RuleKind,
    Where,
)
from dantetw.rules.decision import Question
from dantetw.values import (
    Command,
    Endpoint,
    Family,
    Method,
    Protocol,
    ProxyProtocol,
    User,
    Verdict,
)

FILE = "sockd.conf"
REQUESTS = frozenset(Command) - {Command.ACCEPT}


def address(text: str, ports: PortSet = ALL_PORTS, line: int = 1) -> Address:
    """The address condition that ``text`` makes in a file; ``%`` before it means an interface."""
    where = Where(FILE, line, 10)
    if text == "0/0":
        return Address(HostKind.ANY, text, where, ports=ports)
    if "/" in text:
        net = ipaddress.ip_network(text, strict=False)
        family = Family.IPV4 if net.version == 4 else Family.IPV6
        network, mask = int(net.network_address), int(net.netmask)
        return Address(HostKind.NET, text, where, family, network, mask, ports=ports)
    if text.startswith("."):
        return Address(HostKind.DOMAIN, text, where, name=text[1:].lower(), ports=ports)
    if text.startswith("%"):
        return Address(HostKind.INTERFACE, text[1:], where, name=text[1:], ports=ports)
    return Address(HostKind.NAME, text, where, name=text.lower(), ports=ports)


def endpoint(host: str, port: int = 80) -> Endpoint:
    """An endpoint; whether ``host`` is an address or a name shows from its form."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return Endpoint(host, port, Family.NAME)
    return Endpoint(host, port, Family.IPV4 if version == 4 else Family.IPV6)


def rule(
    number: int = 1,
    verdict: Verdict = Verdict.PASS,
    source: str = "0/0",
    target: str = "0/0",
    kind: RuleKind = RuleKind.SOCKS,
    source_ports: PortSet = ALL_PORTS,
    target_ports: PortSet = ALL_PORTS,
    commands: frozenset[Command] = REQUESTS,
    protocols: frozenset[Protocol] = frozenset(Protocol),
    proxy_protocols: frozenset[ProxyProtocol] = frozenset(
        (ProxyProtocol.SOCKS_V4, ProxyProtocol.SOCKS_V5)
    ),
    client_methods: tuple[Method, ...] = (Method.NONE,),
    socks_methods: tuple[Method, ...] = (Method.NONE,),
    users: frozenset[str] = frozenset(),
    groups: frozenset[str] = frozenset(),
    places: Mapping[str, Where] | None = None,
    pam_service: str = "sockd",
) -> Rule:
    """A socks rule that fits everything nobody authenticates for."""
    return Rule(
        kind=kind,
        number=number,
        verdict=verdict,
        where=Where(FILE, number, 1),
        source=address(source, source_ports),
        target=address(target, target_ports),
        commands=commands,
        protocols=protocols,
        proxy_protocols=proxy_protocols,
        client_methods=client_methods,
        socks_methods=socks_methods,
        users=users,
        groups=groups,
        places=places or {},
        pam_service=pam_service,
    )


def policy(
    *socks_rules: Rule,
    client_rules: tuple[Rule, ...] = (),
    fake: bool = False,
    families: frozenset[Family] = frozenset((Family.IPV4, Family.IPV6)),
    debug: int = -1,
) -> Policy:
    """A policy with these rules."""
    return Policy(
        FILE,
        socks_rules=socks_rules,
        client_rules=client_rules,
        external_families=families,
        resolve_protocol=ResolveProtocol.FAKE if fake else ResolveProtocol.UDP,
        logging=LoggingPolicy(debug=debug),
    )


def question(
    target: str | None = "192.0.2.1",
    port: int = 80,
    source: str = "127.0.0.1",
    command: Command = Command.CONNECT,
    protocol: Protocol = Protocol.TCP,
    proxy_protocol: ProxyProtocol = ProxyProtocol.SOCKS_V5,
    client_method: Method = Method.NONE,
    method: Method = Method.NONE,
    user: str | None = None,
    groups: frozenset[str] | None = None,
    addresses: tuple[str, ...] | None = None,
) -> Question:
    """A CONNECT by nobody in particular."""
    return Question(
        source=endpoint(source, 50000),
        target=None if target is None else endpoint(target, port),
        command=command,
        protocol=protocol,
        proxy_protocol=proxy_protocol,
        client_method=client_method,
        method=method,
        user=None if user is None else User(method, user),
        groups=groups,
        addresses=addresses,
    )
