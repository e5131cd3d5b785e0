"""
What happened, said once, as frozen values.

Sessions and the server make these; a *format* turns them into text and a *sink* writes the text,
both behind the one observer (:mod:`dantetw.observe.observer`).  An event refers to the
:class:`~dantetw.policy.Rule` it happened under, so that a format can name the rule's number,
verdict and place, and decide by ``rule.log`` which lines it makes.
"""

from __future__ import annotations

from dantetw.observe.facts import SessionFacts
from dantetw.observe.status import (
    Active,
    ChildReport,
    LatencyReport,
    PredecessorReport,
    Reported,
    Status,
    WorkerReport,
)
from dantetw.policy import Edge, Rule, Where
from dantetw.values import (
    Command,
    Counts,
    Drop,
    Ending,
    Endpoint,
    Operation,
    Outcome,
    Path,
    Protocol,
    Severity,
    Side,
    User,
    value,
)

#: Values that may stand in a text, each behind its field: ``client``, ``user`` or ``target``, or
#: ``data``, which is what a client has sent.
Named = tuple[tuple[str, str], ...]


@value
class Accepted:
    """
    A client rule passed a client: ``pass(1): tcp/accept [: …``.

    :ivar session: number of the session, from 1.
    :ivar tcpinfo: the client's socket's ``struct tcp_info`` if the rule wants it, else empty.
    """

    session: int
    rule: Rule
    path: Path
    tcpinfo: bytes = b""


@value
class Connected:
    """
    The way to the target is open: ``pass(1): tcp/connect [: …``.

    With ``BIND`` a port is open to the peer that the path's target names, as the client named it,
    and with ``BINDREPLY`` the target has come.

    :ivar asked: the target as the client named it.
    :ivar by_name: Dante's line has that name instead of the address: the name has more addresses
        that could have been tried.
    """

    session: int
    rule: Rule
    path: Path
    protocol: Protocol = Protocol.TCP
    command: Command = Command.CONNECT
    tcpinfo: tuple[bytes, bytes] = (b"", b"")  # client's, target's
    asked: Endpoint | None = None
    by_name: bool = False


@value
class Transferred:
    """
    One I/O operation was relayed: ``pass(1): tcp/connect -: … (6)``.

    :ivar origin: who sent the bytes, :attr:`Side.CLIENT` or :attr:`Side.TARGET`.
    :ivar count: how many; 0 is an end of file.
    :ivar data: the bytes themselves if the rule has ``log: data``, else None.
    """

    session: int
    rule: Rule
    path: Path
    origin: Side
    count: int
    data: bytes | None = None
    protocol: Protocol = Protocol.TCP
    command: Command = Command.CONNECT
    tcpinfo: tuple[bytes, bytes] = (b"", b"")


@value
class Parted:
    """
    One of the peers of a port that takes many is over: ``pass(2): tcp/bindreply ]: …``.

    :ivar rule: the socks rule about the peer, which is the target in ``path``; ``local`` there is
        our end of the connection to the client, nowhere as long as there was none.
    :ivar began: monotonic seconds when the peer came, ``ended``: now.
    :ivar named: what may stand in ``ending.text``.
    """

    session: int
    rule: Rule
    path: Path
    ending: Ending
    began: float
    ended: float
    counts: Counts = Counts()
    protocol: Protocol = Protocol.TCP
    command: Command = Command.BINDREPLY
    tcpinfo: tuple[bytes, bytes] = (b"", b"")  # client's, target's
    named: Named = ()


@value
class Dropped:
    """
    A datagram was not relayed: ``block(1): udp/udpassociate -: …``.

    :ivar rule: the rule it met, or that of its association if it did not come to that.
    :ivar origin: whose it was; ``command``: ``udpreply`` if the target's.
    :ivar drop: why; ``text``: Dante's words for it, empty for a plain block.
    :ivar more: how many more like it there were since the last one that was logged.
    :ivar named: what may stand in the text.
    """

    session: int
    rule: Rule
    path: Path
    origin: Side
    drop: Drop
    text: str = ""
    more: int = 0
    named: Named = ()
    protocol: Protocol = Protocol.UDP
    command: Command = Command.UDPASSOCIATE


@value
class Traffic:
    """
    The datagrams of an association by one way out.

    :ivar path: theirs, which is not that of the control connection.  Its ``client`` is the address
        announced as long as no datagram came; its source and target are None as long as none was
        forwarded, its target also if there were several.
    :ivar counts: bytes, the client's with their headers; ``packets``: datagrams.
    """

    path: Path
    counts: Counts = Counts()
    packets: Counts = Counts()


@value
class Attempt:
    """
    One of several addresses of a target's name, and what became of it.

    :ivar target: the address; ``source``: ours, None if it was not tried.
    :ivar rule: the socks rule that judged it; None: none was asked.
    :ivar began: seconds after the first attempt began; ``seconds``: how long it lasted.
    :ivar errno: of one that has failed, 0 else.
    """

    target: Endpoint
    source: Endpoint | None
    rule: Rule | None
    outcome: Outcome
    began: float
    seconds: float = 0.0
    errno: int = 0


