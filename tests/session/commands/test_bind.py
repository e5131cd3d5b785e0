"""Tests of BIND: the port, the wait, the peer, the relay, and how they end."""

from __future__ import annotations

import errno
import re
import socket
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.errors import words_of
from dantetw.net.poller import EpollPoller, ReactorPoller
from dantetw.observe.events import (
    AcceptFailed,
    Connected,
    Counts,
    Step,
    TrafficFailed,
    Transferred,
)
from dantetw.session.commands import bind as binding
from dantetw.session.commands.bind import MAX_EARLY_BYTES as EARLY
from dantetw.values import Cause, Command, Ending, Endpoint, Family, Operation, Phase, Side
from dantetw.wire import socks4
from tests.session.world import GREETING, HEAD, LOG, Client, FakePeerPort, World, request

NEAR = "10.0.0.9.50000 127.0.0.1.1080"
BOUND = "192.0.2.1.49152"
ANYBODY = Endpoint("0.0.0.0", 0, Family.IPV4)
PEER = Endpoint("198.51.100.7", 4711, Family.IPV4)
RULES = f"""
client pass {{ from: 0/0 to: 0/0 {LOG} }}
socks pass {{ from: 0/0 to: 192.0.2.1/32 command: bind connect {LOG} }}
socks block {{ from: 203.0.113.0/24 to: 0/0 command: bindreply {LOG} }}
socks pass {{ from: 198.51.100.0/24 to: 10.0.0.9/32 command: bindreply {LOG} }}
"""
OPEN = f"socksmethod: none\n{RULES}"
FIRST = b"\x05\x00\x05\x00\x00\x01\xc0\x00\x02\x01\xc0\x00"
SECOND = b"\x05\x00\x00\x01\xc6\x33\x64\x07\x12\x67"


def bind(asked: Endpoint = ANYBODY) -> bytes:
    """All that a client says."""
    return GREETING + request(asked, Command.BIND)


def at(host: str, port: int = 0) -> Endpoint:
    """An endpoint."""
    if host[-1].isalpha():
        return Endpoint(host, port, Family.NAME)
    return Endpoint(host, port, Family.IPV6 if ":" in host else Family.IPV4)


def relayed(
    text: str, counts: tuple[int, int, int, int] = (0, 0, 0, 0), seconds: int = 0, asked: str = ""
) -> list[str]:
    """The lines of the end of a relay with :data:`PEER`."""
    to_client, from_client, to_target, from_target = counts
    tail = f"{text}.  Session duration: {seconds}s"
    return [
        f"pass(3): tcp/bindreply ]: {to_target} -> {PEER} {BOUND} -> {from_target},"
        f" {to_client} -> 127.0.0.1.1080 10.0.0.9.50000 -> {from_client}: {tail}",
        f"pass(1): tcp/bind ]: {NEAR} -> {BOUND} {asked or '0.0.0.0.0'}",
        f"pass(1): tcp/accept ]: {to_client} -> {NEAR} -> {to_target}: {tail}",
    ]


def given_up(text: str) -> list[str]:
    """The lines of the end of a wait."""
    return [
        f"pass(1): tcp/bind ]: {NEAR} -> {BOUND} 0.0.0.0.0: {text}",
        f"pass(1): tcp/accept ]: {NEAR}: {text}",
    ]


class BindCase(SynchronousTestCase):
    """What the tests below share."""

    make_poller: ClassVar[type[EpollPoller] | type[ReactorPoller]] = EpollPoller

    def world(self, text: str = OPEN, head: str = HEAD) -> World:
        """A server with the poller under test."""
        # A list owns the rest of its line.
        text = re.sub(r" (command|log|socksmethod|timeout\.\w+):", r"\n\1:", text)
        return World(self, text, self.make_poller, head=head)

    def waiting(
        self, world: World, asked: Endpoint = ANYBODY, early: bytes = b""
    ) -> tuple[Client, FakePeerPort]:
        """A client that has been told of its port, and the port."""
        client = world.client(bind(asked) + early)
        self.assertTrue(client.hear()[2:].startswith(b"\x05\x00"), client.received)
        return client, world.awaits[-1]

    def met(self, world: World, early: bytes = b"") -> tuple[Client, socket.socket]:
        """A client whose peer has come, and the peer's end."""
        client, port = self.waiting(world, early=early)
        return client, port.come(PEER)


