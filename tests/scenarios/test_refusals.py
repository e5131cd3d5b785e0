"""Scenarios: starts that fail are reported where the server was started."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence

from twisted.trial.unittest import SkipTest

from tests.scenarios.running import ROOT, SOCKD, TWISTD, Scenario, free_port, wait_until

MISSING = "No such file or directory"
TAC = str(ROOT / "sockd.tac")


class RefusalScenarios(Scenario):
    """The whole command, in the foreground and in the background."""

    def refused(self, command: Sequence[str], line: str) -> None:
        """A command ends with status 1 and this one line on standard error."""
        with self.subTest(" ".join(command)):
            done = self.run_program(command, SOCKD_CONFIG=str(self.folder / "sockd.conf"))
            self.assertEqual((done.stderr.decode(), done.stdout), (line, b""))
            self.assertEqual(done.returncode, 1)

    def all_ways(self, flags: Sequence[str], line: str, tac_line: str | None = None) -> None:
        """``twistd sockd`` and the application file, with these flags of twistd's."""
        path = str(self.configure(free_port()))
        for mode in (["-n"], []):
            self.refused([*TWISTD, *mode, *flags, "sockd", "--config", path], line)
            self.refused([*TWISTD, *mode, *flags, "-oy", TAC], tac_line or line)
        self.assertEqual(list(self.folder.glob("twistd*")), [])

    def test_twistd_flags(self) -> None:
        """Whatever of twistd's own preparations fails, before there is a log."""
        gone = str(self.folder / "gone")
        for flag, hint in (("pidfile", "; with --pidfile= there is none"), ("rundir", "")):
            path = f"{gone}/file.pid" if flag == "pidfile" else gone
            flags = [f"--{flag}={path}"]
            if flag != "pidfile":
                flags.append("--pidfile=")
            start = "sockd: error: could not start: "
            self.all_ways(
                flags,
                f"{start}twistd's --{flag} {path}: {MISSING}{hint}\n",
                f"{start}{path}: {MISSING}\n",
            )

    def test_chroot(self) -> None:
        """``--chroot`` to a folder that is not there, and by somebody who may not."""
        gone = str(self.folder / "gone")
        path = str(self.configure(free_port()))
        self.folder.chmod(0o777)
        reason = MISSING if os.geteuid() == 0 else "Operation not permitted"
        for mode in (["-n"], []):
            command = [*TWISTD, *mode, "--pidfile=", f"--chroot={gone}", "sockd", "-f", path]
            line = f"sockd: error: could not start: twistd's --chroot {gone}: "
            self.refused(command, f"{line}{reason}\n")
            gone_for_nobody = command.copy()
            gone_for_nobody[-4] = "--chroot=/"
            line = "sockd: error: could not start: twistd's --chroot /: Operation not permitted\n"
            self.refused(self.as_user(gone_for_nobody), line)

    def test_uid(self) -> None:
        """``--uid`` of somebody whom we cannot become: what twistd logs of it is reported."""
        path = str(self.configure(free_port()))
        self.folder.chmod(0o777)
        beginning = "sockd: error: could not start: failed to set uid/gid 12345/12345: "
        for mode in (["-n"], []):
            command = [*TWISTD, *mode, "--pidfile=", "--uid=12345", "--gid=12345"]
            done = self.run_program(self.as_user([*command, "sockd", "-f", path]))
            self.assertEqual(done.returncode, 1)
            (said,) = done.stderr.decode().splitlines()
            self.assertEqual(said[: len(beginning)], beginning)

    def test_twistd_log(self) -> None:
        """``--logfile`` in a folder that is not there."""
        path = str(self.folder / "gone" / "twistd.log")
        line = f"sockd: error: could not start: twistd's --logfile {path}: {MISSING}\n"
        config = str(self.configure(free_port()))
        for mode in (["-n"], []):
            flags = ["--pidfile=", f"--logfile={path}"]
            self.refused([*TWISTD, *mode, *flags, "sockd", "-f", config], line)

    def test_unwritable_folder(self) -> None:
        """A working directory where the user may not write has no room for twistd's pid file."""
        path = str(self.configure(free_port()))
        self.folder.chmod(0o777)
        below = self.folder / "below"
        below.mkdir()
        below.chmod(0o555)
        inner = 'cd "$0" && exec "$@"'
        reason = f"{below}/twistd.pid: Permission denied"
        for mode in (["-n"], []):
            command = [*TWISTD, *mode, "sockd", "--config", path]
            shell = self.as_user(["sh", "-c", inner, str(below), *command])
            line = f"sockd: error: could not start: twistd's --pidfile {reason}"
            self.refused(shell, f"{line}; with --pidfile= there is none\n")

    def test_no_folder(self) -> None:
        """A working directory that has been removed."""
        path = str(self.configure(free_port()))
        below = self.folder / "below"
        remove = 'cd "$0" && rmdir "$0" && exec "$@"'
        line = f"sockd: error: twistd's --pidfile twistd.pid: {MISSING}\n"
        for mode in (["-n"], []):
            below.mkdir()
            command = [*TWISTD, *mode, "sockd", "--config", path]
            self.refused(["sh", "-c", remove, str(below), *command], line)

    def test_read_only(self) -> None:
        """On a file system that is read-only it is the same, and without a pid file it runs."""
        self.needs_root()
        path = str(self.configure(free_port(), log="stdout"))
        mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && exec "$@"'
        ours = ["unshare", "--mount", "sh", "-c", mount, str(self.folder)]
        if subprocess.run([*ours, "true"], capture_output=True, check=False).returncode:
            raise SkipTest("there is no way here to mount anything")
        line = (
            f"sockd: error: could not start: twistd's --pidfile {self.folder}/twistd.pid:"
            " Read-only file system; with --pidfile= there is none\n"
        )
        self.refused([*ours, *TWISTD, "-n", "sockd", "--config", path], line)
        server = self.spawn([*ours, *TWISTD, "-n", "--pidfile=", "sockd", "--config", path])
        wait_until(server.ready, "running")
        self.assertEqual(server.stop(), 0)

    def test_port(self) -> None:
        """A port that is taken is one line on the terminal, whole, however long the reason."""
        taken = self.listening()
        path = str(self.configure(taken.getsockname()[1]))
        reason = "serverinit(): failed to bind internal addresses: Address already in use"
        line = f"sockd: error: {reason}\n"
        for command in (
            [*SOCKD, "-p", "", "-f", path],
            [*SOCKD, "-D", "-p", "", "-f", path],
            [*TWISTD, "-n", "sockd", "--config", path],
            [*TWISTD, "sockd", "--config", path],
            [*TWISTD, "-ny", TAC],
            [*TWISTD, "-y", TAC],
        ):
            self.refused(command, line)
        # twistd's pid file has gone with the server, in the foreground too.
        self.assertEqual(list(self.folder.glob("twistd*")), [])

    def test_logged(self) -> None:
        """What the log shows on the same terminal is not repeated."""
        taken = self.listening()
        path = str(self.configure(taken.getsockname()[1], log="stderr"))
        done = self.run_program([*SOCKD, "-p", "", "-f", path])
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count(b"failed to bind internal addresses"), 1)

    def test_upgrade(self) -> None:
        """``sockd upgrade`` that finds no server says so, in the background as well."""
        path = str(self.configure(free_port()))
        pidfile = self.folder / "sockd.pid"
        for mode in ([], ["-D"]):
            done = self.run_program([*SOCKD, "upgrade", *mode, "-p", str(pidfile), "-f", path])
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stderr.decode(), f"sockd: error: {pidfile}: {MISSING}\n")

    def test_upgrade_of_another(self) -> None:
        """``sockd upgrade`` whose pid file has the number of another program says which."""
        path = str(self.configure(free_port()))
        other = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        pidfile = self.folder / "sockd.pid"
        pidfile.write_text(f"{other.pid}\n")
        done = self.run_program([*SOCKD, "upgrade", "-p", str(pidfile), "-f", path])
        self.assertEqual(done.returncode, 1)
        self.assertEqual(
            done.stderr.decode(),
            f"sockd: error: process {other.pid} does not hand over its sockets: it is another"
            ' program, "sleep": is the PID file stale?\n',
        )

    def test_missing_descriptors(self) -> None:
        """Standard descriptors closed at the start are not taken by what the server opens."""
        for mode in ([], ["-D"]):
            port = free_port()
            path = str(self.configure(port))
            pidfile = self.folder / "sockd.pid"
            pidfile.unlink(missing_ok=True)
            command = [*SOCKD, *mode, "-f", path, "-p", str(pidfile)]
            shell = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
            server = self.spawn(shell, port)
            server.wait_for(1, " running")
            pid = int(pidfile.read_text())
            for number in range(3):
                self.assertEqual(os.readlink(f"/proc/{pid}/fd/{number}"), os.devnull)
            socket.create_connection(("127.0.0.1", port), 60).close()
            os.kill(pid, 15)
            server.wait()
            (self.folder / "sockd.log").unlink()
