"""A log daemon elsewhere: a listening socket, and what came in."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe.sinks.remoteaddress import RemoteAddress


class Daemon:
    """
    Takes connections by TCP when asked what came.

    :ivar port: where it listens.
    """

    def __init__(self, test: SynchronousTestCase, port: int = 0) -> None:
        self._test = test
        self._listening = socket.socket()
        test.addCleanup(self._listening.close)
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind(("127.0.0.1", port))
        self._listening.listen()
        self._listening.setblocking(False)
        self.port = int(self._listening.getsockname()[1])
        self.connections: list[socket.socket] = []
        self._buffers: list[bytes] = []

    def where(self, host: str = "127.0.0.1") -> RemoteAddress:
        """What a sink must know to reach it."""
        return RemoteAddress("tcp", host, self.port, "daemon")

    def accept(self) -> None:
        """Take all connections that wait."""
        while True:
            try:
                connection, _ = self._listening.accept()
            except BlockingIOError:
                return
            self._test.addCleanup(connection.close)
            connection.setblocking(False)
            self.connections.append(connection)
            self._buffers.append(b"")

    def messages(self) -> list[str]:
        """Whole messages since the last call, connection by connection."""
        self.accept()
        found = []
        for number, connection in enumerate(self.connections):
            while connection.fileno() >= 0:
                try:
                    data = connection.recv(65536)
                except (BlockingIOError, ConnectionResetError):
                    break
                if not data:
                    break
                self._buffers[number] += data
            while b" " in (buffer := self._buffers[number]):
                length, _, rest = buffer.partition(b" ")
                if len(rest) < int(length):
                    break
                found.append(rest[: int(length)].decode())
                self._buffers[number] = rest[int(length) :]
        return found

    def hang_up(self) -> None:
        """Close all connections, as a daemon that is stopped does, and go on listening."""
        self.accept()
        for connection in self.connections:
            connection.close()

    def stop(self) -> None:
        """Close everything."""
        self.hang_up()
        self._listening.close()
