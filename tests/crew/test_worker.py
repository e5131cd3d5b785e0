"""Tests of :mod:`dantetw.crew.worker`, as far as a worker can be had in this process."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import resource
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from dantetw.accounts.table import Table
from dantetw.crew import codec, forking, socksserver
from dantetw.crew import worker as workers
from dantetw.crew.errors import UnusableError
from dantetw.crew.logs import Logs
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
    Order,
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
from dantetw.crew.worker import LOOK_SECONDS, Worker, WorkerContext, work
from dantetw.net.channel import Channel, Frame
from dantetw.net.listening import Port, open_port
from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks.kind import Surroundings
from dantetw.policy import Policy
from dantetw.privileged.privileges import Privileges
from dantetw.process.appending import open_appending
from dantetw.session.drain import HANDSHAKE_SECONDS
from dantetw.threads import Threads
from dantetw.values import AccountKind, Endpoint, Family
from tests.descriptors import descriptors
from tests.held import HeldPool
from tests.session.world import GREETING, TurningReactor, compiled

CONFIG = """
logoutput: {log}
internal: 127.0.0.1 port = 1080
external: 127.0.0.1
clientmethod: none
socksmethod: none
{more}
client pass {{ from: 0/0 to: 0/0 log: connect disconnect error }}
socks pass {{ from: 0/0 to: 0/0 log: connect disconnect error }}
"""
ANY = Endpoint("127.0.0.1", 0, Family.IPV4)


class _Reactor(TurningReactor):
    """
    One that runs a test for as long as it runs.

    :ivar stops: how often it was told to stop.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stops = 0
        self.run: Callable[[], None] = lambda: None

    def addSystemEventTrigger(self, *trigger: Any) -> None:  # noqa: N802 - Twisted's name
        """Nothing of that kind happens here."""

    def stop(self) -> None:
        self.stops += 1


