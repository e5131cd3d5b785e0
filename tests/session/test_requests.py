"""Tests of what becomes of a request before it is performed: resolving, refusing, authorising."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe.events import ResolveFailed
from dantetw.values import Cause, Command, Ending, Endpoint, Family, Phase, Side
from dantetw.wire import socks4
from tests.session.world import (
    CLIENT,
    GREETING,
    LOG,
    NAMED,
    OPEN,
    TARGET,
    Client,
    World,
    request,
)

ARRIVED = "pass(1): tcp/accept [: 10.0.0.9.50000 127.0.0.1.1080"
NEAR = "10.0.0.9.50000 127.0.0.1.1080"
FROM_V6 = "external: 2001:db8::9\n"


def four(host: str, port: int = 80) -> Endpoint:
    """An IPv4 endpoint."""
    return Endpoint(host, port, Family.IPV4)


def six(host: str, port: int = 80) -> Endpoint:
    """An IPv6 endpoint."""
    return Endpoint(host, port, Family.IPV6)


def name(host: str, port: int = 80) -> Endpoint:
    """A host name's endpoint."""
    return Endpoint(host, port, Family.NAME)


class RequestCase(SynchronousTestCase):
    """What the tests below share."""

    def asked(self, world: World, *data: bytes) -> Client:
        """A client that has asked, with all look-ups done."""
        client = world.client(*data)
        world.look_up()
        return client

    def refused(self, world: World, client: Client, code: int) -> str:
        """Check a SOCKS 5 refusal and its one end; its text."""
        heard = client.hear()
        self.assertEqual((heard[:2], heard[2:5]), (b"\x05\x00", bytes((5, code, 0))))
        self.assertTrue(client.closed)
        self.assertFalse(client.reset)
        world.check_over()
        return world.ending.text


