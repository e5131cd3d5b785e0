"""Scenarios: all ways to start a server, and to fail to."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SkipTest

from dantetw import __version__
from tests.scenarios.running import (
    ROOT,
    SOCKD,
    TWISTD,
    Running,
    Scenario,
    free_port,
    wait_until,
)

RUNNING = f"info: dantetw/server[1/1] v{__version__} running"
ROOTLY = "warning: checkconfig(): setting the unprivileged uid to 0 is not recommended"


def alive(pid: int) -> bool:
    """Whether there is such a process, and not as a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class StartScenarios(Scenario):
    """Starting."""

    def expect_service(self, server: Running) -> None:
        """It has said that it runs, and only that, and serves."""
        lines = [line for line in server.lines() if not line.startswith(ROOTLY)]
        self.assertEqual(lines, [RUNNING])
        self.live(server, self.listening())
        server.wait_for(1, "tcp/connect [")
        self.assertEqual(server.stop(), 0)
        self.assertEqual(server.output.read_text(), "")

    def test_twistd(self) -> None:
        """``twistd -n sockd --config``."""

        def command(path: Path) -> Sequence[str]:
            return [*TWISTD, "--pidfile=", "-n", "sockd", "--config", str(path)]

        self.expect_service(self.start(command))

    def test_twistd_log(self) -> None:
        """With ``twistd --logfile`` that file has what Twisted says, and ours alone our lines."""
        theirs = self.folder / "twistd.log"

        def command(path: Path) -> Sequence[str]:
            flags = ["--pidfile=", "-n", "--logfile", str(theirs)]
            return [*TWISTD, *flags, "sockd", "--config", str(path)]

        server = self.start(command)
        self.assertEqual(server.stop(), 0)
        self.assertIn("starting up", theirs.read_text())
        self.assertNotIn(RUNNING, theirs.read_text())
        self.assertEqual(server.lines().count(RUNNING), 1)

    def test_tac(self) -> None:
        """``twistd -ny sockd.tac`` with the configuration in the environment."""

        def command(path: Path) -> Sequence[str]:
            return [*TWISTD, "--pidfile=", "-noy", str(ROOT / "sockd.tac")]

        path = str(self.folder / "sockd.conf")
        self.expect_service(self.start(command, SOCKD_CONFIG=path))

    def test_foreground(self) -> None:
        """``sockd -f``, as ``danted`` is started by systemd, with its pid file."""
        server = self.start()
        pidfile = self.folder / "sockd.pid"
        self.assertEqual(pidfile.read_text(), f"{server.pid}\n")
        self.expect_service(server)
        self.assertEqual(pidfile.read_text(), "")

    def test_daemon(self) -> None:
        """``sockd -D``: when the parent has returned, the daemon listens and its pid is known."""
        pidfile = self.folder / "daemon.pid"
        port = free_port()
        path = self.configure(port)
        done = self.run_program([*SOCKD, "-D", "-f", str(path), "-p", str(pidfile)])
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        pid = int(pidfile.read_text())
        self.addCleanup(self.end, pid)
        socket.create_connection(("127.0.0.1", port), 60).close()
        self.assertEqual(os.getsid(pid), os.getpgid(pid))
        self.assertNotEqual(os.getsid(pid), os.getsid(0))
        os.kill(pid, 15)
        wait_until(lambda: not alive(pid), "the daemon's end")
        self.assertEqual(pidfile.read_text(), "")
        log = (self.folder / "sockd.log").read_text()
        self.assertIn("sigterm(): exiting on signal 15", log)
        self.assertIn("alert: mother[1/1]: shutting down", log)
        self.assertEqual(list(self.folder.glob("twistd*")), [])

    def end(self, pid: int) -> None:
        """Kill a daemon of ours that is still there."""
        try:
            if Path(f"/proc/{pid}/cmdline").read_bytes().find(str(self.folder).encode()) >= 0:
                os.kill(pid, 9)
        except OSError:
            pass

    def test_outputs(self) -> None:
        """Standard output and error as log destinations, in the foreground."""
        server = self.start(log="stdout stderr")
        self.assertEqual(server.output.read_text().count(RUNNING), 2)
        self.assertEqual(server.stop(), 0)

    def test_built_in(self) -> None:
        """Without a configuration the built-in one serves this host on port 1080, and says so."""
        wanted = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "-r"]
        for name in ("unshare", "ip"):
            self.program(name)
        if subprocess.run([*wanted, "true"], capture_output=True, check=False).returncode:
            raise SkipTest("no network of our own, where port 1080 is free, can be had")
        inner = 'ip link set lo up && exec "$@"'
        command = [*wanted, "sh", "-c", inner, "sh", *TWISTD, "--pidfile=", "-n", "sockd"]
        server = self.spawn(command)
        wait_until(server.ready, "running")
        server.log = server.output
        lines = [line for line in server.lines() if not line.startswith(ROOTLY)]
        self.assertEqual(
            lines[:2],
            [
                "info: no configuration was given (--config FILE): using a built-in one",
                "info: listening on 127.0.0.1 port 1080, for clients on this host only; going out"
                " as this host does; logging connect, disconnect and error to standard output",
            ],
        )
        self.assertEqual(lines[-1], RUNNING)
        self.assertEqual(server.stop(), 0)

    def test_address_in_use(self) -> None:
        """A port that is taken: Dante's lines, exit status 1, no traceback."""
        taken = self.listening()
        port = taken.getsockname()[1]
        server = self.spawn(self.foreground(self.configure(port)), port)
        self.assertEqual(server.wait(), 1)
        self.assertEqual(
            [line for line in server.lines() if not line.startswith(ROOTLY)],
            [
                f"warning: bindinternal(): bind of address 127.0.0.1.{port} (address #1/1) for"
                " server to listen on failed: Address already in use",
                "error: serverinit(): failed to bind internal addresses: Address already in use",
                "alert: mother[1/1]: shutting down",
            ],
        )
        self.assertNotIn("Traceback", server.raw())
        self.assertFalse((self.folder / "sockd.pid").exists())

    def test_daemon_address_in_use(self) -> None:
        """With ``-D`` the parent returns 1, with a message."""
        taken = self.listening()
        path = self.configure(taken.getsockname()[1])
        pidfile = self.folder / "sockd.pid"
        done = self.run_program([*SOCKD, "-D", "-f", str(path), "-p", str(pidfile)])
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"serverinit(): failed to bind internal addresses", done.stderr)
        self.assertNotIn(b"Traceback", done.stderr)
        self.assertNotIn("Traceback", (self.folder / "sockd.log").read_text())

    def broken(self) -> Path:
        """A configuration with two errors."""
        path = self.configure(1080)
        text = path.read_text().replace("clientmethod: none", "clientmethod: nonsense")
        path.write_text(text.replace("external: 127.0.0.1", "exxternal: 127.0.0.1"))
        return path

    def test_wrong_configuration(self) -> None:
        """Errors are shown with file, line and caret on standard error; exit status 1."""
        path = self.broken()
        for command in (
            [*SOCKD, "-f", str(path)],
            [*SOCKD, "-D", "-f", str(path)],
            [*TWISTD, "--pidfile=", "-n", "sockd", "--config", str(path)],
        ):
            with self.subTest(command):
                done = self.run_program(command)
                self.assertEqual(done.returncode, 1)
                said = done.stderr.decode()
                self.assertIn(f"{path}:3:1: error: ", said)
                self.assertIn(f"{path}:4:15: error: ", said)
                self.assertIn("^~~~", said)
                self.assertNotIn("Traceback", said)
                self.assertFalse((self.folder / "sockd.log").exists())

    def test_no_configuration(self) -> None:
        """A file that is missing, empty or a folder is an error, exit status 1."""
        empty = self.folder / "empty.conf"
        empty.touch()
        for path in (self.folder / "missing.conf", empty, self.folder):
            with self.subTest(path.name):
                done = self.run_program([*SOCKD, "-f", str(path)])
                self.assertEqual(done.returncode, 1)
                self.assertIn(str(path).encode(), done.stderr)
                self.assertNotIn(b"Traceback", done.stderr)

    def test_unopenable_log(self) -> None:
        """A log file that cannot be opened is an alert in the others, and the server goes on."""
        log = self.folder / "sockd.log"
        server = self.start(log=f"{log} {self.folder / 'no' / 'such' / 'folder.log'}")
        lines = server.lines()
        self.assertTrue(any(line.startswith("alert: ") for line in lines), lines)
        self.assertIn("No such file or directory", "\n".join(lines))
        self.live(server, self.listening())
        self.assertEqual(server.stop(), 0)

    def test_unwritable_pidfile(self) -> None:
        """A pid file that cannot be written is a warning."""
        pidfile = self.folder / "no" / "such.pid"

        def command(path: Path) -> Sequence[str]:
            return [*SOCKD, "-f", str(path), "-p", str(pidfile)]

        server = self.start(command)
        self.assertIn(
            f"warning: could not open pidfile {pidfile} for writing: No such file or directory",
            server.lines(),
        )
        self.assertEqual(server.stop(), 0)

    def test_missing_users_file(self) -> None:
        """A users file that is not there keeps the server from starting, without a traceback."""
        path = self.configure(free_port(), "username", f"username.file: {self.folder / 'users'}")
        server = self.spawn(self.foreground(path))
        self.assertEqual(server.wait(), 1)
        self.assertEqual(
            server.lines()[-2:],
            [
                f"error: method username: {self.folder / 'users'}: No such file or directory",
                "alert: mother[1/1]: shutting down",
            ],
        )
        self.assertNotIn("Traceback", server.raw())

    def test_plugin(self) -> None:
        """Twistd names the plugin and its options."""
        done = self.run_program([*TWISTD, "--help"])
        self.assertIn(b"A SOCKS server that reads Dante's sockd.conf.", done.stdout)
        done = self.run_program([*TWISTD, "sockd", "--help"])
        self.assertIn(b"--config=", done.stdout)

    def test_wrong_option(self) -> None:
        """A wrong option of the plugin is told, without a traceback."""
        for arguments in (["--nonsense"], ["--debug", "x"]):
            with self.subTest(arguments):
                done = self.run_program([*TWISTD, "--pidfile=", "-n", "sockd", *arguments])
                self.assertEqual(done.returncode, 1)
                self.assertNotIn(b"Traceback", done.stdout + done.stderr)


