"""
The addresses of a log daemon's host.

They are looked up in a thread of its own, so that nothing waits for a name server.  Only the last
flush waits for the answer, when no reactor passes it on any more.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

from dantetw.observe.sinks.kind import Reactor

#: A family and an address in the form that the family has.
Address = tuple[int, Any]


def numeric(host: str, port: int, kind: int) -> list[Address]:
    """The address that ``host`` is, or none: it is a name."""
    with contextlib.suppress(OSError, UnicodeError):
        return _ask(host, port, kind, socket.AI_NUMERICHOST)
    return []


def _ask(host: str, port: int, kind: int, flags: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=kind, flags=flags)
    return [(int(family), address) for family, _, _, _, address in found]


class HostLookup:
    """
    One look-up.  The thread keeps no process alive.

    :param kind: ``SOCK_DGRAM`` or ``SOCK_STREAM``.
    :param report: called in the reactor's thread, with this, when there is an answer.
    :ivar addresses: the answer, in the system's order of preference; empty if there is none.
    :raises RuntimeError: there can be no more threads.
    """

    def __init__(
        self,
        reactor: Reactor,
        host: str,
        port: int,
        kind: int,
        report: Callable[[HostLookup], None],
    ) -> None:
        self.addresses: list[Address] = []
        self._reactor = reactor
        self._question = (host, port, kind)
        self._report = report
        self._answered = Event()
        Thread(target=self._thd_ask, name=f"look up {host}", daemon=True).start()

    def _thd_ask(self) -> None:
        try:
            with contextlib.suppress(OSError, UnicodeError):
                self.addresses = _ask(*self._question, 0)
        finally:
            self._answered.set()
            self._reactor.callFromThread(lambda: self._report(self))

    def wait(self, seconds: float) -> bool:
        """Wait for the answer, for at most so long; whether it is there."""
        return self._answered.wait(seconds)
