"""
What a rule is about: ``from``, ``to``, ``command``, ``protocol``, ``proxyprotocol``.
"""

from __future__ import annotations

from typing import Final

from dantetw.config.addresses import condition, doubt
from dantetw.config.arguments import AddressArgument, Words
from dantetw.config.draft import BlockDraft, Context
from dantetw.config.keyword import (
    MONITOR,
    ROUTE,
    RULES,
    SOCKS,
    Keyword,
    Place,
    Repeat,
    Statement,
)
from dantetw.config.machine import Transport
from dantetw.config.report import ConfigError
from dantetw.config.tree import Block
from dantetw.policy import Address, HostKind, RuleKind
from dantetw.values import Command, Protocol, ProxyProtocol

PROTOCOLS: Final = {protocol.value: protocol for protocol in Protocol}
#: ``accept`` is what client rules judge; it cannot be written.
COMMANDS: Final = {command.value: command for command in Command if command is not Command.ACCEPT}
PROXY_PROTOCOLS: Final = {
    "socks_v4": ProxyProtocol.SOCKS_V4,
    "socks_v5": ProxyProtocol.SOCKS_V5,
    "http": ProxyProtocol.HTTP,
    "http_v1.0": ProxyProtocol.HTTP,
    "upnp": ProxyProtocol.UPNP,
}

_TCP_COMMANDS: Final = frozenset((Command.CONNECT, Command.BIND, Command.BINDREPLY))
_UDP_COMMANDS: Final = frozenset((Command.UDPASSOCIATE, Command.UDPREPLY))
_SOCKS: Final = frozenset((ProxyProtocol.SOCKS_V4, ProxyProtocol.SOCKS_V5))

_UNMET: Final = (
    "{} specifies {}-based commands, but does not enable the {} protocol.  This is probably not "
    "what was intended"
)
#: Dante ignores the port in ``port: N``, so that such a rule is about all ports there.
_ONE_PORT: Final = (
    'this rule is about port {0} only; Dante ignores a port that is written as "port: {0}", and '
    'takes the rule to be about all ports: write "port = {0}" for both'
)


