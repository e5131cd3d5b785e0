"""
The part of a status report that each process makes of its own sessions.

Figures are returned; the sessions, of which there may be tens of thousands, are logged by the
process itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from dantetw.observe.status import ChildReport, LatencyReport
from dantetw.process.limits import count_files
from dantetw.relay.latency import LatencySnapshot
from dantetw.session.pages import SessionPages
from dantetw.session.protocol import SocksFactory
from dantetw.session.slices import Slices
from dantetw.session.totals import free_files, kinds
from dantetw.values import Work


class ProcessReport:
    """
    The part of this process in status reports.

    :param factory: makes its sessions.
    :param waiting: returns how many messages wait at the log's destination that is furthest behind.
    """

    def __init__(self, factory: SocksFactory, waiting: Callable[[], int]) -> None:
        self._factory = factory
        self._slices = Slices(factory.reactor, factory.monotonic, waiting)

    async def count_free_files(self) -> int | None:
        """Count how many more files this process can open; None: unknown, or not limited."""
        files: int | None = None

        def count() -> Iterator[None]:
            nonlocal files
            for number in count_files():
                files = number
                yield

        await self._slices.run(count())
        return free_files(files)

    def latencies(self) -> dict[str, LatencySnapshot]:
        """The latencies measured, by the names of :data:`dantetw.session.totals.KINDS`."""
        return {name: each.snapshot() for name, each in kinds(self._factory)}

    async def write_sessions(
        self,
        report: int,
        up: float,
        latencies: Iterable[LatencyReport] = (),
        continued: bool = False,
    ) -> tuple[int, int]:
        """
        Write the sessions.

        :param report: number of the report; ``up``: seconds since the server's start.
        :param latencies: latencies to report with the relays.
        :param continued: see :meth:`.Slices.run`.
        :returns: how many were written, and how many ended before it was their turn.
        """
        pages = SessionPages(self._factory, report)
        written = 0

        def write() -> Iterator[None]:
            nonlocal written
            record = self._factory.journal.record
            for page in pages:
                if page is not None and page.actives:
                    written += 1
                    for active in page.actives:
                        record(active)
                elif page is not None:
                    record(ChildReport(report, page.work, up))
                    for each in latencies if page.work is Work.IO else ():
                        record(each)
                yield

        await self._slices.run(write(), continued)
        return written, pages.gone

    def stop(self) -> None:
        """Stop writing."""
        self._slices.stop()
