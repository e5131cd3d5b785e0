"""Scenarios: the privileged helper of a server that root has started."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SkipTest

from dantetw.privileged.remote import ByHelper, RefusedError
from dantetw.privileged.requests import HelperTask
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
        # Nothing but the standard descriptors, its ends of the doors, and that for its reports.
        doors = max(1, len(children(server.pid)))
        numbers = [int(name) for name in os.listdir(f"/proc/{pid}/fd")]
        self.assertEqual(len([number for number in numbers if number > 2]), doors + 1)
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
        server.wait_for(1, "the privileged helper has ended: the server must be restarted")
        self.rewrite(server, "socksmethod: username", "socksmethod: none")
        server.wait_for(1, "could not open config file")
        server.wait_for(1, "the old one stays in force")
        # Everybody may read it again, and the log, which is root's, cannot be opened anew.
        (self.folder / "sockd.conf").chmod(0o644)
        server.send(signal.SIGHUP)
        server.wait_for(1, "could not (re)open logfile")
        server.wait_for(1, "config reloaded")
        self.live(server, target)
        self.assertEqual(server.stop(), 0)
        self.assertNotIn("Traceback", server.raw())

    def test_malicious(self) -> None:
        """Whoever has taken the server over gets nothing that the configuration does not name."""
        server = self.start(more=DROP)
        log = str(self.folder / "sockd.log")
        # So that the server has a channel.
        server.send(signal.SIGHUP)
        server.wait_for(1, "SIGHUP ]")
        door, channel, *_ = self.packet_sockets(server.pid)
        with door, socket.socket() as sock:
            taken = ByHelper(door)
            taken._free.append(channel)
            shadow = "/etc/shadow"
            for order in (
                lambda: taken.open_log("/etc/passwd"),
                lambda: taken.open_log(f"{self.folder}/../{self.folder.name}/sockd.log"),
                lambda: taken._ask(HelperTask.OPEN_FILE, shadow),
                lambda: taken._ask(HelperTask.STAMP, shadow),
                lambda: taken._ask(
                    HelperTask.BIND, "127.0.0.1", 22, 0, descriptors=[sock.fileno()]
                ),
                lambda: taken.check_password("root", b"toor"),
                taken.start_pam,
            ):
                self.assertRaises(RefusedError, order)
            # It is the helper that reports it, to the server and not to whoever asks.
            said = f"(process {server.pid})"
            server.wait_for(7, said)
            self.assertEqual(len([line for line in server.lines() if said in line]), 7)
            os.close(taken.open_log(log))
            # The log's folder is the server's now, and so is what stands there.
            os.chown(self.folder, self.nobody.pw_uid, self.nobody.pw_gid)
            os.unlink(log)
            os.symlink("/etc/passwd", log)
            os.lchown(log, self.nobody.pw_uid, self.nobody.pw_gid)
            bent = self.assertRaises(OSError, taken.open_log, log)
            self.assertEqual(bent.errno, errno.ELOOP)
            taken.close()
        self.live(server, self.listening())
        self.assertEqual(server.stop(), 0)

    def test_taken_worker(self) -> None:
        """A worker's door is no way to what is the supervisor's, whoever has got hold of it."""
        server = self.start(self.two_workers, more=DROP)
        pid = helper_of(server.pid)
        worker = next(child for child in children(server.pid) if child != pid)
        doors = self.packet_sockets(worker)
        self.assertEqual(len(doors), 1)  # the supervisor's is closed there
        taken = ByHelper(doors[0])
        for what in (HelperTask.EMPTY_PIDFILE, HelperTask.OPEN_CONFIG):
            self.assertRaises(RefusedError, taken._ask, what)
        taken.close()
        server.wait_for(2, "only the supervisor process may")
        self.assertNotEqual((self.folder / "sockd.pid").read_text(), "")
        self.assertEqual(server.stop(), 0)
        self.assertEqual((self.folder / "sockd.pid").read_text(), "")

    def test_memory(self) -> None:
        """No process of the server can look into another one, nor be looked into."""
        server = self.start(self.two_workers, more=DROP)
        code = (
            "import os, sys\n"
            "uid, gid = int(sys.argv[1]), int(sys.argv[2])\n"
            "os.setgroups([]); os.setresgid(gid, gid, gid); os.setresuid(uid, uid, uid)\n"
            "for pid in sys.argv[3:]:\n"
            "    for name in ('mem', 'environ', 'fd/3'):\n"
            "        try:\n"
            "            open(f'/proc/{pid}/{name}', 'rb')\n"
            "        except PermissionError:\n"
            "            print('refused')\n"
        )
        user = (str(self.nobody.pw_uid), str(self.nobody.pw_gid))
        pids = [str(pid) for pid in (server.pid, *children(server.pid))]
        done = self.run_program([sys.executable, "-c", code, *user, *pids])
        self.assertEqual(done.stdout.split(), [b"refused"] * 3 * len(pids), done.stderr)
        self.assertEqual(server.stop(), 0)

    def test_append_only(self) -> None:
        """A log that the filesystem lets nobody cut is written and opened again as ever."""
        self.program("chattr")
        log = self.folder / "only.log"
        log.touch()
        self.addCleanup(self.run_program, ["chattr", "-a", str(log)])
        if self.run_program(["chattr", "+a", str(log)]).returncode:
            raise SkipTest("this filesystem has no such attribute")
        server = self.start(self.two_workers, more=DROP, log=f"{log} {self.folder}/sockd.log")
        server.send(signal.SIGHUP)
        server.wait_for(1, "SIGHUP ]")
        self.live(server, self.listening())
        self.assertEqual(server.stop(), 0)
        self.assertEqual(log.read_text(), (self.folder / "sockd.log").read_text())
        with log.open("ab") as file:
            self.assertRaises(PermissionError, file.truncate, 0)

    def two_workers(self, path: Path) -> list[str]:
        """The command line of a server with two workers."""
        return [*SOCKD, "-N", "2", "-f", str(path), "-p", str(self.folder / "sockd.pid")]

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

    def packet_sockets(self, pid: int) -> list[socket.socket]:
        """A process's end of the door, and of each of its channels, taken from it."""
        found = []
        for number in self.descriptors(pid):
            sock = socket.socket(fileno=number)
            if (sock.family, sock.type) == (socket.AF_UNIX, socket.SOCK_SEQPACKET):
                sock.settimeout(30)
                self.addCleanup(sock.close)
                found.append(sock)
            else:
                sock.close()
        return found

    def descriptors(self, pid: int) -> Iterator[int]:
        """Duplicates of a process's sockets."""
        try:
            process = os.pidfd_open(pid)
        except (AttributeError, OSError):
            raise SkipTest("this kernel knows no descriptors for processes") from None
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            for name in sorted(os.listdir(f"/proc/{pid}/fd"), key=int):
                if not os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                    continue
                number = libc.syscall(_PIDFD_GETFD, process, int(name), 0)
                if number < 0:
                    raise SkipTest(f"descriptors cannot be taken: {ctypes.get_errno()}")
                yield number
        finally:
            os.close(process)