@value
class Ended(SessionFacts):
    """
    A session is over; each one ends in exactly one of these.

    :ivar read: bytes the client had sent when negotiation failed.
    :ivar traffic: UDP: by each way out, at least one; empty if there was no association.
    :ivar packets: UDP: how many datagrams made up ``counts``.
    :ivar drops: UDP: how many were not relayed, and why.
    :ivar named: what may stand in ``ending.text`` and ``tried``.
    :ivar attempts: of a target's name that has several addresses, those that it came to, in that
        order; empty: there was one only.
    """

    ending: Ending
    counts: Counts = Counts()
    read: int = 0
    tcpinfo: tuple[bytes, bytes] = (b"", b"")
    traffic: tuple[Traffic, ...] = ()
    packets: Counts = Counts()
    drops: tuple[tuple[Drop, int], ...] = ()
    named: Named = ()
    attempts: tuple[Attempt, ...] = ()

    @property
    def established(self) -> bool:
        """
        Whether the session got as far as a connection attempt: then it is logged with counts and
        the rule's own verdict, else as a refusal.
        """
        attempted = self.path.source is not None or self.traffic != ()
        return attempted and self.ending.text == ""


@value
class ConnectFailed:
    """
    A connection attempt failed (``external.log.LEVEL.error``).

    :ivar symbol: the error's ``errno`` name.
    :ivar errno: its number.
    :ivar session: the session's number.
    :ivar asked: the target's name, which Dante's line has instead of the address.
    :ivar client: whose session it was; ``user`` who that was, as far as it had been shown.
    """

    severity: Severity
    edge: Edge
    endpoint: Endpoint
    symbol: str
    errno: int
    session: int = 0
    asked: Endpoint | None = None
    client: Endpoint | None = None
    user: User | None = None


@value
class TrafficFailed:
    """
    A connection that stood has failed (``SIDE.log.LEVEL.error``).

    :ivar operation: in sending or receiving.
    :ivar endpoint: the far end; ``symbol``, ``errno``, ``session``, ``client`` and ``user`` as
        above.
    """

    severity: Severity
    edge: Edge
    operation: Operation
    endpoint: Endpoint
    symbol: str
    errno: int
    session: int = 0
    client: Endpoint | None = None
    user: User | None = None


@value
class AcceptFailed:
    """
    A client could not be accepted (``internal.log.LEVEL.error``).

    :ivar local: where it wanted to come in; ``symbol`` and ``errno`` as above.
    :ivar session: of a BIND whose peer it was; ``client`` and ``user`` as above.
    """

    severity: Severity
    edge: Edge
    local: Endpoint
    symbol: str
    errno: int
    session: int = 0
    client: Endpoint | None = None
    user: User | None = None


@value
class ResolveFailed:
    """
    A name has no address (``SIDE.log.LEVEL.error``), or it could not be found out.

    :ivar edge: external for what a client asked for, internal for what stands in rules and for the
        client's own address, as in Dante.
    :ivar symbol: the ``EAI_`` name; ``reason``: the resolver's words for it.
    :ivar session: the session's number.
    :ivar reverse: the other way round: ``name`` is an address whose name was asked for.
    """

    severity: Severity
    edge: Edge
    name: str
    symbol: str
    reason: str
    session: int = 0
    reverse: bool = False
    client: Endpoint | None = None
    user: User | None = None


@value
class Step:
    """
    A step of a session, logged with ``debug``.

    :ivar text: one line; may hold what the client sent, unescaped.
    :ivar named: what may stand in it.
    """

    session: int
    client: Endpoint
    text: str
    named: Named = ()


@value
class Message:
    """
    What the server says of itself: start, stop, warnings.

    :ivar code: a stable identifier such as ``server.running``, listed in the catalogue.
    :ivar text: one line, Dante's words where Dante has some.
    :ivar where: the place in a configuration file that it is about, if it is.
    :ivar named: what of a client's may stand in the text.
    """

    severity: Severity
    code: str
    text: str
    where: Where | None = None
    named: Named = ()


@value
class Repeated:
    """
    Something was said again and again, and was not written each time.

    :ivar times: how often, since it was written or summed up.
    :ivar event: what it was.
    """

    severity: Severity
    times: int
    event: Event


Event = (
    Accepted
    | Connected
    | Transferred
    | Parted
    | Dropped
    | Ended
    | ConnectFailed
    | TrafficFailed
    | AcceptFailed
    | ResolveFailed
    | Step
    | Status
    | WorkerReport
    | PredecessorReport
    | ChildReport
    | LatencyReport
    | Active
    | Reported
    | Message
    | Repeated
)
