"""Tests of :mod:`dantetw.handover.succession` and :mod:`dantetw.handover.predecessor`."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from dantetw.handover.messages import Staying
from dantetw.handover.succession import STOP_SECONDS, Succession
from dantetw.net.channel import Channel
from dantetw.net.listening import ListeningSocket
from dantetw.observe.events import Message
from dantetw.observe.journal import Journal
from dantetw.observe.status import PredecessorReport
from tests.handover.test_handing import Readers


class Server:
    """
    A server, as far as its place among others goes.

    :ivar done: what it has been asked to do.
    :ivar said: its log.
    """

    def __init__(self, case: SuccessionCase, sessions: int) -> None:
        self.done: list[str] = []
        self.said: list[Any] = []
        self.sessions = sessions
        self.seconds_left = 100.0
        self.stop = lambda: self.done.append("stop")
        self.end = lambda: self.done.append("end")
        journal = Journal(lambda event: self.said.append(event["event"]))
        self.succession = Succession(case.reactor, journal)
        self.succession._replaceable = self

    @property
    def busy(self) -> bool:
        return self.sessions > 0

    def sockets(self) -> list[ListeningSocket]:
        return []

    def retire(self) -> None:
        self.done.append("retire")

    def reopen(self) -> None:
        self.done.append("reopen")

    def report_sessions(self, report: int) -> Deferred[tuple[int, int]]:
        return succeed((self.sessions, report))

    @property
    def messages(self) -> list[str]:
        """What it has logged."""
        return [event.text for event in self.said if isinstance(event, Message)]


class SuccessionCase(SynchronousTestCase):
    """Servers that follow each other."""

    def setUp(self) -> None:
        self.reactor = Readers()
        self.channels: list[Channel] = []
        self.addCleanup(self.tidy)

    def tidy(self) -> None:
        for reader in tuple(self.reactor.readers):
            reader.close()

    def join(self) -> tuple[Channel, Channel]:
        """Both ends of a connection."""
        ours, theirs = (
            Channel(sock, self.reactor, lambda _: None, lambda: None)
            for sock in socket.socketpair()
        )
        self.channels += ours, theirs
        return ours, theirs

    def follow(self, new: Server, old: Server, pid: int) -> Channel:
        """Let a server replace another; the connection, as the old one has it."""
        ours, theirs = self.join()
        new.succession._follow(pid, ours)
        old.succession._replaced(pid + 1, theirs)
        self.turn()
        return theirs

    def turn(self) -> None:
        """Let all be heard that has been said."""
        for _ in range(12):
            self.reactor.turn()

    def measured(self, server: Server, report: int = 7) -> list[PredecessorReport]:
        """What a report says of servers that were replaced."""
        lines = Deferred.fromCoroutine(server.succession.measure(report))
        self.turn()
        return list(self.successResultOf(lines))

    def told(self, server: Server, report: int = 7) -> tuple[int, int]:
        """Of how many sessions it tells."""
        told = Deferred.fromCoroutine(server.succession.tell(report))
        self.turn()
        return self.successResultOf(told)


class OrderTests(SuccessionCase):
    """What a server that was replaced does."""

    def setUp(self) -> None:
        super().setUp()
        self.old, self.new = Server(self, 3), Server(self, 0)
        self.channel = self.follow(self.new, self.old, 10)

    def test_replaced(self) -> None:
        """It accepts no more clients, and ends with its last session."""
        self.assertEqual(self.old.done, ["retire"])
        self.assertIn("process 11 has taken our place", self.old.messages[0])
        self.reactor.advance(1)
        self.assertEqual(self.old.done, ["retire"])
        self.old.sessions = 0
        self.reactor.advance(1)
        self.assertEqual(self.old.done, ["retire", "end"])

    def test_limit(self) -> None:
        """Or when time is up."""
        self.reactor.pump([1.0] * 99)
        self.assertEqual(self.old.done, ["retire"])
        self.reactor.advance(1)
        self.assertEqual(self.old.done, ["retire", "end"])

    def test_reopen(self) -> None:
        """It opens its logs again when the new one does."""
        self.new.succession.reopen()
        self.turn()
        self.assertEqual(self.old.done, ["retire", "reopen"])

    def test_report(self) -> None:
        """It is part of a status report."""
        self.assertEqual(self.measured(self.new), [PredecessorReport(7, 10, 3)])
        self.assertEqual(self.told(self.new), (3, 7))

    def test_stop(self) -> None:
        """It is stopped with the new one, which waits for it."""
        stopped = self.new.succession.stop()
        self.turn()
        self.assertEqual(self.old.done, ["retire", "stop"])
        self.assertNoResult(stopped)
        self.channel.close()
        self.turn()
        self.successResultOf(stopped)
        self.assertEqual(self.new.messages, [])

    def test_does_not_stop(self) -> None:
        """But not for ever."""
        stopped = self.new.succession.stop()
        self.turn()
        self.reactor.advance(STOP_SECONDS)
        self.successResultOf(stopped)
        self.assertIn(
            "process 10, which this server has replaced, does not stop", self.new.messages[0]
        )
        self.channel.close()
        self.turn()

    def test_gone(self) -> None:
        """When it has ended, nothing is expected of it."""
        self.channel.close()
        self.turn()
        self.new.succession.reopen()
        self.assertEqual(self.measured(self.new), [])
        self.assertEqual(self.told(self.new), (0, 0))
        self.successResultOf(self.new.succession.stop())
        self.assertEqual(self.new.messages, [])

    def test_silent(self) -> None:
        """One that does not answer is left out of the report."""
        self.reactor.removeReader(self.channel)
        lines = Deferred.fromCoroutine(self.new.succession.measure(1))
        self.reactor.advance(60)
        self.assertEqual(self.successResultOf(lines), [])
        self.reactor.addReader(self.channel)

    def test_left(self) -> None:
        """If the new one has gone, it goes on, and says nothing to nobody."""
        self.channels[0].close()
        self.turn()
        self.old.succession._answer(Staying())
        self.reactor.advance(1)
        self.assertEqual(self.old.done, ["retire"])

    def test_nonsense(self) -> None:
        """What makes no sense is nothing."""
        read, write = os.pipe()
        self.addCleanup(os.close, write)
        new, old = self.channels
        for word in ("measure", "tell", "measured 7", "told 7", "predecessor", "staying", "x"):
            for said in (None, -1, "x", [], [1], [1, "x"], {"a": 1}, 2**70, True):
                new.send(word, said, descriptors=[read])
                old.send(word, said, descriptors=[read])
        old.send("predecessor", 55, descriptors=[read])  # no socket
        old.send("predecessor", os.getpid(), descriptors=[old.fileno()])
        old.send("predecessor", 56)
        os.close(read)
        for _ in range(20):
            self.turn()
        self.assertEqual(self.old.done, ["retire"])
        self.assertEqual(self.measured(self.new), [PredecessorReport(7, 10, 3)])
        # All that came has been closed: nothing has the other end.
        self.assertRaises(BrokenPipeError, os.write, write, b"x")

    def test_version(self) -> None:
        """Of one of a version that closes the connection the operator hears."""
        new = Server(self, 0)
        ours, theirs = self.join()
        new.succession._follow(20, ours)
        theirs.close()
        self.turn()
        self.assertIn(
            "process 20, which this server has replaced, is of a version", new.messages[0]
        )


class ChainTests(SuccessionCase):
    """More than two servers."""

    def setUp(self) -> None:
        super().setUp()
        self.servers = [Server(self, number) for number in (1, 2, 0)]
        self.follow(self.servers[1], self.servers[0], 10)
        self.follow(self.servers[2], self.servers[1], 20)

    def test_all(self) -> None:
        """The one in charge reaches all those before it."""
        first, second, last = self.servers
        self.assertEqual(
            self.measured(last), [PredecessorReport(7, 20, 2), PredecessorReport(7, 10, 1)]
        )
        self.assertEqual(self.told(last), (3, 14))
        last.succession.reopen()
        last.succession.stop()
        self.turn()
        self.assertEqual(first.done, ["retire", "reopen", "stop"])
        self.assertEqual(second.done, ["retire", "reopen", "stop"])
        self.assertEqual(self.measured(second), [])

    def early(self) -> tuple[Server, Server, Server, Callable[[], None]]:
        """
        Three servers, of which the last is in charge before the second has heard of it, and what
        lets it hear.
        """
        first, second, last = servers = [Server(self, number) for number in (1, 2, 0)]
        self.follow(second, first, 10)
        ours, theirs = self.join()
        last.succession._follow(20, ours)
        return *servers, lambda: second.succession._replaced(21, theirs)

    def test_report_at_once(self) -> None:
        """So it does if it is asked before the one in the midst has handed the others on."""
        _, _, last, hand_on = self.early()
        lines = Deferred.fromCoroutine(last.succession.measure(7))
        told = Deferred.fromCoroutine(last.succession.tell(7))
        hand_on()
        self.turn()
        self.assertEqual(
            self.successResultOf(lines), [PredecessorReport(7, 20, 2), PredecessorReport(7, 10, 1)]
        )
        self.assertEqual(self.successResultOf(told), (3, 14))

    def test_reopen_at_once(self) -> None:
        """So the oldest opens its logs again if the last was told so that early."""
        first, second, last, hand_on = self.early()
        last.succession.reopen()
        hand_on()
        self.turn()
        self.assertEqual(first.done, ["retire", "reopen"])
        self.assertEqual(second.done, ["retire", "reopen"])

    def test_stop_at_once(self) -> None:
        """So the oldest is stopped if the last was that early, which waits for it, too."""
        first, second, last, hand_on = self.early()
        stopped = last.succession.stop()
        hand_on()
        self.turn()
        self.assertEqual(first.done, ["retire", "stop"])
        self.assertEqual(second.done, ["retire", "stop"])
        self.channels[-1].close()
        self.turn()
        self.assertNoResult(stopped)
        self.channels[-3].close()
        self.turn()
        self.successResultOf(stopped)

    def test_one_ends(self) -> None:
        """One in the midst ends with its last session, and those before it are reached still."""
        first, second, last = self.servers
        second.sessions = 0
        self.reactor.advance(1)
        self.assertEqual(second.done, ["retire", "end"])
        self.channels[3].close()
        self.turn()
        self.assertEqual(self.measured(last), [PredecessorReport(7, 10, 1)])
        self.assertEqual(first.done, ["retire"])

    def test_in_the_midst_of_a_message(self) -> None:
        """What a server has read of an answer goes with the connection."""
        servers = [Server(self, number) for number in (1, 2, 0)]
        channel = self.follow(servers[1], servers[0], 10)
        ours, theirs = self.join()
        self.reactor.removeReader(channel)
        channel._sock.send(b'\0\0\0\x08\0\0\0\0\0["x')
        self.turn()
        servers[2].succession._follow(20, ours)
        servers[1].succession._replaced(21, theirs)
        channel._sock.send(b'", 1]')
        self.reactor.addReader(channel)
        self.turn()
        self.assertEqual(
            self.measured(servers[2]), [PredecessorReport(7, 20, 2), PredecessorReport(7, 10, 1)]
        )
