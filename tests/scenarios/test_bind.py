"""BIND: whole servers with a client that speaks for itself, and active FTP."""

from __future__ import annotations

import os
import signal
import socket
import socketserver
import struct
import threading
from pathlib import Path

from dantetw.values import Command, Endpoint, Family
from dantetw.wire import socks4, socks5
from tests.scenarios.running import DEADLINE, Running, Scenario, mask, wait_until

ANYBODY = Endpoint("0.0.0.0", 0, Family.IPV4)
PAYLOAD = bytes(range(256)) * 1000
GRANTED = b"\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01"
LOOPBACK = b"\x00\x01\x7f\x00\x00\x01"


class _Ftp(socketserver.StreamRequestHandler):
    """As much of an FTP server (:rfc:`959`, :rfc:`2428`) as connects to its client."""

    def handle(self) -> None:
        self.say(220, "here")
        place = ("", 0)
        for line in self.rfile:
            command, _, rest = line.decode("ascii").strip().partition(" ")
            match command:
                case "USER":
                    self.say(230, "come in")
                case "TYPE":
                    self.say(200, "as you like")
                case "EPRT":
                    _, _, host, port, _ = rest.split("|")
                    place = (host, int(port))
                    self.say(200, "will go there")
                case "PORT":
                    *parts, high, low = rest.split(",")
                    place = (".".join(parts), int(high) * 256 + int(low))
                    self.say(200, "will go there")
                case "RETR":
                    with socket.create_connection(place, DEADLINE) as data:
                        self.say(150, "it comes")
                        data.sendall(PAYLOAD)
                    self.say(226, "done")
                case "QUIT":
                    self.say(221, "bye")
                    return
                case _:
                    self.say(502, "what?")

    def say(self, code: int, text: str) -> None:
        """A reply."""
        self.wfile.write(b"%d %s\r\n" % (code, text.encode("ascii")))


class FtpServer(socketserver.ThreadingTCPServer):
    """It has one file, :data:`PAYLOAD`, whatever it is asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Ftp)
        self.port = int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that breaks off is nothing to tell."""


class BindScenario(Scenario):
    """A client that speaks for itself."""

    def ask(self, server: Running, asking: bytes, size: int) -> tuple[socket.socket, bytes]:
        """A client that has asked, and the answer of ``size`` bytes."""
        client = socket.create_connection(("127.0.0.1", server.port), DEADLINE)
        self.addCleanup(client.close)
        client.sendall(asking)
        return client, self.hear(client, size)

    def bound(
        self, server: Running, asked: Endpoint = ANYBODY, early: bytes = b""
    ) -> tuple[socket.socket, int]:
        """A client that has been told of its port, and the port."""
        asking = socks5.build_greeting([0]) + socks5.build_request(Command.BIND, asked) + early
        client, heard = self.ask(server, asking, 12)
        self.assertEqual(heard[:10], GRANTED, server.raw())
        return client, struct.unpack("!H", heard[10:])[0]

    def peer(self, port: int) -> tuple[socket.socket, bytes]:
        """Somebody who connects there, and its own port as a reply has it."""
        peer = socket.create_connection(("127.0.0.1", port), DEADLINE)
        self.addCleanup(peer.close)
        return peer, struct.pack("!H", peer.getsockname()[1])

    def hear(self, sock: socket.socket, size: int) -> bytes:
        """So many bytes, or less at the end."""
        heard = b""
        while len(heard) < size:
            piece = sock.recv(size - len(heard))
            if not piece:
                break
            heard += piece
        return heard

    def expect(self, server: Running, told: list[str], port: int) -> None:
        """Compare what was logged behind the arrival; ``port`` is the bound one."""
        lines = server.wait_for(1, "tcp/accept ]")
        (arrival,) = (number for number, line in enumerate(lines) if "tcp/accept [" in line)
        self.assertEqual(mask(server, port, lines[arrival + 1 :]), told)


