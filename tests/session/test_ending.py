"""Tests that every session ends once, whatever happens, and that nothing of it is left."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.poller import EpollPoller, ReactorPoller
from dantetw.session.delayedclose import FAILED_LOGIN_DELAY_SECONDS
from dantetw.values import Cause, Ending, Phase, Side
from tests.descriptors import descriptors
from tests.session.world import (
    GREETING,
    LOG,
    LOGIN,
    LOGINS,
    NAMED,
    OPEN,
    RULES,
    TARGET,
    Client,
    World,
    request,
)

WAITING = f"""
socksmethod: none
client block {{ from: .example.net to: 0/0 }}
{RULES}
"""
ASKING = f"""
socksmethod: none
client pass {{ from: 0/0 to: 0/0 {LOG} }}
socks pass {{ from: 0/0 to: many.example.org {LOG} }}
"""


class StopTests(SynchronousTestCase):
    """The server's stop ends sessions in every phase."""

    def stop(self, world: World, phase: Phase) -> Ending:
        """Stop; check that the only session ends so, and leaves nothing."""
        world.factory.stop()
        world.settle()
        self.assertEqual(len(world.ended), 1)
        self.assertEqual(world.ending, Ending(Side.US, phase, Cause.SHUTDOWN))
        world.check_over()
        # What comes too late disturbs nobody.
        world.look_up()
        world.doorkeeper.answer(True)
        for dial in world.dials:
            dial.decide()
        world.wait(100)
        self.assertEqual(len(world.ended), 1)
        return world.ending

    def test_accept(self) -> None:
        """One whose client rule waits for a name is told of if the built-in rule logs."""
        world = World(self, f"debug: 1\n{WAITING}")
        world.client()
        self.stop(world, Phase.ACCEPT)

    def test_negotiate(self) -> None:
        """One that negotiates."""
        world = World(self)
        world.client(GREETING)
        self.stop(world, Phase.NEGOTIATE)

    def test_authenticate(self) -> None:
        """One whose password is being checked."""
        world = World(self, LOGINS)
        world.client(LOGIN)
        self.stop(world, Phase.AUTHENTICATE)
        self.assertEqual(world.doorkeeper.cancelled, 1)

    def test_resolve(self) -> None:
        """One whose target is being resolved."""
        world = World(self)
        world.client(GREETING + request(NAMED))
        self.stop(world, Phase.RESOLVE)

    def test_authorise(self) -> None:
        """One whose socks rule waits for a name."""
        world = World(self, ASKING)
        world.client(GREETING + request())
        self.stop(world, Phase.AUTHORISE)

    def test_connect(self) -> None:
        """One that is being connected."""
        world = World(self)
        world.client(GREETING + request())
        self.stop(world, Phase.CONNECT)

    def test_relay(self) -> None:
        """One that is relayed, which the log calls an administrative termination."""
        world = World(self)
        world.connected(b"some")
        self.stop(world, Phase.RELAY)
        self.assertTrue(
            world.lines()[-1].endswith("administrative termination.  Session duration: 0s")
        )


EVERYTHING = f"""
socksmethod: {{method}}
debug: 1
timeout.negotiate: 5
timeout.connect: 7
timeout.io.tcp: 9
timeout.tcp_fin_wait: 4
client block {{{{ from: .example.net to: 0/0 {LOG} }}}}
client pass {{{{ from: 0/0 to: 0/0 {LOG} }}}}
socks block {{{{ from: 0/0 to: many.example.org {LOG} }}}}
socks pass {{{{ from: 0/0 to: 0/0 {LOG} }}}}
"""

#: What clients may say, whole or in part.
SAYINGS = (
    GREETING,
    LOGIN,
    request(),
    request(NAMED),
    request(TARGET),
    b"\x04\x01\x00\x50\xc6\x33\x64\x07\x00",
    b"\x05\x01\x00\x05\x02\x00\x01" + bytes(6),
    b"GET / HTTP/1.1\r\n\r\n",
    b"x" * 3000,
    b"",
)

ERRORS = (0, 0, errno.ECONNREFUSED, errno.ETIMEDOUT)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.just(0)),
        st.tuples(st.just("say"), st.integers(0, len(SAYINGS) - 1)),
        st.tuples(st.just("half"), st.integers(0, len(SAYINGS) - 1)),
        st.tuples(st.sampled_from(("close", "reset", "shut", "hear")), st.just(0)),
        st.tuples(st.sampled_from(("login", "resolve")), st.integers(0, 3)),
        st.tuples(st.just("dial"), st.integers(0, len(ERRORS) - 1)),
        st.tuples(st.sampled_from(("answer", "target closes", "target shuts")), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 12)),
        st.tuples(st.just("turn"), st.just(0)),
    ),
    max_size=24,
)


#: How clients show who they are, how all ends, and what waits for sockets.
WAYS = st.tuples(
    st.sampled_from(("none", "username")),
    st.sampled_from(("stop", "wait")),
    st.sampled_from((EpollPoller, ReactorPoller)),
)