class UnprivilegedScenarios(Scenario):
    """A server that root has not started."""

    def test_runs(self) -> None:
        """It runs with the rights it has."""
        self.folder.chmod(0o777)
        server = self.start(lambda path: self.as_user(self.foreground(path)))
        self.assertEqual(server.lines(), [RUNNING])
        self.live(server, self.listening())
        self.assertEqual(server.stop(), 0)

    def test_cannot_change(self) -> None:
        """It does not start if it should become somebody it cannot."""
        self.folder.chmod(0o777)
        path = self.configure(free_port(), more="user.unprivileged: root")
        server = self.spawn(self.as_user(self.foreground(path)))
        self.assertEqual(server.wait(), 1)
        self.assertIn("error: could not become user root: ", server.raw())
        self.assertNotIn("Traceback", server.raw())

    def test_no_helper(self) -> None:
        """Nor if the privileged helper cannot become somebody: no traceback of that either."""
        self.folder.chmod(0o777)
        users = "user.privileged: root\nuser.unprivileged: daemon"
        server = self.spawn(self.as_user(self.foreground(self.configure(free_port(), more=users))))
        self.assertEqual(server.wait(), 1)
        why = "sockd: helper: error: could not become user root: "
        wait_until(lambda: why in server.raw(), "what the helper says")
        self.assertIn("error: could not become user daemon: ", server.raw())
        self.assertNotIn("Traceback", server.raw())
