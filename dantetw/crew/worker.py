"""
A worker process: serves clients, and carries out the supervisor's orders.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import LoopingCall
from twisted.logger import Logger, globalLogPublisher
from twisted.python.failure import Failure

from dantetw import catalogue
from dantetw.accounts.table import Table
from dantetw.crew import codec, forking
from dantetw.crew.borrowed import Borrowed
from dantetw.crew.errors import UnusableError
from dantetw.crew.logs import LAST_FLUSH_SECONDS, Logs
from dantetw.crew.messages import (
    Abandon,
    Answer,
    Change,
    Commit,
    Committed,
    Gather,
    Gathered,
    Latencies,
    Lend,
    Notice,
    Prepare,
    Prepared,
    Release,
    Released,
    Reopen,
    ReportSessions,
    Retire,
    Retired,
    Running,
    SessionsReported,
    Stop,
    Stopping,
    TakeBack,
)
from dantetw.crew.scoreboard import BEAT, Scoreboard
from dantetw.crew.socksserver import SocksServer
from dantetw.net.adopting import adopt
from dantetw.net.channel import Channel, Frame
from dantetw.net.listening import ListeningSocket, Port, given_port
from dantetw.observe.sinks.kind import Surroundings
from dantetw.observe.sinks.opening import Outputs, open_sink
from dantetw.policy import Policy
from dantetw.privileged.privileges import Privileges
from dantetw.process import signals
from dantetw.values import Endpoint, Method

#: Where warnings go while no destination of the log can be opened.
STANDBY: Final = "stderr"
#: Seconds between two updates of the scoreboard, and between two times that
#: latencies are sent to the supervisor, which keeps them when this process has ended.
LOOK_SECONDS: Final = 1.0
SEND_SECONDS: Final = 10.0
#: Part of ``child.maxlifetime`` over which the ends of workers are spread that began together.
LIFETIME_SPREAD: Final = 0.1

_log: Final = Logger()


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """
    The context that a worker process starts with.

    :ivar ports: each with a socket for this worker.
    :ivar key: of pseudonyms in the log.
    :ivar inherited: descriptors of the log's destinations, by their names.
    :ivar table: where its sessions are counted.
    """

    policy: Policy
    ports: Mapping[Endpoint, Port]
    logs: Logs
    key: bytes
    surroundings: Surroundings
    inherited: Mapping[str, int]
    privileges: Privileges
    keep_alive: bool
    scoreboard: Scoreboard | None = None
    table: Table | None = None


class Worker:
    """
    The worker process.

    :param reactor: its own.
    :param sock: connects it to the supervisor process.
    """

    def __init__(self, reactor: Any, context: WorkerContext, sock: socket.socket) -> None:
        self._reactor = reactor
        self._context = context
        self._ports = context.ports
        self._key = context.key
        self._logs = logs = context.logs
        assert context.scoreboard is not None
        logs.observe(reactor, context.scoreboard.place)
        self._surroundings = replace(context.surroundings, reactor=reactor)
        self._open_logs(context.policy, context.key, context.inherited)
        globalLogPublisher.addObserver(logs.observer)
        context.privileges.tell(logs.journal)
        self._server = SocksServer(
            reactor,
            logs.journal,
            context.privileges,
            context.keep_alive,
            logs.turn,
            lambda: logs.observer.waiting,
            context.table,
        )
        self._scoreboard = context.scoreboard
        self._scoreboard.follow(self._server.factory)
        self._scoreboard.turn = logs.turn
        self._borrowed = Borrowed(self._server.factory, reactor)
        self._born = self._server.factory.monotonic()
        self._channel = Channel(sock, reactor, self._heard, self._orphaned)
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor
        self._sent = 0.0
        # What the next Commit puts in force.
        self._prepared: tuple[Change, Mapping[Method, Any], Mapping[Endpoint, Port]] | None = None
        self._stopping = self._retired = False

    def run(self) -> None:
        """Serve until the worker ends."""
        serving, policy, reactor = self._server, self._context.policy, self._reactor
        serving.adopt(policy, serving.authenticators(policy, known=True))
        self._catch_signals()
        signals.keep(reactor, self._catch_signals)
        self._channel.start()
        serving.start(self._ports)
        self._looking.start(LOOK_SECONDS, now=False)
        self._beat()
        self._send(Running())
        reactor.run()
        self._logs.observer.close(LAST_FLUSH_SECONDS)

    def _catch_signals(self) -> None:
        for number in forking.SUPERVISOR_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: self._reactor.callFromThread(self._stop))

    def _open_logs(
        self, policy: Policy, key: bytes, opened: Mapping[str, int], reload: bool = False
    ) -> None:
        surroundings = replace(self._surroundings, inherited=opened)
        if STANDBY in opened and not reload:
            self._logs.observer.stand_by(open_sink(STANDBY, surroundings, catalogue.SINKS))
        # The supervisor has logged what it could not open either.
        known = () if reload else self._logs.problems
        self._logs.open(policy, key, surroundings, reload, known)
        if self._context.scoreboard is not None:
            self._context.scoreboard.writes.watch(self._logs.observer.sinks)
        # Each sink has a duplicate.
        for descriptor in opened.values():
            os.close(descriptor)

    # Orders of the supervisor.

    def _send(self, message: Answer | Notice, number: int = 0) -> None:
        """Send the supervisor a message; ``number``: of the question that it answers."""
        frame = codec.pack(message, number)
        self._channel.send(frame.word, frame.said)

    def _heard(self, frame: Frame) -> None:
        number, order = codec.parse_order(frame)
        descriptors = frame.descriptors
        match order:
            case Stop():
                self._stop()
            case Retire():
                self._retire()
            case Prepare():
                self._prepare(order.change, descriptors, number)
            case Commit(logs):
                self._commit(logs, descriptors, number)
            case Reopen(logs):
                self._use_logs(self._server.factory.policy, logs, descriptors)
            case Abandon():
                self._abandon()
            case Release(grace):
                self._release(grace, number)
            case Gather():
                Deferred.fromCoroutine(self._gather(number)).addErrback(_report_failed)
            case ReportSessions(report, up):
                reporting = self._report_sessions(report, up, number)
                Deferred.fromCoroutine(reporting).addErrback(_report_failed)
            case Lend(place):
                self._borrow(place, descriptors)
            case TakeBack(place):
                self._borrowed.give_back(place)

    def _orphaned(self) -> None:
        """The supervisor has died: no process could retire this one, or take its answers."""
        self._stop()

    def _stop(self) -> None:
        """End all, now."""
        if self._stopping:
            return
        self._stopping = True
        self._send(Stopping())
        if self._looking.running:
            self._looking.stop()
        self._borrowed.stop()
        self._server.stop()
        self._logs.observer.conclude()
        self._send_latencies()
        self._reactor.addSystemEventTrigger("after", "shutdown", signals.deafen)
        if self._channel.flush():
            self._leave()
        else:
            self._reactor.callLater(LOOK_SECONDS, self._leave)

    def _leave(self) -> None:
        # Not when the reactor has stopped: it reports to destinations that their readers have gone.
        self._logs.observer.close(LAST_FLUSH_SECONDS)
        self._reactor.stop()

    def _retire(self) -> None:
        """Accept no more clients; end with the last session."""
        if self._retired:
            return
        self._retired = True
        self._borrowed.stop()
        self._server.retire()
        self._logs.count_alone()  # another worker has the place soon
        if self._prepared is not None:
            change, authenticators, ports = self._prepared
            self._close_added(ports)
            self._prepared = change, authenticators, {}
        self._send(Retired())

    def _look(self) -> None:
        factory, now = self._server.factory, self._server.factory.monotonic()
        self._scoreboard.update(now)
        policy = factory.policy
        most = policy.processes.max_requests
        if most and factory.counts.requested >= most:
            self._retire()
        # Not all workers at once.
        lifetime = policy.processes.max_lifetime * (1.0 - LIFETIME_SPREAD * self._scoreboard.share)
        if lifetime and now - self._born >= lifetime:
            self._retire()
        if now - self._sent >= SEND_SECONDS:
            self._sent = now
            self._send_latencies()
        if self._retired and not factory.sessions:
            self._stop()

    def _beat(self) -> None:
        self._scoreboard.beat()
        self._reactor.callLater(BEAT, self._beat)

    def _borrow(self, place: int, descriptors: tuple[int, ...]) -> None:
        """Accept at the sockets of a worker that does not respond."""
        if not (self._retired or self._stopping):
            self._borrowed.accept(place, descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)

    # A reload.

    def _prepare(self, change: Change, descriptors: tuple[int, ...], number: int) -> None:
        unable = ""
        authenticators: Mapping[Method, Any] = {}
        try:
            if not self._is_current(change.policy):
                authenticators = self._server.authenticators(change.policy, known=True)
        except UnusableError as unusable:
            unable = str(unusable)
        if len(descriptors) < len(change.added):
            unable = os.strerror(errno.EMFILE)
        if unable or self._retired:
            for descriptor in descriptors:
                os.close(descriptor)
        if unable:
            self._send(Prepared(unable), number)
            return
        ports: dict[Endpoint, Port] = {}
        if not self._retired:  # else it has closed those that stay, and opens no others
            ports = {endpoint: self._ports[endpoint] for endpoint in change.kept}
            for endpoint, descriptor in zip(change.added, descriptors, strict=True):
                ports[endpoint], _ = given_port((adopt(descriptor, ListeningSocket),))
        self._prepared = change, authenticators, ports
        self._send(Prepared(), number)

    def _is_current(self, policy: Policy) -> bool:
        """Whether a policy is in force already."""
        return policy.generation == self._server.factory.policy.generation

    def _commit(
        self, names: tuple[str, ...] | None, descriptors: tuple[int, ...], number: int
    ) -> None:
        if self._prepared is None:
            return
        (change, authenticators, ports), self._prepared = self._prepared, None
        policy, self._key = change.policy, change.key
        # Of the policy in force only ports change: an interface's addresses have.
        if not self._is_current(policy):
            self._use_logs(policy, names, descriptors)
            self._server.adopt(policy, authenticators)
        if not self._retired:
            self._server.listen({**self._ports, **ports})
        self._ports = ports
        self._send(Committed(), number)

    def _use_logs(
        self, policy: Policy, names: tuple[str, ...] | None, descriptors: tuple[int, ...]
    ) -> None:
        """Log as a policy says, to destinations that were opened again if there are any."""
        if names is None:
            self._logs.use(policy, self._key, Outputs(kept=True))
        else:
            # Some are missing if we can have no more descriptors; then the old ones stay.
            opened = dict(zip(names, descriptors, strict=False))
            self._open_logs(policy, self._key, opened, reload=True)

    def _release(self, grace: bool, number: int) -> None:
        """
        Close the ports that the change drops.

        Not before the supervisor has: a client that connects to a socket which only the supervisor
        still holds is lost.
        """
        if self._retired:
            self._send(Released(), number)
            return
        left = self._server.listen(self._ports, grace), self._borrowed.keep(self._ports, grace)
        gatherResults(left).addCallback(lambda _: self._send(Released(), number))

    def _abandon(self) -> None:
        """Abandon the prepared change."""
        if self._prepared is not None:
            _, _, ports = self._prepared
            self._prepared = None
            self._close_added(ports)

    def _close_added(self, ports: Mapping[Endpoint, Port]) -> None:
        """Close ports that were prepared: clients would wait there forever."""
        for endpoint, port in ports.items():
            if endpoint not in self._ports:
                port.close()

    # A status report.

    async def _gather(self, number: int) -> None:
        """Update everything that the supervisor reads."""
        free = await self._server.report.count_free_files()
        self._scoreboard.update(self._server.factory.monotonic())
        self._send_latencies()
        self._send(Gathered(free), number)

    def _send_latencies(self) -> None:
        self._send(Latencies(self._server.report.latencies()))

    async def _report_sessions(self, report: int, up: float, number: int) -> None:
        reported, gone = await self._server.report.write_sessions(report, up)
        self._send(SessionsReported(reported, gone), number)


def _report_failed(failure: Failure) -> None:
    _log.failure("Failure in a status report", failure)


def work(old_reactor: Any, context: WorkerContext, sock: socket.socket) -> NoReturn:
    """
    Run a worker, in a process that has just been forked.

    :param sock: connects it to the supervisor process.
    """
    status = forking.UNABLE
    try:
        inherited_log = context.logs.observer
        # twistd's own log too, if there is one: its descriptor goes, and the number is used again.
        observers = tuple(globalLogPublisher._observers)
        for observer in observers:
            globalLogPublisher.removeObserver(observer)
        context.surroundings.own.clear()
        # Before that, since it closes what is the supervisor's, and opens what is to be kept.
        context.privileges.be_worker()
        forking.keep_only(
            (
                sock.fileno(),
                *(sock.fileno() for port in context.ports.values() for sock in port.sockets),
                *context.inherited.values(),
                *context.privileges.descriptors,
            ),
            abandoned=(old_reactor, inherited_log, observers),
        )
        Worker(forking.new_reactor(old_reactor), context, sock).run()
        status = 0
    except BaseException:
        _log.failure("Failure in a worker")
        context.logs.observer.close(LAST_FLUSH_SECONDS)
    finally:
        os._exit(status)