class UnusableTests(RequestCase):
    """Requests that nobody could perform are refused before the socks rules are asked."""

    CASES = (
        (four("0.0.0.0"), 8, "unbound ipaddress (0.0.0.0.80) in request"),
        (four("0.0.0.0", 0), 8, "unbound ipaddress (0.0.0.0.0) in request"),
        (four("127.0.0.1", 0), 8, "unbound port (127.0.0.1.0) in request"),
        (
            six("::"),
            8,
            "connect to IPv6 address requested, but no IPv6 address configured for our usage on"
            " the external interface",
        ),
        (
            six("2001:db8::1"),
            8,
            "connect to IPv6 address requested, but no IPv6 address configured for our usage on"
            " the external interface",
        ),
        (name("0"), 8, "unbound ipaddress (0.0.0.0.80) in request"),
        (name("www.example.org", 0), 8, "unbound port (203.0.113.5.0) in request"),
    )

    def test_refused(self) -> None:
        """Each kind is refused with reply 8 and Dante's words for it."""
        for target, code, text in self.CASES:
            with self.subTest(str(target)):
                world = World(self)
                client = self.asked(world, GREETING + request(target))
                self.assertEqual(self.refused(world, client, code), text)
                self.assertEqual(
                    world.ending, Ending(Side.CLIENT, Phase.RESOLVE, Cause.UNUSABLE, text=text)
                )
                self.assertIsNone(world.ended[0].socks_rule)
                self.assertEqual(world.dials, [])

    def test_lines(self) -> None:
        """The log has the request's line, under the client rule, and the client's."""
        world = World(self)
        self.asked(world, GREETING + request(four("0.0.0.0", 0)))
        text = "unbound ipaddress (0.0.0.0.0) in request"
        self.assertEqual(
            world.lines(),
            [
                ARRIVED,
                f"block(1): tcp/connect ]: {NEAR}: {text}",
                f"block(1): tcp/accept ]: {NEAR}: request was not performed due to error: {text}",
            ],
        )

    def test_echo(self) -> None:
        """A refusal names the target as its address, as Dante's does."""
        world = World(self)
        client = self.asked(world, GREETING + request(four("127.0.0.1", 0)))
        self.assertEqual(client.hear()[2:], b"\x05\x08\x00\x01\x7f\x00\x00\x01\x00\x00")

    def test_socks4(self) -> None:
        """A SOCKS 4 client is refused with 91."""
        world = World(self)
        client = self.asked(world, socks4.build_request(Command.CONNECT, four("127.0.0.1", 0)))
        self.assertEqual(client.hear()[:2], b"\x00\x5b")
        world.check_over()

    OURS = (
        (four("127.0.0.1", 1080), four("127.0.0.1", 1080)),
        (four("0.0.0.0", 1080), four("127.0.0.1", 1080)),
        (four("0.0.0.0", 1080), four("127.9.9.9", 1080)),
        (four("0.0.0.0", 1080), four("192.0.2.1", 1080)),
        (six("::", 1080), six("::1", 1080)),
        (six("::1", 1080), six("::1", 1080)),
        (four("127.0.0.1", 1080), name("ourselves.example.org", 1080)),
        (four("127.0.0.1", 1080), name("0x7f.1", 1080)),
        (four("127.0.0.1", 1080), six("::ffff:127.0.0.1", 1080)),
        (four("0.0.0.0", 1080), six("::ffff:127.0.0.1", 1080)),
    )

    def test_our_own(self) -> None:
        """A client cannot make us connect to ourselves, by whatever name it calls us."""
        for listening, target in self.OURS:
            with self.subTest(f"{listening} {target}"):
                world = World(self, FROM_V6 + "external.rotation: route\n" + OPEN)
                world.hosts["ourselves.example.org"] = ["127.0.0.1"]
                world.factory.listening = frozenset((listening,))
                asking = (
                    b"\x05\x01\x00\x04"
                    + IPv6Address(target.host).packed
                    + struct.pack("!H", target.port)
                    if target.family is Family.IPV6
                    else request(target)
                )
                client = self.asked(world, GREETING + asking)
                text = self.refused(world, client, 2)
                self.assertIn("to the same address we listen to new clients on: ", text)
                self.assertEqual(world.dials, [])

    def test_not_ours(self) -> None:
        """Another port of ours, and another host with our port, can be connected to."""
        for target in (four("127.0.0.1", 1081), four("198.51.100.1", 1080)):
            with self.subTest(str(target)):
                world = World(self)
                world.factory.listening = frozenset((four("0.0.0.0", 1080),))
                self.asked(world, GREETING + request(target))
                self.assertEqual(len(world.dials), 1)


