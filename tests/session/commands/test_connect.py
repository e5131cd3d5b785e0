"""Tests of CONNECT: the way to the target, the relay, and how they end."""

from __future__ import annotations

import errno

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.poller import EpollPoller
from dantetw.observe.events import Connected, ConnectFailed, Counts, Ended, Message, Transferred
from dantetw.upstream import direct
from dantetw.upstream.interfaces import MakeUpstream
from dantetw.values import (
    Cause,
    Command,
    Ending,
    Endpoint,
    Family,
    Operation,
    Phase,
    Severity,
    Side,
)
from dantetw.wire import socks4
from tests.session.world import CLIENT, GREETING, LOG, OPEN, TARGET, Client, World, request
from tests.upstream.proxied import ASK, Proxied
from tests.upstream.proxied import GRANTED as PROXY_GRANTED

NEAR = "10.0.0.9.50000 127.0.0.1.1080"
FAR = "192.0.2.1.40000 198.51.100.7.80"
GRANTED = b"\x05\x00\x05\x00\x00\x01\xc0\x00\x02\x01\x9c\x40"


def told(
    text: str, counts: tuple[int, int, int, int] = (0, 0, 0, 0), seconds: int = 0
) -> list[str]:
    """The two lines of an established session's end."""
    to_client, from_client, to_target, from_target = counts
    tail = f"{text}.  Session duration: {seconds}s"
    return [
        f"pass(1): tcp/connect ]: {to_client} -> {NEAR} -> {from_client},"
        f" {to_target} -> {FAR} -> {from_target}: {tail}",
        f"pass(1): tcp/accept ]: {to_client} -> {NEAR} -> {to_target}: {tail}",
    ]


class ConnectCase(SynchronousTestCase):
    """What the tests below share."""

    make_poller = EpollPoller

    def world(self, text: str = OPEN) -> World:
        """A server with the poller under test."""
        return World(self, text, self.make_poller)


