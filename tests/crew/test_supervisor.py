"""Tests of :mod:`dantetw.crew.supervisor`."""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dantetw.accounts.charging import Charging
from dantetw.crew import codec, forking, pool, supervisor
from dantetw.crew.errors import UnusableError
from dantetw.crew.messages import (
    Answer,
    Change,
    Committed,
    Gathered,
    Notice,
    Order,
    Prepare,
    Prepared,
    Reopen,
    ReportSessions,
    Retired,
    Running,
    SessionsReported,
)
from dantetw.crew.pool import (
    EXIT_GRACE_SECONDS,
    FIRST_RETRY_SECONDS,
    LONGEST_RETRY_SECONDS,
    PROVEN_SECONDS,
)
from dantetw.crew.supervisor import Supervisor
from dantetw.crew.worker import WorkerContext
from dantetw.crew.workerprocess import ANSWER_SECONDS, WorkerProcess
from dantetw.net.channel import Channel, Frame
from dantetw.net.listening import Port, open_port
from dantetw.observe.events import Ended, Message
from dantetw.observe.journal import Journal
from dantetw.values import AccountKind, Cause, Endpoint, Family, Work
from tests.observe.sinks.fakes import FakeReactor
from tests.session.world import HEAD, OPEN, World, compiled

HERE = Endpoint("127.0.0.1", 0, Family.IPV4)
KEY = b"key"


class Played:
    """
    A worker whose part the test plays.

    :ivar frames: what it has been sent; ``over``: the supervisor wants nothing of it any more.
    """

    def __init__(self, case: SupervisorCase, pid: int, sock: socket.socket) -> None:
        self.case = case
        self.pid = pid
        self.frames: list[Frame] = []
        self.over = False
        self.channel = Channel(sock, case.reactor, self.frames.append, self._lost)
        self.channel.start()
        case.addCleanup(self.forget)

    def _lost(self) -> None:
        self.over = True

    def say(self, message: Answer | Notice, number: int = 0) -> None:
        """Say something, which the supervisor hears."""
        frame = codec.pack(message, number)
        self.send(frame.word, frame.said)

    def answer(self, message: Answer) -> None:
        """Answer what it has been asked last, if anything."""
        numbers = [codec.parse_order(frame)[0] for frame in self.frames]
        self.say(message, max(numbers, default=0))

    def send(self, word: str, said: Any = None) -> None:
        """Send anything."""
        self.channel.send(word, said)
        self.case.turn()

    def die(self, status: int = 0) -> None:
        """End; the status is one of wait(2)."""
        self.case.statuses[self.pid] = status
        self.channel.close()
        self.case.turn()

    def forget(self) -> None:
        """Close what it has been sent."""
        self.channel.close()
        for frame in self.frames:
            for descriptor in frame.descriptors:
                os.close(descriptor)

    @property
    def words(self) -> list[str]:
        """What it has been told."""
        return [frame.word.lower() for frame in self.frames]

    @property
    def orders(self) -> list[Order]:
        """The same, whole."""
        return [codec.parse_order(frame)[1] for frame in self.frames]

    @property
    def change(self) -> Change:
        """What it has been told to make ready for last."""
        return [order.change for order in self.orders if isinstance(order, Prepare)][-1]

    @property
    def asked(self) -> int:
        """The number of the last change it was to make ready for."""
        orders = [codec.parse_order(frame) for frame in self.frames]
        return [number for number, order in orders if isinstance(order, Prepare)][-1]

    def prepared(self, refusal: str = "") -> None:
        """Be ready for the change, or say why not."""
        self.say(Prepared(refusal), self.asked)


