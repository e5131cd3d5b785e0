"""
Global settings: statements into the fields of a :class:`~dantetw.policy.Policy`.

Each keyword has one method of :class:`Settings`; the table at the end says which.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from dantetw.config import common, vocabulary
from dantetw.config.absence import Absent
from dantetw.config.addresses import first_port, packed, single
from dantetw.config.devices import Snapshot, is_usual, may_be_interface
from dantetw.config.forms import Forms
from dantetw.config.lexer import Token
from dantetw.config.problems import nearest
from dantetw.config.program import Program
from dantetw.config.report import Mistake, Report
from dantetw.config.tree import Statement
from dantetw.policy import (
    HANDOVER,
    WORKER_TIMEOUT,
    ErrorFilter,
    External,
    Internal,
    Output,
    ResolveProtocol,
    Rotation,
    SocketOption,
    Timeouts,
)
from dantetw.values import AF_OF, LOG_WORDS, Endpoint, Family, Method

#: The port of ``internal`` where neither the file nor the system names one.
SOCKS_PORT: Final = 1080

_LATE_FAMILY: Final = (
    "protocols and address-families on the {} interface must be specified before addresses for "
    "the same interface are specified, so that we can know which addresses to ignore"
)
_SIDES: Final = {"internal": "internal/client-side", "external": "external/target-side"}
_SAID: Final = {Family.IPV4: "IPv4", Family.IPV6: "IPv6"}
_BOTH: Final = frozenset((Family.IPV4, Family.IPV6))
_WILDCARDS: Final = frozenset(("0.0.0.0", "::"))


class Settings:
    """
    The global settings of a file, as they gather.

    :ivar maxfail, badexpire: routes' keywords, for the check of the two.
    :ivar absent: interfaces and addresses that are not there.
    :ivar waits: ``interface.missing`` is ``wait``.
    """

    def __init__(self, system: Snapshot, program: Program, report: Report) -> None:
        self.system = system
        self.program = program
        self.report = report
        self.internal: list[Internal] = []
        self.external: list[External] = []
        self.families: dict[str, frozenset[Family]] = {}
        self.rotation = Rotation.NONE
        self.client_methods: tuple[Method, ...] = (Method.NONE,)
        self.socks_methods: tuple[Method, ...] = ()
        self.user_privileged: str | None = None
        self.user_unprivileged: str | None = None
        self.username_file: str | None = None
        self.timeouts = Timeouts()
        self.logoutput: list[Output] = []
        self.errorlog: list[Output] = []
        self.forms = Forms(program.formats)
        self.hash_key_file: str | None = None
        self.unmatched_log = 0
        self.debug = -1
        self.resolve_protocol = ResolveProtocol.UDP
        self.udp_connectdst = True
        self.udp_announce: list[Endpoint] = []
        self.udp_connected = False
        self.same_port = False
        self.bind_extension = False
        self.error_filters: list[ErrorFilter] = []
        self.socket_options: list[SocketOption] = []
        self.maxfail = 1
        self.handover = HANDOVER
        self.workers = 0
        self.max_requests = 0
        self.max_lifetime = 0
        self.worker_timeout = WORKER_TIMEOUT
        self.badexpire = 300
        self.waits = True
        self.absent: list[Absent] = []
        self._listens: set[Endpoint] = set()

    def read(self, statements: Iterable[Statement]) -> None:
        """Take in all statements; mistakes are noted in the report."""
        for statement in statements:
            if statement.name in common.TIMEOUTS:
                self.timeouts = common.timeouts(statement, self.timeouts)
                continue
            effect = _EFFECTS.get(statement.keyword.name)
            if effect is None:
                continue
            try:
                effect(self, statement)
            except Mistake as mistake:
                self.report.attempted.add(statement.name)
                self.report.mistake(mistake)
        self.forms.check([*self.logoutput, *self.errorlog], self.report)

    def accepted_families(self, side: str) -> frozenset[Family]:
        """``SIDE.protocol``: both families if there is no such line."""
        return self.families.get(side, _BOTH)

    # Logging

    def _logoutput(self, statement: Statement) -> None:
        self.logoutput += self._outputs(statement)

    def _errorlog(self, statement: Statement) -> None:
        self.errorlog += self._outputs(statement)

    def _outputs(self, statement: Statement) -> Iterable[Output]:
        for word in statement.values.words:
            kind = self.program.spelling_of(word.text)
            wrong = kind.check(word.text) if kind is not None else None
            if wrong is not None:
                near = nearest(word.text[wrong.start :], wrong.known)
                self.report.warning(
                    word, wrong.text + (f' - did you mean "{near}"?' if near else "")
                )
            yield Output(word.text, word.where, is_file=kind is not None and kind.is_file)

    def _log_form(self, statement: Statement) -> None:
        self.forms.take(statement)

    def _hash_key(self, statement: Statement) -> None:
        self.hash_key_file = statement.token.text

    def _unmatched(self, statement: Statement) -> None:
        for word in statement.values.words:
            self.unmatched_log |= LOG_WORDS.get(word.text, 0)

    def _debug(self, statement: Statement) -> None:
        self.debug = statement.values.numbers[0]

    def _error_filter(self, statement: Statement) -> None:
        self.error_filters.append(common.error_filter(statement, self.report))

    def _tcp_filter(self, statement: Statement) -> None:
        common.log_level(statement)

    # Addresses

    def _internal(self, statement: Statement) -> None:
        text = statement.values.address
        assert text is not None
        port = self._port(statement)
        listens = []
        accepted = self.accepted_families("internal")
        interface, addresses = self._addresses(statement)
        for address, family in addresses:
            endpoint = Endpoint(address, port, family)
            if family in accepted and endpoint not in self._listens:
                self._listens.add(endpoint)
                listens.append(endpoint)
        if listens or interface:
            self.internal.append(
                Internal(text.host.text, tuple(listens), text.host.where, interface, port, accepted)
            )
        self._check_families(text.host, "internal", interface, addresses)

    def _check_families(
        self, host: Token, side: str, interface: str, addresses: Sequence[tuple[str, Family]]
    ) -> None:
        """Note an interface that has addresses, but none of a family that counts."""
        accepted = self.accepted_families(side)
        if interface and addresses and accepted.isdisjoint(family for _, family in addresses):
            lacks = " or ".join(sorted(_SAID[family] for family in accepted))
            self.absent.append(Absent(host, side, f"no {lacks} address"))

    def _port(self, statement: Statement) -> int:
        text = statement.values.address
        assert text is not None
        if text.port is None:
            return self.system.service_port("socks", "tcp") or SOCKS_PORT
        port = first_port(text.port, self.system)
        if port == 0:
            raise Mistake(
                text.port.first,
                f"addinternal(): address {text.host.text}.0 does not specify a portnumber to bind",
                "a port from 1 to 65535",
            )
        if text.port.operator not in ("=", "eq", ":"):
            self.report.advice(
                text.port.first, f"one port is listened on, {port}, whatever the operator says"
            )
        return port

    def _addresses(self, statement: Statement) -> tuple[str, Sequence[tuple[str, Family]]]:
        """
        What an ``internal`` or ``external`` names.

        :returns: the interface, or an empty text; numeric addresses with their families.
        """
        text = statement.values.address
        assert text is not None
        found = single(text)
        host = text.host
        if found is not None:
            family, address, scope = found
            canonical = socket.inet_ntop(AF_OF[family], address)
            if scope:
                canonical += f"%{scope}"
            if (
                statement.name == "internal"
                and canonical not in _WILDCARDS
                and not self.system.has_address(canonical)
            ):
                doubt = (
                    f"addinternal(): could not find address {canonical} on any network interface"
                )
                if self.system.can_bind(canonical):
                    self.report.warning(host, doubt)
                else:
                    self.absent.append(Absent(host, "internal", warning=doubt))
            return "", [(canonical, family)]
        interface = host.text
        names = self.system.addresses_of(interface)
        missing = not names and (interface in self.system.interfaces or is_usual(interface))
        if not names and not missing:
            # An alias label is no host name; nor does a resolver know usual interfaces, and where
            # the network is not up yet, it would take its time.
            interface, names = "", self.system.resolve(host.text)
            missing = not names and may_be_interface(host.text)
        if not names:
            mistake = Mistake(
                host,
                f'could not resolve hostname "{host.text}"',
                "an address, an interface that has one, or a host name",
            )
            if not missing:
                raise mistake
            interface = host.text
            lacks = "no address" if interface in self.system.interfaces else ""
            self.absent.append(Absent(host, statement.name, lacks, mistake))
        return interface, [
            (name, Family.IPV4 if packed(name, Family.IPV4) else Family.IPV6) for name in names
        ]

    def _external(self, statement: Statement) -> None:
        text = statement.values.address
        assert text is not None
        host = text.host
        accepted = self.accepted_families("external")
        interface, named = self._addresses(statement)
        addresses = [a for a, family in named if family in accepted]
        # Nothing but the link itself can be reached from a link-local address.
        addresses.sort(key=lambda address: "%" in address)
        for address in addresses:
            if address in _WILDCARDS:
                bits = 32 if address == "0.0.0.0" else 128
                raise Mistake(
                    host,
                    f"external address ({address}/{bits}) to connect out from cannot be a wildcard "
                    "address",
                    "an address or an interface of this machine",
                )
            if not interface and not self.system.can_bind(address):
                mistake = Mistake(
                    host,
                    f"checkconfig(): cannot bind external address: {address}",
                    "an address of this machine",
                )
                if single(text) is None:
                    raise mistake  # a host name, whose address is somebody else's
                self.absent.append(Absent(host, "external", mistake=mistake))
        if addresses or interface:
            self.external.append(External(host.text, interface, tuple(addresses), host.where))
        self._check_families(host, "external", interface, named)

    def _families(self, statement: Statement) -> None:
        side = statement.name.partition(".")[0]
        if self.internal if side == "internal" else self.external:
            raise Mistake(statement.written, _LATE_FAMILY.format(_SIDES[side]))
        words = statement.values.words
        named = {vocabulary.FAMILIES[w.text] for w in words if w.text in vocabulary.FAMILIES}
        self.families[side] = self.families.get(side, frozenset()) | named

    def _rotation(self, statement: Statement) -> None:
        self.rotation = vocabulary.ROTATIONS.get(statement.token.text, self.rotation)

    # Who may use it, and as whom we run

    def _client_methods(self, statement: Statement) -> None:
        self.client_methods = common.methods(statement, self.system, self.report)

    def _socks_methods(self, statement: Statement) -> None:
        self.socks_methods = common.methods(statement, self.system, self.report)

    def _user(self, statement: Statement) -> None:
        word = statement.token
        if not self.system.user_exists(word.text):
            raise Mistake(
                word,
                f'getpwnam(3) says no such user "{word.text}"',
                "the login name of a user of this system",
            )
        if statement.name == "user.privileged":
            self.user_privileged = word.text
        elif statement.name == "user.unprivileged":
            self.user_unprivileged = word.text

    def _username_file(self, statement: Statement) -> None:
        self.username_file = statement.token.text

    # Behaviour

    def _resolve_protocol(self, statement: Statement) -> None:
        self.resolve_protocol = vocabulary.RESOLVE_PROTOCOLS.get(
            statement.token.text, self.resolve_protocol
        )

    def _connectdst(self, statement: Statement) -> None:
        self.udp_connectdst = vocabulary.YES_NO.get(statement.token.text, True)

    def _announce(self, statement: Statement) -> None:
        for word in statement.values.words:
            family = Family.IPV6 if ":" in word.text else Family.IPV4
            try:
                number = socket.inet_pton(AF_OF[family], word.text)
            except OSError:
                number = b""
            if not any(number):
                raise Mistake(
                    word,
                    f'"{word.text}" is no address that clients could send to',
                    "an IPv4 or an IPv6 address",
                )
            self.udp_announce.append(Endpoint(word.text, 0, family))

    def _udp_source(self, statement: Statement) -> None:
        self.udp_connected = vocabulary.UDP_SOURCES.get(statement.token.text, False)

    def _socket_option(self, statement: Statement) -> None:
        self.socket_options.append(common.socket_option(statement, self.report))

    def _handover(self, statement: Statement) -> None:
        self.handover = statement.values.numbers[0]

    def _workers(self, statement: Statement) -> None:
        self.workers = statement.values.numbers[0]

    def _max_requests(self, statement: Statement) -> None:
        self.max_requests = statement.values.numbers[0]

    def _max_lifetime(self, statement: Statement) -> None:
        self.max_lifetime = statement.values.numbers[0]

    def _worker_timeout(self, statement: Statement) -> None:
        self.worker_timeout = statement.values.numbers[0]

    def _missing(self, statement: Statement) -> None:
        self.waits = statement.token.text != "fail"

    def _maxfail(self, statement: Statement) -> None:
        self.maxfail = statement.values.numbers[0]

    def _badexpire(self, statement: Statement) -> None:
        self.badexpire = statement.values.numbers[0]

    def _compatibility(self, statement: Statement) -> None:
        if any(word.text == "sameport" for word in statement.values.words):
            self.same_port = True

    def _extension(self, statement: Statement) -> None:
        self.bind_extension = True
        self.report.warning(
            statement.token,
            "we are currently considering deprecating the Dante-specific SOCKS bind extension.  "
            "If you are using it, please let us know on the public dante-misc@inet.no mailinglist",
        )

    def _realm(self, statement: Statement) -> None:
        raise Mistake(statement.written, '"realm" is a keyword of another program')

    def _buffer(self, statement: Statement) -> None:
        name = statement.written.text
        which = "so_rcvbuf" if "recvbuf" in name else "so_sndbuf"
        raise Mistake(
            statement.written,
            f'given keyword "{name}" is deprecated.  New keyword is a general socket api',
            f'"internal.socket.{which}: …" or "external.socket.{which}: …"',
        )


_EFFECTS: Final[dict[str, Callable[[Settings, Statement], None]]] = {
    "logoutput": Settings._logoutput,
    "errorlog": Settings._errorlog,
    "log.format.FORMAT": Settings._log_form,
    "log.omit.FIELD": Settings._log_form,
    "log.hash.FIELD": Settings._log_form,
    "log.hashkey": Settings._hash_key,
    "log.unmatched": Settings._unmatched,
    "debug": Settings._debug,
    "SIDE.log.LEVEL.error": Settings._error_filter,
    "SIDE.log.LEVEL.tcp.enabled": Settings._tcp_filter,
    "SIDE.log.LEVEL.tcp.disabled": Settings._tcp_filter,
    "internal": Settings._internal,
    "internal.protocol": Settings._families,
    "external": Settings._external,
    "external.protocol": Settings._families,
    "external.rotation": Settings._rotation,
    "clientmethod": Settings._client_methods,
    "socksmethod": Settings._socks_methods,
    "method": Settings._socks_methods,
    "user.privileged": Settings._user,
    "user.unprivileged": Settings._user,
    "user.notprivileged": Settings._user,
    "user.libwrap": Settings._user,
    "username.file": Settings._username_file,
    "resolveprotocol": Settings._resolve_protocol,
    "udp.connectdst": Settings._connectdst,
    "udp.announce": Settings._announce,
    "udp.source": Settings._udp_source,
    "SIDE.LEVEL.OPTION": Settings._socket_option,
    "timeout.handover": Settings._handover,
    "workers": Settings._workers,
    "child.maxrequests": Settings._max_requests,
    "child.maxlifetime": Settings._max_lifetime,
    "timeout.worker": Settings._worker_timeout,
    "interface.missing": Settings._missing,
    "route.maxfail": Settings._maxfail,
    "route.badexpire": Settings._badexpire,
    "extension": Settings._extension,
    "compatibility": Settings._compatibility,
    "realm": Settings._realm,
    "socket.BUFFER.PROTOCOL": Settings._buffer,
}
