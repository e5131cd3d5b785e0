"""
Figures of the processes that serve clients, as values, for the status report and other displays.
"""

from __future__ import annotations

from collections.abc import Mapping

from dantetw.accounts.counts import AccountCounts
from dantetw.relay.latency import LatencySnapshot
from dantetw.values import value


@value
class WorkerFigures:
    """
    The identity of a worker.

    :ivar place: from 1; ``process``: its id; ``up``: seconds since its start.
    :ivar started: how many processes have had this place.
    :ivar retired: it accepts no more clients.
    """

    place: int
    process: int
    up: float
    started: int
    retired: bool


@value
class ProcessFigures:
    """
    A process that serves clients.

    :ivar counts: the counts of its sessions.
    :ivar free_files: how many more files it can open; None: unknown, or not limited.
    :ivar latencies: its latencies, by the names of :data:`dantetw.session.totals.KINDS`.
    :ivar worker: None: it is the only process of the server.
    """

    counts: AccountCounts
    free_files: int | None
    latencies: Mapping[str, LatencySnapshot]
    worker: WorkerFigures | None = None


@value
class CrewFigures:
    """
    All processes at one moment.

    :ivar total: the counts of their sessions and of those of their predecessors.
    :ivar past_latencies: the latencies of workers that have ended.
    """

    processes: tuple[ProcessFigures, ...]
    total: AccountCounts
    past_latencies: Mapping[str, LatencySnapshot] | None = None

    @property
    def free_files(self) -> int | None:
        """How many more files the processes can open together; None: unknown."""
        known = [each.free_files for each in self.processes if each.free_files is not None]
        return sum(known) if known else None

    def latencies(self, kind: str) -> list[LatencySnapshot]:
        """The latencies of one kind, of present and past processes."""
        found = [(self.past_latencies or {}).get(kind)]
        found += [each.latencies.get(kind) for each in self.processes]
        return [each for each in found if each is not None]
