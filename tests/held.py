"""A pool that runs nothing until it is told to, and a reactor to report to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock
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
    :ivar called: how many there were.
    :ivar full: whether the system allows no further thread.
    """

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []
        self.called = 0
        self.stopped = self.full = False

    def call(self, thd_function: Callable[[], None], /) -> None:
        """Keep the job for :meth:`run`."""
        if self.full:
            raise RuntimeError("can't start new thread")
        self.called += 1
        self.jobs.append(thd_function)

    def stop(self) -> None:
        """Remember."""
        self.stopped = True

    def run(self, index: int = 0) -> None:
        """Run one job."""
        self.jobs.pop(index)()

    def run_all(self) -> None:
        """Run jobs, and those they make room for, until there are none."""
        while self.jobs:
            self.run()


def held(
    clock: ReportingClock, size: int = 2, limit: int = 4, **more: Any
) -> tuple[Threads, HeldPool]:
    """Threads over a pool that a test drives."""
    pool = HeldPool()
    return Threads(clock, size, limit, "test", pool, **more), pool
