"""A pool that runs nothing until it is told to, and a reactor to report to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from dantetw.threads import Threads


@implementer(IReactorFromThreads)
class ReportingClock(Clock):
    """A clock that is also told of what threads did, at once."""

    def callFromThread(  # noqa: N802 - Twisted's name
        self, callable: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        """Call the function."""
        callable(*args, **kwargs)


class HeldPool:
    """
    A pool whose jobs wait to be run, one at a time, in the test's own thread.

    :ivar jobs: what was handed to a thread and has not been run.
    :ivar size: threads allowed, as last told.
    """

    def __init__(self) -> None:
        self.jobs: list[tuple[Callable[[bool, Any], object], Callable[[], Any]]] = []
        self.started = 0
        self.size: int | None = None

    def start(self) -> None:
        """Count."""
        self.started += 1

    def adjustPoolsize(  # noqa: N802 - Twisted's name
        self, minthreads: int | None = None, maxthreads: int | None = None
    ) -> None:
        """Remember."""
        self.size = maxthreads

    def callInThreadWithCallback(  # noqa: N802 - Twisted's name
        self,
        onResult: Callable[[bool, Any], object] | None,  # noqa: N803
        func: Callable[..., Any],
    ) -> None:
        """Keep the job for :meth:`run`."""
        assert onResult is not None
        self.jobs.append((onResult, func))

    def run(self, index: int = 0) -> None:
        """Run one job."""
        report, function = self.jobs.pop(index)
        try:
            result = function()
        except Exception:
            report(False, Failure())
        else:
            report(True, result)

    def run_all(self) -> None:
        """Run jobs, and those they make room for, until there are none."""
        while self.jobs:
            self.run()


def held(clock: ReportingClock, size: int = 2, limit: int = 4) -> tuple[Threads, HeldPool]:
    """Threads over a pool that a test drives."""
    pool = HeldPool()
    return Threads(clock, size, limit, "test", pool), pool
