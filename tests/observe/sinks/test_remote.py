"""Tests of :mod:`dantetw.observe.sinks.remote`."""

from __future__ import annotations

import errno
import socket
import threading
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from dantetw.observe.interfaces import ISink
from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks.connected import CUT, RETRY
from dantetw.observe.sinks.kind import MisnamedError, Surroundings
from dantetw.observe.sinks.opening import open_sink
from dantetw.observe.sinks.remote import KIND, LONGEST_RETRY, Remote, Tcp, Udp
from dantetw.observe.sinks.remoteaddress import RemoteAddress
from dantetw.values import Severity
from tests.observe.sinks.daemon import Daemon
from tests.observe.sinks.fakes import FakeReactor

LONG = 5.0


def write(sink: Remote, *texts: str) -> None:
    """Log some messages."""
    for text in texts:
        sink.write(Severity.INFO, 1795405831.154986, text)


def counts(sink: Remote) -> tuple[int, int, int]:
    """What waits, what is lost, and why."""
    return sink.waiting, sink.lost, sink.error


def _not_yet(*_: object) -> int:
    raise BlockingIOError(errno.EAGAIN, "")


class TcpTests(SynchronousTestCase):
    """A daemon reached by TCP."""

    def setUp(self) -> None:
        """Have a daemon."""
        self.reactor = FakeReactor()
        self.daemon = Daemon(self)

    def connect(self, host: str = "127.0.0.1", limit: int = 1 << 20) -> Tcp:
        """A sink."""
        sink = Tcp("tcp", Prefix("sockd"), self.reactor, self.daemon.where(host), limit)
        self.addCleanup(sink.close)
        return sink

    def texts(self) -> list[str]:
        """What came, without what stands in front of it."""
        return [message.partition(" info: ")[2] for message in self.daemon.messages()]

    def test_framing(self) -> None:
        """Each message has its length in bytes in front, and several lines are one message."""
        sink = self.connect()
        write(sink, "a\nb", "é")
        first, second = self.daemon.messages()
        self.assertTrue(first.startswith("<30>1 2026-11-2"), first)
        self.assertTrue(first.endswith(" - - info: a\nb"), first)
        self.assertTrue(second.endswith("é"), second)

    def test_long_message(self) -> None:
        """A message longer than daemons take is cut between characters, and says so."""
        write(self.connect(), "é" * CUT)
        (message,) = self.daemon.messages()
        self.assertIn(len(message.encode()), (CUT - 1, CUT))
        self.assertTrue(message.endswith("éé..."))

    def test_closed_by_the_daemon(self) -> None:
        """That the daemon has closed is noticed before the next message is written."""
        sink = self.connect()
        write(sink, "a")
        self.assertEqual(self.texts(), ["a"])
        self.daemon.hang_up()
        # Without a turn of the reactor, which would notice it too.
        write(sink, "b")
        self.assertEqual(self.texts(), ["b"])
        self.assertEqual((len(self.daemon.connections), *counts(sink)), (2, 0, 0, 0))

    def test_noticed_by_the_reactor(self) -> None:
        """While nothing is said, a daemon that has closed costs no connection and no trouble."""
        sink = self.connect()
        write(sink, "a")
        self.daemon.hang_up()
        self.reactor.turn()
        self.assertEqual((sink.fileno(), self.reactor.readers), (-1, []))
        self.assertEqual((self.reactor.getDelayedCalls(), *counts(sink)), ([], 0, 0, 0))

    def test_unacknowledged(self) -> None:
        """What was written to a connection but never acknowledged comes by the next one."""
        sink = self.connect()
        given = 0
        while not sink.waiting:
            write(sink, f"{given} {'x' * 1000}")
            given += 1
        self.daemon.accept()
        read: list[str] = []
        connection = self.daemon.connections[0]
        # Closing with bytes unread resets: all that is not acknowledged is gone.
        connection.close()
        self.reactor.turn()
        for _ in range(given):
            if not sink.waiting:
                break
            self.reactor.advance(RETRY)
            self.reactor.turn()
            read += self.texts()
        read += self.texts()
        numbers = [int(text.split()[0]) for text in read]
        # Its kernel had taken the first of them.  None is missing behind those.
        self.assertEqual(numbers, list(range(numbers[0], given)))
        self.assertLess(numbers[0], given - 1)
        self.assertEqual(counts(sink), (0, 0, 0))

    def test_unreachable(self) -> None:
        """A daemon that is gone is looked for less and less often; then it gets what waits."""
        sink = self.connect()
        write(sink, "a")
        self.daemon.stop()
        self.reactor.turn()
        write(sink, "b")
        pauses = []
        for _ in range(7):
            self.reactor.turn()
            (call,) = self.reactor.getDelayedCalls()
            pauses.append(call.getTime() - self.reactor.seconds())
            self.assertEqual(counts(sink), (1, 0, errno.ECONNREFUSED))
            self.reactor.advance(pauses[-1])
        self.assertEqual(pauses, [1, 2, 4, 8, 16, LONGEST_RETRY, LONGEST_RETRY])
        self.daemon = Daemon(self, self.daemon.port)
        self.reactor.turn()
        self.reactor.advance(LONGEST_RETRY)
        self.reactor.turn()
        self.assertEqual(self.texts(), ["b"])
        self.assertEqual(counts(sink), (0, 0, 0))
        self.daemon.stop()
        write(sink, "c")
        self.reactor.turn()
        (call,) = self.reactor.getDelayedCalls()
        self.assertEqual(call.getTime() - self.reactor.seconds(), RETRY)

    def test_gone_for_long(self) -> None:
        """What does not fit into the queue is lost, and counted."""
        self.daemon.stop()
        sink = self.connect(limit=4096)
        write(sink, *("x" * 100 for _ in range(100)))
        self.assertEqual(sink.waiting + sink.lost, 100)
        self.assertGreater(sink.waiting, 0)
        waiting = sink.waiting
        sink.close()
        self.assertEqual((waiting, sink.waiting, sink.lost), (waiting, 0, 100))

    def test_chatty_daemon(self) -> None:
        """What a daemon says is read and forgotten."""
        sink = self.connect()
        write(sink, "a")
        self.daemon.accept()
        self.daemon.connections[0].send(b"hello")
        self.reactor.turn()
        write(sink, "b")
        self.assertEqual(self.texts(), ["a", "b"])

    def test_reactor_finds_connection_gone(self) -> None:
        """When the reactor says that the connection is gone, a new one is made for what comes."""
        sink = self.connect()
        write(sink, "a")
        sink.connectionLost(Failure(ConnectionLost()))
        write(sink, "b")
        self.assertEqual(self.texts(), ["a", "b"])

    def test_flush(self) -> None:
        """The last flush gets everything out without a reactor, and then waits no longer."""
        sink = self.connect()
        given = 0
        while sink.waiting < 100:
            write(sink, f"{given} {'x' * 1000}")
            given += 1
        read: list[str] = []
        done = threading.Event()

        def thd_read() -> None:
            while not done.wait(0.001):
                read.extend(self.texts())

        thread = threading.Thread(target=thd_read)
        thread.start()
        sink.flush(LONG)
        done.set()
        thread.join()
        read += self.texts()
        self.assertEqual((len(read), *counts(sink)), (given, 0, 0, 0))

    def test_flush_of_a_name(self) -> None:
        """The last flush waits for the host's addresses, which no reactor passes on any more."""
        asked: list[Any] = []
        self.patch(socket, "getaddrinfo", self.answering(asked, "127.0.0.1"))
        sink = self.connect("loghost")
        write(sink, "a")
        sink.flush(LONG)
        self.assertEqual((self.texts(), asked), (["a"], ["loghost"]))
        (late,) = self.reactor.from_threads
        late()
        write(sink, "b")
        self.assertEqual(self.texts(), ["b"])

    def test_flush_of_a_connection_to_be(self) -> None:
        """The last flush waits for a connection under way, though there are other addresses."""
        asked: list[Any] = []
        self.patch(socket, "getaddrinfo", self.answering(asked, "127.0.0.1", "127.0.0.2"))
        sink = self.connect("loghost")
        write(sink, "a")
        self.patch(socket.socket, "send", _not_yet)
        waited: list[float] = []

        def wait(event: int, seconds: float) -> bool:
            waited.append(seconds)
            return False

        self.patch(sink, "_poll", wait)
        sink.flush(LONG)
        self.assertEqual((len(waited), *counts(sink)), (1, 1, 0, 0))

    def answering(self, asked: list[Any], *addresses: str) -> Any:
        """A resolver that knows one host, whatever its name."""
        real = socket.getaddrinfo

        def ask(host: str, port: int, **more: Any) -> Any:
            if more["flags"] & socket.AI_NUMERICHOST:
                return real(host, port, **more)
            asked.append(host)
            return [found for text in addresses for found in real(text, port, type=more["type"])]

        return ask

    def looked_up(self, sink: Remote) -> None:
        """Wait for a thread's answer, and pass it on."""
        assert sink._lookup is not None
        self.assertTrue(sink._lookup.wait(LONG))
        while not self.reactor.from_threads:
            threading.Event().wait(0.001)
        self.reactor.from_threads.pop()()

    def test_name(self) -> None:
        """A name is looked up in a thread, and nothing waits for that but messages."""
        asked: list[Any] = []
        self.patch(socket, "getaddrinfo", self.answering(asked, "127.0.0.1"))
        sink = self.connect("loghost")
        write(sink, "a", "b")
        self.assertEqual((sink.fileno(), *counts(sink)), (-1, 2, 0, 0))
        self.looked_up(sink)
        self.reactor.turn()
        self.assertEqual(self.texts(), ["a", "b"])

    def test_several_addresses(self) -> None:
        """Addresses are tried in turn, the next one at once; at reopening the name counts anew."""
        asked: list[Any] = []
        self.patch(socket, "getaddrinfo", self.answering(asked, "127.0.0.2", "127.0.0.1"))
        sink = self.connect("loghost")
        write(sink, "a")
        self.looked_up(sink)
        self.reactor.turn()
        self.reactor.advance(0)
        self.reactor.turn()
        self.assertEqual((self.texts(), asked), (["a"], ["loghost"]))
        sink.reopen()
        write(sink, "b")
        self.looked_up(sink)
        self.assertEqual(asked, ["loghost"] * 2)

    def test_unknown_name(self) -> None:
        """A name without addresses is trouble, and asked for again later."""
        asked: list[Any] = []
        self.patch(socket, "getaddrinfo", self.answering(asked))
        sink = self.connect("loghost")
        write(sink, "a")
        self.looked_up(sink)
        self.assertEqual(counts(sink), (1, 0, errno.EDESTADDRREQ))
        self.reactor.advance(RETRY)
        self.looked_up(sink)
        self.assertEqual(asked, ["loghost"] * 2)
        sink.flush(0.0)
        sink.close()
        self.assertEqual((sink.lost, self.reactor.getDelayedCalls()), (1, []))

    def test_no_threads(self) -> None:
        """Where no thread can be had messages wait."""

        def refuse(*_: object, **__: object) -> None:
            raise RuntimeError

        self.patch(threading.Thread, "start", refuse)
        sink = self.connect("loghost")
        write(sink, "a")
        self.assertEqual(counts(sink), (1, 0, errno.ENOMEM))
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)

    def test_no_descriptors(self) -> None:
        """Where no socket can be had messages wait."""

        def refuse(*_: object) -> socket.socket:
            raise OSError(errno.EMFILE, "")

        self.patch(socket, "socket", refuse)
        sink = self.connect()
        write(sink, "a")
        self.assertEqual(counts(sink), (1, 0, errno.EMFILE))


