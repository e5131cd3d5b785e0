"""Tests of CONNECT to a name with several addresses."""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.poller import EpollPoller, ReactorPoller
from dantetw.net.race import HEAD_START_SECONDS, MAX_ATTEMPTS
from dantetw.observe.events import Attempt, ConnectFailed, Ended
from dantetw.observe.formats.json import Json
from dantetw.values import Cause, Endpoint, Family, Outcome, Work
from tests.session.world import GREETING, LOG, OPEN, Client, FakeDial, World, request

NEAR = "10.0.0.9.50000 127.0.0.1.1080"
NAME = Endpoint("many.example.org", 80, Family.NAME)
ONE, TWO, THREE = "203.0.113.1", "203.0.113.2", "203.0.113.3"
SIX = "2001:db8::1"
WARN = "external.log.warning.error: system-any\n"
HEAD = """
internal: 127.0.0.1 port = 1080
external: 192.0.2.1
external: 2001:db8::9
clientmethod: none
"""
CLIENTS = f"socksmethod: none\nclient pass {{ from: 0/0 to: 0/0 {LOG} }}\n"


class RacingCase(SynchronousTestCase):
    """What the tests below share."""

    make_poller: type[EpollPoller | ReactorPoller] = EpollPoller

    def world(self, text: str = WARN + OPEN, hosts: Sequence[str] = (ONE, TWO, THREE)) -> World:
        """A server, for which the name has these addresses."""
        head = HEAD if any(":" in host for host in hosts) else HEAD.replace("external: 2", "#")
        world = World(self, text, self.make_poller, head=head)
        world.hosts[NAME.host] = list(hosts)
        return world

    def ask(self, world: World) -> Client:
        """A client that has asked for the name."""
        client = world.client(GREETING + request(NAME))
        world.look_up()
        return client

    def tried(self, world: World) -> list[str]:
        """The addresses that were tried, in order."""
        return [dial.target.host for dial in world.dials]

    def head_start(self, world: World) -> None:
        """Let the head start of the attempt that began last go by."""
        world.reactor.advance(HEAD_START_SECONDS)
        world.settle()

    def granted(self, client: Client) -> None:
        """The client has been told that it is connected."""
        self.assertEqual(client.hear()[2:4], b"\x05\x00")

    def decide(self, world: World, dial: FakeDial, number: int = 0) -> None:
        """An attempt ends."""
        dial.decide(number)
        world.settle()

    def outcomes(self, world: World) -> list[tuple[str, Outcome, int]]:
        """What became of each address, as the session's end tells."""
        (ended,) = world.ended
        return [(each.target.host, each.outcome, each.errno) for each in ended.attempts]

    def finish(self, world: World, client: Client) -> None:
        """Client and target leave, and nothing is left."""
        client.close()
        for dial in world.dials:
            dial.far.close()
        world.settle()
        world.check_over()
        self.assertEqual([dial for dial in world.dials if dial.open], [])
        pending = [call for call in world.reactor.getDelayedCalls() if call.getTime() < 1000000]
        # The sweep alone goes on.
        self.assertEqual(len(pending), 1)


