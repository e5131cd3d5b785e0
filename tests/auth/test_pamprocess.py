"""Tests of :mod:`dantetw.auth.pamprocess`."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from dantetw.auth.pamprocess import PamProcess, PamProcesses
from tests.descriptors import descriptors

#: Seconds after which a test gives up.
PATIENCE = 30


class PamProcessTests(SynchronousTestCase):
    """Processes for PAM."""

    def test_too_many(self) -> None:
        """There are not any number of them."""
        processes = PamProcesses(["cat"])
        processes._running = dict.fromkeys(range(64), 0)  # type: ignore[arg-type]
        error = self.assertRaises(OSError, processes.start)
        self.assertEqual(error.errno, errno.EAGAIN)

    def test_too_many_for_one(self) -> None:
        """Nor any number for one process of the server."""
        processes = PamProcesses(["cat"])
        processes._running = dict.fromkeys(range(12), 7)  # type: ignore[arg-type]
        error = self.assertRaises(OSError, processes.start, 7)
        self.assertEqual(error.errno, errno.EAGAIN)

    def test_services(self) -> None:
        """The only services that it may be asked about are on its command line."""
        processes = PamProcesses(["sh", "-c", "exec cat", "--"])
        process = processes.start(7, ["sockd"])
        (running,) = processes._running
        self.assertEqual(running.args, ["sh", "-c", "exec cat", "--", "--only", "sockd"])
        processes.kill()
        for descriptor in process.descriptors:
            os.close(descriptor)
        running.wait(PATIENCE)

    def test_no_program(self) -> None:
        """A program that cannot be run is an error, and leaves nothing open."""
        before = descriptors()
        self.assertRaises(OSError, PamProcesses(["/nowhere/at/all"]).start)
        self.assertEqual(descriptors() - before, set())

    def test_command(self) -> None:
        """What is run is our program, which finds our library, and nobody's password is seen."""
        processes = PamProcesses()
        process = processes.start()
        self.assertIsInstance(process, PamProcess)
        (running,) = processes._running
        assert isinstance(running.args, list)
        self.assertEqual(Path(running.args[-1]).name, "pamworker.py")
        processes.kill()
        for descriptor in process.descriptors:
            os.close(descriptor)
        running.wait(PATIENCE)
