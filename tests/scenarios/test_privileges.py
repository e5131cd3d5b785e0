"""Scenarios: the privileged helper of a server that root has started."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SkipTest

from dantetw.process.asking import Asking, RefusedError
from dantetw.process.orders import What
from tests.scenarios.rights import (
    DROP,
    RootScenario,
    children,
    effective,
    helper_of,
    is_gone,
    status,
)
from tests.scenarios.running import SOCKD, Running, free_port, wait_until

# <asm/unistd.h>, the same on all architectures.
_PIDFD_GETFD = 438


class PrivilegeScenarios(RootScenario):
    """A server that is nobody, with a helper that is root."""

    def setUp(self) -> None:
        super().setUp()
        # Trial's own folders are for root alone.
        self.folder = Path(tempfile.mkdtemp())
        self.folder.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.folder)
        self.private = self.folder / "private"
        self.private.mkdir(0o700)
        self.private.chmod(0o700)

    def rewrite(self, server: Running, old: str, new: str) -> None:
        """Change the configuration, which only root may read, and have it reloaded."""
        path = self.folder / "sockd.conf"
        text = path.read_text().replace(old, new)
        path.write_text(text)
        path.chmod(0o600)
        before = sum("SIGHUP ]" in line for line in server.lines())
        server.send(signal.SIGHUP)
        server.wait_for(before + 1, "SIGHUP ]")

    def low_port(self) -> int:
        """A port below 1024 that is free."""
        for port in range(1023, 900, -7):
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            return port
        raise SkipTest("no port below 1024 is free")

    def test_processes(self) -> None:
        """The server cannot be root any more; its helper is, and hears no signals."""
        server = self.start(more=DROP)
        pid = helper_of(server.pid)
        self.assertEqual(status(pid, "Uid"), ["0"] * 4)
        self.assertEqual(status(server.pid, "Uid"), [str(self.nobody.pw_uid)] * 4)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGTERM):
            os.kill(pid, number)
        # Nothing but the standard descriptors and its end of the door.
        numbers = [int(name) for name in os.listdir(f"/proc/{pid}/fd")]
        self.assertEqual(len([number for number in numbers if number > 2]), 1)
        self.assertEqual(server.stop(), 0)
        wait_until(lambda: is_gone(pid), "the end of the helper")
        self.assertEqual((self.folder / "sockd.pid").read_text(), "")
        self.assertNotIn("error", server.raw())

    def test_background(self) -> None:
        """In the background it is the same, and the helper is the server's own."""
        pidfile, log = self.folder / "sockd.pid", self.folder / "sockd.log"
        path = self.configure(free_port(), more=DROP)
        done = self.run_program([*SOCKD, "-f", str(path), "-D", "-p", str(pidfile)])
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        wait_until(lambda: log.exists() and " running" in log.read_text(), "running")
        server = int(pidfile.read_text())
        pid = helper_of(server)
        self.assertEqual((effective(server)[1], effective(pid)[1]), (self.nobody.pw_uid, 0))
        os.kill(server, signal.SIGTERM)
        for each in (server, pid):
            wait_until(lambda each=each: is_gone(each), f"the end of process {each}")
        self.assertEqual(pidfile.read_text(), "")

    def test_log(self) -> None:
        """SIGHUP opens a log anew in a folder that is root's alone."""
        log = self.private / "sockd.log"
        server = self.start(more=DROP, log=f"{log} {self.folder}/sockd.log")
        old = self.private / "old.log"
        log.rename(old)
        server.send(signal.SIGHUP)
        wait_until(log.exists, "the new file")
        server.wait_for(1, "SIGHUP ]")
        self.assertEqual((log.stat().st_uid, log.stat().st_mode & 0o777), (0, 0o640))
        self.assertEqual(server.stop(), 0)
        self.assertIn("SIGHUP [", old.read_text())
        self.assertIn("shutting down", log.read_text())

    def test_standard_output(self) -> None:
        """What the kernel calls standard output is the server's also when the helper opens it."""
        server = self.start(more=DROP, log="/dev/stdout")
        server.send(signal.SIGHUP)
        wait_until(lambda: "SIGHUP ]" in server.output.read_text(), "the end of the reload")
        self.assertEqual(server.stop(), 0)
        self.assertIn("shutting down", server.output.read_text())
        self.assertNotIn("could not", server.output.read_text())

    def test_port(self) -> None:
        """A reload binds a port below 1024, from a configuration that root alone may read."""
        server = self.start(more=DROP)
        old = f"port = {server.port}"
        server.port = self.low_port()
        self.rewrite(server, old, f"port = {server.port}")
        self.assertIn("config reloaded", server.raw())
        self.live(server, self.listening())
        self.assertEqual(effective(server.pid)[1], self.nobody.pw_uid)
        self.assertEqual(server.stop(), 0)

    def test_wildcard(self) -> None:
        """An address becomes the wildcard on its port, and the other way round, for nobody too."""
        server = self.start(more=DROP)
        for old, new in (("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1")):
            self.rewrite(server, f"internal: {old}", f"internal: {new}")
            self.assertNotIn("cannot be used", server.raw())
            self.live(server, self.listening())
        self.assertEqual(server.stop(), 0)

    def test_workers(self) -> None:
        """Workers are as the server, and each has its orders done, whatever became of the rest."""
        name, password = self.system_user()

        def three(path: Path) -> list[str]:
            return [*SOCKD, "-N", "3", "-f", str(path), "-p", str(self.folder / "sockd.pid")]

        server = self.start(three, method="username", more=DROP)
        port = self.listening().getsockname()[1]
        pid = helper_of(server.pid)
        workers = [child for child in children(server.pid) if child != pid]
        self.assertEqual(len(workers), 3)
        for worker in workers:
            self.assertEqual(status(worker, "Uid"), [str(self.nobody.pw_uid)] * 4)
            self.assertEqual(status(worker, "NoNewPrivs"), ["1"])
        for _ in range(12):
            self.assertEqual(self.log_in(server, name, password, port)[:4], b"\x05\x02\x01\x00")
        server.process.kill()
        server.wait()
        for each in (*workers, pid):
            wait_until(lambda each=each: is_gone(each), f"the end of process {each}")

    def test_killed(self) -> None:
        """Without its helper the server goes on; what needed it fails and says why."""
        name, password = self.system_user()
        server = self.start(method="username", more=DROP)
        target = self.listening()
        port = target.getsockname()[1]
        pid = helper_of(server.pid)
        os.kill(pid, signal.SIGKILL)
        server.wait_for(1, f"the privileged helper (process {pid}) has ended, by SIGKILL")
        # It has been buried.
        self.assertNotIn(pid, children(server.pid))
        self.assertEqual(self.log_in(server, name, password, port), b"\x05\x02\x01\x01")
        server.wait_for(1, "the privileged helper has ended: the server must be started anew")
        self.rewrite(server, "socksmethod: username", "socksmethod: none")
        server.wait_for(1, "could not open config file")
        server.wait_for(1, "the old one stays in force")
        # Everybody may read it again, and the log, which is root's, cannot be opened anew.
        (self.folder / "sockd.conf").chmod(0o644)
        server.send(signal.SIGHUP)
        server.wait_for(1, "could not (re)open logfile")
        self.live(server, target)
        self.assertEqual(server.stop(), 0)
        self.assertNotIn("Traceback", server.raw())

    def test_malicious(self) -> None:
        """Whoever has taken the server over gets nothing that the configuration does not name."""
        self.system_user()
        server = self.start(more=DROP)
        reports: list[str] = []
        log = str(self.folder / "sockd.log")
        with self.door(server) as door, socket.socket() as sock:
            taken = Asking(door, reports.append)
            shadow = "/etc/shadow"
            for order in (
                lambda: taken.open_log("/etc/passwd"),
                lambda: taken.open_log(f"{self.folder}/../{self.folder.name}/sockd.log"),
                lambda: taken._ask(What.OPEN_FILE, shadow),
                lambda: taken._ask(What.STAMP, shadow),
                lambda: taken._ask(What.BIND, "127.0.0.1", 22, 0, descriptors=[sock.fileno()]),
                lambda: taken.check_password("root", b"toor"),
                taken.start_pam,
            ):
                self.assertRaises(RefusedError, order)
            os.close(taken.open_log(log))
            # The log's folder is the server's now, and so is what stands there.
            os.chown(self.folder, self.nobody.pw_uid, self.nobody.pw_gid)
            os.unlink(log)
            os.symlink("/etc/passwd", log)
            os.lchown(log, self.nobody.pw_uid, self.nobody.pw_gid)
            bent = self.assertRaises(OSError, taken.open_log, log)
            self.assertEqual(bent.errno, errno.ELOOP)
            taken.close()
        self.assertEqual(len(reports), 7)
        self.live(server, self.listening())
        self.assertEqual(server.stop(), 0)

    def test_links_at_the_start(self) -> None:
        """Links of the server's user, from before, lead root's opening at the start nowhere."""
        precious = self.private / "precious"
        precious.write_text("precious\n")
        theirs = self.folder / "theirs"
        theirs.mkdir()
        for path in (theirs / "log", theirs / "pid"):
            path.symlink_to(precious)
            os.lchown(path, self.nobody.pw_uid, self.nobody.pw_gid)
        os.chown(theirs, self.nobody.pw_uid, self.nobody.pw_gid)

        def command(path: Path) -> list[str]:
            return [*SOCKD, "-f", str(path), "-p", str(theirs / "pid")]

        log = f"{self.folder}/sockd.log {theirs}/log"
        server = self.start(command, more=DROP, log=log)
        self.assertEqual(server.stop(), 0)
        self.assertEqual(precious.read_text(), "precious\n")
        said = "a link on the way belongs to user.unprivileged"
        for path in (theirs / "log", theirs / "pid"):
            lines = [line for line in server.lines() if said in line and str(path) in line]
            self.assertNotEqual(lines, [], path)

    def test_own_configuration(self) -> None:
        """A configuration that the server's user can write is not read with root's rights."""
        server = self.start(more=DROP)
        path = self.folder / "sockd.conf"
        os.chown(path, self.nobody.pw_uid, self.nobody.pw_gid)
        server.send(signal.SIGHUP)
        server.wait_for(1, "the file can be changed by user.unprivileged")
        server.wait_for(1, "the old one stays in force")
        self.live(server, self.listening())
        self.assertEqual(server.stop(), 0)

    def door(self, server: Running) -> socket.socket:
        """The server's end of the door, taken from it."""
        for number in self.descriptors(server):
            sock = socket.socket(fileno=number)
            if (sock.family, sock.type) == (socket.AF_UNIX, socket.SOCK_SEQPACKET):
                sock.settimeout(30)
                return sock
            sock.close()
        raise AssertionError("the server has no door")

    def descriptors(self, server: Running) -> Iterator[int]:
        """Duplicates of the server's sockets."""
        try:
            process = os.pidfd_open(server.pid)
        except (AttributeError, OSError):
            raise SkipTest("this kernel knows no descriptors for processes") from None
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            for name in os.listdir(f"/proc/{server.pid}/fd"):
                if not os.readlink(f"/proc/{server.pid}/fd/{name}").startswith("socket:"):
                    continue
                number = libc.syscall(_PIDFD_GETFD, process, int(name), 0)
                if number < 0:
                    raise SkipTest(f"descriptors cannot be taken: {ctypes.get_errno()}")
                yield number
        finally:
            os.close(process)
