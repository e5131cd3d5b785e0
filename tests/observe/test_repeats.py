"""Tests of :mod:`dantetw.observe.repeats`."""

from __future__ import annotations

import errno
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe import tallies
from dantetw.observe.events import ConnectFailed, Message, Repeated
from dantetw.observe.repeats import INTERVAL, MOST, Repeats
from dantetw.observe.tallies import Tallies
from dantetw.policy import Edge
from dantetw.values import Endpoint, Family, Method, Severity, User


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


def failure(client: str, user: str = "", session: int = 1) -> ConnectFailed:
    """A target that refuses a client."""
    return ConnectFailed(
        Severity.WARNING,
        Edge.EXTERNAL,
        Endpoint("10.0.0.1", 80, Family.IPV4),
        "ECONNREFUSED",
        errno.ECONNREFUSED,
        session,
        client=Endpoint(client, 40000 + session, Family.IPV4),
        user=User(Method.USERNAME, user) if user else None,
    )


class WhoTests(SynchronousTestCase):
    """Whom summaries are about."""

    def summary(self, *events: ConnectFailed) -> ConnectFailed:
        """The summary of these, of which the first is written."""
        clock, told = Clock(), list[Repeated]()
        repeats = Repeats(clock.callLater, told.append)
        for event in events:
            repeats.is_new("a", Severity.WARNING, event)
        repeats.stop()
        (repeated,) = told
        self.assertEqual(repeated.times, len(events) - 1)
        assert isinstance(repeated.event, ConnectFailed)
        return repeated.event

    def test_one(self) -> None:
        """If all are about one client and user it names them, but no session and no port."""
        event = self.summary(*(failure("10.0.0.9", "joe", number) for number in (1, 2, 3)))
        self.assertEqual(event.client, Endpoint("10.0.0.9", 0, Family.IPV4))
        self.assertEqual((event.user, event.session), (User(Method.USERNAME, "joe"), 0))

    def test_several(self) -> None:
        """If not it names nobody."""
        first = failure("10.0.0.9", "joe")
        for other in (failure("10.0.0.8", "joe"), failure("10.0.0.9", "jim"), failure("10.0.0.9")):
            event = self.summary(first, first, other)
            self.assertEqual((event.client, event.user), (None, None))

    def test_processes(self) -> None:
        """Both hold if they come in several processes."""
        for other, client in (("10.0.0.9", "10.0.0.9"), ("10.0.0.8", None)):
            processes = Processes(2)
            for number, host in ((0, "10.0.0.9"), (1, other)):
                repeats = processes.worlds[number].repeats
                repeats.is_new("a", Severity.WARNING, failure(host))
            processes.clock.advance(INTERVAL)
            ((_, repeated),) = processes.repeated
            assert isinstance(repeated.event, ConnectFailed)
            found = repeated.event.client
            self.assertEqual(None if found is None else found.host, client)


class Processes:
    """
    Processes that count together.

    :ivar repeated: each summary behind the process that has written it.
    """

    def __init__(self, number: int) -> None:
        self.clock = Clock()
        self.tallies = Tallies()
        self.repeated: list[tuple[int, Repeated]] = []
        self.worlds: list[World] = []
        for place in range(number):
            self.worlds.append(World())
            self.begin(place)

    def begin(self, place: int) -> None:
        """Begin a process, in the place of another that has said nothing any more."""
        world = self.worlds[place]
        world.clock = self.clock
        tally = self.tallies.of(place, self.clock.seconds)

        def tell(repeated: Repeated) -> None:
            self.repeated.append((place, repeated))
            if isinstance(repeated.event, Message):
                world.tell(repeated)

        world.repeats = Repeats(self.clock.callLater, tell)
        world.repeats.tally = tally

    def total(self, name: str) -> Counter[str]:
        """The sum over all."""
        found: Counter[str] = Counter()
        for world in self.worlds:
            found += world.said if name == "said" else world.told()
        return found


