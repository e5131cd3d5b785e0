"""Tests for :mod:`dantetw.threads`."""

from __future__ import annotations

import threading
import time
import weakref
from functools import partial
from queue import SimpleQueue
from typing import Any

from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from dantetw.fairness import BusyError
from dantetw.threads import DaemonPool, Gate, Threads
from tests.held import ReportingClock, held


class ThreadsTests(SynchronousTestCase):
    """Tests for :class:`Threads`."""

    def setUp(self) -> None:
        """Make two threads and room for four jobs."""
        self.threads, self.pool = held(ReportingClock(), size=2, limit=4)
        self.results: list[Any] = []

    def test_no_thread_before_the_first_job(self) -> None:
        """The pool is asked for a thread with the first job and not before."""
        self.assertEqual(self.pool.called, 0)
        self.threads.submit(int, self.results.append)
        self.assertEqual(self.pool.called, 1)

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
        self.assertTrue(self.pool.stopped)
        self.assertRaises(BusyError, self.threads.submit, int, self.results.append)

    def test_share_of_threads(self) -> None:
        """One owner gets a part of the free threads; the others are there for others."""
        threads, pool = held(ReportingClock(), size=8, limit=100, share=4)
        for _ in range(10):
            threads.submit(lambda: "greedy", self.results.append, "greedy")
        self.assertEqual(len(pool.jobs), 2)
        threads.submit(lambda: "modest", self.results.append, "modest")
        self.assertEqual(len(pool.jobs), 3)
        pool.run_all()
        self.assertEqual(sorted(self.results), ["greedy"] * 10 + ["modest"])

    def test_share_of_queue(self) -> None:
        """One owner gets a quarter of the places to wait."""
        threads, _ = held(ReportingClock(), size=8, limit=100, share=4)
        for _ in range(2 + 25):
            threads.submit(int, self.results.append, "greedy")
        self.assertRaises(BusyError, threads.submit, int, self.results.append, "greedy")
        threads.submit(int, self.results.append, "modest")

    def test_faults(self) -> None:
        """A result that is a fault leaves its owner fewer places to wait."""
        threads, pool = held(ReportingClock(), size=1, limit=8, fault=lambda result: result == 0)
        threads.submit(int, self.results.append, "guesser")
        pool.run()
        for _ in range(2):
            threads.submit(int, self.results.append, "guesser")
        self.assertRaises(BusyError, threads.submit, int, self.results.append, "guesser")

    def test_dropped(self) -> None:
        """A job whose place another owner's has taken is reported as refused."""
        threads, pool = held(ReportingClock(), size=1, limit=4, fault=lambda result: True)
        reports: dict[str, list[Any]] = {name: [] for name in "abcdef"}
        threads.submit(int, reports["a"].append, "a")
        pool.run()
        for name in "bacdef":
            threads.submit(int, reports[name].append, name)
        (dropped,) = reports["a"][1:]
        dropped.trap(BusyError)
        pool.run_all()
        self.assertEqual([reports[name] for name in "bcdef"], [[0]] * 5)
        self.assertEqual(len(reports["a"]), 2)

    def test_no_thread(self) -> None:
        """Where the system allows no further thread, jobs are reported as refused."""
        for _ in range(3):
            self.threads.submit(int, self.results.append)
        self.pool.full = True
        self.pool.run_all()
        self.results[0].trap(BusyError)
        self.assertEqual(self.results[1:], [0, 0])
        for _ in range(3):
            self.assertRaises(BusyError, self.threads.submit, int, self.results.append)
        self.pool.full = False
        self.threads.submit(int, self.results.append)
        self.pool.run_all()
        self.assertEqual(self.results[3:], [0])

    def test_promote(self) -> None:
        """A job that waits begins when it is a better owner's turn, never a worse one's."""
        threads, pool = held(ReportingClock(), size=1, limit=100)
        for name in ("a1", "a2", "a3", "b1"):
            job = threads.submit(partial(str, name), self.results.append, name[0])
            if name == "a3":
                last = job
        threads.promote(job, "a")
        self.assertEqual(job.owner, "b")
        threads.promote(last, "c")
        self.assertEqual(last.owner, "c")
        pool.run_all()
        self.assertEqual(self.results, ["a1", "a2", "b1", "a3"])
        threads.promote(last, "d")
        self.assertEqual(last.owner, "c")

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
        queue = threads._queue
        self.assertEqual((queue._running, queue._waiting, queue._faults), ({}, {}, {}))

    def test_stop_unused(self) -> None:
        """What never began can be stopped."""
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

            def seconds(self) -> float:
                return 0.0

        threads = Threads(Reactor(), 1, 1, "test")
        threads.submit(threading.current_thread, seen.append)
        self.assertTrue(reported.wait(30))
        self.assertIsNot(seen[0], threading.current_thread())
        self.assertTrue(seen[0].daemon)
        threads.stop()
        seen[0].join(30)
        self.assertFalse(seen[0].is_alive())


