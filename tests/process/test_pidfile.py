"""Tests of :mod:`dantetw.process.pidfile`."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from dantetw.process import pidfile


class PidfileTests(SynchronousTestCase):
    """Dante's pid file."""

    def setUp(self) -> None:
        self.path = self.mktemp()

    def read(self) -> str:
        """What is in the file."""
        return Path(self.path).read_text()

    def test_written(self) -> None:
        """It holds the process id in one line, for everybody to read."""
        umask = os.umask(0o022)
        self.addCleanup(os.umask, umask)
        pidfile.write(self.path)
        self.assertEqual(self.read(), f"{os.getpid()}\n")
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o644)

    def test_overwritten(self) -> None:
        """What was in it is gone, its mode stays."""
        Path(self.path).write_text("1234567890 and more\n")
        os.chmod(self.path, 0o600)
        pidfile.write(self.path)
        self.assertEqual(self.read(), f"{os.getpid()}\n")
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)

    def test_unwritable(self) -> None:
        """A folder that is not there is an error."""
        path = os.path.join(self.path, "sockd.pid")
        self.assertRaises(OSError, pidfile.write, path)
