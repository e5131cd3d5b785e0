"""
The mother: keeps as many workers as there shall be, and speaks to all of them.
"""

from __future__ import annotations

import os
import pickle
import select
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, NoReturn

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall

from dantetw.crew import forking
from dantetw.crew.ledger import Ledger
from dantetw.crew.lending import Lending
from dantetw.crew.logs import LAST_FLUSH
from dantetw.crew.watchdog import Watchdog
from dantetw.crew.worker import Change, WorkerContext, work
from dantetw.crew.workerprocess import PATIENCE, WorkerProcess, is_count
from dantetw.net.channel import MOST_DESCRIPTORS, Channel, Frame
from dantetw.net.listening import Port
from dantetw.observe.journal import Journal
from dantetw.observe.observer import Observer
from dantetw.observe.sinks.inherited import InheritedLogs
from dantetw.policy import Policy
from dantetw.relay.latency import LatencySnapshot
from dantetw.session.reporting import LONGEST
from dantetw.session.totals import Tally
from dantetw.values import Endpoint, Severity

#: Seconds that a worker lives which has begun well: another takes its place at once when it dies.
#: One that dies sooner is replaced after :data:`FIRST_PAUSE`, twice as late each time, at most
#: after :data:`LONGEST_PAUSE`.
PROVEN: Final = 10.0
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
#: Seconds that workers have to tell of their sessions, which waits for destinations that are slow.
PATIENCE_TOLD: Final = LONGEST + PATIENCE
#: Seconds that one has to get out its last lines, and end; then it is killed.
FAREWELL: Final = 2 * LAST_FLUSH
#: Seconds between two looks whether it is dead.
REAP: Final = 0.02
#: Characters of a worker's own words that are told.
_WORDS: Final = 1000