class AttemptTests(RacingCase):
    """Which addresses are tried, and when."""

    def test_first(self) -> None:
        """If the first answers no other is tried, and the line has the name."""
        world = self.world()
        client = self.ask(world)
        self.decide(world, world.dials[0])
        self.granted(client)
        self.assertEqual(self.tried(world), [ONE])
        line = f"pass(1): tcp/connect [: {NEAR} -> 192.0.2.1.40000 many.example.org.80"
        self.assertEqual(world.lines()[1], line)
        self.head_start(world)
        self.assertEqual(self.tried(world), [ONE])
        self.finish(world, client)
        self.assertEqual(self.outcomes(world), [(ONE, Outcome.CONNECTED, 0)])
        self.assertIn(f"-> 192.0.2.1.40000 {ONE}.80 -> 0: local client closed", world.lines()[2])

    def test_refused(self) -> None:
        """If it fails the next is tried at once; the failure is told of the address."""
        for number, words in (
            (errno.ECONNREFUSED, f"connect to host {ONE}.80 failed: Connection refused"),
            (errno.EHOSTUNREACH, f"no route to {ONE}.80: No route to host"),
            (errno.ETIMEDOUT, f"connect to host {ONE}.80 failed: Connection timed out"),
        ):
            with self.subTest(number):
                world = self.world()
                client = self.ask(world)
                self.decide(world, world.dials[0], number)
                self.assertEqual(self.tried(world), [ONE, TWO])
                self.decide(world, world.dials[1])
                self.granted(client)
                self.assertEqual(
                    world.lines()[1:],
                    [words, f"pass(1): tcp/connect [: {NEAR} -> 192.0.2.1.40001 {NAME}"],
                )
                self.finish(world, client)
                expected = [(ONE, Outcome.FAILED, number), (TWO, Outcome.CONNECTED, 0)]
                self.assertEqual(self.outcomes(world), expected)

    def test_at_once(self) -> None:
        """Likewise if ``connect`` itself fails."""
        world = self.world()
        world.unreachable = {ONE: errno.ENETUNREACH, TWO: errno.EACCES}
        client = self.ask(world)
        self.assertEqual(self.tried(world), [THREE])
        self.decide(world, world.dials[0])
        self.granted(client)
        # The last of the addresses stands in the line itself.
        self.assertEqual(
            world.lines()[1:],
            [
                f"no route to {ONE}.80: Network is unreachable",
                f"connect to host {TWO}.80 failed: Permission denied",
                f"pass(1): tcp/connect [: {NEAR} -> 192.0.2.1.40000 {THREE}.80",
            ],
        )
        self.finish(world, client)

    def test_silent(self) -> None:
        """If it is silent the next is tried beside it; the first to connect wins."""
        world = self.world()
        client = self.ask(world)
        world.reactor.advance(HEAD_START_SECONDS - 0.01)
        world.settle()
        self.assertEqual(self.tried(world), [ONE])
        world.reactor.advance(0.01)
        world.settle()
        self.head_start(world)
        self.assertEqual(self.tried(world), [ONE, TWO, THREE])
        self.decide(world, world.dials[1])
        self.granted(client)
        self.assertEqual([dial.open for dial in world.dials], [False, False, False])
        # The loser's end is closed, the winner's relays.
        self.assertEqual(world.dials[0].far.recv(1), b"")
        world.dials[1].far.send(b"welcome")
        world.settle()
        self.assertTrue(client.hear().endswith(b"welcome"))
        self.finish(world, client)
        self.assertEqual(
            self.outcomes(world),
            [
                (TWO, Outcome.CONNECTED, 0),
                (ONE, Outcome.OVERTAKEN, 0),
                (THREE, Outcome.OVERTAKEN, 0),
            ],
        )

    def test_late_win(self) -> None:
        """An attempt that has been overtaken by another's beginning may still win."""
        world = self.world()
        client = self.ask(world)
        self.head_start(world)
        self.decide(world, world.dials[0])
        self.granted(client)
        self.finish(world, client)
        expected = [(ONE, Outcome.CONNECTED, 0), (TWO, Outcome.OVERTAKEN, 0)]
        self.assertEqual(self.outcomes(world), expected)

    def test_families(self) -> None:
        """Families take turns; each attempt has a source of its own family."""
        world = self.world(hosts=(SIX, "2001:db8::2", ONE, TWO))
        client = self.ask(world)
        for _ in range(3):
            self.head_start(world)
        self.assertEqual(self.tried(world), [SIX, ONE, "2001:db8::2", TWO])
        sources = [dial.source.host for dial in world.dials]
        self.assertEqual(sources, ["2001:db8::9", "192.0.2.1", "2001:db8::9", "192.0.2.1"])
        self.decide(world, world.dials[1])
        self.granted(client)
        # It is not the last of its family.
        self.assertIn(f"192.0.2.1.40001 {NAME}", world.lines()[1])
        self.finish(world, client)

    def test_all_refused(self) -> None:
        """If none connects the last failure is the session's; it is told under the name."""
        world = self.world(hosts=(ONE, TWO))
        client = self.ask(world)
        self.decide(world, world.dials[0], errno.ECONNREFUSED)
        self.decide(world, world.dials[1], errno.EHOSTUNREACH)
        self.assertEqual(client.hear()[2:4], b"\x05\x04")
        tail = "remote peer error (No route to host).  Session duration: 0s"
        self.assertEqual(
            world.lines()[1:],
            [
                f"connect to host {ONE}.80 failed: Connection refused",
                f"no route to {NAME}: No route to host",
                f"pass(1): tcp/connect ]: 0 -> {NEAR} -> 0,"
                f" 0 -> 192.0.2.1.40001 {TWO}.80 -> 0: {tail}",
                f"pass(1): tcp/accept ]: 0 -> {NEAR} -> 0: {tail}",
            ],
        )
        self.finish(world, client)

    def test_all_at_once(self) -> None:
        """If the last fails at once, the line names address and name."""
        world = self.world(hosts=(ONE, TWO))
        world.unreachable = dict.fromkeys((ONE, TWO), errno.ENETUNREACH)
        client = self.ask(world)
        self.assertEqual(client.hear()[2:4], b"\x05\x03")
        text = f"connect(2) to {TWO}.80 from 192.0.2.1.40000 failed: Network is unreachable"
        self.assertEqual(
            world.lines()[1:],
            [
                f"no route to {ONE}.80: Network is unreachable",
                f"no route to {TWO}.80: Network is unreachable",
                f"block(1): tcp/connect ]: {NEAR} -> 192.0.2.1.40000 {NAME}: {text}",
                f"block(1): tcp/accept ]: {NEAR}: request was not performed due to error: {text}",
            ],
        )
        self.assertEqual(world.factory.counts.performed, 0)
        self.finish(world, client)

    def test_early_failure_is_told_early(self) -> None:
        """A failure is told when it happens while other attempts run."""
        world = self.world(hosts=(ONE, TWO))
        client = self.ask(world)
        self.head_start(world)
        self.decide(world, world.dials[0], errno.ECONNREFUSED)
        self.assertEqual(
            world.lines()[1:], [f"connect to host {ONE}.80 failed: Connection refused"]
        )
        self.decide(world, world.dials[1], errno.ECONNREFUSED)
        told = [event for event in world.events if isinstance(event, ConnectFailed)]
        self.assertEqual([event.endpoint.host for event in told], [ONE, TWO])
        self.finish(world, client)

    def test_timeout(self) -> None:
        """Each attempt has ``timeout.connect``; the last one's end is the session's."""
        world = self.world(f"timeout.connect: 3\n{WARN}{OPEN}", (ONE, TWO))
        client = self.ask(world)
        self.head_start(world)
        world.wait(5)
        self.assertEqual(client.hear()[2:4], b"\x05\x06")
        expected = [(host, Outcome.FAILED, errno.ETIMEDOUT) for host in (ONE, TWO)]
        self.assertEqual(self.outcomes(world), expected)
        self.assertEqual(world.ending.cause, Cause.TIMEOUT)
        self.assertEqual(
            world.lines()[1:3],
            [
                f"connect to host {ONE}.80 failed: Connection timed out",
                f"connect to host {NAME} failed: Connection timed out",
            ],
        )
        self.finish(world, client)

    def test_all_silent(self) -> None:
        """All are tried, however many: six at a time, each for ``timeout.connect``."""
        hosts = [f"203.0.113.{number}" for number in range(1, 65)]
        world = self.world(f"timeout.connect: 3\n{OPEN}", hosts)
        client = self.ask(world)
        # Eleven times six, of which each takes a little more than three seconds.
        for _ in range(11 * 6 * 4):
            self.head_start(world)
            self.assertLessEqual(sum(dial.open for dial in world.dials), MAX_ATTEMPTS)
            if world.ended:
                break
        self.assertEqual(client.hear()[2:4], b"\x05\x06")
        self.assertEqual(self.tried(world), hosts)
        expected = [(host, Outcome.FAILED, errno.ETIMEDOUT) for host in hosts]
        self.assertEqual(self.outcomes(world), expected)
        self.finish(world, client)

    def test_last_answers(self) -> None:
        """The last address is served, though ``timeout.connect`` has passed for those before."""
        hosts = [f"203.0.113.{number}" for number in range(1, 9)]
        world = self.world(f"timeout.connect: 3\n{OPEN}", hosts)
        client = self.ask(world)
        while len(world.dials) < len(hosts):
            self.assertEqual(world.ended, [])
            self.head_start(world)
        self.decide(world, world.dials[-1])
        self.granted(client)
        self.finish(world, client)

    def test_lately(self) -> None:
        """What has failed, or was overtaken, is tried last for a while."""
        world = self.world(hosts=(ONE, TWO))
        for expected in ([ONE, TWO], [TWO], [TWO]):
            before = len(world.dials)
            client = self.ask(world)
            if len(expected) == 2:
                self.decide(world, world.dials[before], errno.ECONNREFUSED)
            self.assertEqual(self.tried(world)[before:], expected)
            self.decide(world, world.dials[-1])
            client.close()
        world.wait(61)
        client = self.ask(world)
        self.assertEqual(self.tried(world)[-1], ONE)
        self.decide(world, world.dials[-1])
        self.finish(world, client)

    def test_shortage(self) -> None:
        """A shortage of our own is no failure of an address's."""
        world = self.world(hosts=(ONE, TWO))
        world.unreachable = {ONE: errno.EMFILE}
        client = self.ask(world)
        self.assertFalse(world.factory.unreached.lately(ONE, 80))
        self.decide(world, world.dials[-1])
        self.finish(world, client)