class RelayTests(BindScenario):
    """Peers that are welcome."""

    def test_bytes(self) -> None:
        """Bytes go through both ways, early ones too, and each rule's lines tell them."""
        server = self.start()
        client, port = self.bound(server, early=b"early, ")
        client.sendall(b"later")
        peer, number = self.peer(port)
        self.assertEqual(self.hear(client, 10), b"\x05\x00" + LOOPBACK + number)
        self.assertEqual(self.hear(peer, 12), b"early, later")
        with self.assertRaises(ConnectionRefusedError):
            self.peer(port)
        sender = threading.Thread(target=peer.sendall, args=(PAYLOAD,))
        sender.start()
        self.assertEqual(self.hear(client, len(PAYLOAD)), PAYLOAD)
        sender.join()
        peer.shutdown(socket.SHUT_WR)
        self.assertEqual(client.recv(1), b"")
        client.sendall(b"answer")
        client.close()
        self.assertEqual(self.hear(peer, 100), b"answer")
        size, end = len(PAYLOAD), "local client closed.  Session duration: Ns"
        self.expect(
            server,
            [
                "info: pass(1): tcp/bind [: PEER SERVER -> TARGET 0.0.0.0.0",
                "info: pass(1): tcp/bindreply [: PEER TARGET -> SERVER PEER",
                f"info: pass(1): tcp/bindreply ]: 18 -> PEER TARGET -> {size},"
                f" {size} -> SERVER PEER -> 18: {end}",
                "info: pass(1): tcp/bind ]: PEER SERVER -> TARGET 0.0.0.0.0",
                f"info: pass(1): tcp/accept ]: {size} -> PEER SERVER -> 18: {end}",
            ],
            port,
        )

    def test_socks4(self) -> None:
        """SOCKS 4 likewise."""
        server = self.start()
        expected = Endpoint("127.0.0.1", 99, Family.IPV4)
        client, heard = self.ask(server, socks4.build_request(Command.BIND, expected), 8)
        self.assertEqual((heard[:2], heard[4:]), (b"\x00\x5a", b"\x7f\x00\x00\x01"))
        peer, number = self.peer(struct.unpack("!H", heard[2:4])[0])
        self.assertEqual(self.hear(client, 8), b"\x00\x5a" + number + b"\x7f\x00\x00\x01")
        peer.sendall(b"hello")
        self.assertEqual(self.hear(client, 5), b"hello")

    def test_stopped(self) -> None:
        """A server that is stopped tells the end of relays and of waits."""
        server = self.start()
        self.bound(server)
        client, port = self.bound(server)
        self.peer(port)
        self.hear(client, 10)
        self.assertEqual(server.stop(signal.SIGTERM), 0)
        told = [line for line in server.lines() if " ]: " in line]
        self.assertEqual(len(told), 5)
        self.assertEqual(sum("administrative termination" in line for line in told), 4)

    def test_descriptors(self) -> None:
        """Every descriptor is given back, however it ends."""
        server = self.start()
        where = Path(f"/proc/{server.pid}/fd")
        if not where.exists():
            self.skipTest("no /proc")
        before = len(os.listdir(where))
        for _ in range(5):
            self.bound(server)[0].close()
            client, port = self.bound(server)
            peer, _ = self.peer(port)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            self.hear(client, 10)
            client.close()
            client, port = self.bound(server, Endpoint("127.0.0.9", 0, Family.IPV4))
            self.peer(port)
            self.assertEqual(self.hear(client, 100)[:2], b"\x05\x02")
        wait_until(lambda: len(os.listdir(where)) <= before, "all descriptors given back")


