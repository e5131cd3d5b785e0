"""Tests of :mod:`dantetw.privileged.reports`."""

from __future__ import annotations

import os
import syslog

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dantetw.privileged import reports
from dantetw.privileged.reports import (
    INTERVAL_SECONDS,
    MOST_LINES,
    HelperReports,
    ReportReader,
    writer,
)
from tests.observe.sinks.fakes import FakeReactor


class ReportsTests(SynchronousTestCase):
    """What is reported."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.lines: list[str] = []
        self.reports = HelperReports(self.lines.append, self.clock.seconds)

    def test_once(self) -> None:
        """The same is reported once a minute, and how much was not."""
        for _ in range(3):
            self.reports("one")
        self.reports("two")
        self.assertEqual(self.lines, ["one", "two"])
        self.clock.advance(INTERVAL_SECONDS)
        self.reports("one")
        self.assertEqual(self.lines[2:], ["the privileged helper had 2 more reports", "one"])

    def test_flood(self) -> None:
        """So many lines a minute, however different they are."""
        for number in range(1000):
            self.reports(f"{number}")
        self.assertEqual(len(self.lines), MOST_LINES)

    def test_hostile(self) -> None:
        """What somebody makes up neither breaks a line nor is as long as they like."""
        self.reports("a\nb\x1b[2J\udcff" + "x" * 100_000)
        (line,) = self.lines
        self.assertTrue(line.startswith("a\\nb\\033[2J\\377xx"))
        self.assertEqual(len(line), reports._LONGEST)


class PipeTests(SynchronousTestCase):
    """From the helper to the supervisor process."""

    def setUp(self) -> None:
        self.system: list[str] = []
        self.patch(syslog, "openlog", lambda *arguments: None)
        self.patch(syslog, "syslog", lambda priority, line: self.system.append(line))
        self.reactor = FakeReactor()
        self.lines: list[str] = []
        reading, self.writing = os.pipe()
        self.reader = ReportReader(self.reactor, reading, self.lines.append)
        self.addCleanup(self.reader.stop)
        self.write = writer(self.writing)
        self.open = True
        self.addCleanup(self.close)

    def close(self) -> None:
        """End the helper."""
        if self.open:
            os.close(self.writing)
            self.open = False

    def test_lines(self) -> None:
        """Each line arrives, in the system's log too."""
        self.write("one")
        self.write("two")
        self.reactor.turn()
        self.assertEqual(self.lines, ["one", "two"])
        self.assertEqual(self.system, ["one", "two"])
        self.close()
        self.reactor.turn()
        self.assertEqual(self.reactor.readers, [])

    def test_in_parts(self) -> None:
        """A line counts when it is whole."""
        os.write(self.writing, b"on")
        self.reactor.turn()
        self.assertEqual(self.lines, [])
        os.write(self.writing, b"e\n\xff")
        self.reactor.turn()
        self.assertEqual(self.lines, ["one"])
        self.reader.doRead()

    def test_nobody_reads(self) -> None:
        """The helper does not wait for a supervisor that stands still, or is gone."""
        for _ in range(1000):
            self.write("x" * 500)
        self.assertEqual(len(self.system), 1000)
        self.reader.stop()
        self.reader.stop()
        self.write("x")
