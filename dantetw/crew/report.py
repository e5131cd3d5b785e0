"""
Status reports (SIGUSR1): the figures of the processes, as events for the log.

The totals come first, all of one moment, and then the sessions, which each process
writes itself (:mod:`.processreport`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from dantetw.crew.figures import CrewFigures
from dantetw.crew.interfaces import ICrew
from dantetw.observe.journal import Journal
from dantetw.observe.status import (
    LatencyReport,
    PredecessorReport,
    Reported,
    Status,
    WorkerReport,
)
from dantetw.session.totals import KINDS, latency, status

_log: Final = Logger()


def totals_of(
    figures: CrewFigures, report: int, up: float
) -> Iterator[Status | WorkerReport | LatencyReport]:
    """
    The part of a report about all processes.

    Latencies are part of it if there are workers; a single process has them with its sessions.

    :param report: its number; ``up``: seconds since the server's start.
    """
    yield status(report, up, len(figures.processes), figures.total, figures.free_files)
    workers = [each for each in figures.processes if each.worker is not None]
    for each in workers:
        worker, counts = each.worker, each.counts
        assert worker is not None
        yield WorkerReport(
            report,
            worker.place,
            worker.process,
            worker.up,
            counts.opened,
            counts.open,
            worker.started,
            worker.retired,
        )
    if workers:
        for kind in KINDS:
            yield latency(report, kind, figures.latencies(kind))


class IReplaced(Protocol):
    """Servers that this one has replaced, and that still have sessions."""

    async def measure(self, report: int) -> Sequence[PredecessorReport]:
        """The report of each."""

    async def tell(self, report: int) -> tuple[int, int]:
        """Have them write their sessions; returns how many, and how many ended meanwhile."""


class StatusReports:
    """
    The status reports of the server, one at a time.

    :param monotonic: the clock that sessions are timed by.
    :param replaced: is part of a report, too.
    :ivar number: of the report that is being written or was the last, from 1.
    """

    def __init__(
        self,
        crew: ICrew,
        journal: Journal,
        monotonic: Callable[[], float],
        replaced: IReplaced,
    ) -> None:
        self.number = 0
        self._crew = crew
        self._journal = journal
        self._monotonic = monotonic
        self._replaced = replaced
        self._since = monotonic()
        self._stopped = False
        self._active = self._asked = False
        self._lock = DeferredLock()

    def ask(self) -> None:
        """Report; during a report, once more after it, however often this is called."""
        if self._active:
            self._asked = True
        elif not self._stopped:
            self.number += 1
            self._active = True
            report = self._lock.run(lambda: Deferred.fromCoroutine(self._write()))
            report.addErrback(self._failed).addCallback(lambda _: self._done())

    def report_sessions(self, report: int) -> Deferred[tuple[int, int]]:
        """
        Write the sessions only, into a report of the successor server.

        :returns: how many were written, and how many ended before it was their turn.
        """
        return self._lock.run(
            lambda: Deferred.fromCoroutine(self._crew.report_sessions(report, self._up()))
        )

    def stop(self) -> None:
        """Stop reporting."""
        self._stopped = True

    def _up(self) -> float:
        """Seconds that this server has run."""
        return self._monotonic() - self._since

    async def _write(self) -> None:
        number, record, begun = self.number, self._journal.record, self._monotonic()
        replaced = await self._replaced.measure(number)
        figures = await self._crew.gather()
        if self._stopped:
            return
        # One moment: what is written here belongs together.
        up = self._up()
        for event in totals_of(figures, number, up):
            record(event)
        for predecessor in replaced:
            record(predecessor)
        reported, gone = await self._crew.report_sessions(number, up)
        if self._stopped:
            return
        theirs, theirs_gone = await self._replaced.tell(number)
        if not self._stopped:
            seconds = self._monotonic() - begun
            record(Reported(number, reported + theirs, gone + theirs_gone, seconds))

    def _failed(self, failure: Failure) -> None:
        _log.failure("Failure in a status report", failure)

    def _done(self) -> None:
        """The report is complete."""
        self._active = False
        if self._asked:
            self._asked = False
            self.ask()