class Chaos:
    """Carries out random steps against a world, with up to three clients."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clients: list[Client] = []

    @property
    def client(self) -> Client | None:
        """The client the next step is about."""
        return self.clients[-1] if self.clients else None

    def do(self, step: str, number: int) -> None:
        """One step; what cannot be done now is not done."""
        getattr(self, "_" + step.replace(" ", "_"))(number)

    def _arrive(self, _: int) -> None:
        if len(self.clients) < 3:
            self.clients.append(self.world.client())

    def _say(self, number: int, share: int = 1) -> None:
        if self.client is not None and self.client.sock.fileno() >= 0:
            said = SAYINGS[number]
            self.client.send(said[: len(said) // share])

    def _half(self, number: int) -> None:
        self._say(number, 2)

    def _hear(self, _: int) -> None:
        if self.client is not None and self.client.sock.fileno() >= 0:
            self.client.hear()

    def _close(self, _: int) -> None:
        self._hear(0)
        self._reset(0)

    def _reset(self, _: int) -> None:
        if self.client is not None:
            self.client.sock.close()
            # The world settles only with the next step: both ends' news may come in one turn.

    def _shut(self, _: int) -> None:
        if self.client is not None and self.client.sock.fileno() >= 0:
            try:
                self.client.shut()
            except OSError:
                pass

    def _login(self, number: int) -> None:
        self.world.doorkeeper.answer(number > 0)

    def _resolve(self, number: int) -> None:
        if self.world.pool.jobs:
            self.world.pool.run(number % len(self.world.pool.jobs))

    def _dial(self, number: int) -> None:
        for dial in self.world.dials:
            if dial.open:
                dial.decide(ERRORS[number])
                return

    def _far(self, act: Callable[[socket.socket], object]) -> None:
        dials = self.world.dials
        # Before the connection stands there is nobody at its far end.
        if dials and not dials[-1].open and dials[-1].far.fileno() >= 0:
            try:
                act(dials[-1].far)
            except OSError:
                pass

    def _answer(self, _: int) -> None:
        self._far(lambda far: far.send(b"answer"))

    def _target_closes(self, _: int) -> None:
        self._far(lambda far: far.close())

    def _target_shuts(self, _: int) -> None:
        self._far(lambda far: far.shutdown(socket.SHUT_WR))

    def _wait(self, number: int) -> None:
        self.world.wait(number)

    def _turn(self, _: int) -> None:
        self.world.reactor.turn()


class ChaosTests(SynchronousTestCase):
    """Whatever clients, targets, resolvers, checkers and the clock do, in whatever order."""

    def run_steps(self, steps: list[tuple[str, int]], way: tuple[str, str, Any]) -> None:
        """Carry out the steps, end everything in one of two ways, and look what is left."""
        method, end, make_poller = way
        world = World(self, EVERYTHING.format(method=method), make_poller)
        world.hosts["many.example.org"] = ["203.0.113.5"]
        chaos = Chaos(world)
        for step, number in steps:
            chaos.do(step, number)
            self.assertLessEqual(len(world.ended), len(chaos.clients))
        if end == "stop":
            world.factory.stop()
        else:
            # Each session has a time limit in each of its phases.
            for _ in range(4):
                world.look_up()
                world.wait(10)
        world.wait(FAILED_LOGIN_DELAY_SECONDS)
        numbers = [ended.session for ended in world.ended]
        self.assertEqual(sorted(numbers), list(range(1, len(chaos.clients) + 1)))
        for ended in world.ended:
            counts = ended.counts
            self.assertLessEqual(counts.to_target, counts.from_client)
            self.assertLessEqual(counts.to_client, counts.from_target)
        world.check_over()
        self.assertEqual(self.flushLoggedErrors(), [])
        world.close()

    @settings(max_examples=300)
    @given(STEPS, WAYS)
    def test_ends_once(self, steps: list[tuple[str, int]], way: tuple[str, str, Any]) -> None:
        """Each session ends in one event, and no socket, limit or session is left."""
        self.run_steps(steps, way)

    @settings(max_examples=150)
    @given(st.data())
    def test_ends_once_late(self, data: Any) -> None:
        """The same from where a session is well on its way."""
        way = data.draw(WAYS)
        begin: list[tuple[str, int]] = [("arrive", 0), ("resolve", 0)]
        if way[0] == "username":
            begin += [("say", 1), ("login", 1), ("say", 2), ("resolve", 0)]
        else:
            begin += [("say", 0), ("say", 2), ("resolve", 0)]
        begin += data.draw(st.sampled_from(([], [("turn", 0)], [("dial", 0), ("turn", 0)])))
        self.run_steps(begin + data.draw(STEPS), way)

    def test_descriptors(self) -> None:
        """A hundred sessions of many kinds leave as many descriptors open as there were."""
        if not os.path.isdir("/proc/self/fd"):
            self.skipTest("this system does not list a process's descriptors")
        world = World(self, OPEN)
        before = descriptors()
        for number in range(100):
            ends: list[socket.socket] = []
            if number % 4 == 0:
                client = world.client(GREETING[: number % 3])
            elif number % 4 == 1:
                client = world.client(GREETING + request(NAMED))
            else:
                client, dial = world.connected()
                ends.append(dial.far)
            client.close()
            for sock in ends:
                sock.close()
            world.look_up()
            for dial in world.dials:
                dial.cancel()
                dial.far.close()
            world.settle()
        self.assertEqual(len(world.ended), 100)
        world.check_over()
        self.assertEqual(descriptors() - before, set())
