"""Scenarios: signals."""

from __future__ import annotations

import re
import signal
import socket
import time

from tests.scenarios.running import Scenario, mask

SHUTTING_DOWN = "alert: mother[1/1]: shutting down"


class StopScenarios(Scenario):
    """Signals that end the server."""

    def test_live_session(self) -> None:
        """A live session gets its closing lines, and the exit status is 0."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            with self.subTest(number.name):
                (self.folder / "sockd.log").unlink(missing_ok=True)
                server = self.start()
                target = self.listening()
                client = self.live(server, target)
                client.sendall(b"question")
                far, _ = target.accept()
                self.addCleanup(far.close)
                self.assertEqual(far.recv(8), b"question")
                server.wait_for(1, "tcp/connect [")
                self.assertEqual(server.stop(number), 0)
                tail = "administrative termination.  Session duration: Ns"
                lines = mask(server, target.getsockname()[1], server.lines())
                self.assertEqual(
                    lines[-4:],
                    [
                        f"info: sigterm(): exiting on signal {int(number)}",
                        f"info: pass(1): tcp/connect ]: 0 -> PEER SERVER -> 8, 8 -> PEER TARGET ->"
                        f" 0: {tail}",
                        f"info: pass(1): tcp/accept ]: 0 -> PEER SERVER -> 8: {tail}",
                        SHUTTING_DOWN,
                    ],
                )
                self.assertEqual(client.recv(1), b"")
                self.assertEqual(server.output.read_text(), "")

    def test_negotiating(self) -> None:
        """A client that has said nothing yet does not hold up the end, and is told of."""
        server = self.start()
        target = self.listening()
        self.live(server, target).close()
        with socket.create_connection(("127.0.0.1", server.port), 60) as client:
            client.sendall(b"\x05")
            server.wait_for(2, "tcp/accept [")
            self.assertEqual(server.stop(), 0)
        self.assertEqual(server.lines()[-1], SHUTTING_DOWN)

    def test_at_once(self) -> None:
        """A signal that comes with the first line of the log is heard."""
        server = self.start()
        self.assertEqual(server.stop(), 0)
        self.assertEqual(server.lines()[-1], SHUTTING_DOWN)

    def test_twice(self) -> None:
        """A second signal changes nothing."""
        server = self.start()
        server.send(signal.SIGTERM)
        try:
            server.send(signal.SIGINT)
        except ProcessLookupError:
            pass
        self.assertEqual(server.wait(), 0)
        stops = [line for line in server.lines() if "exiting on signal" in line]
        self.assertEqual(len(stops), 1, stops)

    def test_others(self) -> None:
        """SIGHUP and SIGUSR1 do not end the server, nor its sessions; SIGPIPE is nothing."""
        server = self.start()
        target = self.listening()
        client = self.live(server, target)
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE):
            server.send(number)
        # The last one is dealt with when a new client is served.
        self.live(server, target)
        server.wait_for(2, "tcp/connect [")
        far, _ = target.accept()
        self.addCleanup(far.close)
        client.sendall(b"still here")
        self.assertEqual(far.recv(10), b"still here")
        self.assertIsNone(server.process.poll())
        self.assertEqual(server.stop(), 0)

    def test_clock(self) -> None:
        """Lines have Dante's prefix: local time, seconds with microseconds, program, pid."""
        before = time.time()
        server = self.start()
        self.assertEqual(server.stop(), 0)
        pattern = r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \((\d+\.\d{6})\) sockd\[(\d+)\]: [a-z]+: ."
        for line in server.log.read_text().splitlines():
            found = re.match(pattern, line)
            assert found is not None, line
            self.assertEqual(int(found[2]), server.pid)
            self.assertTrue(before - 1 <= float(found[1]) <= time.time() + 1)