class PortTests(BindCase):
    """What is bound, and the rule about it."""

    def test_granted(self) -> None:
        """The client is told of the port, which listens, and the log what it named."""
        world = self.world()
        client, port = self.waiting(world)
        self.assertEqual(client.hear(), FIRST)
        self.assertTrue(port.listens)
        self.assertEqual(world.lines()[1], f"pass(1): tcp/bind [: {NEAR} -> {BOUND} 0.0.0.0.0")

    def test_socks4(self) -> None:
        """A SOCKS 4 client is told 90 twice: of the port, and of the peer."""
        world = self.world()
        client = world.client(socks4.build_request(Command.BIND, ANYBODY))
        self.assertEqual(client.hear(), b"\x00\x5a\xc0\x00\xc0\x00\x02\x01")
        world.awaits[0].come(PEER)
        self.assertEqual(client.hear()[8:], b"\x00\x5a\x12\x67\xc6\x33\x64\x07")

    def test_rule(self) -> None:
        """The rule's ``to`` is the address and port that were bound, not what the client named."""
        world = self.world(
            OPEN.replace("192.0.2.1/32 command", "192.0.2.1/32 port = 49152 command")
        )
        self.waiting(world, PEER)
        world = self.world(OPEN.replace("192.0.2.1/32", "198.51.100.7/32"))
        client = world.client(bind(PEER))
        self.assertEqual(client.hear()[2:], b"\x05\x02\x00\x01\xc6\x33\x64\x07\x12\x67")
        self.assertFalse(world.awaits[0].listens)
        world.check_over()

    def test_blocked(self) -> None:
        """What a rule blocks is told with what the client named, and the port is given back."""
        rule = f"socks block {{ from: 0/0 to: 0/0 command: bind {LOG} }}\nsocks pass"
        world = self.world(OPEN.replace("socks pass", rule, 1))
        client = world.client(bind(at("0.0.0.0", 2121)))
        self.assertEqual(client.hear()[3], 2)
        self.assertEqual(
            world.lines()[1:],
            [
                f"block(1): tcp/bind ]: {NEAR} -> 0.0.0.0.0 0.0.0.0.2121",
                f"block(1): tcp/accept ]: {NEAR}: blocked by higher-level socks-rule #1",
            ],
        )
        world.check_over()

    def test_port(self) -> None:
        """The port that is named is wished for by who expects nobody in particular."""
        for asked, port in (
            (at("0.0.0.0", 2121), 2121),
            (at("198.51.100.7", 2121), 49152),
            (at("www.example.org", 2121), 49152),
        ):
            with self.subTest(asked):
                world = self.world()
                world.hosts = {"www.example.org": ["198.51.100.7"]}
                client = world.client(bind(asked))
                world.look_up()
                self.assertEqual(client.hear()[2:4], b"\x05\x00")
                self.assertEqual(world.awaits[0].bound, at("192.0.2.1", port))
                self.assertTrue(world.lines()[1].endswith(f" -> 192.0.2.1.{port} {asked}"))

    def test_family(self) -> None:
        """The port is of the family of what was named; without such an address it is reply 8."""
        head = HEAD + "external: 2001:db8::1\n"
        rules = OPEN.replace("to: 192.0.2.1/32", "to: 0/0")
        for asked, bound in ((at("::"), "2001:db8::1"), (at("2001:db8::9", 5), "2001:db8::1")):
            world = self.world(rules, head)
            self.waiting(world, asked)
            self.assertEqual(world.awaits[0].bound.host, bound)
            world = self.world(rules)
            client = world.client(bind(asked))
            self.assertEqual(client.hear()[2:4], b"\x05\x08")
            self.assertIn("no IPv6 address configured", world.lines()[1])
            world.check_over()

    def test_socks4_name(self) -> None:
        """A SOCKS 4a client can be told of an IPv4 port only, so a name counts by those."""
        world = self.world(
            OPEN.replace("to: 192.0.2.1/32", "to: 0/0"), HEAD + "external: 2001:db8::1\n"
        )
        world.hosts = {"two.example.org": ["2001:db8::9", "198.51.100.7"]}
        client = world.client(socks4.build_request(Command.BIND, at("two.example.org")))
        world.look_up()
        self.assertEqual(client.hear()[:2], b"\x00\x5a")
        self.assertEqual(world.awaits[0].bound.host, "192.0.2.1")

    def test_unresolvable(self) -> None:
        """A name without an address is reply 4, before anything is bound."""
        world = self.world()
        client = world.client(bind(at("no.example.org")))
        world.look_up()
        self.assertEqual(client.hear()[2:4], b"\x05\x04")
        unknown = "Name or service not known for IPv4 address"
        text = f'could not resolve hostname "no.example.org": {unknown}'
        self.assertEqual(world.lines()[1], f"block(1): tcp/bind ]: {NEAR}: {text}")
        self.assertEqual(world.awaits, [])
        world.check_over()

    def test_unbindable(self) -> None:
        """Without a socket or an address the request fails, and the client rule tells it."""
        for number, code in ((errno.EMFILE, 1), (errno.EADDRNOTAVAIL, 1)):
            with self.subTest(errno.errorcode[number]):
                world = self.world()
                world.unreachable["192.0.2.1"] = number
                client = world.client(bind())
                self.assertEqual(client.hear()[2:4], bytes((5, code)))
                failed = f"could not get address to use on external side: {words_of(number)}"
                self.assertEqual(
                    world.lines()[1:],
                    [
                        f"block(1): tcp/bind ]: {NEAR} -> 0.0.0.0.0 0.0.0.0.0: {failed}",
                        f"block(1): tcp/accept ]: {NEAR}:"
                        f" request was not performed due to error: {failed}",
                    ],
                )
                world.check_over()

    def test_misrouted(self) -> None:
        """An address that is no external one is refused with reply 3."""
        world = self.world(f"external.rotation: same-same\nexternal: 192.0.2.2\n{OPEN}")
        client = world.client(bind())
        self.assertEqual(client.hear()[2:4], b"\x05\x03")
        text = "could not get address to use on external side: using external.rotation"
        self.assertTrue(world.ending.text.startswith(text))
        world.check_over()

    def test_taken_meanwhile(self) -> None:
        """A port that somebody else has got before it could listen is a failure."""
        world = self.world()

        def hindered(
            source: Endpoint, options: object, keep_alive: bool, low: object
        ) -> FakePeerPort:
            port = FakePeerPort(world, source, (), keep_alive)
            port.trouble.append(errno.EADDRINUSE)
            return port

        world.factory.wait_on = hindered  # type: ignore[assignment]
        client = world.client(bind())
        self.assertEqual(client.hear()[2:4], b"\x05\x01")
        text = "listen(2) on bindreply socket failed: Address already in use"
        self.assertTrue(world.lines()[1].endswith(text))
        world.check_over()

    def test_extension(self) -> None:
        """Who asks for Dante's extension is blocked by the built-in rule, which says why."""
        world = self.world()
        client = world.client(bind(at("255.255.255.255")))
        self.assertEqual(client.hear()[2:], b"\x05\x02\x00\x01\xff\xff\xff\xff\x00\x00")
        text = "blocked by higher-level socks-rule #0: client requested disabled Dante extension"
        self.assertEqual(world.lines()[1:], [f"block(1): tcp/accept ]: {NEAR}: {text}: bind"])
        world.check_over()

    def test_options(self) -> None:
        """External socket options are set on the port, those of the rule when it has passed."""
        world = self.world(
            "external.socket.so_rcvbuf: 1000\n"
            + OPEN.replace("command: bind", "external.socket.so_sndbuf: 2000\ncommand: bind", 1)
        )
        _, port = self.waiting(world)
        self.assertEqual([option.value for option in port.options], [1000, 2000])