class Supervisor:
    """
    :param estate: what workers are born with; ports, inheritance and ledger are each one's own.
    :param number: how many workers there shall be.
    :param monotonic: the clock that sessions are timed by.
    :ivar children: those there are, retired ones included.
    :ivar past: counts of those that there were; ``measured``: their latencies.
    :ivar started: how many have been started, by place.
    """

    def __init__(
        self,
        reactor: Any,
        journal: Journal,
        observer: Observer,
        estate: WorkerContext,
        number: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.monotonic = monotonic
        self._reactor = reactor
        self._journal = journal
        self._observer = observer
        self._estate = estate
        self._number = number
        self._ledgers = [Ledger(place + 1, number) for place in range(number)]
        self._policies = {estate.policy.generation: estate.policy}
        self._pauses = [0.0] * number
        self._restarts: dict[int, IDelayedCall] = {}
        # Changes so far, the last that was made, and the places that wait for the end of one.
        self._changes = self._made = 0
        self._changing: set[int] | None = None
        self._stopped: Deferred[None] | None = None
        # All workers have had time to begin; no worker is started any more.
        self._begun = self._ending = False
        self.children: list[WorkerProcess] = []
        self.started = [0] * number
        self.past = Tally()
        self.measured: dict[str, LatencySnapshot] = {}
        self._lending = Lending(number, estate.ports)
        self._watchdog = Watchdog(
            reactor,
            monotonic,
            journal,
            lambda: self.children,
            lambda: self._estate.policy.processes.worker_timeout,
            self._stalled,
            self._balance,
        )

    def start(self) -> bool:
        """
        Begin, before the reactor does; wait until each worker accepts clients, or has died.

        Whoever has started us knows then that clients can come.

        :returns: whether any accepts clients.
        """
        for place in range(self._number):
            self._fork(place)
        starting = {child.channel.fileno(): child for child in self.children}
        poll = select.poll()
        for descriptor in starting:
            poll.register(descriptor, select.POLLIN)
        until = self.monotonic() + PATIENCE
        while starting and (left := until - self.monotonic()) > 0:
            for descriptor, _ in poll.poll(left * 1000):
                child = starting[descriptor]
                child.channel.doRead()
                if child.running or child.channel.fileno() < 0:
                    poll.unregister(descriptor)
                    del starting[descriptor]
        self._begun = True
        self._balance()
        self._watchdog.start()
        return any(child.running for child in self.children)

    def _fork(self, place: int) -> None:
        """Start a worker."""
        self._restarts.pop(place, None)
        if self._ending:
            return
        if self._changing is not None:
            self._changing.add(place)  # it would miss the change
            return
        ledger = self._ledgers[place]
        ports = {
            endpoint: port.share_of(place, self._number)
            for endpoint, port in self._estate.ports.items()
        }
        born = self.monotonic()
        bequest = None
        try:
            bequest = self._bequest()
            estate = replace(
                self._estate, ports=ports, inherited=bequest.descriptors, ledger=ledger
            )
            pid, sock = forking.fork(lambda sock: self._work(estate, sock))
        except OSError as failed:
            if bequest is not None:
                bequest.close()
            text = f"worker {place + 1} cannot be started: {os.strerror(failed.errno or 0)}"
            self._journal.message(Severity.ERROR, "server.worker", text)
            self._replace(place, 0.0)
            return
        bequest.given()
        child = WorkerProcess(place, pid, born, ledger, bequest, self._reactor)
        child.channel = Channel(
            sock,
            self._reactor,
            lambda order: self._heard(child, order),
            lambda: self._lost(child),
            trusted=False,
        )
        child.channel.start()
        self.children.append(child)
        self.started[place] += 1

    def _bequest(self) -> InheritedLogs:
        """
        The log's destinations, for a worker.

        :raises OSError: if there can be no more descriptors.
        """
        return InheritedLogs(self._observer.sinks, self._reactor, self._observer.look_after_sinks)

    def _work(self, estate: WorkerContext, sock: socket.socket) -> NoReturn:
        """Be a worker."""
        # What others do is not for it to write.
        for ledger in (*self._ledgers, *(child.ledger for child in self.children)):
            if ledger is not estate.ledger:
                ledger.close()
        work(self._reactor, estate, sock)

    def _heard(self, child: WorkerProcess, order: Frame) -> None:
        if order.word == "retired" and not child.retired and not self._ending:
            child.retired = True
            child.loans.clear()
            self._succeed(child)
            self._balance()
            self._fork(child.place)
        elif order.word == "stopping" and not child.leaving:
            child.leaving = True
            self._balance()
            self._reap(child, self.monotonic() + PATIENCE)
        elif order.word == child.unanswered:
            child.unanswered = None
            child.refusal = str(order.said)[:_WORDS] if order.said else ""
            if child.refusal and self._made == self._changes:
                # The change was made without it: it would serve clients by the old policy.
                child.channel.send("retire")
        child.heard(order)
        if order.word == "running":
            self._balance()

    def _balance(self) -> None:
        """Have the sockets of workers that do not accept served by the others."""
        if self._begun and not self._ending:
            self._lending.balance(self.children)

    def _stalled(self, child: WorkerProcess) -> None:
        """One does not respond: do not wait for it."""
        if self._stopped is not None:
            child.kill()
        child.give_up()

    def _succeed(self, child: WorkerProcess) -> None:
        """Make a ledger for whoever comes after a worker."""
        self._ledgers[child.place] = Ledger(child.ledger.next_number, self._number)

    # The end of a worker.

    def _lost(self, child: WorkerProcess) -> None:
        """One has closed its end, or what it says makes no sense."""
        child.leaving = True
        self._balance()
        self._reap(child, self.monotonic() + FAREWELL)

    def _reap(self, child: WorkerProcess, until: float) -> None:
        if child not in self.children:
            return
        try:
            pid, status = os.waitpid(child.pid, os.WNOHANG)
        except ChildProcessError:
            pid, status = child.pid, 0  # somebody else has asked
        if not pid:
            if self.monotonic() >= until:
                child.kill()
            self._reactor.callLater(REAP, self._reap, child, until)
            return
        self._died(child, os.waitstatus_to_exitcode(status))

    def _died(self, child: WorkerProcess, status: int) -> None:
        self.children.remove(child)
        child.channel.close()
        # Its own last lines come first.
        for bequest in child.bequests:
            bequest.drain()
        now, sinks = self.monotonic(), self._observer.sinks
        tally, ends = child.ledger.settle(self._policies, now, sinks)
        self.past += tally
        for name, measured in child.measured.items():
            self.measured.setdefault(name, LatencySnapshot.nothing()).since_start.merge(
                measured.since_start
            )
        for end, lacking in ends:
            self._observer.record_in(lacking, end)
        if not child.retired and self._stopped is None:
            self._succeed(child)
            how = f"was killed by signal {-status}" if status < 0 else f"ended with {status}"
            text = (
                f"worker {child.place + 1} (process {child.pid}) {how};"
                f" {len(ends)} {'session' if len(ends) == 1 else 'sessions'} with it"
            )
            self._journal.message(Severity.WARNING, "server.worker", text)
            self._replace(child.place, self.monotonic() - child.born)
        child.ledger.close()
        child.give_up()
        self._balance()
        if self._stopped is not None and not self.children:
            self._stopped.callback(None)

    def _replace(self, place: int, lived: float) -> None:
        pause = 0.0
        if lived < PROVEN:
            pause = min(max(self._pauses[place] * 2, FIRST_PAUSE), LONGEST_PAUSE)
        self._pauses[place] = pause
        self._restarts[place] = self._reactor.callLater(pause, self._fork, place)

    # What all are told.

    def _all(self, word: str) -> Deferred[list[Frame | None]]:
        """Fires with what all workers have answered; see :meth:`WorkerProcess.expect`."""
        return gatherResults([child.expect(word) for child in self.children])

    def stop(self) -> Deferred[None]:
        """End all workers; fires when none is left."""
        self._stopped = stopped = Deferred[None]()
        self._start_no_more()
        for child in self.children:
            child.channel.send("stop")
            if child.stalled:
                child.kill()
        if not self.children:
            stopped.callback(None)
            return stopped
        killing = self._reactor.callLater(PATIENCE, self._kill)

        def over(result: None) -> None:
            if killing.active():
                killing.cancel()

        return stopped.addCallback(over)

    def retire(self) -> None:
        """Let all workers take no more clients, and end with their last sessions."""
        self._start_no_more()
        for child in self.children:
            child.retired = True
            child.channel.send("retire")

    def _start_no_more(self) -> None:
        self._ending = True
        for restart in self._restarts.values():
            restart.cancel()
        self._restarts.clear()

    def _kill(self) -> None:
        for child in self.children:
            child.kill()

    async def prepare(self, policy: Policy, key: bytes, ports: Mapping[Endpoint, Port]) -> str:
        """
        Let all workers make ready for a change.

        :returns: why one cannot; empty: all can, and :meth:`commit` or :meth:`abandon` follows.
        """
        old = self._estate.ports
        kept = tuple(endpoint for endpoint in ports if endpoint in old)
        added = {endpoint: port for endpoint, port in ports.items() if endpoint not in old}
        if len(added) > MOST_DESCRIPTORS:
            return f"internal: {len(added)} new addresses; a reload takes {MOST_DESCRIPTORS}"
        self._changes += 1
        payload = pickle.dumps(Change(self._changes, policy, key, kept, tuple(added)))
        self._changing = set()
        living = tuple(self.children)
        word = f"prepared {self._changes}"
        answers = self._all(word)
        for child in living:
            child.unanswered, child.refusal = word, ""
            own = [port.share_of(child.place, self._number) for port in added.values()]
            sockets = [port.sockets[0].fileno() for port in own]
            try:
                child.channel.send("prepare", payload=payload, descriptors=sockets)
            except OSError as failed:
                return f"worker {child.place + 1}: {os.strerror(failed.errno or 0)}"
        await answers
        for child in living:
            if child.refusal:
                return f"worker {child.place + 1}: {child.refusal}"
            if child.unanswered and child in self.children and not child.stalled:
                return f"worker {child.place + 1} does not answer"
        if self._ending:
            return "the server is ending"
        for child in self.children:
            for bequest in child.bequests:
                bequest.take()  # while its destinations are there
        self._estate = replace(self._estate, policy=policy, key=key, ports=ports)
        self._policies[policy.generation] = policy
        return ""

    async def commit(self, reopened: bool) -> None:
        """
        Let all workers make the change that they are ready for.

        :param reopened: the log's destinations have been opened anew.
        """
        answers = self._all("committed")
        self._made = self._changes
        for child in self.children:
            if not reopened:
                child.channel.send("commit")
                continue
            self._give(child, "commit")
        self._lending.renew(self.children, self._estate.ports)
        await answers
        # Those of old are remembered for as long as there are sessions that have begun with them.
        used = {self._estate.policy.generation}
        for child in self.children:
            used |= child.ledger.generations()
        self._policies = {n: policy for n, policy in self._policies.items() if n in used}
        self._changed()

    async def release(self, grace: bool = True) -> None:
        """Let all workers let go of ports that we have let go of; returns when they have."""
        for child in self.children:
            child.channel.send("release", grace)
        await self._all("released")

    def reopen(self) -> None:
        """The log's destinations have been opened again: let all workers use them."""
        for child in self.children:
            self._give(child, "reopen")

    def _give(self, child: WorkerProcess, word: str) -> None:
        """Tell a worker something, with the log's destinations, which have been opened again."""
        # What it says until it has heard of them goes where the lines go now.
        for each in child.bequests:
            each.follow(self._observer.sinks)
        bequest = None
        try:
            bequest = self._bequest()
            descriptors = bequest.descriptors
            child.channel.send(word, list(descriptors), descriptors=list(descriptors.values()))
        except OSError:
            if bequest is not None:
                bequest.close()
            child.channel.send(word)  # it goes on with those it has
            return
        bequest.given()
        child.bequests = [each for each in child.bequests if each.open]
        child.bequests.append(bequest)

    def abandon(self) -> None:
        """Let all workers forget the change that they have made ready for."""
        for child in self.children:
            child.channel.send("abandon")
        self._changed()

    def _changed(self) -> None:
        waiting, self._changing = self._changing, None
        for place in waiting or ():
            self._fork(place)

    # For the status report.

    async def measure(self) -> None:
        """Have all workers bring what is known of them up to date."""
        answers = self._all("measured")
        for child in self.children:
            if not child.stalled:
                child.channel.send("measure")
        await answers

    async def tell(self, child: WorkerProcess, report: int, up: float) -> tuple[int, int]:
        """
        Have a worker tell of its sessions.

        :returns: how many it has told, and how many have gone meanwhile.
        """
        if child.stalled:
            return 0, 0
        child.channel.send("tell", [report, up])
        answer = await child.expect(f"told {report}", PATIENCE_TOLD)
        match None if answer is None else answer.said:
            case [told, gone] if is_count(told) and is_count(gone):
                return told, gone
        return 0, 0