class WorkerCase(SynchronousTestCase):
    """
    A worker whose supervisor the test plays.

    :ivar said: what the worker has said.
    """

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.log = self.folder / "log"
        self.reactor = _Reactor()
        self.handlers: dict[int, Any] = {}
        self.patch(signal, "signal", self.handlers.__setitem__)
        self.patch(socksserver, "garbage", SimpleNamespace(settle=lambda threshold: None))
        self.patch(socksserver, "Threads", lambda *how, **more: Threads(*how, HeldPool(), **more))
        self.port = self.open()
        self.said: list[Answer | Notice] = []
        # The number of the question that each answers.
        self.numbers: list[int] = []
        self.lost = 0
        self.scoreboard = Scoreboard(1, 2)
        self.addCleanup(self.scoreboard.close)
        self.table = Table()
        self.addCleanup(self.table.close)

    def open(self) -> Port:
        """A port of the supervisor's."""
        port, _ = open_port(ANY, number=2)
        self.addCleanup(port.close)
        return port

    def policy(self, more: str = "", generation: int = 0) -> Policy:
        """What it does."""
        text = CONFIG.format(log=self.log.absolute(), more=more)
        return replace(compiled(text), generation=generation)

    def context(self, policy: Policy) -> WorkerContext:
        """What it is born with: copies, as after a fork."""
        copy = socket.socket.dup(self.port.sockets[0])
        copy.close()
        return WorkerContext(
            policy,
            {self.port.endpoint: self.copied(self.port)},
            Logs(self.reactor, None),
            b"key",
            Surroundings(Prefix("sockd"), self.reactor, standard={}),
            {str(self.log.absolute()): open_appending(str(self.log))},
            Privileges(),
            True,
            self.scoreboard,
            self.table,
        )

    def copied(self, port: Port) -> Port:
        """A worker's copy of a port."""
        kind = type(port.sockets[0])
        made = Port([kind(fileno=os.dup(port.sockets[0].fileno()))], port.wildcard)
        made.sockets[0].setblocking(False)
        self.addCleanup(made.close)
        return made

    def play(self, story: Callable[[], None], more: str = "") -> None:
        """Be its supervisor while it runs."""
        ours, theirs = socket.socketpair()
        self.supervisor = Channel(ours, self.reactor, self.hear, self.lose)
        self.addCleanup(self.supervisor.close)
        self.worker = Worker(self.reactor, self.context(self.policy(more)), theirs)
        self.addCleanup(globalLogPublisher.removeObserver, self.worker._logs.observer)
        self.addCleanup(self.worker._channel.close)
        self.addCleanup(self.worker._server.stop)
        self.supervisor.start()

        def run() -> None:
            self.reactor.settle()
            story()

        self.reactor.run = run
        self.worker.run()

    def lose(self) -> None:
        self.lost += 1

    def hear(self, frame: Frame) -> None:
        """It has said something."""
        number, message = codec.parse_said(frame)
        self.numbers.append(number)
        self.said.append(message)

    def tell(self, order: Order, descriptors: Sequence[int] = (), number: int = 0) -> None:
        """Send it an order, and let it act."""
        frame = codec.pack(order, number)
        self.supervisor.send(frame.word, frame.said, frame.payload, descriptors)
        self.reactor.settle()

    def client(self, port: Port | None = None) -> socket.socket:
        """A client that has come."""
        endpoint = (self.port if port is None else port).endpoint
        client = socket.create_connection((endpoint.host, endpoint.port), 60)
        client.settimeout(60)
        self.addCleanup(client.close)
        self.reactor.settle()
        return client

    def clients(self, number: int, port: Port | None = None) -> int:
        """Let clients come; how many are served."""
        served = 0
        for _ in range(number):
            client = self.client(port)
            client.sendall(GREETING)
            client.setblocking(False)
            # One who is not served can be told by nothing but the time; the others do not wait.
            for _ in range(100):
                self.reactor.turn(0.005)
                with contextlib.suppress(BlockingIOError):
                    served += client.recv(2) == b"\x05\x00"
                    break
        return served

    @property
    def words(self) -> list[Answer | Notice]:
        """What it has said, but for its latencies."""
        return [message for message in self.said if not isinstance(message, Latencies)]

    @property
    def sessions(self) -> int:
        """How many it has."""
        return len(self.worker._server.factory.sessions)

    def change(self, policy: Policy, ports: list[Port], number: int = 1, added: int = 0) -> Any:
        """Have it make ready for a change; what it answers."""
        kept = [port.endpoint for port in ports[: len(ports) - added]]
        come = ports[len(ports) - added :]
        change = Change(policy, b"key", tuple(kept), tuple(port.endpoint for port in come))
        descriptors = [port.sockets[0].fileno() for port in come]
        self.tell(Prepare.of(change), descriptors, number)
        self.assertEqual(self.numbers[-1], number)
        answer = self.said[-1]
        assert isinstance(answer, Prepared)
        return answer.refusal


