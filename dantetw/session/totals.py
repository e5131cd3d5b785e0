"""
The totals of a status report: of one process, or of several taken together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from dantetw import __version__
from dantetw.observe.status import LatencyReport, Limit, Load, Status
from dantetw.process.limits import limits, tasks
from dantetw.relay import latency as relay
from dantetw.relay.latency import Histogram, LatencySnapshot, latest_figures
from dantetw.session.protocol import SocksFactory
from dantetw.values import value

#: Descriptors that a session takes when it is relayed: the client's and the target's.  An
#: association takes more, but nobody can say of clients to come what they will ask for.
_DESCRIPTORS: Final = 2

#: What is measured, by the names it has in a report.
KINDS: Final = ("read-only", "i/o", "i/o to target", "i/o to client", "tcp i/o")


def kinds(server: SocksFactory) -> Iterator[tuple[str, relay.LatencyStatistics]]:
    """What this process has measured, each of :data:`KINDS`."""
    watch = server.stopwatch
    measured = (watch.reading, watch.relaying, watch.to_target, watch.to_client, watch.batches)
    return zip(KINDS, measured, strict=True)


def latency(report: int, kind: str, measured: Iterable[LatencySnapshot]) -> LatencyReport:
    """What a report says of a kind of latency that was measured in several processes."""
    since_start, last_minute, latest = Histogram(), Histogram(), []
    for each in measured:
        since_start.merge(each.since_start)
        last_minute.merge(each.last_minute)
        latest += each.latest
    figures = latest_figures(latest)
    return LatencyReport(report, kind, figures, since_start.figures(), last_minute.figures())


@value
class Tally:
    """
    Counts of a process: see :class:`~dantetw.session.protocol.SocksFactory`.

    :ivar current: sessions that are alive.
    """

    accepted: int = 0
    requested: int = 0
    performed: int = 0
    unrequested: int = 0
    unperformed: int = 0
    current: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.accepted + other.accepted,
            self.requested + other.requested,
            self.performed + other.performed,
            self.unrequested + other.unrequested,
            self.unperformed + other.unperformed,
            self.current + other.current,
        )


def tally(server: SocksFactory) -> Tally:
    """The counts of this process, as they are now."""
    return Tally(
        server.accepted,
        server.requested,
        server.performed,
        server.unrequested,
        server.unperformed,
        len(server.sessions),
    )


def free_files(files: int | None) -> int | None:
    """
    How many files more this process can open.

    :param files: how many it has; None: unknown, as is the answer then, and without a limit.
    """
    most = limits()[1]
    return None if most is None or files is None else max(most - files, 0)


def status(
    report: int, up: float, tallies: Sequence[Tally], left: int | None, past: Tally | None = None
) -> Status:
    """
    The totals.

    :param tallies: of each process that serves clients; ``past``: of those that did so before.
    :param left: how many files more they can open between them.
    """
    number = len(tallies)
    total = Tally() if past is None else past
    for each in tallies:
        total += each
    negotiating = total.accepted - total.requested - total.unrequested
    requesting = total.requested - total.performed - total.unperformed
    relaying = total.current - negotiating - requesting
    most_processes, most_files = limits()
    pairs = None if left is None else left // _DESCRIPTORS
    return Status(
        report,
        __version__,
        up,
        total.accepted,
        total.current,
        Load(number, total.accepted, total.requested, negotiating, left),
        Load(number, total.requested, total.performed, requesting, left),
        Load(number, total.performed, total.performed - relaying, relaying, pairs),
        Limit(most_processes, None if most_processes is None else most_processes - tasks()),
        Limit(None if most_files is None else most_files * number, left),
    )
