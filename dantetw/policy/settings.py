"""
The parts of a policy by concern: timeouts, logging, UDP, processes and so on.

Each has the defaults of Dante, or ours for keywords that Dante does not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dantetw.policy.places import Where
from dantetw.values import (
    LOG_CONNECT,
    LOG_DISCONNECT,
    LOG_ERROR,
    LOG_IOOP,
    Endpoint,
    Method,
    Severity,
)

#: What ``debug`` logs of every session.
DEBUG_LOG = LOG_CONNECT | LOG_DISCONNECT | LOG_ERROR | LOG_IOOP


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


@dataclass(frozen=True, slots=True)
class Form:
    """
    How messages are written to a destination: ``log.format``, ``log.omit``, ``log.hash``, all ours.

    :ivar format: a name of the catalogue's formats.
    :ivar omit: of ``client``, ``user``, ``target`` those that are left out; ``hash``: those that
        are replaced by pseudonyms.
    """

    format: str = "dante"
    omit: frozenset[str] = frozenset()
    hash: frozenset[str] = frozenset()


#: How messages are written unless the file says otherwise: as Dante does.
PLAIN_FORM = Form()


@dataclass(frozen=True, slots=True)
class Output:
    """
    One destination of ``logoutput`` or ``errorlog``.

    :ivar text: as written; the catalogue's kinds of sinks define what it may be.
    :ivar form: how messages are written there.
    :ivar is_file: it is the name of a file.
    """

    text: str
    where: Where
    form: Form = PLAIN_FORM
    is_file: bool = False


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


@dataclass(frozen=True, slots=True)
class LoggingPolicy:
    """
    What is logged, and where.

    :ivar outputs: destinations of ``logoutput``; ``errors``: of ``errorlog``.
    :ivar debug: the level of the file, -1 if it names none.
    :ivar error_filters: failures that are logged for every session.
    :ivar unmatched: our keyword ``log.unmatched``: ``LOG_…`` bits of the built-in block rule.
    :ivar hash_key_file: our keyword ``log.hashkey``; None: a key is made at each start.
    """

    outputs: tuple[Output, ...] = ()
    errors: tuple[Output, ...] = ()
    debug: int = -1
    error_filters: tuple[ErrorFilter, ...] = ()
    unmatched: int = 0
    hash_key_file: str | None = None


@dataclass(frozen=True, slots=True)
class AuthenticationPolicy:
    """
    How clients authenticate.

    :ivar client_methods: global ``clientmethod``; ``socks_methods``: global ``socksmethod``.
    :ivar username_file: our keyword ``username.file``: users of the method ``username``; None:
        the system's password file.
    """

    client_methods: tuple[Method, ...] = (Method.NONE,)
    socks_methods: tuple[Method, ...] = ()
    username_file: str | None = None


@dataclass(frozen=True, slots=True)
class UserPolicy:
    """
    The system users that the server runs as; None: as started.

    :ivar privileged: ``user.privileged``, for privileged work; ``unprivileged``:
        ``user.unprivileged``, for everything else.
    """

    privileged: str | None = None
    unprivileged: str | None = None


class ResolveProtocol(Enum):
    """``resolveprotocol``; with ``fake`` rules never look names up."""

    UDP = "udp"
    TCP = "tcp"
    FAKE = "fake"


@dataclass(frozen=True, slots=True)
class UdpPolicy:
    """
    Datagrams.

    :ivar connectdst: ``udp.connectdst``: the outgoing socket is connected while it has one
        destination.
    :ivar announce: our keyword: addresses in replies, to which clients send their datagrams.
    """

    connectdst: bool = True
    announce: tuple[Endpoint, ...] = ()

    def announced(self, bound: Endpoint) -> Endpoint:
        """The address by which clients reach a socket of ours for datagrams."""
        for endpoint in self.announce:
            if endpoint.family is bound.family:
                return Endpoint(endpoint.host, bound.port, bound.family)
        return bound


@dataclass(frozen=True, slots=True)
class CompatibilityPolicy:
    """
    Concessions to old clients.

    :ivar same_port: ``compatibility: sameport``: the port we connect from is the client's although
        it is below 1024, and BIND grants such a port.
    :ivar bind_extension: ``extension: bind``: a BIND may ask for a port that takes many peers.
    """

    same_port: bool = False
    bind_extension: bool = False


#: Seconds that sessions have after another server has taken over the listening sockets.
HANDOVER = 3600
#: Seconds after which a worker that does not respond is killed.
WORKER_TIMEOUT = 10


@dataclass(frozen=True, slots=True)
class ProcessPolicy:
    """
    The processes of the server.

    :ivar workers: our keyword: how many processes serve clients; 0: one for each processor.
    :ivar max_requests: ``child.maxrequests``: requests a worker serves before it is replaced; 0:
        there is no limit.
    :ivar max_lifetime: ``child.maxlifetime``: seconds after which a worker is replaced; 0: never.
    :ivar worker_timeout: our keyword ``timeout.worker``: seconds after which a worker that does not
        respond is killed; 0: never.
    :ivar handover: our keyword ``timeout.handover``: seconds that sessions have after another
        server has taken over the listening sockets; 0: no limit.
    """

    workers: int = 0
    max_requests: int = 0
    max_lifetime: int = 0
    worker_timeout: int = WORKER_TIMEOUT
    handover: int = HANDOVER

    @property
    def replaces_workers(self) -> bool:
        """Whether workers are replaced from time to time, which takes a supervisor process."""
        return bool(self.max_requests or self.max_lifetime)