class BorrowTests(WorkerCase):
    """Sockets of a worker that does not accept."""

    def lend(self, *ports: Port, place: int = 1) -> None:
        """Lend it the sockets of another place."""
        self.tell(Lend(place), [port.sockets[1].fileno() for port in ports])

    def accepts(self, sock: socket.socket) -> bool:
        """Whether it accepts a client that waits at a socket."""
        with socket.socket() as client:
            # Where the kernel sends it, only one socket listens.
            client.connect(sock.getsockname())
            before = self.worker._server.factory.counts.opened
            self.reactor.settle()
            return self.worker._server.factory.counts.opened > before

    def test_borrowed(self) -> None:
        """It accepts there until they are asked back, and no longer."""

        def story() -> None:
            other = self.open()
            self.lend(other)
            other.sockets[0].close()
            self.assertTrue(self.accepts(other.sockets[1]))
            self.tell(TakeBack(1))
            self.assertFalse(self.accepts(other.sockets[1]))
            self.tell(TakeBack(1))
            self.tell(TakeBack(5))

        self.play(story)

    def test_waiting(self) -> None:
        """It accepts clients that have waited there before too."""

        def story() -> None:
            other = self.open()
            other.sockets[0].close()
            clients = [socket.create_connection(other.sockets[1].getsockname()) for _ in range(3)]
            for client in clients:
                self.addCleanup(client.close)
            self.lend(other)
            self.assertEqual(self.worker._server.factory.counts.opened, 3)

        self.play(story)

    def test_lent_twice(self) -> None:
        """What it has been lent already takes no second descriptor."""

        def story() -> None:
            one, two = self.open(), self.open()
            taken: list[int] = []
            self.patch(self.worker._server.factory.descriptors, "take", taken.append)
            self.lend(one)
            self.lend(one, two)
            (lent,) = self.worker._borrowed._places.values()
            self.assertEqual(len(lent), 2)
            # They are no client's descriptors.
            self.assertEqual(taken, [1, 1])
            two.sockets[0].close()
            self.assertTrue(self.accepts(two.sockets[1]))
            self.tell(TakeBack(1))
            self.assertEqual(taken, [1, 1, -1, -1])

        self.play(story)

    def test_cannot_watch(self) -> None:
        """If the system lets it watch no more sockets, it goes on with those it has."""

        def story() -> None:
            other = self.open()

            def refuse(*_: object) -> None:
                raise OSError(errno.ENOSPC, "no more")

            patched = self.patch(self.worker._server.factory.poller, "watch", refuse)
            self.lend(other)
            patched.restore()
            self.assertEqual(self.lost, 0)
            self.assertEqual(list(self.worker._borrowed._places.values()), [{}])
            self.lend(other)
            other.sockets[0].close()
            self.assertTrue(self.accepts(other.sockets[1]))

        self.play(story)

    def test_retires(self) -> None:
        """One that takes no more clients takes none from there either, nor borrows more."""

        def story() -> None:
            other = self.open()
            self.lend(other)
            client = self.client()
            self.tell(Retire())
            other.sockets[0].close()
            self.assertFalse(self.accepts(other.sockets[1]))
            self.lend(other)
            self.assertFalse(self.accepts(other.sockets[1]))
            client.close()

        self.play(story)

    def test_port_goes(self) -> None:
        """Clients that wait at a port which goes with a reload are accepted before."""

        def story() -> None:
            other = self.open()
            self.lend(other, self.port)
            self.assertEqual(self.change(self.policy(generation=1), [self.port]), "")
            self.tell(Commit())
            other.sockets[0].close()
            clients = [socket.create_connection(other.sockets[1].getsockname()) for _ in range(3)]
            for client in clients:
                self.addCleanup(client.close)
            other.sockets[1].close()
            self.tell(Release())
            self.reactor.advance(HANDSHAKE_SECONDS)
            self.reactor.settle()
            self.assertEqual(self.words[-1], Released())
            self.assertEqual(self.worker._server.factory.counts.opened, 3)
            with socket.socket() as client:
                self.assertRaises(OSError, client.connect, clients[0].getpeername())

        self.play(story)

    def test_heartbeat(self) -> None:
        """Its heart beats for as long as its event loop runs."""

        def story() -> None:
            before = self.scoreboard.beats
            self.assertGreater(before, 0)
            for _ in range(10):
                self.reactor.advance(BEAT)
            self.assertEqual(self.scoreboard.beats, before + 10)

        self.play(story)


class ReopenTests(WorkerCase):
    """Logs that are opened again without a change."""

    def test_reopened(self) -> None:
        """It writes to what it is given from then on, by the policy and the key it has."""

        def story() -> None:
            self.port.sockets[1].close()
            log = str(self.log.absolute())
            self.client().close()
            self.log.rename(self.folder / "before")
            descriptor = open_appending(log)
            self.tell(Reopen((log,)), [descriptor])
            os.close(descriptor)
            self.client().close()
            self.reactor.settle()
            self.assertIn("tcp/accept [", (self.folder / "before").read_text())
            self.assertIn("tcp/accept [", self.log.read_text())
            self.tell(Reopen())
            self.client().close()
            self.assertEqual(self.log.read_text().count("tcp/accept ["), 2)

        self.play(story)

    def test_retired(self) -> None:
        """So does one that takes no more clients, whose sessions have their ends there."""

        def story() -> None:
            self.port.sockets[1].close()
            log = str(self.log.absolute())
            client = self.client()
            self.tell(Retire())
            self.log.rename(self.folder / "before")
            descriptor = open_appending(log)
            self.tell(Reopen((log,)), [descriptor])
            os.close(descriptor)
            client.close()
            self.reactor.settle()
            self.assertIn("tcp/accept ]", self.log.read_text())

        self.play(story)


