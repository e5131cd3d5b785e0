"""
A few threads of our own for calls that block: look-ups, hashing.

Twisted's own pool queues without limit, cannot take a job back, and waits for its threads when it
stops; a look-up that no server answers would then hold up a restart for half a minute.  Here the
queue is ours: it has an end, a job can be withdrawn as long as it waits, and nobody waits for the
threads at the end.

Functions that run in a thread are named ``thd_…``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Thread
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool


class BusyError(Exception):
    """As many jobs wait as may."""


class Job:
    """
    One call in a thread.

    :ivar begun: whether a thread has it; then it can no longer be taken back.
    """

    __slots__ = ("_function", "_report", "begun")

    def __init__(self, function: Callable[[], Any], report: Callable[[Any], None]) -> None:
        self._function = function
        self._report = report
        self.begun = False


class IPool(Protocol):
    """What we need of :class:`twisted.python.threadpool.ThreadPool`."""

    def start(self) -> None:
        """Take up work."""

    def adjustPoolsize(  # noqa: N802 - Twisted's name
        self, minthreads: int | None = None, maxthreads: int | None = None
    ) -> None:
        """Change how many threads there may be."""

    def callInThreadWithCallback(  # noqa: N802 - Twisted's name
        self,
        onResult: Callable[[bool, Any], object] | None,  # noqa: N803
        func: Callable[..., Any],
    ) -> None:
        """Call ``func`` in a thread, and ``onResult`` with what came of it in the same thread."""


class _DaemonThread(Thread):
    """A thread that does not keep the process alive."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, daemon=True, **kwargs)


class _DaemonPool(ThreadPool):
    threadFactory = _DaemonThread  # noqa: N815 - Twisted's name


class Threads:
    """
    At most ``size`` threads, none before the first job: a process that forks after it made this
    loses nothing.

    :param reactor: where results are reported.
    :param size: threads.
    :param limit: jobs that may wait for a thread.
    :param name: for the threads' names.
    :param pool: what runs the jobs, for tests.
    """

    def __init__(
        self,
        reactor: IReactorFromThreads,
        size: int,
        limit: int,
        name: str,
        pool: IPool | None = None,
    ) -> None:
        self._reactor: Final = reactor
        self._size: Final = size
        self._limit: Final = limit
        self._name: Final = name
        self._pool = pool
        self._started = False
        self._stopped = False
        self._running = 0
        self._waiting: deque[Job] = deque()

    def submit(self, function: Callable[[], Any], report: Callable[[Any], None]) -> Job:
        """
        Call ``function`` in a thread.

        :param report: called in the reactor's thread with the result, or with a
            :class:`~twisted.python.failure.Failure`.  Not called once :meth:`stop` was.
        :raises BusyError: if as many jobs wait as may, or after :meth:`stop`.
        """
        job = Job(function, report)
        if self._stopped:
            raise BusyError
        if self._running < self._size:
            self._begin(job)
        elif len(self._waiting) < self._limit:
            self._waiting.append(job)
        else:
            raise BusyError
        return job

    def withdraw(self, job: Job) -> bool:
        """Take back a job that waits; False if a thread has it already, or :meth:`stop` had."""
        if job.begun or self._stopped:
            return False
        self._waiting.remove(job)
        return True

    def stop(self) -> None:
        """Let idle threads go, drop what waits, and report nothing any more."""
        self._stopped = True
        self._waiting.clear()
        if self._started and self._pool is not None:
            self._pool.adjustPoolsize(0, 0)

    def _begin(self, job: Job) -> None:
        if self._pool is None:
            self._pool = _DaemonPool(0, self._size, self._name)
        if not self._started:
            self._started = True
            self._pool.start()
        self._running += 1
        job.begun = True

        def thd_report(success: bool, result: Any) -> None:
            self._reactor.callFromThread(self._finish, job, result)

        self._pool.callInThreadWithCallback(thd_report, job._function)

    def _finish(self, job: Job, result: Any | Failure) -> None:
        self._running -= 1
        if self._stopped:
            return
        if self._waiting:
            self._begin(self._waiting.popleft())
        job._report(result)