class UdpTests(SynchronousTestCase):
    """A daemon reached by UDP."""

    def setUp(self) -> None:
        """Have a daemon."""
        self.reactor = FakeReactor()
        self.daemon = self.start_daemon()
        self.port = int(self.daemon.getsockname()[1])
        where = RemoteAddress("udp", "127.0.0.1", self.port, "local0")
        self.sink = Udp("udp", Prefix("sockd"), self.reactor, where)
        self.addCleanup(self.sink.close)

    def start_daemon(self, port: int = 0) -> socket.socket:
        """A daemon that listens."""
        daemon = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(daemon.close)
        daemon.bind(("127.0.0.1", port))
        daemon.setblocking(False)
        return daemon

    def messages(self) -> list[str]:
        """What came."""
        found = []
        while True:
            try:
                found.append(self.daemon.recv(1 << 16).decode())
            except BlockingIOError:
                return found

    def texts(self) -> list[str]:
        """What came, without what stands in front of it."""
        return [message.partition(" info: ")[2] for message in self.messages()]

    def test_sink(self) -> None:
        """It is a sink."""
        verifyObject(ISink, self.sink)

    def test_datagram(self) -> None:
        """A message is a datagram, also if it has several lines."""
        write(self.sink, "a\nb")
        (message,) = self.messages()
        self.assertTrue(message.startswith("<134>1 2026-11-2"), message)
        self.assertTrue(message.endswith(" - - info: a\nb"), message)

    def test_long_message(self) -> None:
        """A message longer than daemons take is cut."""
        write(self.sink, "x" * (1 << 20))
        (message,) = self.messages()
        self.assertEqual((len(message), message[-5:]), (CUT, "xx..."))
        self.assertEqual(counts(self.sink), (0, 0, 0))

    def test_refused(self) -> None:
        """A refused message is sent again, alone, until one was not refused; then all others."""
        self.daemon.close()
        write(self.sink, "a")
        write(self.sink, "b")
        self.assertEqual(counts(self.sink), (2, 0, errno.ECONNREFUSED))
        for _ in range(4):
            self.reactor.advance(LONGEST_RETRY)
            self.reactor.turn()
            write(self.sink, "c")
        self.assertEqual((self.sink.error, self.sink.waiting), (errno.ECONNREFUSED, 6))
        self.daemon = self.start_daemon(self.port)
        self.reactor.advance(LONGEST_RETRY)
        self.reactor.turn()
        self.assertEqual(self.texts(), ["a"])
        self.assertEqual(self.sink.waiting, 6)
        self.reactor.advance(RETRY)
        self.assertEqual(self.texts(), ["b", *"cccc"])
        self.assertEqual(counts(self.sink), (0, 0, 0))
        write(self.sink, "d")
        self.assertEqual(self.texts(), ["d"])

    def test_noticed_by_the_reactor(self) -> None:
        """A refusal is noticed at once, and the message waits."""
        self.daemon.close()
        write(self.sink, "a")
        self.reactor.turn()
        self.assertEqual(counts(self.sink), (1, 0, errno.ECONNREFUSED))

    def test_lost_by_the_reactor(self) -> None:
        """The reactor may take a refusal for the end of a connection; it makes no difference."""
        self.daemon.close()
        write(self.sink, "a")
        self.sink.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(counts(self.sink), (1, 0, errno.ECONNREFUSED))

    def test_flush(self) -> None:
        """The last flush counts as lost what was refused, and does not wait for better times."""
        self.daemon.close()
        write(self.sink, "a", "b", "c")
        self.sink.flush(LONG)
        self.sink.close()
        self.assertEqual((self.sink.lost, self.sink.waiting), (3, 0))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_flush_of_a_daemon_that_is_back(self) -> None:
        """The last flush gets out what waits for a daemon that is there again."""
        self.daemon.close()
        write(self.sink, "a", "b", "c")
        self.daemon = self.start_daemon(self.port)
        self.sink.flush(LONG)
        self.assertEqual(self.texts(), ["a", "b", "c"])
        self.assertEqual(counts(self.sink), (0, 0, 0))

    def test_said(self) -> None:
        """What a daemon says, even nothing at all, is no end."""
        write(self.sink, "a")
        _, address = self.daemon.recvfrom(1 << 16)
        for data in (b"", b"hello"):
            self.daemon.sendto(data, address)
            self.reactor.turn()
        self.assertNotEqual(self.sink.fileno(), -1)
        self.assertEqual(counts(self.sink), (0, 0, 0))


class OpenedTests(SynchronousTestCase):
    """The words."""

    def test_words(self) -> None:
        """Both transports are opened by their words; other words are not ours."""
        reactor = FakeReactor()
        surroundings = Surroundings(Prefix("x"), reactor, standard={})
        kinds = {"syslog+udp://127.0.0.1/user": Udp, "syslog+tcp://[::1]:7": Tcp}
        for word, kind in kinds.items():
            self.assertTrue(KIND.claims(word))
            sink = KIND.open(word, surroundings)
            self.assertIsInstance(sink, kind)
            self.assertEqual(sink.name, word)
            sink.close()
        for word in ("syslog", "syslog/user", "syslog+udp", "/var/log/syslog", "stdout"):
            self.assertFalse(KIND.claims(word))

    def test_misnamed(self) -> None:
        """What cannot be meant is refused."""
        surroundings = Surroundings(Prefix("x"), FakeReactor(), standard={})
        word = "syslog+udp://h:0"
        self.assertTrue(KIND.claims(word))
        self.assertRaises(MisnamedError, open_sink, word, surroundings, (KIND,))