class LifeTests(WorkerCase):
    """From birth to death."""

    def test_serves(self) -> None:
        """It says that it runs, has clients, and does what SIGTERM says, and no other signal."""

        def story() -> None:
            self.assertEqual(self.words, [Running()])
            self.port.sockets[1].close()
            self.assertEqual(self.clients(3), 3)
            self.assertEqual(self.table.total(AccountKind.SERVER).open, 3)
            for number in forking.SUPERVISOR_SIGNALS:
                self.assertEqual(self.handlers[number], signal.SIG_IGN)
            self.handlers[signal.SIGTERM](signal.SIGTERM, None)
            self.reactor.settle()
            self.assertEqual((self.sessions, self.reactor.stops), (0, 1))

        self.play(story)
        self.assertEqual(self.log.read_text().count("tcp/accept ]"), 3)

    def test_orphaned(self) -> None:
        """It ends when the supervisor does, each session with its line; and once."""

        def story() -> None:
            self.port.sockets[1].close()
            self.client()
            self.supervisor.close()
            self.reactor.settle()
            self.handlers[signal.SIGTERM](signal.SIGTERM, None)
            self.reactor.settle()
            self.assertEqual((self.sessions, self.reactor.stops), (0, 1))

        self.play(story)
        self.assertEqual(self.log.read_text().count("tcp/accept ]"), 1)

    def test_last_words(self) -> None:
        """A supervisor that does not listen to its last words is not waited for."""

        def story() -> None:
            self.supervisor._reactor.removeReader(self.supervisor)
            while self.worker._channel.flush():
                self.worker._channel.send("x", "y" * 100_000)
            self.worker._stop()
            self.assertEqual(self.reactor.stops, 0)
            self.reactor.advance(LOOK_SECONDS)
            self.assertEqual(self.reactor.stops, 1)

        self.play(story)

    def test_last_lines(self) -> None:
        """Destinations take its last lines before the reactor tells them that it has stopped."""
        did: list[str] = []

        def story() -> None:
            self.patch(self.worker._logs.observer, "close", lambda seconds: did.append("close"))
            self.patch(self.reactor, "stop", lambda: did.append("stop"))
            self.tell(Stop())
            self.assertEqual(did, ["close", "stop"])

        self.play(story)

    def test_retired(self) -> None:
        """Retired it takes no more clients, and ends with the last it has."""

        def story() -> None:
            self.port.sockets[1].close()
            first = self.client()
            self.tell(Retire())
            self.tell(Retire())
            self.assertEqual(self.words, [Running(), Retired()])
            self.client()
            self.assertEqual(self.sessions, 1)
            self.reactor.advance(LOOK_SECONDS)
            self.assertEqual(self.reactor.stops, 0)
            first.close()
            self.reactor.settle()
            self.reactor.advance(LOOK_SECONDS)
            self.assertEqual(self.reactor.stops, 1)

        self.play(story)

    def test_most_requests(self) -> None:
        """So it is when it has had its requests."""

        def story() -> None:
            self.port.sockets[1].close()
            charging = self.worker._server.factory.charging
            for _ in range(4):
                charging.request()
            self.reactor.advance(LOOK_SECONDS)
            self.reactor.settle()
            self.assertEqual(self.words, [Running()])
            charging.request()
            self.reactor.advance(LOOK_SECONDS)
            self.reactor.settle()
            self.assertEqual(self.words, [Running(), Retired(), Stopping()])
            self.assertEqual(self.table.total(AccountKind.SERVER).requested, 5)

        self.play(story, "child.maxrequests: 5")

    def test_most_lifetime(self) -> None:
        """Likewise when it is old enough: ``child.maxlifetime``."""
        now = [1000.0]
        self.patch(
            socksserver, "SocksFactory", partial(socksserver.SocksFactory, monotonic=lambda: now[0])
        )

        def story() -> None:
            now[0] += 99.5
            self.reactor.advance(LOOK_SECONDS)
            self.reactor.settle()
            self.assertEqual(self.words, [Running()])
            now[0] += 0.5
            self.reactor.advance(LOOK_SECONDS)
            self.reactor.settle()
            self.assertEqual(self.words, [Running(), Retired(), Stopping()])

        self.play(story, "child.maxlifetime: 100")

    def test_lifetimes(self) -> None:
        """Workers that began together do not end together, and none is older than allowed."""
        shares = [Scoreboard(place + 1, 4) for place in range(4)]
        for scoreboard in shares:
            self.addCleanup(scoreboard.close)
        self.assertEqual([scoreboard.share for scoreboard in shares], [0.0, 0.25, 0.5, 0.75])
        later = Scoreboard(shares[2].next_number + 8, 4)
        self.addCleanup(later.close)
        self.assertEqual(later.share, 0.5)


