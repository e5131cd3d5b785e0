"""Tests for :mod:`dantetw.threads`."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from dantetw.threads import BusyError, Threads
from tests.held import ReportingClock, held


class ThreadsTests(SynchronousTestCase):
    """Tests for :class:`Threads`."""

    def setUp(self) -> None:
        """Make two threads and room for four jobs."""
        self.threads, self.pool = held(ReportingClock(), size=2, limit=4)
        self.results: list[Any] = []

    def test_no_thread_before_the_first_job(self) -> None:
        """The pool is started with the first job, and once."""
        self.assertEqual(self.pool.started, 0)
        self.threads.submit(int, self.results.append)
        self.threads.submit(int, self.results.append)
        self.assertEqual(self.pool.started, 1)

    def test_results(self) -> None:
        """Results and failures are reported."""
        self.threads.submit(lambda: 7, self.results.append)
        self.threads.submit(lambda: 1 // 0, self.results.append)
        self.pool.run_all()
        self.assertEqual(self.results[0], 7)
        self.assertIsInstance(self.results[1], Failure)

    def test_waiting(self) -> None:
        """No more jobs are handed out than there are threads; the rest follow in order."""
        for number in range(5):
            self.threads.submit(partial(int, number), self.results.append)
            self.assertLessEqual(len(self.pool.jobs), 2)
        self.pool.run_all()
        self.assertEqual(self.results, [0, 1, 2, 3, 4])

    def test_busy(self) -> None:
        """A job too many is refused, and there is room again when one has left."""
        for _ in range(6):
            self.threads.submit(int, self.results.append)
        self.assertRaises(BusyError, self.threads.submit, int, self.results.append)
        self.pool.run()
        self.threads.submit(int, self.results.append)

    def test_withdraw(self) -> None:
        """A job that waits can be taken back, one that a thread has cannot."""
        jobs = [self.threads.submit(partial(int, n), self.results.append) for n in range(3)]
        self.assertTrue(self.threads.withdraw(jobs[2]))
        self.assertFalse(self.threads.withdraw(jobs[0]))
        self.pool.run_all()
        self.assertEqual(self.results, [0, 1])

    def test_stop(self) -> None:
        """After a stop nothing is reported, begun or taken, and threads may go."""
        for _ in range(3):
            self.threads.submit(int, self.results.append)
        self.threads.stop()
        self.pool.run_all()
        self.assertEqual(self.results, [])
        self.assertEqual(self.pool.size, 0)
        self.assertRaises(BusyError, self.threads.submit, int, self.results.append)

    def test_share_of_threads(self) -> None:
        """One owner gets a quarter of the threads; the others are there for others."""
        threads, pool = held(ReportingClock(), size=8, limit=100)
        for _ in range(10):
            threads.submit(lambda: "greedy", self.results.append, "greedy")
        self.assertEqual(len(pool.jobs), 2)
        threads.submit(lambda: "modest", self.results.append, "modest")
        self.assertEqual(len(pool.jobs), 3)
        pool.run_all()
        self.assertEqual(sorted(self.results), ["greedy"] * 10 + ["modest"])

    def test_share_of_queue(self) -> None:
        """One owner gets a quarter of the places to wait."""
        threads, _ = held(ReportingClock(), size=8, limit=100)
        for _ in range(2 + 25):
            threads.submit(int, self.results.append, "greedy")
        self.assertRaises(BusyError, threads.submit, int, self.results.append, "greedy")
        threads.submit(int, self.results.append, "modest")

    def test_no_share(self) -> None:
        """Jobs on our own behalf get all there is."""
        threads, pool = held(ReportingClock(), size=8, limit=100)
        for _ in range(108):
            threads.submit(int, self.results.append)
        self.assertEqual(len(pool.jobs), 8)
        self.assertRaises(BusyError, threads.submit, int, self.results.append)

    def test_turns(self) -> None:
        """Owners whose jobs wait take turns, and each one's jobs stay in order."""
        threads, pool = held(ReportingClock(), size=1, limit=100)
        for job in ("a1", "a2", "a3", "b1", "b2", "c1"):
            threads.submit(partial(str, job), self.results.append, job[0])
        pool.run_all()
        self.assertEqual(self.results, ["a1", "a2", "b1", "c1", "a3", "b2"])

    def test_withdrawn_makes_room(self) -> None:
        """What was taken back counts no longer, neither for its owner nor for all."""
        threads, _ = held(ReportingClock(), size=1, limit=4)
        threads.submit(int, self.results.append, "a")
        waiting = threads.submit(int, self.results.append, "a")
        self.assertRaises(BusyError, threads.submit, int, self.results.append, "a")
        self.assertTrue(threads.withdraw(waiting))
        threads.submit(int, self.results.append, "a")

    def test_nothing_kept_of_owners(self) -> None:
        """Owners whose jobs are done leave nothing behind."""
        threads, pool = held(ReportingClock(), size=2, limit=40)
        for number in range(20):
            threads.submit(int, self.results.append, f"10.0.0.{number}")
        pool.run_all()
        self.assertEqual((len(threads._running_of), len(threads._waiting_of)), (0, 0))

    def test_stop_unused(self) -> None:
        """Stopping what never began makes no pool."""
        Threads(ReportingClock(), 1, 1, "test").stop()


class RealThreadsTests(TestCase):
    """Tests for :class:`Threads` with threads."""

    def test_real_thread(self) -> None:
        """A job runs in another thread, which does not keep the process alive, and is reported."""
        reported = threading.Event()
        seen: list[threading.Thread] = []

        class Reactor:
            def callFromThread(self, function: Any, *args: Any) -> None:  # noqa: N802
                function(*args)
                reported.set()

        threads = Threads(Reactor(), 1, 1, "test")  # type: ignore[arg-type]
        threads.submit(threading.current_thread, seen.append)
        self.assertTrue(reported.wait(30))
        self.assertIsNot(seen[0], threading.current_thread())
        self.assertTrue(seen[0].daemon)
        threads.stop()
        seen[0].join(30)
        self.assertFalse(seen[0].is_alive())
