"""Tests of :mod:`dantetw.session.descriptors`: how many clients there is room for."""

from __future__ import annotations

import sys

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.listening import open_port
from dantetw.relay import pipes
from dantetw.session import descriptors as module
from dantetw.session.descriptors import ACCEPT_BATCH, RESERVE, RETRY_SECONDS, DescriptorBudget
from dantetw.session.listener import Listener
from dantetw.values import Cause, Ending, Phase, Side
from tests.relay.rig import empty_pool
from tests.session.test_listener import ANY_PORT, ListenerCase
from tests.session.world import GREETING, OPEN, World, request


class RoomTests(SynchronousTestCase):
    """What is left."""

    def setUp(self) -> None:
        self.world = World(self, OPEN)
        empty_pool()
        self.addCleanup(empty_pool)
        self.addCleanup(setattr, pipes, "may_make", None)

    def room(self, files: int | None, known: int = 20) -> DescriptorBudget:
        """The room of a process that may have so many files, and has so many when it starts."""
        self.patch(module, "limits", lambda: (None, files))
        self.patch(module, "count_files", lambda: iter((1, known)))
        room = self.world.factory.descriptors
        room.measure()
        return room

    def test_no_limit(self) -> None:
        """Without a limit there is room for all."""
        self.assertGreater(self.room(None).clients(), 1_000_000)
        self.assertEqual(self.world.factory.descriptors._most, sys.maxsize)

    def test_reserve(self) -> None:
        """A part is kept for others than clients: of few a third, of many a fixed number."""
        for files, kept in ((256, 85), (10_000, RESERVE)):
            self.assertEqual(self.room(files)._left(), files - 20 - kept)

    def test_not_too_many(self) -> None:
        """There are never said to be more than there are, also if it does not look closer."""
        for files in (*range(100, 2000, 50), 10_000):
            room = self.room(files)
            left = room._left() // 4
            self.assertLessEqual(room.clients(), left)
            self.assertTrue(room.clients() == left or room.clients() >= ACCEPT_BATCH)

    def test_very_few(self) -> None:
        """There is always room for one client."""
        self.assertEqual(self.room(30, 29).clients(), 1)

    def test_unknown(self) -> None:
        """Where the system does not say how many are open, the lowest number that is free does."""
        self.patch(module, "limits", lambda: (None, 10_000))
        self.patch(module, "count_files", lambda: iter(()))
        room = self.world.factory.descriptors
        room.measure()
        self.assertGreater(room._left(), 10_000 - RESERVE - 500)

    def test_sessions(self) -> None:
        """
        A client takes four until it is known what it asks for, then two, and none when it has gone.
        """
        room = self.room(10_000)
        before = room._left()
        client = self.world.client()
        self.assertEqual(room._left(), before - 4)
        client.send(GREETING + request())
        self.world.settle()
        self.assertEqual(room._left(), before - 2)
        (session,) = self.world.sessions
        session.end(Ending(Side.US, Phase.RELAY, Cause.SHUTDOWN))
        self.assertEqual(room._left(), before)

    def test_held(self) -> None:
        """What a session has beyond that counts until it ends."""
        room = self.room(10_000)
        before = room._left()
        self.world.client()
        (session,) = self.world.sessions
        for number in (2, 6, 4):
            room.hold(session.record.number, number)
            self.assertEqual(room._left(), before - 4 - number)
        self.assertTrue(room.short)
        session.end(Ending(Side.US, Phase.RELAY, Cause.SHUTDOWN))
        self.assertEqual((room._left(), room.short), (before, False))

    def test_pipes(self) -> None:
        """Pipes count; they give way to clients, and none is made while there is little room."""
        room = self.room(10_000)
        before = room._left()
        ends = pipes.take()
        self.assertEqual(room._left(), before - 2)
        pipes.give_back(ends, empty=True)
        self.assertEqual(room._left(), before - 2)
        self.world.client()
        (session,) = self.world.sessions
        room.hold(session.record.number, room._left() - 1)
        pooled = pipes.take()
        self.assertRaises(OSError, pipes.take)
        self.assertEqual((room.clients(), pipes.number()), (0, 1))
        pipes.give_back(pooled, empty=True)
        self.assertEqual((room.clients(), pipes.number()), (0, 0))

    def test_listening(self) -> None:
        """Listening sockets that come or go make it less or more."""
        room = self.room(10_000)
        before = room._left()
        room.take(3)
        self.assertEqual(room._left(), before - 3)
        room.take(-3)
        self.assertEqual(room._left(), before)


class WaitingTests(ListenerCase):
    """Clients for whom there is no room."""

    def limit(self, world: World, most: int) -> None:
        """Let there be so many descriptors for clients."""
        world.factory.descriptors._set(most)

    def test_one_at_a_time(self) -> None:
        """Clients wait in the kernel; as one leaves another comes, at each port in its turn."""
        world, first = self.listen()
        second = self.another(world)
        self.limit(world, 4)
        for listener in (first, first, second, second):
            self.open().connect((listener.endpoint.host, listener.endpoint.port))
        world.until(lambda: len(world.sessions) == 1)
        came = []
        for number in range(4):
            world.until(lambda n=number: world.factory.counts.opened == n + 1)  # type: ignore[misc]
            self.assertEqual(len(world.factory.sessions), 1)
            (session,) = world.factory.sessions.values()
            came.append(session.record.local)
            session.stop()
        # Who came first stays first; then each port has its turn.
        self.assertEqual(len(set(came[1:3])), 2, came)
        texts = [event.text for event in world.events if hasattr(event, "text")]
        self.assertEqual(sum("could not accept" in text for text in texts), 2, texts)

    def another(self, world: World) -> Listener:
        """Another listener of the same server."""
        port, _ = open_port(ANY_PORT)
        self.addCleanup(port.close)
        listener = Listener(port.sockets[0], port, world.factory, world.reactor)
        self.addCleanup(listener.stop)
        listener.start()
        return listener

    def test_looked_for(self) -> None:
        """Room that comes of no session's end is found soon."""
        world, listener = self.listen()
        self.limit(world, 0)
        self.open().connect((listener.endpoint.host, listener.endpoint.port))
        world.until(lambda: world.events)
        self.limit(world, 4)
        world.reactor.advance(RETRY_SECONDS)
        world.until(lambda: len(world.sessions) == 1)

    def test_nobody_waits(self) -> None:
        """That there is no room is said only if somebody waits."""
        world, listener = self.listen()
        self.limit(world, 4)
        self.arrive(world, listener)
        world.reactor.advance(1)
        self.assertEqual(world.events[1:], [])