class SupervisorCase(SynchronousTestCase):
    """
    A supervisor of two workers which forks nothing: the test plays the other ends.

    :ivar workers: all that there have been; ``refusals``: errnos of the next forks.
    :ivar statuses: how those have ended that have; ``killed``: those the supervisor has killed.
    """

    number = 2
    able = True

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.workers: list[Played] = []
        self.refusals: list[int] = []
        self.statuses: dict[int, int] = {}
        self.killed: list[int] = []
        self.events: list[Any] = []
        self.patch(forking, "fork", self.fork)
        self.patch(os, "waitpid", self.waitpid)
        self.patch(os, "kill", self.kill)
        self.policy = compiled(HEAD + OPEN)
        observer: Any = SimpleNamespace(
            sinks=(),
            look_after_sinks=lambda: None,
            record_in=lambda sinks, event: self.events.append(event),
        )
        context = WorkerContext(self.policy, {}, None, KEY, None, {}, None, True)  # type: ignore[arg-type]
        journal = Journal(lambda event: self.events.append(event["event"]))
        self.adopted: list[Any] = []
        server: Any = SimpleNamespace(
            adopt=lambda policy, authenticators: self.adopted.append((policy, authenticators)),
            stop=lambda: None,
            retire=lambda: None,
        )
        self.supervisor = Supervisor(
            self.reactor, journal, observer, server, context, self.number, self.reactor.seconds
        )
        self.pool = self.supervisor._pool
        self.addCleanup(self.tidy)
        self.started = True
        try:
            self.supervisor.start({})
        except UnusableError:
            self.started = False

    def tidy(self) -> None:
        """Close what is left."""
        for worker in self.pool.workers:
            worker.channel.close()
            worker.scoreboard.close()

    def fork(self, child: Callable[[socket.socket], None]) -> tuple[int, socket.socket]:
        """A worker that runs at once, or ends."""
        if self.refusals:
            raise OSError(self.refusals.pop(), "no fork")
        ours, theirs = socket.socketpair()
        self.workers.append(Played(self, 1000 + len(self.workers), theirs))
        if self.able:
            frame = codec.pack(Running())
            self.workers[-1].channel.send(frame.word, frame.said)
        else:
            self.statuses[self.workers[-1].pid] = 256
            self.workers[-1].channel.close()
        return self.workers[-1].pid, ours

    def waitpid(self, pid: int, options: int) -> tuple[int, int]:
        return (pid, self.statuses[pid]) if pid in self.statuses else (0, 0)

    def kill(self, pid: int, number: int) -> None:
        self.assertEqual(number, signal.SIGKILL)
        self.killed.append(pid)

    def turn(self) -> None:
        """Let all be heard that has been said."""
        for _ in range(6):
            self.reactor.turn()

    def pass_(self, seconds: float) -> None:
        """Let time go by."""
        self.reactor.advance(seconds)
        self.turn()

    @property
    def messages(self) -> list[str]:
        """What the operator was told."""
        return [event.text for event in self.events if isinstance(event, Message)]

    @property
    def pids(self) -> list[int]:
        """The workers there are, for the supervisor."""
        return [worker.pid for worker in self.pool.workers]