class ProcessesTests(SynchronousTestCase):
    """What several processes say together."""

    def test_together(self) -> None:
        """One writes the first, and once a second the number of all."""
        processes = Processes(3)
        first, second, third = processes.worlds
        second.say("a")
        first.say("a", 3)
        third.say("a", 2)
        processes.clock.advance(INTERVAL)
        first.say("a", 4)
        processes.clock.advance(INTERVAL)
        self.assertEqual(second.written, [("a", 0), ("a", 5), ("a", 4)])
        self.assertEqual((first.written, third.written), ([], []))

    def test_over(self) -> None:
        """After a whole second without one the next is written in full, by whomever it comes to."""
        processes = Processes(2)
        first, second = processes.worlds
        first.say("a")
        second.say("a")
        processes.clock.pump([INTERVAL] * 4)
        self.assertEqual(processes.clock.getDelayedCalls(), [])
        second.say("a")
        first.say("a")
        processes.clock.advance(INTERVAL)
        self.assertEqual(
            (first.written, second.written), ([("a", 0), ("a", 1)], [("a", 0), ("a", 1)])
        )

    def test_owner_dies(self) -> None:
        """If the process that writes the numbers dies, another goes on; none is lost."""
        processes = Processes(2)
        first, second = processes.worlds
        first.say("a", 2)
        second.say("a")
        for call in processes.clock.getDelayedCalls():
            if getattr(call.func, "__self__", None) is first.repeats:
                call.cancel()
        for _ in range(6):
            second.say("a")
            processes.clock.advance(INTERVAL)
        second.repeats.stop()
        self.assertEqual(processes.total("told"), processes.total("said"))
        self.assertEqual(first.written, [("a", 0)])

    def test_alone(self) -> None:
        """A process that is about to be replaced counts by itself from then on."""
        processes = Processes(2)
        first, second = processes.worlds
        first.say("a", 2)
        first.repeats.alone()
        second.say("a", 2)
        first.say("a", 2)
        processes.clock.advance(INTERVAL)
        self.assertEqual(first.written, [("a", 0), ("a", 1), ("a", 0), ("a", 1)])
        self.assertEqual(second.written, [("a", 0), ("a", 1)])

    def test_full(self) -> None:
        """What the table has no room for each process counts by itself."""
        self.patch(tallies, "SLOTS", 2)
        processes = Processes(2)
        for number in range(9):
            for world in processes.worlds:
                world.say(str(number), 2)
        for world in processes.worlds:
            world.repeats.stop()
        self.assertEqual(processes.total("told"), processes.total("said"))
        lines = sum(times == 0 for world in processes.worlds for _, times in world.written)
        self.assertGreater(lines, 9)

    def test_slot_of_another(self) -> None:
        """What another text counts in a slot is not told of the text that had it before."""
        self.patch(tallies, "SLOTS", 1)
        processes = Processes(1)
        (world,) = processes.worlds
        world.say("a")
        # Nothing has looked meanwhile that could have forgotten the first.
        processes.clock.rightNow += tallies.GONE + 1
        world.say("b", 3)
        processes.clock.advance(0)
        world.repeats.stop()
        self.assertEqual(world.written, [("a", 0), ("b", 0), ("b", 2)])

    @given(st.lists(st.sampled_from((0, 1, 2, 5000, 2**63, 2**64 - 1)), min_size=8, max_size=8))
    def test_nonsense(self, values: list[int]) -> None:
        """Whatever another process has written into the table, this one goes on and counts."""
        self.patch(tallies, "SLOTS", 4)
        processes = Processes(1)
        world = processes.worlds[0]
        world.say("a")
        cells = processes.tallies.cells
        for number in range(0, len(cells), tallies._SIZE):
            for place, value in enumerate(values):
                if place != tallies._KEY or number % 3:
                    cells[number + place] = value
        for _ in range(6):
            world.say("a", 2)
            world.say("b", 2)
            processes.clock.advance(INTERVAL)
        world.repeats.stop()
        self.assertTrue(all(times >= 0 for _, times in world.written))
        self.assertEqual(world.written[0], ("a", 0))
        self.assertEqual(processes.clock.getDelayedCalls(), [])

    def test_too_many_processes(self) -> None:
        """A process that the table has no place for counts by itself."""
        self.assertIsNone(Tallies().of(tallies.PLACES))

    @given(
        # Where texts stand depends on their hashes, other ones in each run; in one slot all meet.
        st.sampled_from((1, tallies.SLOTS)),
        st.lists(
            st.one_of(
                st.tuples(st.integers(0, 2), st.sampled_from("abc")),
                st.sampled_from([0.3, INTERVAL, 4.0]),
            )
        ),
    )
    def test_nothing_is_lost(self, slots: int, steps: list[tuple[int, str] | float]) -> None:
        """Whatever comes when and where: in the end each was told as often as it was said."""
        self.patch(tallies, "SLOTS", slots)
        processes = Processes(3)
        for step in steps:
            if isinstance(step, tuple):
                processes.worlds[step[0]].say(step[1])
            else:
                processes.clock.advance(step)
        for world in processes.worlds:
            world.repeats.stop()
        self.assertEqual(processes.total("told"), processes.total("said"))
