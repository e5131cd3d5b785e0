"""Tests of :mod:`dantetw.observe.sinks.inherited`."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe.interfaces import ISink
from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks import inherited, torn
from dantetw.observe.sinks.file import File
from dantetw.observe.sinks.inherited import InheritedLogs, opened
from dantetw.observe.sinks.kind import Surroundings
from dantetw.observe.sinks.stream import Stream
from dantetw.process.appending import open_appending
from dantetw.values import Severity
from tests.descriptors import descriptors
from tests.observe.sinks.fakes import FakeReactor, make_disks_quick

#: What a pipe takes in one piece (``PIPE_BUF``), and all that it holds.
ATOMIC, PIPE = 4096, 65536


class InheritedCase(SynchronousTestCase):
    """
    A supervisor with a FIFO, and workers in the same process.

    :ivar looks: how often it was called, as the destination may be failing.
    """

    def setUp(self) -> None:
        self.mothers, self.workers = FakeReactor(), FakeReactor()
        self.surroundings = Surroundings(Prefix("sockd"), self.workers, standard={})
        self.looks = 0
        self.fifo = Path(self.mktemp())
        os.mkfifo(self.fifo)
        self.reader = os.open(self.fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, self.reader)
        self.sink = self.open()

    def open(self) -> Stream:
        """The FIFO, opened by the supervisor."""
        opener = partial(os.open, self.fifo, os.O_WRONLY | os.O_NONBLOCK)
        sink = Stream(str(self.fifo), Prefix("sockd"), self.mothers, opener)
        self.addCleanup(sink.close)
        return sink

    def look(self) -> None:
        self.looks += 1

    def bequest(self, *sinks: ISink) -> InheritedLogs:
        """What the next worker inherits."""
        made = InheritedLogs(sinks or (self.sink,), self.mothers, self.look)
        self.addCleanup(made.close)
        return made

    def inherit(self, bequest: InheritedLogs, name: str = "") -> Any:
        """The destination as a worker has it."""
        given = {name: os.dup(each) for name, each in bequest.descriptors.items()}
        bequest.given()
        sink = opened(name or str(self.fifo), replace(self.surroundings, inherited=given))
        assert sink is not None
        for descriptor in given.values():
            os.close(descriptor)
        self.addCleanup(sink.close)
        return sink

    def read(self) -> bytes:
        """What the reader of the FIFO gets, while all goes on."""
        heard = b""
        for _ in range(400):
            self.workers.turn()
            self.mothers.turn()
            try:
                heard += os.read(self.reader, PIPE)
            except BlockingIOError:
                continue
        return heard


class FunnelTests(InheritedCase):
    """Messages for destinations with a slow reader go by way of the supervisor."""

    def test_whole(self) -> None:
        """Messages longer than a pipe takes at once come out whole, whoever writes meanwhile."""
        workers = [self.inherit(self.bequest()) for _ in range(2)]
        for size in (1, ATOMIC + 1, PIPE + 1, 3 * PIPE):
            for worker, letter in zip(workers, "ab", strict=True):
                worker.write(Severity.INFO, 0.0, letter * size)
            self.sink.write(Severity.INFO, 0.0, "c" * size)
        lines = self.read().splitlines()
        told = [line.rpartition(b"info: ")[2] for line in lines]
        expected = [
            letter * size for size in (1, ATOMIC + 1, PIPE + 1, 3 * PIPE) for letter in (b"a", b"b")
        ]
        self.assertEqual(sorted(line for line in told if line[:1] != b"c"), sorted(expected))
        self.assertEqual([len(line) for line in told if line[:1] == b"c"], [1, 4097, 65537, 196608])

    def test_order(self) -> None:
        """One worker's messages come in its order."""
        worker = self.inherit(self.bequest())
        for number in range(1000):
            worker.write(Severity.INFO, 0.0, f"line {number}")
        lines = [line.rpartition(b" ")[2] for line in self.read().splitlines()]
        self.assertEqual(lines, [b"%d" % number for number in range(1000)])

    def test_left_behind(self) -> None:
        """What a worker has said before it died is told, and then nothing is left of it."""
        before = descriptors()
        bequest = self.bequest()
        worker = self.inherit(bequest)
        for number in range(200):
            worker.write(Severity.INFO, 0.0, f"line {number}")
        worker._channel.close()
        bequest.drain()
        self.assertEqual(self.read().count(b"\n"), 200)
        self.assertEqual(self.mothers.readers, [])
        self.assertFalse(bequest.open)
        self.assertEqual(descriptors() - before, set())

    def test_gone(self) -> None:
        """A worker that has closed its end is forgotten."""
        bequest = self.bequest()
        worker = self.inherit(bequest)
        worker.write(Severity.INFO, 0.0, "last")
        worker.close()
        self.assertIn(b"last", self.read())
        self.assertFalse(bequest.open)
        bequest.drain()

    def test_trouble(self) -> None:
        """What gets lost is counted where it is, and the supervisor looks."""
        worker = self.inherit(self.bequest())
        os.close(self.reader)
        worker.write(Severity.INFO, 0.0, "nobody reads")
        self.mothers.turn()
        self.assertEqual((self.sink.error, self.sink.lost), (errno.EPIPE, 1))
        self.assertEqual((worker.error, worker.lost), (0, 0))
        self.assertEqual(self.looks, 1)
        self.reader = os.open(self.fifo, os.O_RDONLY | os.O_NONBLOCK)
        worker.write(Severity.INFO, 0.0, "somebody reads")
        self.assertIn(b"somebody reads", self.read())
        self.assertEqual(self.sink.error, 0)

    def test_mother_behind(self) -> None:
        """A worker keeps what the supervisor does not take yet, and loses what is beyond."""
        worker = self.inherit(self.bequest())
        for _ in range(3000):
            worker.write(Severity.INFO, 0.0, "x" * 1000)
        self.assertEqual(worker.error, errno.ENOBUFS)
        kept = 3000 - worker.lost
        heard = b""
        while kept > heard.count(b"\n"):
            heard += self.read()
        worker.write(Severity.INFO, 0.0, "again")
        self.assertEqual(worker.error, 0)

    def test_opened_anew(self) -> None:
        """Messages go on by the destination as it is opened anew, and the old one may close."""
        bequest = self.bequest()
        worker = self.inherit(bequest)
        worker.write(Severity.INFO, 0.0, "before")
        bequest.take()
        anew = self.open()
        self.sink.close()
        bequest.follow((anew,))
        worker.write(Severity.INFO, 0.0, "after")
        self.assertEqual([line[-6:] for line in self.read().split()][-1], b"after")
        self.assertEqual((self.sink.lost, anew.lost), (0, 0))

    def test_no_descriptors(self) -> None:
        """Where there are none for one more destination nothing is left of the others."""
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)]

        def socketpair(*_: object) -> tuple[socket.socket, socket.socket]:
            if not pairs:
                raise OSError(errno.EMFILE, "none")
            return pairs.pop()

        other = Stream("other", Prefix("sockd"), self.mothers, partial(os.dup, self.reader))
        self.addCleanup(other.close)
        self.patch(inherited.socket, "socketpair", socketpair)
        self.assertRaises(OSError, InheritedLogs, (self.sink, other), self.mothers, self.look)
        self.assertEqual(self.mothers.readers, [])


