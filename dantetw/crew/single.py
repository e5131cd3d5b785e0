"""
A server that is one process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, succeed

from dantetw.crew.figures import CrewFigures, ProcessFigures
from dantetw.crew.socksserver import SocksServer
from dantetw.net.listening import Port
from dantetw.policy import Policy
from dantetw.relay.latency import LatencySnapshot
from dantetw.session.totals import latency
from dantetw.values import Endpoint, Method


class SingleProcess:
    """This process serves the clients; an :class:`~.interfaces.ICrew`."""

    def __init__(self, server: SocksServer) -> None:
        self._server = server
        self._change: _Change | None = None
        # The latencies of a report of which the sessions are still to come; None: there is none.
        self._gathered: Mapping[str, LatencySnapshot] | None = None

    @property
    def sessions(self) -> int:
        return len(self._server.factory.sessions)

    @property
    def busy(self) -> bool:
        return self.sessions > 0

    def needs_restart(self, policy: Policy) -> bool:
        now = self._server.factory.policy
        return (
            policy.processes.workers != now.processes.workers or policy.processes.replaces_workers
        )

    def authenticators(self, policy: Policy) -> Mapping[Method, Any]:
        return self._server.authenticators(policy)

    def adopt(self, policy: Policy, authenticators: Mapping[Method, Any]) -> None:
        self._server.adopt(policy, authenticators)

    def start(self, ports: Mapping[Endpoint, Port]) -> None:
        self._server.start(ports)

    async def prepare(
        self,
        policy: Policy,
        key: bytes,
        ports: Mapping[Endpoint, Port],
        authenticators: Mapping[Method, Any] | None = None,
        grace: bool = True,
    ) -> None:
        self._change = _Change(policy, ports, authenticators, grace)

    async def commit(self, reopened: bool) -> None:
        change, self._change = self._change, None
        assert change is not None
        if change.authenticators is not None:
            self._server.adopt(change.policy, change.authenticators)
        # While the sockets are there: the server closes them when this is done.
        await self._server.listen(change.ports, change.grace)

    async def release(self) -> None:
        """Nothing is left to do: :meth:`commit` has closed them."""

    def reopen(self) -> None:
        """Nothing is left to do: this process has opened them."""

    def retire(self) -> None:
        self._server.retire()

    def stop(self) -> Deferred[None]:
        self._server.stop()
        return succeed(None)

    async def gather(self) -> CrewFigures:
        server = self._server
        free = await server.report.count_free_files()
        counts = server.factory.counts
        self._gathered = latencies = server.report.latencies()
        figures = ProcessFigures(counts, free, latencies)
        return CrewFigures((figures,), counts)

    async def report_sessions(self, report: int, up: float) -> tuple[int, int]:
        own = self._server.report
        gathered, self._gathered = self._gathered, None
        continued = gathered is not None
        snapshots = own.latencies() if gathered is None else gathered
        latencies = [latency(report, kind, (each,)) for kind, each in snapshots.items()]
        return await own.write_sessions(report, up, latencies, continued)


@dataclass(frozen=True, slots=True)
class _Change:
    """What the next :meth:`SingleProcess.commit` does; see :meth:`.ICrew.prepare`."""

    policy: Policy
    ports: Mapping[Endpoint, Port]
    authenticators: Mapping[Method, Any] | None
    grace: bool
