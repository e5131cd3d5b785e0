"""Tests of :mod:`dantetw.session.datagramplans`: rules about datagrams that take time to answer."""

from __future__ import annotations

import socket

from dantetw.observe.events import ResolveFailed
from dantetw.session.datagramplans import WAITING
from dantetw.values import Command, Drop, Endpoint, Family, Method
from dantetw.wire import socks5
from tests.session.datagrams import ANYWHERE, HOME, LOG, OPEN, AssociateCase, Visit
from tests.session.world import LOGIN, World

PASS = f"socks pass {{ from: 0/0 to: 0/0 command: udpassociate\n{LOG} }}\n"
HEAD = f"socksmethod: none\nclient pass {{ from: 0/0 to: 0/0 {LOG} }}\n{PASS}"


class NameTests(AssociateCase):
    """Rules with names, which have to be looked up."""

    def answered(
        self, rule: str, settings: str = ""
    ) -> tuple[World, Visit, socket.socket, Endpoint]:
        """A client whose target has answered twice, under a rule for that."""
        world = self.world(f"{settings}{HEAD}{rule}\n")
        world.hosts["echo.example"] = ["127.0.0.1"]
        visit = self.visit(world)
        sock, target = self.target()
        visit.say(b"x", target)
        source = sock.recvfrom(9)[1]
        for number in range(2):
            sock.sendto(b"%d" % number, source)
            world.settle()
        return world, visit, sock, target

    def test_answers(self) -> None:
        """Answers wait, in order, until the name in a rule is known."""
        for name in ("echo.example", ".example"):
            rule = f"socks pass {{ from: {name} to: 0/0 command: udpreply\n{LOG} }}"
            world, visit, sock, target = self.answered(rule)
            self.assertEqual(visit.hear(), [])
            self.assertEqual(len(world.pool.jobs), 1, name)
            world.look_up()
            self.assertEqual(visit.hear(), [(target, b"0"), (target, b"1")])
            sock.sendto(
                b"2",
                (
                    visit.association.relay.egresses[Family.IPV4].source.host,
                    visit.association.relay.egresses[Family.IPV4].source.port,
                ),
            )
            world.settle()
            self.assertEqual(visit.hear(), [(target, b"2")])

    def test_unresolved(self) -> None:
        """A name that is not known is nobody's, which is told as the configuration says."""
        rule = f"socks pass {{ from: nobody.example to: 0/0 command: udpreply\n{LOG} }}"
        world, visit, _, _ = self.answered(rule, "internal.log.warning.error: dns-any\n")
        world.look_up()
        self.assertEqual(visit.hear(), [])
        self.assertIsInstance(world.events[-1], ResolveFailed)
        visit.control.close()
        self.assertEqual(self.drops(world), {Drop.BLOCKED: 2})

    def test_ended(self) -> None:
        """After the end nobody wants to know."""
        rule = f"socks pass {{ from: echo.example to: 0/0 command: udpreply\n{LOG} }}"
        world, visit, _, _ = self.answered(rule)
        visit.control.close()
        number = len(world.events)
        world.look_up()
        self.assertEqual(len(world.events), number)
        world.check_over()

    def test_targets(self) -> None:
        """So it is with targets, if a rule names another than the client does."""
        rules = f"socks block {{ from: 0/0 to: echo.example command: udpassociate\n{LOG} }}\n"
        world = self.world(OPEN.replace("socks pass", f"{rules}socks pass"))
        world.hosts["echo.example"] = ["127.0.0.5"]
        visit = self.visit(world)
        sock, target = self.target()
        for _ in range(2):
            visit.say(b"x", target)
        self.assertRaises(BlockingIOError, sock.recv, 9)
        world.look_up()
        self.assertEqual([sock.recv(9) for _ in range(2)], [b"x"] * 2)

    def test_flood(self) -> None:
        """So many names of datagrams are waited for; those that ask for more are dropped."""
        world = self.world()
        visit = self.visit(world)
        for number in range(WAITING + 50):
            visit.say(b"x", Endpoint(f"h{number}.example", 9, Family.NAME))
        judge = visit.association._plans
        self.assertEqual(len(judge._waiting), WAITING)
        world.look_up()
        self.assertEqual(len(judge._waiting), 0)
        visit.control.close()
        self.assertGreaterEqual(self.drops(world)[Drop.UNRESOLVED], 50)

    def test_flood_of_answers(self) -> None:
        """So it is where the names are in a rule."""
        rules = f"socks block {{ from: 0/0 to: .example command: udpassociate\n{LOG} }}\n"
        world = self.world(OPEN.replace("socks pass", f"{rules}socks pass"))
        visit = self.visit(world)
        for number in range(WAITING + 50):
            visit.say(b"x", Endpoint(f"198.51.{number // 250}.{number % 250}", 9, Family.IPV4))
        self.assertEqual(len(visit.association._plans._waiting), WAITING)
        world.look_up()
        self.assertEqual(len(visit.association._plans._waiting), 0)

    def test_both(self) -> None:
        """The client's name and the rule's may both have to be looked up."""
        rules = f"socks block {{ from: 0/0 to: bad.example command: udpassociate\n{LOG} }}\n"
        world = self.world(OPEN.replace("socks pass", f"{rules}socks pass"))
        world.hosts.update({"echo.example": ["127.0.0.1"], "bad.example": ["127.0.0.5"]})
        visit = self.visit(world)
        sock, target = self.target()
        visit.say(b"x", Endpoint("echo.example", target.port, Family.NAME))
        world.look_up()
        self.assertEqual(sock.recv(9), b"x")

    def test_disguised(self) -> None:
        """A name that the C library takes for an address is that address to the rules."""
        rules = f"socks block {{ from: 0/0 to: 127.0.0.1/32 command: udpassociate\n{LOG} }}\n"
        world = self.world(OPEN.replace("socks pass", f"{rules}socks pass"))
        visit = self.visit(world)
        sock, target = self.target()
        for name in ("0x7f.1", "2130706433", "127.1"):
            visit.say(b"x", Endpoint(name, target.port, Family.NAME))
        self.assertEqual(world.pool.jobs, [])
        self.assertRaises(BlockingIOError, sock.recv, 9)
        self.assertEqual([event.drop for event in self.dropped(world)], [Drop.BLOCKED] * 3)

    def test_blocked_address(self) -> None:
        """A name does not lead to an address that is blocked."""
        rules = f"socks block {{ from: 0/0 to: 127.0.0.1/32 command: udpassociate\n{LOG} }}\n"
        world = self.world(OPEN.replace("socks pass", f"{rules}socks pass"))
        world.hosts["echo.example"] = ["127.0.0.1"]
        visit = self.visit(world)
        sock, target = self.target()
        visit.say(b"x", Endpoint("echo.example", target.port, Family.NAME))
        world.look_up()
        self.assertRaises(BlockingIOError, sock.recv, 9)
        self.assertEqual([event.drop for event in self.dropped(world)], [Drop.BLOCKED])


