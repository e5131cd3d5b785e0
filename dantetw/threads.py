"""
A few threads of our own for calls that block: look-ups, hashing.

Twisted's own pool queues without limit, cannot take a job back, and waits for its threads when it
stops; a look-up that no server answers would then hold up a restart for half a minute.  Here the
queue is ours: it has an end, a job can be withdrawn as long as it waits, nobody waits for the
threads at the end, and no client can keep all of them busy.

Functions that run in a thread are named ``thd_…``.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from threading import Thread
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

#: One in so many threads, and of the places to wait, is the most that one owner gets.
SHARE: Final = 4


class BusyError(Exception):
    """As many jobs wait as may."""


class Job:
    """
    One call in a thread.

    :ivar owner: on whose behalf; empty: on our own.
    :ivar begun: whether a thread has it; then it can no longer be taken back.
    """

    __slots__ = ("_function", "_report", "begun", "owner")

    def __init__(
        self, function: Callable[[], Any], report: Callable[[Any], None], owner: str
    ) -> None:
        self._function = function
        self._report = report
        self.owner = owner
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

    Jobs have owners, such as clients.  An owner's jobs are begun in order, owners take turns, and
    each gets at most one in :data:`SHARE` of the threads and of the places to wait.

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
        # Threads in use and, of owners that have any, by owner; jobs that wait, by owner, the one
        # whose turn it is first.
        self._running = 0
        self._running_of: dict[str, int] = {}
        self._waiting = 0
        self._waiting_of: OrderedDict[str, deque[Job]] = OrderedDict()

    def submit(
        self, function: Callable[[], Any], report: Callable[[Any], None], owner: str = ""
    ) -> Job:
        """
        Call ``function`` in a thread.

        :param report: called in the reactor's thread with the result, or with a
            :class:`~twisted.python.failure.Failure`.  Not called once :meth:`stop` was.
        :param owner: on whose behalf; empty: on our own, which has no share to keep to.
        :raises BusyError: if as many jobs wait as may, or after :meth:`stop`.
        """
        job = Job(function, report, owner)
        if self._stopped:
            raise BusyError
        if self._running < self._size and self._may_begin(owner):
            self._begin(job)
            return job
        queue = self._waiting_of.get(owner, ())
        if self._waiting >= self._limit or len(queue) >= self._share(self._limit, owner):
            raise BusyError
        self._waiting_of.setdefault(owner, deque()).append(job)
        self._waiting += 1
        return job

    def _share(self, number: int, owner: str) -> int:
        return max(1, number // SHARE) if owner else number

    def _may_begin(self, owner: str) -> bool:
        return self._running_of.get(owner, 0) < self._share(self._size, owner)

    def withdraw(self, job: Job) -> bool:
        """Take back a job that waits; False if a thread has it already, or :meth:`stop` had."""
        if job.begun or self._stopped:
            return False
        queue = self._waiting_of[job.owner]
        queue.remove(job)
        self._waiting -= 1
        if not queue:
            del self._waiting_of[job.owner]
        return True

    def stop(self) -> None:
        """Let idle threads go, drop what waits, and report nothing any more."""
        self._stopped = True
        self._waiting_of.clear()
        if self._started and self._pool is not None:
            self._pool.adjustPoolsize(0, 0)

    def _begin(self, job: Job) -> None:
        if self._pool is None:
            self._pool = _DaemonPool(0, self._size, self._name)
        if not self._started:
            self._started = True
            self._pool.start()
        self._running += 1
        self._running_of[job.owner] = self._running_of.get(job.owner, 0) + 1
        job.begun = True

        def thd_report(success: bool, result: Any) -> None:
            self._reactor.callFromThread(self._finish, job, result)

        self._pool.callInThreadWithCallback(thd_report, job._function)

    def _finish(self, job: Job, result: Any | Failure) -> None:
        self._running -= 1
        self._running_of[job.owner] -= 1
        if not self._running_of[job.owner]:
            del self._running_of[job.owner]
        if self._stopped:
            return
        following = self._next()
        if following is not None:
            self._begin(following)
        job._report(result)

    def _next(self) -> Job | None:
        """Take the job whose turn it is from those that wait, if there is one."""
        # Only so many owners can have all of their share, so this ends soon.
        for owner, queue in self._waiting_of.items():
            if self._may_begin(owner):
                job = queue.popleft()
                self._waiting -= 1
                if queue:
                    self._waiting_of.move_to_end(owner)
                else:
                    del self._waiting_of[owner]
                return job
        return None
