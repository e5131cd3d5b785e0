"""
Random clients and what they ask for.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

from tests.differential.world import (
    CLIENT_NAMES,
    CLIENTS,
    CLOSED,
    EXTERNAL,
    INTERNAL,
    MAPPED,
    NAMES,
    PASSWORD,
    PORT,
    PORTS,
    STRAY,
    TARGETS,
    UNKNOWN,
    UNREACHABLE,
    USERS,
)

CONNECT, BIND, ASSOCIATE = 1, 2, 3
#: First ports of the clients' connections and datagrams, of announced ports, of BIND and its peers.
#: The number of a request is added, so that each line of a log shows whose it is.
TCP_BASE, UDP_BASE, ANNOUNCED_BASE, BOUND_BASE, PEER_BASE = 20000, 30000, 40000, 50000, 55000


@dataclass(frozen=True, slots=True)
class Asking:
    """
    One client's request, and what it does when it is granted.

    :ivar number: below 5000.
    :ivar client: its address; ``local``: the server's.
    :ivar version: of SOCKS: 4, or 5.
    :ivar methods: offered, of SOCKS 5; ``user`` and ``password``: said if asked for them.
    :ivar user_id: of SOCKS 4.
    :ivar host: an address or a name; as a name even if it is an address where ``named``.
    :ivar peer: who connects to a port that was bound.
    :ivar datagrams: targets of datagrams; ``sender``: where they come from.
    """

    number: int
    client: str
    local: str
    version: int
    command: int
    host: str
    port: int
    named: bool = False
    methods: tuple[int, ...] = (0,)
    user: str = ""
    password: str = ""
    user_id: str = ""
    peer: str = ""
    sender: str = ""
    sender_port: int = 0
    datagrams: tuple[tuple[str, int], ...] = field(default=())

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Asking:
        """From JSON."""
        datagrams = tuple((host, port) for host, port in plain.pop("datagrams"))
        return cls(**{**plain, "methods": tuple(plain["methods"]), "datagrams": datagrams})

    def __str__(self) -> str:
        what = {CONNECT: "connect", BIND: "bind", ASSOCIATE: "udpassociate"}[self.command]
        said = f"#{self.number} {self.client} SOCKS {self.version} {what} {self.host}:{self.port}"
        if self.named:
            said += " (as a name)"
        if self.version == 5:
            said += f" methods {self.methods}"
        if self.user or self.user_id:
            said += f" as {self.user or self.user_id}"
        if self.peer:
            said += f" peer {self.peer}"
        if self.command == ASSOCIATE:
            said += f" sends from {self.sender}:{self.sender_port} to {list(self.datagrams)}"
        return said


def request(random: Random, number: int) -> Asking:
    """Invent one."""
    client = random.choice(CLIENTS)
    local = INTERNAL[1] if ":" in client else INTERNAL[0]
    version = 4 if random.random() < 0.2 else 5
    methods, user, password, user_id = (0,), "", "", ""
    if version == 5:
        methods = random.choice(((0,), (2,), (0, 2), (2, 0)))
        if 2 in methods:
            user = random.choice(USERS)
            password = "wrong" if random.random() < 0.01 else PASSWORD
    else:
        user_id = random.choice(("", "alice", "somebody"))
    command = random.choice((CONNECT, CONNECT, BIND, ASSOCIATE, ASSOCIATE))
    if version == 4 and command == ASSOCIATE:
        command = CONNECT
    asking = {
        "number": number,
        "client": client,
        "local": local,
        "version": version,
        "command": command,
        "methods": methods,
        "user": user,
        "password": password,
        "user_id": user_id,
    }
    make = {CONNECT: _connect, BIND: _bind, ASSOCIATE: _associate}[command]
    made: dict[str, Any] = {**asking, **make(random, number, client)}
    if version == 4 and (made["named"] or ":" in made["host"]):
        # SOCKS 4a is not understood by Dante.
        made.update(host=random.choice(TARGETS[:2]), named=False)
    return Asking(**made)


def _connect(random: Random, number: int, client: str) -> dict[str, Any]:
    port = random.choice((*PORTS, *PORTS, CLOSED))
    chance = random.random()
    if chance < 0.35:
        return {"host": random.choice(NAMES), "port": port, "named": True}
    if chance < 0.39:
        return {"host": UNKNOWN, "port": port, "named": True}
    if chance < 0.43:
        return {"host": random.choice(TARGETS), "port": port, "named": True}
    if chance < 0.47:
        return {"host": random.choice(UNREACHABLE), "port": port, "named": False}
    if chance < 0.50:
        return {"host": random.choice(("0.0.0.0", "::")), "port": port, "named": False}
    if chance < 0.53:
        return {"host": random.choice(TARGETS), "port": 0, "named": False}
    if chance < 0.56:
        return {"host": random.choice(INTERNAL), "port": PORT, "named": False}
    if chance < 0.58:
        return {"host": MAPPED, "port": port, "named": False}
    return {"host": random.choice(TARGETS), "port": port, "named": False}


def _bind(random: Random, number: int, client: str) -> dict[str, Any]:
    host, named = random.choice((*TARGETS, "0.0.0.0", "::")), False
    if random.random() < 0.2:
        host, named = random.choice((*NAMES, UNKNOWN)), True
    peer = host if host in TARGETS and random.random() < 0.7 else random.choice(TARGETS)
    port = random.choice((0, BOUND_BASE + number))
    return {"host": host, "port": port, "named": named, "peer": peer}


def _associate(random: Random, number: int, client: str) -> dict[str, Any]:
    sender, sender_port = client, UDP_BASE + number
    chance, named = random.random(), False
    host, port = ("::" if ":" in client else "0.0.0.0"), 0
    if chance < 0.3:
        host, port = client, sender_port
    elif chance < 0.4:
        host = client
    elif chance < 0.5:
        port = sender_port
    elif chance < 0.6:
        host, port = "172.16.0.9", random.choice((0, ANNOUNCED_BASE + number))
    elif chance < 0.65:
        host, port = random.choice(CLIENTS), ANNOUNCED_BASE + number
    elif chance < 0.75:
        named, port = True, random.choice((0, sender_port))
        host = random.choice((*CLIENT_NAMES, "six.example", "both.example", UNKNOWN, client))
    elif chance < 0.8:
        host = random.choice(("::", "0.0.0.0"))
    targets = []
    for _ in range(random.randint(1, 3)):
        target = random.choice((*TARGETS, *NAMES, EXTERNAL[0]))
        if random.random() < 0.06:
            target = random.choice((UNKNOWN, MAPPED, *UNREACHABLE))
        targets.append((target, random.choice((*PORTS, STRAY, STRAY, CLOSED))))
    return {
        "host": host,
        "port": port,
        "named": named,
        "sender": sender,
        "sender_port": sender_port,
        "datagrams": tuple(targets),
    }