class RefusedTests(BindScenario):
    """Ends without a relay."""

    def test_another(self) -> None:
        """A peer that was not expected is turned away."""
        server = self.start()
        client, port = self.bound(server, Endpoint("127.0.0.9", 7, Family.IPV4))
        peer, number = self.peer(port)
        self.assertEqual(self.hear(client, 100), b"\x05\x02" + LOOPBACK + number)
        self.assertEqual(peer.recv(1), b"")
        blocked = "bind-reply from PEER blocked by socks-rule #0"
        self.expect(
            server,
            [
                "info: pass(1): tcp/bind [: PEER SERVER -> TARGET 127.0.0.9.7",
                "info: block(0): tcp/bindreply ]: PEER TARGET -> SERVER PEER:"
                " expected bindreply from 127.0.0.9.0, but got it from PEER",
                f"info: block(1): tcp/bind ]: PEER SERVER -> TARGET 127.0.0.9.7: {blocked}",
                f"info: block(1): tcp/accept ]: PEER SERVER: {blocked}",
            ],
            port,
        )

    def test_blocked(self) -> None:
        """A peer that a rule blocks likewise."""
        block = "socks block { from: 127.0.0.1/32 to: 0/0\n command: bindreply\n log: connect }"
        server = self.start(more=block)
        client, port = self.bound(server)
        _, number = self.peer(port)
        self.assertEqual(self.hear(client, 100), b"\x05\x02" + LOOPBACK + number)
        blocked = "bind-reply from PEER blocked by socks-rule #1"
        self.expect(
            server,
            [
                "info: pass(2): tcp/bind [: PEER SERVER -> TARGET 0.0.0.0.0",
                "info: block(1): tcp/bindreply ]: PEER TARGET -> SERVER PEER",
                f"info: block(2): tcp/bind ]: PEER SERVER -> TARGET 0.0.0.0.0: {blocked}",
                f"info: block(1): tcp/accept ]: PEER SERVER: {blocked}",
            ],
            port,
        )

    def test_gives_up(self) -> None:
        """A client that closes while it waits takes its port with it."""
        server = self.start()
        client, port = self.bound(server)
        client.close()
        self.expect(
            server,
            [
                "info: pass(1): tcp/bind [: PEER SERVER -> TARGET 0.0.0.0.0",
                "info: pass(1): tcp/bind ]: PEER SERVER -> TARGET 0.0.0.0.0: eof from client",
                "info: pass(1): tcp/accept ]: PEER SERVER: eof from client",
            ],
            port,
        )
        with self.assertRaises(ConnectionRefusedError):
            self.peer(port)


