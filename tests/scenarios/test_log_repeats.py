"""Scenarios: warnings that several workers have alike."""

from __future__ import annotations

import json
import re
import signal
import socket

from tests.scenarios.running import Running, wait_until
from tests.scenarios.test_workers import WorkerScenario

CLIENTS = 60


class RepeatedWarningTests(WorkerScenario):
    """A target that refuses the clients of two workers."""

    def refused(self, server: Running, port: int) -> None:
        """A client whose target refuses."""
        with socket.create_connection(("127.0.0.1", server.port), 60) as client:
            to = port.to_bytes(2, "big")
            client.sendall(b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01" + to)
            heard = b""
            while piece := client.recv(100):
                heard += piece
            self.assertEqual(heard[2:4], b"\x05\x05")

    def test_together(self) -> None:
        """There is one warning, and sums of all that both have had; JSON says whom it was about."""
        server = self.begin("external.log.warning.error: ECONNREFUSED\n")
        closed = socket.socket()
        self.addCleanup(closed.close)
        closed.bind(("127.0.0.1", 0))  # bound, not listening
        for _ in range(CLIENTS):
            self.refused(server, closed.getsockname()[1])
        wait_until(lambda: self.counted(server) == CLIENTS, "all are counted")
        texts = [line for line in server.lines() if line.startswith("warning: connect to host")]
        self.assertEqual(len(texts), 1, server.raw())
        pids = {event["pid"] for event in self.events("session")}
        self.assertEqual(len(pids), 2)
        first, *sums = self.events("failure")
        client = first["client"]
        assert isinstance(client, dict)
        self.assertEqual((client["host"], first["user"]), ("127.0.0.1", None))
        self.assertGreater(client["port"], 0)
        for event in sums:
            self.assertEqual(event["client"], {"host": "127.0.0.1", "port": 0})
        self.assertEqual(server.stop(), 0)

    def counted(self, server: Running) -> int:
        """How many times it has been told, in one way or the other."""
        total = 0
        for line in server.lines():
            if found := re.search(r"last message repeated (\d+) times?: connect", line):
                total += int(found[1])
            total += line.startswith("warning: connect to host")
        return total

    def test_stopped(self) -> None:
        """None goes uncounted when the server is stopped meanwhile."""
        server = self.begin("external.log.warning.error: ECONNREFUSED\n")
        closed = socket.socket()
        self.addCleanup(closed.close)
        closed.bind(("127.0.0.1", 0))
        for _ in range(CLIENTS):
            self.refused(server, closed.getsockname()[1])
        self.assertEqual(server.stop(signal.SIGTERM), 0)
        self.assertEqual(self.counted(server), CLIENTS, server.raw())
        counted = [json.loads(line).get("repeated", 1) for line in self.failures()]
        self.assertEqual(sum(counted), CLIENTS)

    def failures(self) -> list[str]:
        """Lines of failures in the JSON log."""
        return [line for line in self.json.read_text().splitlines() if '"kind":"failure"' in line]
