"""
The parts of a status report (SIGUSR1) as frozen values: events like those of
:mod:`dantetw.observe.events`.

A report is a :class:`Status` with the totals, then for each kind of work a :class:`ChildReport`
(Dante has processes for each) and an :class:`Active` for each session, and a :class:`Reported` at
the end.  The ``ChildReport`` of relays is followed by a :class:`LatencyReport` of each kind; with
several processes, these and a :class:`WorkerReport` for each follow the totals.  So does a
:class:`PredecessorReport` for each server that was replaced and still has sessions.
"""

from __future__ import annotations

from dantetw.figures import Figures, Latest
from dantetw.observe.facts import SessionFacts
from dantetw.values import (
    Counts,
    Work,
    value,
)


@value
class Load:
    """
    Clients at one stage of their sessions, in Dante's counters.

    :ivar processes: how many processes do this work.
    :ivar accepted: clients that reached this stage since the start; ``handed``: those that passed
        on to the next; ``current``: those that are in it.  The rest of ``accepted`` failed here.
    :ivar free: how many more clients fit; None: open files are not limited, or unknown.
    """

    processes: int
    accepted: int
    handed: int
    current: int
    free: int | None


@value
class Limit:
    """A limit of the system, None if there is none; ``free``: what is left, None: unknown."""

    limit: int | None
    free: int | None


@value
class Status:
    """
    The beginning of a status report: the totals.

    :ivar report: its number, from 1; the events that follow have it too.
    :ivar up: seconds since the start.
    :ivar accepted: clients since the start; ``current``: those in the server now.
    :ivar processes: the limit of processes; ``files``: that of open files.
    """

    report: int
    version: str
    up: float
    accepted: int
    current: int
    negotiators: Load
    requesters: Load
    iorelayers: Load
    processes: Limit
    files: Limit


@value
class PredecessorReport:
    """
    A server that this one has replaced, and that still has sessions.

    :ivar process: its id; ``current``: how many sessions it has.
    """

    report: int
    process: int
    current: int


@value
class WorkerReport:
    """
    One of several processes that serve clients.

    :ivar place: its number, from 1; ``process``: its id; ``up``: seconds since its start.
    :ivar accepted: clients accepted; ``current``: those that are connected.
    :ivar started: how many processes have had this place.
    :ivar retired: it accepts no more clients.
    """

    report: int
    place: int
    process: int
    up: float
    accepted: int
    current: int
    started: int
    retired: bool = False


@value
class ChildReport:
    """The heading of the sessions in one stage, which follow it in a status report."""

    report: int
    work: Work
    up: float


@value
class LatencyReport:
    """
    The latency of relaying: how long data stays in this host.

    :ivar kind: ``read-only`` and ``i/o``, of datagrams, as Dante has them: until they have been
        read, and until they have been sent on; the latter also by their way, ``i/o to target`` and
        ``i/o to client``; and ``tcp i/o``, of connections.
    :ivar latest: Dante's figures; None if there are none yet, or not of this kind.
    """

    report: int
    kind: str
    latest: Latest | None
    since_start: Figures
    last_minute: Figures


@value
class Buffered:
    """
    Bytes buffered in one direction.

    :ivar unread: in the queue of the receiving socket; ``held``: in this process; ``unsent``: in
        the queue of the sending socket.  None: unknown.
    """

    unread: int | None = 0
    held: int = 0
    unsent: int | None = 0


@value
class TrafficSnapshot:
    """
    The traffic of an active session, or (UDP) that with one of its targets.

    :ivar began: monotonic seconds when the client was accepted (UDP: of the first datagram to the
        target); ``last_activity``: when data was last received or could be sent.
    :ivar to_target: data buffered on the way to the target, ``to_client`` on the way back; None for
        UDP.
    :ivar packets: UDP: how many datagrams make up ``counts``.
    :ivar connecting: the connection to the target is not established yet.
    """

    began: float
    last_activity: float
    counts: Counts
    to_target: Buffered | None = None
    to_client: Buffered | None = None
    packets: Counts | None = None
    connecting: bool = False


@value
class Active(SessionFacts):
    """
    A session that is alive, in a status report; a UDP association has one for each target, whose
    ``path`` is that of the datagrams.

    :ivar work: what is being done for it.
    :ivar choice: the session's configuration has more than one client rule or socks rule.
    :ivar standing: its traffic, if ``work`` is :attr:`Work.IO`, else None.
    """

    report: int
    work: Work
    choice: bool = False
    standing: TrafficSnapshot | None = None
    tcpinfo: tuple[bytes, bytes] = (b"", b"")

    @property
    def began(self) -> float:
        """Monotonic seconds since when this work is done."""
        return self.times.accepted if self.work is Work.NEGOTIATE else self.times.requested


@value
class Reported:
    """
    A status report is complete.

    :ivar report: its number; ``told``: how many sessions were reported; ``gone``: how many had
        ended before it was their turn; ``seconds``: the time taken.
    """

    report: int
    told: int
    gone: int
    seconds: float