class ShortageTests(RacingCase):
    """What attempts take of the descriptors."""

    def test_counted(self) -> None:
        """Attempts beside the first one are counted while they run."""
        world = self.world()
        room = world.factory.descriptors
        client = self.ask(world)
        self.assertEqual(room._extra, 0)
        self.head_start(world)
        self.head_start(world)
        self.assertEqual(room._extra, 2)
        self.decide(world, world.dials[0], errno.ECONNREFUSED)
        self.assertEqual(room._extra, 1)
        self.decide(world, world.dials[1])
        self.granted(client)
        self.assertEqual(room._extra, 0)
        self.finish(world, client)
        self.assertEqual(room._held, {})

    def test_none_left(self) -> None:
        """Without one to spare none begins beside another; the first one's failure makes room."""
        world = self.world()
        client = self.ask(world)
        self.patch(world.factory.descriptors, "has", lambda number: False)
        for _ in range(4):
            self.head_start(world)
        self.assertEqual(self.tried(world), [ONE])
        self.decide(world, world.dials[0], errno.ECONNREFUSED)
        self.assertEqual(self.tried(world), [ONE, TWO])
        self.decide(world, world.dials[1])
        self.granted(client)
        self.finish(world, client)

    def test_given_back(self) -> None:
        """A session that ends meanwhile gives all back."""
        world = self.world()
        client = self.ask(world)
        self.head_start(world)
        world.factory.stop()
        world.settle()
        self.finish(world, client)
        self.assertEqual(
            (world.factory.descriptors._extra, world.factory.descriptors._held), (0, {})
        )