class WaitTests(BindCase):
    """The client, while nobody has come."""

    def test_gives_up(self) -> None:
        """A client that closes has given up, and the port is gone."""
        world = self.world()
        client, port = self.waiting(world)
        client.close()
        self.assertEqual(world.ending, Ending(Side.CLIENT, Phase.CONNECT, Cause.CLOSED))
        self.assertEqual(world.lines()[2:], given_up("eof from client"))
        self.assertFalse(port.open)
        world.check_over()

    def test_half_closed(self) -> None:
        """One that closes half its connection looks the same, also behind early data."""
        for early in (b"", b"early", b"x" * EARLY):
            with self.subTest(len(early)):
                world = self.world()
                client, _ = self.waiting(world)
                client.send(early)
                client.shut()
                if self.make_poller is EpollPoller or len(early) < EARLY:
                    self.assertEqual(world.lines()[2:], given_up("eof from client"))
                    world.check_over()

    def test_gone_before(self) -> None:
        """One that is gone before the port is bound has given up too."""
        world = self.world()
        world.hosts = {"www.example.org": ["198.51.100.7"]}
        client = world.client(bind(at("www.example.org")))
        client.shut()
        world.look_up()
        self.assertEqual(world.ending.cause, Cause.CLOSED)
        world.check_over()

    def test_resets(self) -> None:
        """A reset is an error, which is told as Dante tells it, and to who asked for it."""
        world = self.world(f"internal.log.warning.error: ECONNRESET\n{OPEN}")
        client = world.client(bind())  # closing with the reply unread is a reset
        client.close()
        failed = "receiving request from client failed (Connection reset by peer)"
        self.assertEqual(
            world.lines()[2:],
            [
                "receive from host 10.0.0.9.50000 failed: Connection reset by peer",
                f"block(1): tcp/bind ]: {NEAR} -> {BOUND} 0.0.0.0.0: {failed}",
                f"block(1): tcp/accept ]: {NEAR}: request was not performed due to error: {failed}",
            ],
        )
        world.check_over()

    def test_early(self) -> None:
        """What a client sends before anybody comes is the first that the peer gets."""
        world = self.world()
        client, port = self.waiting(world, early=b"behind the request, ")
        client.send(b"later, ", b"later still, ")
        peer = port.come(PEER)
        client.send(b"last")
        self.assertEqual(peer.recv(100), b"behind the request, later, later still, last")
        client.shut()
        peer.close()
        world.settle()
        self.assertEqual(world.ended[0].counts, Counts(0, 44, 44, 0))

    def test_much(self) -> None:
        """What is kept is bounded, and what is beyond stays in the kernel and is not lost."""
        world = self.world()
        client, port = self.waiting(world)
        data = bytes(range(256)) * 300
        sent = client.sock.send(data)
        world.settle()
        (session,) = world.sessions
        self.assertEqual(len(session.leftover), min(EARLY, sent))
        peer = port.come(PEER)
        heard = b""
        while len(heard) < sent:
            heard += peer.recv(65536)
            world.settle()
        self.assertEqual(heard, data[:sent])
        self.assertGreater(sent, EARLY)

    def test_no_time_limit(self) -> None:
        """As in Dante a port waits for as long as the client does."""
        world = self.world(f"timeout.connect: 5\n{OPEN}")
        client, port = self.waiting(world)
        world.wait(500)
        self.assertEqual(world.ended, [])
        port.come(PEER)
        self.assertEqual(client.hear()[12:], SECOND)

    def test_time_limit(self) -> None:
        """``timeout.io`` of the rule that passed the request ends the wait, with reply 6."""
        world = self.world(OPEN.replace("command: bind", "timeout.io: 5 command: bind"))
        client, port = self.waiting(world)
        world.wait(5)
        self.assertEqual(world.ended, [])
        world.wait(1)
        self.assertEqual(client.hear()[12:], b"\x05\x06\x00\x01" + bytes(6))
        self.assertTrue(client.closed)
        self.assertFalse(port.open)
        self.assertEqual(world.lines()[2:], given_up("i/o timeout"))
        world.check_over()

    def test_stopped(self) -> None:
        """A server that stops ends the wait."""
        world = self.world()
        self.waiting(world)
        world.factory.stop()
        self.assertEqual(world.lines()[2:], given_up("administrative termination"))
        world.check_over()

    def test_gone_at_first_reply(self) -> None:
        """A client that cannot be told of its port is a client's error."""
        world = self.world()
        client = world.client(GREETING)
        client.hear()
        client.sock.send(request(ANYBODY, Command.BIND))
        client.sock.close()
        world.settle()
        self.assertEqual((world.ending.side, world.ending.phase), (Side.CLIENT, Phase.CONNECT))
        world.check_over()


