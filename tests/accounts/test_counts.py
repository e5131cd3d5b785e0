"""Tests of :mod:`dantetw.accounts.counts`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dantetw.accounts.counts import (
    BYTES_DOWN,
    BYTES_UP,
    COUNTS,
    DATAGRAMS_DOWN,
    DATAGRAMS_UP,
    ENDED,
    OPENED,
    PERFORMED,
    REQUESTED,
    AccountCounts,
)
from dantetw.values import Cause, Work


class CountsTests(SynchronousTestCase):
    """What an account counts."""

    def counts(self, **words: int) -> AccountCounts:
        """Counts by their places' names."""
        places = {
            "opened": OPENED,
            "requested": REQUESTED,
            "performed": PERFORMED,
            "blocked": ENDED[Work.NEGOTIATE][Cause.BLOCKED],
            "refused": ENDED[Work.REQUEST][Cause.BLOCKED],
            "closed": ENDED[Work.IO][Cause.CLOSED],
        }
        made = [0] * COUNTS
        for name, number in words.items():
            made[places[name]] = number
        return AccountCounts(tuple(made))

    def test_places(self) -> None:
        """Each count has a place of its own, and the ends are in front."""
        ends = [place for causes in ENDED.values() for place in causes.values()]
        others = [PERFORMED, REQUESTED, OPENED, BYTES_UP, BYTES_DOWN, DATAGRAMS_UP, DATAGRAMS_DOWN]
        self.assertEqual(ends + others, list(range(COUNTS)))
        self.assertEqual(len(ends), len(Work) * len(Cause))

    def test_open(self) -> None:
        """What is open has not ended, whatever ended it."""
        counts = self.counts(opened=9, requested=6, performed=4, blocked=2, refused=1, closed=3)
        self.assertEqual(counts.open, 3)
        self.assertEqual([counts.ended(work) for work in Work], [2, 1, 3])
        self.assertEqual((counts.refused_by(Cause.BLOCKED), counts.ended_by(Cause.BLOCKED)), (3, 0))
        self.assertEqual((counts.refused_by(Cause.CLOSED), counts.ended_by(Cause.CLOSED)), (0, 3))

    def test_sums(self) -> None:
        """Counts are added and subtracted one by one."""
        one, two = self.counts(opened=2, closed=1), self.counts(opened=3)
        self.assertEqual(one + two, self.counts(opened=5, closed=1))
        self.assertEqual(one + two - two, one)
        self.assertEqual(AccountCounts() + one, one)
