"""Tests of :mod:`dantetw.observe.sinks.stdio` and of what is special about streams."""

from __future__ import annotations

import errno
import os
import pty
import socket

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe.interfaces import ISink
from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks.file import File
from dantetw.observe.sinks.kind import Surroundings
from dantetw.observe.sinks.stdio import KIND, open_standard, standard
from dantetw.observe.sinks.stream import Stream
from dantetw.observe.sinks.threaded import Threaded
from dantetw.values import Severity
from tests.observe.sinks.fakes import FakeReactor
from tests.observe.sinks.test_sinks import read_all


class StandardTests(SynchronousTestCase):
    """Descriptors that others share."""

    def setUp(self) -> None:
        """Have a reactor."""
        self.reactor = FakeReactor()
        self.surroundings = Surroundings(Prefix("sockd"), self.reactor, standard={})
        self.addCleanup(lambda: [os.close(own) for own in self.surroundings.own.values()])

    def open(self, descriptor: int) -> ISink:
        """A sink to the descriptor."""
        sink = standard("stdout", self.surroundings, descriptor)
        self.addCleanup(sink.close)
        return sink

    def pipe(self) -> tuple[int, int]:
        """A pipe's two ends, the reader's without waiting."""
        ends = os.pipe()
        for end in ends:
            self.addCleanup(os.close, end)
        os.set_blocking(ends[0], False)
        return ends

    def test_kinds(self) -> None:
        """Each kind of descriptor gets the sink that cannot make us wait."""
        _, pipe = self.pipe()
        near, far = socket.socketpair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        null = os.open("/dev/null", os.O_WRONLY)
        self.addCleanup(os.close, null)
        file = os.open(self.mktemp(), os.O_WRONLY | os.O_CREAT)
        self.addCleanup(os.close, file)
        controller, terminal = pty.openpty()
        self.addCleanup(os.close, controller)
        self.addCleanup(os.close, terminal)
        cases = [
            (pipe, Stream),
            (near.fileno(), Stream),
            (terminal, Stream),
            (null, File),
            (file, File),
        ]
        for descriptor, kind in cases:
            self.assertIsInstance(self.open(descriptor), kind)

    def test_full_pipe(self) -> None:
        """A full pipe does not make us wait, and stays blocking for those who share it."""
        reader, writer = self.pipe()
        sink = self.open(writer)
        os.set_blocking(writer, False)
        while True:
            try:
                os.write(writer, b"x" * 4096)
            except BlockingIOError:
                break
        os.set_blocking(writer, True)
        sink.write(Severity.INFO, 0.0, "waits")
        self.assertEqual(sink.waiting, 1)
        self.assertTrue(os.get_blocking(writer))
        self.reactor.turn()
        self.assertEqual(sink.waiting, 1)
        read_all(reader)
        self.reactor.turn()
        self.assertEqual(sink.waiting, 0)
        self.assertTrue(read_all(reader).endswith(b" info: waits\n"))
        self.assertEqual(self.reactor.writers, [])

    def test_reopen_in_a_message(self) -> None:
        """Opening the same pipe anew in the middle of a message does not begin it once more."""
        reader, writer = self.pipe()
        sink = self.open(writer)
        sink.write(Severity.INFO, 0.0, "x" * 100_000)
        sink.write(Severity.INFO, 0.0, "next")
        begin = read_all(reader)
        self.assertFalse(begin.endswith(b"\n"))
        sink.reopen()
        self.reactor.turn()
        lines = (begin + read_all(reader)).split(b"\n")
        ends = [line.rpartition(b" info: ")[2] for line in lines]
        self.assertEqual(ends, [b"x" * 100_000, b"next", b""])

    def shared(self) -> tuple[int, ISink, ISink]:
        """A pipe's reader and two sinks to it, as by ``2>&1``; one has begun a long message."""
        reader, writer = self.pipe()
        one, other = self.open(writer), self.open(writer)
        one.write(Severity.INFO, 0.0, "x" * 100_000)
        other.write(Severity.WARNING, 0.0, "other")
        return reader, one, other

    def endings(self, data: bytes) -> list[bytes]:
        """What stands behind the severities of lines, of which the last must be whole."""
        *lines, rest = data.split(b"\n")
        self.assertEqual(rest, b"")
        return [line.rpartition(b": ")[2] for line in lines]

    def test_shared(self) -> None:
        """Two sinks to one pipe do not write into each other's messages."""
        reader, writer = self.pipe()
        one, other = self.open(writer), self.open(writer)
        one.write(Severity.INFO, 0.0, "x" * 200_000)
        data = read_all(reader)
        other.write(Severity.WARNING, 0.0, "other")
        while self.reactor.writers:
            data += read_all(reader)
            self.reactor.turn()
        data += read_all(reader)
        self.assertEqual(self.endings(data), [b"x" * 200_000, b"other"])

    def test_shared_flush(self) -> None:
        """Getting out what waits in one of them gets out what the other has begun."""
        reader, one, other = self.shared()
        data = read_all(reader)
        other.flush(0.0)
        data += read_all(reader)
        self.assertEqual((one.waiting, other.waiting), (0, 0))
        self.assertEqual(self.endings(data), [b"x" * 100_000, b"other"])

    def test_shared_closed(self) -> None:
        """When the one that has begun is closed, the other does not wait for it."""
        reader, one, other = self.shared()
        one.close()
        read_all(reader)
        self.reactor.turn()
        self.assertTrue(read_all(reader).endswith(b" warning: other\n"))
        self.assertEqual(other.waiting, 0)

    def test_shared_abandoned(self) -> None:
        """Nor when that finds its reader gone."""
        reader, one, other = self.shared()
        assert isinstance(one, Stream)
        one.connectionLost(Failure(ConnectionLost()))
        read_all(reader)
        self.reactor.turn()
        self.assertTrue(read_all(reader).endswith(b" warning: other\n"))
        self.assertEqual((one.lost, other.waiting), (1, 0))

    def test_own_description(self) -> None:
        """The sink outlives the descriptor it was made of."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        sink = self.open(writer)
        os.close(writer)
        sink.write(Severity.INFO, 0.0, "x")
        self.assertTrue(os.read(reader, 100).endswith(b"x\n"))

    def test_reader_gone(self) -> None:
        """When the reader is gone, what waited and what comes is lost and counted."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, writer)
        sink = self.open(writer)
        for _ in range(500):
            sink.write(Severity.INFO, 0.0, "x" * 1000)
        waiting = sink.waiting
        self.assertGreater(waiting, 0)
        os.close(reader)
        self.reactor.turn()
        self.assertEqual((sink.lost, sink.waiting), (waiting, 0))
        self.assertEqual(sink.error, errno.EPIPE)
        sink.write(Severity.INFO, 0.0, "x")
        self.assertEqual((sink.lost, sink.waiting), (waiting + 1, 0))
        self.assertEqual(self.reactor.writers, [])

    def test_reactor_finds_reader_gone(self) -> None:
        """What waited is lost when the reactor says that the reader is gone."""
        _, writer = self.pipe()
        sink = self.open(writer)
        assert isinstance(sink, Stream)
        for _ in range(500):
            sink.write(Severity.INFO, 0.0, "x" * 1000)
        waiting = sink.waiting
        sink.connectionLost(Failure(ConnectionLost()))
        self.assertEqual((sink.lost, sink.error), (waiting, errno.EPIPE))

    def test_no_reader_from_the_start(self) -> None:
        """A pipe without a reader still makes a sink; messages are lost and counted."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, writer)
        os.close(reader)
        sink = self.open(writer)
        sink.write(Severity.INFO, 0.0, "x")
        sink.flush(5.0)
        self.assertEqual((sink.lost, sink.error), (1, errno.EPIPE))

    def test_not_ours(self) -> None:
        """Where the system does not let us open a pipe anew, a thread writes to it."""
        reader, writer = self.pipe()

        def refused(path: str, flags: int) -> int:
            raise PermissionError(errno.EACCES, path)

        self.patch(os, "open", refused)
        sink = self.open(writer)
        self.assertIsInstance(sink, Threaded)
        sink.write(Severity.INFO, 0.0, "x")
        sink.flush(5.0)
        self.assertTrue(read_all(reader).endswith(b" info: x\n"))
        self.assertTrue(os.get_blocking(writer))

    def test_not_ours_any_more(self) -> None:
        """A reload may come when we have no right to open the pipe any more: no thread then."""
        reader, writer = self.pipe()
        old = self.open(writer)

        def refused(path: str, flags: int) -> int:
            raise PermissionError(errno.EACCES, path)

        self.patch(os, "open", refused)
        new = self.open(writer)
        self.assertIsInstance(new, Stream)
        new.write(Severity.INFO, 0.0, "new")
        old.reopen()
        old.write(Severity.INFO, 0.0, "old")
        self.assertEqual(self.endings(read_all(reader)), [b"new", b"old"])


class OpenedTests(SynchronousTestCase):
    """The words."""

    def test_words(self) -> None:
        """Only the exact words are standard streams."""
        null = os.open("/dev/null", os.O_WRONLY)
        self.addCleanup(os.close, null)
        surroundings = Surroundings(Prefix("sockd"), FakeReactor(), standard={"stdout": null})
        sink = open_standard("stdout", surroundings)
        assert sink is not None
        sink.close()
        for word in ("STDOUT", '"stdout"', "stdout,stderr", "log"):
            self.assertFalse(KIND.claims(word))

    def test_closed(self) -> None:
        """If we were started without one, that is an error with its reason."""
        surroundings = Surroundings(Prefix("sockd"), FakeReactor(), standard={})
        error = self.assertRaises(OSError, open_standard, "stderr", surroundings)
        self.assertEqual(error.errno, errno.EBADF)
