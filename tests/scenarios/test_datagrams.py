"""Scenarios: UDP through the server, with other people's clients and with what may go wrong."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import socks

from dantetw.values import Endpoint
from dantetw.wire.udp import build_header, parse_datagram
from tests.scenarios.running import DEADLINE, Running, Scenario

#: The answer to any question about an address.
ANSWER = "203.0.113.5"
IPV6 = """\
external: ::1
external.rotation: route
socks pass { from: ::1/128 to: 0/0
    command: udpreply
}
"""


def echo(data: bytes) -> bytes:
    """What an echo server answers."""
    return data


def answer(question: bytes) -> bytes:
    """What a name server answers that has one address for everything."""
    end = question.index(0, 12) + 5
    head = question[:2] + b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"
    record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + socket.inet_aton(ANSWER)
    return head + question[12:end] + record


class Association:
    """A client with an association, made by hand."""

    def __init__(self, case: DatagramScenarios, server: Running, host: str = "127.0.0.1") -> None:
        self.control = socket.create_connection((host, server.port), DEADLINE)
        case.addCleanup(self.control.close)
        self.control.sendall(b"\x05\x01\x00\x05\x03\x00\x01" + bytes(6))
        heard = b""
        while len(heard) < 12:
            piece = self.control.recv(12 - len(heard))
            if not piece:
                raise AssertionError(f"closed after {heard!r}:\n{server.raw()}")
            heard += piece
        case.assertEqual(heard[:6], b"\x05\x00\x05\x00\x00\x01")
        case.assertEqual(socket.inet_ntoa(heard[6:10]), host)
        self.port = int.from_bytes(heard[-2:], "big")
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        case.addCleanup(self.sock.close)
        self.sock.settimeout(DEADLINE)
        self.sock.connect((host, self.port))

    def send(self, data: bytes, to: Endpoint) -> None:
        """Send a datagram."""
        self.sock.send(build_header(to) + data)

    def receive(self) -> tuple[Endpoint, bytes]:
        """The next one that comes back, and who it is from."""
        data = self.sock.recv(70000)
        sender, start = parse_datagram(data)
        return sender, data[start:]


class DatagramScenarios(Scenario):
    """Clients, targets and a server between them."""

    def far(self, reply: Callable[[bytes], bytes] = echo, host: str = "127.0.0.1") -> Endpoint:
        """A target that answers each datagram, in a thread."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.bind((host, 0))
        where = Endpoint.of(sock.getsockname())

        def serve() -> None:
            while True:
                data, address = sock.recvfrom(70000)
                if data == b"stop":
                    return
                sock.sendto(reply(data), address)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()

        def stop() -> None:
            with socket.socket(family, socket.SOCK_DGRAM) as last:
                last.sendto(b"stop", (where.host, where.port))
            thread.join(DEADLINE)
            sock.close()

        self.addCleanup(stop)
        return where

    def closed(self) -> Endpoint:
        """Where nobody listens."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            return Endpoint.of(sock.getsockname())

    def over(self, server: Running) -> None:
        """The server stops in good order, and has never been at a loss."""
        self.assertEqual(server.stop(), 0)
        self.assertNotIn("Traceback", server.raw())
        self.assertNotIn("Failure", server.raw())

    def test_look_up(self) -> None:
        """A DNS client looks a name up through the server by Dante's own library."""
        socksify, drill = self.program("socksify"), self.program("drill")
        server, target = self.start(), self.far(answer)
        path = self.folder / "socks.conf"
        path.write_text(
            f"route {{ from: 0.0.0.0/0 to: 127.0.0.1/32 via: 127.0.0.1 port = {server.port}\n"
            "  proxyprotocol: socks_v5\n  command: udpassociate\n  protocol: udp\n"
            "  method: none\n}\n"
        )
        done = self.run_program(
            [socksify, drill, "-p", str(target.port), "@127.0.0.1", "www.example.org"],
            SOCKS_CONF=str(path),
            # Otherwise it goes to the loopback interface by itself.
            SOCKS_AUTOADD_LANROUTES="no",
        )
        self.assertIn(ANSWER, done.stdout.decode(), done.stderr)
        ended = server.wait_for(1, "udp/udpassociate ]")
        # 33 bytes of question, 49 of answer, and 10 of header at the client's side.
        (line,) = [line for line in ended if "udp/udpassociate ]" in line]
        self.assertRegex(line, r"\]: 59/1 -> .* -> 43/1, 33/1 -> .* -> 49/1: local client closed")
        self.over(server)

    def pysocks(self, server: Running, family: int = socket.AF_INET) -> socks.socksocket:
        """A socket of PySocks'."""
        sock = socks.socksocket(family, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.set_proxy(socks.SOCKS5, "127.0.0.1", server.port)
        sock.settimeout(DEADLINE)
        return sock

    def test_pysocks(self) -> None:
        """PySocks sends to several targets, by address and by name."""
        server = self.start()
        targets = [self.far() for _ in range(3)]
        sock = self.pysocks(server)
        for target in targets:
            for host in ("127.0.0.1", "localhost"):
                sock.sendto(f"to {host}".encode(), (host, target.port))
                data, sender = sock.recvfrom(9999)
                self.assertEqual(data, f"to {host}".encode())
                self.assertEqual(sender, ("127.0.0.1", target.port))
        sock.close()
        server.wait_for(1, "udp/udpassociate ]")
        self.over(server)

    def test_ipv6(self) -> None:
        """A client by IPv4 reaches a target by IPv6, and one by IPv4 beside it."""
        server = self.start(more=IPV6)
        client, four, six = Association(self, server), self.far(), self.far(host="::1")
        for target in (six, four, six):
            client.send(str(target).encode(), target)
            self.assertEqual(client.receive(), (target, str(target).encode()))
        client.control.close()
        lines = server.wait_for(1, "tcp/accept ]")
        self.assertEqual(len([line for line in lines if "udp/udpassociate ]" in line]), 2)
        self.over(server)

    def test_look_up_of_client(self) -> None:
        """A DNS question by hand, to a server that is named by its name."""
        server, target = self.start(), self.far(answer)
        client = Association(self, server)
        question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01"
        named = b"\0\0\0\x03\x09localhost" + target.port.to_bytes(2, "big")
        client.sock.send(named + question)
        sender, data = client.receive()
        self.assertEqual((sender, data[:2]), (target, b"\x12\x34"))
        self.assertEqual(data[-4:], socket.inet_aton(ANSWER))
        self.over(server)

    def test_port_freed(self) -> None:
        """When the connection goes, so does the port, and others can have it at once."""
        server = self.start()
        client = Association(self, server)
        client.control.close()
        server.wait_for(1, "tcp/accept ]")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", client.port))
        self.over(server)

    def test_wildcard(self) -> None:
        """A server that listens everywhere names the address that its client came in by."""

        def everywhere(path: Path) -> Sequence[str]:
            text = path.read_text().replace("internal: 127.0.0.1", "internal: 0.0.0.0")
            path.write_text(text)
            return self.foreground(path)

        server, target = self.start(everywhere), self.far()
        for host in ("127.0.0.1", "127.0.0.5"):
            client = Association(self, server, host)
            client.send(host.encode(), target)
            self.assertEqual(client.receive(), (target, host.encode()))
        self.over(server)

    def test_large(self) -> None:
        """Datagrams as large as there are pass; an answer that is too large is told."""
        sizes = [65497, 1, 65496]
        server = self.start()
        client = Association(self, server)
        target = self.far(lambda data: bytes(65498) if data == b"more" else data)
        for size in sizes:
            client.send(b"x" * size, target)
            self.assertEqual(client.receive(), (target, b"x" * size))
        client.send(b"more", target)
        server.wait_for(1, "sendto of 65498 bytes failed: Message too long")
        client.send(b"still here", target)
        self.assertEqual(client.receive(), (target, b"still here"))
        self.over(server)

    def test_reload(self) -> None:
        """An association outlives a reload, under the rules it began with."""
        server, target = self.start(), self.far()
        client = Association(self, server)
        client.send(b"before", target)
        self.assertEqual(client.receive(), (target, b"before"))
        path = self.folder / "sockd.conf"
        path.write_text(path.read_text().replace("socks pass", "socks block"))
        server.send(signal.SIGHUP)
        server.wait_for(1, "config reloaded")
        other = self.far()
        for to in (target, other):
            client.send(b"after", to)
            self.assertEqual(client.receive(), (to, b"after"))
        with self.assertRaises(AssertionError):
            Association(self, server)
        self.over(server)

    def test_refused(self) -> None:
        """A target that does not listen is a warning, if wanted, and no end."""
        server = self.start(more="external.log.warning.error: ECONNREFUSED\n")
        client, target, closed = Association(self, server), self.far(), self.closed()
        client.send(b"x", closed)
        server.wait_for(1, f"warning: send to host {closed} failed: Connection refused")
        server.wait_for(1, f"{closed}: Connection refused (delayed error)")
        client.send(b"x", target)
        self.assertEqual(client.receive(), (target, b"x"))
        self.over(server)

    def test_stopped(self) -> None:
        """The server's end tells of the association, and closes its connection."""
        server, target = self.start(), self.far()
        client = Association(self, server)
        client.send(b"x", target)
        client.receive()
        self.over(server)
        self.assertEqual(client.control.recv(9), b"")
        lines = [line for line in server.lines() if "udp/udpassociate ]" in line]
        self.assertEqual(len(lines), 1)
        self.assertIn("administrative termination", lines[0])

    def test_rubbish(self) -> None:
        """A stream of rubbish, from the client and from strangers, disturbs nobody."""
        server, target = self.start(), self.far()
        busy, quiet = Association(self, server), Association(self, server)
        busy.send(b"x", target)
        busy.receive()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for number in range(3000):
                rubbish = number.to_bytes(2, "big") * (number % 9)
                busy.sock.send(rubbish)
                stranger.sendto(rubbish, ("127.0.0.1", busy.port))
        quiet.send(b"x", target)
        self.assertEqual(quiet.receive(), (target, b"x"))
        busy.control.close()
        lines = server.wait_for(1, "tcp/accept ]")
        self.assertLess(sum("block(1): udp/" in line for line in lines), 200)
        self.over(server)
