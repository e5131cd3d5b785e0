"""
Plain values used everywhere: hosts, endpoints, commands, methods, endings.

Nothing here knows a socket, a clock or a log.  The names are those of :rfc:`1928` and of Dante's
manual; the ``value`` of an enumeration's member is the word used in ``sockd.conf`` and in
the log.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any, Final, TypeVar, dataclass_transform

_Value = TypeVar("_Value")


@dataclass_transform(frozen_default=True)
def value(cls: type[_Value]) -> type[_Value]:
    """
    A frozen, slotted dataclass, for values that sessions make many of.

    It is the type checker that keeps it frozen.  The guard that ``frozen=True`` sets up at run time
    makes every field of a new object cost a call: together a seventh of a short session's work.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)


#: The configuration that is read where no other is named.
CONFIG_FILE: Final = "/etc/sockd.conf"


class _Word(Enum):
    """
    An enumeration of words, made for speed.

    :ivar word: the same as ``value``, which is a property and takes ten times as long.
    """

    # Members are single, so their identity will do; Enum's own is a function in Python.
    __hash__ = object.__hash__

    word: str

    def __init__(self, word: str) -> None:
        self.word = word


class Family(_Word):
    """What kind of host an :class:`Endpoint` names."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"
    NAME = "name"


#: The families of addresses, and how messages name them.
FAMILIES: Final = frozenset((Family.IPV4, Family.IPV6))
FAMILY_WORDS: Final = {Family.IPV4: "IPv4", Family.IPV6: "IPv6"}

#: The kernel's number for each address family.
AF_OF: Final = {Family.IPV4: int(socket.AF_INET), Family.IPV6: int(socket.AF_INET6)}

_MAPPED: Final = "::ffff:"


@value
class Endpoint:
    """
    A host and a port: where a client is, what it asks for, where we go out.

    :ivar host: a numeric address in canonical text form, with its zone if it is link-local
        (``fe80::1%eth0``), or a host name as it was received.
    :ivar port: 0-65535.
    :ivar family: which of the two it is.
    """

    host: str
    port: int
    family: Family
    # As log lines show it, cached: the same endpoint is in several lines.
    text: str = field(default="", init=False, repr=False, compare=False)

    @classmethod
    def of(cls, sockaddr: tuple[Any, ...]) -> Endpoint:
        """
        The endpoint of a kernel address: ``(host, port)`` or ``(host, port, flow, scope)``.

        An IPv4 address mapped into IPv6 (:rfc:`4291`, 2.5.5.2) becomes the IPv4 address it is.
        """
        host, port = sockaddr[0], sockaddr[1]
        if ":" not in host:
            return cls(host, port, FAMILY_IPV4)
        if host.startswith(_MAPPED) and "." in host:
            return cls(host[len(_MAPPED) :], port, Family.IPV4)
        return cls(host, port, Family.IPV6)

    def __str__(self) -> str:
        """
        Dante's notation: ``127.0.0.1.1080``, ``::1.1080``, ``example.org.80``.

        A link-local address is shown without its zone, a name as it was received.
        """
        return f"{self.shown}.{self.port}"

    @property
    def shown(self) -> str:
        """The host without the zone that a link-local address may have."""
        if self.family is Family.IPV6 and "%" in self.host:
            return self.host.partition("%")[0]
        return self.host


#: Dante's notation for "no address": ``0.0.0.0.0``.
NOWHERE: Final = Endpoint("0.0.0.0", 0, Family.IPV4)
#: In a BIND this address asks for Dante's extension, under which a port takes many peers.
EXTENSION: Final = "255.255.255.255"

#: Unspecified addresses: an error as a target, "any" as the peer of a BIND.
UNSPECIFIED: Final = frozenset(("0.0.0.0", "::"))


def is_loopback(address: str) -> bool:
    """Whether a numeric address is of this host alone."""
    return address == "::1" or address.startswith("127.")


class Protocol(_Word):
    """Transport protocol of the traffic that is relayed."""

    TCP = "tcp"
    UDP = "udp"


class Command(_Word):
    """
    What is asked for or done.  ``CONNECT``, ``BIND`` and ``UDPASSOCIATE`` are requests (:rfc:`1928`
    section 4), the replies are Dante's names for traffic that comes back, ``ACCEPT`` is the
    client's arrival, which client rules judge.
    """

    ACCEPT = "accept"
    CONNECT = "connect"
    BIND = "bind"
    BINDREPLY = "bindreply"
    UDPASSOCIATE = "udpassociate"
    UDPREPLY = "udpreply"


#: The transport protocol of what each request brings about.
PROTOCOL_OF: Final = {
    Command.CONNECT: Protocol.TCP,
    Command.BIND: Protocol.TCP,
    Command.UDPASSOCIATE: Protocol.UDP,
}


class ProxyProtocol(_Word):
    """The protocol spoken with a client or with an upstream proxy."""

    SOCKS_V4 = "socks_v4"
    SOCKS_V5 = "socks_v5"
    HTTP = "http"
    UPNP = "upnp"


class Method(_Word):
    """Authentication methods, by their names in ``clientmethod`` and ``socksmethod``."""

    NONE = "none"
    USERNAME = "username"
    RFC931 = "rfc931"
    PAM_ADDRESS = "pam.address"
    PAM_ANY = "pam.any"
    PAM_USERNAME = "pam.username"
    GSSAPI = "gssapi"
    BSDAUTH = "bsdauth"
    LDAPAUTH = "ldapauth"


class Verdict(_Word):
    """What a rule does with what it matches."""

    PASS = "pass"
    BLOCK = "block"


# What of a rule is logged: bits of ``Rule.log``.  Plain integers, since an ``IntFlag`` costs ten
# times as much to test, and sessions test them all the time.
LOG_CONNECT: Final = 1
LOG_DISCONNECT: Final = 2
LOG_ERROR: Final = 4
LOG_IOOP: Final = 8
LOG_DATA: Final = 16
LOG_TCPINFO: Final = 32


class Severity(IntEnum):
    """Syslog's levels (:rfc:`5424`, 6.2.1); a lower number is more severe."""

    EMERGENCY = 0
    ALERT = 1
    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


