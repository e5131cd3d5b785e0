"""Tests of :mod:`dantetw.net.batch`."""

from __future__ import annotations

from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.batch import Batch


class TurnTests(SynchronousTestCase):
    """What is put off to the end of a turn."""

    def setUp(self) -> None:
        self.turn = Batch()
        self.done: list[object] = []

    def do(self, what: object) -> None:
        """Note that it was done, and whether a turn was under way."""
        self.done.append((what, self.turn.active))

    def test_put_off(self) -> None:
        """It is done once, at the end, in order, when the turn is over."""
        self.turn.begin()
        self.turn.put_off(partial(self.do, 1))
        self.turn.put_off(partial(self.do, 2))
        self.assertEqual(self.done, [])
        self.turn.end()
        self.turn.begin()
        self.turn.end()
        self.assertEqual(self.done, [(1, False), (2, False)])

    def test_none(self) -> None:
        """Where no turn is under way nothing is put off."""
        self.turn.put_last(partial(self.do, 1))
        self.turn.put_off(partial(self.do, 2))
        self.assertEqual(self.done, [(1, False), (2, False)])
        self.turn.begin()
        self.turn.end()
        self.assertEqual(self.done, [(1, False), (2, False)])

    def test_last(self) -> None:
        """What is put last is done behind what was put off after it."""
        self.turn.begin()
        self.turn.put_last(partial(self.do, "last"))
        self.turn.put_off(partial(self.do, "first"))
        self.turn.end()
        self.assertEqual(self.done, [("first", False), ("last", False)])

    def test_failing(self) -> None:
        """What fails is logged, and keeps nothing else from being done."""

        def failing() -> None:
            raise ValueError("as if")

        self.turn.begin()
        self.turn.put_off(failing)
        self.turn.put_off(partial(self.do, "else"))
        self.turn.end()
        self.assertEqual(self.done, [("else", False)])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