class ResolvingTests(RequestCase):
    """Targets that are host names."""

    def test_resolved(self) -> None:
        """A name is resolved once for both its rules and its connection, and then remembered."""
        world = World(self)
        self.asked(world, GREETING + request(NAMED))
        self.assertEqual(world.dials[0].target, four("203.0.113.5"))
        world.client(GREETING + request(NAMED))
        self.assertEqual(world.dials[1].target, four("203.0.113.5"))

    def test_unresolvable(self) -> None:
        """A name without an address is refused with reply 4, and told of."""
        world = World(self, f"external.log.warning.error: dns-any\n{OPEN}")
        client = self.asked(world, GREETING + request(name("no.example.org")))
        # Dante names the family where we go out by one only.
        unknown = "Name or service not known for IPv4 address"
        text = f'could not resolve hostname "no.example.org": {unknown}'
        self.assertEqual(self.refused(world, client, 4), text)
        self.assertEqual(
            world.ending, Ending(Side.TARGET, Phase.RESOLVE, Cause.UNRESOLVED, text=text)
        )
        (failed,) = [event for event in world.events if isinstance(event, ResolveFailed)]
        self.assertEqual((failed.name, failed.symbol), ("no.example.org", "EAI_NONAME"))

    def test_hostile(self) -> None:
        """Whatever a name is made of, it is one printable line in the log."""
        for raw in ("a\nb", "\x1b[2J", "\udce9.example.org", "a" * 255, ".", "a..b", "%s%n"):
            with self.subTest(raw):
                world = World(self)
                client = self.asked(world, GREETING + request(name(raw)))
                self.assertEqual(client.hear()[2:4], b"\x05\x04")
                for line in world.lines():
                    self.assertTrue(line.isprintable() and line.isascii(), line)
                world.check_over()

    def test_time_limit(self) -> None:
        """A look-up that nobody answers is given up by ``timeout.connect``, with reply 4."""
        world = World(self, f"timeout.connect: 5\n{OPEN}")
        client = world.client(GREETING + request(NAMED))
        world.wait(5)
        self.assertEqual(world.ended, [])
        world.wait(1)
        text = self.refused(world, client, 4)
        self.assertEqual(
            text,
            'could not resolve hostname "www.example.org": Temporary failure in name resolution',
        )
        self.assertEqual(world.ending, Ending(Side.TARGET, Phase.RESOLVE, Cause.TIMEOUT, text=text))
        world.look_up()
        world.check_over()

    def test_reset_meanwhile(self) -> None:
        """A client that resets while its target is looked up ends then, not later."""
        world = World(self)
        client = world.client(GREETING + request(NAMED))
        client.close()  # with our answer unread: a reset
        self.assertEqual(world.ending.side, Side.CLIENT)
        self.assertIs(world.ending.phase, Phase.RESOLVE)
        self.assertIs(world.ending.cause, Cause.ERROR)
        world.look_up()
        self.assertEqual(world.dials, [])
        world.check_over()

    def test_shut_meanwhile(self) -> None:
        """A client that only says it has sent all is still served."""
        world = World(self)
        client = world.client(GREETING + request(NAMED) + b"question")
        client.shut()
        world.look_up()
        dial = world.dials[0]
        dial.decide()
        world.settle()
        self.assertEqual((dial.far.recv(100), dial.far.recv(100)), (b"question", b""))
        dial.far.send(b"answer")
        dial.far.close()
        world.settle()
        self.assertTrue(client.hear().endswith(b"answer"))
        self.assertEqual(world.ending, Ending(Side.CLIENT, Phase.RELAY, Cause.CLOSED))
        world.check_over()


RULES = f"""
socksmethod: none username
client pass {{ from: 0/0 to: 0/0 {LOG} }}
socks block {{ from: 0/0 to: 198.51.100.0/24 port = 25 {LOG} }}
socks block {{ from: 0/0 to: 198.51.100.0/24 port = 26 log: error }}
socks block {{ from: 0/0 to: .example.net {LOG} }}
socks pass {{ from: 0/0 to: many.example.org {LOG} }}
socks pass {{ from: 0/0 to: 198.51.100.0/24 {LOG}
  command: connect bind
}}
socks pass {{ from: 0/0 to: 192.0.2.0/24 {LOG}
  socksmethod: username
}}
"""