class Side(_Word):
    """Whose doing something was."""

    CLIENT = "client"
    TARGET = "target"
    RULE = "rule"
    US = "us"


class Phase(_Word):
    """How far a session had come."""

    ACCEPT = "accept"
    NEGOTIATE = "negotiate"
    AUTHENTICATE = "authenticate"
    RESOLVE = "resolve"
    AUTHORISE = "authorise"
    CONNECT = "connect"
    RELAY = "relay"


class Work(_Word):
    """
    What is being done for a session, by Dante's names for the processes that do it: ``NEGOTIATE``
    until its request has come, ``REQUEST`` until the command is active, then ``IO``.
    """

    NEGOTIATE = "negotiate"
    REQUEST = "request"
    IO = "io"


class Cause(_Word):
    """Why a session ended."""

    CLOSED = "closed"  # an orderly end of file
    ERROR = "error"  # the system's error in ``Ending.errno``
    TIMEOUT = "timeout"
    FIN_WAIT = "fin-wait"  # timeout.tcp_fin_wait
    BLOCKED = "blocked"  # by a rule
    PROTOCOL = "protocol"  # bytes that are not SOCKS, or not acceptable SOCKS
    CREDENTIALS = "credentials"  # a wrong user name or password
    UNRESOLVED = "unresolved"  # the target's name has no address
    UNUSABLE = "unusable"  # the request makes no sense: port 0, our own address…
    UNSUPPORTED = "unsupported"  # a command that is not built
    SHUTDOWN = "shutdown"  # the server is stopping
    CRASH = "crash"  # the server's process that served it has died


class AccountKind(_Word):
    """What sessions are counted by (:mod:`dantetw.accounts`)."""

    SERVER = "server"
    CLIENT_RULE = "client-rule"
    SOCKS_RULE = "socks-rule"
    USER = "user"
    CLIENT = "client"  # the client's address
    MONITOR = "monitor"
    UPSTREAM = "upstream"


class Drop(_Word):
    """Why a datagram was not relayed."""

    MALFORMED = "malformed"  # no header that makes sense
    FRAGMENT = "fragment"
    STRANGER = "stranger"  # not from the association's client
    BLOCKED = "blocked"  # by a rule
    UNRESOLVED = "unresolved"  # the target's name has no address
    UNUSABLE = "unusable"  # the target makes no sense: port 0, no address of ours in its family…
    ERROR = "error"  # the system would not send it
    UNDELIVERED = "undelivered"  # sent, but the network says that it did not arrive
    OVERFLOW = "overflow"  # it came faster than it could be relayed


class Outcome(_Word):
    """What became of one of the addresses of a target's name."""

    CONNECTED = "connected"
    FAILED = "failed"  # the system's error, or ours for a time limit
    OVERTAKEN = "overtaken"  # another one has connected first
    ABANDONED = "abandoned"  # the session ended first
    BLOCKED = "blocked"  # no rule passes it: it was not tried
    UNUSABLE = "unusable"  # it makes no sense, or no address of ours goes there: it was not tried


class Operation(_Word):
    """What was being done to a connection when the network failed."""

    ACCEPT = "accept"
    CONNECT = "connect"
    SEND = "send"
    RECEIVE = "receive"


