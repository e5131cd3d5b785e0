"""
Random configurations that both servers take.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tests.differential.world import (
    CLIENT_NAMES,
    CLIENTS,
    EXTERNAL,
    GROUPS,
    INTERNAL,
    NAMES,
    PORT,
    PORTS,
    STRAY,
    USERS,
)

_EVERYBODY = ("0/0", "0.0.0.0/0", "::/0")
_INTERFACE = "lo"
_CLIENT_NETS = (
    "10.0.0.0/24",
    "10.0.0.1/32",
    "10.0.0.2/32",
    "10.0.0.0/8",
    "fd00::/64",
    "fd00::1/128",
)
_ANNOUNCED_NETS = ("172.16.0.0/12", "172.16.0.9/32")
_TARGET_NETS = ("192.0.2.0/24", "192.0.2.1/32", "192.0.2.2/32", "2001:db8::/32", "2001:db8::1/128")
_DOMAINS = (".example", ".one.example")
_LOGS = ("connect disconnect error iooperation",) * 8 + (
    "connect disconnect error",
    "error",
    "disconnect",
    "connect",
)
_COMMANDS = ("bind", "connect", "udpassociate", "bindreply", "udpreply")


def configuration(random: Random, log: str, rules: int) -> str:
    """
    The text of a configuration.

    :param log: the log file.
    :param rules: how many client rules and socks rules together.
    """
    external = random.choice((EXTERNAL, EXTERNAL, EXTERNAL[:1], EXTERNAL[1:]))
    methods = random.choice(("none", "none username", "username none", "username"))
    lines = [
        f"logoutput: {log}",
        *(f"internal: {address} port = {PORT}" for address in INTERNAL),
        *(f"external: {address}" for address in external),
    ]
    if len(external) > 1:
        lines.append("external.rotation: none")
    lines += [
        "user.privileged: root",
        "user.unprivileged: nobody",
        "clientmethod: none",
        *(["resolveprotocol: fake"] if random.random() < 0.05 else []),
        f"socksmethod: {methods}",
        f"udp.connectdst: {random.choice(('yes', 'no'))}",
    ]
    some = max(1, rules // 4)
    lines += [client_rule(random, methods) for _ in range(some)]
    lines.append(
        "client pass { from: 0/0 to: 0/0 log: connect disconnect error }"
        if random.random() < 0.8
        else "client pass { from: 10.0.0.0/8 to: 0/0 log: connect disconnect error }"
    )
    lines += [socks_rule(random, methods) for _ in range(max(1, rules - some))]
    if random.random() < 0.5:
        lines.append("socks pass { from: 0/0 to: 0/0 log: connect disconnect error iooperation }")
    return "\n".join(lines) + "\n"


def client_rule(random: Random, methods: str) -> str:
    """A rule about connections to the server."""
    verdict = "pass" if random.random() < 0.6 else "block"
    source = _address(random, _CLIENT_NETS + _EVERYBODY, CLIENT_NAMES, (20000, 20100, 20250))
    local = _address(random, (*_EVERYBODY, *_alone(INTERNAL)), (), (PORT,))
    if (
        verdict == "block"
        and "port" not in source
        and any(source.startswith(every) for every in _EVERYBODY)
    ):
        source += " port lt 20030"
    offers = ""
    if verdict == "pass" and random.random() < 0.15:
        offers = f"\n    socksmethod: {random.choice((methods, *methods.split()))}"
    log = random.choice(_LOGS)
    return f"client {verdict} {{ from: {source} to: {local}{offers}\n    log: {log} }}"


def socks_rule(random: Random, methods: str) -> str:
    """A rule about requests."""
    verdict = "pass" if random.random() < 0.6 else "block"
    reply = random.random() < 0.25
    nets, names = _CLIENT_NETS + _EVERYBODY + _ANNOUNCED_NETS, CLIENT_NAMES
    target_nets: Sequence[str] = _TARGET_NETS + _EVERYBODY
    target_names: Sequence[str] = (*NAMES, *_DOMAINS)
    if reply:
        nets, target_nets = (
            (*_TARGET_NETS, *_alone(CLIENTS), *_EVERYBODY),
            _CLIENT_NETS + _EVERYBODY,
        )
        names, target_names = NAMES, CLIENT_NAMES
    source = _address(random, nets, names, (20000, 20100, 30050, 40030, 80))
    target = _address(random, target_nets, target_names, (*PORTS, STRAY))
    conditions = [f"from: {source}", f"to: {target}"]
    if reply:
        conditions.append("command: " + _some(random, ("bindreply", "udpreply")))
    elif random.random() < 0.5:
        conditions.append("command: " + _some(random, _COMMANDS))
    elif random.random() < 0.3:
        conditions.append("protocol: " + random.choice(("tcp", "udp", "tcp udp")))
    if random.random() < 0.25:
        chosen = random.choice(("socks_v4", "socks_v5", "socks_v5", "socks_v4 socks_v5"))
        conditions.append("proxyprotocol: " + chosen)
    if random.random() < 0.3 and not reply:
        method = random.choice(methods.split())
        conditions.append(f"socksmethod: {method}")
        if method == "username" and random.random() < 0.5:
            # Whoever replies has no name.
            conditions = [each for each in conditions if not each.startswith(("command", "proto"))]
            conditions.append("command: " + _some(random, _COMMANDS[:3]))
            asked = random.choice((("user: ", USERS), ("group: ", GROUPS)))
            conditions.append(asked[0] + _some(random, asked[1]))
    conditions.append("log: " + random.choice(_LOGS))
    return f"socks {verdict} {{ " + "\n    ".join(conditions) + " }"


def _some(random: Random, words: Sequence[str]) -> str:
    count = random.randint(1, max(1, len(words) - 1))
    return " ".join(random.sample(words, count))


def _address(
    random: Random, nets: Sequence[str], names: Sequence[str], ports: Sequence[int]
) -> str:
    """An address or name as in a rule, with a condition on the port or without."""
    host = random.choice(names) if names and random.random() < 0.25 else random.choice(nets)
    if random.random() < 0.03:
        host = _INTERFACE
    if random.random() < 0.6:
        return host
    port = random.choice(ports)
    kind = random.choice(("=", "eq", "ne", "!=", "ge", "le", "gt", "lt", "<", ">", "range"))
    if kind == "range":
        return f"{host} port {port} - {port + random.choice((0, 1, 50, 400))}"
    return f"{host} port {kind} {port}"


def _alone(hosts: Sequence[str]) -> tuple[str, ...]:
    """Single addresses, as a rule has them."""
    return tuple(f"{host}/{128 if ':' in host else 32}" for host in hosts)
