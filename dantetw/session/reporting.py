"""
The status report that SIGUSR1 asks for: totals, and every session that is alive.

Nobody must wait for it, though there may be tens of thousands of sessions.  So it is told in slices
of a few milliseconds, between which the server does its other work.  The totals are those of one
moment, and so are the sessions that are told: those that were there at that moment, oldest first.
Each is told as it is when it is its turn; what ended before is not told any more, and what began
since is not told yet.

Lines that a destination does not take at once wait in its queue, which is bounded, and a report may
be longer.  So we stop while one is behind, for as long as it makes progress.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from dantetw.observe.status import (
    Active,
    ChildReport,
    LatencyReport,
    PredecessorReport,
    Reported,
    Standing,
)
from dantetw.process.limits import count_files
from dantetw.session.accounting import tcpinfo_of
from dantetw.session.totals import free_files, kinds, latency, status, tally
from dantetw.values import Path, Work

if TYPE_CHECKING:
    from dantetw.session.protocol import SocksFactory
    from dantetw.session.session import Session

#: Seconds of work in a slice, and seconds between two.
SLICE: Final = 0.002
#: Messages that may wait at a destination: a quarter of its queue of 1 MiB, if they are of the
#: longest kind, with ``log: tcpinfo``.
BEHIND: Final = 100
#: Seconds until we look again whether a destination that is behind has caught up.
PAUSE: Final = 0.02
#: Looks at a destination that is behind and makes no progress, until it is given up: two seconds.
LOOKS: Final = 100
#: Seconds that a report may be held up in all, by a destination that takes a line now and then.
LONGEST: Final = 60.0

_log: Final = Logger()


class Slices:
    """
    Does work that takes long, a few milliseconds at a time.

    :param waiting: how many messages wait at the destination that is furthest behind.
    """

    def __init__(self, server: SocksFactory, waiting: Callable[[], int]) -> None:
        self._server = server
        self._waiting = waiting
        self._work: Iterator[None] | None = None
        self._behind = 0
        self._looks = LOOKS
        self._paused = 0.0

    def begin(self, work: Iterator[None], done: Callable[[], None]) -> None:
        """
        Begin a piece of work, a step of the iterator at a time.

        :param done: called when it is over, if :meth:`stop` was not.
        """
        self._work, self._done = work, done
        self._paused = 0.0
        self._continue()

    def stop(self) -> None:
        """Do no more of it."""
        self._work = None

    def _continue(self) -> None:
        work, server = self._work, self._server
        if work is None:
            return
        if self._held_up():
            self._paused += PAUSE
            server.reactor.callLater(PAUSE, self._continue)
            return
        monotonic = server.monotonic
        end = monotonic() + SLICE
        try:
            for _ in work:
                if monotonic() >= end:
                    server.reactor.callLater(SLICE, self._continue)
                    return
        except Exception:
            _log.failure("Failure in a status report")
        self._work = None
        self._done()

    def _held_up(self) -> bool:
        """Whether to wait for a destination that is behind."""
        behind, before = self._waiting(), self._behind
        self._behind = behind
        if behind <= BEHIND:
            self._looks = LOOKS
            return False
        # One that is stuck must not keep the others from the report: it counts what it loses.
        self._looks = LOOKS if behind < before else self._looks - 1
        return self._looks > 0 and self._paused < LONGEST


class IReplaced(Protocol):
    """Servers that this one has replaced, and that still have sessions."""

    async def measure(self, report: int) -> Sequence[PredecessorReport]:
        """What to say of each."""

    async def tell(self, report: int) -> tuple[int, int]:
        """Have them write their sessions; how many they have, and how many ended meanwhile."""


class Reports:
    """
    Reports, one at a time.

    :ivar number: of the report that is under way or was the last, from 1.
    :ivar replaced: what is part of a report, too.
    """

    def __init__(self) -> None:
        self.number = 0
        self.stopped = False
        self.replaced: IReplaced | None = None
        self._under_way = self._asked = False
        self._lock = DeferredLock()

    def ask(self) -> None:
        """Report; if a report is under way, once more behind it, however often this is called."""
        if self._under_way:
            self._asked = True
        elif not self.stopped:
            self.number += 1
            self._under_way = True
            report = self._lock.run(lambda: Deferred.fromCoroutine(self.report()))
            report.addErrback(self._failed).addCallback(lambda _: self._done())

    def tell(self, report: int) -> Deferred[tuple[int, int]]:
        """
        Write the sessions only, into a report of the server that has replaced us.

        :returns: how many were written, and how many ended before it was their turn.
        """
        return self._lock.run(lambda: Deferred.fromCoroutine(self.tell_sessions(report, self.up())))

    def up(self) -> float:
        """Seconds that this server has run."""
        raise NotImplementedError

    async def report(self) -> None:
        """Write a report."""
        raise NotImplementedError

    async def tell_sessions(self, report: int, up: float) -> tuple[int, int]:
        """See :meth:`tell`; ``up`` as :meth:`up`, at the beginning of the report."""
        raise NotImplementedError

    async def tell_replaced(self) -> tuple[int, int]:
        """Have servers that we have replaced write their sessions."""
        if self.replaced is None or self.stopped:
            return 0, 0
        return await self.replaced.tell(self.number)

    async def measure_replaced(self) -> Sequence[PredecessorReport]:
        """What to say of servers that we have replaced."""
        return () if self.replaced is None else await self.replaced.measure(self.number)

    def _failed(self, failure: Failure) -> None:
        _log.failure("Failure in a status report", failure)

    def _done(self) -> None:
        """The report is over."""
        self._under_way = False
        if self._asked:
            self._asked = False
            self.ask()

    def stop(self) -> None:
        """Report no more."""
        self.stopped = True


class Reporting(Reports):
    """
    Reports of a server that is one process.

    :param waiting: how many messages wait at the destination that is furthest behind.
    """

    def __init__(self, server: SocksFactory, waiting: Callable[[], int]) -> None:
        super().__init__()
        self._server = server
        self._since = server.monotonic()
        self._slices = Slices(server, waiting)

    def stop(self) -> None:
        super().stop()
        self._slices.stop()

    def up(self) -> float:
        return self._server.monotonic() - self._since

    async def report(self) -> None:
        monotonic, number = self._server.monotonic, self.number
        begun = monotonic()
        replaced = await self.measure_replaced()
        tellings: list[Telling] = []
        await self._work(self._told(replaced, tellings))
        for telling in tellings:  # none if that has failed, which has been logged
            told, gone = await self.tell_replaced()
            seconds = monotonic() - begun
            event = Reported(number, telling.told_of + told, telling.gone + gone, seconds)
            if not self.stopped:
                self._server.journal.record(event)

    def _told(
        self, replaced: Iterable[PredecessorReport], tellings: list[Telling]
    ) -> Iterator[None]:
        """Write the totals and the sessions, a small step at a time."""
        server, record = self._server, self._server.journal.record
        files = None
        for counted in count_files():
            files = counted
            yield
        # One moment: what is read here belongs together.
        up = self.up()
        record(status(self.number, up, (tally(server),), free_files(files)))
        for each in replaced:
            record(each)
        telling = self._telling(self.number, up)
        tellings.append(telling)
        yield from telling.told()

    async def tell_sessions(self, report: int, up: float) -> tuple[int, int]:
        telling = self._telling(report, up)
        await self._work(telling.told())
        return telling.told_of, telling.gone

    def _telling(self, report: int, up: float) -> Telling:
        server = self._server
        latencies = tuple(latency(report, kind, (each.snapshot(),)) for kind, each in kinds(server))
        return Telling(server, report, up, latencies)

    def _work(self, work: Iterator[None]) -> Deferred[None]:
        """Do a piece of work in slices."""
        over: Deferred[None] = Deferred()
        self._slices.begin(work, lambda: over.callback(None))
        return over


class Telling:
    """
    Tells the sessions of this process.

    :param latencies: what to say of latency where relays are told.
    :ivar told_of: how many were told; ``gone``: how many ended before it was their turn.
    """

    def __init__(
        self,
        server: SocksFactory,
        report: int,
        up: float,
        latencies: tuple[LatencyReport, ...] = (),
    ) -> None:
        self._server = server
        self._report = report
        self._up = up
        self._latencies = latencies
        self._alive = tuple(server.sessions.values())
        self.told_of = self.gone = 0

    def told(self) -> Iterator[None]:
        """Tell those that were alive when this was made, a small step at a time."""
        record = self._server.journal.record
        works: dict[Work, list[Session]] = {work: [] for work in Work}
        for session in self._alive:
            works[work_of(session)].append(session)
            yield
        for work, sessions in works.items():
            record(ChildReport(self._report, work, self._up))
            if work is Work.IO:
                for latency in self._latencies:
                    record(latency)
            for session in sessions:
                yield
                if session.ended:
                    self.gone += 1
                elif (now := work_of(session)) is not work:
                    works[now].append(session)  # work goes on in this order, never back
                else:
                    self.told_of += 1
                    for event in actives(session, self._report):
                        record(event)


def work_of(session: Session) -> Work:
    """What is being done for a session."""
    if session.record.request is None:
        return Work.NEGOTIATE
    performing = session.performing
    return Work.IO if performing is not None and performing.under_way else Work.REQUEST


def actives(session: Session, report: int) -> Iterator[Active]:
    """The part of a status report about a session that is alive."""
    record, work, performing = session.record, work_of(session), session.performing
    policy = record.policy
    ways: Iterable[tuple[Path | None, Standing | None]] = ((None, None),)
    if performing is not None and work is Work.IO:
        ways = performing.standing()
    for path, standing in ways:
        yield record.snapshot(
            Active,
            session.server.monotonic(),
            path,
            report=report,
            work=work,
            choice=len(policy.client_rules) > 1 or len(policy.socks_rules) > 1,
            standing=standing,
            tcpinfo=tcpinfo_of(session),
        )