class ConditionsDraft(BlockDraft):
    """
    The conditions of a rule, route or monitor.

    :ivar source, target: ``from`` and ``to``; None: not read yet, or wrong.
    :ivar commands, protocols, proxy_protocols: those that are written.
    """

    def __init__(self, context: Context, block: Block) -> None:
        super().__init__(context, block)
        self.source: Address | None = None
        self.target: Address | None = None
        self.commands: set[Command] = set()
        self.protocols: set[Protocol] = set()
        self.proxy_protocols: set[ProxyProtocol] = set()

    def set_source(self, statement: Statement) -> None:
        """``from``.  :raises ConfigError: it is no address of a rule."""
        self.source = self.address(statement)

    def set_target(self, statement: Statement) -> None:
        """``to``.  :raises ConfigError: it is no address of a rule."""
        self.target = self.address(statement)

    def add_commands(self, statement: Statement) -> None:
        """``command``."""
        self.commands.update(COMMANDS[word] for word in statement.words if word in COMMANDS)

    def add_protocols(self, statement: Statement) -> None:
        """``protocol``."""
        self.protocols.update(PROTOCOLS[word] for word in statement.words if word in PROTOCOLS)

    def add_proxy_protocols(self, statement: Statement) -> None:
        """``proxyprotocol``."""
        words = (word for word in statement.words if word in PROXY_PROTOCOLS)
        self.proxy_protocols.update(PROXY_PROTOCOLS[word] for word in words)

    def address(self, statement: Statement) -> Address:
        """
        The address of a statement.

        :raises ConfigError: it is no address of a rule.
        """
        text = statement.values.address
        assert text is not None
        # What is known of the protocol so far: what is written before the address.
        transport: Transport = None
        if len(self.protocols) == 1:
            transport = "tcp" if Protocol.TCP in self.protocols else "udp"
        missing = self.context.missing
        address = condition(text, self.machine, transport, missing.waits)
        named = address.scope or (address.name if address.kind is HostKind.INTERFACE else "")
        if named and missing.waits and not self.machine.addresses_of(named):
            missing.add(text.host, statement.name)
        if doubtful := doubt(address):
            self.report.advice(text.host, doubtful)
        if text.port is not None and text.port.operator == ":":
            self.report.advice(text.port.first, _ONE_PORT.format(text.port.first.text))
        if (
            self.block.place is Place.ROUTE
            and statement.name == "from"
            and address.kind is HostKind.INTERFACE
        ):
            raise ConfigError(text.host, "interface names not supported for src address")
        return address

    def covered(self, kind: RuleKind) -> tuple[frozenset[Command], frozenset[Protocol]]:
        """
        The commands and protocols that a rule covers: ``command`` and ``protocol`` fill each other
        in.
        """
        commands, protocols = self.commands, self.protocols
        if kind is RuleKind.CLIENT:
            return frozenset((Command.ACCEPT,)), frozenset((Protocol.TCP,))
        if not commands and not protocols:
            return _TCP_COMMANDS | _UDP_COMMANDS, frozenset(Protocol)
        if not commands:
            tcp = _TCP_COMMANDS if Protocol.TCP in protocols else frozenset()
            udp = _UDP_COMMANDS if Protocol.UDP in protocols else frozenset()
            return tcp | udp, frozenset(protocols)
        if not protocols:
            filled = set()
            if commands & _TCP_COMMANDS:
                filled.add(Protocol.TCP)
            if commands & _UDP_COMMANDS or Command.CONNECT in commands:
                filled.add(Protocol.UDP)
            return frozenset(commands), frozenset(filled)
        for own, protocol in ((_TCP_COMMANDS, Protocol.TCP), (_UDP_COMMANDS, Protocol.UDP)):
            if commands & own and protocol not in protocols:
                name = protocol.name
                self.report.warning(self.block.close, _UNMET.format("socks-rule", name, name))
        return frozenset(commands), frozenset(protocols)

    def covered_versions(self, kind: RuleKind) -> frozenset[ProxyProtocol]:
        """The SOCKS versions that a rule covers; a client rule is about none."""
        if kind is RuleKind.CLIENT:
            return frozenset()
        return frozenset(self.proxy_protocols) or _SOCKS


_ABOUT: Final = SOCKS | ROUTE | MONITOR

KEYWORDS: Final[tuple[Keyword, ...]] = (
    Keyword(
        "from",
        RULES | ROUTE | MONITOR,
        AddressArgument(mask=True),
        "the client; for replies the remote side",
        "required",
        Repeat.ONCE,
        in_block=ConditionsDraft.set_source,
    ),
    Keyword(
        "to",
        RULES | ROUTE | MONITOR,
        AddressArgument(mask=True),
        "client rule: our address; socks rule: the target",
        "required",
        Repeat.ONCE,
        in_block=ConditionsDraft.set_target,
    ),
    Keyword(
        "command",
        _ABOUT,
        Words(COMMANDS, "command"),
        "what the rule is about",
        "all",
        Repeat.ADD,
        in_block=ConditionsDraft.add_commands,
    ),
    Keyword(
        "protocol",
        _ABOUT,
        Words(PROTOCOLS, "protocol"),
        "what the rule is about",
        "all",
        Repeat.ADD,
        in_block=ConditionsDraft.add_protocols,
    ),
    Keyword(
        "proxyprotocol",
        SOCKS | ROUTE,
        Words(PROXY_PROTOCOLS, "proxy protocol"),
        "SOCKS version the client speaks; in a route: what is spoken upstream",
        "socks_v4 socks_v5",
        Repeat.ADD,
        in_block=ConditionsDraft.add_proxy_protocols,
    ),
)