class UserTests(AssociateCase):
    """Rules with users: who the client has shown to be holds for its datagrams."""

    def visit_of(self, name: str) -> tuple[World, Visit]:
        """The association of ``joe``, in a world where targets are ``name``'s only."""
        world = self.world(
            "socksmethod: username\n"
            f"client pass {{ from: 0/0 to: 0/0 {LOG} }}\n"
            "socks pass { from: 0/0 to: 127.0.0.0/8 command: udpassociate\n"
            f"user: {name}\n{LOG} }}\n"
            f"socks pass {{ from: 0/0 to: ::/0 command: udpassociate udpreply\n{LOG} }}\n"
        )
        control = world.client(LOGIN, peer=HOME)
        world.doorkeeper.answer(True)
        world.settle()
        control.send(socks5.build_request(Command.UDPASSOCIATE, ANYWHERE))
        control.hear()
        self.assertEqual(control.received[2:6], b"\x01\x00\x05\x00")
        control.received = control.received[4:]
        return world, Visit(world, control, self.sock())

    def test_theirs(self) -> None:
        """The user may, and stands in the lines."""
        world, visit = self.visit_of("joe")
        sock, target = self.target()
        visit.say(b"x", target)
        self.assertEqual(sock.recv(9), b"x")
        self.assertIn(f" -: username%joe@{visit.where} ", world.lines()[-1])
        visit.control.close()
        self.assertIs(self.ended(world).method, Method.USERNAME)

    def test_somebody_elses(self) -> None:
        """Another may not, although the association was granted for other targets' sake."""
        world, visit = self.visit_of("jim")
        sock, target = self.target()
        visit.say(b"x", target)
        self.assertRaises(BlockingIOError, sock.recv, 9)
        six, there = self.target(Family.IPV6)
        visit.say(b"y", there)
        self.assertEqual(six.recv(9), b"y")
        visit.control.close()
        self.assertEqual(self.drops(world), {Drop.BLOCKED: 1})