class PeerTests(BindCase):
    """Whoever comes."""

    def test_comes(self) -> None:
        """The peer is told to the client and to the log, and nobody else can come."""
        world = self.world()
        client, port = self.waiting(world)
        port.come(PEER)
        self.assertEqual(client.hear()[12:], SECOND)
        self.assertFalse(port.open)
        self.assertEqual(
            world.lines()[2],
            f"pass(3): tcp/bindreply [: {PEER} {BOUND} -> 127.0.0.1.1080 10.0.0.9.50000",
        )

    def test_expected(self) -> None:
        """Expected is the host that was named, from any port; of a name any of its addresses."""
        for asked in (
            at("198.51.100.7", 99),
            at("two.example.org", 99),
            Endpoint("0xc6.51.100.7", 0, Family.NAME),
        ):
            with self.subTest(asked):
                world = self.world()
                world.hosts = {"two.example.org": ["198.51.100.9", "198.51.100.7"]}
                client = world.client(bind(asked))
                world.look_up()
                world.awaits[0].come(PEER)
                self.assertEqual(client.hear()[12:], SECOND)

    def test_another(self) -> None:
        """Somebody else is turned away with reply 2, and three lines say why."""
        for asked, named in (
            (at("198.51.100.8", 99), "198.51.100.8"),
            (at("www.example.org"), "www.example.org"),
        ):
            with self.subTest(named):
                world = self.world()
                client = world.client(bind(asked))
                world.look_up()
                peer = world.awaits[0].come(PEER)
                self.assertEqual(client.hear()[12:], b"\x05\x02" + SECOND[2:])
                self.assertTrue(client.closed)
                self.assertEqual(peer.recv(1), b"")
                blocked = f"bind-reply from {PEER} blocked by socks-rule #0"
                self.assertEqual(
                    world.lines()[2:],
                    [
                        f"block(0): tcp/bindreply ]: {PEER} {BOUND} ->"
                        f" 127.0.0.1.1080 10.0.0.9.50000:"
                        f" expected bindreply from {named}.0, but got it from {PEER}",
                        f"block(1): tcp/bind ]: {NEAR} -> {BOUND} {asked}: {blocked}",
                        f"block(1): tcp/accept ]: {NEAR}: {blocked}",
                    ],
                )
                world.check_over()

    def test_blocked(self) -> None:
        """A peer that a rule blocks is turned away likewise; SOCKS 4 says 91."""
        for asking in (bind(), socks4.build_request(Command.BIND, ANYBODY)):
            world = self.world()
            client = world.client(asking)
            first = len(client.hear())
            world.awaits[0].come(at("203.0.113.5", 4711))
            refusal = client.hear()[first:]
            if first == 8:
                self.assertEqual(refusal, b"\x00\x5b\x12\x67\xcb\x00\x71\x05")
            else:
                self.assertEqual(refusal, b"\x05\x02\x00\x01\xcb\x00\x71\x05\x12\x67")
            blocked = "bind-reply from 203.0.113.5.4711 blocked by socks-rule #2"
            self.assertEqual(
                world.lines()[2:],
                [
                    f"block(2): tcp/bindreply ]: 203.0.113.5.4711 {BOUND} ->"
                    " 127.0.0.1.1080 10.0.0.9.50000",
                    f"block(1): tcp/bind ]: {NEAR} -> {BOUND} 0.0.0.0.0: {blocked}",
                    f"block(1): tcp/accept ]: {NEAR}: {blocked}",
                ],
            )
            world.check_over()

    def test_no_rule(self) -> None:
        """Where no rule matches the peer the built-in one blocks it."""
        world = self.world()
        client, port = self.waiting(world)
        port.come(at("192.0.2.77", 4711))
        self.assertEqual(client.hear()[13], 2)
        (ended,) = world.ended
        assert ended.reply_rule is not None and ended.socks_rule is not None
        self.assertEqual((ended.reply_rule.number, ended.socks_rule.number), (0, 1))

    def test_no_authentication(self) -> None:
        """What a rule asks of clients does not count for peers."""
        rules = OPEN.replace("socksmethod: none", "socksmethod: none username").replace(
            "to: 10.0.0.9/32 command", "to: 10.0.0.9/32 socksmethod: none username command"
        )
        world = self.world(rules)
        client, port = self.waiting(world)
        port.come(PEER)
        self.assertEqual(client.hear()[12:], SECOND)

    def test_looked_up(self) -> None:
        """A rule may need the peer's name; meanwhile nothing is lost, nor is anybody told."""
        rules = OPEN.replace("from: 198.51.100.0/24", "from: .example.org")
        world = self.world(rules)
        world.hosts = {"www.example.org": ["198.51.100.7"]}
        client, port = self.waiting(world)
        peer = port.come(PEER)
        peer.send(b"question")
        client.send(b"early")
        self.assertEqual(client.hear()[12:], b"")
        world.look_up()
        self.assertEqual(client.hear()[12:], SECOND + b"question")
        self.assertEqual(peer.recv(100), b"early")

    def test_gives_up_meanwhile(self) -> None:
        """A client that closes while the rules look something up ends the peer's connection."""
        world = self.world(OPEN.replace("from: 198.51.100.0/24", "from: .example.org"))
        client, port = self.waiting(world)
        peer = port.come(PEER)
        client.close()
        self.assertEqual(peer.recv(1), b"")
        self.assertEqual(world.lines()[2:], given_up("eof from client"))
        world.look_up()
        world.check_over()

    def test_unanswered_rule(self) -> None:
        """Names that the rules ask for are waited for no longer than ``timeout.connect``."""
        rules = OPEN.replace("from: 198.51.100.0/24", "from: .example.org")
        world = self.world(f"timeout.connect: 5\n{rules}")
        client, port = self.waiting(world)
        world.wait(100)
        port.come(PEER)
        world.wait(6)
        self.assertEqual(client.hear()[12:14], b"\x05\x04")
        self.assertIs(world.ending.cause, Cause.TIMEOUT)
        world.check_over()

    def test_unaccepted(self) -> None:
        """A peer that cannot be accepted for want of a descriptor is, as soon as there is one."""
        world = self.world(f"external.log.warning.error: EMFILE\n{OPEN}")
        client, port = self.waiting(world)
        port.trouble.append(errno.EMFILE)
        peer = port.come(PEER)
        self.assertEqual(client.hear(), FIRST)
        (failed,) = [event for event in world.events if isinstance(event, AcceptFailed)]
        self.assertEqual((str(failed.local), failed.symbol), (BOUND, "EMFILE"))
        # Else a reactor would announce the peer all the time.
        self.assertTrue(port.paused)
        world.wait(1)
        self.assertFalse(port.paused)
        self.assertEqual(client.hear()[12:], SECOND)
        peer.close()
        client.close()
        world.check_over()

    def test_broken(self) -> None:
        """A mistake of ours costs one session, and all that it holds is given back."""
        world = self.world()
        _, port = self.waiting(world)

        def fail(*_: object) -> None:
            raise RuntimeError("a mistake")

        self.patch(binding, "decide_socks", fail)
        port.come(PEER)
        self.assertEqual(world.ending.text, "internal error")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        world.check_over()

    def test_steps(self) -> None:
        """With ``debug`` each step is told."""
        world = self.world()
        world.factory.journal.debug = 1
        self.met(world)
        steps = [event.text for event in world.events if isinstance(event, Step)]
        self.assertIn(f"waits on {BOUND} for a peer", steps)
        self.assertIn(f"{PEER} has come to {BOUND}", steps)
        self.assertIn(f"connected by {PEER} to {BOUND} after 0.000000s", steps)

    def test_gone_again(self) -> None:
        """A peer that is gone before it was accepted is nobody."""
        world = self.world()
        client, port = self.waiting(world)
        port._arrived(1)
        self.assertEqual(world.ended, [])
        port.come(PEER)
        self.assertEqual(client.hear()[12:], SECOND)

    def test_gone_at_second_reply(self) -> None:
        """A client that is gone when it should hear of the peer is a client's error."""
        world = self.world()
        client, port = self.waiting(world)
        client.sock.close()
        peer = port.come(PEER)
        self.assertIs(world.ending.side, Side.CLIENT)
        self.assertEqual(peer.recv(1), b"")
        world.check_over()


