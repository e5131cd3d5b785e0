"""Workers that stand still, or die each time they are started: clients are served by the others."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path

from tests.scenarios.running import DEADLINE, PYTHON, wait_until
from tests.scenarios.test_workers import DIED, WorkerScenario, children

#: Clients that come, of which the kernel gives half to each worker.
MANY = 300


class StallingScenarios(WorkerScenario):
    """What becomes of clients, and of the worker."""

    def come(self, port: int, number: int = MANY) -> list[socket.socket]:
        """Clients that have connected, and have begun to speak."""
        clients = []
        for _ in range(number):
            client = socket.create_connection(("127.0.0.1", port), DEADLINE)
            self.addCleanup(client.close)
            client.sendall(b"\x05\x01\x00")
            clients.append(client)
        return clients

    def answered(self, clients: list[socket.socket]) -> int:
        """How many of them are."""
        return sum(client.recv(2) == b"\x05\x00" for client in clients)

    def test_stopped(self) -> None:
        """
        All clients that come while a worker is stopped are served by the other; SIGHUP and SIGTERM
        do not wait for it, and when it goes on it serves clients as before, by the new rules.
        """
        server = self.begin(more="timeout.worker: 0")
        victim, other = children(server.pid)
        os.kill(victim, signal.SIGSTOP)
        self.addCleanup(self.resume, victim)
        self.assertEqual(self.answered(self.come(server.port)), MANY)
        server.wait_for(1, "has not responded for 2 seconds")
        server.send(signal.SIGHUP)
        server.wait_for(1, "SIGHUP ]: config reloaded.")
        self.assertEqual(self.answered(self.come(server.port)), MANY)
        accepted = {event["pid"] for event in self.events("accepted")}
        self.assertEqual(accepted, {other})
        os.kill(victim, signal.SIGCONT)
        server.wait_for(1, "responds again")
        self.assertEqual(self.answered(self.come(server.port)), MANY)
        accepted = {event["pid"] for event in self.events("accepted")}
        self.assertEqual(accepted, {victim, other})
        os.kill(victim, signal.SIGSTOP)
        self.assertEqual(server.stop(), 0)
        self.assertFalse(Path(f"/proc/{victim}").exists())

    def resume(self, pid: int) -> None:
        """Let a process go on that was stopped, if it is still there."""
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGCONT)

    def test_killed(self) -> None:
        """One that stands still too long is killed and replaced; its sessions have their lines."""
        server = self.begin(more="timeout.worker: 3")
        _, of = self.clients(server)
        victim, sessions = max(of.items(), key=lambda each: len(each[1]))
        os.kill(victim, signal.SIGSTOP)
        self.addCleanup(self.resume, victim)
        server.wait_for(1, "has not responded for 3 seconds, and is killed")
        server.wait_for(2 * len(sessions), DIED)
        wait_until(lambda: len(children(server.pid)) == 2, "another worker")
        self.assertEqual(self.answered(self.come(server.port)), MANY)
        self.assertEqual(server.stop(), 0)

    def test_all_stopped(self) -> None:
        """When the whole server was stopped for long, none is taken for one that stands still."""
        server = self.begin(more="timeout.worker: 1")
        processes = [server.pid, *children(server.pid)]
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        threading.Event().wait(4)
        for pid in processes:
            os.kill(pid, signal.SIGCONT)
        self.assertEqual(self.answered(self.come(server.port)), MANY)
        self.assertEqual([server.pid, *children(server.pid)], processes)
        self.assertNotIn("has not responded", server.raw())
        self.assertEqual(server.stop(), 0)

    def mortal(self, path: Path) -> list[str]:
        """The command line of a server whose new workers die at once while there is a file."""
        code = f"""
import os, signal, sys
def die():
    if os.path.exists({str(self.mortality)!r}):
        os.kill(os.getpid(), signal.SIGKILL)
os.register_at_fork(after_in_child=die)
sys.argv[0] = "sockd"
from dantetw.cli.main import main
main()
"""
        return [PYTHON, "-c", code, "-f", str(path), "-p", str(self.folder / "sockd.pid")]

    def test_dies_again_and_again(self) -> None:
        """While one dies each time that it is started, the other serves the clients of both."""
        self.mortality = self.folder / "mortality"
        server = self.begin(command=self.mortal)
        self.mortality.touch()
        os.kill(children(server.pid)[0], signal.SIGKILL)
        server.wait_for(2, "was killed by signal 9")
        self.assertEqual(self.answered(self.come(server.port)), MANY)
        self.mortality.unlink()
        wait_until(lambda: len(children(server.pid)) == 2, "another worker")
        self.assertEqual(self.answered(self.come(server.port)), MANY)
        self.assertEqual(server.stop(), 0)

    def test_lifetime(self) -> None:
        """A worker older than ``child.maxlifetime`` is followed by another; its sessions go on."""
        server = self.begin(more="child.maxlifetime: 2")
        first = children(server.pid)
        client = self.live(server, self.listening())
        wait_until(lambda: len(set(children(server.pid)) - set(first)) >= 2, "successors")
        self.assertEqual(self.answered(self.come(server.port)), MANY)
        self.assertTrue(self.alive(client))
        self.assertNotIn("was killed", server.raw())
        self.assertEqual(server.stop(), 0)