@value
class Ending:
    """
    How a session ended: whose doing, how far it had come, and why.

    :ivar errno: the system's error number where ``cause`` is :attr:`Cause.ERROR`, else 0.
    :ivar text: what Dante would say of it where that takes more than the three names.
    :ivar operation: what failed on the connection of ``side``; None: the network did not fail.
    """

    side: Side
    phase: Phase
    cause: Cause
    errno: int = 0
    text: str = ""
    operation: Operation | None = None


@value
class User:
    """
    An authenticated user.

    :ivar method: how.
    :ivar name: as received, hence hostile: escape it in logs.
    """

    method: Method
    name: str


@value
class Path:
    """
    The endpoints of a session: client -> local, then source -> target.

    :ivar client: the client's end of its connection; ``local``: our end of it.
    :ivar user: the client's authenticated user; None: it has none.
    :ivar source: our end of the outgoing connection; ``target``: the far end.  None as long as
        there is none.
    :ivar client_user: the user by the client rule's method (``rfc931``, ``pam.address``); it is in
        ``tcp/accept`` lines, ``user`` in the others.
    """

    client: Endpoint
    local: Endpoint
    user: User | None = None
    source: Endpoint | None = None
    target: Endpoint | None = None
    client_user: User | None = None
    # Either side as log lines show it, cached: several lines have the same path.
    near: str = field(default="", init=False, repr=False, compare=False)
    far: str = field(default="", init=False, repr=False, compare=False)


@value
class Counts:
    """Bytes, or datagrams, by what we read from and wrote to the client and the target."""

    to_client: int = 0
    from_client: int = 0
    to_target: int = 0
    from_target: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.to_client + other.to_client,
            self.from_client + other.from_client,
            self.to_target + other.to_target,
            self.from_target + other.from_target,
        )


class ReplyCode(IntEnum):
    """What a reply says of a request (:rfc:`1928`, 6, field ``REP``)."""

    SUCCEEDED = 0
    FAILURE = 1
    NOT_ALLOWED = 2
    NETWORK_UNREACHABLE = 3
    HOST_UNREACHABLE = 4
    REFUSED = 5
    TTL_EXPIRED = 6
    COMMAND_NOT_SUPPORTED = 7
    ADDRESS_TYPE_NOT_SUPPORTED = 8


#: Methods that need nothing but the client's connection, the only ones that fit ``clientmethod``.
CLIENT_METHODS: Final = frozenset((Method.NONE, Method.RFC931, Method.PAM_ADDRESS, Method.PAM_ANY))
#: Methods that ask PAM.
PAM_METHODS: Final = frozenset((Method.PAM_ADDRESS, Method.PAM_ANY, Method.PAM_USERNAME))

# Members for code that runs for each session: finding one in its class takes 0.2 us (Python 3.11).
CAUSE_BLOCKED: Final = Cause.BLOCKED
CAUSE_CLOSED: Final = Cause.CLOSED
COMMAND_BIND: Final = Command.BIND
COMMAND_BINDREPLY: Final = Command.BINDREPLY
COMMAND_CONNECT: Final = Command.CONNECT
COMMAND_UDPASSOCIATE: Final = Command.UDPASSOCIATE
COMMAND_UDPREPLY: Final = Command.UDPREPLY
FAMILY_IPV4: Final = Family.IPV4
FAMILY_IPV6: Final = Family.IPV6
FAMILY_NAME: Final = Family.NAME
METHOD_NONE: Final = Method.NONE
PHASE_ACCEPT: Final = Phase.ACCEPT
PHASE_AUTHENTICATE: Final = Phase.AUTHENTICATE
PHASE_AUTHORISE: Final = Phase.AUTHORISE
PHASE_CONNECT: Final = Phase.CONNECT
PHASE_NEGOTIATE: Final = Phase.NEGOTIATE
PHASE_RELAY: Final = Phase.RELAY
PHASE_RESOLVE: Final = Phase.RESOLVE
PROTOCOL_TCP: Final = Protocol.TCP
REPLY_SUCCEEDED: Final = ReplyCode.SUCCEEDED
SEVERITY_DEBUG: Final = Severity.DEBUG
SEVERITY_INFO: Final = Severity.INFO
SEVERITY_WARNING: Final = Severity.WARNING
SIDE_CLIENT: Final = Side.CLIENT
SIDE_TARGET: Final = Side.TARGET
VERDICT_BLOCK: Final = Verdict.BLOCK
WORK_IO: Final = Work.IO
WORK_NEGOTIATE: Final = Work.NEGOTIATE
WORK_REQUEST: Final = Work.REQUEST
