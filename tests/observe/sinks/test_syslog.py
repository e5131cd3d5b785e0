"""Tests of :mod:`dantetw.observe.sinks.syslog`."""

from __future__ import annotations

import errno
import os
import socket

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks.connected import RETRY
from dantetw.observe.sinks.kind import MisnamedError, Surroundings
from dantetw.observe.sinks.opening import open_sink
from dantetw.observe.sinks.syslog import FACILITIES, KIND, Syslog
from dantetw.values import Severity
from tests.observe.sinks.fakes import FakeReactor


class SyslogTests(SynchronousTestCase):
    """Talking to the log daemon."""

    def setUp(self) -> None:
        """Have a place for the daemon's socket."""
        directory = self.mktemp()
        os.mkdir(directory)
        # The name of a socket is at most 107 bytes long, so it is relative.
        self.device = os.path.relpath(os.path.join(directory, "log"))
        self.reactor = FakeReactor()

    def start_daemon(self) -> socket.socket:
        """A daemon that listens."""
        daemon = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(daemon.close)
        daemon.bind(self.device)
        daemon.setblocking(False)
        return daemon

    def stop_daemon(self, daemon: socket.socket) -> None:
        """End it, as a daemon that is stopped does."""
        daemon.close()
        os.unlink(self.device)

    def connect(self, facility: int = 3, limit: int = 1 << 20) -> Syslog:
        """A sink."""
        sink = Syslog("syslog", Prefix("danted"), self.reactor, facility, self.device, limit)
        self.addCleanup(sink.close)
        return sink

    def received(self, daemon: socket.socket) -> list[str]:
        """The messages the daemon got."""
        texts = []
        while True:
            try:
                texts.append(daemon.recv(1 << 18).decode().partition("]: info: ")[2].rstrip("\n"))
            except BlockingIOError:
                return texts

    def test_datagram(self) -> None:
        """A message is one datagram of the right form, several lines included."""
        daemon = self.start_daemon()
        self.connect(19).write(Severity.WARNING, 1795405833.0, "a\nb")
        data = daemon.recv(1000).decode()
        self.assertTrue(data.startswith("<156>Nov 23 "), data)
        self.assertTrue(data.endswith(f" danted[{os.getpid()}]: warning: a\nb\n"), data)

    def test_no_daemon(self) -> None:
        """While there is no daemon messages wait; they come when there is one."""
        sink = self.connect()
        for text in ("a", "b"):
            sink.write(Severity.INFO, 0.0, text)
        self.assertEqual((sink.waiting, sink.lost, sink.error), (2, 0, errno.ENOENT))
        daemon = self.start_daemon()
        self.reactor.advance(RETRY)
        self.assertEqual(self.received(daemon), ["a", "b"])
        self.assertEqual((sink.waiting, sink.lost, sink.error), (0, 0, 0))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_restart(self) -> None:
        """A daemon that was replaced is found at once, without loss."""
        daemon = self.start_daemon()
        sink = self.connect()
        sink.write(Severity.INFO, 0.0, "a")
        self.assertEqual(self.received(daemon), ["a"])
        self.stop_daemon(daemon)
        daemon = self.start_daemon()
        sink.write(Severity.INFO, 0.0, "b")
        self.assertEqual(self.received(daemon), ["b"])
        self.assertEqual((sink.lost, sink.error), (0, 0))

    def test_gone_and_back(self) -> None:
        """A daemon that goes away and comes back later gets what was said meanwhile."""
        daemon = self.start_daemon()
        sink = self.connect()
        self.stop_daemon(daemon)
        sink.write(Severity.INFO, 0.0, "a")
        self.assertEqual(sink.error, errno.ENOENT)
        self.reactor.advance(RETRY)
        self.reactor.advance(RETRY)
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)
        daemon = self.start_daemon()
        self.reactor.advance(RETRY)
        self.assertEqual(self.received(daemon), ["a"])
        self.assertEqual((sink.waiting, sink.lost, sink.error), (0, 0, 0))

    def test_gone_for_long(self) -> None:
        """What does not fit into the queue is lost and counted; the oldest is kept."""
        sink = self.connect(limit=4096)
        for number in range(100):
            sink.write(Severity.INFO, 0.0, f"{number} {'x' * 100}")
        self.assertGreater(sink.lost, 0)
        waiting = sink.waiting
        self.assertEqual(waiting + sink.lost, 100)
        daemon = self.start_daemon()
        for _ in range(10):
            self.reactor.advance(RETRY)
            numbers = [int(text.split()[0]) for text in self.received(daemon)]
            if numbers:
                self.assertEqual(numbers, list(range(len(numbers))))
                waiting -= len(numbers)
        while sink.waiting:
            self.reactor.turn()
            waiting -= len(self.received(daemon))
        self.assertEqual(waiting - len(self.received(daemon)), 0)

    def test_busy_daemon(self) -> None:
        """A daemon that does not read makes messages wait for it, not us."""
        daemon = self.start_daemon()
        sink = self.connect()
        while not sink.waiting:
            sink.write(Severity.INFO, 0.0, "x")
        self.assertEqual(self.reactor.writers, [sink])
        self.assertGreater(len(self.received(daemon)), 0)
        self.reactor.turn()
        self.assertEqual(self.received(daemon), ["x"])
        self.assertEqual((sink.waiting, self.reactor.writers), (0, []))

    def test_reactor_finds_daemon_gone(self) -> None:
        """When the reactor says that the daemon is gone, we look for it again later."""
        daemon = self.start_daemon()
        sink = self.connect()
        while sink.waiting < 2:
            sink.write(Severity.INFO, 0.0, "x")
        sink.connectionLost(Failure(ConnectionLost()))
        self.assertEqual((sink.fileno(), sink.waiting), (-1, 2))
        self.received(daemon)
        self.reactor.advance(RETRY)
        self.assertEqual(self.received(daemon), ["x", "x"])

    def test_long_message(self) -> None:
        """A message longer than a datagram may be is cut, not lost."""
        daemon = self.start_daemon()
        sink = self.connect(limit=1 << 24)
        sink.write(Severity.INFO, 0.0, "x" * (8 << 20))
        (text,) = self.received(daemon)
        self.assertTrue(text.endswith("xxx..."))
        self.assertEqual((sink.lost, sink.waiting), (0, 0))

    def test_stopped_and_replaced(self) -> None:
        """What a daemon that stopped reading did not take comes to the one that replaces it."""
        daemon = self.start_daemon()
        sink = self.connect()
        given = 0
        while sink.waiting < 3:
            sink.write(Severity.INFO, 0.0, str(given))
            given += 1
        self.stop_daemon(daemon)
        self.reactor.turn()
        self.assertEqual((sink.waiting, sink.error), (3, errno.ENOENT))
        self.assertEqual(self.reactor.writers, [])
        daemon = self.start_daemon()
        self.reactor.advance(RETRY)
        self.assertEqual(self.received(daemon), [str(given - 3 + number) for number in range(3)])
        self.assertEqual((sink.lost, sink.error), (0, 0))

    def test_no_descriptors(self) -> None:
        """Where no socket can be had messages wait, and nobody is troubled by an exception."""
        daemon = self.start_daemon()
        sink = self.connect()

        def refuse(*_: object) -> socket.socket:
            raise OSError(errno.EMFILE, "")

        sink.reopen()
        self.stop_daemon(daemon)
        with_sockets = self.patch(socket, "socket", refuse)
        sink.write(Severity.INFO, 0.0, "a")
        self.assertEqual((sink.waiting, sink.error), (1, errno.EMFILE))
        self.reactor.advance(RETRY)
        self.assertEqual(sink.waiting, 1)
        with_sockets.restore()
        daemon = self.start_daemon()
        self.reactor.advance(RETRY)
        self.assertEqual(self.received(daemon), ["a"])

    def test_close(self) -> None:
        """What still waits at the end is lost and counted."""
        sink = self.connect()
        sink.write(Severity.INFO, 0.0, "a")
        sink.close()
        self.assertEqual(sink.lost, 1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class OpenedTests(SynchronousTestCase):
    """The words."""

    def test_words(self) -> None:
        """The word alone is facility daemon; other words are not ours."""
        surroundings = Surroundings(Prefix("x"), FakeReactor(), standard={}, device=self.mktemp())
        for word in ("syslog", *(f"syslog/{name}" for name in FACILITIES)):
            self.assertTrue(KIND.claims(word))
            sink = KIND.open(word, surroundings)
            assert isinstance(sink, Syslog)
            sink.close()
        for word in ("SYSLOG", "syslogd", "stdout", "/var/log/syslog"):
            self.assertFalse(KIND.claims(word))

    def test_facilities(self) -> None:
        """The facilities are Dante's twelve, with the numbers of :rfc:`3164`."""
        self.assertEqual(len(FACILITIES), 12)
        for name, number in (("user", 1), ("auth", 4), ("authpriv", 10), ("local7", 23)):
            self.assertEqual(FACILITIES[name], number)

    def test_unknown_facility(self) -> None:
        """Others are refused in Dante's words."""
        surroundings = Surroundings(Prefix("x"), FakeReactor(), standard={})
        for name in ("kern", "mail", "DAEMON", ""):
            word = f"syslog/{name}"
            error = self.assertRaises(MisnamedError, open_sink, word, surroundings, (KIND,))
            self.assertEqual(str(error), f'unknown syslog facility "{name}"')