class ForwardingTests(BindScenario):
    """A port for many peers (``extension: bind``)."""

    def many(self, server: Running, version: int = 5) -> tuple[socket.socket, socket.socket, int]:
        """A client's connection, the socket on which it listens, and the port of its peers."""
        # Dante's client of today has the question but cannot listen for the answer.
        client, listener = socket.socket(), socket.socket()
        for sock in (client, listener):
            self.addCleanup(sock.close)
            sock.settimeout(DEADLINE)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind(("127.0.0.1", 0))
        listener.bind(client.getsockname())
        client.connect(("127.0.0.1", server.port))
        listener.listen(5)
        many = Endpoint("255.255.255.255", 0, Family.IPV4)
        if version == 4:
            client.sendall(socks4.build_request(Command.BIND, many))
            heard = self.hear(client, 8)[2:4]
        else:
            client.sendall(socks5.build_greeting([0]) + socks5.build_request(Command.BIND, many))
            heard = self.hear(client, 12)[10:]
        return client, listener, struct.unpack("!H", heard)[0]

    def test_peers(self) -> None:
        """Three peers, one after the other and at once, each told and relayed by itself."""
        server = self.start(more="extension: bind")
        client, listener, port = self.many(server)
        peers = [self.peer(port) for _ in range(3)]
        for number, (peer, _) in enumerate(peers):
            peer.sendall(b"peer %d" % number)
        pairs = []
        for peer, own in peers:
            accepted, (host, ours) = listener.accept()
            self.addCleanup(accepted.close)
            asked = Endpoint(host, ours, Family.IPV4)
            client.sendall(socks5.build_request(Command.BIND, asked))
            self.assertEqual(self.hear(client, 10), b"\x05\x00" + LOOPBACK + own)
            pairs.append((peer, accepted))
        for number, (peer, accepted) in enumerate(pairs):
            self.assertEqual(self.hear(accepted, 6), b"peer %d" % number)
            accepted.sendall(PAYLOAD)
            self.assertEqual(self.hear(peer, len(PAYLOAD)), PAYLOAD)
        for peer, accepted in pairs[:2]:
            peer.close()
            self.assertEqual(accepted.recv(1), b"")
            accepted.close()
        server.wait_for(2, "tcp/bindreply ]")
        client.close()
        size, end = len(PAYLOAD), ".  Session duration: Ns"
        way = f"{size} -> PEER TARGET -> 6, 6 -> PEER PEER -> {size}"
        lines = mask(server, port, server.wait_for(1, "tcp/accept ]"))
        self.assertEqual(sum("tcp/bindreply [: PEER TARGET -> PEER PEER" in x for x in lines), 3)
        self.assertEqual(
            [line for line in lines if " ]: " in line],
            [
                *[f"info: pass(1): tcp/bindreply ]: {way}: local client closed{end}"] * 2,
                f"info: pass(1): tcp/bindreply ]: {way}: remote peer closed{end}",
                "info: pass(1): tcp/bind ]: PEER SERVER -> TARGET 0.0.0.0.0: eof from client",
                "info: pass(1): tcp/accept ]: PEER SERVER: eof from client",
            ],
        )
        self.assertEqual(pairs[2][0].recv(1), b"")
        with self.assertRaises(ConnectionRefusedError):
            self.peer(port)

    def test_deaf(self) -> None:
        """A client that does not listen, which Dante's own does not, loses its port."""
        more = "extension: bind\ninternal.log.warning.error: ECONNREFUSED"
        server = self.start(more=more)
        _, listener, port = self.many(server, 4)
        listener.close()
        peer, _ = self.peer(port)
        self.assertEqual(peer.recv(1), b"")
        lines = mask(server, port, server.wait_for(1, "tcp/accept ]"))
        failed = "connect(2) to PEER from PEER failed: Connection refused"
        self.assertEqual(
            lines[-4:],
            [
                "warning: connect to host PEER failed: Connection refused",
                f"info: block(1): tcp/bindreply ]: PEER TARGET -> 0.0.0.0.0 PEER: {failed}",
                f"info: block(1): tcp/bind ]: PEER SERVER -> TARGET 0.0.0.0.0: {failed}",
                "info: block(1): tcp/accept ]: PEER SERVER:"
                f" request was not performed due to error: {failed}",
            ],
        )


class FtpTests(BindScenario):
    """What BIND is for."""

    def test_active(self) -> None:
        """An FTP client under Dante's library gets its file by active FTP."""
        socksify, ftp = self.program("socksify"), self.program("tnftp")
        server, target = self.start(), FtpServer()
        thread = threading.Thread(target=target.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        self.addCleanup(thread.join, DEADLINE)
        self.addCleanup(target.server_close)
        self.addCleanup(target.shutdown)
        path = self.folder / "socks.conf"
        path.write_text(
            f"route {{ from: 0.0.0.0/0 to: 0.0.0.0/0 via: 127.0.0.1 port = {server.port}\n"
            "  proxyprotocol: socks_v5\n  method: none\n  command: connect bind\n}\n"
        )
        done = self.run_program(
            [socksify, ftp, "-n", "-A", "127.0.0.1", str(target.port)],
            b"user anonymous x\nbinary\nget file got\nquit\n",
            SOCKS_CONF=str(path),
            SOCKS_AUTOADD_LANROUTES="no",
        )
        got = self.folder / "got"
        self.assertTrue(got.exists(), (done, server.raw()))
        self.assertEqual(got.read_bytes(), PAYLOAD)
        lines = server.wait_for(2, "tcp/accept ]")
        for part in ("tcp/connect [", "tcp/bind [", "tcp/bindreply [", "tcp/bindreply ]"):
            self.assertEqual(sum(part in line for line in lines), 1, lines)
