"""
A worker: a process that serves clients, and does what its mother says.
"""

from __future__ import annotations

import errno
import os
import pickle
import signal
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn

from twisted.internet.defer import gatherResults
from twisted.internet.task import LoopingCall
from twisted.logger import Logger, globalLogPublisher

from dantetw import catalogue
from dantetw.crew import forking
from dantetw.crew.borrowing import Borrowed
from dantetw.crew.errors import UnusableError
from dantetw.crew.ledger import BEAT, Ledger
from dantetw.crew.lending import LEND, RETURN
from dantetw.crew.logs import LAST_FLUSH, Logs
from dantetw.crew.measures import pack
from dantetw.crew.socksserver import SocksServer
from dantetw.net.adopting import adopt
from dantetw.net.channel import Channel, Frame
from dantetw.net.listening import ListeningSocket, Port, given_port
from dantetw.observe.sinks.kind import Surroundings
from dantetw.observe.sinks.opening import Outputs, open_sink
from dantetw.policy import Policy
from dantetw.privileged.privileges import Privileges
from dantetw.process import signals
from dantetw.process.limits import count_files
from dantetw.session.reporting import Slices, Telling
from dantetw.session.totals import free_files, kinds
from dantetw.values import Endpoint, Method

#: Where warnings go while no destination of the log can be opened.
STANDBY: Final = "stderr"
#: Seconds between two looks at what is to be noted in the ledger, and between two times that
#: latencies are sent to the mother, who keeps them when we have gone.
LOOK: Final = 1.0
SEND: Final = 10.0
#: Part of ``child.maxlifetime`` over which the ends of workers are spread that began together.
LIFETIME_SPREAD: Final = 0.1

_log: Final = Logger()


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """
    What a worker is born with.

    :ivar ports: with a socket for this worker in each.
    :ivar key: of pseudonyms in the log.
    :ivar inherited: descriptors of the log's destinations, by their names.
    """

    policy: Policy
    ports: Mapping[Endpoint, Port]
    logs: Logs
    key: bytes
    surroundings: Surroundings
    inherited: Mapping[str, int]
    privileges: Privileges
    keep_alive: bool
    ledger: Ledger | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """
    What a reload brings.

    :ivar number: which it is: what is answered to one that was given up is no answer to the next.
    :ivar policy: the new one; ``key``: of pseudonyms in the log.
    :ivar kept: ports that stay; ``added``: those that come, for each of which a descriptor does.
    """

    number: int
    policy: Policy
    key: bytes
    kept: tuple[Endpoint, ...]
    added: tuple[Endpoint, ...] = ()