class KeepingTests(SupervisorCase):
    """As many workers as there shall be."""

    def test_start(self) -> None:
        """All run when it has started."""
        self.assertTrue(self.started)
        self.assertEqual(self.pids, [1000, 1001])
        self.assertTrue(all(worker.running for worker in self.pool.workers))
        self.assertEqual(self.pool.started, [1, 1])

    def test_replaced(self) -> None:
        """One that has lived long is replaced at once; the operator hears of its end."""
        self.pass_(PROVEN_SECONDS)
        self.workers[0].die(9)
        self.assertEqual(
            self.messages, ["worker 1 (process 1000) was killed by signal 9; 0 sessions with it"]
        )
        self.pass_(0)
        self.assertEqual(self.pids, [1001, 1002])
        self.assertEqual([worker.place for worker in self.pool.workers], [1, 0])
        self.assertEqual(self.pool.started, [2, 1])

    def test_pauses(self) -> None:
        """Those that die young come back after pauses that double, up to the longest."""
        pause = FIRST_RETRY_SECONDS
        for _ in range(10):
            self.workers[-1].die(256)
            number = len(self.workers)
            self.pass_(pause - 0.01)
            self.assertEqual(len(self.workers), number)
            self.pass_(0.02)
            self.assertEqual(len(self.workers), number + 1)
            pause = min(2 * pause, LONGEST_RETRY_SECONDS)
        self.assertIn("worker 2 (process 1001) ended with 1; 0 sessions with it", self.messages)
        self.pass_(PROVEN_SECONDS)
        self.workers[-1].die()
        self.pass_(0)
        self.workers[-1].die()
        self.pass_(FIRST_RETRY_SECONDS)
        self.assertEqual(len(self.pool.workers), 2)

    def tries_again(self, number: int) -> None:
        """That there could be no worker is told, with the reason, and then there is one."""
        told = f"worker 1 cannot be started: {os.strerror(number)}"
        self.assertEqual(self.messages[-1], told)
        self.pass_(FIRST_RETRY_SECONDS)
        self.assertEqual(len(self.pool.workers), 2)

    def test_no_fork(self) -> None:
        """Where there can be no process it is tried again, and told."""
        self.pass_(PROVEN_SECONDS)
        self.refusals = [errno.EAGAIN]
        self.workers[0].die()
        self.pass_(0)
        self.tries_again(errno.EAGAIN)

    def test_no_descriptors(self) -> None:
        """Likewise where there are no descriptors for its lines."""
        self.pass_(PROVEN_SECONDS)

        def none(*_: object) -> None:
            raise OSError(errno.EMFILE, "none")

        patched = self.patch(pool, "InheritedLogs", none)
        self.workers[0].die()
        self.pass_(0)
        patched.restore()
        self.tries_again(errno.EMFILE)

    def test_silent(self) -> None:
        """One that has closed its end, or talks nonsense, is killed unless it ends by itself."""
        self.pass_(PROVEN_SECONDS)
        self.workers[0].channel.close()
        self.workers[1].channel._sock.send(b"\xff" * 9)
        self.turn()
        self.pass_(EXIT_GRACE_SECONDS - 0.1)
        self.assertEqual(self.killed, [])
        self.pass_(0.1)
        self.assertEqual(set(self.killed), {1000, 1001})
        self.assertEqual(self.pids, [1000, 1001])
        self.statuses = {1000: 9, 1001: 9}
        self.pass_(1)
        self.pass_(0)
        self.assertEqual(self.pids, [1002, 1003])

    def test_ends_slowly(self) -> None:
        """One that gets out its last lines after its farewell has ended as it says."""
        self.workers[0].channel.close()
        self.pass_(1)
        self.statuses[1000] = 0
        self.pass_(1)
        self.assertEqual((self.killed, self.pids[0]), ([], 1001))
        self.assertIn("ended with 0", self.messages[0])

    def test_reaped(self) -> None:
        """One whose status somebody else has asked for is gone all the same."""

        def nobody(pid: int, options: int) -> tuple[int, int]:
            raise ChildProcessError

        self.pass_(PROVEN_SECONDS)
        self.patch(os, "waitpid", nobody)
        self.workers[0].die()
        self.assertEqual(self.pids, [1001])

    def test_retired(self) -> None:
        """One that takes no more clients is followed at once, and then only let go."""
        self.workers[0].say(Retired())
        self.workers[0].say(Retired())
        self.assertEqual(self.pids, [1000, 1001, 1002])
        self.workers[0].die()
        self.pass_(60)
        self.assertEqual(self.pids, [1001, 1002])
        self.assertEqual(self.messages, [])


class ReopenTests(SupervisorCase):
    """Logs that are opened again without a change."""

    def test_all(self) -> None:
        """All workers hear of it, those that have retired too."""
        self.supervisor.retire()
        self.supervisor.reopen()
        self.turn()
        for worker in self.workers:
            self.assertEqual(worker.words, ["retire", "reopen"])
            self.assertEqual(worker.orders[-1], Reopen(()))

    def test_no_descriptors(self) -> None:
        """Without descriptors for the destinations they go on with those they have."""

        def none(*_: object) -> None:
            raise OSError(errno.EMFILE, "none")

        self.patch(pool, "InheritedLogs", none)
        self.supervisor.reopen()
        self.turn()
        self.assertEqual([worker.orders[-1] for worker in self.workers], [Reopen(None)] * 2)


class UnableTests(SupervisorCase):
    """Workers that cannot even begin."""

    able = False

    def test_start(self) -> None:
        """If none accepts clients the start has failed, and that is known at once."""
        self.assertFalse(self.started)
        self.assertEqual(self.pids, [])
        self.assertIn("ended with 1", self.messages[0])


