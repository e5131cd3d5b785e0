"""Tests of status reports: :mod:`dantetw.crew.report`, :mod:`dantetw.session.pages`."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dantetw import __version__
from dantetw.crew import processreport
from dantetw.crew.processreport import ProcessReport
from dantetw.crew.report import StatusReports
from dantetw.crew.single import SingleProcess
from dantetw.observe.events import Counts, Path
from dantetw.observe.formats.dante import Dante
from dantetw.observe.status import (
    Active,
    ChildReport,
    LatencyReport,
    PredecessorReport,
    Reported,
    Status,
    TrafficSnapshot,
)
from dantetw.session import pages, totals
from dantetw.session.activity import Activity
from dantetw.session.slices import (
    BEHIND_MESSAGES,
    LONGEST_PAUSE_SECONDS,
    LOOKS_WITHOUT_PROGRESS,
    PAUSE_SECONDS,
    SLICE_SECONDS,
)
from dantetw.values import Command, Endpoint, Family, Phase, Work
from tests.session.world import GREETING, LOGIN, LOGINS, NAMED, TARGET, World, request

RULES = """
socksmethod: none
client pass { from: 0/0 to: 0/0 }
socks block { from: 0/0 to: 192.0.2.7/32 }
socks pass { from: 0/0 to: 0/0 }
"""
UNREACHABLE = Endpoint("198.51.100.66", 80, Family.IPV4)


class _Waiting(Activity):
    """A command that waits, as BIND does for its peer; :ivar open: whether it has come."""

    __slots__ = ("open",)

    def __init__(self) -> None:
        self.open = False

    @property
    def is_active(self) -> bool:
        return self.open

    def traffic_snapshots(self) -> Iterator[tuple[Path, TrafficSnapshot]]:
        for port in (1, 2):
            target = Endpoint("198.51.100.7", port, Family.IPV4)
            way = Path(TARGET, TARGET, None, TARGET, target)
            yield way, TrafficSnapshot(0.0, 0.0, Counts(), packets=Counts())


class NoPredecessors:
    """No server has been replaced."""

    async def measure(self, report: int) -> Sequence[PredecessorReport]:
        return ()

    async def tell(self, report: int) -> tuple[int, int]:
        return 0, 0


class ReportingCase(SynchronousTestCase):
    """
    What the tests below share.

    :ivar waiting: messages at the destination that is furthest behind.
    :ivar step: seconds that a look at the clock takes.
    """

    def setUp(self) -> None:
        self.waiting = 0
        self.step = 0.0
        self.patch(totals, "limits", lambda: (100, 50))
        self.patch(totals, "tasks", lambda: 3)
        self.patch(processreport, "count_files", lambda: iter((9,)))

    def world(self, *how: Any, **more: Any) -> World:
        """A world whose server can report."""
        world = World(self, *how, **more)
        world.poller.turned = None  # how many turns there are is the kernel's business
        real = world.factory.monotonic

        def monotonic() -> float:
            self.clock += self.step
            return real() + self.clock

        self.clock = 0.0
        world.factory.monotonic = monotonic
        own = ProcessReport(world.factory, lambda: self.waiting)
        server: Any = SimpleNamespace(factory=world.factory, report=own, stop=own.stop)
        self.crew = SingleProcess(server)
        journal = world.factory.journal
        self.reports = StatusReports(self.crew, journal, monotonic, NoPredecessors())
        return world

    def report(self, world: World) -> list[str]:
        """The lines of a report that is made at once."""
        before = len(world.events)
        self.reports.ask()
        return [text for event in world.events[before:] for _, text in Dante().lines(event)]

    def actives(self, world: World) -> list[Active]:
        """All sessions told so far."""
        return [event for event in world.events if isinstance(event, Active)]

    def kinds(self, world: World) -> list[type]:
        """What was told of reports."""
        known = (Status, ChildReport, LatencyReport, Active, Reported)
        return [type(event) for event in world.events if isinstance(event, known)]


class LineTests(ReportingCase):
    """A report of sessions in each state."""

    def test_whole(self) -> None:
        """Totals, then what is negotiating, in progress and relayed, oldest first."""
        world = self.world()
        world.client(b"\x05")
        world.client(GREETING + request(NAMED))
        client, dial = world.connected()
        world.client(GREETING + request())
        client.send(b"hello")
        dial.far.send(b"hi!")
        world.settle()
        # Local sockets count what has not been read as unsent.
        self.assertEqual((dial.far.recv(9), client.hear()[-3:]), (b"hello", b"hi!"))
        world.settle()
        world.wait(3)
        self.assertEqual(
            self.report(world),
            [
                f"dantetw v{__version__} up 0 days, 0:00, a: 4, h: 4 c: 4",
                "negotiators (1): a: 4, h: 3, c: 1, f: 41",
                "requesters (1): a: 3, h: 2, c: 1, f: 41",
                "iorelayers (1): a: 2, h: 0, c: 2, f: 20",
                "max limits: processes: 100 (97 free), files: 50 (41 free),"
                " negotiate-child-slots: 41, request-child-slots: 41, io-child-slots: 20"
                " (max clients limited by open file limit)",
                "negotiate-child up 0 days, 0:00:03",
                "10.0.0.9.50000 127.0.0.1.1080: negotiating for 3s",
                "request-child up 0 days, 0:00:03",
                "10.0.0.9.50000: tcp connect-request in progress for 3s",
                "io-child up 0 days, 0:00:03",
                "no read-only latency information available (yet)",
                "no i/o latency information available (yet)",
                "tcp: 10.0.0.9.50000 127.0.0.1.1080 <-> 192.0.2.1.40000 198.51.100.7.80: age: 3s,"
                " idle: 3s, bytes transferred: 5 (+ 0 buffered (0 + 0 + 0)) <-> 3 (+ 0 buffered"
                " (0 + 0 + 0))",
                "tcp: 10.0.0.9.50000 127.0.0.1.1080 <-> 192.0.2.1.40001 198.51.100.7.80: age: 3s,"
                " idle: 3s (waiting for connect to complete), bytes transferred:"
                " 0 (+ 0 buffered (0 + 0 + 0)) <-> 0 (+ 0 buffered (0 + 0 + 0))",
            ],
        )

    def test_replaced(self) -> None:
        """In a report of the server that has replaced it, its work began at its own start."""
        world = self.world()
        world.client(b"\x05")
        world.wait(9)
        self.assertEqual(self.successResultOf(self.reports.report_sessions(7)), (1, 0))
        children = [event for event in world.events if isinstance(event, ChildReport)]
        self.assertEqual([(child.report, child.up) for child in children], [(7, 9.0)] * 3)

    def test_several_ways(self) -> None:
        """A session with several targets has a line for each, and counts once."""
        waiting = _Waiting()

        def associate(session: Any, rule: Any, target: Any) -> None:
            session.activity = waiting

        world = self.world(commands={Command.UDPASSOCIATE: associate})
        world.client(GREETING + request(command=Command.UDPASSOCIATE))
        self.report(world)
        self.assertEqual([event.work for event in self.actives(world)], [Work.REQUEST])
        waiting.open = True
        world.factory.charging.perform()
        world.events.clear()
        lines = self.report(world)
        self.assertEqual([line[:4] for line in lines[-2:]], ["udp:", "udp:"])
        self.assertEqual([event.session for event in self.actives(world)], [1, 1])
        self.assertEqual(world.events[-1].told, 1)  # type: ignore[union-attr]

    def test_bind(self) -> None:
        """A BIND is in progress until its peer comes, and then told in the order of a CONNECT."""
        world = self.world()
        client = world.client(GREETING + request(command=Command.BIND))
        world.wait(2)
        self.assertEqual(
            self.report(world)[7], "10.0.0.9.50000: tcp bind-request in progress for 2s"
        )
        peer = world.awaits[0].come(TARGET)
        peer.send(b"hi!")
        world.settle()
        self.assertEqual(client.hear()[-3:], b"hi!")
        world.settle()
        world.wait(1)
        self.assertEqual(
            self.report(world)[-1],
            "tcp: 10.0.0.9.50000 127.0.0.1.1080 <-> 192.0.2.1.49152 198.51.100.7.80: age: 3s,"
            " idle: 1s, bytes transferred: 0 (+ 0 buffered (0 + 0 + 0)) <-> 3 (+ 0 buffered"
            " (0 + 0 + 0))",
        )
        client.close()
        peer.close()
        world.settle()
        self.assertEqual((world.factory.counts.requested, world.factory.counts.performed), (1, 1))
        self.assertEqual(world.factory.counts.ended(Work.REQUEST), 0)

    def test_rules(self) -> None:
        """With several rules of a kind each session is told with its own."""
        world = self.world(RULES)
        world.connected()
        self.assertTrue(
            self.report(world)[-1].endswith(" (session 1, client-rule #1, socks-rule #2)")
        )

    def test_facts(self) -> None:
        """A session is told with what it asked for, how, and by whom."""
        world = self.world(LOGINS)
        client = world.client(LOGIN)
        world.doorkeeper.answer(True)
        world.settle()
        client.send(request(NAMED))
        world.look_up()
        self.report(world)
        (event,) = self.actives(world)
        assert event.path.user is not None and event.method is not None
        self.assertEqual((event.path.user.name, event.method.word), ("joe", "username"))
        self.assertEqual((event.asked, event.phase), (NAMED, Phase.CONNECT))
        self.assertEqual((event.client_rule.number, event.choice), (1, False))


class CountTests(ReportingCase):
    """Every client is in exactly one place."""

    def totals(self, world: World) -> list[tuple[int, int, int]]:
        """Accepted, handed and current of each kind of work, having checked the sums."""
        self.report(world)
        (status,) = (event for event in world.events if isinstance(event, Status))
        world.events.clear()
        loads = (status.negotiators, status.requesters, status.iorelayers)
        here = [session.work for session in world.sessions]
        for work, load in zip(Work, loads, strict=True):
            self.assertEqual(load.current, here.count(work), work)
        self.assertEqual(status.current, len(here))
        self.assertEqual(status.accepted, loads[0].accepted)
        self.assertEqual(loads[0].handed, loads[1].accepted)
        self.assertEqual(loads[1].handed, loads[2].accepted)
        return [(load.accepted, load.handed, load.current) for load in loads]

    def test_failing(self) -> None:
        """A client that fails is missing where it failed: accepted, not handed, not there."""
        world = self.world()
        world.client(b"\x07")
        self.assertEqual(self.totals(world), [(1, 0, 0), (0, 0, 0), (0, 0, 0)])
        world.client(GREETING + request(Endpoint("0.0.0.0", 80, Family.IPV4)))
        self.assertEqual(self.totals(world), [(2, 1, 0), (1, 0, 0), (0, 0, 0)])
        world.unreachable[UNREACHABLE.host] = errno.ENETUNREACH
        world.client(GREETING + request(UNREACHABLE))
        self.assertEqual(self.totals(world), [(3, 2, 0), (2, 0, 0), (0, 0, 0)])
        world.client(GREETING + request(Endpoint("255.255.255.255", 0, Family.IPV4), Command.BIND))
        self.assertEqual(self.totals(world), [(4, 3, 0), (3, 0, 0), (0, 0, 0)])
        world.client(GREETING + request(Endpoint("nowhere.example", 80, Family.NAME)))
        self.assertEqual(self.totals(world), [(5, 4, 0), (4, 0, 1), (0, 0, 0)])
        world.look_up()
        self.assertEqual(self.totals(world), [(5, 4, 0), (4, 0, 0), (0, 0, 0)])

    def test_relayed(self) -> None:
        """One whose connection was begun is with the relays until its end, whatever that is."""
        world = self.world()
        client, _ = world.connected()
        self.assertEqual(self.totals(world), [(1, 1, 0), (1, 1, 0), (1, 0, 1)])
        world.client(GREETING + request())
        self.assertEqual(self.totals(world), [(2, 2, 0), (2, 2, 0), (2, 0, 2)])
        world.dials[-1].decide(errno.ECONNREFUSED)
        world.settle()
        self.assertEqual(self.totals(world), [(2, 2, 0), (2, 2, 0), (2, 1, 1)])
        gone, _ = world.connected()
        gone.sock.close()
        client.sock.close()
        world.settle()
        world.factory.stop()
        self.assertEqual(self.totals(world), [(3, 3, 0), (3, 3, 0), (3, 3, 0)])

    def test_logins(self) -> None:
        """A login is a part of negotiating, and a wrong one fails there."""
        world = self.world(LOGINS)
        world.client(LOGIN)
        self.assertEqual(self.totals(world), [(1, 0, 1), (0, 0, 0), (0, 0, 0)])
        world.doorkeeper.answer(False)
        world.settle()
        self.assertEqual(self.totals(world), [(1, 0, 0), (0, 0, 0), (0, 0, 0)])


class SliceTests(ReportingCase):
    """Clients do not wait for it."""

    def test_slices(self) -> None:
        """Between slices the server has time for others; all is told in the end."""
        world = self.world()
        for _ in range(20):
            world.client(b"\x05")
        self.step = SLICE_SECONDS / 4
        self.reports.ask()
        slices = 0
        while Reported not in self.kinds(world):
            told = len(self.actives(world))
            world.reactor.advance(SLICE_SECONDS)
            self.assertLessEqual(len(self.actives(world)) - told, 4)
            slices += 1
        self.assertGreater(slices, 5)
        numbers = [event.session for event in self.actives(world)]
        self.assertEqual(numbers, list(range(1, 21)))
        self.assertEqual(self.kinds(world).count(Reported), 1)

    def begun(self, world: World) -> None:
        """Begin a report that has told its totals, and no session yet."""
        self.step = SLICE_SECONDS
        self.reports.ask()
        while ChildReport not in self.kinds(world):
            world.reactor.advance(SLICE_SECONDS)
        self.step = 0.0

    def finish(self, world: World) -> Reported:
        """Let it go on to its end."""
        world.reactor.advance(SLICE_SECONDS)
        last = world.events[-1]
        assert isinstance(last, Reported)
        return last

    def test_ended_meanwhile(self) -> None:
        """A session that ends before its turn is not told, only counted."""
        world = self.world()
        world.client(b"\x05")
        other = world.client(b"\x05")
        self.begun(world)
        other.close()
        last = self.finish(world)
        self.assertEqual([event.session for event in self.actives(world)], [1])
        self.assertEqual((last.told, last.gone), (1, 1))

    def test_began_meanwhile(self) -> None:
        """One that begins after the totals were counted is not told."""
        world = self.world()
        world.client(b"\x05")
        self.begun(world)
        world.client(b"\x05")
        self.assertEqual(self.finish(world).told, 1)

    def test_moved_meanwhile(self) -> None:
        """One that has gone on to other work is told once, with that."""
        world = self.world()
        client = world.client(b"\x05")
        self.begun(world)
        client.send(b"\x01\x00" + request())
        self.finish(world)
        (event,) = self.actives(world)
        self.assertIs(event.work, Work.IO)
        self.assertIsInstance(world.events[-2], Active)

    def test_asked_again(self) -> None:
        """Signals during a report make one more behind it, and none at the same time."""
        world = self.world()
        world.client(b"\x05")
        self.begun(world)
        for _ in range(3):
            self.reports.ask()
        for _ in range(5):
            world.reactor.advance(SLICE_SECONDS)
        whole = [
            Status,
            ChildReport,
            Active,
            ChildReport,
            ChildReport,
            *[LatencyReport] * 5,
            Reported,
        ]
        self.assertEqual(self.kinds(world), whole * 2)
        self.assertEqual(
            [event.report for event in world.events if isinstance(event, Status)], [1, 2]
        )

    def test_stopped(self) -> None:
        """After the server's stop nothing more is told, and nothing is asked of the sessions."""
        world = self.world()
        world.client(b"\x05")
        self.begun(world)
        self.reports.ask()
        self.reports.stop()
        self.crew.stop()
        world.reactor.advance(SLICE_SECONDS)
        self.reports.ask()
        world.reactor.advance(SLICE_SECONDS)
        self.assertEqual(self.kinds(world), [Status, ChildReport])

    def test_mistake(self) -> None:
        """A mistake of ours ends one report, and not the next."""
        world = self.world()
        world.client(b"\x05")
        self.patch(pages, "actives", lambda session, report: 1 / 0)
        self.reports.ask()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.reports.ask()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class PaceTests(ReportingCase):
    """A destination that is slow."""

    def test_behind(self) -> None:
        """Nothing is told while one is behind and makes progress; then it goes on."""
        world = self.world()
        self.waiting = BEHIND_MESSAGES + 1 + 3 * LOOKS_WITHOUT_PROGRESS
        self.reports.ask()
        while self.waiting > BEHIND_MESSAGES + 1:
            self.assertEqual(world.events, [])
            self.waiting -= 1
            world.reactor.advance(PAUSE_SECONDS)
        self.assertEqual(world.events, [])
        self.waiting -= 1
        world.reactor.advance(PAUSE_SECONDS)
        self.assertEqual(self.kinds(world)[-1], Reported)

    def test_stuck(self) -> None:
        """One that makes no progress is waited for two seconds, and not for ever."""
        world = self.world()
        self.waiting = BEHIND_MESSAGES + 1
        self.reports.ask()
        looks = 1
        while not world.events:
            world.reactor.advance(PAUSE_SECONDS)
            looks += 1
        self.assertEqual(looks, LOOKS_WITHOUT_PROGRESS)
        self.assertAlmostEqual(LOOKS_WITHOUT_PROGRESS * PAUSE_SECONDS, 2.0)
        self.assertEqual(self.kinds(world)[-1], Reported)

    def test_dribbling(self) -> None:
        """One that takes a line now and then is waited for a minute."""
        world = self.world()
        self.waiting = 1_000_000
        self.reports.ask()
        begun = world.reactor.seconds()
        while not world.events:
            self.waiting -= 1
            world.reactor.advance(PAUSE_SECONDS)
        self.assertAlmostEqual(world.reactor.seconds() - begun, LONGEST_PAUSE_SECONDS, 1)
        self.assertEqual(self.kinds(world)[-1], Reported)
