"""
The compiled configuration: an immutable :class:`Policy`.

A session keeps the policy it began with.  Every rule and every condition remembers where it was
written, so that a decision can be explained with file, line and column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from dantetw.values import (
    LOG_CONNECT,
    LOG_DISCONNECT,
    LOG_ERROR,
    LOG_IOOP,
    Command,
    Endpoint,
    Family,
    Method,
    Protocol,
    ProxyProtocol,
    Severity,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a configuration file.  Lines and columns count from 1; 0 means "nowhere"."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


#: The PAM service of rules that name none.
PAM_SERVICE = "sockd"

#: The place of what nobody wrote: defaults, the built-in block rule.
BUILT_IN = Where("(built in)", 0, 0)


class HostKind(Enum):
    """The forms of an address in a rule (``sockd.conf(5)``, "ADDRESSES")."""

    ANY = "any"  # 0/0: every address of either family, every name
    NET = "net"  # 10.0.0.0/8, ::/0
    NAME = "name"  # example.org
    DOMAIN = "domain"  # .example.org; "." is every name
    INTERFACE = "interface"  # eth0: the interface's own addresses


@dataclass(frozen=True, slots=True)
class Ports:
    """
    Ports from ``low`` to ``high``, both included; with ``outside``, all but those.

    Every operator comes down to this: ``= 80`` is 80-80, ``ne 80`` is outside 80-80, ``gt 1023``
    is 1024-65535.  ``gt 65535`` matches nothing: then ``low`` is greater than ``high``.
    """

    low: int = 0
    high: int = 65535
    outside: bool = False
    text: str = ""  # as written, such as "port = http"; empty where no port was named

    def __contains__(self, port: object) -> bool:
        assert isinstance(port, int)
        return (self.low <= port <= self.high) is not self.outside


ALL_PORTS = Ports()


@dataclass(frozen=True, slots=True)
class Address:
    """
    An address condition of a rule: ``from`` or ``to``.

    :ivar kind: which of the forms.
    :ivar text: as written, without the port.
    :ivar family: of a ``NET``; ``NAME`` for all other kinds.
    :ivar network: of a ``NET``: the network's number, host bits cleared.
    :ivar mask: of a ``NET``: the mask as a number.
    :ivar name: host name, domain without its leading dot, or interface name; lower case for
        names and domains.
    :ivar ports: which ports fit.
    :ivar scope: of a link-local ``NET``: the interface it is about; else empty.
    :ivar interface: of a ``NAME``: the interface it means whenever there is one of this name.
    """

    kind: HostKind
    text: str
    where: Where
    family: Family = Family.NAME
    network: int = 0
    mask: int = 0
    name: str = ""
    ports: Ports = ALL_PORTS
    scope: str = ""
    interface: str = ""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; 0 means never (``connect``: the kernel's limit)."""

    connect: int = 30
    negotiate: int = 30
    io_tcp: int = 0
    io_udp: int = 86400
    tcp_fin_wait: int = 0


class Edge(Enum):
    """The two sides of the server, as ``internal.…`` and ``external.…`` keywords name them."""

    INTERNAL = "internal"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class SocketOption:
    """
    ``SIDE.LEVEL.NAME: VALUE`` (``sockd.conf(5)``, "SOCKET OPTIONS").

    :ivar level: the kernel's level number (``SOL_SOCKET``, ``IPPROTO_TCP``…).
    :ivar option: the kernel's option number.
    :ivar value: the number to set, sub-fields already shifted into place.
    :ivar text: the keyword as written, such as ``external.tcp.tcp_nodelay``.
    """

    edge: Edge
    level: int
    option: int
    value: int
    text: str
    where: Where