class DialTests(ConnectCase):
    """The attempt to connect."""

    def test_granted(self) -> None:
        """The client is told our end of the way, and the log both ends."""
        world = self.world()
        client, _ = world.connected()
        self.assertEqual(client.hear(), GRANTED)
        self.assertEqual(world.lines()[1], f"pass(1): tcp/connect [: {NEAR} -> {FAR}")
        (connected,) = [event for event in world.events if isinstance(event, Connected)]
        self.assertEqual(connected.path.target, TARGET)

    def test_socks4(self) -> None:
        """A SOCKS 4 client is told 90."""
        world = self.world()
        client = world.client(socks4.build_request(Command.CONNECT, TARGET))
        world.dials[0].decide()
        world.settle()
        self.assertEqual(client.hear(), b"\x00\x5a\x9c\x40\xc0\x00\x02\x01")

    def test_same_port(self) -> None:
        """As in Dante the wish is to go out from the client's own port."""
        world = self.world()
        wishes: list[Endpoint] = []
        dial = world._dial

        def noted(poller: object, source: Endpoint, *rest: object) -> object:
            wishes.append(source)
            return dial(poller, source, *rest)  # type: ignore[arg-type]

        self.patch(direct, "Dial", noted)
        world.client(GREETING + request())
        self.assertEqual(wishes, [Endpoint("192.0.2.1", CLIENT.port, Family.IPV4)])

    REPLIES = (
        (errno.ECONNREFUSED, 5),
        (errno.ENETUNREACH, 3),
        (errno.EHOSTUNREACH, 4),
        (errno.ETIMEDOUT, 6),
        (errno.EACCES, 1),
        (errno.ECONNRESET, 1),
    )

    def test_failed(self) -> None:
        """An attempt that fails on its way has a reply for its errno, and counters in the log."""
        for number, code in self.REPLIES:
            with self.subTest(errno.errorcode[number]):
                world = self.world(f"external.log.warning.error: system-any\n{OPEN}")
                client = world.client(GREETING + request())
                world.dials[0].decide(number)
                world.settle()
                self.assertEqual(
                    client.hear()[2:], bytes((5, code, 0, 1)) + b"\xc0\x00\x02\x01\x9c\x40"
                )
                self.assertTrue(client.closed)
                operation = Operation.CONNECT
                ending = Ending(Side.TARGET, Phase.CONNECT, Cause.ERROR, number, "", operation)
                self.assertEqual(world.ending, ending)
                (failed,) = [event for event in world.events if isinstance(event, ConnectFailed)]
                self.assertEqual(
                    (failed.symbol, failed.endpoint, failed.severity),
                    (errno.errorcode[number], TARGET, Severity.WARNING),
                )
                world.check_over()

    def test_refused_lines(self) -> None:
        """A refused connection is told as Dante tells it."""
        world = self.world(f"external.log.warning.error: ECONNREFUSED\n{OPEN}")
        world.client(GREETING + request())
        world.dials[0].decide(errno.ECONNREFUSED)
        world.settle()
        self.assertEqual(
            world.lines()[1:],
            [
                "connect to host 198.51.100.7.80 failed: Connection refused",
                *told("remote peer error (Connection refused)"),
            ],
        )
        self.assertEqual(world.events[1].severity, Severity.WARNING)  # type: ignore[union-attr]

    def test_failed_at_once(self) -> None:
        """An attempt that the kernel refuses at once is a request that was not performed."""
        world = self.world()
        world.unreachable[TARGET.host] = errno.ENETUNREACH
        client = world.client(GREETING + request())
        self.assertEqual(client.hear()[2:4], b"\x05\x03")
        failed = "connect(2) to 198.51.100.7.80 from 192.0.2.1.40000 failed: Network is unreachable"
        self.assertEqual(
            world.lines()[1:],
            [
                f"block(1): tcp/connect ]: {NEAR} -> {FAR}: {failed}",
                f"block(1): tcp/accept ]: {NEAR}: request was not performed due to error: {failed}",
            ],
        )
        world.check_over()

    def test_time_limit(self) -> None:
        """An attempt nobody answers is given up by ``timeout.connect``, with reply 6."""
        world = self.world(f"timeout.connect: 5\n{OPEN}")
        client = world.client(GREETING + request())
        world.wait(5)
        self.assertEqual(world.ended, [])
        world.wait(1)
        self.assertEqual(client.hear()[2:], b"\x05\x06\x00\x01" + bytes(6))
        self.assertFalse(world.dials[0].open)
        self.assertEqual(world.lines()[1:], told("connect timeout", seconds=6))
        world.check_over()

    def test_rule_time_limit(self) -> None:
        """The limit of the socks rule that passed the request wins over the global one."""
        rules = OPEN.replace("socks pass {", "socks pass { timeout.connect: 2\n")
        world = self.world(f"timeout.connect: 50\n{rules}")
        world.client(GREETING + request())
        world.wait(3)
        self.assertIs(world.ending.cause, Cause.TIMEOUT)

    def test_no_time_limit(self) -> None:
        """With ``timeout.connect: 0`` the kernel decides."""
        world = self.world(f"timeout.connect: 0\n{OPEN}")
        world.client(GREETING + request())
        world.wait(500)
        self.assertEqual(world.ended, [])

    def test_reset_meanwhile(self) -> None:
        """A client that resets while we connect ends then, and the attempt with it."""
        world = self.world()
        world.client(GREETING + request()).close()
        self.assertEqual((world.ending.side, world.ending.phase), (Side.CLIENT, Phase.CONNECT))
        self.assertFalse(world.dials[0].open)
        world.check_over()

    def test_gone_at_reply(self) -> None:
        """A client that is gone when it should hear of success is a client's error."""
        world = self.world()
        client = world.client(GREETING + request())
        client.hear()
        client.sock.close()
        # The news of both comes in one turn; ours first.
        world.dials[0].decide()
        world.settle()
        self.assertIs(world.ending.side, Side.CLIENT)
        world.check_over()

    def test_misrouted(self) -> None:
        """A route that leads out by another address is told of, and refused with reply 3."""
        world = self.world(f"external.rotation: same-same\nexternal: 192.0.2.2\n{OPEN}")
        client = world.client(GREETING + request())
        self.assertEqual(client.hear()[2:4], b"\x05\x03")
        (message,) = [event for event in world.events if isinstance(event, Message)]
        self.assertEqual(message.code, "external.misrouted")
        self.assertTrue(
            message.text.startswith("getoutaddr(): using external.rotation = same-same")
        )
        text = "could not bind address to use on external side: using external.rotation"
        self.assertTrue(world.ending.text.startswith(text))
        world.check_over()