class RelayTests(BindCase):
    """The relay with the peer."""

    def test_bytes(self) -> None:
        """Bytes and their counts go through to either side, and so does each end of file."""
        world = self.world()
        client, peer = self.met(world)
        peer.send(b"question")
        world.settle()
        self.assertEqual(client.hear()[22:], b"question")
        peer.shutdown(socket.SHUT_WR)
        world.settle()
        client.hear()
        self.assertTrue(client.closed)
        client.send(b"answer")
        self.assertEqual(peer.recv(100), b"answer")
        client.close()
        (ended,) = world.ended
        self.assertEqual(ended.ending, Ending(Side.TARGET, Phase.RELAY, Cause.CLOSED))
        self.assertEqual(ended.counts, Counts(8, 6, 6, 8))
        self.assertEqual(ended.path.target, PEER)
        # To Dante the peer is the local client.
        self.assertEqual(world.lines()[3:], relayed("local client closed", (8, 6, 6, 8)))
        world.check_over()

    def test_client_closes(self) -> None:
        """And the client is the remote peer."""
        world = self.world()
        client, peer = self.met(world)
        client.hear()
        client.close()
        peer.close()
        world.settle()
        self.assertEqual(world.ending, Ending(Side.CLIENT, Phase.RELAY, Cause.CLOSED))
        self.assertEqual(world.lines()[3:], relayed("remote peer closed"))
        world.check_over()

    def test_resets(self) -> None:
        """Whoever resets is the local client to Dante; who it was is told as a failure."""
        for resets in ("client", "peer"):
            with self.subTest(resets):
                world = self.world(
                    "internal.log.notice.error: ECONNRESET\n"
                    f"external.log.warning.error: ECONNRESET\n{OPEN}"
                )
                client, peer = self.met(world)
                client.hear()
                (peer if resets == "client" else client.sock).send(b"unread")
                world.settle()
                (client.sock if resets == "client" else peer).close()
                world.settle()
                side = Side.CLIENT if resets == "client" else Side.TARGET
                operation = Operation.RECEIVE
                ending = Ending(side, Phase.RELAY, Cause.ERROR, errno.ECONNRESET, "", operation)
                self.assertEqual(world.ending, ending)
                (failed,) = [event for event in world.events if isinstance(event, TrafficFailed)]
                self.assertEqual(
                    str(failed.endpoint), NEAR.split()[0] if side is Side.CLIENT else str(PEER)
                )
                text = "local client error (Connection reset by peer)"
                counts = (6, 0, 0, 6) if side is Side.CLIENT else (0, 6, 6, 0)
                self.assertEqual(world.lines()[4:], relayed(text, counts))
                world.check_over()

    def test_time_limits(self) -> None:
        """The limits are those of the rule about the peer."""
        for limit, text, shuts in (
            ("timeout.io: 5", "i/o timeout", ""),
            ("timeout.tcp_fin_wait: 5", "waiting for client to close", "client"),
            ("timeout.tcp_fin_wait: 5", "waiting for remote peer to close", "peer"),
        ):
            with self.subTest(text):
                world = self.world(OPEN.replace("to: 10.0.0.9/32", f"to: 10.0.0.9/32 {limit}\n"))
                client, port = self.waiting(world)
                world.wait(100)
                peer = port.come(PEER)
                client.hear()
                world.settle()
                if shuts == "client":
                    client.shut()
                elif shuts == "peer":
                    peer.shutdown(socket.SHUT_WR)
                    world.settle()
                world.wait(5)
                self.assertEqual(world.ended, [])
                world.wait(1)
                if shuts:
                    text = f"tcp-fin-wait timeout ({text})"
                self.assertEqual(world.lines()[3:], relayed(text, seconds=106))
                world.check_over()

    def test_no_limits(self) -> None:
        """A relay without limits costs the sweep nothing."""
        world = self.world()
        self.met(world)
        self.assertEqual(world.factory.sweep._limited, set())

    def test_stopped(self) -> None:
        """A server that stops ends the relay with all its lines."""
        world = self.world()
        _, peer = self.met(world)
        world.factory.stop()
        self.assertEqual(world.lines()[3:], relayed("administrative termination"))
        self.assertEqual(peer.recv(1), b"")
        world.check_over()

    def test_tapped(self) -> None:
        """With ``log: ioop data`` of the peer's rule each chunk is told under that rule."""
        more = LOG.replace("error", "error ioop data")
        world = self.world(OPEN.replace(f"bindreply {LOG} }}\n", f"bindreply {more} }}\n"))
        client, peer = self.met(world, b"early")
        peer.send(b"one\n")
        world.settle()
        client.hear()
        there, back = (
            f"{NEAR} -> {BOUND} {PEER}",
            f"{PEER} {BOUND} -> 127.0.0.1.1080 10.0.0.9.50000",
        )
        self.assertEqual(
            world.lines()[3:],
            [
                f"pass(3): tcp/bindreply -: {there} (5): early",
                f"pass(3): tcp/bindreply -: {back} (4): one\\n",
            ],
        )
        self.assertEqual(
            {e.command for e in world.events if isinstance(e, Transferred)}, {Command.BINDREPLY}
        )

    def test_one_rule(self) -> None:
        """A rule without ``command`` is about requests and about peers."""
        world = self.world(
            f"socksmethod: none\nclient pass {{ from: 0/0 to: 0/0 {LOG} }}\n"
            f"socks pass {{ from: 0/0 to: 0/0 {LOG} }}"
        )
        self.met(world)
        connected = [event for event in world.events if isinstance(event, Connected)]
        self.assertEqual([event.rule.number for event in connected], [1, 1])
        self.assertEqual([event.command for event in connected], [Command.BIND, Command.BINDREPLY])


class ReactorPortTests(PortTests):
    """The same without epoll."""

    make_poller = ReactorPoller


class ReactorWaitTests(WaitTests):
    """The same without epoll."""

    make_poller = ReactorPoller


class ReactorPeerTests(PeerTests):
    """The same without epoll."""

    make_poller = ReactorPoller


class ReactorRelayTests(RelayTests):
    """The same without epoll."""

    make_poller = ReactorPoller