class RuleKind(Enum):
    """Client rules judge who may talk to us, socks rules what they may ask for."""

    CLIENT = "client"
    SOCKS = "socks"


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
    :ivar users: exact names, empty if the rule does not ask; ``groups`` likewise.
    :ivar log: ``LOG_…`` bits of :mod:`dantetw.values`.
    :ivar timeouts: the global ones, overridden by the rule's own.
    :ivar udp_portrange: first and last port of the client's side, for UDP.
    :ivar pam_service: ``pam.servicename``: the PAM service of its methods ``pam.…``.
    :ivar error_filters: for its sessions, in addition to the global ones.
    :ivar udp_connected: our keyword ``udp.source``: datagrams are served from the address that the
        client is connected from, whatever address it announces.
    :ivar places: for each keyword the rule's text has, where its last value was written.  A
        condition that is absent here was filled in, not written.
    """

    kind: RuleKind
    number: int
    verdict: Verdict
    where: Where
    source: Address
    target: Address
    commands: frozenset[Command] = frozenset()
    protocols: frozenset[Protocol] = frozenset()
    proxy_protocols: frozenset[ProxyProtocol] = frozenset()
    client_methods: tuple[Method, ...] = (Method.NONE,)
    socks_methods: tuple[Method, ...] = ()
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    log: int = 0
    timeouts: Timeouts = Timeouts()
    socket_options: tuple[SocketOption, ...] = ()
    udp_portrange: tuple[int, int] | None = None
    places: Mapping[str, Where] = field(default_factory=dict)
    pam_service: str = PAM_SERVICE
    error_filters: tuple[ErrorFilter, ...] = ()
    udp_connected: bool = False


@dataclass(frozen=True, slots=True)
class Internal:
    """
    One ``internal`` line.

    :ivar text: address, interface or host name as written; ``listens``: the addresses that came
        of it when the file was read, none if the interface had none.
    :ivar interface: its name if it is an interface, whose addresses are followed; else empty.
    :ivar port: the port to listen on; ``families``: of addresses of the interface that count.
    """

    text: str
    listens: tuple[Endpoint, ...]
    where: Where
    interface: str = ""
    port: int = 0
    families: frozenset[Family] = frozenset((Family.IPV4, Family.IPV6))

    def listens_now(self, addresses_of: Callable[[str], Sequence[str]]) -> tuple[Endpoint, ...]:
        """
        The addresses to listen on, which those of an interface may have changed.

        :param addresses_of: the numeric addresses an interface has now.
        """
        if not self.interface:
            return self.listens
        found = [
            Endpoint(address, self.port, Family.IPV6 if ":" in address else Family.IPV4)
            for address in addresses_of(self.interface)
        ]
        return tuple(endpoint for endpoint in found if endpoint.family in self.families)


@dataclass(frozen=True, slots=True)
class External:
    """
    One ``external`` line.

    :ivar interface: its name if it is an interface, which is looked up at each use; else empty.
    :ivar addresses: numeric addresses when the file was read, in the order of preference; none if
        the interface had none.
    """

    text: str
    interface: str
    addresses: tuple[str, ...]
    where: Where


class Rotation(Enum):
    """``external.rotation``: how the outgoing address is chosen."""

    NONE = "none"
    ROUTE = "route"
    SAME_SAME = "same-same"


@dataclass(frozen=True, slots=True)
class Form:
    """
    How a destination is told what happened: ``log.format``, ``log.omit``, ``log.hash``, all ours.

    :ivar format: a name of the catalogue's formats.
    :ivar omit: of ``client``, ``user``, ``target`` those that are left out; ``hash``: those that
        are pseudonyms.
    """

    format: str = "dante"
    omit: frozenset[str] = frozenset()
    hash: frozenset[str] = frozenset()


#: How everything is told unless the file says otherwise: as Dante does.
PLAIN_FORM = Form()


@dataclass(frozen=True, slots=True)
class Output:
    """
    One destination of ``logoutput`` or ``errorlog``.

    :ivar text: ``stdout``, ``stderr``, ``syslog``, ``syslog/FACILITY``,
        ``syslog+udp://HOST[:PORT][/FACILITY]``, ``syslog+tcp://…`` or a file name.
    :ivar form: how it is told what happened.
    """

    text: str
    where: Where
    form: Form = PLAIN_FORM


@dataclass(frozen=True, slots=True)
class ErrorFilter:
    """
    ``SIDE.log.LEVEL.error: SYMBOL…``, expanded.

    :ivar symbols: upper-case ``errno`` and ``EAI_`` names.
    """

    edge: Edge
    severity: Severity
    symbols: frozenset[str]
    where: Where


class ResolveProtocol(Enum):
    """``resolveprotocol``; with ``fake`` rules never look names up."""

    UDP = "udp"
    TCP = "tcp"
    FAKE = "fake"


#: Seconds that sessions have when another server has taken the place of theirs.
HANDOVER = 3600
#: Seconds after which a worker that does not respond is killed.
WORKER_TIMEOUT = 10


@dataclass(frozen=True, slots=True)
class Policy:
    """
    All that a configuration file says.

    :ivar file: its name, as given.
    :ivar client_methods: global ``clientmethod``; ``socks_methods``: global ``socksmethod``.
    :ivar handover: our keyword ``timeout.handover``: seconds that sessions have when another server
        has taken our place; 0: for ever.
    :ivar workers: our keyword: how many processes serve clients; 0: one for each processor.
    :ivar max_requests: ``child.maxrequests``: requests a worker serves before it is replaced; 0:
        there is no limit.
    :ivar max_lifetime: ``child.maxlifetime``: seconds after which a worker is replaced; 0: never.
    :ivar worker_timeout: our keyword ``timeout.worker``: seconds after which a worker that does not
        respond is killed; 0: never.
    :ivar generation: how many configurations the server has had before this one.
    :ivar unmatched_log: our keyword ``log.unmatched``: ``LOG_…`` bits of the built-in block rule.
    :ivar user_privileged: who to be for privileged work, None: as started; likewise
        ``user_unprivileged`` for all the rest.
    :ivar username_file: our keyword ``username.file``: users of the method ``username``; None:
        the system's password file.
    :ivar debug: the level of the file, -1 if it names none.
    :ivar udp_announce: our keyword: addresses that clients are told to send their datagrams to.
    :ivar same_port: ``compatibility: sameport``: the port we connect from is the client's although
        it is below 1024, and BIND grants such a port.
    :ivar bind_extension: ``extension: bind``: a BIND may ask for a port that takes many peers.
    :ivar hash_key_file: our keyword ``log.hashkey``; None: a key is made at each start.
    :ivar waits: our keyword ``interface.missing``: interfaces and addresses that are not there are
        waited for; False: then there is no start.
    """

    file: str
    internal: tuple[Internal, ...] = ()
    external: tuple[External, ...] = ()
    external_families: frozenset[Family] = frozenset((Family.IPV4, Family.IPV6))
    rotation: Rotation = Rotation.NONE
    client_methods: tuple[Method, ...] = (Method.NONE,)
    socks_methods: tuple[Method, ...] = ()
    user_privileged: str | None = None
    user_unprivileged: str | None = None
    username_file: str | None = None
    timeouts: Timeouts = Timeouts()
    logoutput: tuple[Output, ...] = ()
    errorlog: tuple[Output, ...] = ()
    debug: int = -1
    resolve_protocol: ResolveProtocol = ResolveProtocol.UDP
    udp_connectdst: bool = True
    udp_announce: tuple[Endpoint, ...] = ()
    client_rules: tuple[Rule, ...] = ()
    socks_rules: tuple[Rule, ...] = ()
    error_filters: tuple[ErrorFilter, ...] = ()
    socket_options: tuple[SocketOption, ...] = ()
    hash_key_file: str | None = None
    same_port: bool = False
    bind_extension: bool = False
    handover: int = HANDOVER
    workers: int = 0
    max_requests: int = 0
    max_lifetime: int = 0
    worker_timeout: int = WORKER_TIMEOUT
    waits: bool = True
    generation: int = 0
    unmatched_log: int = 0
    indexes: dict[RuleKind, object] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def replaces_workers(self) -> bool:
        """Whether workers are replaced from time to time, which takes a supervisor process."""
        return bool(self.max_requests or self.max_lifetime)

    @property
    def families_out(self) -> frozenset[Family]:
        """The families of the external addresses that there were when the file was read."""
        addresses = (address for line in self.external for address in line.addresses)
        found = {Family.IPV6 if ":" in address else Family.IPV4 for address in addresses}
        return self.external_families & found or self.external_families

    @property
    def methods(self) -> frozenset[Method]:
        """All methods that it names anywhere."""
        rules = (*self.client_rules, *self.socks_rules)
        of_rules = (m for rule in rules for m in (*rule.client_methods, *rule.socks_methods))
        return frozenset((*self.client_methods, *self.socks_methods, *of_rules))

    def announced(self, bound: Endpoint) -> Endpoint:
        """The address by which clients reach a socket of ours for datagrams."""
        for endpoint in self.udp_announce:
            if endpoint.family is bound.family:
                return Endpoint(endpoint.host, bound.port, bound.family)
        return bound

    @property
    def default_log(self) -> int:
        """
        ``LOG_…`` bits of the built-in block rule: what ``log.unmatched`` says, and with ``debug``
        all but data and tcpinfo.
        """
        debug = LOG_CONNECT | LOG_DISCONNECT | LOG_ERROR | LOG_IOOP if self.debug > 0 else 0
        return debug | self.unmatched_log
