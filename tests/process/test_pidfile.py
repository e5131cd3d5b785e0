"""Tests of :mod:`dantetw.process.pidfile`."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
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
        pidfile.write(pidfile.open_pidfile(self.path))
        self.assertEqual(self.read(), f"{os.getpid()}\n")
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o644)

    def test_overwritten(self) -> None:
        """What was in it is gone, its mode stays."""
        Path(self.path).write_text("1234567890 and more\n")
        os.chmod(self.path, 0o600)
        pidfile.write(pidfile.open_pidfile(self.path))
        self.assertEqual(self.read(), f"{os.getpid()}\n")
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)

    def test_unwritable(self) -> None:
        """A folder that is not there is an error."""
        path = os.path.join(self.path, "sockd.pid")
        self.assertRaises(OSError, pidfile.open_pidfile, path)

    def test_emptied(self) -> None:
        """It is emptied if it has the process id that is meant."""
        for text, left in (("12\n", ""), ("123\n", "123\n"), ("", ""), ("x", "x")):
            Path(self.path).write_text(text)
            pidfile.empty(os.open(self.path, os.O_RDWR), 12)
            self.assertEqual(self.read(), left)

    def test_no_file(self) -> None:
        """What is no file, such as the null device, is written to and not cut."""
        pidfile.write(pidfile.open_pidfile(os.devnull))


class StaleTests(SynchronousTestCase):
    """twistd's pid file, left or in use."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def stale(self, text: str, written: float | None = None) -> bool:
        """Whether a file with this text, of this time, is stale."""
        self.path.write_text(text)
        if written is not None:
            os.utime(self.path, (written, written))
        return pidfile.is_stale(str(self.path))

    def child(self, *command: str) -> subprocess.Popen[bytes]:
        """A process that waits."""
        child = subprocess.Popen([*command], stdin=subprocess.PIPE)
        self.addCleanup(child.communicate)
        return child

    def server(self) -> subprocess.Popen[bytes]:
        """A process that looks like a server."""
        code = "import sys; sys.stdout.write('x'); sys.stdout.flush(); sys.stdin.read()"
        child = subprocess.Popen(
            [sys.executable, "-c", code, "twistd"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.addCleanup(child.communicate)
        assert child.stdout is not None
        child.stdout.read(1)
        return child

    def test_nobody(self) -> None:
        """A number of no process, our own, and none at all, as after a power cut, are stale."""
        ended = subprocess.Popen(["true"])
        ended.wait()
        for text in (str(ended.pid), f"{os.getpid()}", "", "\n", "\0\0\0\0", "0", "9" * 30):
            with self.subTest(text):
                self.assertTrue(self.stale(text))

    def test_server(self) -> None:
        """A server that is older than the file is not, whoever it belongs to."""
        self.assertFalse(self.stale(str(self.server().pid)))

    def test_younger(self) -> None:
        """One that was started later than the file was written is another one."""
        self.assertTrue(self.stale(str(self.server().pid), time.time() - 60))

    def test_another_program(self) -> None:
        """A process that is none of a server's is another one, whatever the clock says."""
        self.assertTrue(self.stale(str(self.child("cat").pid), time.time() + 60))

    def test_held(self) -> None:
        """A file that its server holds is not stale, whatever is in it."""
        self.path.touch()
        descriptor = pidfile.hold(str(self.path))
        self.addCleanup(os.close, descriptor)
        self.assertFalse(self.stale(str(os.getpid()), 0))
        self.assertRaises(BlockingIOError, pidfile.hold, str(self.path))

    def test_not_a_pid_file(self) -> None:
        """A file with something else in it is not ours to remove, nor one that is not there."""
        self.assertFalse(self.stale("root:x:0:0\n"))
        self.assertFalse(self.stale("-1"))
        self.path.unlink()
        self.assertFalse(pidfile.is_stale(str(self.path)))

    def test_unreadable(self) -> None:
        """What is no file is an error, and not touched."""
        self.path.mkdir()
        fifo = self.mktemp()
        os.mkfifo(fifo)
        for path in (str(self.path), fifo, os.devnull):
            caught = self.assertRaises(OSError, pidfile.is_stale, path)
            self.assertEqual(caught.strerror, "not a regular file")

    def test_unknown(self) -> None:
        """Where the system does not tell, a process may be a server."""
        self.patch(pidfile, "_started", lambda pid: time.time())
        server = self.server().pid
        self.assertFalse(self.stale(str(server)))

        def untold(pid: int) -> float:
            raise FileNotFoundError

        self.patch(pidfile, "_started", untold)
        self.assertFalse(self.stale(str(server), 0))
