"""Scenarios: ports below 1024 of clients, with ``compatibility: sameport`` and without."""

from __future__ import annotations

import socket

from tests.scenarios.network import HERE, NetworkScenario
from tests.scenarios.rights import effective

PORT = 1021


class SamePortTests(NetworkScenario):
    """Which port a client from :data:`PORT` goes out from, of a server that root has started."""

    def test_same(self) -> None:
        """With it the client's own, for connections, datagrams and BIND; the rights stay few."""
        self.run_server("compatibility: sameport")
        self.assertEqual((self.connected(), self.sent(), self.awaited()), (PORT, PORT, PORT))
        self.assertEqual(effective(self.server.pid)[1], self.nobody.pw_uid)
        self.assertEqual(self.failures(), [])

    def test_other(self) -> None:
        """Without it one that anybody may have, but for datagrams, as Dante."""
        self.run_server("")
        for port in (self.connected(), self.awaited()):
            self.assertGreaterEqual(port, 1024)
        self.assertEqual(self.sent(), PORT)
        self.assertEqual(self.failures(), [])

    def test_taken(self) -> None:
        """A port that somebody else has is replaced by another."""
        self.run_server("compatibility: sameport")
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            self.socket(kind).bind((HERE, PORT))
        for port in (self.connected(), self.sent()):
            self.assertGreaterEqual(port, 1024)
        self.assertEqual(self.failures(), [])

    def reserved(self, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A client's socket with the port."""
        sock = self.socket(kind)
        sock.bind(("127.0.0.1", PORT))
        return sock

    def request(self, client: socket.socket, command: int, where: tuple[str, int]) -> int:
        """Ask for something; the port of the reply."""
        host, port = socket.inet_aton(where[0]), where[1].to_bytes(2, "big")
        client.connect(("127.0.0.1", self.server.port))
        client.sendall(bytes([5, 1, 0, 5, command, 0, 1]) + host + port)
        heard = client.recv(2, socket.MSG_WAITALL) + client.recv(10, socket.MSG_WAITALL)
        self.assertEqual(heard[:4], b"\x05\x00\x05\x00")
        return int.from_bytes(heard[-2:], "big")

    def connected(self) -> int:
        """The port that a target sees."""
        target = self.serving()
        client = self.reserved()
        self.request(client, 1, target.getsockname())
        far, (_, port) = target.accept()
        # The client's end is closed last: who closes first keeps the port for a while.
        far.close()
        self.assertEqual(client.recv(1), b"")
        client.close()
        return int(port)

    def sent(self) -> int:
        """The port that the receiver of a datagram sees."""
        receiver, sender, control = (
            self.socket(socket.SOCK_DGRAM),
            self.reserved(socket.SOCK_DGRAM),
            self.socket(),
        )
        receiver.bind((HERE, 0))
        relay = self.request(control, 3, ("0.0.0.0", 0))
        host, port = receiver.getsockname()
        head = b"\x00\x00\x00\x01" + socket.inet_aton(host) + port.to_bytes(2, "big")
        sender.sendto(head + b"hello", ("127.0.0.1", relay))
        payload, (_, port) = receiver.recvfrom(10)
        self.assertEqual(payload, b"hello")
        control.close()
        return int(port)

    def awaited(self) -> int:
        """The port of a BIND that asks for :data:`PORT`."""
        return self.request(self.socket(), 2, ("0.0.0.0", PORT))
