"""A server that takes the place of another, and one that systemd has opened the sockets for."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import struct
import subprocess
from collections.abc import Sequence
from json import loads
from pathlib import Path

from dantetw.handover.client import HandoverClient
from dantetw.handover.names import names_of, predictable_name
from tests.descriptors import descriptors
from tests.scenarios.load import Load
from tests.scenarios.running import (
    DEADLINE,
    SOCKD,
    TWISTD,
    Running,
    Scenario,
    environment,
    wait_until,
)
from tests.scenarios.test_workers import children

TAKEN = "has taken our place"


def reset(client: socket.socket) -> None:
    """End a session at once, whatever its target does."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


class HandoverScenarios(Scenario):
    """``sockd upgrade``."""

    def upgrade(self, *more: str) -> Running:
        """A server that has taken the place of the one there is."""
        path = self.folder / "sockd.conf"
        (self.folder / "sockd.log").rename(self.folder / f"{len(os.listdir(self.folder))}.log")
        command = [*SOCKD, "upgrade", *more, "-f", str(path), "-p", str(self.folder / "sockd.pid")]
        server = self.spawn(command)
        wait_until(server.ready, "running")
        return server

    def pid(self) -> int:
        """What stands in the file for the process id."""
        return int((self.folder / "sockd.pid").read_text())

    def test_upgrades(self) -> None:
        """
        No client is refused while servers of two, three and one processes follow each other; each
        ends with its last session, and a session that is there goes on.
        """
        server = self.start()
        target = self.listening()
        client = self.live(server, target)
        far, _ = target.accept()
        self.addCleanup(far.close)
        load = Load(self, server)
        servers = [server]
        for number in ("3", "1"):
            before = load.count()
            wait_until(lambda before=before: load.count() > before + 20, "clients")
            servers.append(self.upgrade("-N", number))
            servers[-1].port = server.port
            self.assertEqual(self.pid(), servers[-1].pid)
        before = load.count()
        wait_until(lambda: load.count() > before + 20, "clients of the last")
        load.end()
        self.assertEqual(load.failures, [])
        self.assertEqual(servers[1].wait(), 0)
        self.assertIsNone(server.process.poll())
        client.sendall(b"question")
        self.assertEqual(far.recv(100), b"question")
        client.close()
        far.close()
        self.assertEqual(server.wait(), 0)
        self.assertEqual(self.pid(), servers[-1].pid)
        self.assertEqual(servers[-1].stop(), 0)

    def test_at_once(self) -> None:
        """While one upgrade is under way, another says so and ends; the server goes on."""
        server = self.start()
        path = self.folder / "sockd.conf"
        command = [*SOCKD, "upgrade", "-f", str(path), "-p", str(self.folder / "sockd.pid")]
        first = HandoverClient(str(server.pid))
        second = self.spawn(command)
        self.assertEqual(second.wait(), 1)
        words = f"process {os.getpid()} is taking the place of process {server.pid}"
        self.assertIn(words, second.raw())
        self.assertEqual(self.pid(), server.pid)
        first.close()
        second = self.upgrade()
        self.assertEqual(self.pid(), second.pid)
        self.assertEqual(server.wait(), 0)
        self.assertEqual(second.stop(), 0)

    def rotate(self, number: int) -> None:
        """What logrotate does: rename, and compress what was renamed at the last time."""
        log = self.folder / "sockd.log"
        before = self.folder / f"sockd.log.{number - 1}"
        if before.exists():
            data = before.read_bytes()
            before.with_suffix(f".{number - 1}.gz").write_bytes(gzip.compress(data))
            before.unlink()
        log.rename(self.folder / f"sockd.log.{number}")
        log.touch()

    def logged(self) -> str:
        """All that stands in the log and in what it was renamed to."""
        parts = [gzip.decompress(path.read_bytes()).decode() for path in self.folder.glob("*.gz")]
        parts += [path.read_text() for path in self.folder.glob("*.log*") if path.suffix != ".gz"]
        return "\n".join(parts)

    def replaced(self, number: int, more: str = "") -> tuple[list[Running], list[socket.socket]]:
        """Servers that have followed each other, with a session in each; the last is in charge."""
        servers, target = [self.start(more=more)], self.listening()
        clients = [self.live(servers[0], target)]
        for _ in range(number):
            servers.append(self.upgrade())
            servers[-1].port = servers[0].port
            # It runs before the old one has heard of it, whose workers would accept clients.
            wait_until(lambda: not self.listens(servers[-2]), "the old server to retire")
            clients.append(self.live(servers[-1], target))
        return servers, clients

    def open_to(self, server: Running) -> set[str]:
        """What the processes of a server have open."""
        processes = (server.pid, *children(server.pid))
        return {what for process in processes for _, what in descriptors(process)}

    def listens(self, server: Running) -> bool:
        """Whether clients can come to a server."""
        port = f":{server.port:04X}"
        # Where each line has the state and the socket's number (``proc(5)``).
        tcp = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        listening = {f"socket:[{it[9]}]" for it in tcp if it[1].endswith(port) and it[3] == "0A"}
        return not listening.isdisjoint(self.open_to(server))

    def hang_up(self, server: Running, number: int) -> None:
        """SIGHUP; wait until all of the server has heard."""
        server.send(signal.SIGHUP)
        done = "SIGHUP ]: config reloaded."
        wait_until(lambda: self.logged().count(done) == number, "a reload")

    def test_rotation(self) -> None:
        """
        Servers that were replaced follow two rotations with compression: no line of the ends of
        their sessions is lost.
        """
        servers, clients = self.replaced(2)
        for number in (1, 2):
            self.rotate(number)
            self.hang_up(servers[-1], number)
        for server in servers:
            wait_until(lambda server=server: self.writes_to(server), "the log of all servers")
        for client in clients:
            reset(client)
        for server in servers[:-1]:
            self.assertEqual(server.wait(), 0)
        wait_until(lambda: self.logged().count("tcp/connect ]") == 3, "the ends of all sessions")
        self.assertEqual(self.logged().count("tcp/accept ]"), 3)
        self.assertEqual(servers[-1].stop(), 0)

    def writes_to(self, server: Running) -> bool:
        """Whether all processes of a server have the log open, and nothing that was before."""
        folder = f"{self.folder.resolve()}/"
        logs = {what for what in self.open_to(server) if what.startswith(folder) and ".log" in what}
        return logs == {f"{folder}sockd.log"}

    def test_rotation_alone(self) -> None:
        """SIGHUP to a server that was replaced has it open its logs, and change nothing else."""
        servers, clients = self.replaced(1)
        path = self.folder / "sockd.conf"
        path.write_text(path.read_text() + "nonsense\n")
        self.rotate(1)
        servers[0].send(signal.SIGHUP)
        wait_until(lambda: self.writes_to(servers[0]), "the log of the old server")
        self.assertIn("has been replaced, and only opens its logs again", self.logged())
        self.assertNotIn("nonsense", self.logged())
        for client in clients:
            reset(client)
        self.assertEqual(servers[0].wait(), 0)
        self.assertEqual(servers[1].stop(), 0)

    def test_report(self) -> None:
        """One report has the sessions of all servers, each once."""
        json = self.folder / "sockd.json"
        servers, _ = self.replaced(2, f"log.format.json: {json}\nlogoutput: {json}")
        servers[-1].send(signal.SIGUSR1)
        wait_until(lambda: '"reported"' in json.read_text(), "a report")
        events = [loads(line) for line in json.read_text().splitlines()]
        kinds = [event["kind"] for event in events]
        self.assertEqual([kinds.count(kind) for kind in ("status", "reported")], [1, 1])
        # Which of them has a client that came right after an upgrade is not certain.
        old = [event["process"] for event in events if event["kind"] == "predecessor"]
        self.assertEqual(old, [servers[1].pid, servers[0].pid])
        self.assertEqual(kinds.count("active"), 3)
        (reported,) = [event for event in events if event["kind"] == "reported"]
        self.assertEqual((reported["told"], reported["gone"]), (3, 0))
        self.assertEqual(servers[-1].stop(), 0)

    def test_stop(self) -> None:
        """SIGTERM to the last ends all, each session with its line."""
        servers, clients = self.replaced(2)
        self.assertEqual(servers[-1].stop(), 0)
        for server in servers[:-1]:
            self.assertEqual(server.wait(), 0)
        self.assertEqual(self.logged().count("tcp/connect ]"), 3)
        for client in clients:
            self.assertEqual(client.recv(1), b"")

    def test_successor_killed(self) -> None:
        """If the one in charge is killed, those before it go on, and can still be told all."""
        servers, clients = self.replaced(1)
        servers[1].process.kill()
        servers[1].wait()
        self.rotate(1)
        servers[0].send(signal.SIGHUP)
        wait_until(lambda: self.writes_to(servers[0]), "the log of the old server")
        clients[0].sendall(b"x")
        self.assertEqual(servers[0].stop(), 0)
        self.assertIn("tcp/connect ]", (self.folder / "sockd.log").read_text())

    def test_rights(self) -> None:
        """So it is when the log can be opened by root only, and the server is nobody by now."""
        self.needs_root()
        servers, clients = self.replaced(1, "user.privileged: root\nuser.unprivileged: nobody")
        for number in (1, 2):
            self.rotate(number)
            (self.folder / "sockd.log").chmod(0o600)
            self.hang_up(servers[-1], number)
        wait_until(lambda: self.writes_to(servers[0]), "the log of the old server")
        for client in clients:
            reset(client)
        self.assertEqual(servers[0].wait(), 0)
        wait_until(lambda: self.logged().count("tcp/connect ]") == 2, "the ends of all sessions")
        self.assertEqual(servers[1].stop(), 0)

    def test_time_limit(self) -> None:
        """Sessions that last too long are ended: ``timeout.handover``."""
        server = self.start(more="timeout.handover: 1")
        client = self.live(server, self.listening())
        successor = self.upgrade()
        self.assertEqual(server.wait(), 0)
        self.assertEqual(client.recv(100), b"")
        old = [path.read_text() for path in self.folder.glob("[0-9]*.log")]
        self.assertIn("administrative termination", old[0])
        self.assertEqual(successor.stop(), 0)

    def test_successor_fails(self) -> None:
        """A successor that cannot start changes nothing."""
        server = self.start()
        good = self.folder / "sockd.conf"
        wrong = self.folder / "wrong.conf"
        wrong.write_text(good.read_text() + "username.file: nowhere\nsocksmethod: username\n")
        command = [*SOCKD, "upgrade", "-f", str(wrong), "-p", str(self.folder / "sockd.pid")]
        self.assertEqual(self.run_program(command).returncode, 1)
        self.live(server, self.listening())
        self.assertNotIn(TAKEN, server.raw())
        self.assertEqual(server.stop(), 0)

    def test_silent_successors(self) -> None:
        """Connections that say nothing keep no successor waiting."""
        server = self.start()
        names = [name for name in names_of(server.pid) if name != predictable_name(server.pid)]
        self.assertEqual(len(names), 1)
        for name in (*names, predictable_name(server.pid)) * 3:
            silent = socket.socket(socket.AF_UNIX)
            self.addCleanup(silent.close)
            silent.connect(name)
        successor = self.upgrade()
        self.assertEqual(server.wait(), 0)
        successor.port = server.port
        self.live(successor, self.listening())
        self.assertEqual(successor.stop(), 0)

    def test_nobody_there(self) -> None:
        """Without a server to follow there is a line that says so; exit status 1."""
        path = self.configure(1080)
        pidfile = self.folder / "sockd.pid"
        for text, said in (
            (None, "No such file or directory"),
            ("", "there is no process id"),
            (str(os.getpid()), "it has no socket for successors"),
        ):
            with self.subTest(text):
                if text is not None:
                    pidfile.write_text(text)
                command = [*SOCKD, "upgrade", "-f", str(path), "-p", str(pidfile)]
                done = self.run_program(command)
                self.assertEqual(done.returncode, 1)
                log = (self.folder / "sockd.log").read_text()
                self.assertIn(said, log)
                self.assertNotIn("Traceback", log + done.stderr.decode())


