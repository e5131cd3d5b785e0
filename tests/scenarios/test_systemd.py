"""A service manager that is told which process is the main one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.scenarios.running import (
    DEADLINE,
    ROOT,
    SOCKD,
    Running,
    Scenario,
    environment,
    wait_until,
)


class ServiceManagerScenarios(Scenario):
    """What systemd does with the unit in ``packaging``, as far as it can be had without systemd."""

    def setUp(self) -> None:
        super().setUp()
        folder = tempfile.TemporaryDirectory()  # names of sockets have 107 bytes
        self.addCleanup(folder.cleanup)
        self.address = f"{folder.name}/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.socket.bind(self.address)
        self.socket.settimeout(DEADLINE)
        self.journal = self.folder / "journal"

    def heard(self) -> list[str]:
        """The next message."""
        return self.socket.recv(1000).decode().split("\n")

    def nothing(self) -> None:
        """Nothing more has been said."""
        self.socket.setblocking(False)
        self.assertRaises(BlockingIOError, self.socket.recv, 1000)
        self.socket.settimeout(DEADLINE)

    def reload(self) -> int:
        """``ExecReload=``: the process that serves clients then."""
        path, pidfile = self.folder / "sockd.conf", self.folder / "sockd.pid"
        with self.journal.open("ab") as journal:
            stream = os.fstat(journal.fileno())
            done = subprocess.run(
                [*SOCKD, "upgrade", "-D", "-f", str(path), "-p", str(pidfile)],
                stdin=subprocess.DEVNULL,
                stdout=journal,
                stderr=journal,
                env=environment(
                    NOTIFY_SOCKET=self.address,
                    JOURNAL_STREAM=f"{stream.st_dev}:{stream.st_ino}",
                ),
                cwd=self.folder,
                timeout=DEADLINE,
                check=False,
            )
        self.assertEqual(done.returncode, 0, self.journal.read_text())
        return int(pidfile.read_text())

    def end(self, pid: int) -> None:
        """End a process that is no child of ours."""
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, 9)

    def test_upgrade(self) -> None:
        """
        The main process changes before the old one ends, which is no news: the service goes on.  A
        new server in the background logs to the journal still.
        """
        server = self.start(log=f"{self.folder / 'sockd.log'} stdout", NOTIFY_SOCKET=self.address)
        self.assertEqual(self.heard(), ["READY=1", f"MAINPID={server.pid}"])
        new = self.reload()
        self.addCleanup(self.end, new)
        self.assertNotEqual(new, server.pid)
        self.assertEqual(self.heard(), ["READY=1", f"MAINPID={new}"])
        self.assertEqual(server.wait(), 0)
        self.nothing()
        wait_until(lambda: "running" in self.journal.read_text(), "a line in the journal")
        follower = Running(server.process, server.port, server.log, server.output)
        self.live(follower, self.listening())
        wait_until(lambda: "tcp/connect [" in self.journal.read_text(), "a session in the journal")
        os.kill(new, 1)
        begun = self.heard()
        self.assertEqual(begun[0], "RELOADING=1")
        self.assertEqual(self.heard(), ["READY=1"])
        os.kill(new, 15)
        self.assertEqual(self.heard(), ["STOPPING=1"])
        wait_until(lambda: not Path(f"/proc/{new}").exists(), "the end")
        self.nothing()

    def test_fails(self) -> None:
        """A new version that cannot start changes nothing, and the reload fails."""
        server = self.start(NOTIFY_SOCKET=self.address)
        self.heard()
        path = self.folder / "sockd.conf"
        path.write_text(path.read_text() + "nonsense\n")
        command = [*SOCKD, "upgrade", "-D", "-f", str(path), "-p", str(self.folder / "sockd.pid")]
        done = self.run_program(command, NOTIFY_SOCKET=self.address)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"nonsense", done.stderr)
        self.nothing()
        self.live(server, self.listening())
        self.assertEqual(server.stop(), 0)
        self.assertEqual(self.heard(), ["STOPPING=1"])


class UnitTests(SynchronousTestCase):
    """The unit in ``packaging``."""

    def test_verified(self) -> None:
        """systemd finds nothing wrong with it, but that the program is not there."""
        program = shutil.which("systemd-analyze")
        if program is None:
            raise SkipTest("systemd-analyze is not installed")
        unit = ROOT / "packaging" / "sockd.service"
        done = subprocess.run(
            [program, "verify", str(unit)], capture_output=True, timeout=DEADLINE, check=False
        )
        wrong = [
            line
            for line in done.stderr.decode().splitlines()
            if "sockd.service" in line and "is not executable" not in line
        ]
        self.assertEqual(wrong, [])
