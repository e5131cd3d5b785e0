"""Tests of :mod:`dantetw.observe.sinks.backlog`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe.sinks.backlog import Backlog


class BacklogTests(SynchronousTestCase):
    """The bounded queue."""

    def test_room_for_one(self) -> None:
        """An empty queue takes any message, however long."""
        backlog = Backlog(10)
        self.assertTrue(backlog.put(b"x" * 100))
        self.assertFalse(backlog.put(b"x"))
        backlog.pop()
        self.assertTrue(backlog.put(b"x"))

    def test_half_empty(self) -> None:
        """Once full it takes nothing until half of it is gone."""
        backlog = Backlog(10)
        for _ in range(10):
            self.assertTrue(backlog.put(b"x"))
        self.assertFalse(backlog.put(b"x"))
        for _ in range(4):
            backlog.pop()
            self.assertFalse(backlog.put(b"x"))
        backlog.pop()
        self.assertTrue(backlog.put(b"x"))

    def test_clear(self) -> None:
        """After clear() it is as new."""
        backlog = Backlog(2)
        for _ in range(3):
            backlog.put(b"x")
        self.assertEqual(backlog.clear(), 2)
        self.assertEqual((len(backlog), backlog.dropping), (0, False))
        self.assertTrue(backlog.put(b"xx"))

    @given(st.lists(st.one_of(st.binary(max_size=8), st.none())))
    def test_bounds(self, steps: list[bytes | None]) -> None:
        """It never holds more than its limit (or one message), and keeps the order."""
        backlog, model = Backlog(20), list[bytes]()
        for step in steps:
            if step is not None:
                if backlog.put(step):
                    model.append(step)
            elif model:
                self.assertEqual(backlog.head, model[0])
                self.assertEqual(backlog.pop(), model.pop(0))
            self.assertEqual(len(backlog), len(model))
            self.assertTrue(len(model) == 1 or sum(map(len, model)) <= 20)

    def test_put_back(self) -> None:
        """What is put back comes first, in its order, and counts again, though there is no room."""
        backlog = Backlog(10)
        for message in (b"aaaa", b"bbbb", b"cc"):
            self.assertTrue(backlog.put(message))
        taken = [backlog.pop(), backlog.pop()]
        self.assertTrue(backlog.put(b"dddddddd"))
        backlog.put_back(taken)
        self.assertFalse(backlog.put(b"e"))
        came = [backlog.pop() for _ in range(len(backlog))]
        self.assertEqual(came, [b"aaaa", b"bbbb", b"cc", b"dddddddd"])
        self.assertTrue(backlog.put(b"f"))
