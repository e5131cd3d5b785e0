"""Tests of :mod:`dantetw.observe.sinks.inherited`."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks.file import File
from dantetw.observe.sinks.inherited import Bequest, opened
from dantetw.observe.sinks.kind import Surroundings
from dantetw.observe.sinks.stream import Stream
from dantetw.values import Severity
from tests.observe.sinks.fakes import FakeReactor

WHEN = 1795405831.0


class InheritedCase(SynchronousTestCase):
    """A mother's destinations, and two workers that inherit them."""

    def setUp(self) -> None:
        self.reactor: Any = FakeReactor()
        self.looks = 0
        self.prefix = Prefix("sockd")
        self.path = Path(self.mktemp())
        self.surroundings = Surroundings(self.prefix, self.reactor, standard={})

    def append(self) -> int:
        """A descriptor that appends to a file."""
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def look(self) -> None:
        self.looks += 1

    def pipe(self) -> tuple[int, Stream]:
        """Where a reader reads, and the mother's sink."""
        read, write = os.pipe()
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        self.addCleanup(os.close, read)
        sink = Stream("pipe", self.prefix, self.reactor, lambda: write, 4 << 20)
        self.addCleanup(sink.close)
        return read, sink

    def worker(self, bequest: Bequest, name: str) -> Any:
        """A worker's sink."""
        sink = opened(name, replace(self.surroundings, inherited=bequest.descriptors))
        assert sink is not None
        self.addCleanup(sink.close)
        return sink

    def read(self, descriptor: int, lines: int) -> list[bytes]:
        """That many lines, as the reactor moves them."""
        heard = b""
        for _ in range(10_000):
            try:
                heard += os.read(descriptor, 1 << 16)
            except BlockingIOError:
                self.reactor.turn()
            if heard.count(b"\n") == lines:
                return heard.splitlines()
        raise AssertionError(f"{heard.count(10)} lines")


class FunnelTests(InheritedCase):
    """Destinations with a reader who may be slow."""

    def test_whole(self) -> None:
        """Lines of two workers, longer than a pipe holds, and the mother's own come out whole."""
        read, mothers = self.pipe()
        bequests = [Bequest([mothers], self.reactor, self.look) for _ in range(2)]
        sinks = [mothers, *(self.worker(bequest, "pipe") for bequest in bequests)]
        for bequest in bequests:
            bequest.given()
        for number in range(12):
            sinks[number % 3].write(Severity.INFO, WHEN, "ABC"[number % 3] * 250_000)
        lines = self.read(read, 12)
        texts = [line.rpartition(b" ")[2] for line in lines]
        self.assertEqual(sorted(texts), sorted([b * 250_000 for b in (b"A", b"B", b"C")] * 4))
        self.assertGreater(self.looks, 0)

    def test_left_behind(self) -> None:
        """What a worker has said before it died is not lost."""
        read, mothers = self.pipe()
        bequest = Bequest([mothers], self.reactor, self.look)
        sink = self.worker(bequest, "pipe")
        bequest.given()
        for number in range(100):
            sink.write(Severity.INFO, WHEN, f"line {number}")
        sink.close()
        bequest.drain()
        self.assertEqual(len(self.read(read, 100)), 100)
        self.assertEqual(self.reactor.readers, [])

    def test_unread(self) -> None:
        """What nobody reads is lost where it waits, and counted there."""
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        os.set_blocking(write, False)
        mothers = Stream("pipe", self.prefix, self.reactor, lambda: write, 10_000)
        self.addCleanup(mothers.close)
        bequest = Bequest([mothers], self.reactor, self.look)
        sink = self.worker(bequest, "pipe")
        for _ in range(40):
            sink.write(Severity.INFO, WHEN, "x" * 9000)
            self.reactor.turn()
        for _ in range(200):
            self.reactor.turn()
        self.assertEqual((mothers.trouble, sink.lost), (errno.ENOBUFS, 0))
        self.assertGreater(mothers.lost, 20)


class FileTests(InheritedCase):
    """Files."""

    def test_written_by_each(self) -> None:
        """Workers write to the mother's file, by descriptors of their own."""
        mothers = File("log", self.prefix, self.append)
        bequest = Bequest([mothers, mothers], self.reactor, self.look)
        sinks = [self.worker(bequest, "log") for _ in range(2)]
        mothers.close()
        for number in range(6):
            sinks[number % 2].write(Severity.INFO, WHEN, f"line {number}")
        text = self.path.read_text()
        self.assertEqual([line[-6:] for line in text.splitlines()], [f"line {n}" for n in range(6)])

    def test_others(self) -> None:
        """What was not opened for us is no business of ours."""
        self.assertIs(opened("syslog", self.surroundings), None)