class ChangeTests(WorkerCase):
    """What a reload brings."""

    def test_made(self) -> None:
        """Ports come, clients are served by the new policy, and the log is opened anew."""

        def story() -> None:
            other = self.open()
            for port in (self.port, other):
                port.sockets[1].close()
            new = self.policy(generation=1)
            self.assertEqual(self.change(new, [self.port, other], added=1), "")
            self.assertEqual(self.clients(1, other), 0)
            self.log.rename(self.folder / "old")
            descriptor = open_appending(str(self.log))
            name = str(self.log.absolute())
            self.tell(Commit((name,)), [descriptor])
            os.close(descriptor)
            self.assertEqual(self.words[-1], Committed())
            self.tell(Release())
            self.reactor.settle()
            self.assertEqual((self.clients(2, other), self.clients(2)), (2, 2))
            self.assertEqual(self.worker._server.factory.policy, new)

        self.play(story)
        self.assertEqual(self.log.read_text().count("tcp/accept ["), 5)

    def test_port_goes(self) -> None:
        """A port that goes is served until the supervisor has let go of it, and no longer."""

        def story() -> None:
            other = self.open()
            self.port.sockets[1].close()
            self.change(self.policy(generation=1), [other], added=1)
            self.tell(Commit())
            self.assertEqual(self.clients(1), 1)
            self.port.close()
            self.assertEqual(self.clients(1), 1)
            self.tell(Release())
            self.assertRaises(ConnectionRefusedError, self.client)

        self.play(story)

    def test_unable(self) -> None:
        """If it cannot, it says why, and keeps nothing of what came."""

        def story() -> None:
            other = self.open()

            def unusable(policy: Policy, known: bool = False) -> None:
                raise UnusableError("method username: no file")

            self.patch(self.worker._server, "authenticators", unusable)
            before = descriptors()
            answer = self.change(self.policy(generation=1), [self.port, other], added=1)
            self.assertEqual(answer, "method username: no file")
            self.assertEqual(descriptors() - before, set())
            self.tell(Commit())
            self.assertEqual(self.worker._server.factory.policy.generation, 0)

        self.play(story)

    def test_no_descriptors(self) -> None:
        """Likewise if it can have no more descriptors: its sessions are worth more."""

        def story() -> None:
            others = [self.open(), self.open()]
            most = resource.getrlimit(resource.RLIMIT_NOFILE)
            change = Change(
                self.policy(generation=1),
                b"key",
                (self.port.endpoint,),
                tuple(port.endpoint for port in others),
            )
            passed = [port.sockets[0].fileno() for port in others]
            frame = codec.pack(Prepare.of(change))
            self.supervisor.send(frame.word, frame.said, frame.payload, passed)
            before = descriptors()
            gc.collect()  # what other tests have left, and nothing more until it has heard
            gc.disable()
            lowest = os.dup(0)
            os.close(lowest)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 1, most[1]))
            try:
                self.worker._channel.doRead()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, most)
                gc.enable()
            self.reactor.settle()
            self.assertEqual(self.said[-1], Prepared(os.strerror(errno.EMFILE)))
            self.assertEqual(descriptors() - before, set())
            self.assertEqual(self.lost, 0)

        self.play(story)

    def test_abandoned(self) -> None:
        """What was made ready for and does not come is closed."""

        def story() -> None:
            other = self.open()
            before = descriptors()
            self.change(self.policy(generation=1), [self.port, other], added=1)
            self.tell(Abandon())
            self.tell(Abandon())
            self.assertEqual(descriptors() - before, set())
            self.tell(Commit())
            self.assertEqual(self.words[-1], Prepared())

        self.play(story)

    def retired(self, orders: list[Order | None]) -> None:
        """It retires, makes ready (None) and changes, in some order."""

        def story() -> None:
            other = self.open()
            old = os.readlink(f"/proc/self/fd/{self.port.sockets[0].fileno()}")
            self.port.sockets[1].close()
            self.port.sockets[0].close()
            before = descriptors()
            self.assertIn(old, dict(before).values())
            held = self.client()
            for order in orders:
                if order is None:
                    self.change(self.policy(generation=1), [self.port, other], added=1)
                else:
                    self.tell(order)
            # One for the client at either end; of the port it has let go.
            self.assertEqual(len(descriptors() - before), 2)
            self.assertNotIn(old, dict(descriptors()).values())
            other.close()
            self.assertRaises(ConnectionRefusedError, self.client, other)
            self.assertEqual(self.sessions, 1)
            held.close()

        self.play(story)

    def test_retired_before(self) -> None:
        """One that has retired keeps no port of a change, where clients would wait for nobody."""
        self.retired([Retire(), None, Commit(), Release()])

    def test_retired_meanwhile(self) -> None:
        """Nor does one that retires in the midst of it."""
        self.retired([None, Retire(), Commit(), Release()])

    def test_retired_between(self) -> None:
        """Nor one that retires when it is made."""
        self.retired([None, Commit(), Retire(), Release()])


