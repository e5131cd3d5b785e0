"""Tests of what follows all sessions."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe.events import Ended
from dantetw.session.subscribers import IFollowed
from dantetw.values import Cause, Counts, Ending, Phase
from tests.session.world import GREETING, OPEN, TARGET, World, request

BLOCKING = "socksmethod: none\nclient block { from: 0/0 to: 0/0 log: connect }\n"
SILENT = "socksmethod: none\nclient pass { from: 0/0 to: 0/0 }\nsocks pass { from: 0/0 to: 0/0 }\n"


class Recorder:
    """Notes what it is called for, and what a session looks like then."""

    def __init__(self, world: World, name: str = "") -> None:
        self.name = name
        self.world = world
        self.calls: list[tuple[str, Phase]] = []
        self.counts = Counts()
        self.ends: list[Ending] = []
        self.recorded: list[int] = []
        world.factory.subscribers.add(self)

    def _note(self, what: str, session: IFollowed) -> None:
        self.calls.append((self.name + what, session.record.phase))
        self.recorded.append(len(self.world.ended))

    def began(self, session: IFollowed) -> None:
        self._note("began", session)

    def advanced(self, session: IFollowed) -> None:
        self._note("advanced", session)

    def recording(self, session: IFollowed) -> None:
        self._note("recording", session)

    def ended(self, session: IFollowed, ending: Ending) -> None:
        self._note("ended", session)
        self.ends.append(ending)
        if session.activity is not None:
            self.counts = session.activity.counts
            target = session.activity.target_socket
            assert target is None or target.fileno() >= 0


class SubscriberTests(SynchronousTestCase):
    """When subscribers are called."""

    def test_relayed(self) -> None:
        """A session begins, advances to its relay and ends; its counts can be read to the last."""
        world = World(self, OPEN)
        recorder = Recorder(world)
        client, dial = world.connected()
        dial.far.send(b"answer")
        world.settle()
        dial.far.close()
        client.close()
        world.settle()
        self.assertEqual(
            recorder.calls,
            [
                ("began", Phase.NEGOTIATE),
                ("advanced", Phase.RELAY),
                ("recording", Phase.RELAY),
                ("ended", Phase.RELAY),
            ],
        )
        self.assertEqual((recorder.counts.from_target, recorder.counts.to_client), (6, 6))
        self.assertEqual(recorder.recorded, [0, 0, 0, 1])
        world.check_over()

    def test_failed(self) -> None:
        """A session that comes to nothing has an end."""
        world = World(self, OPEN)
        recorder = Recorder(world)
        client = world.client(GREETING + request(TARGET))
        client.close()
        world.wait(1)
        world.factory.stop()
        self.assertEqual([what for what, _ in recorder.calls], ["began", "recording", "ended"])
        self.assertEqual(recorder.ends, [event.ending for event in world.ended])

    def test_refused_at_once(self) -> None:
        """A client that a client rule blocks has an end without a beginning."""
        world = World(self, BLOCKING)
        recorder = Recorder(world)
        world.client()
        self.assertEqual([what for what, _ in recorder.calls], ["recording", "ended"])
        self.assertEqual([ending.cause for ending in recorder.ends], [Cause.BLOCKED])

    def test_not_logged(self) -> None:
        """A session that no rule logs ends without a record of that."""
        world = World(self, SILENT)
        recorder = Recorder(world)
        world.client().close()
        self.assertEqual([what for what, _ in recorder.calls], ["began", "ended"])
        self.assertEqual([each for each in world.events if isinstance(each, Ended)], [])

    def test_several(self) -> None:
        """Subscribers are called in the order in which they were added."""
        world = World(self, OPEN)
        first, second = Recorder(world, "first "), Recorder(world, "second ")
        second.calls = first.calls
        world.client().close()
        self.assertEqual(
            [what for what, _ in first.calls],
            [
                f"{who} {what}"
                for what in ("began", "recording", "ended")
                for who in ("first", "second")
            ],
        )
