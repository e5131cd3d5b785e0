"""
The worker processes of a supervisor: started, replaced when they die, ended.

A worker that has lived for :data:`PROVEN_SECONDS` is replaced at once when it dies.  One that dies
sooner is replaced with exponential back-off, from :data:`FIRST_RETRY_SECONDS` to
:data:`LONGEST_RETRY_SECONDS`.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, NoReturn

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from dantetw.accounts.book import Book
from dantetw.crew import forking
from dantetw.crew.loans import Lending
from dantetw.crew.logs import LAST_FLUSH_SECONDS
from dantetw.crew.messages import Answer, Notice, Retire, Retired, Running, Stop, Stopping
from dantetw.crew.scoreboard import Scoreboard
from dantetw.crew.watchdog import Watchdog
from dantetw.crew.worker import WorkerContext, work
from dantetw.crew.workerprocess import ANSWER_SECONDS, WorkerProcess
from dantetw.net.channel import Channel, Frame
from dantetw.net.listening import Port
from dantetw.observe.journal import Journal
from dantetw.observe.observer import Observer
from dantetw.observe.sinks.inherited import InheritedLogs
from dantetw.policy import Policy
from dantetw.relay.latency import LatencySnapshot
from dantetw.values import Endpoint, Severity

#: Seconds after which a worker's start counts as successful.
PROVEN_SECONDS: Final = 10.0
#: Seconds until a worker that died sooner is replaced: the first time, and at most.
FIRST_RETRY_SECONDS: Final = 0.5
LONGEST_RETRY_SECONDS: Final = 30.0
#: Seconds that a worker has to write its last lines and end; then it is killed.
EXIT_GRACE_SECONDS: Final = 2 * LAST_FLUSH_SECONDS
#: Seconds between two checks whether it is dead.
REAP_SECONDS: Final = 0.02


class WorkerPool:
    """
    The worker processes.

    :param context: the context of workers; each has its own ports, logs, scoreboard and table.
    :param number: the configured number of workers.
    :param monotonic: the clock that sessions are timed by.
    :param heard: called with a worker and its message, after that has been processed.
    :ivar workers: all workers, including retired ones.
    :ivar book: the counts of present and past workers.
    :ivar past_latencies: the latencies of workers that have ended.
    :ivar started: how many have been started, by place.
    :ivar ending: whether the server is stopping; no more workers are started then.
    """

    def __init__(
        self,
        reactor: Any,
        journal: Journal,
        observer: Observer,
        context: WorkerContext,
        number: int,
        monotonic: Callable[[], float],
        heard: Callable[[WorkerProcess, Answer | Notice], None],
    ) -> None:
        self.monotonic = monotonic
        self.context = context
        self.number = number
        self._reactor = reactor
        self._journal = journal
        self._observer = observer
        self._heard_of = heard
        self._scoreboards = [Scoreboard(place + 1, number) for place in range(number)]
        self._policies = {context.policy.generation: context.policy}
        self._pauses = [0.0] * number
        self._restarts: dict[int, IDelayedCall] = {}
        # The places that wait for the end of a change.
        self._held: set[int] | None = None
        self._stopped: Deferred[None] | None = None
        # All workers have had time to begin.
        self._begun = False
        self.ending = False
        self.workers: list[WorkerProcess] = []
        self.started = [0] * number
        self.book = Book()
        self.past_latencies: dict[str, LatencySnapshot] = {}
        self._lending = Lending(number, context.ports)
        self._watchdog = Watchdog(
            reactor,
            monotonic,
            journal,
            lambda: self.workers,
            lambda: self.context.policy.processes.worker_timeout,
            self._stalled,
            self._balance,
        )

    def start(self, ports: Mapping[Endpoint, Port]) -> bool:
        """
        Start the workers, before the reactor runs; wait until each accepts clients, or has died.

        When it returns, clients can connect.

        :returns: whether any worker accepts clients.
        """
        self.context = replace(self.context, ports=ports)
        self._lending.ports = ports
        for place in range(self.number):
            self._fork(place)
        starting = {worker.channel.fileno(): worker for worker in self.workers}
        poll = select.poll()
        for descriptor in starting:
            poll.register(descriptor, select.POLLIN)
        until = self.monotonic() + ANSWER_SECONDS
        while starting and (left := until - self.monotonic()) > 0:
            for descriptor, _ in poll.poll(left * 1000):
                worker = starting[descriptor]
                worker.channel.doRead()
                if worker.running or worker.channel.fileno() < 0:
                    poll.unregister(descriptor)
                    del starting[descriptor]
        self._begun = True
        self._balance()
        self._watchdog.start()
        return any(worker.running for worker in self.workers)

    def share_of(self, port: Port, place: int) -> Port:
        """The port with the sockets that a worker accepts at."""
        return port.share_of(place, self.number)

    def _fork(self, place: int) -> None:
        """Start a worker."""
        self._restarts.pop(place, None)
        if self.ending:
            return
        if self._held is not None:
            self._held.add(place)  # it would miss the change
            return
        scoreboard, table = self._scoreboards[place], self.book.take()
        ports = {
            endpoint: self.share_of(port, place) for endpoint, port in self.context.ports.items()
        }
        born = self.monotonic()
        logs = None
        try:
            logs = self.inherited_logs()
            context = replace(
                self.context,
                ports=ports,
                inherited=logs.descriptors,
                scoreboard=scoreboard,
                table=table,
            )
            pid, sock = forking.fork(lambda sock: self._work(context, sock))
        except OSError as failed:
            if logs is not None:
                logs.close()
            self.book.give_back(table)
            text = f"worker {place + 1} cannot be started: {os.strerror(failed.errno or 0)}"
            self._journal.message(Severity.ERROR, "server.worker", text)
            self._replace(place, 0.0)
            return
        logs.given()
        worker = WorkerProcess(place, pid, born, scoreboard, table, logs, self._reactor)
        worker.channel = Channel(
            sock,
            self._reactor,
            lambda frame: self._heard(worker, frame),
            lambda: self._lost(worker),
            trusted=False,
        )
        worker.channel.start()
        self.workers.append(worker)
        self.started[place] += 1

    def inherited_logs(self) -> InheritedLogs:
        """
        The log's destinations, for a worker.

        :raises OSError: if there can be no more descriptors.
        """
        return InheritedLogs(self._observer.sinks, self._reactor, self._observer.look_after_sinks)

    def _work(self, context: WorkerContext, sock: socket.socket) -> NoReturn:
        """Run a worker, in the new process."""
        # It must not be able to write what others do.
        for scoreboard in (*self._scoreboards, *(worker.scoreboard for worker in self.workers)):
            if scoreboard is not context.scoreboard:
                scoreboard.close()
        assert context.table is not None
        self.book.keep(context.table)
        work(self._reactor, context, sock)

    def _heard(self, worker: WorkerProcess, frame: Frame) -> None:
        message = worker.heard(frame)
        match message:
            case Retired() if not worker.retired and not self.ending:
                worker.retired = True
                worker.loans.clear()
                self._succeed(worker)
                self._balance()
                self._fork(worker.place)
            case Stopping() if not worker.leaving:
                worker.leaving = True
                self._balance()
                self._reap(worker, self.monotonic() + ANSWER_SECONDS)
            case Running():
                self._balance()
        self._heard_of(worker, message)

    def _balance(self) -> None:
        """Lend the sockets of workers that do not accept to the others."""
        if self._begun and not self.ending:
            self._lending.balance(self.workers)

    def _stalled(self, worker: WorkerProcess) -> None:
        """A worker does not respond: do not wait for it."""
        if self._stopped is not None:
            worker.kill()
        worker.give_up()

    def _succeed(self, worker: WorkerProcess) -> None:
        """Make a scoreboard for the successor of this worker."""
        self._scoreboards[worker.place] = Scoreboard(worker.scoreboard.next_number, self.number)

    # The end of a worker.

    def _lost(self, worker: WorkerProcess) -> None:
        """A worker has closed its end, or has sent nonsense."""
        worker.leaving = True
        self._balance()
        self._reap(worker, self.monotonic() + EXIT_GRACE_SECONDS)

    def _reap(self, worker: WorkerProcess, until: float) -> None:
        if worker not in self.workers:
            return
        try:
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
        except ChildProcessError:
            pid, status = worker.pid, 0  # something else has asked
        if not pid:
            if self.monotonic() >= until:
                worker.kill()
            self._reactor.callLater(REAP_SECONDS, self._reap, worker, until)
            return
        self._died(worker, os.waitstatus_to_exitcode(status))

    def _died(self, worker: WorkerProcess, status: int) -> None:
        self.workers.remove(worker)
        worker.channel.close()
        # Its own last lines come first.
        for logs in worker.logs:
            logs.drain()
        now, sinks = self.monotonic(), self._observer.sinks
        ends = worker.scoreboard.crashed(self._policies, now, sinks)
        self.book.give_back(worker.table)
        for kind, measured in worker.latencies.items():
            past = self.past_latencies.setdefault(kind, LatencySnapshot.nothing())
            past.since_start.merge(measured.since_start)
        for end, lacking in ends:
            self._observer.record_in(lacking, end)
        if not worker.retired and self._stopped is None:
            self._succeed(worker)
            how = f"was killed by signal {-status}" if status < 0 else f"ended with {status}"
            text = (
                f"worker {worker.place + 1} (process {worker.pid}) {how};"
                f" {len(ends)} {'session' if len(ends) == 1 else 'sessions'} with it"
            )
            self._journal.message(Severity.WARNING, "server.worker", text)
            self._replace(worker.place, self.monotonic() - worker.born)
        worker.scoreboard.close()
        worker.give_up()
        self._balance()
        if self._stopped is not None and not self.workers:
            self._stopped.callback(None)

    def _replace(self, place: int, lived: float) -> None:
        pause = 0.0
        if lived < PROVEN_SECONDS:
            pause = min(max(self._pauses[place] * 2, FIRST_RETRY_SECONDS), LONGEST_RETRY_SECONDS)
        self._pauses[place] = pause
        self._restarts[place] = self._reactor.callLater(pause, self._fork, place)

    # Changes.

    def hold(self) -> None:
        """Start no worker until :meth:`go_on`: it would miss the change that is being made."""
        self._held = set()

    def go_on(self) -> None:
        """Start the workers that were held."""
        held, self._held = self._held, None
        for place in held or ():
            self._fork(place)

    def change(self, policy: Policy, key: bytes, ports: Mapping[Endpoint, Port]) -> None:
        """Use this context for workers that are started from now on."""
        self.context = replace(self.context, policy=policy, key=key, ports=ports)
        self._policies[policy.generation] = policy

    def lend(self) -> None:
        """The ports have changed: lend new ones wherever others are lent."""
        self._lending.renew(self.workers, self.context.ports)

    def forget_policies(self) -> None:
        """Forget old policies that no session uses."""
        used = {self.context.policy.generation}
        for worker in self.workers:
            used |= worker.scoreboard.generations()
        self._policies = {n: policy for n, policy in self._policies.items() if n in used}

    # The end of all.

    def retire(self) -> None:
        """Retire all workers: they accept no more clients, and end with their last sessions."""
        self._start_no_more()
        for worker in self.workers:
            worker.retired = True
            worker.send(Retire())

    def stop(self) -> Deferred[None]:
        """End all workers; fires when none is left."""
        self._stopped = stopped = Deferred[None]()
        self._start_no_more()
        for worker in self.workers:
            worker.send(Stop())
            if worker.stalled:
                worker.kill()
        if not self.workers:
            stopped.callback(None)
            return stopped
        killing = self._reactor.callLater(ANSWER_SECONDS, self._kill)

        def over(result: None) -> None:
            if killing.active():
                killing.cancel()

        return stopped.addCallback(over)

    def _start_no_more(self) -> None:
        self.ending = True
        for restart in self._restarts.values():
            restart.cancel()
        self._restarts.clear()

    def _kill(self) -> None:
        for worker in self.workers:
            worker.kill()
