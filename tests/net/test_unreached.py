"""Tests of :mod:`dantetw.net.unreached`."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.unreached import MAX_ADDRESSES, REMEMBERED_SECONDS, Unreached


class UnreachedTests(SynchronousTestCase):
    """Which addresses have failed."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.unreached = Unreached(self.clock.seconds)

    def test_remembered(self) -> None:
        """A failure is remembered for a while, for its port only."""
        self.unreached.add("192.0.2.1", 80)
        self.clock.advance(REMEMBERED_SECONDS - 1)
        self.assertTrue(self.unreached.lately("192.0.2.1", 80))
        self.assertFalse(self.unreached.lately("192.0.2.1", 81))
        self.assertFalse(self.unreached.lately("192.0.2.2", 80))
        self.clock.advance(1)
        self.assertFalse(self.unreached.lately("192.0.2.1", 80))

    def test_reached(self) -> None:
        """Until the address is reached."""
        self.unreached.add("192.0.2.1", 80)
        self.unreached.discard("192.0.2.1", 80)
        self.unreached.discard("192.0.2.2", 80)
        self.assertFalse(self.unreached.lately("192.0.2.1", 80))

    def test_bounded(self) -> None:
        """Of too many the oldest are forgotten."""
        for port in range(MAX_ADDRESSES + 1):
            self.unreached.add("192.0.2.1", port)
        self.assertFalse(self.unreached.lately("192.0.2.1", 0))
        self.assertTrue(self.unreached.lately("192.0.2.1", 1))
        self.assertTrue(self.unreached.lately("192.0.2.1", MAX_ADDRESSES))