class UpstreamTests(ConnectCase):
    """A way to the target that says something itself before the target is heard."""

    def asked(self, text: str = OPEN, target: Endpoint = TARGET) -> tuple[World, Client]:
        """A server with such an upstream, and a client that has asked for a target."""
        upstreams: dict[str, MakeUpstream] = {"direct": Proxied}
        world = World(self, text, self.make_poller, upstreams=upstreams)
        world.hosts["many.example.org"] = ["203.0.113.1", "203.0.113.2"]
        client = world.client(GREETING + request(target))
        world.look_up()
        return world, client

    def test_leftover(self) -> None:
        """What the upstream has read of the target comes behind the reply, and counts."""
        for target in (TARGET, Endpoint("many.example.org", 80, Family.NAME)):
            with self.subTest(target):
                world, client = self.asked(target=target)
                dial = world.dials[0]
                dial.decide()
                world.settle()
                self.assertEqual((dial.far.recv(9), client.hear()), (ASK, b"\x05\x00"))
                dial.far.send(PROXY_GRANTED + b"hello")
                world.settle()
                self.assertEqual(client.hear(), GRANTED + b"hello")
                dial.far.send(b" you")
                client.send(b"thanks")
                self.assertEqual(client.hear(), GRANTED + b"hello you")
                self.assertEqual(dial.far.recv(9), b"thanks")
                client.close()
                dial.far.close()
                world.settle()
                (ended,) = world.ended
                self.assertEqual(ended.counts, Counts(9, 6, 6, 9))
                world.check_over()

    def test_refused(self) -> None:
        """A refusal of the upstream is one of the target."""
        world, client = self.asked()
        world.dials[0].decide()
        world.settle()
        world.dials[0].far.send(b"NO\n")
        world.settle()
        self.assertEqual(client.hear()[2:4], b"\x05\x05")
        self.assertEqual(world.ending.errno, errno.ECONNREFUSED)
        world.check_over()

    def test_silent(self) -> None:
        """The time limit is the session's, and gives the attempt up."""
        world, client = self.asked(f"timeout.connect: 5\n{OPEN}")
        world.dials[0].decide()
        world.settle()
        world.wait(6)
        self.assertEqual(client.hear()[2:4], b"\x05\x06")
        self.assertIs(world.ending.cause, Cause.TIMEOUT)
        self.assertEqual(world.dials[0].far.recv(9), ASK)
        self.assertEqual(world.dials[0].far.recv(9), b"")
        world.check_over()


