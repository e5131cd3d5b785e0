"""Tests of :mod:`dantetw.relay.sweep`."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dantetw.relay.sweep import INTERVAL, Sweep


class Impatient:
    """Remembers when it was asked, and does something then."""

    def __init__(self, act: Callable[[], object] = lambda: None) -> None:
        self.asked: list[float] = []
        self._act = act

    def check(self, now: float) -> None:
        """Remember."""
        self.asked.append(now)
        self._act()


class SweepTests(SynchronousTestCase):
    """One look a second."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.sweep = Sweep(self.clock, lambda: self.clock.seconds() + 100.0)
        self.sweep.start()
        self.addCleanup(self.sweep.stop)

    def test_looks(self) -> None:
        """Whatever was added is asked each second, by the monotonic clock, till discarded."""
        one = Impatient()
        self.sweep.add(one)
        self.clock.pump([INTERVAL] * 3)
        self.assertEqual(one.asked, [101.0, 102.0, 103.0])
        self.sweep.discard(one)
        self.clock.advance(INTERVAL)
        self.assertEqual(len(one.asked), 3)

    def test_changes_meanwhile(self) -> None:
        """What is asked may discard itself and add others."""
        late, later = Impatient(), Impatient()

        def act() -> None:
            self.sweep.discard(one)
            self.sweep.add(late)
            self.sweep.add(later)

        one = Impatient(act)
        self.sweep.add(one)
        self.clock.pump([INTERVAL] * 2)
        self.assertEqual((one.asked, late.asked, later.asked), ([101.0], [102.0], [102.0]))

    def test_failure(self) -> None:
        """One that fails does not hurt the others, nor later looks."""
        ones = [Impatient(lambda: 1 // 0), Impatient(), Impatient(lambda: 1 // 0)]
        for one in ones:
            self.sweep.add(one)
        self.clock.pump([INTERVAL] * 2)
        self.assertEqual([len(one.asked) for one in ones], [2, 2, 2])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 4)

    def test_stop(self) -> None:
        """A stopped sweep looks no more; stopping twice is no error."""
        one = Impatient()
        self.sweep.add(one)
        self.sweep.stop()
        self.sweep.stop()
        self.clock.advance(INTERVAL)
        self.assertEqual(one.asked, [])
        self.assertEqual(self.clock.calls, [])
