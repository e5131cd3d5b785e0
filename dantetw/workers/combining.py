"""
The status report of a server that is several processes (SIGUSR1): one report, with the totals, a
line for each worker, the latencies of all taken together, and then the sessions, which each worker
tells by itself when it is its turn.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from dantetw.observe.journal import Journal
from dantetw.observe.status import Reported, Worker
from dantetw.relay.latency import Measured
from dantetw.session.totals import KINDS, latency, status
from dantetw.workers.mother import Mother

_log: Final = Logger()


class Combined:
    """Reports, one at a time."""

    def __init__(self, journal: Journal, mother: Mother) -> None:
        self._journal = journal
        self._mother = mother
        self._since = mother.monotonic()
        self._number = 0
        self._under_way = self._asked = self._stopped = False

    def ask(self) -> None:
        """Report; if a report is under way, once more behind it, however often this is called."""
        if self._under_way:
            self._asked = True
        elif not self._stopped:
            self._number += 1
            self._under_way = True
            Deferred.fromCoroutine(self._report()).addErrback(self._failed).addCallback(self._done)

    def stop(self) -> None:
        """Report no more."""
        self._stopped = True

    def _failed(self, failure: Any) -> None:
        _log.failure("Failure in a status report", failure)

    def _done(self, _: object) -> None:
        self._under_way = False
        if self._asked:
            self._asked = False
            self.ask()

    async def _report(self) -> None:
        mother, record, now = self._mother, self._journal.record, self._mother.monotonic
        number, begun = self._number, now()
        await mother.measure()
        if self._stopped:
            return
        children = sorted(mother.children, key=lambda child: (child.place, child.born))
        tallies = [child.ledger.tally() for child in children]
        free = [child.free for child in children if child.free is not None]
        up = begun - self._since
        left = sum(free) if free else None
        record(status(number, up, tallies, left, mother.past))
        for child, tally in zip(children, tallies, strict=True):
            record(
                Worker(
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
        nothing = Measured.nothing()
        for kind in KINDS:
            measured = [child.measured.get(kind, nothing) for child in children]
            record(latency(number, kind, (mother.measured.get(kind, nothing), *measured)))
        told = gone = 0
        for child in children:
            if self._stopped or child not in mother.children:
                continue
            answer = await mother.tell(child, number, up)
            told, gone = told + answer[0], gone + answer[1]
        if not self._stopped:
            record(Reported(number, told, gone, now() - begun))