class ActivationScenarios(Scenario):
    """``LISTEN_FDS``: sockets that are there before the server is."""

    def started_by_systemd(self, listening: Sequence[socket.socket], path: Path) -> Running:
        """A server that is given these sockets as systemd does it."""
        moved = [f"{3 + place}<&{sock.fileno()}-" for place, sock in enumerate(listening)]
        names = ":".join("sockd.socket" for _ in listening)
        variables = f"LISTEN_PID=$$ LISTEN_FDS={len(listening)} LISTEN_FDNAMES={names}"
        shell = f'{variables} exec "$@" {" ".join(moved)}'
        with (self.folder / "output").open("wb") as output:
            process = subprocess.Popen(
                [
                    *("bash", "-c", shell, "bash", *TWISTD),
                    *("--pidfile=", "-n", "sockd", "--config", str(path)),
                ],
                stdout=output,
                stderr=output,
                pass_fds=[sock.fileno() for sock in listening],
                env=environment(),
                cwd=self.folder,
            )
        self.addCleanup(process.wait, DEADLINE)
        self.addCleanup(process.kill)
        port = listening[0].getsockname()[1]
        return Running(process, port, self.folder / "sockd.log", self.folder / "output")

    def test_given(self) -> None:
        """Clients that came before the server did are served; sockets nobody wants are let go."""
        self.program("bash")
        given, unwanted = self.listening(), self.listening()
        path = self.configure(given.getsockname()[1])
        early = socket.create_connection(given.getsockname(), DEADLINE)
        self.addCleanup(early.close)
        early.sendall(b"\x05\x01\x00")
        server = self.started_by_systemd([given, unwanted], path)
        wait_until(server.ready, "running")
        given.close()
        where = unwanted.getsockname()
        unwanted.close()
        self.assertEqual(early.recv(2), b"\x05\x00")
        self.live(server, self.listening())
        with socket.socket() as probe:
            self.assertNotEqual(probe.connect_ex(where), 0)
        self.assertEqual(server.stop(signal.SIGTERM), 0)
