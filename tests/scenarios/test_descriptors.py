"""Scenarios: a server that has fewer descriptors than its clients need at the same time."""

from __future__ import annotations

import asyncio
import signal
import socket
import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.scenarios.running import DEADLINE, Scenario

#: Descriptors a process of the server may have, and clients that come at once.
LIMIT, CLIENTS = 256, 1000
#: Seconds that a client stays when it has been served.
STAY = 0.02

CONNECT, ASSOCIATE = 1, 3


class _Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(data, addr)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


class Patient:
    """
    Clients that all come at once, and wait as long as it takes.

    :ivar outcomes: how it went for how many.
    """

    def __init__(self, port: int, command: int, name: bytes = b"") -> None:
        self.outcomes: Counter[str] = Counter()
        self._port = port
        self._command = command
        self._name = name

    async def run(self, number: int) -> None:
        """Let so many come; return when all have gone."""
        server = await asyncio.start_server(_echo, "127.0.0.1", 0, backlog=1024)
        port = server.sockets[0].getsockname()[1]
        if self._command == ASSOCIATE:
            loop = asyncio.get_running_loop()
            datagrams, _ = await loop.create_datagram_endpoint(_Echo, ("127.0.0.1", 0))
            port = datagrams.get_extra_info("sockname")[1]
        visits = [asyncio.wait_for(self._visit(port), DEADLINE) for _ in range(number)]
        for outcome in await asyncio.gather(*visits, return_exceptions=True):
            self.outcomes[str(outcome)] += 1
        server.close()

    async def _visit(self, port: int) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(b"\x05\x01\x00")
            await reader.readexactly(2)
            where = b"\x01\x7f\x00\x00\x01"
            if self._name:
                where = bytes((3, len(self._name))) + self._name
            if self._command == ASSOCIATE:
                where, asked = b"\x01\x00\x00\x00\x00", 0
            else:
                asked = port
            writer.write(bytes((5, self._command, 0)) + where + struct.pack("!H", asked))
            granted = await reader.readexactly(10)
            if granted[1]:
                return f"reply {granted[1]}"
            if self._command == ASSOCIATE:
                await self._send(granted, port)
            else:
                writer.write(b"question")
                await reader.readexactly(8)
            await asyncio.sleep(STAY)
        finally:
            writer.close()
        return "served"

    async def _send(self, granted: bytes, port: int) -> None:
        """Send a datagram through an association, and wait for the answer."""
        place = (socket.inet_ntoa(granted[4:8]), int.from_bytes(granted[8:], "big"))
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(b"\0\0\0\x01\x7f\0\0\x01" + struct.pack("!H", port) + b"question", place)
            await asyncio.get_running_loop().sock_recv(sock, 100)


class DescriptorTests(Scenario):
    """With one process."""

    workers = 1

    def foreground(self, path: Path) -> Sequence[str]:
        """A server that may have few descriptors."""
        limited = f'ulimit -n {LIMIT}; exec "$@"'
        return ["sh", "-c", limited, "sh", *super().foreground(path)]

    def serve(self, command: int, number: int, name: bytes = b"") -> None:
        """Have so many clients at once, each of which must be served."""
        server = self.start()
        patient = Patient(server.port, command, name)
        asyncio.run(patient.run(number))
        self.assertEqual(dict(patient.outcomes), {"served": number}, server.raw()[-2000:])
        self.assertIn("could not accept a client", server.raw())
        self.assertEqual(server.stop(), 0)
        self.assertNotIn("Traceback", server.raw())

    def test_connect(self) -> None:
        """All get their connection in the end, none a refusal."""
        self.serve(CONNECT, CLIENTS)

    def test_names(self) -> None:
        """So do those who ask for names: looking one up takes descriptors too."""
        self.serve(CONNECT, CLIENTS // 2, b"localhost")

    def test_datagrams(self) -> None:
        """So do associations, each of which takes twice as many."""
        self.serve(ASSOCIATE, CLIENTS // 4)

    def test_reload(self) -> None:
        """While clients wait for descriptors the configuration is reloaded all the same."""
        server = self.start()
        target = self.listening()
        target.listen(CLIENTS)
        clients = []
        try:
            while "could not accept a client" not in server.raw():
                clients.append(self.begin(server.port, target))
            server.send(signal.SIGHUP)
            server.wait_for(1, "SIGHUP ]: config reloaded")
        finally:
            for client in clients:
                client.close()
        self.live(server, target)

    def begin(self, port: int, target: socket.socket) -> socket.socket:
        """A client that has asked for a connection."""
        client = socket.create_connection(("127.0.0.1", port), DEADLINE)
        asked = target.getsockname()[1].to_bytes(2, "big")
        client.sendall(b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01" + asked)
        return client


class WorkersDescriptorTests(DescriptorTests):
    """With two workers."""

    workers = 2
