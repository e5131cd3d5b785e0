"""Tests that lines have the target's name where Dante's (1.4.2, observed) have it."""

from __future__ import annotations

import errno

from twisted.trial.unittest import SynchronousTestCase

from dantetw.values import Command, Endpoint, Family
from dantetw.wire import socks4
from tests.session.world import GREETING, LOG, NAMED, OPEN, RULES, Client, World, request

NEAR = "10.0.0.9.50000 127.0.0.1.1080"
ADDRESS = "203.0.113.5"
NAME = "www.example.org"
WARN = "external.log.warning.error: system-any dns-any\n"
FOURTH = socks4.build_request(Command.CONNECT, NAMED)
HIGHER = f"block(1): tcp/accept ]: {NEAR}: blocked by higher-level socks-rule #1"
BLOCKED = (
    f"socksmethod: none\nclient pass {{ from: 0/0 to: 0/0 {LOG} }}\n"
    f"socks block {{ from: 0/0 to: {ADDRESS}/32 {LOG} }}\n"
    f"socks pass {{ from: 0/0 to: 0/0 {LOG} }}\n"
)
BY_ADDRESS = BLOCKED.replace("block", "pass")
BY_BOUND = BLOCKED.replace(f"{ADDRESS}/32", "192.0.2.1/32")


class NameTests(SynchronousTestCase):
    """Where the name stands in Dante's lines, and where the address."""

    def asked(self, text: str, asking: bytes = GREETING + request(NAMED), **dead: int) -> World:
        """A server whose client has asked for a name that has one address."""
        world = World(self, WARN + text)
        if dead:
            world.unreachable[ADDRESS] = dead["number"]
        self.client: Client = world.client(asking)
        world.look_up()
        return world

    def test_blocked(self) -> None:
        """A request that a rule about the address blocks, in SOCKS 5 and 4a."""
        for asking in (GREETING + request(NAMED), FOURTH):
            world = self.asked(BLOCKED, asking)
            line = f"block(1): tcp/connect ]: {NEAR} -> 0.0.0.0.0 {NAME}.80"
            self.assertEqual(world.lines()[1:], [line, HIGHER])
            (ended,) = world.ended
            # JSON has both.
            self.assertEqual(ended.asked, NAMED)
            self.assertEqual(ended.path.target, Endpoint(ADDRESS, 80, Family.IPV4))

    def test_bind_blocked(self) -> None:
        """A BIND likewise; the rule is about what was bound for it."""
        world = self.asked(BY_BOUND, GREETING + request(NAMED, Command.BIND))
        line = f"block(1): tcp/bind ]: {NEAR} -> 0.0.0.0.0 {NAME}.80"
        self.assertEqual(world.lines()[1:], [line, HIGHER])

    def test_fails_at_once(self) -> None:
        """A connection that fails at once: the name, and in the words the address."""
        text = f"connect(2) to {ADDRESS}.80 from 192.0.2.1.40000 failed: Network is unreachable"
        for rules in (OPEN, BY_ADDRESS):
            for asking in (GREETING + request(NAMED), FOURTH):
                world = self.asked(rules, asking, number=errno.ENETUNREACH)
                self.assertEqual(
                    world.lines()[1:],
                    [
                        f"no route to {ADDRESS}.80: Network is unreachable",
                        f"block(1): tcp/connect ]: {NEAR} -> 192.0.2.1.40000 {NAME}.80: {text}",
                        f"block(1): tcp/accept ]: {NEAR}:"
                        f" request was not performed due to error: {text}",
                    ],
                )

    def test_fails_later(self) -> None:
        """One that fails later: a warning of the name, of the address if the rule is about that."""
        for rules, shown in ((OPEN, NAME), (BY_ADDRESS, ADDRESS)):
            world = self.asked(rules)
            world.dials[0].decide(errno.ECONNREFUSED)
            world.settle()
            tail = "remote peer error (Connection refused).  Session duration: 0s"
            self.assertEqual(
                world.lines()[1:],
                [
                    f"connect to host {shown}.80 failed: Connection refused",
                    f"pass(1): tcp/connect ]: 0 -> {NEAR} -> 0,"
                    f" 0 -> 192.0.2.1.40000 {ADDRESS}.80 -> 0: {tail}",
                    f"pass(1): tcp/accept ]: 0 -> {NEAR} -> 0: {tail}",
                ],
            )

    def test_connects(self) -> None:
        """One that succeeds: the address, if the name has no other."""
        world = self.asked(OPEN)
        world.dials[0].decide()
        world.settle()
        line = f"pass(1): tcp/connect [: {NEAR} -> 192.0.2.1.40000 {ADDRESS}.80"
        self.assertEqual(world.lines()[1:], [line])

    def test_misrouted(self) -> None:
        """One that no address of ours goes to: the name."""
        world = World(self, f"external.rotation: route\n{OPEN}")
        world.factory.context.sources._route_to = lambda target: "192.0.2.66"
        world.client(GREETING + request(NAMED))
        world.look_up()
        self.assertIn(f"tcp/connect ]: {NEAR} -> 0.0.0.0.0 {NAME}.80: could not", world.lines()[2])

    def test_unresolved(self) -> None:
        """A name without an address stands in the words only, with the family we could use."""
        for command in (Command.CONNECT, Command.BIND):
            world = World(self, WARN + OPEN)
            world.client(GREETING + request(Endpoint("nowhere.example", 80, Family.NAME), command))
            world.look_up()
            reason = "Name or service not known for IPv4 address"
            text = f'could not resolve hostname "nowhere.example": {reason}'
            self.assertEqual(
                world.lines()[1:],
                [
                    f'could not DNS-resolve "nowhere.example": {reason}',
                    f"block(1): tcp/{command.word} ]: {NEAR}: {text}",
                    f"block(1): tcp/accept ]: {NEAR}:"
                    f" request was not performed due to error: {text}",
                ],
            )

    def test_bound(self) -> None:
        """A BIND that waits, and one whose client leaves."""
        world = self.asked(
            RULES.join(("socksmethod: none\n", "")), GREETING + request(NAMED, Command.BIND)
        )
        self.client.shut()
        way = f"{NEAR} -> 192.0.2.1.49152 {NAME}.80"
        self.assertEqual(
            world.lines()[1:3],
            [f"pass(1): tcp/bind [: {way}", f"pass(1): tcp/bind ]: {way}: eof from client"],
        )
