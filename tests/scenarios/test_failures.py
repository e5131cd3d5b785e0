"""Scenarios: connections, clients and look-ups that really fail, and the warnings of it."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket

from tests.scenarios.network import (
    ABSENT,
    HERE,
    NOWHERE,
    SILENT,
    SILENT_TOO,
    NetworkScenario,
    reset,
)
from tests.scenarios.running import wait_until

#: A port of targets where nobody listens.
CLOSED = 9


def place(sock: socket.socket) -> str:
    """A socket's own address as it stands in the log."""
    host, port = sock.getsockname()
    return f"{host}.{port}"


class ConnectTests(NetworkScenario):
    """Targets that cannot be reached."""

    def test_unreachable(self) -> None:
        """Each way of not being reached has its line, at its level, and its reply."""
        self.run_server(
            "external.log.crit.error: ECONNREFUSED\n"
            "external.log.err.error: ENETUNREACH\n"
            "external.log.warning.error: EHOSTUNREACH\n"
            "external.log.notice.error: ETIMEDOUT\n"
            "internal.log.alert.error: system-any\n"
            f"socks pass {{ from: 0/0 to: {SILENT_TOO}/32 timeout.connect: 1 }}"
        )
        places = [(HERE, CLOSED), (NOWHERE, 80), (ABSENT, 80), (SILENT, 80), (SILENT_TOO, 80)]
        clients = [self.asking(*target) for target in places]
        self.assertEqual([self.reply(client) for client in clients], [5, 3, 4, 6, 6])
        self.assertEqual(
            self.failures(),
            [
                f"critical: connect to host {HERE}.{CLOSED} failed: Connection refused",
                f"error: no route to {NOWHERE}.80: Network is unreachable",
                f"notice: connect to host {SILENT}.80 failed: Connection timed out",
                f"notice: connect to host {SILENT_TOO}.80 failed: Connection timed out",
                f"warning: no route to {ABSENT}.80: No route to host",
            ],
        )

    def test_groups(self) -> None:
        """
        ``no-route`` and ``system-any`` find them too; what several lines name, also in the rule, is
        told once, at the most severe of their levels.
        """
        self.run_server(
            "external.log.warning.error: no-route ECONNREFUSED\n"
            "external.log.info.error: system-any ECONNREFUSED\n"
            "external.log.err.error: econnrefused\n"
            f"socks pass {{ from: 0/0 to: {NOWHERE}/32\n"
            "    external.log.emerg.error: ENETUNREACH\n"
            "    external.log.debug.error: ENETUNREACH }"
        )
        target = self.serving()
        client, far = self.session(target)
        for host, port in ((HERE, CLOSED), (NOWHERE, 80), (ABSENT, 80)):
            self.reply(self.asking(host, port))
        # Not a failure: that this connection was under way for a while.
        far.close()
        client.close()
        self.assertEqual(
            self.failures(),
            [
                f"emergency: no route to {NOWHERE}.80: Network is unreachable",
                f"error: connect to host {HERE}.{CLOSED} failed: Connection refused",
                f"warning: no route to {ABSENT}.80: No route to host",
            ],
        )

    def test_flood(self) -> None:
        """Of two hundred failures that are alike each is written or counted."""
        self.run_server("external.log.warning.error: ECONNREFUSED")
        for _ in range(10):
            clients = [self.asking(HERE, CLOSED) for _ in range(20)]
            self.assertEqual({self.reply(client) for client in clients}, {5})
        text = f"connect to host {HERE}.{CLOSED} failed: Connection refused"
        told = 0
        for line in self.failures():
            found = re.fullmatch(
                rf"warning: (?:last message repeated (\d+) times?: )?{re.escape(text)}", line
            )
            self.assertIsNotNone(found, line)
            assert found is not None
            told += int(found[1] or 1)
        self.assertEqual(told, 200)

    def test_reload(self) -> None:
        """A reload that takes a filter away takes its lines away."""
        self.run_server("external.log.warning.error: ECONNREFUSED")
        self.reply(self.asking(HERE, CLOSED))
        self.server.wait_for(1, "Connection refused")
        self.configure(self.server.port, more="external.log.warning.error: ENETUNREACH")
        self.server.send(signal.SIGHUP)
        self.server.wait_for(1, "config reloaded")
        self.reply(self.asking(HERE, CLOSED))
        self.reply(self.asking(NOWHERE))
        self.assertEqual(
            [line for line in self.failures() if line.startswith("warning")],
            [
                f"warning: connect to host {HERE}.{CLOSED} failed: Connection refused",
                f"warning: no route to {NOWHERE}.80: Network is unreachable",
            ],
        )


