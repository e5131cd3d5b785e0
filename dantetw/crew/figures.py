"""
What is gathered of the processes that serve clients, as values.

A status report is made of them, as whatever else shows the server's figures can be.
"""

from __future__ import annotations

from collections.abc import Mapping

from dantetw.accounts.counts import AccountCounts
from dantetw.relay.latency import LatencySnapshot
from dantetw.values import value


@value
class WorkerFigures:
    """
    Which worker a process is.

    :ivar place: from 1; ``process``: its id; ``up``: seconds since its start.
    :ivar started: how many processes have had this place.
    :ivar retired: it takes no more clients.
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

    :ivar counts: what it has counted of its sessions.
    :ivar free_files: how many files more it can open; None: unknown, or not limited.
    :ivar latencies: what it has measured, by the names of :data:`dantetw.session.totals.KINDS`.
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

    :ivar total: what they and those before them have counted of their sessions.
    :ivar past_latencies: what workers that have ended had measured.
    """

    processes: tuple[ProcessFigures, ...]
    total: AccountCounts
    past_latencies: Mapping[str, LatencySnapshot] | None = None

    @property
    def free_files(self) -> int | None:
        """How many files more the processes can open between them; None: unknown."""
        known = [each.free_files for each in self.processes if each.free_files is not None]
        return sum(known) if known else None

    def latencies(self, kind: str) -> list[LatencySnapshot]:
        """What the processes there are, and have been, have measured of a kind."""
        found = [(self.past_latencies or {}).get(kind)]
        found += [each.latencies.get(kind) for each in self.processes]
        return [each for each in found if each is not None]
