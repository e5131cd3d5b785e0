"""
Blocks into rules: client and socks rules into :class:`~dantetw.policy.Rule`.

Routes, monitors and hostid rules are only checked, as long as nothing is done with them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Final

from dantetw.config import common, vocabulary
from dantetw.config.absence import Absent
from dantetw.config.addresses import condition, doubt, single
from dantetw.config.devices import Snapshot
from dantetw.config.fingerprint import Fingerprints
from dantetw.config.lexer import Token
from dantetw.config.limits import check_limits
from dantetw.config.machine import Transport
from dantetw.config.report import Mistake, Report
from dantetw.config.settings import Settings
from dantetw.config.tree import Block, Place, Statement
from dantetw.config.vocabulary import (
    NAMELESS_METHODS,
    REPLY_COMMANDS,
    TCP_COMMANDS,
    UDP_COMMANDS,
    UDP_SOURCES,
)
from dantetw.policy import (
    PAM_SERVICE,
    Address,
    Edge,
    ErrorFilter,
    HostKind,
    Rule,
    RuleKind,
    RuleUdpPolicy,
    SocketOption,
    Timeouts,
    Where,
)
from dantetw.values import (
    LOG_CONNECT,
    LOG_DISCONNECT,
    LOG_ERROR,
    LOG_IOOP,
    LOG_WORDS,
    Command,
    Method,
    Protocol,
    ProxyProtocol,
    Verdict,
)

_DEBUG_LOG: Final = LOG_CONNECT | LOG_DISCONNECT | LOG_ERROR | LOG_IOOP
_ALL_COMMANDS: Final = TCP_COMMANDS | UDP_COMMANDS
_SOCKS: Final = frozenset((ProxyProtocol.SOCKS_V4, ProxyProtocol.SOCKS_V5))

_NOT_GLOBAL: Final = (
    '{} "{}" is set in the rule, but not in the global {} specification (containing "{}").  '
    "Only methods that are part of the global method specification can be part of the methods set "
    "in a local rule"
)
_NO_NAME: Final = (
    "the settings in this {} requires the client to provide a user/group-name in some way, but "
    "this rule specifies, implicitly or explicitly, the {} {}, which cannot be depended on to "
    "provide this information"
)
_NO_METHOD: Final = (
    "checkrule(): socks-rule #{} sets no socks authentication methods, not even the method "
    '"none".  This means no clients can ever be matched by this rule.  Is that really intended?'
)
_UNMET: Final = (
    "{} specifies {}-based commands, but does not enable the {} protocol.  This is probably not "
    "what was intended"
)
_FIN_WAIT: Final = (
    "addrule(): it does not make sense to let the tcp-fin-wait timeout be longer than the tcp i/o "
    "timeout, so reducing tcp-fin-wait for this rule from {} to {}"
)
_TOO_LATE: Final = (
    'to our knowledge the socket option "{}" can only be correctly applied at pre-connection '
    "establishment time, but by the time this rule is matched, the connection will already have "
    "been established"
)
#: Dante ignores the port in ``port: N``, so that such a rule is about all ports there.
_ONE_PORT: Final = (
    'this rule is about port {0} only; Dante ignores a port that is written as "port: {0}", and '
    'takes the rule to be about all ports: write "port = {0}" for both'
)


class Rules:
    """
    Turns blocks into rules, in file order.

    :ivar client, socks: the rules so far.
    """

    def __init__(self, settings: Settings, system: Snapshot, report: Report) -> None:
        self.settings = settings
        self.system = system
        self.report = report
        self.client: list[Rule] = []
        self.socks: list[Rule] = []
        self._numbers = {RuleKind.CLIENT: 0, RuleKind.SOCKS: 0}
        self._fingerprints = {kind: Fingerprints() for kind in RuleKind}

    def read(self, blocks: Iterable[Block]) -> None:
        """Take in all blocks; mistakes are noted in the report."""
        for block in blocks:
            if block.place is Place.CLIENT:
                self._rule(block, RuleKind.CLIENT, self.client)
            elif block.place is Place.SOCKS:
                self._rule(block, RuleKind.SOCKS, self.socks)
            else:
                reader = _Reading(self, block)
                reader.read()

    def _rule(self, block: Block, kind: RuleKind, rules: list[Rule]) -> None:
        self._numbers[kind] += 1
        reading = _Reading(self, block)
        reading.read()
        if reading.source is not None and reading.target is not None:
            fingerprint = self._fingerprints[kind].of(block)
            rules.append(reading.rule(kind, self._numbers[kind], fingerprint))


class _Reading:
    """One block, as its statements are gone through."""

    def __init__(self, rules: Rules, block: Block) -> None:
        self.block = block
        self.settings = rules.settings
        self.system = rules.system
        self.report = rules.report
        self.source: Address | None = None
        self.target: Address | None = None
        self.commands: set[Command] = set()
        self.protocols: set[Protocol] = set()
        self.proxy_protocols: set[ProxyProtocol] = set()
        self.client_methods: tuple[Method, ...] | None = None
        self.socks_methods: tuple[Method, ...] | None = None
        self.users: set[str] = set()
        self.groups: set[str] = set()
        self.log = _DEBUG_LOG if rules.settings.debug > 0 else 0
        self.timeouts: Timeouts = rules.settings.timeouts
        self.udp_connected = rules.settings.udp_connected
        self.options: list[SocketOption] = []
        self.portrange: tuple[int, int] | None = None
        self.places: dict[str, Where] = {}
        self.pam_service = PAM_SERVICE
        self.error_filters: list[ErrorFilter] = []

    def read(self) -> None:
        """Go through the statements, then look at the whole."""
        for statement in self.block.statements:
            try:
                self._statement(statement)
            except Mistake as mistake:
                self.report.mistake(mistake)
            else:
                self.places[statement.name] = statement.token.where
        if self.block.intact:
            check_limits(self.block, self.report)

    def _statement(self, statement: Statement) -> None:
        words = [word.text for word in statement.values.words]
        match statement.keyword.name:
            case "from":
                self.source = self._condition(statement)
            case "to":
                self.target = self._condition(statement)
            case "redirect from":
                self._condition(statement)
            case "redirect to" | "via":
                assert statement.values.address is not None
                if "://" not in words[0]:
                    single(statement.values.address)
            case "bounce to":
                raise Mistake(statement.written, "unsupported option")
            case "command":
                known = vocabulary.COMMANDS
                self.commands |= {known[word] for word in words if word in known}
            case "protocol":
                protocols = vocabulary.PROTOCOLS
                self.protocols |= {protocols[word] for word in words if word in protocols}
            case "proxyprotocol":
                proxies = vocabulary.PROXY_PROTOCOLS
                self.proxy_protocols |= {proxies[word] for word in words if word in proxies}
            case "clientmethod" | "socksmethod" | "method":
                found = common.methods(statement, self.system, self.report)
                if statement.name == "clientmethod":
                    self.client_methods = found
                elif statement.name == "socksmethod":
                    self.socks_methods = found
            case "user":
                self.users.update(words)
            case "group":
                self.groups.update(words)
            case "pam.servicename" | "pamservicename":
                self.pam_service = words[0]
            case "log":
                for word in words:
                    self.log |= LOG_WORDS.get(word, 0)
            case "udp.source":
                self.udp_connected = UDP_SOURCES.get(statement.token.text, False)
            case "udp.portrange":
                first, last = statement.values.numbers
                if last < first:
                    raise Mistake(
                        statement.token,
                        f"end port ({last}) can not be less than start port ({first})",
                    )
                self.portrange = (first, last)
            case "SIDE.LEVEL.OPTION":
                self._option(statement)
            case "SIDE.log.LEVEL.error":
                self.error_filters.append(common.error_filter(statement, self.report))
            case "SIDE.log.LEVEL.tcp.enabled" | "SIDE.log.LEVEL.tcp.disabled":
                common.log_level(statement)
            case _:
                if statement.name in common.TIMEOUTS:
                    self.timeouts = common.timeouts(statement, self.timeouts)

    def _condition(self, statement: Statement) -> Address:
        text = statement.values.address
        assert text is not None
        # What is known of the protocol so far: what is written before the address.
        transport: Transport = None
        if len(self.protocols) == 1:
            transport = "tcp" if Protocol.TCP in self.protocols else "udp"
        waits = self.settings.waits
        address = condition(text, self.system, transport, waits)
        named = address.scope or (address.name if address.kind is HostKind.INTERFACE else "")
        if named and waits and not self.system.addresses_of(named):
            self.settings.absent.append(Absent(text.host, statement.name))
        if doubtful := doubt(address):
            self.report.advice(text.host, doubtful)
        if text.port is not None and text.port.operator == ":":
            self.report.advice(text.port.first, _ONE_PORT.format(text.port.first.text))
        if (
            self.block.place is Place.ROUTE
            and statement.name == "from"
            and address.kind is HostKind.INTERFACE
        ):
            raise Mistake(text.host, "interface names not supported for src address")
        return address

    def _option(self, statement: Statement) -> None:
        option = common.socket_option(statement, self.report)
        if option.edge is Edge.EXTERNAL:
            if self.block.place in (Place.CLIENT, Place.HOSTID):
                raise Mistake(
                    statement.written,
                    "can not set socket options for the external side in a client-rule, as there "
                    "is no external side set up yet at this point.  Needs to be set in the "
                    "corresponding socks-rule if necessary",
                )
            if self.block.verdict is Verdict.BLOCK:
                raise Mistake(
                    statement.written,
                    "it does not make sense to set a socket option for the external side in a rule "
                    "that blocks access; the external side will never be accessed as the rule "
                    "blocks access to it",
                )
        else:
            named = common.option_of(statement)
            if named is not None and named.early:
                self.report.warning(statement.token, _TOO_LATE.format(statement.parts[2]))
        self.options.append(option)

    # The rule as a whole

    def rule(self, kind: RuleKind, number: int, fingerprint: str) -> Rule:
        """The rule; what does not fit together in it is noted."""
        assert self.source is not None and self.target is not None
        settings = self.settings
        timeouts = self._fin_wait()
        if kind is RuleKind.CLIENT:
            commands, protocols = frozenset((Command.ACCEPT,)), frozenset((Protocol.TCP,))
            proxies: frozenset[ProxyProtocol] = frozenset()
        else:
            commands, protocols = self._commands()
            proxies = frozenset(self.proxy_protocols) or _SOCKS
        self._check_global("clientmethod", self.client_methods, settings.client_methods)
        self._check_global("socksmethod", self.socks_methods, settings.socks_methods)
        client_methods = self.client_methods or settings.client_methods
        socks_methods = self._socks_methods(kind)
        self._check_names(kind, client_methods)
        if kind is RuleKind.SOCKS and not socks_methods and self._whole("socksmethod"):
            self.report.warning(self.block.close, _NO_METHOD.format(number))
        return Rule(
            kind,
            number,
            self.block.verdict,
            self.block.head.where,
            self.source,
            self.target,
            commands=commands,
            protocols=protocols,
            proxy_protocols=proxies,
            client_methods=client_methods,
            socks_methods=socks_methods,
            pam_service=self.pam_service,
            users=frozenset(self.users),
            groups=frozenset(self.groups),
            log=self.log,
            error_filters=tuple(self.error_filters),
            timeouts=timeouts,
            socket_options=tuple(self.options),
            udp=RuleUdpPolicy(self.portrange, self.udp_connected),
            places=self.places,
            fingerprint=fingerprint,
        )

    def _whole(self, keyword: str) -> bool:
        """Whether the file says all there is to say about a global keyword."""
        return self.block.intact and keyword not in self.report.attempted

    def _fin_wait(self) -> Timeouts:
        io, fin_wait = self.timeouts.io_tcp, self.timeouts.tcp_fin_wait
        if not 0 < io < fin_wait:
            return self.timeouts
        self.report.warning(self.block.close, _FIN_WAIT.format(fin_wait, io))
        return dataclasses.replace(self.timeouts, tcp_fin_wait=io)

    def _commands(self) -> tuple[frozenset[Command], frozenset[Protocol]]:
        """``command`` and ``protocol`` fill each other in."""
        commands, protocols = self.commands, self.protocols
        if not commands and not protocols:
            return _ALL_COMMANDS, frozenset(Protocol)
        if not commands:
            tcp = TCP_COMMANDS if Protocol.TCP in protocols else frozenset()
            udp = UDP_COMMANDS if Protocol.UDP in protocols else frozenset()
            return tcp | udp, frozenset(protocols)
        if not protocols:
            filled = set()
            if commands & TCP_COMMANDS:
                filled.add(Protocol.TCP)
            if commands & UDP_COMMANDS or Command.CONNECT in commands:
                filled.add(Protocol.UDP)
            return frozenset(commands), frozenset(filled)
        for own, protocol in ((TCP_COMMANDS, Protocol.TCP), (UDP_COMMANDS, Protocol.UDP)):
            if commands & own and protocol not in protocols:
                name = protocol.name
                self.report.warning(self.block.close, _UNMET.format("socks-rule", name, name))
        return frozenset(commands), frozenset(protocols)

    def _check_global(
        self, keyword: str, own: tuple[Method, ...] | None, known: tuple[Method, ...]
    ) -> None:
        if own is None or keyword in self.report.attempted:
            return
        for method in own:
            if method not in known:
                names = ", ".join(m.value for m in known)
                self.report.error(
                    self._method_token(keyword),
                    _NOT_GLOBAL.format(
                        "clientmethod" if keyword == "clientmethod" else "method",
                        method.value,
                        keyword,
                        names,
                    ),
                )

    def _method_token(self, keyword: str) -> Token:
        return next(
            statement.token
            for statement in reversed(self.block.statements)
            if statement.name == keyword
        )

    @property
    def _replies_only(self) -> bool:
        return bool(self.commands) and self.commands <= REPLY_COMMANDS

    def _socks_methods(self, kind: RuleKind) -> tuple[Method, ...]:
        if self.socks_methods is not None:
            return self.socks_methods
        methods = self.settings.socks_methods
        if kind is RuleKind.SOCKS and (self.users or self.groups):
            return tuple(method for method in methods if method not in NAMELESS_METHODS)
        return methods

    def _check_names(self, kind: RuleKind, client_methods: tuple[Method, ...]) -> None:
        """``user`` and ``group`` need methods that give a name."""
        if not (self.users or self.groups) or not self.block.intact:
            return
        if kind is RuleKind.CLIENT:
            methods, keyword = client_methods, "clientmethod"
        else:
            if self._replies_only:
                self._names_of_replies()
                return
            methods, keyword = self.socks_methods or (), "socksmethod"
        nameless = next((method for method in methods if method in NAMELESS_METHODS), None)
        if nameless is not None and keyword not in self.report.attempted:
            self.report.error(
                self._names_token(),
                _NO_NAME.format(f"{kind.value}-rule", keyword, nameless.value),
                "methods that give a name" if kind is RuleKind.SOCKS else "user in socks rules",
            )

    def _names_of_replies(self) -> None:
        if Command.UDPREPLY in self.commands:
            text = (
                "UDP replies cannot provide any username, but the settings in this rule requires "
                "an username to be provided by the target sending the UDP reply"
            )
        else:
            text = _NO_NAME.format("socks-rule", "clientmethod", '"none" to be used for replies')
        self.report.error(self._names_token(), text)

    def _names_token(self) -> Token:
        return next(s.written for s in self.block.statements if s.name in ("user", "group"))
