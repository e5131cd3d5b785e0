"""Servers of several processes to which something happens."""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
import socket
import threading
from pathlib import Path
from typing import Any

from tests.scenarios.load import Load
from tests.scenarios.running import Running, free_port, wait_until
from tests.scenarios.test_workers import CLIENTS, DIED, WorkerScenario, children, offspring

QUESTION, ANSWER = b"question", b"an answer that is longer"


def descriptors(pid: int) -> int:
    """How many descriptors a process has."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def zombies(pid: int) -> list[int]:
    """Children of a process that have ended, and that it has not asked about."""
    return [child for child, state in offspring(pid) if state == "Z"]


def refused(port: int) -> bool:
    """Whether nobody listens at a port."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


class Reader:
    """Reads a FIFO in a thread, so that whoever writes there need not wait."""

    def __init__(self, case: WorkerScenario, path: Path) -> None:
        os.mkfifo(path)
        self.heard = b""
        self._reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        # So that there is no end of file while nobody else writes.
        self._writer = os.open(path, os.O_WRONLY)
        os.set_blocking(self._reader, True)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        case.addCleanup(self.end)

    def _read(self) -> None:
        while piece := os.read(self._reader, 1 << 16):
            self.heard += piece

    def end(self) -> None:
        """Read what is left, and close."""
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1
            self._thread.join(60)
            os.close(self._reader)


class CrashScenarios(WorkerScenario):
    """Workers that end before their time."""

    def told(self, server: Running) -> list[tuple[int, int]]:
        """The bytes from and to the clients of sessions that a crash has ended."""
        found = []
        for line in server.lines():
            if DIED in line and "tcp/connect" in line:
                numbers = re.search(r"\]: (\d+) -> \S+ \S+ -> (\d+),", line)
                assert numbers is not None, line
                found.append((int(numbers[2]), int(numbers[1])))
        return found

    def test_bytes(self) -> None:
        """A session's bytes are told as they stood, in both logs; who logs nothing is not told."""
        server = self.begin()
        target = self.listening()
        pairs = []
        for _ in range(CLIENTS):
            client = self.live(server, target)
            far, _ = target.accept()
            self.addCleanup(far.close)
            client.sendall(QUESTION)
            far.sendall(ANSWER)
            self.assertEqual(client.recv(100), ANSWER)
            self.assertEqual(far.recv(100), QUESTION)
            pairs.append((client, far))

        # A worker notes bytes now and then, and for each report.
        server.send(signal.SIGUSR1)
        wait_until(lambda: self.events("reported"), "a report")
        for pid in children(server.pid):
            os.kill(pid, signal.SIGKILL)
        server.wait_for(2 * CLIENTS, DIED)
        self.assertEqual(self.told(server), [(len(QUESTION), len(ANSWER))] * CLIENTS)

        def crashed() -> list[Any]:
            return [
                event
                for event in self.events("session")
                if event["ending"]["cause"] == "crash"  # type: ignore[index]
            ]

        # Each line is in the other log first.
        wait_until(lambda: len(crashed()) >= CLIENTS, "as many sessions in the JSON log")
        events = crashed()
        self.assertEqual(len(events), CLIENTS)
        self.assertEqual(len({event["session"] for event in events}), CLIENTS)
        self.assertEqual(server.stop(), 0)

    def test_silent_rules(self) -> None:
        """Sessions under rules that log nothing are not told either when a worker dies."""
        server = self.begin()
        path = self.folder / "sockd.conf"
        path.write_text(re.sub(r"log: connect.*", "}", path.read_text()))
        server.send(signal.SIGHUP)
        server.wait_for(1, "config reloaded.")
        target = self.listening()
        for _ in range(CLIENTS):
            self.live(server, target)
        for pid in children(server.pid):
            os.kill(pid, signal.SIGKILL)
        server.wait_for(2, "was killed by signal 9; ")
        self.assertNotIn(DIED, server.raw())
        self.assertEqual(server.stop(), 0)

    def test_asked_to_end(self) -> None:
        """A worker that gets SIGTERM ends its sessions by itself, and is replaced."""
        server = self.begin()
        _, of = self.clients(server)
        pid, lost = max(of.items(), key=lambda each: len(each[1]))
        os.kill(pid, signal.SIGTERM)
        server.wait_for(1, f"(process {pid}) ended with 0; 0 sessions with it")
        lines = server.lines()
        self.assertEqual(sum("tcp/connect ]" in line for line in lines), len(lost))
        self.assertNotIn(DIED, server.raw())
        wait_until(lambda: len(children(server.pid)) == 2, "another worker")
        self.assertEqual(server.stop(), 0)

    def test_again_and_again(self) -> None:
        """However often workers die and the log is opened anew, the mother keeps nothing of it."""
        fifo = self.folder / "fifo"
        reader = Reader(self, fifo)
        server = self.start(log=f"{fifo} {self.folder / 'sockd.log'}")
        had = 0
        for number in range(1, 5):
            for pid in children(server.pid):
                os.kill(pid, signal.SIGKILL)
            server.wait_for(2 * number, "was killed by signal 9")
            wait_until(lambda: len(children(server.pid)) == 2, "other workers")
            for _ in range(2):
                done = sum("config reloaded." in line for line in server.lines())
                server.send(signal.SIGHUP)
                server.wait_for(done + 1, "config reloaded.")
            self.assertEqual(zombies(server.pid), [])
            # What the last reload has put out of use is closed a moment later.
            had = had or descriptors(server.pid)
            wait_until(lambda: descriptors(server.pid) <= had, f"{had} descriptors")  # noqa: B023
        self.assertEqual(server.stop(), 0)
        reader.end()
        self.assertEqual(reader.heard.count(b"was killed by signal 9"), 8)


