"""Servers of several processes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.scenarios.load import Load
from tests.scenarios.running import (
    ROOT,
    SOCKD,
    TWISTD,
    Running,
    Scenario,
    wait_until,
)

DIED = "server process died"
CLIENTS = 20


def offspring(pid: int) -> Iterator[tuple[int, str]]:
    """The processes that a process has made, and in which state each is (``proc(5)``)."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(text[1]) == pid:
            yield int(path.parent.name), text[0]


def children(pid: int) -> list[int]:
    """Those that are alive."""
    return sorted(child for child, state in offspring(pid) if state != "Z")


class WorkerScenario(Scenario):
    """A server with two workers, and clients of both."""

    def begin(self, more: str = "", **how: Any) -> Running:
        """Start a server that logs JSON too."""
        self.json = self.folder / "sockd.json"
        more = f"log.format.json: {self.json}\n{more}"
        return self.start(more=more, log=f"{self.folder / 'sockd.log'} {self.json}", **how)

    def events(self, kind: str) -> list[dict[str, object]]:
        """What the JSON log has of a kind."""
        events = [json.loads(line) for line in self.json.read_text().splitlines()]
        return [event for event in events if event["kind"] == kind]

    def clients(
        self, server: Running
    ) -> tuple[list[socket.socket], dict[int, list[socket.socket]]]:
        """Clients in the midst of sessions; all of them, and those of each worker."""
        target = self.listening()
        clients = [self.live(server, target) for _ in range(CLIENTS)]
        for client in clients:
            client.sendall(b"question")
        server.wait_for(CLIENTS, "tcp/connect [")
        by_port = {client.getsockname()[1]: client for client in clients}
        of: dict[int, list[socket.socket]] = {pid: [] for pid in children(server.pid)}
        for event in self.events("connected"):
            place = event["client"]
            assert isinstance(place, dict) and isinstance(event["pid"], int)
            if place["port"] in by_port:
                of[event["pid"]].append(by_port[place["port"]])
        return clients, of

    def alive(self, client: socket.socket) -> bool:
        """Whether a client's connection stands."""
        client.setblocking(False)
        try:
            return client.recv(1) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False


class DeathScenarios(WorkerScenario):
    """Workers, and mothers, that are killed."""

    def test_killed(self) -> None:
        """
        A worker that is killed is replaced; its sessions are told once each, with the cause, and
        those of the other are untouched.
        """
        server = self.begin()
        _, of = self.clients(server)
        self.assertEqual(len(of), 2)
        (victim, lost), (other, kept) = sorted(of.items(), key=lambda each: -len(each[1]))
        ports = sorted(client.getsockname()[1] for client in lost)
        os.kill(victim, signal.SIGKILL)
        server.wait_for(
            1, f"worker {1 + (victim > other)} (process {victim}) was killed by signal 9;"
        )
        server.wait_for(2 * len(lost), DIED)
        wait_until(lambda: len(children(server.pid)) == 2, "another worker")
        self.assertIn(other, children(server.pid))
        self.assertTrue(all(map(self.alive, kept)))
        self.clients(server)
        ended = [
            event["client"]["port"]  # type: ignore[index]
            for event in self.events("session")
            if event["ending"]["cause"] == "crash"  # type: ignore[index]
        ]
        self.assertEqual(sorted(ended), ports)
        numbers = [event["session"] for event in self.events("accepted")]
        self.assertEqual(len(set(numbers)), 2 * CLIENTS)
        server.send(signal.SIGUSR1)
        server.wait_for(1, "started: 2")
        server.wait_for(1, f"a: {2 * CLIENTS}, h: {2 * CLIENTS} c: {2 * CLIENTS - len(lost)}")
        self.assertEqual(server.stop(), 0)

    def test_mother_killed(self) -> None:
        """Without a mother the workers end, and with them their sessions, each with its line."""
        server = self.begin()
        self.clients(server)
        workers = children(server.pid)
        server.process.kill()
        server.wait()
        server.wait_for(CLIENTS, "tcp/accept ]")

        def gone() -> bool:
            return not any(self.running(pid) for pid in workers)

        wait_until(gone, "the workers' end")

    def running(self, pid: int) -> bool:
        """Whether a process runs."""
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False


