"""
Finds workers that do not respond.

Each worker counts heartbeats in its scoreboard, which is memory shared with the supervisor process;
the supervisor compares.  Nothing is sent, and no clock of one process is compared with that of
another: a worker is silent for as long as the supervisor, looking every :data:`BEAT` seconds, has
found its count unchanged.  If the supervisor itself was stopped meanwhile (a suspended machine, a
frozen container, SIGSTOP to all), the gap between two checks counts as two at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from twisted.logger import Logger

from dantetw.crew.scoreboard import BEAT
from dantetw.crew.workerprocess import WorkerProcess
from dantetw.observe.journal import Journal
from dantetw.values import Severity

#: Seconds of silence after which other workers accept a worker's clients.
LATE_SECONDS: Final = 0.5
#: Seconds of silence after which it is logged that a worker does not respond.
STALLED_SECONDS: Final = 2.0

_log: Final = Logger()


class Watchdog:
    """
    Watches the workers.

    :param workers: returns the workers to watch.
    :param limit: returns the seconds of silence after which a worker is killed; 0: never.
    :param stalled: called with a worker when its silence is logged.
    :param looked: called after each check, when the state of each :class:`WorkerProcess` is up to
        date.
    """

    def __init__(
        self,
        reactor: Any,
        monotonic: Callable[[], float],
        journal: Journal,
        workers: Callable[[], Iterable[WorkerProcess]],
        limit: Callable[[], float],
        stalled: Callable[[WorkerProcess], None],
        looked: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._monotonic = monotonic
        self._journal = journal
        self._workers = workers
        self._limit = limit
        self._stalled = stalled
        self._looked = looked
        self._before = 0.0

    def start(self) -> None:
        """Start watching, until the process ends."""
        self._before = self._monotonic()
        self._reactor.callLater(BEAT, self._tick)

    def _tick(self) -> None:
        now = self._monotonic()
        elapsed, self._before = min(now - self._before, 2 * BEAT), now
        self._reactor.callLater(BEAT, self._tick)
        try:
            for worker in tuple(self._workers()):
                self._look(worker, elapsed)
            self._looked()
        except Exception:
            _log.failure("Failure in watching workers")

    def _look(self, worker: WorkerProcess, elapsed: float) -> None:
        """Record a worker's heartbeat, or its absence."""
        worker.look(elapsed)
        if worker.leaving:
            return  # it is writing its last lines, and is killed if that takes too long
        worker.late = worker.silent >= LATE_SECONDS
        name, limit = f"worker {worker.place + 1} (process {worker.pid})", self._limit()
        if worker.silent < STALLED_SECONDS:
            if worker.stalled:
                worker.stalled = False
                text = f"{name} responds again"
                self._journal.message(Severity.INFO, "server.worker", text)
            return
        if not worker.stalled:
            worker.stalled = True
            text = f"{name} has not responded for {STALLED_SECONDS:.0f} seconds"
            self._journal.message(Severity.WARNING, "server.worker", text)
            self._stalled(worker)
        if 0 < limit <= worker.silent and not worker.killed:
            worker.killed = True
            text = f"{name} has not responded for {limit:.0f} seconds, and is killed"
            self._journal.message(Severity.WARNING, "server.worker", text)
            worker.kill()