class ReloadScenarios(WorkerScenario):
    """Changes of several processes."""

    def test_one_cannot(self) -> None:
        """If one worker cannot make a change none does; once it can, all do."""
        server = self.begin()
        self.clients(server)
        port = free_port()
        path = self.folder / "sockd.conf"
        old = path.read_text()
        path.write_text(f"internal: 127.0.0.1 port = {port}\n{old}")
        pid = children(server.pid)[1]
        taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
        lowest = min(set(range(len(taken) + 1)) - taken)
        most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest, most[1]))
        server.send(signal.SIGHUP)
        lines = server.wait_for(1, "the old one stays in force")
        self.assertTrue(any(re.search(r"worker \d: Too many open files$", line) for line in lines))
        # All processes close what was opened for the change, some a moment after the line.
        wait_until(lambda: refused(port), "nobody to listen at the new port")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, most)
        server.send(signal.SIGHUP)
        server.wait_for(1, "config reloaded.")
        for _ in range(CLIENTS):
            with socket.create_connection(("127.0.0.1", port), 60) as client:
                client.sendall(b"\x05\x01\x00")
                self.assertEqual(client.recv(2), b"\x05\x00")
        self.assertNotIn("was killed", server.raw())
        self.assertEqual(server.stop(), 0)

    def test_no_line_lost(self) -> None:
        """No line is lost on its way to a pipe that is opened anew under load."""
        fifo = self.folder / "fifo"
        reader = Reader(self, fifo)
        server = self.start(log=f"{fifo} {self.folder / 'sockd.log'}")
        load = Load(self, server)
        for number in range(1, 8):
            before = load.count()
            wait_until(lambda before=before: load.count() > before + CLIENTS, "clients")
            server.send(signal.SIGHUP)
            server.wait_for(number, "config reloaded.")
        load.end()
        self.assertEqual(load.failures, [])
        self.assertEqual(server.stop(), 0)
        reader.end()
        heard = reader.heard.decode()
        self.assertNotIn("lost", heard)
        for part in ("tcp/connect [", "tcp/connect ]"):
            self.assertEqual(heard.count(part), load.count())
            self.assertEqual(server.raw().count(part), load.count())

    def test_rotated(self) -> None:
        """After the log has been moved away and SIGHUP all write to the new one."""
        server = self.begin()
        self.clients(server)
        server.log.rename(self.folder / "old.log")
        server.send(signal.SIGHUP)
        server.wait_for(1, "config reloaded.")
        size = (self.folder / "old.log").stat().st_size
        self.assertEqual(server.stop(), 0)
        self.assertEqual((self.folder / "old.log").stat().st_size, size)
        ended = [line for line in server.lines() if "tcp/connect ]" in line]
        self.assertEqual(len(ended), CLIENTS)
        for pid in {event["pid"] for event in self.events("session")}:
            self.assertIn(f"[{pid}]: ", server.raw())

    def test_to_all(self) -> None:
        """SIGHUP and SIGUSR1 to all processes, as by a program that goes by the name, are one."""
        server = self.begin()
        self.clients(server)
        for number in (signal.SIGHUP, signal.SIGUSR1):
            for pid in (*children(server.pid), server.pid):
                os.kill(pid, number)
        server.wait_for(1, "config reloaded.")
        wait_until(lambda: self.events("reported"), "a report")
        self.assertEqual(len(self.events("reported")), 1)
        self.assertNotIn("was killed", server.raw())
        self.assertEqual(len(children(server.pid)), 2)
        self.assertEqual(server.stop(), 0)
