"""Tests of :mod:`dantetw.observe.repeats`."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe.events import Message, Repeated
from dantetw.observe.repeats import INTERVAL, MOST, Repeats
from dantetw.values import Severity


class World:
    """
    What is said, and what of it is written.

    :ivar written: texts, and how often each has come in the meantime; 0: it was written itself.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.written: list[tuple[str, int]] = []
        self.said: Counter[str] = Counter()
        self.repeats = Repeats(self.clock.callLater, self.tell)

    def tell(self, repeated: Repeated) -> None:
        """Take a summary."""
        assert isinstance(repeated.event, Message)
        assert repeated.severity is Severity.WARNING
        self.written.append((repeated.event.text, repeated.times))

    def say(self, text: str, times: int = 1) -> None:
        """Say something."""
        for _ in range(times):
            self.said[text] += 1
            event = Message(Severity.WARNING, "a.code", text)
            if self.repeats.is_new(text, Severity.WARNING, event):
                self.written.append((text, 0))

    def told(self) -> Counter[str]:
        """How often each was told, in one way or the other."""
        told: Counter[str] = Counter()
        for text, times in self.written:
            told[text] += times or 1
        return told


class RepeatsTests(SynchronousTestCase):
    """What is told of warnings that come again and again."""

    def test_first(self) -> None:
        """The first is written at once, and so is each that is different."""
        world = World()
        world.say("a")
        world.say("b")
        self.assertEqual(world.written, [("a", 0), ("b", 0)])

    def test_summary(self) -> None:
        """Repetitions are told once a second, with their number."""
        world = World()
        world.say("a", 4)
        self.assertEqual(world.written, [("a", 0)])
        world.clock.advance(INTERVAL)
        self.assertEqual(world.written, [("a", 0), ("a", 3)])
        world.say("a", 5)
        world.say("b")
        world.clock.advance(INTERVAL)
        self.assertEqual(world.written[2:], [("b", 0), ("a", 5)])

    def test_over(self) -> None:
        """After a whole second without one the next is written in full, and no timer is left."""
        world = World()
        world.say("a", 2)
        world.clock.pump([INTERVAL] * 3)
        self.assertEqual(world.clock.getDelayedCalls(), [])
        world.say("a")
        self.assertEqual(world.written, [("a", 0), ("a", 1), ("a", 0)])

    def test_shortly_before_the_tick(self) -> None:
        """The second counts from the warning, not from the moment at which all are summed up."""
        world = World()
        world.say("a")
        world.clock.advance(INTERVAL * 0.9)
        world.say("b")
        world.clock.advance(INTERVAL * 0.2)
        world.say("b")
        world.clock.advance(INTERVAL)
        self.assertEqual(world.written, [("a", 0), ("b", 0), ("b", 1)])

    def test_many(self) -> None:
        """Of more different ones than are kept the least recent is summed up early, and is new."""
        world = World()
        world.say("a", 3)
        world.say("b", 2)
        world.say("a")
        for number in range(MOST - 1):
            world.say(str(number))
        self.assertEqual(world.told()["b"], 2)
        world.say("b")
        self.assertEqual(world.written[-2:], [("a", 3), ("b", 0)])

    def test_flush(self) -> None:
        """A flush sums up what there is and forgets it; no timer is left."""
        world = World()
        world.say("a", 3)
        world.repeats.flush()
        self.assertEqual(world.clock.getDelayedCalls(), [])
        world.say("a")
        self.assertEqual(world.written, [("a", 0), ("a", 2), ("a", 0)])

    def test_stop(self) -> None:
        """After the end everything is written."""
        world = World()
        world.say("a", 3)
        world.repeats.stop()
        world.say("a", 2)
        self.assertEqual(world.written, [("a", 0), ("a", 2), ("a", 0), ("a", 0)])
        self.assertEqual(world.clock.getDelayedCalls(), [])

    def test_said_while_told(self) -> None:
        """What is said in the midst of a summary is told too, even if others are pushed out."""
        world = World()
        tell = world.tell

        def chatty(repeated: Repeated) -> None:
            tell(repeated)
            if len(world.written) < 2 * MOST:
                for number in range(MOST):
                    world.say(f"new {number}", 2)

        world.repeats = Repeats(world.clock.callLater, chatty)
        world.say("a", 2)
        world.say("b", 2)
        world.say("c")
        world.clock.advance(INTERVAL)
        self.assertEqual(world.told()["b"], 2)
        world.repeats.stop()
        self.assertEqual(world.told(), world.said)

    @given(st.lists(st.sampled_from(["a", "b", "c", 0.3, INTERVAL])))
    def test_nothing_is_lost(self, steps: list[str | float]) -> None:
        """Whatever comes when: in the end each was told as often as it was said."""
        world = World()
        for step in steps:
            if isinstance(step, str):
                world.say(step)
            else:
                world.clock.advance(step)
        world.repeats.stop()
        self.assertEqual(world.told(), world.said)
        # At most once a second, and once more at the end.
        seconds = sum(step for step in steps if isinstance(step, float)) / INTERVAL
        for text in "abc":
            lines = sum(1 for told, _ in world.written if told == text)
            self.assertLessEqual(lines, seconds + 2)
