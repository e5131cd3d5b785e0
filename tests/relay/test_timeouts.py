"""Tests of :mod:`dantetw.relay.timeouts`."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dantetw.relay.timeouts import SLICE_SECONDS, SWEEP_SECONDS, TimeoutSweep


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
        self.spent = 0.0
        self.sweep = TimeoutSweep(self.clock, lambda: self.clock.seconds() + self.spent + 100.0)
        self.sweep.start()
        self.addCleanup(self.sweep.stop)

    def test_looks(self) -> None:
        """Whatever was added is asked each second, by the monotonic clock, till discarded."""
        one = Impatient()
        self.sweep.add(one)
        self.clock.pump([SWEEP_SECONDS] * 3)
        self.assertEqual(one.asked, [101.0, 102.0, 103.0])
        self.sweep.discard(one)
        self.clock.advance(SWEEP_SECONDS)
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
        self.clock.pump([SWEEP_SECONDS] * 2)
        self.assertEqual((one.asked, late.asked, later.asked), ([101.0], [102.0], [102.0]))

    def slow(self, part: float, others: Callable[[list[Impatient]], object]) -> list[Impatient]:
        """
        Six that take part of the longest time each, all asked for as long as that goes on.

        :param others: somebody else's turn, due when the first one is asked.
        """
        many: list[Impatient] = []

        def spend() -> None:
            self.spent += part * SLICE_SECONDS
            if sum(len(one.asked) for one in many) == 1:
                self.clock.callLater(0, others, many)

        many += [Impatient(spend) for _ in range(6)]
        for one in many:
            self.sweep.add(one)
        self.clock.advance(SWEEP_SECONDS)
        return many

    def test_many_at_once(self) -> None:
        """If very many have waited for too long, others get their turn in between."""
        asked: list[int] = []
        many = self.slow(0.4, lambda many: asked.append(sum(len(one.asked) for one in many)))
        self.assertEqual(asked, [3])
        # All of one look are asked as of its beginning.
        self.assertEqual([one.asked for one in many], [[101.0]] * 6)

    def test_discarded_in_between(self) -> None:
        """What is discarded before its turn comes is not asked."""
        many = self.slow(
            1.0, lambda many: [self.sweep.discard(one) for one in many if not one.asked]
        )
        self.assertEqual(sum(len(one.asked) for one in many), 1)

    def test_stopped_in_between(self) -> None:
        """Nobody is asked any more once it stops."""
        many = self.slow(1.0, lambda many: self.sweep.stop())
        self.assertEqual(sum(len(one.asked) for one in many), 1)
        self.assertEqual(self.clock.calls, [])

    def test_failure(self) -> None:
        """One that fails does not hurt the others, nor later looks."""
        ones = [Impatient(lambda: 1 // 0), Impatient(), Impatient(lambda: 1 // 0)]
        for one in ones:
            self.sweep.add(one)
        self.clock.pump([SWEEP_SECONDS] * 2)
        self.assertEqual([len(one.asked) for one in ones], [2, 2, 2])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 4)

    def test_stop(self) -> None:
        """A stopped sweep looks no more; stopping twice is no error."""
        one = Impatient()
        self.sweep.add(one)
        self.sweep.stop()
        self.sweep.stop()
        self.clock.advance(SWEEP_SECONDS)
        self.assertEqual(one.asked, [])
        self.assertEqual(self.clock.calls, [])
