"""Tests of :mod:`dantetw.workers.mother`, with processes that the test plays."""

from __future__ import annotations

import os
import pickle
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dantetw.config.policy import Policy
from dantetw.net.listening import Port, open_port
from dantetw.observe.events import Event
from dantetw.observe.journal import Journal
from dantetw.values import Endpoint, Family
from dantetw.workers import forking
from dantetw.workers.channel import Channel, Order
from dantetw.workers.mother import FIRST_PAUSE, LONGEST_PAUSE, PATIENCE, PROVEN, REAP, Mother
from dantetw.workers.worker import Change, Estate
from tests.workers.test_channel import Watching

HERE = Endpoint("127.0.0.1", 0, Family.IPV4)


class _Reactor(Clock):
    """Time, and nobody who watches."""

    def __init__(self) -> None:
        super().__init__()
        watching = Watching()
        self.addReader, self.removeReader = watching.addReader, watching.removeReader
        self.addWriter, self.removeWriter = watching.addWriter, watching.removeWriter


class Played:
    """A worker as the test plays it."""

    def __init__(self, pid: int, sock: socket.socket) -> None:
        self.pid = pid
        self.orders: list[Order] = []
        self.channel = Channel(sock, Watching(), self.orders.append, lambda: None)

    def heard(self) -> list[str]:
        """What the mother has said since this was last asked."""
        for _ in range(3):
            self.channel.doRead()  # which ends where descriptors came
        words = [order.word for order in self.orders]
        self.orders.clear()
        return words


class MotherCase(SynchronousTestCase):
    """A mother of two."""

    def setUp(self) -> None:
        self.reactor = _Reactor()
        self.events: list[Event] = []
        self.played: list[Played] = []
        self.statuses: dict[int, int] = {}
        self.killed: list[tuple[int, int]] = []
        self.patch(forking, "fork", self.fork)
        self.patch(os, "waitpid", self.waitpid)
        self.patch(os, "kill", lambda pid, number: self.killed.append((pid, number)))
        self.port, _ = open_port(HERE, number=2)
        self.addCleanup(self.port.close)
        self.policy = Policy("sockd.conf")
        ports = {self.port.endpoint: self.port}
        none: Any = None
        estate = Estate(self.policy, ports, none, b"key", none, {}, none, True)
        observer: Any = SimpleNamespace(sinks=(), look_after_sinks=lambda: None)
        journal = Journal(lambda event: self.events.append(event["event"]))
        seconds = self.reactor.seconds
        self.mother = Mother(self.reactor, journal, observer, estate, 2, seconds)
        self.addCleanup(self.close)

    def close(self) -> None:
        for played in self.played:
            played.channel.close()
        for child in self.mother.children:
            child.channel.close()

    def fork(self, child: Callable[[socket.socket], NoReturn]) -> tuple[int, socket.socket]:
        """A process that is the test's, and runs at once."""
        ours, theirs = socket.socketpair()
        played = Played(1000 + len(self.played), theirs)
        played.channel.send("running")
        self.played.append(played)
        return played.pid, ours

    def waitpid(self, pid: int, flags: int) -> tuple[int, int]:
        return (pid, self.statuses[pid]) if pid in self.statuses else (0, 0)

    def start(self) -> None:
        self.assertTrue(self.mother.start())

    def hear(self) -> None:
        """The mother hears all that was said."""
        for child in tuple(self.mother.children):
            child.channel.doRead()

    def die(self, place: int, status: int = signal.SIGKILL) -> None:
        """A played worker dies."""
        played = self.played[place]
        self.statuses[played.pid] = status
        played.channel.close()
        self.hear()

    def pids(self) -> list[int]:
        return sorted(child.pid for child in self.mother.children)

    def said(self) -> list[str]:
        return [getattr(event, "text", "") for event in self.events]


