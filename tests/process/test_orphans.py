"""Tests of :mod:`dantetw.process.orphans`."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from dantetw.process import orphans
from dantetw.process.orphans import INTERVAL_SECONDS, Orphans


class OrphansTests(SynchronousTestCase):
    """Children that nobody waits for."""

    def setUp(self) -> None:
        if not Path("/proc/self/stat").exists():
            raise SkipTest("this system does not list processes")
        self.clock = Clock()

    def dead(self) -> int:
        """A child that has ended."""
        pid = os.fork()
        if not pid:
            os._exit(3)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        return pid

    def start(self, init: int) -> Orphans:
        """A service that takes itself for that process."""
        self.patch(orphans, "INIT", init)
        service = Orphans(self.clock)
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def test_reaped(self) -> None:
        """Process 1 reaps a child that has been dead at two looks."""
        self.start(os.getpid())
        pid = self.dead()
        self.clock.advance(INTERVAL_SECONDS)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        self.clock.advance(INTERVAL_SECONDS)
        self.assertRaises(ChildProcessError, os.waitpid, pid, os.WNOHANG)

    def test_left(self) -> None:
        """A status that its owner asks for between two looks is there."""
        self.start(os.getpid())
        pid = self.dead()
        self.clock.advance(INTERVAL_SECONDS)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 3)
        self.clock.advance(INTERVAL_SECONDS)

    def test_others(self) -> None:
        """Another process than 1 does nothing."""
        self.start(1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
