"""
Telling the service manager how the server is (:manpage:`sd_notify(3)`).

systemd names a datagram socket in the environment.  It takes our messages to know when clients can
come, and which process is the main one when a new server has replaced the old.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from typing import Final

#: Where the service manager listens.
VARIABLE: Final = "NOTIFY_SOCKET"


class Notifier:
    """
    Sends messages to the service manager.

    :param address: of its socket: a path, or ``@`` and the name of an abstract one; empty: there is
        no service manager, and nothing is sent.
    """

    def __init__(self, address: str = "") -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address

    @classmethod
    def of_environment(cls) -> Notifier:
        """The one that the environment names; processes that we start do not find it there."""
        return cls(os.environ.pop(VARIABLE, ""))

    def ready(self) -> None:
        """Clients can come, and this is the main process."""
        self._send("READY=1", f"MAINPID={os.getpid()}")

    def reloading(self) -> None:
        """A reload has begun; :meth:`reloaded` follows."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """A reload is over."""
        self._send("READY=1")

    def stopping(self) -> None:
        """The server is about to end."""
        self._send("STOPPING=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # A service manager that cannot be reached, or is behind, must not harm the server.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto("\n".join(lines).encode(), self._address)