class LossTests(SupervisorCase):
    """What becomes of what a worker did."""

    def die_with(self, fill: Callable[[WorkerProcess], None]) -> None:
        """The first one dies, with something in its scoreboard."""
        fill(self.pool.workers[0])
        self.workers[0].die(9)

    def test_sessions(self) -> None:
        """Its sessions have their end, after all it has said, and count on."""
        world = World(self, OPEN)

        def fill(child: WorkerProcess) -> None:
            child.scoreboard.follow(world.factory)
            world.client()
            charging = Charging(child.table)
            charging.open((charging.server,))
            child.logs.append(
                SimpleNamespace(drain=lambda: self.events.append("drained"))  # type: ignore[arg-type]
            )

        self.die_with(fill)
        drained, ended, told = self.events
        self.assertEqual(drained, "drained")
        assert isinstance(ended, Ended)
        self.assertEqual((ended.session, ended.ending.cause), (1, Cause.CRASH))
        self.assertIn("1 session with it", told.text)
        total = self.pool.book.total(AccountKind.SERVER)
        self.assertEqual((total.opened, total.ended(Work.NEGOTIATE), total.open), (1, 1, 0))
        self.assertEqual(total.refused_by(Cause.CRASH), 1)
        self.pass_(FIRST_RETRY_SECONDS)
        self.assertEqual(self.pool.workers[1].scoreboard.number(), 3)

    def test_own_memory(self) -> None:
        """A worker can write into its own scoreboard and table only."""
        seen: list[Any] = []

        def fork(child: Callable[[socket.socket], None]) -> tuple[int, socket.socket]:
            seen.append(child)
            raise OSError(errno.EAGAIN, "no fork")

        self.patch(forking, "fork", fork)
        self.patch(pool, "work", lambda reactor, context, sock: seen.append(context))
        self.workers[0].die()
        self.pass_(FIRST_RETRY_SECONDS)
        seen[0](None)
        other, own = self.pool.workers[0], seen[1]
        self.assertRaises(ValueError, other.scoreboard.generations)
        self.assertRaises(ValueError, other.table.total, AccountKind.SERVER)
        own.scoreboard.generations()
        own.table.total(AccountKind.SERVER)
        own.scoreboard.close()


class NonsenseTests(SupervisorCase):
    """Whatever a worker says, the supervisor goes on."""

    def test_said(self) -> None:
        """Answers that no question waits for are nothing."""
        for message in (SessionsReported(1, 1), Gathered(5), Prepared("no"), Committed()):
            for number in (0, 1, 7):
                self.workers[0].say(message, number)
        self.assertFalse(self.workers[0].over)
        self.assertEqual(self.pids, [1000, 1001])
        self.assertEqual(self.pool.workers[0].refusal, "")

    def test_nonsense(self) -> None:
        """What is no message is its end."""
        for said in ("nonsense", ""), ("Gathered", [0, -1]), ("Latencies", [0, {"i/o": [[]]}]):
            worker = self.workers[-1]
            worker.send(*said)
            self.assertTrue(worker.over)
            worker.die()
            self.pass_(LONGEST_RETRY_SECONDS)
        self.assertEqual(self.pids, [1000, 1004])

    def test_other_answer(self) -> None:
        """An answer to another question, or of another kind, does not count."""
        reported = Deferred.fromCoroutine(self.supervisor.report_sessions(3, 1.0))
        self.turn()
        (order,) = self.workers[0].orders
        self.assertEqual(order, ReportSessions(3, 1.0))
        self.workers[0].answer(Committed())
        self.workers[0].say(SessionsReported(1, 1), 77)
        self.assertNoResult(reported)
        self.workers[0].answer(SessionsReported(5, 1))
        self.assertNoResult(reported)
        self.workers[1].answer(SessionsReported(2, 0))
        self.assertEqual(self.successResultOf(reported), (7, 1))


class ChangeCase(SupervisorCase):
    """A change of configuration."""

    def setUp(self) -> None:
        super().setUp()
        self.new = replace(self.policy, generation=1)

    def prepare(self, ports: Mapping[Endpoint, Port] | None = None) -> Deferred[str]:
        """Have all made ready; fires with why one is not."""
        answer = Deferred.fromCoroutine(self.refused(ports or {}))
        self.turn()
        return answer

    async def refused(self, ports: Mapping[Endpoint, Port]) -> str:
        try:
            await self.supervisor.prepare(self.new, KEY, ports)
        except UnusableError as unusable:
            return str(unusable)
        return ""

    def commit(self, reopened: bool = False) -> Deferred[None]:
        """Have the change made."""
        done = Deferred.fromCoroutine(self.supervisor.commit(reopened))
        self.turn()
        return done


