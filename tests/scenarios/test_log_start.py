"""Scenarios: what a server of several processes logs of its destinations when it starts."""

from __future__ import annotations

import os
import signal
import socket
from collections import Counter

from tests.scenarios.running import Running, Scenario, free_port, wait_until
from tests.scenarios.test_workers import children

HASH = "$2b$05$abcdefghijklmnopqrstuuoFcVxq5tOhVPH4sUc2EMD3p4QY2rdqW"


class DestinationWarningTests(Scenario):
    """Destinations that cannot be opened."""

    def test_once(self) -> None:
        """What cannot be opened is logged once, not once more by each worker or its successor."""
        users = self.folder / "users"
        users.write_text(f"joe:{HASH}\n")
        users.chmod(0o644)
        absent = self.folder / "absent"
        server = self.start(
            method="username",
            more=f"errorlog: {absent}/errors.log\nusername.file: {users}\n",
            log=f"{self.folder / 'sockd.log'} {absent}/more.log syslog/kern",
        )
        first = children(server.pid)
        os.kill(first[0], signal.SIGKILL)
        wait_until(
            lambda: len(children(server.pid)) == 2 and children(server.pid) != first, "another"
        )
        self.wait_for_workers(server)
        server.stop()
        counted = Counter(
            line
            for line in server.lines()
            if "logfile" in line or "everybody" in line or "syslog" in line
        )
        self.assertEqual(set(counted.values()), {1}, counted)
        self.assertEqual(sum("openlogfile(): could not open" in line for line in counted), 2)
        self.assertEqual(sum("everybody" in line for line in counted), 1)

    def wait_for_workers(self, server: Running) -> None:
        """Wait until clients are greeted, several times, so that each worker has been there."""
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", server.port), 30) as client:
                client.sendall(b"\x05\x01\x02")
                self.assertEqual(client.recv(2), b"\x05\x02")

    def test_standard_error(self) -> None:
        """If no destination can be opened, warnings of workers too go to standard error."""
        closed = socket.socket()
        self.addCleanup(closed.close)
        closed.bind(("127.0.0.1", 0))  # bound, not listening
        port = closed.getsockname()[1]
        path = self.configure(
            ours := free_port(),
            more="external.log.warning.error: ECONNREFUSED",
            log=str(self.folder / "absent" / "sockd.log"),
        )
        server = self.spawn(self.foreground(path), ours)

        def asked() -> bool:
            try:
                client = socket.create_connection(("127.0.0.1", ours), 30)
            except OSError:
                return False
            with client:
                to = port.to_bytes(2, "big")
                client.sendall(b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01" + to)
                return bool(client.recv(12))

        wait_until(asked, "running")
        wait_until(lambda: "Connection refused" in server.raw(), "a warning")
        server.stop()