class HalfClosedTests(RacingCase):
    """Clients that have closed their half, which epoll alone reports."""

    def test_half_closed(self) -> None:
        """For a client that has closed its half none begins after ``timeout.connect``."""
        hosts = [f"203.0.113.{number}" for number in range(1, 31)]
        world = self.world(f"timeout.connect: 3\n{OPEN}", hosts)
        client = self.ask(world)
        client.shut()
        for _ in range(32):
            self.head_start(world)
        self.assertEqual(self.tried(world), hosts[:MAX_ATTEMPTS])
        self.assertEqual(client.hear()[2:4], b"\x05\x06")
        self.finish(world, client)


class JudgingTests(RacingCase):
    """The rules about each address."""

    def test_second_blocked(self) -> None:
        """A rule that passes the first address only never lets the second be reached."""
        rules = f"socks pass {{ from: 0/0 to: {ONE}/32 {LOG} }}"
        world = self.world(CLIENTS + rules, (ONE, TWO))
        client = self.ask(world)
        self.head_start(world)
        self.decide(world, world.dials[0], errno.ECONNREFUSED)
        self.head_start(world)
        self.assertEqual(self.tried(world), [ONE])
        self.assertEqual(client.hear()[2:4], b"\x05\x05")
        expected = [(TWO, Outcome.BLOCKED, 0), (ONE, Outcome.FAILED, errno.ECONNREFUSED)]
        self.assertEqual(self.outcomes(world), expected)
        self.finish(world, client)

    def test_any_blocked(self) -> None:
        """As in Dante a block of one address blocks a name that has it, wherever it stands."""
        rules = f"socks block {{ from: 0/0 to: {TWO}/32 {LOG} }}\n"
        rules += f"socks pass {{ from: 0/0 to: 0/0 {LOG} }}"
        world = self.world(CLIENTS + rules, (ONE, TWO))
        client = self.ask(world)
        self.assertEqual(self.tried(world), [])
        self.assertEqual(client.hear()[2:4], b"\x05\x02")
        self.assertEqual(world.lines()[1], f"block(1): tcp/connect ]: {NEAR} -> 0.0.0.0.0 {NAME}")
        self.finish(world, client)

    def test_own_rule(self) -> None:
        """Each address comes under its own rule, and so does the session in the end."""
        rules = (
            f"socks pass {{ from: 0/0 to: {ONE}/32 {LOG} }}\n"
            f"socks block {{ from: 0/0 to: {TWO}/32 {LOG} }}\n"
            f"socks pass {{ from: 0/0 to: {THREE}/32 {LOG}\n"
            "    external.log.warning.error: ECONNREFUSED }\n"
        )
        # Of a name whose rule fits one address, that one comes first.
        world = self.world(CLIENTS + rules, (THREE, TWO, ONE))
        client = self.ask(world)
        self.decide(world, world.dials[0], errno.ECONNREFUSED)
        self.assertEqual(self.tried(world), [ONE, THREE])
        self.decide(world, world.dials[1])
        self.granted(client)
        self.assertEqual(
            world.lines()[1:], [f"pass(3): tcp/connect [: {NEAR} -> 192.0.2.1.40001 {THREE}.80"]
        )
        self.finish(world, client)

    def test_unusable(self) -> None:
        """Addresses that nobody can connect to are passed over, our own among them."""
        world = self.world(hosts=("0.0.0.0", TWO, THREE))
        world.factory.listening = frozenset((Endpoint(TWO, 80, Family.IPV4),))
        client = self.ask(world)
        self.assertEqual(self.tried(world), [THREE])
        self.decide(world, world.dials[0])
        self.granted(client)
        self.finish(world, client)
        self.assertEqual(
            self.outcomes(world),
            [
                ("0.0.0.0", Outcome.UNUSABLE, 0),
                (TWO, Outcome.UNUSABLE, 0),
                (THREE, Outcome.CONNECTED, 0),
            ],
        )

    def test_all_unusable(self) -> None:
        """If none is usable the first says why."""
        world = self.world(hosts=("0.0.0.0", TWO))
        world.factory.listening = frozenset((Endpoint(TWO, 80, Family.IPV4),))
        client = self.ask(world)
        self.assertEqual(client.hear()[2:4], b"\x05\x08")
        self.assertEqual(world.ending.text, "unbound ipaddress (0.0.0.0.80) in request")
        self.finish(world, client)

    def test_misrouted(self) -> None:
        """An address that no address of ours goes to is passed over, with a warning."""

        def route_to(target: Endpoint) -> str:
            return "192.0.2.66" if target.host == ONE else "192.0.2.1"

        world = self.world(f"external.rotation: route\n{OPEN}", (ONE, TWO))
        world.factory.context.sources._route_to = route_to
        client = self.ask(world)
        self.assertEqual(self.tried(world), [TWO])
        self.decide(world, world.dials[0])
        self.granted(client)
        warnings = [line for line in world.lines() if "getoutaddr()" in line]
        self.assertEqual(len(warnings), 1)
        self.finish(world, client)
        self.assertEqual(self.outcomes(world)[0], (ONE, Outcome.UNUSABLE, 0))

    def test_all_misrouted(self) -> None:
        """If that is so of all, the request is refused as with one address."""
        world = self.world(f"external.rotation: route\n{OPEN}", (ONE, TWO))
        world.factory.context.sources._route_to = lambda target: "192.0.2.66"
        client = self.ask(world)
        self.assertEqual(client.hear()[2:4], b"\x05\x03")
        self.assertIn("could not bind address to use on external side", world.ending.text)
        self.finish(world, client)

    def test_look_up(self) -> None:
        """Names in rules about later addresses are looked up before those are tried."""
        rules = (
            f"socks pass {{ from: 0/0 to: {ONE}/32 {LOG} }}\n"
            f"socks block {{ from: 0/0 to: bad.example.org {LOG} }}\n"
            f"socks pass {{ from: 0/0 to: 0/0 {LOG} }}"
        )
        world = self.world(CLIENTS + rules, (ONE, TWO, THREE))
        world.hosts["bad.example.org"] = [TWO]
        client = self.ask(world)
        self.decide(world, world.dials[0], errno.ECONNREFUSED)
        self.assertEqual(self.tried(world), [ONE])
        world.look_up()
        self.assertEqual(self.tried(world), [ONE, THREE])
        self.decide(world, world.dials[1])
        self.granted(client)
        self.finish(world, client)

    def test_look_up_fails(self) -> None:
        """A name in a rule that has no address is looked up once for all of the target's."""
        rules = (
            f"socks pass {{ from: 0/0 to: {ONE}/32 {LOG} }}\n"
            f"socks block {{ from: 0/0 to: dead.example.org {LOG} }}\n"
            f"socks pass {{ from: 0/0 to: 0/0 {LOG} }}"
        )
        world = self.world(CLIENTS + rules, (ONE, TWO, THREE))
        client = self.ask(world)
        self.decide(world, world.dials[0], errno.ECONNREFUSED)
        self.assertEqual(len(world.pool.jobs), 1)
        world.look_up()
        self.decide(world, world.dials[1], errno.ECONNREFUSED)
        self.assertEqual(self.tried(world), [ONE, TWO, THREE])
        self.decide(world, world.dials[2])
        self.granted(client)
        self.finish(world, client)

    def test_look_up_too_long(self) -> None:
        """A look-up that does not end costs its address only."""
        rules = (
            f"socks pass {{ from: 0/0 to: {ONE}/32 {LOG} }}\n"
            f"socks pass {{ from: 0/0 to: slow.example.org {LOG} }}"
        )
        world = self.world(f"timeout.connect: 3\n{CLIENTS}{rules}", (ONE, TWO))
        client = self.ask(world)
        self.decide(world, world.dials[0], errno.ECONNREFUSED)
        world.wait(5)
        self.assertEqual(client.hear()[2:4], b"\x05\x05")
        world.look_up()
        self.assertEqual(self.tried(world), [ONE])
        self.finish(world, client)