class AuthorisingTests(RequestCase):
    """What the socks rules have to say."""

    def test_blocked(self) -> None:
        """A request that a rule blocks gets reply 2 and two lines."""
        world = World(self, RULES)
        client = self.asked(world, GREETING + request(four("198.51.100.7", 25)))
        self.refused(world, client, 2)
        self.assertEqual(world.ending, Ending(Side.RULE, Phase.AUTHORISE, Cause.BLOCKED))
        self.assertEqual(
            world.lines()[1:],
            [
                f"block(1): tcp/connect ]: {NEAR} -> 0.0.0.0.0 198.51.100.7.25",
                f"block(1): tcp/accept ]: {NEAR}: blocked by higher-level socks-rule #1",
            ],
        )

    def test_blocked_and_silent(self) -> None:
        """A rule that logs errors only says nothing of a block, the client rule does."""
        world = World(self, RULES)
        self.asked(world, GREETING + request(four("198.51.100.7", 26)))
        self.assertEqual(
            world.lines()[1:],
            [f"block(1): tcp/accept ]: {NEAR}: blocked by higher-level socks-rule #2"],
        )

    def test_blocked_by_none(self) -> None:
        """What no rule matches the built-in rule blocks."""
        world = World(self, RULES)
        client = self.asked(world, GREETING + request(four("203.0.113.1")))
        self.refused(world, client, 2)
        self.assertEqual(
            world.lines()[-1:],
            [
                f"block(1): tcp/accept ]: {NEAR}: blocked by higher-level socks-rule #0: no rules"
                " matched; using default block rule"
            ],
        )

    def test_blocked_name(self) -> None:
        """A name in a blocked domain is named in the log as the client named it."""
        world = World(self, RULES)
        world.hosts["www.example.net"] = ["198.51.100.7"]
        client = self.asked(world, GREETING + request(name("www.example.net")))
        self.refused(world, client, 2)
        self.assertEqual(
            world.lines()[1], f"block(3): tcp/connect ]: {NEAR} -> 0.0.0.0.0 www.example.net.80"
        )

    def test_method(self) -> None:
        """A rule that asks for a login does not fit a client without one."""
        world = World(self, RULES)
        client = self.asked(world, GREETING + request(four("192.0.2.77")))
        self.refused(world, client, 2)

    def test_socks4(self) -> None:
        """A SOCKS 4 client that a rule blocks is told 91."""
        world = World(self, RULES)
        target = four("198.51.100.7", 25)
        client = self.asked(world, socks4.build_request(Command.CONNECT, target))
        self.assertEqual(client.hear()[:2], b"\x00\x5b")
        world.check_over()

    def test_chosen_address(self) -> None:
        """Where a rule is about an address, that address of the name is connected to."""
        world = World(self, RULES)
        world.hosts["two.example.org"] = ["203.0.113.9", "198.51.100.9"]
        self.asked(world, GREETING + request(name("two.example.org")))
        self.assertEqual(world.dials[0].target, four("198.51.100.9"))

    def test_chosen_address_unusable(self) -> None:
        """The address a rule chose must be usable too: it may be our own."""
        world = World(self, RULES)
        world.factory.listening = frozenset((four("198.51.100.9", 80),))
        world.hosts["two.example.org"] = ["203.0.113.9", "198.51.100.9"]
        client = self.asked(world, GREETING + request(name("two.example.org")))
        text = self.refused(world, client, 2)
        self.assertIn("to the same address we listen to new clients on: 198.51.100.9.80", text)

    def test_unsupported(self) -> None:
        """A command that is passed but not built is refused: 7, or 91 in SOCKS 4."""
        for version in (4, 5):
            with self.subTest(version):
                world = World(self, OPEN, commands={})
                asking = GREETING + request(TARGET, Command.BIND)
                if version == 4:
                    asking = socks4.build_request(Command.BIND, TARGET)
                client = self.asked(world, asking)
                if version == 5:
                    self.refused(world, client, 7)
                else:
                    self.assertEqual(client.hear()[:2], b"\x00\x5b")
                ending = world.ending
                self.assertEqual((ending.side, ending.cause), (Side.US, Cause.UNSUPPORTED))
                world.check_over()

    def test_unanswered_rule(self) -> None:
        """Names that rules ask for are waited for no longer than ``timeout.connect``."""
        world = World(self, f"timeout.connect: 5\n{RULES}")
        client = world.client(GREETING + request(four("203.0.113.1")), peer=CLIENT)
        self.assertEqual(world.ended, [])
        world.wait(6)
        client.hear()
        self.assertTrue(client.closed)
        self.assertEqual((world.ending.phase, world.ending.cause), (Phase.AUTHORISE, Cause.TIMEOUT))
        world.look_up()
        world.check_over()

    def test_broken_command(self) -> None:
        """A broken command ends its session with an internal error, and costs no other."""

        def broken(*_: object) -> None:
            raise RuntimeError("never to be seen")

        world = World(self, OPEN, commands={Command.CONNECT: broken})
        client = self.asked(world, GREETING + request())
        client.hear()
        self.assertTrue(client.closed)
        self.assertEqual(world.ending.text, "internal error")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        world.check_over()