class ReportTests(WorkerCase):
    """What it tells for a status report."""

    def test_measure(self) -> None:
        """Its counts are up to date when it has said so, and its latencies have been sent."""

        def story() -> None:
            self.port.sockets[1].close()
            self.client()
            self.said.clear()
            self.numbers.clear()
            self.tell(Gather(), number=5)
            self.reactor.advance(1)
            self.reactor.settle()
            measures, measured = self.said[:2]
            self.assertIsInstance(measures, Latencies)
            assert isinstance(measured, Gathered)
            self.assertIsInstance(measured.free_files, int)
            self.assertEqual(self.numbers[:2], [0, 5])
            self.assertEqual(self.table.total(AccountKind.SERVER).opened, 1)

        self.play(story)

    def test_tell(self) -> None:
        """Its sessions are told under the report's number."""

        def story() -> None:
            self.port.sockets[1].close()
            self.client()
            self.tell(ReportSessions(7, 1.0), number=9)
            for _ in range(5):
                self.reactor.advance(1)
                self.reactor.settle()
            self.assertIn((9, SessionsReported(1, 0)), zip(self.numbers, self.said, strict=True))

        self.play(story)


class _EndedError(BaseException):
    """In place of the process's end."""


class BirthTests(WorkerCase):
    """What a process that was forked does first."""

    def born(self, fails: bool) -> list[int]:
        """Be born; the exit status."""
        statuses: list[int] = []

        def end(status: int) -> None:
            statuses.append(status)
            raise _EndedError

        observers = tuple(globalLogPublisher._observers)

        def restore() -> None:
            for observer in tuple(globalLogPublisher._observers):
                globalLogPublisher.removeObserver(observer)
            for observer in observers:
                globalLogPublisher.addObserver(observer)

        self.addCleanup(restore)
        self.kept: set[int] = set()
        self.seen: list[Any] = []

        def run(reactor: Any, context: WorkerContext, sock: socket.socket) -> Any:
            self.seen += globalLogPublisher._observers
            if fails:
                raise OSError("a failure")
            return SimpleNamespace(run=lambda: None)

        self.patch(os, "_exit", end)
        self.patch(forking, "keep_only", lambda kept, abandoned: self.kept.update(kept))
        self.patch(forking, "new_reactor", lambda old: old)
        self.patch(workers, "Worker", run)
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        context = self.context(self.policy())
        self.addCleanup(os.close, context.inherited[str(self.log.absolute())])
        self.assertRaises(_EndedError, work, self.reactor, context, theirs)
        (port,) = context.ports.values()
        self.assertEqual(
            self.kept, {theirs.fileno(), port.sockets[0].fileno(), *context.inherited.values()}
        )
        return statuses

    def test_ends(self) -> None:
        """It keeps what it inherits, logs nowhere else, and never comes back."""
        self.assertEqual(self.born(fails=False), [0])
        self.assertEqual(self.seen, [])

    def test_fails(self) -> None:
        """If it cannot begin, its status says so."""
        self.assertEqual(self.born(fails=True), [forking.UNABLE])