class OrderScenarios(WorkerScenario):
    """What all are told."""

    def test_stop(self) -> None:
        """SIGTERM ends all, each session with its line, and no process is left."""
        server = self.begin()
        clients, _ = self.clients(server)
        workers = children(server.pid)
        self.assertEqual(server.stop(), 0)
        lines = server.lines()
        self.assertEqual(sum("tcp/connect ]" in line for line in lines), CLIENTS)
        self.assertEqual(lines[-1], "alert: mother[1/1]: shutting down")
        self.assertFalse(any(map(self.alive, clients)))
        for pid in workers:
            self.assertRaises(ProcessLookupError, os.kill, pid, 0)

    def test_terminal(self) -> None:
        """A signal that goes to all of them, as Ctrl-C does, is one stop."""
        server = self.begin()
        self.clients(server)
        for pid in (*children(server.pid), server.pid):
            os.kill(pid, signal.SIGINT)
        self.assertEqual(server.wait(), 0)
        self.assertNotIn("was killed", server.raw())
        self.assertEqual(sum("tcp/connect ]" in line for line in server.lines()), CLIENTS)

    def test_report(self) -> None:
        """One report: totals, a row for each worker, all sessions."""
        server = self.begin()
        self.clients(server)
        server.send(signal.SIGUSR1)
        wait_until(lambda: self.events("reported"), "a report")
        (status,) = self.events("status")
        workers = self.events("worker")
        self.assertEqual((status["accepted"], status["current"]), (CLIENTS, CLIENTS))
        self.assertEqual([each["place"] for each in workers], [1, 2])
        self.assertEqual([each["process"] for each in workers], children(server.pid))
        self.assertEqual(sum(int(str(each["current"])) for each in workers), CLIENTS)
        self.assertEqual(len(self.events("active")), CLIENTS)
        self.assertEqual(self.events("reported")[0]["told"], CLIENTS)
        server.stop()

    def test_reload(self) -> None:
        """A reload under load costs no session; a wrong one changes nothing in any process."""
        server = self.begin()
        load = Load(self, server)
        path = self.folder / "sockd.conf"
        good = path.read_text()
        for number in range(1, 4):
            server.send(signal.SIGHUP)
            server.wait_for(number, "SIGHUP ]: config reloaded.")
        before = load.count()
        wait_until(lambda: load.count() > before + CLIENTS, "clients")
        path.write_text(good.replace("socks pass", "socks nonsense"))
        server.send(signal.SIGHUP)
        server.wait_for(1, "the old one stays in force")
        before = load.count()
        wait_until(lambda: load.count() > before + CLIENTS, "clients")
        path.write_text(good.replace("socks pass", "socks block"))
        load.end()
        self.assertEqual(load.failures, [])
        server.send(signal.SIGHUP)
        server.wait_for(4, "SIGHUP ]: config reloaded.")
        for _ in range(CLIENTS):
            with socket.create_connection(("127.0.0.1", server.port), 60) as client:
                client.sendall(b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50")
                heard = b""
                while piece := client.recv(100):
                    heard += piece
            self.assertEqual(heard[2:4], b"\x05\x02")
        self.assertEqual(server.stop(), 0)

    def test_moved(self) -> None:
        """An address becomes the wildcard on the same port and comes back; clients stay."""
        server, target = self.begin(), self.listening()
        path = self.folder / "sockd.conf"
        here = path.read_text()
        there = here.replace("internal: 127.0.0.1", "internal: 0.0.0.0")
        clients = []
        for number, text in enumerate((there, here, there), 1):
            clients += [self.live(server, target) for _ in range(CLIENTS)]
            path.write_text(text)
            server.send(signal.SIGHUP)
            server.wait_for(number, "SIGHUP ]: config reloaded.")
        clients += [self.live(server, target) for _ in range(CLIENTS)]
        self.assertTrue(all(map(self.alive, clients)))
        self.assertEqual(server.stop(), 0)

    def test_requests(self) -> None:
        """A worker that has had ``child.maxrequests`` is followed by another, and loses nobody."""
        server = self.begin(more="child.maxrequests: 30")
        first = children(server.pid)
        client = self.live(server, self.listening())
        load = Load(self, server)
        wait_until(lambda: len(set(children(server.pid)) | set(first)) >= 4, "two successors")
        load.end()
        self.assertEqual(load.failures, [])
        self.assertTrue(self.alive(client))
        self.assertNotIn("was killed", server.raw())
        self.assertEqual(server.stop(), 0)


class LineScenarios(WorkerScenario):
    """Lines of two processes in one pipe."""

    def test_whole(self) -> None:
        """Lines far longer than a pipe takes at once come out whole."""
        fifo = self.folder / "fifo"
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        server = self.start(log=f"{fifo} {self.folder / 'sockd.log'}")
        path = self.folder / "sockd.conf"
        path.write_text(path.read_text().replace("log: connect", "log: data connect"))
        server.send(signal.SIGHUP)
        server.wait_for(1, "SIGHUP ]: config reloaded.")
        target = self.listening()
        clients = [self.live(server, target) for _ in range(8)]
        for place, client in enumerate(clients):
            for _ in range(5):
                client.sendall(bytes([65 + place]) * 6000)
        for client in clients:
            client.close()
        text = bytearray()

        def read() -> bool:
            try:
                text.extend(os.read(reader, 1 << 20))
            except BlockingIOError:
                pass
            return sum(map(len, re.findall(rb"[A-H]{100,}", text))) == 8 * 5 * 6000

        wait_until(read, "all that was sent")
        shown = re.findall(rb"^.*?\(\d+\): ([A-H]+)$", text, re.MULTILINE)
        self.assertEqual(sum(map(len, shown)), 8 * 5 * 6000)
        for each in shown:
            self.assertEqual(len(set(each)), 1)
        for line in text.splitlines():
            self.assertRegex(line, rb"^\w{3} .*? sockd\[\d+\]: \w+: ")
        server.stop()


class WayScenarios(WorkerScenario):
    """However it is started."""

    def test_ways(self) -> None:
        """``twistd sockd``, ``sockd.tac`` and ``sockd -D`` keep workers; ``-N 1`` does not."""
        pidfile = self.folder / "pid"
        config = self.folder / "sockd.conf"
        for command, number, background in (
            ([*TWISTD, "--pidfile=", "-n", "sockd", "--config", str(config)], 2, False),
            ([*TWISTD, "--pidfile=", "-noy", str(ROOT / "sockd.tac")], 2, False),
            ([*SOCKD, "-D", "-f", str(config), "-p", str(pidfile)], 2, True),
            ([*SOCKD, "-f", str(config), "-p", str(pidfile), "-N", "3"], 3, False),
            ([*SOCKD, "-f", str(config), "-p", str(pidfile), "-N", "1"], 0, False),
        ):
            with self.subTest(command):
                (self.folder / "sockd.log").unlink(missing_ok=True)
                server = self.start(self.command(command), SOCKD_CONFIG=str(config))
                if background:
                    self.assertEqual(server.wait(), 0)
                    server.pid = int(pidfile.read_text())
                self.assertEqual(len(children(server.pid)), number)
                self.live(server, self.listening())
                server.send(signal.SIGTERM)
                server.wait_for(1, "shutting down")
                wait_until(lambda: not children(server.pid), "the end")  # noqa: B023

    def command(self, words: Sequence[str]) -> Callable[[Path], Sequence[str]]:
        """What makes such a command line."""
        return lambda path: words

    def test_first_process(self) -> None:
        """As process 1 of a container it keeps workers, and ends with status 0."""
        self.needs_root()
        self.program("unshare")

        def command(path: Path) -> Sequence[str]:
            inner = [*SOCKD, "-f", str(path), "-p", ""]
            return ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *inner]

        server = self.start(command)
        (first,) = children(server.pid)
        self.assertEqual(len(children(first)), 2)
        os.kill(children(first)[0], signal.SIGKILL)
        server.wait_for(1, "was killed by signal 9")
        wait_until(lambda: len(children(first)) == 2, "another worker")
        self.live(server, self.listening())
        os.kill(first, signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