class LeavingTests(RacingCase):
    """Sessions that end while attempts run."""

    def racing(self) -> tuple[World, Client]:
        """Two attempts that run, a third about to begin."""
        world = self.world()
        client = self.ask(world)
        self.head_start(world)
        self.assertEqual([dial.open for dial in world.dials], [True, True])
        return world, client

    def check_abandoned(self, world: World, client: Client) -> None:
        """Nothing is left, and the end tells of both."""
        self.finish(world, client)
        self.assertEqual(
            self.outcomes(world),
            [(ONE, Outcome.ABANDONED, 0), (TWO, Outcome.ABANDONED, 0)],
        )
        self.head_start(world)
        self.assertEqual(len(world.dials), 2)

    def test_stop(self) -> None:
        """The server stops: all are closed."""
        world, client = self.racing()
        world.factory.stop()
        world.settle()
        self.check_abandoned(world, client)

    def test_client_breaks_off(self) -> None:
        """The client's connection breaks: all are closed."""
        world, client = self.racing()
        assert client.session is not None
        client.session.end(client.session.client_ending(errno.ECONNRESET, None))  # type: ignore[arg-type]
        world.settle()
        self.check_abandoned(world, client)

    def test_status(self) -> None:
        """Meanwhile the session counts as one that is under way, once."""
        world, client = self.racing()
        self.assertEqual(world.factory.counts.performed, 1)
        assert client.session is not None and client.session.activity is not None
        self.assertTrue(client.session.activity.is_active)
        ((path, standing),) = client.session.activity.traffic_snapshots()
        self.assertTrue(standing.connecting)
        self.assertEqual(path.target, Endpoint(TWO, 80, Family.IPV4))
        world.factory.stop()
        self.assertEqual(world.factory.counts.ended(Work.REQUEST), 0)


