"""A resolver, and names that a test makes up."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.lookups import ResolveError
from dantetw.net.resolving import Resolver
from tests.held import ReportingClock, held


class Names:
    """The network's knowledge: names, addresses, failures; and what was asked."""

    def __init__(self) -> None:
        self.forward: dict[str, list[str] | Exception] = {}
        self.backward: dict[str, str | Exception] = {}
        self.asked: list[Any] = []

    def getaddrinfo(self, host: bytes, port: int, family: int, kind: int) -> list[Any]:
        self.asked.append((host.decode(), family))
        assert kind == socket.SOCK_STREAM
        found = self.forward.get(
            host.decode().lower(), socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        )
        if isinstance(found, Exception):
            raise found
        return [
            (socket.AF_INET6, kind, 6, "", (text, 0, 0, 0))
            if ":" in text
            else (socket.AF_INET, kind, 6, "", (text, 0))
            for text in found
        ]

    def getnameinfo(self, sockaddr: tuple[str, int], flags: int) -> tuple[str, str]:
        self.asked.append((sockaddr[0], flags))
        found = self.backward.get(
            sockaddr[0], socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        )
        if isinstance(found, Exception):
            raise found
        return found, "0"


class ResolvingTestCase(SynchronousTestCase):
    """A resolver of which a test holds all ends."""

    def setUp(self) -> None:
        """Make one with two threads and room for two more look-ups."""
        self.names = Names()
        self.clock = ReportingClock()
        self.threads, self.pool = held(self.clock, size=2, limit=2)
        self.resolver = Resolver(
            self.clock, self.threads, self.names.getaddrinfo, self.names.getnameinfo
        )

    def answer(self, waited: Deferred[Any]) -> Any:
        """Run all look-ups and return the result."""
        self.pool.run_all()
        return self.successResultOf(waited)

    def error(self, waited: Deferred[Any]) -> tuple[str, str]:
        """Run all look-ups and return symbol and reason of the failure."""
        self.pool.run_all()
        error = self.failureResultOf(waited, ResolveError).value
        assert isinstance(error, ResolveError)
        return error.symbol, error.reason
