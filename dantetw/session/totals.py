"""
The totals of a status report, of one process or the sum of several.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from dantetw import __version__
from dantetw.accounts.counts import AccountCounts
from dantetw.observe.status import LatencyReport, Limit, Load, Status
from dantetw.process.limits import limits, tasks
from dantetw.relay import latency as relay
from dantetw.relay.latency import Histogram, LatencySnapshot, latest_figures
from dantetw.session.protocol import SocksFactory
from dantetw.values import Work

#: Descriptors that a session takes when it is relayed: the client's and the target's.  An
#: association takes more, but what future clients will ask for is unknown.
_DESCRIPTORS: Final = 2

#: The kinds of latency, by their names in a report.
KINDS: Final = ("read-only", "i/o", "i/o to target", "i/o to client", "tcp i/o")


def kinds(server: SocksFactory) -> Iterator[tuple[str, relay.LatencyStatistics]]:
    """The latencies of this process, one for each of :data:`KINDS`."""
    watch = server.stopwatch
    measured = (watch.reading, watch.relaying, watch.to_target, watch.to_client, watch.batches)
    return zip(KINDS, measured, strict=True)


def latency(report: int, kind: str, measured: Iterable[LatencySnapshot]) -> LatencyReport:
    """The report of one kind of latency, merged from several processes."""
    since_start, last_minute, latest = Histogram(), Histogram(), []
    for each in measured:
        since_start.merge(each.since_start)
        last_minute.merge(each.last_minute)
        latest += each.latest
    figures = latest_figures(latest)
    return LatencyReport(report, kind, figures, since_start.figures(), last_minute.figures())


def free_files(files: int | None) -> int | None:
    """
    How many more files this process can open.

    :param files: how many it has; None: unknown, as is the answer then, and without a limit.
    """
    most = limits()[1]
    return None if most is None or files is None else max(most - files, 0)


def status(
    report: int, up: float, processes: int, total: AccountCounts, left: int | None
) -> Status:
    """
    The totals.

    :param processes: how many there are that serve clients.
    :param total: the counts of all of them and of their predecessors.
    :param left: how many more files they can open together.
    """
    negotiating = total.opened - total.requested - total.ended(Work.NEGOTIATE)
    requesting = total.requested - total.performed - total.ended(Work.REQUEST)
    relaying = total.performed - total.ended(Work.IO)
    most_processes, most_files = limits()
    pairs = None if left is None else left // _DESCRIPTORS
    return Status(
        report,
        __version__,
        up,
        total.opened,
        total.open,
        Load(processes, total.opened, total.requested, negotiating, left),
        Load(processes, total.requested, total.performed, requesting, left),
        Load(processes, total.performed, total.ended(Work.IO), relaying, pairs),
        Limit(most_processes, None if most_processes is None else most_processes - tasks()),
        Limit(None if most_files is None else most_files * processes, left),
    )
