"""
The status report of a server that is several processes (SIGUSR1): one report, with the totals, a
line for each worker, the latencies of all taken together, and then the sessions, which each worker
tells by itself when it is its turn.
"""

from __future__ import annotations

from dantetw.crew.supervisor import Supervisor
from dantetw.observe.journal import Journal
from dantetw.observe.status import Reported, WorkerReport
from dantetw.relay.latency import LatencySnapshot
from dantetw.session.reporting import Reports
from dantetw.session.totals import KINDS, latency, status


class Combined(Reports):
    """Reports of all workers."""

    def __init__(self, journal: Journal, mother: Supervisor) -> None:
        super().__init__()
        self._journal = journal
        self._mother = mother
        self._since = mother.monotonic()

    def up(self) -> float:
        return self._mother.monotonic() - self._since

    async def report(self) -> None:
        mother, record, now = self._mother, self._journal.record, self._mother.monotonic
        number, begun = self.number, now()
        await mother.measure()
        replaced = await self.measure_replaced()
        if self.stopped:
            return
        children = sorted(mother.children, key=lambda child: (child.place, child.born))
        tallies = [child.ledger.tally() for child in children]
        free = [child.free for child in children if child.free is not None]
        up = begun - self._since
        left = sum(free) if free else None
        record(status(number, up, tallies, left, mother.past))
        for child, tally in zip(children, tallies, strict=True):
            record(
                WorkerReport(
                    number,
                    child.place + 1,
                    child.pid,
                    begun - child.born,
                    tally.accepted,
                    tally.current,
                    mother.started[child.place],
                    child.retired,
                )
            )
        nothing = LatencySnapshot.nothing()
        for kind in KINDS:
            measured = [child.measured.get(kind, nothing) for child in children]
            record(latency(number, kind, (mother.measured.get(kind, nothing), *measured)))
        for each in replaced:
            record(each)
        ours = await self.tell_sessions(number, up)
        told, gone = await self.tell_replaced()
        if not self.stopped:
            record(Reported(number, ours[0] + told, ours[1] + gone, now() - begun))

    async def tell_sessions(self, report: int, up: float) -> tuple[int, int]:
        mother = self._mother
        told = gone = 0
        for child in sorted(mother.children, key=lambda child: (child.place, child.born)):
            if self.stopped or child not in mother.children:
                continue
            answer = await mother.tell(child, report, up)
            told, gone = told + answer[0], gone + answer[1]
        return told, gone