class JsonTests(RacingCase):
    """What JSON says of the attempts."""

    def test_attempts(self) -> None:
        """All of them stand in the end's object, with their errno and time."""
        world = self.world(hosts=(ONE, TWO))
        client = self.ask(world)
        self.head_start(world)
        self.decide(world, world.dials[0], errno.ECONNREFUSED)
        self.decide(world, world.dials[1])
        self.finish(world, client)
        objects = [
            json.loads("{" + text) for event in world.events for _, text in Json().lines(event)
        ]
        kinds = {each["kind"]: each for each in objects}
        self.assertEqual(kinds["connected"]["asked"], {"host": NAME.host, "port": 80})
        self.assertEqual(kinds["connected"]["target"], {"host": TWO, "port": 80})
        self.assertEqual(kinds["failure"]["endpoint"], {"host": ONE, "port": 80})
        told = kinds["session"]["attempts"]
        self.assertEqual(
            [(each["target"]["host"], each["outcome"], each["errno"]) for each in told],
            [(ONE, "failed", "ECONNREFUSED"), (TWO, "connected", None)],
        )
        self.assertEqual([each["began"] for each in told], [0.0, HEAD_START_SECONDS])
        self.assertEqual([each["seconds"] for each in told], [HEAD_START_SECONDS, 0.0])

    def test_single(self) -> None:
        """There are none where there is but one address."""
        world = self.world(hosts=(ONE,))
        client = self.ask(world)
        self.decide(world, world.dials[0])
        client.close()
        (ended,) = (event for event in world.events if isinstance(event, Ended))
        attempts: tuple[Attempt, ...] = ended.attempts
        self.assertEqual(attempts, ())


class ReactorAttemptTests(AttemptTests):
    """The same with the reactor's means."""

    make_poller = ReactorPoller
