"""
A few threads of our own for calls that block: look-ups, hashing.

Twisted's own pool queues without limit, cannot take a job back, never ends a thread that has become
idle, and waits for its threads when it stops: a look-up that no server answers would hold up a
restart for half a minute.  Here the queue is a :class:`~dantetw.fairness.FairQueue`: it has an end,
a job can be withdrawn as long as it waits, no client can keep all threads busy, and nothing waits
for the threads at the end.

Functions that run in a thread are named ``thd_…``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from dantetw.fairness import BusyError, FairQueue, Ticket

#: Seconds after which a thread without work ends.
IDLE_SECONDS: Final = 60.0


class Job(Ticket):
    """One call in a thread."""

    __slots__ = ("_function", "_report")

    def __init__(
        self, function: Callable[[], Any], report: Callable[[Any], None], owner: str
    ) -> None:
        super().__init__(owner)
        self._function = function
        self._report = report


class IPool(Protocol):
    """What runs functions in threads."""

    def call(self, thd_function: Callable[[], None], /) -> None:
        """
        Call a function, which raises nothing, in a thread that has no other work.

        :raises RuntimeError: if the system allows no further thread.
        """

    def stop(self) -> None:
        """Let threads end once they have no work."""


class DaemonPool:
    """
    Threads that do not keep the process alive: as many as functions run at a time, and those that
    had work less than :data:`IDLE_SECONDS` ago.

    :param name: for the threads' names.
    :param idle: seconds until a thread without work ends.
    """

    def __init__(self, name: str, idle: float = IDLE_SECONDS) -> None:
        self._name = name
        self._idle_seconds = idle
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = Lock()
        # Threads that wait for work, less the work they have not fetched yet.
        self._idle = 0

    def call(self, thd_function: Callable[[], None], /) -> None:
        """See :class:`IPool`."""
        with self._lock:
            if self._idle:
                self._idle -= 1
                self._work.put(thd_function)
                return
        Thread(target=self._thd_work, args=([thd_function],), name=self._name, daemon=True).start()

    def stop(self) -> None:
        """See :class:`IPool`."""
        with self._lock:
            self._idle_seconds = 0.0
            for _ in range(self._idle):
                self._work.put(None)
            self._idle = 0

    def _thd_work(self, first: list[Callable[[], None]]) -> None:
        # Taken out of the list, since the thread keeps its arguments for as long as it lives.
        thd_function: Callable[[], None] | None = first.pop()
        while thd_function is not None:
            thd_function()
            del thd_function  # what it holds, such as a password, must not live on while we idle
            with self._lock:
                self._idle += 1
            thd_function = self._thd_fetch()

    def _thd_fetch(self) -> Callable[[], None] | None:
        """The next function to call; None if this thread is to end."""
        try:
            return self._work.get(timeout=self._idle_seconds)
        except Empty:
            with self._lock:
                if self._idle:
                    self._idle -= 1
                    return None
            # There is work for each thread that waits, hence for this one.
            return self._work.get()


class Threads:
    """
    At most ``size`` threads, none before the first job: a process that forks after it made this
    loses nothing.

    Which job begins next, and how many each owner may have, :class:`~dantetw.fairness.FairQueue`
    decides.

    :param reactor: where results are reported; its clock.
    :param size: threads.
    :param limit: jobs that may wait for a thread.
    :param name: for the threads' names.
    :param pool: what runs the jobs, for tests.
    :param share: one owner gets one in so many of the free threads.
    :param slow: seconds from which on a job counts against its owner.
    :param fault: whether a result counts against the owner.
    """

    def __init__(
        self,
        reactor: Any,
        size: int,
        limit: int,
        name: str,
        pool: IPool | None = None,
        share: int = 2,
        slow: float = float("inf"),
        fault: Callable[[Any], bool] | None = None,
    ) -> None:
        self._reactor: Final[IReactorFromThreads] = reactor
        self._pool: Final = pool or DaemonPool(name)
        self._fault: Final = fault
        self._stopped = False
        self._queue: Final[FairQueue[Job]] = FairQueue(size, limit, reactor.seconds, share, slow)

    def submit(
        self, function: Callable[[], Any], report: Callable[[Any], None], owner: str = ""
    ) -> Job:
        """
        Call ``function`` in a thread.

        :param report: called in the reactor's thread with the result, or with a
            :class:`~twisted.python.failure.Failure`: that of the function, or a
            :class:`~dantetw.fairness.BusyError` if it has waited, and then another owner's job has
            taken its place or there was no thread to be had.  Not called once :meth:`stop` was.
        :param owner: on whose behalf, see :func:`~dantetw.fairness.client_of`; empty: on our own,
            which has no share to keep to.
        :raises BusyError: if as many jobs wait as may, if there is no thread to be had, or after
            :meth:`stop`.
        """
        if self._stopped:
            raise BusyError
        job = Job(function, report, owner)
        if self._queue.start(job):
            if not self._run(job):
                raise BusyError
        elif (dropped := self._queue.add(job)) is not None:
            self._reactor.callFromThread(self._deliver, dropped, Failure(BusyError()))
        return job

    def withdraw(self, job: Job) -> bool:
        """Take back a job that waits; False if a thread has it already, or :meth:`stop` had."""
        return not self._stopped and self._queue.remove(job)

    def promote(self, job: Job, owner: str) -> None:
        """Let a job that waits be another owner's, if it would begin sooner then."""
        if not self._stopped and self._queue.better(owner, job.owner):
            self._queue.reassign(job, owner)
            self._begin()

    def resize(self, size: int) -> None:
        """Use so many threads from now on; those that work go on."""
        self._queue.slots = size

    def stop(self) -> None:
        """Let idle threads go, drop what waits, and report nothing any more."""
        self._stopped = True
        self._queue.clear()
        self._pool.stop()

    def _begin(self) -> None:
        """Begin all jobs that may."""
        while (job := self._queue.take()) is not None:
            if not self._run(job):
                self._reactor.callFromThread(self._deliver, job, Failure(BusyError()))

    def _run(self, job: Job) -> bool:
        """Call a job's function in a thread; False if there is none to be had."""

        def thd_run() -> None:
            result: Any
            try:
                result = job._function()
            except Exception:
                result = Failure()
            self._reactor.callFromThread(self._finish, job, result)

        try:
            self._pool.call(thd_run)
        except RuntimeError:  # as many threads as the system allows
            self._queue.finish(job)
            return False
        return True

    def _finish(self, job: Job, result: Any) -> None:
        self._queue.finish(job, self._fault is not None and self._fault(result))
        if self._stopped:
            return
        self._begin()
        self._deliver(job, result)

    def _deliver(self, job: Job, result: Any) -> None:
        if not self._stopped:
            job._report(result)


