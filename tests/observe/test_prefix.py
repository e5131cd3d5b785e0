"""Tests of :mod:`dantetw.observe.prefix`."""

from __future__ import annotations

import os
import socket
import time

from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe.prefix import WORDS, Prefix
from dantetw.values import Severity

WHEN = 1795405831.154986


class PrefixTests(SynchronousTestCase):
    """What stands in front of a message."""

    def setUp(self) -> None:
        """Live in Greenwich."""
        self.live_in("UTC")
        self.prefix = Prefix("sockd")
        self.pid = os.getpid()

    def live_in(self, zone: str) -> None:
        """Set the time zone, until the end of the test."""
        before = os.environ.get("TZ")
        os.environ["TZ"] = zone
        time.tzset()

        def restore() -> None:
            if before is None:
                del os.environ["TZ"]
            else:
                os.environ["TZ"] = before
            time.tzset()

        self.addCleanup(restore)

    def stamped(self, when: float, severity: Severity = Severity.INFO) -> str:
        """A message ``x``."""
        return self.prefix.stamped(severity, when, "x").decode()

    def test_golden(self) -> None:
        """The prefix is Dante's, with its six decimals."""
        self.assertEqual(
            self.stamped(WHEN),
            f"Nov 23 03:50:31 (1795405831.154986) sockd[{self.pid}]: info: x\n",
        )

    def test_padding(self) -> None:
        """Days are padded with a blank, all else with zeros."""
        self.assertEqual(
            self.stamped(1.000002), f"Jan  1 00:00:01 (1.000002) sockd[{self.pid}]: info: x\n"
        )

    def test_local_time(self) -> None:
        """Date and time are local, the number is not."""
        self.live_in("XYZ-02")
        self.assertTrue(self.stamped(WHEN).startswith("Nov 23 05:50:31 (1795405831.154986) "))

    def test_one_second(self) -> None:
        """Just before a new second, date and number still tell the same one."""
        self.assertTrue(
            self.stamped(1795405831.9999998).startswith("Nov 23 03:50:31 (1795405831.99999")
        )

    def test_time_goes_on(self) -> None:
        """The date follows from line to line, backwards too."""
        for when, date in ((WHEN, "03:50:31"), (WHEN + 1, "03:50:32"), (WHEN - 60, "03:49:31")):
            self.assertEqual(self.stamped(when)[7:15], date)

    def test_severities(self) -> None:
        """The words are those of the log, not those of the configuration."""
        self.assertEqual(len(WORDS), len(Severity))
        for severity, word in ((0, "emergency"), (2, "critical"), (3, "error"), (7, "debug")):
            self.assertIn(f"]: {word}: x", self.stamped(WHEN, Severity(severity)))

    def test_syslog(self) -> None:
        """A datagram is what :manpage:`syslog(3)` sends, with word and newline."""
        cases = [
            (3, Severity.INFO, "<30>"),
            (19, Severity.WARNING, "<156>"),
            (3, Severity.WARNING, "<28>"),
            (19, Severity.ALERT, "<153>"),
        ]
        for facility, severity, priority in cases:
            self.assertEqual(
                self.prefix.datagram(facility, severity, WHEN, "x").decode(),
                f"{priority}Nov 23 03:50:31 sockd[{self.pid}]: {WORDS[severity]}: x\n",
            )

    def test_rfc5424(self) -> None:
        """For daemons elsewhere there are version, date, zone, host, program and process id."""
        self.patch(socket, "gethostname", lambda: "gate.example.org")
        cases = [
            ("UTC", Severity.INFO, "<30>1 2026-11-23T03:50:31.154986+00:00", "info"),
            ("XYZ-05:45", Severity.ALERT, "<25>1 2026-11-23T09:35:31.154986+05:45", "alert"),
            ("XYZ+03:30", Severity.CRITICAL, "<26>1 2026-11-23T00:20:31.154986-03:30", "critical"),
        ]
        for zone, severity, start, word in cases:
            self.live_in(zone)
            self.assertEqual(
                Prefix("sockd").rfc5424(3, severity, WHEN, "x\ny").decode(),
                f"{start} gate.example.org sockd {self.pid} - - {word}: x\ny",
            )

    def test_rfc5424_names(self) -> None:
        """Names that :rfc:`5424` does not allow are made fit for it."""
        for host, program, names in (("", "", "- -"), ("a b\n", "é" * 60, f"a?b? {'?' * 48}")):
            self.patch(socket, "gethostname", lambda host=host: host)
            message = Prefix(program).rfc5424(3, Severity.INFO, WHEN, "x").decode()
            self.assertIn(f" {names} {self.pid} - - info: x", message)

    def test_fork(self) -> None:
        """After a fork the lines tell the child's pid."""
        self.stamped(WHEN)
        ours, theirs = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                os.write(theirs, self.prefix.stamped(Severity.INFO, WHEN, "x"))
            finally:
                os._exit(0)
        os.close(theirs)
        with open(ours) as told:
            self.assertIn(f" sockd[{pid}]: info: x", told.read())
        os.waitpid(pid, 0)

    def test_surrogates(self) -> None:
        """Text that has no UTF-8 form is written somehow, not refused."""
        self.assertIn(b"\\udcff", self.prefix.stamped(Severity.INFO, WHEN, "\udcff"))
