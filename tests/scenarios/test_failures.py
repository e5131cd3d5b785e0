"""Scenarios: connections, clients and look-ups that really fail, and the warnings of it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess

from tests.scenarios.network import (
    ABSENT,
    HERE,
    NOWHERE,
    SILENT,
    SILENT_TOO,
    NetworkScenario,
    reset,
)

#: A port of targets where nobody listens.
CLOSED = 9

# A C library that fails with the code in the name's digit, negated.
_FAILING = """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **)
        = dlsym(RTLD_NEXT, "getaddrinfo");
    if (name == NULL || strncmp(name, "fails", 5) != 0)
        return real(name, service, hints, found);
    errno = ENOBUFS;
    return -atoi(name + 5);
}
"""


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

    workers = 1

    def test_broken(self) -> None:
        """
        A reset by either side, before or after its end of file, in a chat or a bulky stream, or in
        the negotiation, is told of that side: as what the system said when we read, or wrote.
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
        self.server.wait_for(1, expected[-1])

        client, far = self.session(target)
        here = place(client)
        reset(client)
        expected.append(f"critical: receive from host {here} failed: Connection reset by peer")
        self.server.wait_for(1, expected[-1])

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

        # So far the relay has copied.  Bulky streams the kernel moves for it.
        client, far = self.session(target)
        for _ in range(100):
            client.sendall(bytes(1 << 16))
            taken = 0
            while taken < 1 << 16:
                taken += len(far.recv(1 << 16))
        here = place(client)
        reset(client)
        expected.append(f"critical: receive from host {here} failed: Connection reset by peer")
        self.server.wait_for(1, expected[-1])

        negotiating = self.client()
        here = place(negotiating)
        negotiating.sendall(b"\x05\x01\x00")
        negotiating.recv(2)
        reset(negotiating)
        expected.append(f"critical: receive from host {here} failed: Connection reset by peer")
        self.server.wait_for(1, expected[-1])
        self.assertEqual(self.failures(), sorted(expected))

    def test_accept(self) -> None:
        """
        No descriptors left: told, and counted, at the level of ``accept``; who waited is served
        when others have gone.
        """
        self.ulimit = 200
        self.run_server("internal.log.err.error: EMFILE")
        clients = [self.client() for _ in range(self.ulimit)]
        text = f"accept of client on 127.0.0.1.{self.server.port} failed: Too many open files"
        self.server.wait_for(1, f"error: {text}")
        for client in clients[:-10]:
            client.close()
        for client in clients[-10:]:
            client.sendall(b"\x05\x01\x00")
            self.assertEqual(client.recv(2), b"\x05\x00")
        lines = self.failures()
        self.assertIn(f"error: {text}", lines)
        for line in lines:
            self.assertRegex(line, rf"^error: (last message repeated \d+ times?: )?{text}$")


class NameTests(NetworkScenario):
    """Names that do not resolve."""

    def test_unresolvable(self) -> None:
        """Each way of not resolving has its line, at its level; clients hear the same of all."""
        self.run_server(
            "external.log.crit.error: EAI_AGAIN\n"
            "external.log.err.error: EAI_NONAME\n"
            "external.log.warning.error: EAI_NODATA\n"
            "external.log.notice.error: EAI_FAIL\n"
            "internal.log.alert.error: dns-any"
        )
        self.name_server()
        # REFUSED and "not implemented" are told as SERVFAIL is, a complaint about the question
        # as if there were no such name: that is how the C library has it.
        names = [f"rcode{number}.example" for number in range(1, 6)]
        names += ["empty.example", "silent.example"]
        clients = [self.asking(name) for name in names]
        self.assertEqual([self.reply(client) for client in clients], [4] * len(names))
        again, unknown = "Temporary failure in name resolution", "Name or service not known"
        unknown += " for IPv4 address"
        self.assertEqual(
            self.failures(),
            [
                f'critical: could not DNS-resolve "rcode2.example": {again}',
                f'critical: could not DNS-resolve "rcode4.example": {again}',
                f'critical: could not DNS-resolve "rcode5.example": {again}',
                f'critical: could not DNS-resolve "silent.example": {again}',
                f'error: could not DNS-resolve "rcode1.example": {unknown}',
                f'error: could not DNS-resolve "rcode3.example": {unknown}',
                'warning: could not DNS-resolve "empty.example": No address associated with'
                " hostname",
            ],
        )

    def test_other_codes(self) -> None:
        """Whatever a C library says comes through, also what that of GNU never does."""
        compiler = self.program("cc")
        source, library = self.folder / "fails.c", self.folder / "fails.so"
        source.write_text(_FAILING)
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
        self.run_server(
            "external.log.crit.error: EAI_SYSTEM\n"
            "external.log.err.error: EAI_FAIL\n"
            "external.log.warning.error: dns-any",
            LD_PRELOAD=str(library),
        )
        codes = [socket.EAI_FAIL, socket.EAI_SYSTEM, socket.EAI_MEMORY]
        clients = [self.asking(f"fails{-code}.example") for code in codes]
        self.assertEqual([self.reply(client) for client in clients], [4] * len(codes))
        self.assertEqual(
            self.failures(),
            [
                f'critical: could not DNS-resolve "fails{-socket.EAI_SYSTEM}.example": No buffer'
                " space available",
                f'error: could not DNS-resolve "fails{-socket.EAI_FAIL}.example": Non-recoverable'
                " failure in name resolution for IPv4 address",
                f'warning: could not DNS-resolve "fails{-socket.EAI_MEMORY}.example": Memory'
                " allocation failure",
            ],
        )

    def test_in_rules(self) -> None:
        """A name in a rule is internal, the same name that a client asks for external."""
        self.run_server(
            "internal.log.err.error: EAI_NONAME\n"
            "external.log.warning.error: EAI_NONAME\n"
            "socks block { from: 0/0 to: rcode3.rules.example }"
        )
        self.name_server()
        self.reply(self.asking(HERE, CLOSED))
        self.reply(self.asking("rcode3.example"))
        unknown = "Name or service not known"
        self.assertEqual(
            self.failures(),
            [
                f'error: could not DNS-resolve "rcode3.rules.example": {unknown}',
                f'warning: could not DNS-resolve "rcode3.example": {unknown} for IPv4 address',
            ],
        )
