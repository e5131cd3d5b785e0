"""Tests of what ``debug`` tells of a session."""

from __future__ import annotations

import errno
import re

from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe.events import Step
from dantetw.observe.formats.dante import Dante
from dantetw.values import Command, Endpoint, Family, Severity
from dantetw.wire import socks4
from tests.session.world import GREETING, LOGIN, LOGINS, NAMED, TARGET, World, request

RULES = """
socksmethod: none
client block { from: 172.16.0.0/12 to: 0/0 }
client pass { from: 10.0.0.0/8 to: 0/0 }
socks block {
    from: 0/0 to: .example.org port = 443
}
socks block { from: 0/0 to: 0/0 command: bind }
socks pass { from: 0/0 to: 0/0 port = 80 }
"""


class TracingCase(SynchronousTestCase):
    """What the tests below share."""

    def world(self, text: str = RULES, debug: int = 1) -> World:
        """A world whose server tells of itself."""
        world = World(self, text)
        world.factory.journal.debug = debug
        return world

    def told(self, world: World) -> list[str]:
        """The steps told so far, without durations."""
        steps = [event for event in world.events if isinstance(event, Step)]
        return [re.sub(r"\d+\.\d{6}s", "Ns", step.text) for step in steps]


class StepTests(TracingCase):
    def test_story(self) -> None:
        """Each step of a session is told, in order, with the rules tried and the reasons."""
        world = self.world()
        client, dial = world.connected()
        client.send(b"hello")
        client.shut()
        dial.far.recv(100)
        dial.far.close()
        world.settle()
        self.assertEqual(
            self.told(world),
            [
                "accepted on 127.0.0.1.1080",
                "client-rule #1 (sockd.conf:7) does not match: from: 172.16.0.0/12,"
                " but it is 10.0.0.9.50000",
                "client-rule #2 (sockd.conf:8) matches: pass",
                "offers authentication methods: 0x00 (none)",
                "asks by socks_v5 to connect to 198.51.100.7.80, method none;"
                " 0 bytes came behind it",
                "socks-rule #1 (sockd.conf:9) does not match: to: .example.org port = 443"
                " (line 10), but it is 198.51.100.7.80",
                "socks-rule #2 (sockd.conf:12) does not match: command: bind, but it is connect",
                "socks-rule #3 (sockd.conf:13) matches: pass",
                "connecting to 198.51.100.7.80 from 192.0.2.1.40000",
                "connected to 198.51.100.7.80 from 192.0.2.1.40000 after Ns",
                "ends after Ns: client, relay, closed (the client closed first); 0 other sessions",
            ],
        )

    def test_number_and_client(self) -> None:
        """Each step names the session and its client, at severity debug."""
        world = self.world()
        world.client()
        world.client(peer=Endpoint("10.0.0.10", 50001, Family.IPV4))
        steps = [event for event in world.events if isinstance(event, Step)]
        lines = [Dante().lines(step)[0] for step in steps if step.text.startswith("accepted")]
        self.assertEqual(
            lines,
            [
                (Severity.DEBUG, "session 1 from 10.0.0.9.50000: accepted on 127.0.0.1.1080"),
                (Severity.DEBUG, "session 2 from 10.0.0.10.50001: accepted on 127.0.0.1.1080"),
            ],
        )

    def test_silent_without_debug(self) -> None:
        """At debug 0 nothing of this is told."""
        world = self.world(debug=0)
        client, _ = world.connected()
        client.close()
        self.assertEqual(self.told(world), [])

    def test_second_level(self) -> None:
        """At debug 2 each read is told too, with its size, never with what was read."""
        world = self.world(debug=2)
        client, dial = world.connected()
        client.send(b"hello")
        dial.far.send(b"hi")
        world.settle()
        client.hear()
        client.shut()
        told = self.told(world)
        self.assertIn("13 bytes in phase negotiate", told)
        self.assertIn("5 bytes from client for target", told)
        self.assertIn("2 bytes from target for client", told)
        self.assertIn("end of file from client for target", told)
        self.assertNotIn("hello", "\n".join(told))

    def test_second_level_adds_no_ioop(self) -> None:
        """What debug 2 tells of transfers adds no line to a rule that has no ``log: ioop``."""
        world = self.world(debug=2)
        client, _ = world.connected()
        client.send(b"hello")
        self.assertEqual({type(event) for event in world.events}, {Step})

    def test_no_rule(self) -> None:
        """That no rule matched is told, and what was replied."""
        world = self.world()
        world.client(GREETING + request(Endpoint("198.51.100.7", 81, Family.IPV4)))
        told = self.told(world)
        self.assertIn("no rule matches: blocked by the built-in rule 0", told)
        self.assertIn("replies 2 (not allowed)", told)
        why = "no rules matched; using default block rule"
        self.assertEqual(
            told[-1], f"ends after Ns: rule, authorise, blocked: {why}; 0 other sessions"
        )

    def test_no_rule_asked(self) -> None:
        """Nor is it left open that no rule was asked, where a name has no address."""
        world = self.world()
        world.client(GREETING + request(Endpoint("no.example.org", 80, Family.NAME)))
        world.look_up()
        self.assertIn("; no socks rule was asked; 0 other sessions", self.told(world)[-1])

    def test_name(self) -> None:
        """A name's addresses are told."""
        world = self.world()
        world.client(GREETING + request(NAMED))
        world.look_up()
        self.assertIn('"www.example.org" resolved to 203.0.113.5 in Ns', self.told(world))

    def test_unreachable(self) -> None:
        """A failed connection is told with the error."""
        world = self.world()
        world.unreachable[TARGET.host] = errno.ENETUNREACH
        world.client(GREETING + request())
        told = self.told(world)
        self.assertIn("replies 3 (network unreachable)", told)
        self.assertIn("target, connect, error (Network is unreachable)", told[-1])

    def test_login(self) -> None:
        """Who logged in is told, by which method, and nothing of the password."""
        world = self.world(LOGINS, debug=2)
        world.client(LOGIN)
        world.doorkeeper.answer(True)
        world.settle()
        told = self.told(world)
        self.assertIn('method username: logged in as "joe"', told)
        self.assertNotIn("secret", "\n".join(told))

    def test_no_acceptable_method(self) -> None:
        """The methods of a client that offers no acceptable one are told."""
        world = self.world(LOGINS)
        world.client(b"\x05\x03\x00\x01\x80")
        told = self.told(world)
        offers = "offers authentication methods: 0x00 (none), 0x01 (gssapi), 0x80 (unknown)"
        self.assertIn(offers, told)

    def test_socks_4(self) -> None:
        """A SOCKS 4 client offers no methods, so none are told."""
        world = self.world()
        world.client(socks4.build_request(Command.CONNECT, TARGET, b"me"))
        told = self.told(world)
        self.assertFalse([text for text in told if text.startswith("offers")])
        asks = "asks by socks_v4 to connect to 198.51.100.7.80, method none; 0 bytes came behind it"
        self.assertIn(asks, told)

    def test_hostile(self) -> None:
        """What a client sends cannot start a line or move a cursor."""
        world = self.world(debug=2)
        world.client(GREETING + request(Endpoint("a\nb\x1b[1m", 80, Family.NAME)))
        world.look_up()
        steps = [event for event in world.events if isinstance(event, Step)]
        text = "".join(line for step in steps for _, line in Dante().lines(step))
        self.assertTrue(text.isprintable(), text)
        self.assertIn("a\\nb\\033[1m", text)