class FileTests(InheritedCase):
    """Files are written by each process."""

    def test_being_written(self) -> None:
        """A file that another process is in the middle of writing is not torn, and not mended."""
        path = Path(self.mktemp())
        path.write_text("the beginning of")

        def end_it(seconds: float) -> None:
            with path.open("a") as other:
                other.write(" a line\n")

        self.patch(torn.time, "sleep", end_it)
        File("log", Prefix("sockd"), lambda: os.open(path, os.O_RDWR | os.O_APPEND)).close()
        self.assertEqual(path.read_text(), "the beginning of a line\n")

    def test_appended(self) -> None:
        """Each has a descriptor of its own to the same file, and lines are whole."""
        make_disks_quick(self)
        path = Path(self.mktemp())
        mothers = File("log", Prefix("sockd"), partial(open_appending, str(path)))
        self.addCleanup(mothers.close)
        first, second = (self.inherit(self.bequest(mothers), "log") for _ in range(2))
        for number, sink in enumerate((first, mothers, second, first)):
            sink.write(Severity.INFO, 0.0, f"line {number}")
        first.close()
        mothers.write(Severity.INFO, 0.0, "line 4")
        second.write(Severity.INFO, 0.0, "line 5")
        lines = [line.rpartition(" ")[2] for line in path.read_text().splitlines()]
        self.assertEqual(lines, list("012345"))
        self.assertEqual(self.mothers.readers, [])

    def test_named_twice(self) -> None:
        """A destination that is named twice is inherited once."""
        again = self.open()
        bequest = self.bequest(self.sink, again)
        self.assertEqual(list(bequest.descriptors), [str(self.fifo)])
        self.assertEqual(len(self.mothers.readers), 1)

    def test_others(self) -> None:
        """What was not opened for us is another kind's."""
        self.assertIs(opened("/var/log/sockd.log", self.surroundings), None)