class TrafficTests(NetworkScenario):
    """Connections that stood and break."""

    def test_broken(self) -> None:
        """
        A reset by either side, before or after its end of file, is told of that side: as what the
        system said when we read, or wrote.
        """
        self.run_server(
            "internal.log.crit.error: ECONNRESET\n"
            "internal.log.err.error: EPIPE\n"
            "external.log.warning.error: ECONNRESET\n"
            "external.log.notice.error: EPIPE"
        )
        target = self.serving()
        there = place(target)
        expected = []

        client, far = self.session(target)
        reset(far)
        expected.append(f"warning: receive from host {there} failed: Connection reset by peer")
        self.assertRaises(ConnectionResetError, client.recv, 1)

        client, far = self.session(target)
        here = place(client)
        reset(client)
        expected.append(f"critical: receive from host {here} failed: Connection reset by peer")
        self.assertRaises(ConnectionResetError, far.recv, 1)

        client, far = self.session(target)
        far.shutdown(socket.SHUT_WR)
        self.assertEqual(client.recv(1), b"")
        reset(far)
        expected.append(f"notice: send to host {there} failed: Broken pipe")
        self.server.wait_for(1, expected[-1])

        client, far = self.session(target)
        here = place(client)
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(far.recv(1), b"")
        reset(client)
        expected.append(f"error: send to host {here} failed: Broken pipe")
        self.server.wait_for(1, expected[-1])

        negotiating = self.client()
        here = place(negotiating)
        negotiating.sendall(b"\x05\x01\x00")
        negotiating.recv(2)
        reset(negotiating)
        expected.append(f"critical: receive from host {here} failed: Connection reset by peer")
        self.server.wait_for(1, expected[-1])
        self.assertEqual(self.failures(), sorted(expected))

    def test_bulky(self) -> None:
        """A reset in the midst of a stream, which the kernel moves for us, is told likewise."""
        self.run_server(
            "internal.log.crit.error: system-any\nexternal.log.warning.error: system-any"
        )
        target = self.serving()
        there = place(target)
        client, far = self.session(target)
        for _ in range(100):
            client.sendall(bytes(1 << 16))
            taken = 0
            while taken < 1 << 16:
                taken += len(far.recv(1 << 16))
        reset(far)
        self.server.wait_for(1, "Connection reset by peer")
        self.assertEqual(
            self.failures(),
            [f"warning: receive from host {there} failed: Connection reset by peer"],
        )

    def test_accept(self) -> None:
        """No descriptors left: told at accept's level; who waited is served when there are some."""
        self.run_server("internal.log.err.error: EMFILE")
        pid = self.server.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        most = max(map(int, os.listdir(f"/proc/{pid}/fd"))) + 3
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, before[1]))
        clients = [self.client() for _ in range(most + 1)]
        text = f"error: accept of client on 127.0.0.1.{self.server.port} failed: Too many open files"
        self.server.wait_for(1, text)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        for client in clients:
            client.sendall(b"\x05\x01\x00")
        for client in clients:
            self.assertEqual(client.recv(2), b"\x05\x00")
        self.assertEqual({line.partition(": accept")[2] for line in self.failures()}, {
            text.partition(": accept")[2]
        })


class NameTests(NetworkScenario):
    """Names that do not resolve."""

    def test_unresolvable(self) -> None:
        """Each way of not resolving has its line, at its level; the client hears the same of all."""
        self.run_server(
            "external.log.crit.error: EAI_AGAIN\n"
            "external.log.err.error: EAI_NONAME\n"
            "external.log.warning.error: EAI_NODATA\n"
            "external.log.notice.error: EAI_FAIL\n"
            "internal.log.alert.error: dns-any"
        )
        self.name_server()
        names = [f"rcode{number}.example" for number in range(1, 6)]
        names += ["empty.example", "silent.example"]
        clients = [self.asking(name) for name in names]
        self.assertEqual([self.reply(client) for client in clients], [4] * len(names))
        self.assertEqual(
            self.failures(),
            [
                'critical: could not DNS-resolve "rcode2.example": Temporary failure in name'
                " resolution",
            ],
        )