class ChangeTests(ChangeCase):
    """A change is made by all or by none."""

    def test_made(self) -> None:
        """When all are ready they are told to make it, and it is over when all have."""
        answer = self.prepare()
        self.workers[0].prepared()
        self.assertNoResult(answer)
        self.workers[1].prepared()
        self.assertEqual(self.successResultOf(answer), "")
        done = self.commit()
        self.workers[0].answer(Committed())
        self.assertNoResult(done)
        self.workers[1].answer(Committed())
        self.successResultOf(done)
        for worker in self.workers:
            self.assertEqual(worker.words, ["prepare", "commit"])
            self.assertEqual(worker.change.policy, self.new)

    def test_refused(self) -> None:
        """If one cannot, its words are the reason, at once, and all are told to forget it."""
        answer = self.prepare()
        self.workers[0].prepared()
        self.workers[1].prepared("no such thing")
        self.assertEqual(self.successResultOf(answer), "worker 2: no such thing")
        self.turn()
        self.assertEqual([worker.words[1:] for worker in self.workers], [["abandon"]] * 2)

    def test_late(self) -> None:
        """One that does not answer refuses; what it says then is no answer to the next change."""
        answer = self.prepare()
        late = self.workers[0].asked
        self.workers[1].prepared()
        self.pass_(ANSWER_SECONDS)
        self.assertEqual(self.successResultOf(answer), "worker 1 does not answer")
        answer = self.prepare()
        self.workers[1].prepared()
        self.workers[0].say(Prepared(), late)
        self.assertNoResult(answer)
        self.workers[0].prepared()
        self.assertEqual(self.successResultOf(answer), "")

    def test_dies(self) -> None:
        """One that dies meanwhile does not count; who takes its place has the change."""
        self.pass_(PROVEN_SECONDS)
        answer = self.prepare()
        self.workers[1].prepared()
        self.workers[0].die(9)
        self.assertEqual(self.successResultOf(answer), "")
        self.pass_(LONGEST_RETRY_SECONDS)
        self.assertEqual(len(self.workers), 2)
        done = self.commit()
        self.workers[1].answer(Committed())
        self.successResultOf(done)
        self.assertEqual(len(self.workers), 3)
        self.assertEqual(self.pool.context.policy, self.new)

    def test_dies_and_nothing_changes(self) -> None:
        """Likewise without the change if it is given up."""
        self.pass_(PROVEN_SECONDS)
        answer = self.prepare()
        self.workers[0].die(9)
        self.workers[1].prepared("no")
        self.assertEqual(self.successResultOf(answer), "worker 2: no")
        self.pass_(0)
        self.assertEqual(len(self.workers), 3)
        self.assertEqual(self.pool.context.policy, self.policy)

    def test_dies_in_the_act(self) -> None:
        """One that dies while it makes the change is not waited for."""
        answer = self.prepare()
        for worker in self.workers:
            worker.prepared()
        self.successResultOf(answer)
        done = self.commit()
        self.workers[0].answer(Committed())
        self.workers[1].die(9)
        self.successResultOf(done)

    def test_stopped(self) -> None:
        """A stop meanwhile is the end of it, and nobody is started any more."""
        self.pass_(PROVEN_SECONDS)
        answer = self.prepare()
        self.workers[0].die(9)
        self.pass_(0)
        stopped = self.supervisor.stop()
        self.turn()
        self.workers[1].die()
        self.assertEqual(self.successResultOf(answer), "the server is ending")
        self.successResultOf(stopped)
        self.assertEqual(len(self.workers), 2)

    def test_handed_over(self) -> None:
        """So is a successor's coming."""
        answer = self.prepare()
        self.supervisor.retire()
        for worker in self.workers:
            worker.prepared()
        self.assertEqual(self.successResultOf(answer), "the server is ending")

    def test_retired(self) -> None:
        """One that retires meanwhile is followed when the change is over."""
        answer = self.prepare()
        self.workers[0].prepared()
        self.workers[0].say(Retired())
        self.assertEqual(len(self.workers), 2)
        self.workers[1].prepared()
        self.successResultOf(answer)
        done = self.commit()
        for worker in self.workers:
            worker.answer(Committed())
        self.successResultOf(done)
        self.assertEqual(len(self.workers), 3)


