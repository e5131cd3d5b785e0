"""What every sink promises, tested with each of them."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from dantetw.observe.interfaces import ISink
from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks.file import File
from dantetw.observe.sinks.remote import Tcp
from dantetw.observe.sinks.stream import Stream
from dantetw.observe.sinks.syslog import Syslog
from dantetw.observe.sinks.threaded import Threaded
from dantetw.process.appending import open_appending
from dantetw.values import Severity
from tests.observe.sinks.daemon import Daemon
from tests.observe.sinks.fakes import FakeReactor, make_disks_quick

WHEN = 1795405831.154986

#: Enough for a few hundred of the lines below.
LIMIT = 32 * 1024

if TYPE_CHECKING:
    Base = SynchronousTestCase
else:
    Base = object


class SinkMixin(Base):
    """The suite; a class that uses it says how to make a sink and how to read what came out."""

    slow = True  # there is a reader, who may be slow

    def make(self) -> ISink:
        """A sink of the kind."""
        raise NotImplementedError

    def available(self) -> bytes:
        """What came out since the last call, without waiting."""
        raise NotImplementedError

    def setUp(self) -> None:
        """Make the sink, in an empty directory."""
        self.reactor = FakeReactor()
        self.prefix = Prefix("sockd")
        self.directory = self.mktemp()
        os.mkdir(self.directory)
        self.sink = self.make()
        self.addCleanup(self.sink.close)

    def write(self, *texts: str) -> None:
        """Log some messages."""
        for text in texts:
            self.sink.write(Severity.INFO, WHEN, text)

    def hold_up(self) -> None:
        """From now on nothing comes out until :meth:`available` is called."""

    def drained(self) -> list[str]:
        """Read until nothing waits any more; the messages, without what stands in front of them."""
        read = self.available()
        while self.sink.waiting:
            self.reactor.turn()
            self.sink.flush(0.05)
            read += self.available()
        self.sink.flush(0)  # a thread has counted what it has written, too
        read += self.available()
        lines = read.decode().split("\n")
        self.assertEqual(lines.pop(), "")
        return [line.partition("]: info: ")[2] or line for line in lines]

    def test_provides(self) -> None:
        """It is a sink."""
        verifyObject(ISink, self.sink)

    def test_lines(self) -> None:
        """Messages come out whole and in order, each on a line with a prefix."""
        texts = [f"message {number}" for number in range(100)]
        self.write(*texts)
        self.assertEqual(self.drained(), texts)
        self.assertEqual((self.sink.lost, self.sink.error, self.sink.waiting), (0, 0, 0))

    def test_several_lines(self) -> None:
        """A message of several lines stays together, with one prefix."""
        self.write("a\nTCP_INFO:\n\nb")
        self.assertEqual(self.drained(), ["a", "TCP_INFO:", "", "b"])

    def test_slow_reader(self) -> None:
        """A reader who does not read costs messages but no time, and each lost one is counted."""
        text = "x" * 200
        given = [f"{number} {text}" for number in range(4000)]
        self.hold_up()
        self.write(*given)
        if self.slow:
            self.assertGreater(self.sink.lost, 0)
            self.assertNotEqual(self.sink.error, 0)
        read = self.drained()
        self.assertEqual(len(read) + self.sink.lost, len(given))
        # Nothing old was thrown away for something new.
        self.assertEqual(read, given[: len(read)])
        self.assertEqual(self.sink.error, 0)

    def test_recovery(self) -> None:
        """After a slow reader has caught up nothing is lost any more."""
        self.write(*(["x" * 200] * 4000))
        self.drained()
        lost = self.sink.lost
        self.write("after")
        self.assertEqual(self.drained(), ["after"])
        self.assertEqual((self.sink.lost, self.sink.error), (lost, 0))

    def test_reopen(self) -> None:
        """Opening anew loses nothing and repeats nothing."""
        self.write("before")
        self.sink.reopen()
        self.write("after")
        self.assertEqual(self.drained(), ["before", "after"])

    def test_close(self) -> None:
        """After the end messages are lost, and counted; ending twice does no harm."""
        self.write("before")
        self.drained()
        self.sink.close()
        self.sink.close()
        self.write("after")
        self.assertEqual(self.sink.lost, 1)
        self.assertEqual((self.reactor.readers, self.reactor.writers), ([], []))
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class FileTests(SinkMixin, SynchronousTestCase):
    """A file as a sink."""

    slow = False

    def make(self) -> ISink:
        """A file."""
        make_disks_quick(self)
        self.read = 0
        self.path = os.path.join(self.directory, "log")
        return File("log", self.prefix, lambda: open_appending(self.path))

    def available(self) -> bytes:
        """What was appended."""
        with open(self.path, "rb") as file:
            file.seek(self.read)
            data = file.read()
        self.read += len(data)
        return data


class FifoTests(SinkMixin, SynchronousTestCase):
    """A FIFO as a sink; its reader comes after its writer."""

    def make(self) -> ISink:
        """A FIFO without a reader."""
        path = os.path.join(self.directory, "fifo")
        os.mkfifo(path)
        sink = Stream("fifo", self.prefix, self.reactor, lambda: open_appending(path), LIMIT)
        self.reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, self.reader)
        return sink

    def available(self) -> bytes:
        """What is in the FIFO."""
        return read_all(self.reader)


class SocketTests(SinkMixin, SynchronousTestCase):
    """A stream socket as a sink."""

    def make(self) -> ISink:
        """One end of a pair of sockets, which stays blocking."""
        self.ours, theirs = socket.socketpair()
        self.addCleanup(self.ours.close)
        self.addCleanup(theirs.close)
        self.reader = theirs
        theirs.setblocking(False)
        return Stream(
            "stdout", self.prefix, self.reactor, lambda: os.dup(self.ours.fileno()), LIMIT
        )

    def available(self) -> bytes:
        """What is in the socket."""
        self.assertTrue(os.get_blocking(self.ours.fileno()))
        return read_all(self.reader.fileno())


class ThreadedTests(SinkMixin, SynchronousTestCase):
    """A blocking pipe with a thread as a sink."""

    def make(self) -> ISink:
        """The writing end of a pipe."""
        self.reader, self.writer = os.pipe()
        self.filled = 0
        self.addCleanup(os.close, self.reader)
        self.addCleanup(os.close, self.writer)
        os.set_blocking(self.reader, False)
        return Threaded("stdout", self.prefix, lambda: os.dup(self.writer), LIMIT)

    def hold_up(self) -> None:
        """Fill the pipe, so that the thread writes nothing."""
        os.set_blocking(self.writer, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                # A page at a time: no part of one is left for a message.
                self.filled += os.write(self.writer, bytes(resource.getpagesize()))
        os.set_blocking(self.writer, True)

    def available(self) -> bytes:
        """What is in the pipe."""
        data = read_all(self.reader)
        ours = min(self.filled, len(data))
        self.filled -= ours
        return data[ours:]

    def test_meanwhile(self) -> None:
        """What the thread writes while messages come, and some are lost, stays in order."""
        given = [f"{number} {'x' * 200}" for number in range(4000)]
        self.write(*given)
        read = self.drained()
        self.assertEqual(len(read) + self.sink.lost, len(given))
        there = set(read)
        self.assertEqual([line for line in given if line in there], read)
        self.assertEqual(self.sink.error, 0)


class SyslogTests(SinkMixin, SynchronousTestCase):
    """The log daemon as a sink."""

    def make(self) -> ISink:
        """A daemon of our own."""
        # The name of a socket is at most 107 bytes long, so it is relative.
        device = os.path.relpath(os.path.join(self.directory, "log"))
        self.daemon = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.daemon.close)
        self.daemon.bind(device)
        self.daemon.setblocking(False)
        return Syslog("syslog", self.prefix, self.reactor, 3, device, LIMIT)

    def available(self) -> bytes:
        """The datagrams in the daemon's queue."""
        data = b""
        while True:
            try:
                data += self.daemon.recv(1 << 18)
            except BlockingIOError:
                return data


class TcpTests(SinkMixin, SynchronousTestCase):
    """A log daemon elsewhere as a sink, by TCP."""

    def make(self) -> ISink:
        """A daemon of our own."""
        self.daemon = Daemon(self)
        return Tcp("tcp", self.prefix, self.reactor, self.daemon.where(), LIMIT)

    def available(self) -> bytes:
        """The messages, in the form of the others."""
        messages = [message.partition(" - - ")[2] for message in self.daemon.messages()]
        return "".join(f"]: {message}\n" for message in messages).encode()


def read_all(descriptor: int) -> bytes:
    """Read what can be read without waiting."""
    data = b""
    while True:
        try:
            data += os.read(descriptor, 65536)
        except BlockingIOError:
            return data