class _Waiter(Ticket):
    """A thread that waits at a :class:`Gate`."""

    __slots__ = ("go",)

    def __init__(self, owner: str) -> None:
        super().__init__(owner)
        self.go = Event()


class Gate:
    """
    Lets threads that exist anyway through, as many at a time as there are slots, in the order of a
    :class:`~dantetw.fairness.FairQueue`.

    :param slots: threads that may be inside; ``places``: threads that may wait.
    :param seconds: the clock, monotonic.
    """

    def __init__(self, slots: int, places: int, seconds: Callable[[], float]) -> None:
        self._queue: Final[FairQueue[_Waiter]] = FairQueue(slots, places, seconds)
        self._lock: Final = Lock()

    @contextmanager
    def thd_pass(self, owner: str) -> Iterator[Callable[[], None]]:
        """
        Wait until this thread is next, and hold a slot for as long as the context lasts.

        :returns: what to call to have a fault counted against the owner.
        :raises BusyError: if too many wait.
        """
        waiter, faults = _Waiter(owner), []
        with self._lock:
            if self._queue.start(waiter):
                waiter.go.set()
            elif (dropped := self._queue.add(waiter)) is not None:
                dropped.go.set()
        waiter.go.wait()
        if waiter.begun_at is None:
            raise BusyError
        try:
            yield lambda: faults.append(1)
        finally:
            with self._lock:
                self._queue.finish(waiter, bool(faults))
                while (following := self._queue.take()) is not None:
                    following.go.set()
