"""
The supervisor process: a server whose clients are served by workers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, gatherResults

from dantetw.crew.errors import UnusableError
from dantetw.crew.figures import CrewFigures, ProcessFigures, WorkerFigures
from dantetw.crew.messages import (
    Abandon,
    Answer,
    Change,
    Commit,
    Committed,
    Gather,
    Gathered,
    Notice,
    Prepare,
    Prepared,
    Release,
    Released,
    Reopen,
    ReportSessions,
    Retire,
    SessionsReported,
)
from dantetw.crew.pool import WorkerPool
from dantetw.crew.socksserver import SocksServer
from dantetw.crew.worker import WorkerContext
from dantetw.crew.workerprocess import ANSWER_SECONDS, WorkerProcess
from dantetw.net.channel import MOST_DESCRIPTORS
from dantetw.net.listening import Port
from dantetw.observe.journal import Journal
from dantetw.observe.observer import Observer
from dantetw.policy import Policy
from dantetw.session.slices import LONGEST_PAUSE_SECONDS
from dantetw.values import AccountKind, Endpoint, Method

#: Seconds that workers have to report their sessions, including waits for slow destinations.
REPORT_SECONDS: Final = LONGEST_PAUSE_SECONDS + ANSWER_SECONDS

_Result = TypeVar("_Result")
_Names = tuple[str, ...] | None


class Supervisor:
    """
    Keeps workers and talks to them; an :class:`~.interfaces.ICrew`.

    :param server: serves no clients, but checks new settings before workers use them.
    :param context: the context of workers, without ports, logs, scoreboard and table.
    :param number: of workers.
    :param monotonic: the clock that sessions are timed by.
    """

    def __init__(
        self,
        reactor: Any,
        journal: Journal,
        observer: Observer,
        server: SocksServer,
        context: WorkerContext,
        number: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._observer = observer
        self._server = server
        self._pool = WorkerPool(reactor, journal, observer, context, number, monotonic, self._heard)
        # Changes so far, and the last that was made.
        self._changes = self._made = 0
        self._authenticators: Mapping[Method, Any] | None = None
        self._grace = True

    @property
    def sessions(self) -> int:
        return sum(worker.counts.open for worker in self._pool.workers)

    @property
    def busy(self) -> bool:
        return bool(self._pool.workers)

    def needs_restart(self, policy: Policy) -> bool:
        return policy.processes.workers != self._pool.context.policy.processes.workers

    def authenticators(self, policy: Policy) -> Mapping[Method, Any]:
        return self._server.authenticators(policy)

    def adopt(self, policy: Policy, authenticators: Mapping[Method, Any]) -> None:
        self._server.adopt(policy, authenticators)

    def start(self, ports: Mapping[Endpoint, Port]) -> None:
        if not self._pool.start(ports):
            raise UnusableError("no worker has begun to serve clients")

    def _heard(self, worker: WorkerProcess, message: Answer | Notice) -> None:
        if isinstance(message, Prepared) and worker.refusal and self._made == self._changes:
            # The change was made without it: it would serve clients by the old policy.
            worker.send(Retire())

    async def prepare(
        self,
        policy: Policy,
        key: bytes,
        ports: Mapping[Endpoint, Port],
        authenticators: Mapping[Method, Any] | None = None,
        grace: bool = True,
    ) -> None:
        added = ports.keys() - self._pool.context.ports.keys()
        if len(added) > MOST_DESCRIPTORS:
            text = f"internal: {len(added)} new addresses; a reload takes {MOST_DESCRIPTORS}"
            raise UnusableError(text)
        refusal = await self._prepare(policy, key, ports)
        if refusal:
            for worker in self._pool.workers:
                worker.send(Abandon())
            self._pool.go_on()
            raise UnusableError(refusal)
        self._authenticators, self._grace = authenticators, grace

    async def _prepare(self, policy: Policy, key: bytes, ports: Mapping[Endpoint, Port]) -> str:
        """Prepare all workers for a change; returns why one cannot make it, or an empty text."""
        pool, old = self._pool, self._pool.context.ports
        kept = tuple(endpoint for endpoint in ports if endpoint in old)
        added = {endpoint: port for endpoint, port in ports.items() if endpoint not in old}
        self._changes += 1
        pool.hold()
        change = Prepare.of(Change(policy, key, kept, tuple(added)))
        workers, answers = tuple(pool.workers), []
        for worker in workers:
            own = [pool.share_of(port, worker.place) for port in added.values()]
            try:
                answers.append(worker.prepare(change, [port.sockets[0].fileno() for port in own]))
            except OSError as failed:
                return f"worker {worker.place + 1}: {os.strerror(failed.errno or 0)}"
        await gatherResults(answers)
        for worker in workers:
            if worker.refusal:
                return f"worker {worker.place + 1}: {worker.refusal}"
            if worker.unanswered is not None and worker in pool.workers and not worker.stalled:
                return f"worker {worker.place + 1} does not answer"
        if pool.ending:
            return "the server is ending"
        for worker in pool.workers:
            for logs in worker.logs:
                logs.take()  # while its destinations are there
        pool.change(policy, key, ports)
        return ""

    async def commit(self, reopened: bool) -> None:
        pool = self._pool
        if self._authenticators is not None:
            self._server.adopt(pool.context.policy, self._authenticators)
        self._made = self._changes
        answers = [self._commit(worker, reopened) for worker in pool.workers]
        pool.lend()
        await gatherResults(answers)
        pool.forget_policies()
        pool.go_on()

    def _commit(self, worker: WorkerProcess, reopened: bool) -> Deferred[Committed | None]:
        def ask(names: _Names, descriptors: Sequence[int]) -> Deferred[Committed | None]:
            return worker.ask(Commit(names), Committed, descriptors=descriptors)

        return self._give_logs(worker, ask) if reopened else ask(None, ())

    def _give_logs(
        self, worker: WorkerProcess, send: Callable[[_Names, Sequence[int]], _Result]
    ) -> _Result:
        """
        Give a worker the log's destinations, which have been opened again.

        :param send: sends their names and descriptors, or None if the worker is to keep those that
            it has: there are no descriptors.
        """
        # Until it receives them, its lines go to the current destinations.
        for each in worker.logs:
            each.follow(self._observer.sinks)
        logs = None
        try:
            logs = self._pool.inherited_logs()
            result = send(tuple(logs.descriptors), tuple(logs.descriptors.values()))
        except OSError:
            if logs is not None:
                logs.close()
            return send(None, ())
        logs.given()
        worker.logs = [each for each in worker.logs if each.open]
        worker.logs.append(logs)
        return result

    async def release(self) -> None:
        order = Release(self._grace)
        await gatherResults([worker.ask(order, Released) for worker in self._pool.workers])

    def reopen(self) -> None:
        for worker in self._pool.workers:
            self._reopen(worker)

    def _reopen(self, worker: WorkerProcess) -> None:
        def send(names: _Names, descriptors: Sequence[int]) -> None:
            worker.send(Reopen(names), descriptors)

        self._give_logs(worker, send)

    def retire(self) -> None:
        self._pool.retire()
        self._server.retire()

    def stop(self) -> Deferred[None]:
        self._server.stop()
        return self._pool.stop()

    async def gather(self) -> CrewFigures:
        pool = self._pool
        await gatherResults(
            [worker.ask(Gather(), Gathered) for worker in pool.workers if not worker.stalled]
        )
        now = pool.monotonic()
        return CrewFigures(
            tuple(
                ProcessFigures(
                    worker.counts,
                    worker.free_files,
                    worker.latencies,
                    WorkerFigures(
                        worker.place + 1,
                        worker.pid,
                        now - worker.born,
                        pool.started[worker.place],
                        worker.retired,
                    ),
                )
                for worker in self._in_order()
            ),
            pool.book.total(AccountKind.SERVER),
            pool.past_latencies,
        )

    async def report_sessions(self, report: int, up: float) -> tuple[int, int]:
        reported = gone = 0
        question = ReportSessions(report, up)
        for worker in self._in_order():
            if worker.stalled or worker not in self._pool.workers:
                continue
            answer = await worker.ask(question, SessionsReported, REPORT_SECONDS)
            if answer is not None:
                reported, gone = reported + answer.reported, gone + answer.gone
        return reported, gone

    def _in_order(self) -> list[WorkerProcess]:
        """The workers by place, the oldest first."""
        return sorted(self._pool.workers, key=lambda worker: (worker.place, worker.born))
