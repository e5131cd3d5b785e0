"""Tests for :mod:`dantetw.sharing`."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from dantetw.sharing import Shared


class SharedTests(SynchronousTestCase):
    """Tests for :class:`Shared`."""

    def setUp(self) -> None:
        """Make a result to come, and count how often it is given up."""
        self.abandoned = 0
        self.shared: Shared[int] = Shared(self.abandon)

    def abandon(self) -> None:
        """Count."""
        self.abandoned += 1

    def test_succeed(self) -> None:
        """All who wait get the result."""
        waiters = [self.shared.wait() for _ in range(3)]
        self.shared.succeed(7)
        self.assertEqual([self.successResultOf(waiter) for waiter in waiters], [7, 7, 7])
        self.assertEqual(self.abandoned, 0)

    def test_fail(self) -> None:
        """All who wait get the error."""
        waiters = [self.shared.wait() for _ in range(3)]
        self.shared.fail(ZeroDivisionError())
        for waiter in waiters:
            self.failureResultOf(waiter, ZeroDivisionError)

    def test_give_up(self) -> None:
        """It is abandoned when the last who waits gives up, and not before."""
        first, second = self.shared.wait(), self.shared.wait()
        first.cancel()
        self.assertEqual(self.abandoned, 0)
        second.cancel()
        self.assertEqual(self.abandoned, 1)
        self.failureResultOf(first, CancelledError)
        self.failureResultOf(second, CancelledError)
        self.shared.succeed(7)

    def test_cancel_others(self) -> None:
        """Who gets the result may cancel others before they do."""
        first, second = self.shared.wait(), self.shared.wait()
        first.addCallback(lambda _: second.cancel())
        self.shared.succeed(7)
        self.failureResultOf(second, CancelledError)
        self.assertEqual(self.abandoned, 0)

    def test_one_failure_stays_with_one(self) -> None:
        """An error of who gets the result does not keep it from others."""
        first, second = self.shared.wait(), self.shared.wait()
        first.addCallback(lambda _: 1 // 0)
        self.shared.succeed(7)
        self.failureResultOf(first, ZeroDivisionError)
        self.assertEqual(self.successResultOf(second), 7)