class Worker:
    """
    The worker.

    :param reactor: its own.
    :param sock: joins it to the mother.
    """

    def __init__(self, reactor: Any, estate: WorkerContext, sock: socket.socket) -> None:
        self._reactor = reactor
        self._estate = estate
        self._ports = estate.ports
        self._key = estate.key
        self._logs = logs = estate.logs
        assert estate.ledger is not None
        logs.observe(reactor, estate.ledger.place)
        self._surroundings = replace(estate.surroundings, reactor=reactor)
        self._open_logs(estate.policy, estate.key, estate.inherited)
        globalLogPublisher.addObserver(logs.observer)
        estate.privileges.tell(logs.journal)
        self._serving = SocksServer(
            reactor, logs.journal, estate.privileges, estate.keep_alive, logs.turn
        )
        self._ledger = estate.ledger
        self._ledger.follow(self._serving.factory)
        self._ledger.turn = logs.turn
        self._borrowed = Borrowed(self._serving.factory, reactor)
        self._born = self._serving.factory.monotonic()
        self._slices = Slices(self._serving.factory, lambda: logs.observer.waiting)
        self._channel = Channel(sock, reactor, self._heard, self._orphaned)
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor
        self._sent = 0.0
        # What the next "commit" brings into force.
        self._prepared: tuple[Change, Mapping[Method, Any], Mapping[Endpoint, Port]] | None = None
        self._stopping = self._retired = False

    def run(self) -> None:
        """Serve until it is over."""
        serving, policy, reactor = self._serving, self._estate.policy, self._reactor
        serving.adopt(policy, serving.authenticators(policy, known=True))
        self._catch_signals()
        signals.keep(reactor, self._catch_signals)
        self._channel.start()
        serving.start(self._ports)
        self._looking.start(LOOK, now=False)
        self._beat()
        self._channel.send("running")
        reactor.run()
        self._logs.observer.close(LAST_FLUSH)

    def _catch_signals(self) -> None:
        for number in forking.MOTHERS:
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
        if self._estate.ledger is not None:
            self._estate.ledger.writes.watch(self._logs.observer.sinks)
        # Each sink has a duplicate.
        for descriptor in opened.values():
            os.close(descriptor)

    # What the mother says.

    def _heard(self, order: Frame) -> None:
        word = order.word
        if word == "stop":
            self._stop()
        elif word == "retire":
            self._retire()
        elif word == "prepare":
            self._prepare(pickle.loads(order.payload), order.descriptors)
        elif word == "commit":
            self._commit(order.said, order.descriptors)
        elif word == "reopen":
            self._use_logs(self._serving.factory.policy, order.said, order.descriptors)
        elif word == "abandon":
            self._abandon()
        elif word == "release":
            self._release(order.said is not False)
        elif word == "measure":
            self._measure()
        elif word == "tell":
            self._tell(*order.said)
        elif word == LEND:
            self._borrow(order.said, order.descriptors)
        elif word == RETURN:
            self._borrowed.give_back(order.said)

    def _orphaned(self) -> None:
        """The mother has died: nobody would hear us, nor let us go."""
        self._stop()

    def _stop(self) -> None:
        """End all, now."""
        if self._stopping:
            return
        self._stopping = True
        self._channel.send("stopping")
        self._slices.stop()
        if self._looking.running:
            self._looking.stop()
        self._borrowed.stop()
        self._serving.stop()
        self._logs.observer.conclude()
        self._send_measures()
        self._reactor.addSystemEventTrigger("after", "shutdown", signals.deafen)
        if self._channel.flush():
            self._leave()
        else:
            self._reactor.callLater(LOOK, self._leave)

    def _leave(self) -> None:
        # Not when the reactor has stopped: it tells destinations that their readers have gone.
        self._logs.observer.close(LAST_FLUSH)
        self._reactor.stop()

    def _retire(self) -> None:
        """Take no more clients; end when those that are there have gone."""
        if self._retired:
            return
        self._retired = True
        self._borrowed.stop()
        self._serving.retire()
        self._logs.count_alone()  # another worker has the place soon
        if self._prepared is not None:
            change, authenticators, ports = self._prepared
            self._close_added(ports)
            self._prepared = change, authenticators, {}
        self._ledger.count()
        self._channel.send("retired")

    def _look(self) -> None:
        factory, now = self._serving.factory, self._serving.factory.monotonic()
        self._ledger.look(now)
        self._ledger.count()
        policy = factory.policy
        if policy.processes.max_requests and factory.requested >= policy.processes.max_requests:
            self._retire()
        # Not all workers at once.
        lifetime = policy.processes.max_lifetime * (1.0 - LIFETIME_SPREAD * self._ledger.share)
        if lifetime and now - self._born >= lifetime:
            self._retire()
        if now - self._sent >= SEND:
            self._sent = now
            self._send_measures()
        if self._retired and not factory.sessions:
            self._stop()

    def _beat(self) -> None:
        self._ledger.beat()
        self._reactor.callLater(BEAT, self._beat)

    def _borrow(self, place: int, descriptors: tuple[int, ...]) -> None:
        """Accept at sockets of a worker that does not."""
        if not (self._retired or self._stopping):
            self._borrowed.accept(place, descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)

    # A reload.

    def _prepare(self, change: Change, descriptors: tuple[int, ...]) -> None:
        answer, unable = f"prepared {change.number}", ""
        authenticators: Mapping[Method, Any] = {}
        try:
            if not self._is_current(change.policy):
                authenticators = self._serving.authenticators(change.policy, known=True)
        except UnusableError as unusable:
            unable = str(unusable)
        if len(descriptors) < len(change.added):
            unable = os.strerror(errno.EMFILE)
        if unable or self._retired:
            for descriptor in descriptors:
                os.close(descriptor)
        if unable:
            self._channel.send(answer, unable)
            return
        ports: dict[Endpoint, Port] = {}
        if not self._retired:  # else it has closed those that stay, and opens no others
            ports = {endpoint: self._ports[endpoint] for endpoint in change.kept}
            for endpoint, descriptor in zip(change.added, descriptors, strict=True):
                ports[endpoint], _ = given_port((adopt(descriptor, ListeningSocket),))
        self._prepared = change, authenticators, ports
        self._channel.send(answer, "")

    def _is_current(self, policy: Policy) -> bool:
        """Whether a policy is in force already."""
        return policy.generation == self._serving.factory.policy.generation

    def _commit(self, names: list[str] | None, descriptors: tuple[int, ...]) -> None:
        if self._prepared is None:
            return
        (change, authenticators, ports), self._prepared = self._prepared, None
        policy, self._key = change.policy, change.key
        # Of the policy in force only ports change: an interface's addresses have.
        if not self._is_current(policy):
            self._use_logs(policy, names, descriptors)
            self._serving.adopt(policy, authenticators)
        if not self._retired:
            self._serving.listen({**self._ports, **ports})
        self._ports = ports
        self._channel.send("committed")

    def _use_logs(
        self, policy: Policy, names: list[str] | None, descriptors: tuple[int, ...]
    ) -> None:
        """Log where a policy says, to destinations that were opened again if there are any."""
        if names is None:
            self._logs.use(policy, self._key, Outputs(kept=True))
        else:
            # Some are missing if we can have no more descriptors; then the old ones stay.
            opened = dict(zip(names, descriptors, strict=False))
            self._open_logs(policy, self._key, opened, reload=True)

    def _release(self, grace: bool) -> None:
        """
        Let go of the ports that have no place in the change.

        Not before the mother has: who comes to a socket that she alone still holds is lost.
        """
        if self._retired:
            self._channel.send("released")
            return
        left = self._serving.listen(self._ports, grace), self._borrowed.keep(self._ports, grace)
        gatherResults(left).addCallback(lambda _: self._channel.send("released"))

    def _abandon(self) -> None:
        """What was prepared will not come."""
        if self._prepared is not None:
            _, _, ports = self._prepared
            self._prepared = None
            self._close_added(ports)

    def _close_added(self, ports: Mapping[Endpoint, Port]) -> None:
        """Close ports that were to come: clients would wait there for ever."""
        for endpoint, port in ports.items():
            if endpoint not in self._ports:
                port.close()

    # A status report.

    def _measure(self) -> None:
        """Say what the totals are made of."""
        files: list[int] = []

        def count() -> Iterator[None]:
            for number in count_files():
                files[:] = [number]
                yield

        def counted() -> None:
            factory = self._serving.factory
            self._ledger.look(factory.monotonic())
            self._ledger.count()
            self._send_measures()
            self._channel.send("measured", free_files(files[0] if files else None))

        self._slices.begin(count(), counted)

    def _send_measures(self) -> None:
        measured = {name: pack(each.snapshot()) for name, each in kinds(self._serving.factory)}
        self._channel.send("measures", measured)

    def _tell(self, report: int, up: float) -> None:
        """Tell of the sessions."""
        telling = Telling(self._serving.factory, report, up)
        self._slices.begin(
            telling.told(),
            lambda: self._channel.send(f"told {report}", [telling.told_of, telling.gone]),
        )


def work(old_reactor: Any, estate: WorkerContext, sock: socket.socket) -> NoReturn:
    """
    Be a worker, in a process that has just been forked.

    :param sock: joins it to the mother.
    """
    status = forking.UNABLE
    try:
        mothers = estate.logs.observer
        # twistd's own log too, if there is one: its descriptor goes, and the number is given anew.
        observers = tuple(globalLogPublisher._observers)
        for observer in observers:
            globalLogPublisher.removeObserver(observer)
        estate.surroundings.own.clear()
        # Before that, since it closes what is the supervisor's, and opens what is to be kept.
        estate.privileges.be_worker()
        forking.keep_only(
            (
                sock.fileno(),
                *(sock.fileno() for port in estate.ports.values() for sock in port.sockets),
                *estate.inherited.values(),
                *estate.privileges.descriptors,
            ),
            abandoned=(old_reactor, mothers, observers),
        )
        Worker(forking.new_reactor(old_reactor), estate, sock).run()
        status = 0
    except BaseException:
        _log.failure("Failure in a worker")
        estate.logs.observer.close(LAST_FLUSH)
    finally:
        os._exit(status)
