"""Scenarios: a server as the first process of a container, and pid files that a power cut left."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SkipTest

from dantetw.process.orphans import INTERVAL_SECONDS
from tests.scenarios.rights import DROP, children, status
from tests.scenarios.running import (
    DEADLINE,
    SOCKD,
    TWISTD,
    Running,
    Scenario,
    environment,
    free_port,
    wait_until,
)

#: A namespace in which the program is process 1, and that ends with it.
INIT = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


class FirstScenario(Scenario):
    """Namespaces of processes."""

    def setUp(self) -> None:
        super().setUp()
        self.needs_root()
        self.program("unshare")
        self.program("nsenter")
        if subprocess.run([*INIT, "true"], capture_output=True, check=False).returncode:
            raise SkipTest("there is no way here to have a namespace of processes")

    def first(self, command: Sequence[str]) -> list[str]:
        """The command line that has another one be process 1."""
        return [*INIT, *command]

    def pid_of(self, server: Running) -> int:
        """The server's process id outside of its namespace."""
        (pid,) = children(server.pid)
        self.addCleanup(self.end_of, pid)
        return pid

    def end_of(self, pid: int) -> None:
        """Kill a process that is still there: a change of user frees it from unshare."""
        with contextlib.suppress(OSError):
            if str(self.folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)


class OrphanScenarios(FirstScenario):
    """Orphans of others."""

    def test_reaped(self) -> None:
        """Process 1 reaps them, by itself or with workers, and knows how its own children ended."""
        for workers in (1, 2):
            with self.subTest(workers):
                self.workers = workers
                (self.folder / "sockd.log").unlink(missing_ok=True)
                server = self.start(lambda path: self.first(self.foreground(path)), more=DROP)
                first = self.pid_of(server)
                own = set(children(first))
                # Its parent comes from outside and ends; the orphan ends at once then.
                orphan = "(exec sleep 0.1) & exit 0"
                enter = ["nsenter", f"--target={first}", "--pid", "--mount", "sh", "-c", orphan]
                for _ in range(3):
                    subprocess.run(enter, check=True, stdin=subprocess.DEVNULL)
                wait_until(lambda first=first, own=own: len(children(first)) > len(own), "orphans")
                wait_until(lambda first=first, own=own: set(children(first)) == own, "reaping")
                if workers > 1:
                    worker = max(own)
                    os.kill(worker, signal.SIGKILL)
                    server.wait_for(1, "was killed by signal 9; 0 sessions with it")
                else:
                    (helper,) = own
                    os.kill(helper, signal.SIGKILL)
                    server.wait_for(1, "has ended, by SIGKILL")
                os.kill(first, signal.SIGTERM)
                self.assertEqual(server.wait(), 0)

    def test_not_first(self) -> None:
        """Another process looks after its own children only."""
        self.assertGreater(INTERVAL_SECONDS, 1)
        server = self.start()
        self.assertEqual(status(server.pid, "NSpid"), [str(server.pid)])
        self.assertEqual(server.stop(), 0)


class PidFileScenarios(FirstScenario):
    """``twistd.pid`` as a power cut leaves it."""

    def command(self, path: Path) -> list[str]:
        """twistd with its pid file, in the folder of the test."""
        return [*TWISTD, "-n", "sockd", "--config", str(path)]

    def test_container(self) -> None:
        """A container whose first process is killed starts again, as often as you like."""
        for _ in range(2):
            (self.folder / "sockd.log").unlink(missing_ok=True)
            server = self.start(lambda path: self.first(self.command(path)))
            self.assertEqual((self.folder / "twistd.pid").read_text(), "1")
            os.kill(self.pid_of(server), signal.SIGKILL)
            server.wait()

    def test_number_of_another(self) -> None:
        """A number that belongs to somebody else by now, and an empty file, keep nobody out."""
        other = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        for text in (str(other.pid), "1", "", "\0\0\0\0"):
            with self.subTest(text):
                (self.folder / "sockd.log").unlink(missing_ok=True)
                pidfile = self.folder / "twistd.pid"
                pidfile.write_text(text)
                os.utime(pidfile, (1, 1))
                server = self.start(self.command)
                self.assertEqual(pidfile.read_text(), str(server.pid))
                self.assertEqual(server.stop(), 0)
                self.assertFalse(pidfile.exists())

    def test_second_server(self) -> None:
        """A server that runs keeps a second one out, whatever the clock says."""
        server = self.start(self.command)
        pidfile = self.folder / "twistd.pid"
        os.utime(pidfile, (1, 1))
        for mode in (["-n"], []):
            path = str(self.folder / "sockd.conf")
            done = self.run_program([*TWISTD, *mode, "sockd", "--config", path])
            self.assertEqual(done.returncode, 1)
            self.assertIn(
                f"Another twistd server is running, PID {server.pid}", done.stderr.decode()
            )
        self.assertEqual(pidfile.read_text(), str(server.pid))
        self.assertEqual(server.stop(), 0)


class InheritedScenarios(Scenario):
    """What the process that starts the server has left open."""

    def test_lock(self) -> None:
        """With ``-D`` a lock of theirs is released when the command returns, not held for ever."""
        for ours in (
            [*SOCKD, "-D", "-p", str(self.folder / "daemon.pid"), "-f"],
            [*TWISTD, "--pidfile", str(self.folder / "daemon.pid"), "sockd", "--config"],
        ):
            port = free_port()
            path = str(self.configure(port))
            lock = self.folder / "lock"
            script = (
                'exec 9>"$0"; flock 9; "$@"; status=$?; exec 9>&-; flock -n "$0" true || exit 9'
            )
            script += "; exit $status"
            done = self.run_program(["sh", "-c", script, str(lock), *ours, path])
            self.addCleanup(self.end)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.end()

    def end(self) -> None:
        """Stop the daemon."""
        path = self.folder / "daemon.pid"
        text = path.read_text() if path.exists() else ""
        if text.strip():
            os.kill(int(text), signal.SIGTERM)
            wait_until(lambda: not path.exists() or not path.read_text(), "its end")

    def test_systemd(self) -> None:
        """Sockets of systemd's are used in the background too, though they are inherited."""
        given = self.listening()
        port = given.getsockname()[1]
        path = str(self.configure(port))
        number = given.fileno()
        # Bash knows descriptors above 9, other shells do not.
        script = f'exec 3<&{number}; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=x exec "$@"'
        command = [*SOCKD, "-D", "-p", str(self.folder / "daemon.pid"), "-f", path]
        done = subprocess.run(
            ["bash", "-c", script, "bash", *command],
            pass_fds=[number],
            capture_output=True,
            check=False,
            env=environment(),
            cwd=self.folder,
        )
        self.addCleanup(self.end)
        # Had it not been used, the address would be taken.
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        given.close()
        socket.create_connection(("127.0.0.1", port), DEADLINE).close()
        self.end()