class PortTests(ChangeCase):
    """Ports that come and stay."""

    def ports(self, number: int) -> dict[Endpoint, Port]:
        """New ports, two sockets each."""
        made = {}
        for _ in range(number):
            port, _ = open_port(HERE, number=2)
            self.addCleanup(port.close)
            made[port.endpoint] = port
        return made

    def test_sockets(self) -> None:
        """Each worker gets a socket of its own for each port that comes, and none that stays."""
        ports = self.ports(2)
        answer = self.prepare(ports)
        for place, worker in enumerate(self.workers):
            (frame,) = worker.frames
            self.assertEqual((worker.change.kept, worker.change.added), ((), tuple(ports)))
            self.assertEqual(len(frame.descriptors), 2)
            for port, descriptor in zip(ports.values(), frame.descriptors, strict=True):
                self.assertTrue(os.path.sameopenfile(descriptor, port.sockets[place].fileno()))
            worker.prepared()
        self.successResultOf(answer)
        self.commit()
        self.prepare({**ports, **self.ports(1)})
        for worker in self.workers:
            self.assertEqual(worker.change.kept, tuple(ports))
            self.assertEqual(len(worker.frames[-1].descriptors), 1)

    def test_too_many(self) -> None:
        """More than a message can bring are refused, and nobody hears of it."""
        self.patch(supervisor, "MOST_DESCRIPTORS", 2)
        self.assertIn("3 new addresses", self.successResultOf(self.prepare(self.ports(3))))
        self.assertEqual([worker.words for worker in self.workers], [[], []])

    def test_no_descriptors(self) -> None:
        """Without descriptors for them it is refused, and workers that die come back."""

        def none(descriptor: int) -> int:
            raise OSError(errno.EMFILE, "none")

        patched = self.patch(os, "dup", none)
        answer = self.successResultOf(self.prepare(self.ports(1)))
        patched.restore()
        self.assertEqual(answer, f"worker 1: {os.strerror(errno.EMFILE)}")
        self.pass_(PROVEN_SECONDS)
        self.workers[0].die()
        self.pass_(0)
        self.assertEqual(len(self.workers), 3)


class StopTests(SupervisorCase):
    """The end of all."""

    def test_stop(self) -> None:
        """All are told; it is over when the last has ended, without a word about any."""
        stopped = self.supervisor.stop()
        self.turn()
        self.assertEqual([worker.words for worker in self.workers], [["stop"]] * 2)
        self.workers[1].die()
        self.assertNoResult(stopped)
        self.workers[0].die()
        self.successResultOf(stopped)
        self.assertEqual((self.messages, self.killed), ([], []))
        self.pass_(ANSWER_SECONDS)
        self.assertEqual((len(self.workers), self.killed), (2, []))

    def test_killed(self) -> None:
        """One that takes too long is killed."""
        stopped = self.supervisor.stop()
        self.workers[0].die()
        self.pass_(ANSWER_SECONDS)
        self.assertEqual(self.killed, [1001])
        self.workers[1].die(9)
        self.successResultOf(stopped)

    def test_none(self) -> None:
        """With nobody there, nor to come, it is over at once."""
        for worker in self.workers:
            worker.die(9)
        self.successResultOf(self.supervisor.stop())
        self.pass_(LONGEST_RETRY_SECONDS)
        self.assertEqual(len(self.workers), 2)

    def test_retire(self) -> None:
        """Retired by a successor they are let go one by one, and none is followed."""
        self.supervisor.retire()
        self.turn()
        for worker in self.workers:
            self.assertEqual(worker.words, ["retire"])
            worker.say(Retired())
            worker.die()
        self.pass_(LONGEST_RETRY_SECONDS)
        self.assertEqual((len(self.workers), self.messages), (2, []))