class KeepTests(MotherCase):
    """As many workers as there shall be."""

    def test_start(self) -> None:
        """Each is forked once, and has said that it runs."""
        self.start()
        self.assertEqual(self.pids(), [1000, 1001])
        self.assertTrue(all(child.running for child in self.mother.children))

    def test_nobody(self) -> None:
        """If all die at once, the start has failed."""

        def fork(child: Callable[[socket.socket], NoReturn]) -> tuple[int, socket.socket]:
            pid, ours = self.fork(child)
            self.played[-1].channel.close()
            self.statuses[pid] = 256
            return pid, ours

        self.patch(forking, "fork", fork)
        self.mother.start()
        self.hear()
        self.assertEqual(self.pids(), [])
        self.assertIn("worker 1 (process 1000) ended with 1; 0 sessions with it", self.said())

    def test_replaced_at_once(self) -> None:
        """One that has lived for long is replaced at once, and the other is left alone."""
        self.start()
        self.reactor.advance(PROVEN)
        self.die(0)
        self.reactor.advance(0)
        self.assertEqual(self.pids(), [1001, 1002])
        self.assertEqual(
            self.said(), ["worker 1 (process 1000) was killed by signal 9; 0 sessions with it"]
        )
        self.assertEqual(self.mother.started, [2, 1])

    def test_backs_off(self) -> None:
        """Those that die young are replaced later each time, but never later than so."""
        self.start()
        pause, place = FIRST_PAUSE, 0
        for _ in range(9):
            self.die(place)
            self.assertEqual(len(self.pids()), 1)
            self.reactor.advance(pause - 0.01)
            self.assertEqual(len(self.pids()), 1)
            self.reactor.advance(0.01)
            self.assertEqual(len(self.pids()), 2)
            self.hear()
            pause, place = min(2 * pause, LONGEST_PAUSE), len(self.played) - 1
        self.reactor.advance(PROVEN)
        self.die(place)
        self.reactor.advance(0)
        self.assertEqual(len(self.pids()), 2)

    def test_not_dead_yet(self) -> None:
        """One that has only closed its channel is killed, and replaced when it is dead."""
        self.start()
        self.reactor.advance(PROVEN)
        self.played[0].channel.close()
        self.hear()
        self.assertEqual(self.killed, [(1000, signal.SIGKILL)])
        self.assertEqual(self.pids(), [1000, 1001])
        self.statuses[1000] = signal.SIGKILL
        self.reactor.advance(REAP)
        self.reactor.advance(0)
        self.assertEqual(self.pids(), [1001, 1002])

    def test_nonsense(self) -> None:
        """One that talks nonsense is killed; what it says is believed in nothing."""
        self.start()
        for said in (["x"], {"read-only": 7}, None):
            played = self.played[-1]
            played.channel.send("measures", said)
            self.hear()
            self.assertEqual(self.killed[-1], (played.pid, signal.SIGKILL))
            self.statuses[played.pid] = signal.SIGKILL
            self.reactor.advance(REAP)
            self.reactor.advance(LONGEST_PAUSE)
            self.hear()

    def test_retired(self) -> None:
        """One that retires is followed at once, and its end is nothing to tell."""
        self.start()
        self.played[0].channel.send("retired")
        self.hear()
        self.assertEqual(self.pids(), [1000, 1001, 1002])
        self.die(0, 0)
        self.reactor.advance(LONGEST_PAUSE)
        self.assertEqual((self.pids(), self.said()), ([1001, 1002], []))


class ReloadTests(MotherCase):
    """A change is made by all or by none."""

    def setUp(self) -> None:
        super().setUp()
        self.start()
        self.other: Port
        self.other, _ = open_port(HERE, number=2)
        self.addCleanup(self.other.close)
        self.changed = replace(self.policy, debug=2, generation=1)

    def prepare(self) -> Deferred[str]:
        """The mother begins, with one port kept and one that comes."""
        ports = {port.endpoint: port for port in (self.port, self.other)}
        return Deferred.fromCoroutine(self.mother.prepare(self.changed, b"new", ports))

    def test_made(self) -> None:
        """All get the policy and a socket of the new port; then all are told to go on."""
        outcome = self.prepare()
        for played in self.played:
            played.channel.doRead()
            (order,) = played.orders
            played.orders.clear()
            change = pickle.loads(order.payload)
            self.assertEqual(change, Change(self.changed, b"new", (self.port.endpoint,)))
            (descriptor,) = order.descriptors
            with socket.socket(fileno=descriptor) as sock:
                self.assertEqual(Endpoint.of(sock.getsockname()), self.other.endpoint)
            played.channel.send("prepared")
        self.hear()
        self.assertEqual(self.successResultOf(outcome), "")
        committed = Deferred.fromCoroutine(self.mother.commit(False))
        for played in self.played:
            self.assertEqual(played.heard(), ["commit"])
            played.channel.send("committed")
        self.hear()
        self.successResultOf(committed)
        self.mother.release()
        self.assertEqual([played.heard() for played in self.played], [["release"], ["release"]])

    def test_unable(self) -> None:
        """If one cannot, that is the answer; all are told to forget it."""
        outcome = self.prepare()
        self.played[0].channel.send("prepared")
        self.played[1].channel.send("prepared", "no file")
        self.hear()
        self.assertEqual(self.successResultOf(outcome), "worker 2: no file")
        self.mother.abandon()
        self.assertEqual([played.heard()[-1] for played in self.played], ["abandon", "abandon"])

    def test_silent(self) -> None:
        """One that does not answer cannot."""
        outcome = self.prepare()
        self.played[0].channel.send("prepared")
        self.hear()
        self.assertNoResult(outcome)
        self.reactor.advance(PATIENCE)
        self.assertEqual(self.successResultOf(outcome), "worker 2 does not answer")

    def test_died_meanwhile(self) -> None:
        """One that dies keeps nobody from the change; another comes when it is made."""
        self.reactor.advance(PROVEN)
        outcome = self.prepare()
        self.die(1)
        self.reactor.advance(0)
        self.assertEqual(self.pids(), [1000])
        self.played[0].channel.send("prepared")
        self.hear()
        self.assertEqual(self.successResultOf(outcome), "")
        committed = Deferred.fromCoroutine(self.mother.commit(False))
        self.played[0].channel.send("committed")
        self.hear()
        self.successResultOf(committed)
        self.assertEqual(self.pids(), [1000, 1002])


class StopTests(MotherCase):
    """The end of all."""

    def test_stopped(self) -> None:
        """All are told, and it is over when all are dead; none is replaced."""
        self.start()
        self.die(0)
        over = self.mother.stop()
        self.assertEqual(self.played[1].heard(), ["stop"])
        self.assertNoResult(over)
        self.die(1, 0)
        self.successResultOf(over)
        self.reactor.advance(LONGEST_PAUSE)
        self.assertEqual(self.pids(), [])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_stuck(self) -> None:
        """Those that do not end are killed."""
        self.start()
        over = self.mother.stop()
        self.die(0, 0)
        self.reactor.advance(PATIENCE)
        self.assertEqual(self.killed, [(1001, signal.SIGKILL)])
        self.die(1)
        self.successResultOf(over)