class DaemonPoolTests(TestCase):
    """Tests for :class:`DaemonPool`."""

    def test_reuses_threads(self) -> None:
        """A thread without work takes the next, and as many run as have work."""
        pool, ran = DaemonPool("test"), SimpleQueue[threading.Thread]()
        self.addCleanup(pool.stop)
        gate, both = threading.Event(), threading.Barrier(3)

        def thd_together() -> None:
            ran.put(threading.current_thread())
            both.wait(30)
            gate.wait(30)

        for _ in range(2):
            pool.call(thd_together)
        both.wait(30)
        first = {ran.get(timeout=30), ran.get(timeout=30)}
        self.assertEqual(len(first), 2)
        gate.set()
        self.wait_until_idle(pool, 2)
        gate.clear()
        for _ in range(2):
            pool.call(thd_together)
        both.wait(30)
        self.assertEqual({ran.get(timeout=30), ran.get(timeout=30)}, first)
        gate.set()

    def wait_until_idle(self, pool: DaemonPool, number: int) -> None:
        """Wait until so many threads have no work."""
        while pool._idle != number:
            time.sleep(0.001)

    def test_idle_threads_end(self) -> None:
        """A thread that has had no work for a while ends, and later work gets another."""
        pool, ran = DaemonPool("test", idle=0.0), SimpleQueue[threading.Thread]()
        for _ in range(20):
            pool.call(lambda: ran.put(threading.current_thread()))
            ran.get(timeout=30).join(30)
        self.assertEqual(pool._idle, 0)

    def test_stop(self) -> None:
        """Threads without work end at a stop; one that works does when it has done."""
        pool, ran = DaemonPool("test"), SimpleQueue[threading.Thread]()
        gate = threading.Event()
        pool.call(lambda: ran.put(threading.current_thread()))
        idle = ran.get(timeout=30)
        self.wait_until_idle(pool, 1)
        pool.stop()
        idle.join(30)
        pool.call(lambda: (ran.put(threading.current_thread()), gate.wait(30)))
        busy = ran.get(timeout=30)
        pool.stop()
        self.assertTrue(busy.is_alive())
        gate.set()
        busy.join(30)
        self.assertFalse(idle.is_alive() or busy.is_alive())

    def test_forgets(self) -> None:
        """What a function holds, such as a password, is not kept while its thread idles."""

        class Secret:
            pass

        pool = DaemonPool("test")
        self.addCleanup(pool.stop)
        secret = Secret()
        kept = weakref.ref(secret)
        pool.call(partial(id, secret))
        del secret
        self.wait_until_idle(pool, 1)
        self.assertIsNone(kept())


class GateTests(TestCase):
    """Tests for :class:`Gate`."""

    def test_order(self) -> None:
        """Threads pass one at a time, owners by turns, those with faults last."""
        gate, order = Gate(1, 100, Clock().seconds), SimpleQueue[str]()

        def thd_pass(name: str) -> None:
            with gate.thd_pass(name[0]) as fault:
                order.put(name)
                if name[0] == "x":
                    fault()

        with gate.thd_pass("x") as fault:
            fault()
            threads = []
            for name in ("x1", "x2", "a1", "a2", "b1"):
                threads.append(threading.Thread(target=thd_pass, args=(name,), daemon=True))
                threads[-1].start()
                while gate._queue.waiting < len(threads):
                    time.sleep(0.001)
        for thread in threads:
            thread.join(30)
        self.assertEqual([order.get(timeout=30) for _ in threads], ["a1", "b1", "a2", "x1", "x2"])

    def test_busy(self) -> None:
        """A thread too many is refused, and one that fails inside lets the next one in."""
        gate = Gate(1, 0, Clock().seconds)
        with self.assertRaises(ZeroDivisionError), gate.thd_pass("a"):
            with self.assertRaises(BusyError), gate.thd_pass("b"):
                pass
            raise ZeroDivisionError
        with gate.thd_pass("b"):
            pass