class RelayTests(ConnectCase):
    """What happens once the way is open."""

    def test_early(self) -> None:
        """What came behind the request goes to the target first, and each byte is counted."""
        world = self.world()
        client, dial = world.connected(b"early ")
        client.send(b"late")
        self.assertEqual(dial.far.recv(100), b"early late")
        dial.far.send(b"answer")
        world.settle()
        self.assertEqual(client.hear(), GRANTED + b"answer")
        client.shut()
        dial.far.close()
        world.settle()
        self.assertEqual(world.lines()[2:], told("local client closed", (6, 10, 10, 6)))
        self.assertEqual(world.ended[0].counts, Counts(6, 10, 10, 6))
        world.check_over()

    def test_ahead_of_the_reply(self) -> None:
        """What a client sends while we still connect waits, and is not lost."""
        world = self.world()
        client = world.client(GREETING + request())
        client.send(b"question")
        world.dials[0].decide()
        world.settle()
        self.assertEqual(world.dials[0].far.recv(100), b"question")

    def test_endings(self) -> None:
        """Who closes or resets first is who ended it."""
        for first, text, ending in (
            ("client", "local client closed", Ending(Side.CLIENT, Phase.RELAY, Cause.CLOSED)),
            ("target", "remote peer closed", Ending(Side.TARGET, Phase.RELAY, Cause.CLOSED)),
        ):
            with self.subTest(first):
                world = self.world()
                client, dial = world.connected()
                client.hear()
                ends = [client.sock, dial.far]
                if first == "target":
                    ends.reverse()
                for end in ends:
                    end.close()
                    world.settle()
                self.assertEqual(world.ending, ending)
                self.assertEqual(world.lines()[2:], told(text))
                world.check_over()

    def test_reset(self) -> None:
        """A reset ends both ways at once."""
        for resets, side, text in (
            ("client", Side.CLIENT, "local client error (Connection reset by peer)"),
            ("target", Side.TARGET, "remote peer error (Connection reset by peer)"),
        ):
            with self.subTest(resets):
                world = self.world()
                client, dial = world.connected()
                client.hear()
                # Closing with bytes unread is a reset.
                (dial.far if resets == "client" else client.sock).send(b"unread")
                world.settle()
                (client.sock if resets == "client" else dial.far).close()
                world.settle()
                number, operation = errno.ECONNRESET, Operation.RECEIVE
                ending = Ending(side, Phase.RELAY, Cause.ERROR, number, "", operation)
                self.assertEqual(world.ending, ending)
                self.assertTrue(world.lines()[2].endswith(f"{text}.  Session duration: 0s"))
                world.check_over()

    def test_half_closed(self) -> None:
        """A client that has said all still hears the answer, however late it comes."""
        world = self.world()
        client, dial = world.connected(b"question")
        client.shut()
        world.wait(100)
        self.assertEqual((dial.far.recv(100), dial.far.recv(100)), (b"question", b""))
        dial.far.send(b"answer")
        world.settle()
        self.assertEqual(client.hear(), GRANTED + b"answer")
        self.assertEqual(world.ended, [])

    def test_io_time_limit(self) -> None:
        """A relay on which nothing happens is ended by ``timeout.io.tcp``, in whole seconds."""
        world = self.world(f"timeout.io.tcp: 6\n{OPEN}")
        client, _ = world.connected()
        world.wait(4)
        client.send(b"more")
        world.wait(6)
        self.assertEqual(world.ended, [])
        world.wait(1)
        self.assertEqual(world.ending, Ending(Side.US, Phase.RELAY, Cause.TIMEOUT))
        self.assertEqual(world.lines()[2:], told("i/o timeout", (0, 4, 4, 0), 11))
        client.hear()
        self.assertTrue(client.closed)
        world.check_over()

    def test_fin_wait_time_limit(self) -> None:
        """One that is closed on one side is ended by ``timeout.tcp_fin_wait``."""
        for first, awaited in (("client", "remote peer"), ("target", "client")):
            with self.subTest(first):
                world = self.world(f"timeout.tcp_fin_wait: 2\n{OPEN}")
                client, dial = world.connected()
                world.wait(50)
                if first == "client":
                    client.shut()
                else:
                    client.hear()
                    dial.far.shutdown(1)
                    world.settle()
                world.wait(2)
                self.assertEqual(world.ended, [])
                world.wait(1)
                self.assertIs(world.ending.cause, Cause.FIN_WAIT)
                text = f"tcp-fin-wait timeout (waiting for {awaited} to close)"
                self.assertEqual(world.lines()[2:], told(text, seconds=53))
                world.check_over()

    def test_shorter_limit(self) -> None:
        """Of the two limits the shorter holds for a half-closed relay."""
        world = self.world(f"timeout.io.tcp: 3\ntimeout.tcp_fin_wait: 60\n{OPEN}")
        client, _ = world.connected()
        client.shut()
        world.wait(4)
        self.assertIs(world.ending.cause, Cause.TIMEOUT)

    def test_no_limits(self) -> None:
        """A relay without limits costs the sweep nothing."""
        world = self.world()
        world.connected()
        self.assertEqual(world.factory.sweep._limited, set())

    def test_tapped(self) -> None:
        """With ``log: data`` each chunk is an event with its bytes, and still goes through."""
        world = self.world(OPEN.replace(LOG, "log: connect disconnect ioop data"))
        client, dial = world.connected(b"early")
        dial.far.send(b"one\n")
        world.settle()
        client.hear()
        client.shut()
        dial.far.close()
        world.settle()
        seen = [
            (event.origin, event.count, event.data)
            for event in world.events
            if isinstance(event, Transferred)
        ]
        self.assertEqual(
            seen,
            [
                (Side.CLIENT, 5, b"early"),
                (Side.TARGET, 4, b"one\n"),
                (Side.CLIENT, 0, b""),
            ],
        )
        self.assertIsInstance(world.events[-1], Ended)
        world.check_over()
