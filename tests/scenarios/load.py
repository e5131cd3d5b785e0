"""
Many short sessions, for scenarios in which something else happens meanwhile.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter

from tests.scenarios.running import DEADLINE, Running, Scenario

#: Clients at the same time.
CLIENTS = 4


class Load:
    """
    Clients that come one after the other, in threads, from the beginning to :meth:`end`.

    :ivar ports: how many sessions there were of each client's port.
    :ivar failures: what went wrong.
    """

    def __init__(self, case: Scenario, server: Running) -> None:
        self.ports: Counter[int] = Counter()
        self.failures: list[str] = []
        self._server = server
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._target = socket.socket()
        self._target.bind(("127.0.0.1", 0))
        self._target.listen(128)
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads += [threading.Thread(target=self._visit, daemon=True) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()
        case.addCleanup(self.end)

    def count(self) -> int:
        """Sessions that are over."""
        with self._lock:
            return sum(self.ports.values())

    def end(self) -> None:
        """Let the sessions that are under way end, and begin no more."""
        self._over.set()
        for thread in self._threads[1:]:
            thread.join(DEADLINE)
        if self._target.fileno() >= 0:
            self._target.shutdown(socket.SHUT_RDWR)  # wakes who accepts
            self._threads[0].join(DEADLINE)
            self._target.close()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._target.accept()
            except OSError:
                return
            sock.sendall(b"answer")
            sock.close()

    def _visit(self) -> None:
        port = self._target.getsockname()[1].to_bytes(2, "big")
        request = b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01" + port
        while not self._over.is_set():
            heard, number = b"", 0
            try:
                with socket.create_connection(("127.0.0.1", self._server.port), DEADLINE) as client:
                    number = client.getsockname()[1]
                    client.sendall(request)
                    while piece := client.recv(100):
                        heard += piece
            except OSError as failed:
                heard += str(failed).encode()
            with self._lock:
                self.ports[number] += 1
                if heard[:4] != b"\x05\x00\x05\x00" or heard[12:] != b"answer":
                    self.failures.append(f"from port {number}: {heard!r}")
                    return
