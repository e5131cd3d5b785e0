"""Tests of UDP ASSOCIATE: whole associations, their lines and their ends."""

from __future__ import annotations

import errno
import socket
import struct

from dantetw.net.datagrams import bind_internal
from dantetw.net.poller import ReactorPoller
from dantetw.net.resolving import KEEP_SECONDS
from dantetw.observe.events import Connected, ConnectFailed, Message, TrafficFailed
from dantetw.observe.formats.dante import Dante
from dantetw.observe.privacy import Private
from dantetw.policy import Form
from dantetw.session.commands import association
from dantetw.session.drops import LINES_PER_SECOND
from dantetw.values import Cause, Command, Drop, Ending, Endpoint, Family, Phase, Severity, Side
from dantetw.wire import socks4
from dantetw.wire.udp import build_header
from tests.session.datagrams import (
    ANYWHERE,
    HEAD,
    HOME,
    LOG,
    NEAR,
    OPEN,
    RULES,
    AssociateCase,
    asking,
)
from tests.session.world import request

EXAMPLE = Endpoint("www.example.org", 53, Family.NAME)
SIX = Endpoint("::1", 50000, Family.IPV6)
ARRIVED = f"pass(1): tcp/accept [: {NEAR}"


class GrantTests(AssociateCase):
    """The reply, and what the client may announce."""

    def test_reply(self) -> None:
        """The client is told where to send, which is where it came in, and the log says so."""
        world = self.world()
        visit = self.visit(world)
        local = visit.association.local
        self.assertEqual(visit.bound, local)
        self.assertEqual(local.host, "127.0.0.1")
        self.assertEqual(
            world.lines(), [ARRIVED, f"pass(1): udp/udpassociate [: 0.0.0.0.0 {local}"]
        )
        self.assertIsInstance(world.events[-1], Connected)

    def test_ipv6(self) -> None:
        """A client by IPv6 gets an IPv6 address, and has its own way to write "nowhere"."""
        for announced, shown in ((ANYWHERE, "0.0.0.0.0"), (Endpoint("::", 0, Family.IPV6), "::.0")):
            world = self.world()
            visit = self.visit(world, announced, peer=SIX)
            self.assertEqual(visit.bound.host, "::1")
            self.assertEqual(visit.bound, visit.association.local)
            self.assertIn(f"udp/udpassociate [: {shown} ::1.", world.lines()[1])

    def test_announced_line(self) -> None:
        """An announced address stands in the line."""
        world = self.world()
        visit = self.visit(world, Endpoint("127.0.0.1", 4321, Family.IPV4))
        local = visit.association.local
        self.assertEqual(world.lines()[1], f"pass(1): udp/udpassociate [: 127.0.0.1.4321 {local}")

    def test_behind_nat(self) -> None:
        """``udp.announce`` is what clients are told in place of our address, in its family."""
        text = "udp.announce: 203.0.113.9 2001:db8::9\n" + OPEN
        for peer, host in ((HOME, "203.0.113.9"), (SIX, "2001:db8::9")):
            world = self.world(text)
            visit = self.visit(world, peer=peer)
            self.assertEqual(visit.bound.host, host)
            self.assertEqual(visit.bound.port, visit.association.local.port)
            self.assertIn(str(visit.association.local), world.lines()[1])
        world = self.world("udp.announce: 2001:db8::9\n" + OPEN)
        self.assertEqual(self.visit(world).bound.host, "127.0.0.1")

    def test_port_range(self) -> None:
        """``udp.portrange`` says which ports; if none is free the request fails."""
        with socket.socket(type=socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            text = RULES.replace("socks pass {", f"socks pass {{ udp.portrange: {port}-{port}\n")
            world = self.world(f"socksmethod: none\n{text}")
            client = world.client(asking(), peer=HOME)
            self.assertEqual(client.hear()[2:4], b"\x05\x01")
            self.assertTrue(client.closed)
            reason = "could not bind local address 127.0.0.1.0: Address already in use"
            self.assertEqual(
                world.lines()[1:],
                [
                    f"block(1): udp/udpassociate ]: {NEAR}: {reason}",
                    f"block(1): tcp/accept ]: {NEAR}: request was not performed due to error:"
                    f" {reason}",
                ],
            )
            world.check_over()
        world = self.world(f"socksmethod: none\n{text}")
        self.assertEqual(self.visit(world).bound.port, port)

    def test_other_family(self) -> None:
        """Who announces an address of a family that we have no address of cannot be served."""
        world = self.world()
        client = world.client(asking(Endpoint("2001:db8::5", 0, Family.IPV6)), peer=HOME)
        self.assertEqual(client.hear()[2:4], b"\x05\x08")
        text = (
            "client wants to send us UDP packets from IPv6 address, but no IPv6 address"
            " configured for our usage on the internal interface"
        )
        self.assertEqual(
            world.ending, Ending(Side.CLIENT, Phase.RESOLVE, Cause.UNUSABLE, text=text)
        )
        self.assertEqual(world.lines()[1], f"block(1): udp/udpassociate ]: {NEAR}: {text}")
        world.check_over()

    def test_our_other_family(self) -> None:
        """Whose announced address is of another family gets a port on our address of that."""
        world = self.world()
        announced = Endpoint("127.0.0.1", 0, Family.IPV4)
        local = Endpoint("::1", 1080, Family.IPV6)
        client = world.client(asking(announced), peer=SIX, local=local)
        self.assertEqual(client.hear()[2:8], b"\x05\x00\x00\x01\x7f\x00")

    def test_blocked(self) -> None:
        """A rule may block the association itself."""
        for rules in (
            f"socks block {{ from: 0/0 to: 0/0 command: udpassociate\n{LOG} }}\n",
            f"socks block {{ from: 0/0 to: 0/0 protocol: udp\n{LOG} }}\n",
        ):
            world = self.world(OPEN.replace("socks pass", rules + "socks pass"))
            client = world.client(asking(), peer=HOME)
            self.assertEqual(client.hear()[2:4], b"\x05\x02")
            world.check_over()

    def test_socks4(self) -> None:
        """SOCKS 4 has no such command."""
        world = self.world()
        data = socks4.build_request(Command.BIND, Endpoint("127.0.0.1", 5, Family.IPV4))
        client = world.client(data[:1] + b"\x03" + data[2:], peer=HOME)
        self.assertEqual(client.hear()[:2], b"\x00\x5b")
        world.check_over()

    def test_client_gone(self) -> None:
        """A client that has gone before the reply costs nothing."""
        world = self.world()
        client = world.client(b"\x05\x01\x00", peer=HOME)
        client.sock.send(asking()[3:])
        client.sock.close()
        world.settle()
        self.assertIs(world.ending.side, Side.CLIENT)
        world.check_over()

    def test_announced_name(self) -> None:
        """An announced name is looked up, and only its address is then served."""
        world = self.world()
        world.hosts["client.example"] = ["127.0.0.1"]
        visit = self.visit(world, Endpoint("client.example", 0, Family.NAME))
        sock, target = self.target()
        visit.say(b"x", target)
        self.assertEqual(sock.recv(9), b"x")
        visit.control.close()
        ended = self.ended(world)
        self.assertEqual(ended.addresses, ("127.0.0.1",))
        world.check_over()

    def test_announced_name_unknown(self) -> None:
        """If it has no address the request fails as one to such a target."""
        world = self.world()
        client = world.client(asking(Endpoint("nowhere.example", 0, Family.NAME)), peer=HOME)
        world.look_up()
        self.assertEqual(client.hear()[2:4], b"\x05\x04")
        text = 'could not resolve hostname "nowhere.example": Name or service not known'
        self.assertEqual(
            world.lines()[1:],
            [
                f"block(1): udp/udpassociate ]: {NEAR}: {text}",
                f"block(1): tcp/accept ]: {NEAR}: request was not performed due to error: {text}",
            ],
        )
        world.check_over()

    def test_gone_during_look_up(self) -> None:
        """A client may go while its name is being looked up."""
        world = self.world()
        client = world.client(asking(Endpoint("client.example", 0, Family.NAME)), peer=HOME)
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        world.factory.stop()
        world.look_up()
        world.check_over()


class StrangerTests(AssociateCase):
    """Only the client is served."""

    def test_first_sender(self) -> None:
        """The first datagram's port is the client's from then on; others are told and counted."""
        world = self.world()
        visit = self.visit(world)
        sock, target = self.target()
        visit.say(b"x", target)
        other = self.sock()
        visit.send(build_header(target) + b"evil", other)
        self.assertEqual(sock.recv(9), b"x")
        self.assertRaises(BlockingIOError, sock.recv, 9)
        stranger = Endpoint.of(other.getsockname())
        self.assertEqual(
            world.lines()[-1],
            f"block(1): udp/udpassociate -: {stranger} {visit.association.local} ->"
            f" 0.0.0.0.0 0.0.0.0.0: expected udp packet from clientaddress {visit.where}, got it"
            f" from {stranger}",
        )
        visit.control.close()
        self.assertEqual(self.drops(world), {Drop.STRANGER: 1})

    def test_other_host(self) -> None:
        """A datagram from another host than the client's is a stranger's, be it the first."""
        world = self.world()
        visit = self.visit(world, peer=Endpoint("127.0.0.5", 50000, Family.IPV4))
        sock, target = self.target()
        visit.say(b"evil", target)
        self.assertRaises(BlockingIOError, sock.recv, 9)
        (dropped,) = self.dropped(world)
        self.assertIs(dropped.drop, Drop.STRANGER)
        self.assertIn("expected udp packet from clientaddress 127.0.0.5.0,", dropped.text)
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.bind(("127.0.0.5", 0))
            visit.send(build_header(target) + b"good", client)
        self.assertEqual(sock.recv(9), b"good")

    def test_announced_port(self) -> None:
        """An announced port is the only one that is served."""
        world = self.world()
        good = self.sock()
        visit = self.visit(world, Endpoint.of(good.getsockname()))
        sock, target = self.target()
        visit.say(b"evil", target)
        visit.send(build_header(target) + b"good", good)
        visit.say(b"evil", target)
        self.assertEqual(sock.recv(9), b"good")
        self.assertRaises(BlockingIOError, sock.recv, 9)
        visit.control.close()
        self.assertEqual(self.drops(world), {Drop.STRANGER: 2})

    def test_announced_host(self) -> None:
        """Who announces another host is served from there, and from nowhere else."""
        world = self.world()
        visit = self.visit(world, Endpoint("127.0.0.9", 0, Family.IPV4))
        sock, target = self.target()
        visit.say(b"evil", target)
        self.assertRaises(BlockingIOError, sock.recv, 9)
        local = visit.association.local
        self.assertEqual(
            world.lines()[-1],
            f"block(1): udp/udpassociate -: {visit.where} {local} -> 0.0.0.0.0 0.0.0.0.0:"
            f" expected udp packet from clientaddress 127.0.0.9.0, got it from {visit.where}",
        )
        visit.control.close()
        self.assertEqual(
            world.lines()[-2:],
            [
                f"pass(1): udp/udpassociate ]: 0/0 -> 127.0.0.9.0 {local} -> 0/0:"
                " local client closed.  Session duration: 0s",
                f"pass(1): tcp/accept ]: 0 -> {NEAR} -> 0: local client closed."
                "  Session duration: 0s",
            ],
        )


class RelayTests(AssociateCase):
    """What is relayed, and its lines."""

    def test_lines(self) -> None:
        """Each datagram has a line, and the end counts them, the client's with headers."""
        world = self.world()
        visit = self.visit(world)
        sock, target = self.target()
        visit.say(b"hello", target)
        data, source = sock.recvfrom(99)
        self.assertEqual(data, b"hello")
        sock.sendto(b"to you", source)
        world.settle()
        self.assertEqual(visit.hear(), [(target, b"to you")])
        near, far = f"{visit.where} {visit.association.local}", f"{Endpoint.of(source)} {target}"
        visit.control.close()
        tail = "local client closed.  Session duration: 0s"
        self.assertEqual(
            world.lines()[2:],
            [
                f"pass(1): udp/udpassociate -: {near} -> {far} (5)",
                f"pass(1): udp/udpreply -: {target} {Endpoint.of(source)} ->"
                f" {visit_local(near)} {visit.where} (6)",
                f"pass(1): udp/udpassociate ]: 16/1 -> {near} -> 15/1, 5/1 -> {far} -> 6/1: {tail}",
                f"pass(1): tcp/accept ]: 16 -> {NEAR} -> 5: {tail}",
            ],
        )
        world.check_over()

    def test_data(self) -> None:
        """``log: data`` has the bytes, escaped, and no header."""
        world = self.world(OPEN.replace(LOG, "log: data"))
        visit = self.visit(world)
        sock, target = self.target()
        visit.say(b"dgram\0\n", target)
        sock.sendto(b"\xff", sock.recvfrom(99)[1])
        world.settle()
        self.assertEqual(
            [line.rpartition(" (")[2] for line in world.lines()], [r"7): dgram\0\n", r"1): \377"]
        )

    def test_both_families(self) -> None:
        """Each family has its line at the end; the client rule's line counts both."""
        world = self.world()
        visit = self.visit(world)
        for family in (Family.IPV4, Family.IPV6):
            sock, target = self.target(family)
            for _ in range(2):
                visit.say(b"hello", target)
            sock.sendto(b"hi", sock.recvfrom(99)[1])
            world.settle()
        self.assertEqual(len(visit.hear()), 2)
        visit.control.close()
        four, six, accept = world.lines()[-3:]
        self.assertIn("]: 12/1 -> ", four)
        self.assertIn(" -> 30/2, 10/2 -> 127.0.0.1.", four)
        self.assertIn("]: 24/1 -> ", six)
        self.assertIn(" -> 54/2, 10/2 -> ::1.", six)
        self.assertEqual(
            accept,
            f"pass(1): tcp/accept ]: 36 -> {NEAR} -> 20: local client closed."
            "  Session duration: 0s",
        )

    def test_not_logged(self) -> None:
        """Without ``log`` nothing is, but all is relayed and the record is right."""
        world = self.world(OPEN.replace(LOG, ""))
        visit = self.visit(world)
        sock, target = self.target()
        for number in range(50):
            visit.say(b"%d" % number, target)
            self.assertEqual(sock.recv(9), b"%d" % number)
        visit.send(b"\0\0\0\x09")
        self.assertEqual(visit.association.packets.to_target, 50)
        self.assertEqual(visit.association.drops, ((Drop.MALFORMED, 1),))
        visit.control.close()
        self.assertEqual(world.lines(), [])

    def test_names(self) -> None:
        """A name is looked up once, others pass meanwhile, and the answer has the address."""
        world = self.world()
        sock, target = self.target()
        other, elsewhere = self.target()
        named = Endpoint("echo.example", target.port, Family.NAME)
        world.hosts["echo.example"] = ["127.0.0.1"]
        visit = self.visit(world)
        for number in range(3):
            visit.say(b"%d" % number, named)
            visit.say(b"y", elsewhere)
        self.assertEqual([other.recv(9) for _ in range(3)], [b"y"] * 3)
        self.assertRaises(BlockingIOError, sock.recv, 9)
        self.assertEqual(len(world.pool.jobs), 1)
        world.look_up()
        self.assertEqual([sock.recv(9) for _ in range(3)], [b"0", b"1", b"2"])
        visit.say(b"3", named)
        data, source = sock.recvfrom(9)
        sock.sendto(data, source)
        world.settle()
        self.assertEqual(visit.hear(), [(target, b"3")])
        self.assertEqual(world.pool.jobs, [])

    def test_cached_names(self) -> None:
        """What one client has looked up the next one does not wait for."""
        world = self.world()
        sock, target = self.target()
        named = Endpoint("echo.example", target.port, Family.NAME)
        world.hosts["echo.example"] = ["127.0.0.1"]
        for _ in range(2):
            visit = self.visit(world)
            visit.say(b"x", named)
            world.look_up() if world.pool.jobs else None
        self.assertEqual([sock.recv(9) for _ in range(2)], [b"x"] * 2)
        self.assertEqual(world.pool.called, 1)

    def test_moved_name(self) -> None:
        """A name that has moved is found at its new address after a while."""
        world = self.world("timeout.io: 0\n" + OPEN)
        old, target = self.target()
        new = socket.socket(type=socket.SOCK_DGRAM)
        self.addCleanup(new.close)
        new.setblocking(False)
        new.bind(("127.0.0.2", target.port))
        named = Endpoint("echo.example", target.port, Family.NAME)
        world.hosts["echo.example"] = ["127.0.0.1"]
        visit = self.visit(world)
        visit.say(b"1", named)
        world.look_up()
        world.hosts["echo.example"] = ["127.0.0.2"]
        visit.say(b"2", named)
        world.wait(KEEP_SECONDS + 3)
        visit.say(b"3", named)
        world.look_up()
        self.assertEqual([old.recv(9) for _ in range(2)], [b"1", b"2"])
        self.assertEqual(new.recv(9), b"3")

    def test_first_io(self) -> None:
        """The record has the time of the first datagram."""
        world = self.world()
        visit = self.visit(world)
        world.wait(2)
        visit.say(b"x", self.closed())
        world.wait(1)
        visit.control.close()
        times = self.ended(world).times
        self.assertEqual((times.first_io - times.connected, times.now - times.connected), (2, 3))

    def test_without_epoll(self) -> None:
        """All this works with the reactor's own means."""
        self.make_poller = ReactorPoller  # type: ignore[assignment]
        self.test_lines()
        self.test_first_sender = StrangerTests.test_first_sender.__get__(self)
        self.test_first_sender()


def visit_local(near: str) -> str:
    """Our address of the pair."""
    return near.split()[1]


class RuleTests(AssociateCase):
    """What the socks rules say of datagrams."""

    def test_blocked_target(self) -> None:
        """A target that a rule blocks gets nothing; each datagram has a line of that rule's."""
        sock, target = self.target()
        blocked = f"socks block {{ from: 0/0 to: 127.0.0.1/32 port = {target.port} {LOG} }}\n"
        world = self.world(OPEN.replace("socks pass", f"{blocked}socks pass"))
        visit = self.visit(world)
        open_, elsewhere = self.target()
        visit.say(b"x", target)
        visit.say(b"y", elsewhere)
        visit.say(b"x", target)
        self.assertRaises(BlockingIOError, sock.recv, 9)
        _, source = open_.recvfrom(9)
        near = f"{visit.where} {visit.association.local}"
        self.assertEqual(
            [line for line in world.lines() if " -: " in line],
            [
                f"block(1): udp/udpassociate -: {near} -> 0.0.0.0.0 {target}",
                f"pass(2): udp/udpassociate -: {near} -> {Endpoint.of(source)} {elsewhere} (1)",
                f"block(1): udp/udpassociate -: {near} -> {Endpoint.of(source)} {target}",
            ],
        )
        visit.control.close()
        self.assertEqual(self.drops(world), {Drop.BLOCKED: 2})
        # As in Dante: the first was before there was a way out, and there were two targets then.
        self.assertIn(f" -> 22/2, 1/1 -> {Endpoint.of(source)} 0.0.0.0.0 -> ", world.lines()[-2])

    def test_blocked_name(self) -> None:
        """A rule may name a target, which then is compared by its name or by its address."""
        sock, target = self.target()
        named = Endpoint("echo.example", target.port, Family.NAME)
        for to, by in (("echo.example", named), (".example", named), ("echo.example", target)):
            blocked = f"socks block {{ from: 0/0 to: {to} command: udpassociate\n{LOG} }}\n"
            world = self.world(OPEN.replace("socks pass", f"{blocked}socks pass"))
            world.hosts["echo.example"] = ["127.0.0.1"]
            visit = self.visit(world)
            for _ in range(2):
                visit.say(b"x", by)
                world.look_up()
            with self.subTest(f"{to} {by}"):
                self.assertRaises(BlockingIOError, sock.recv, 9)
                self.assertEqual([event.drop for event in self.dropped(world)], [Drop.BLOCKED] * 2)
                self.assertEqual({event.rule.number for event in self.dropped(world)}, {1})

    def test_blocked_replies(self) -> None:
        """Who may not answer is not heard, and may be sent to."""
        sock, target = self.target()
        blocked = (
            f"socks block {{ from: 127.0.0.1/32 port = {target.port} to: 0/0"
            f" command: udpreply\n{LOG} }}\n"
        )
        world = self.world(OPEN.replace("socks pass", f"{blocked}socks pass"))
        visit = self.visit(world)
        visit.say(b"x", target)
        _, source = sock.recvfrom(9)
        for _ in range(2):
            sock.sendto(b"y", source)
            world.settle()
        self.assertEqual(visit.hear(), [])
        way = f"{target} {Endpoint.of(source)} -> {visit.association.local} {visit.where}"
        self.assertEqual(world.lines()[-2:], [f"block(1): udp/udpreply -: {way}"] * 2)
        visit.control.close()
        self.assertEqual(self.drops(world), {Drop.BLOCKED: 2})
        self.assertIn(", 1/1 -> ", world.lines()[-2])
        self.assertIn(f" {target} -> 2/2: ", world.lines()[-2])

    def test_no_rule_for_replies(self) -> None:
        """Without a rule that allows answers there are none, as in Dante."""
        rules = OPEN.replace("socks pass {", "socks pass { command: udpassociate\n")
        world = self.world(rules)
        visit = self.visit(world)
        sock, target = self.target()
        visit.say(b"x", target)
        sock.sendto(b"y", sock.recvfrom(9)[1])
        world.settle()
        self.assertEqual(visit.hear(), [])
        visit.control.close()
        self.assertEqual(self.drops(world), {Drop.BLOCKED: 1})

    def test_asked_once(self) -> None:
        """Rules are asked once for each header and each target that answers, not each datagram."""
        world = self.world()
        asked: list[Command] = []
        judging = association.DatagramPlans
        judge = judging._ask

        def counted(self: object, question: object, found: object) -> None:
            asked.append(question.command)  # type: ignore[attr-defined]
            judge(self, question, found)  # type: ignore[arg-type]

        self.patch(judging, "_ask", counted)
        visit = self.visit(world)
        sock, target = self.target()
        for _ in range(5):
            visit.say(b"x", target)
            sock.sendto(b"y", sock.recvfrom(9)[1])
            world.settle()
        self.assertEqual(asked, [Command.UDPASSOCIATE, Command.UDPREPLY])


class DropTests(AssociateCase):
    """What is not relayed."""

    def test_unresolved(self) -> None:
        """A name without an address is told, and asked about again."""
        world = self.world("external.log.warning.error: dns-any\n" + OPEN)
        visit = self.visit(world)
        for _ in range(2):
            for number in range(3):
                visit.say(b"%d" % number, Endpoint("no.example", 80, Family.NAME))
            world.look_up()
        text = "could not resolve target address no.example.80: Name or service not known "
        line = (
            f"block(1): udp/udpassociate -: {visit.where} {visit.association.local} ->"
            f" 0.0.0.0.0 no.example.80: {text}"
        )
        warning = 'could not DNS-resolve "no.example": Name or service not known'
        self.assertEqual(world.lines()[2:], [warning, line] * 2)
        visit.control.close()
        self.assertEqual(self.drops(world), {Drop.UNRESOLVED: 6})

    def test_unusable(self) -> None:
        """Targets that make no sense are told, and do not end the association."""
        world = self.world()
        visit = self.visit(world)
        for host, port, text in (
            ("192.0.2.1", 0, "unbound port (192.0.2.1.0) in request"),
            ("0.0.0.0", 5, "unbound ipaddress (0.0.0.0.5) in request"),
            ("0.0.0.0", 0, "unbound ipaddress (0.0.0.0.0) in request"),
            ("::", 5, "unbound ipaddress (::.5) in request"),
        ):
            family = Family.IPV6 if ":" in host else Family.IPV4
            visit.say(b"x", Endpoint(host, port, family))
            with self.subTest(text):
                self.assertEqual(self.dropped(world)[-1].text, text)
        sock, target = self.target()
        visit.say(b"x", target)
        self.assertEqual(sock.recv(9), b"x")
        visit.control.close()
        self.assertEqual(self.drops(world), {Drop.UNUSABLE: 4})

    def test_no_external(self) -> None:
        """A family that we have no address of is told."""
        world = self.world(head=HEAD.replace("external: ::1\n", ""))
        visit = self.visit(world)
        visit.say(b"x", Endpoint("::1", 9, Family.IPV6))
        (dropped,) = self.dropped(world)
        self.assertIs(dropped.drop, Drop.UNUSABLE)
        self.assertIn("no IPv6 address configured", dropped.text)

    def test_external_gone(self) -> None:
        """An external address that has gone is told as what the system says."""
        world = self.world(head=HEAD.replace("external: 127.0.0.1", "external: 192.0.2.77"))
        visit = self.visit(world)
        visit.say(b"x", Endpoint("192.0.2.1", 9, Family.IPV4))
        (dropped,) = self.dropped(world)
        self.assertIs(dropped.drop, Drop.ERROR)
        self.assertEqual(
            dropped.text,
            "could not bind address to use on external side: Cannot assign requested address",
        )

    def test_unroutable(self) -> None:
        """A first target that cannot be reached, and a later one, are told as in Dante."""
        world = self.world("external.log.warning.error: EINVAL\n" + OPEN)
        far = Endpoint("192.0.2.1", 9, Family.IPV4)
        visit = self.visit(world)
        visit.say(b"hello", far)
        self.assertIsInstance(world.events[-2], ConnectFailed)
        near = f"{visit.where} {visit.association.local}"
        source = visit.association.relay.egresses[Family.IPV4].source
        self.assertEqual(
            world.lines()[-2:],
            [
                "connect to host 192.0.2.1.9 failed: Invalid argument",
                f"block(1): udp/udpassociate -: {near} -> {source} {far}: connect(2) to {far} from"
                f" {source} failed: Invalid argument",
            ],
        )
        sock, target = self.target()
        visit.say(b"hello", target)
        self.assertEqual(sock.recv(9), b"hello")
        visit.say(b"hello", far)
        self.assertIsInstance(world.events[-2], TrafficFailed)
        self.assertEqual(
            world.lines()[-2:],
            [
                "send to host 192.0.2.1.9 failed: Invalid argument",
                f"block(1): udp/udpassociate -: {near} -> {source} {far}: sendto of 5 bytes failed:"
                " Invalid argument",
            ],
        )
        visit.control.close()
        self.assertEqual(self.drops(world), {Drop.ERROR: 2})
        self.assertIn(f" -> 45/3, 5/1 -> {source} 0.0.0.0.0 -> 0/0", world.lines()[-2])

    def test_malformed(self) -> None:
        """What has no good header, and fragments, are told in Dante's words."""
        world = self.world()
        visit = self.visit(world)
        local = visit.association.local
        for data, far, text in (
            (b"\0\0", "0.0.0.0.0", "length 2"),
            (b"\0\0\0\x09\0", "0.0.0.0.0", "length 5"),
            (b"", "0.0.0.0.0", "length 0"),
            (b"\0\0\0\x03\0\0\x50", "0.0.0.0.0", "length 7"),
            (b"\0\0\x07\x01\x7f\0\0\x01\0\x50", "127.0.0.1.80", "fragmented"),
            (b"\0\0\x07\x01\x7f", "0.0.0.0.0", "fragmented"),
            (b"\0\0\x07\x09", "0.0.0.0.0", "fragmented"),
            (b"\0\0\x07", "0.0.0.0.0", "fragmented"),
        ):
            if text == "fragmented":
                text = "fragmented socks udp packets are not supported"
            else:
                text = (
                    f"SOCKS protocol error in socks udp packet of {text}."
                    "  Could not extract valid address from SOCKS UDP header"
                )
            visit.send(data)
            self.assertEqual(
                world.lines()[-1],
                f"block(1): udp/udpassociate -: {visit.where} {local} -> 0.0.0.0.0 {far}: {text}",
            )
        visit.control.close()
        self.assertEqual(self.drops(world), {Drop.MALFORMED: 4, Drop.FRAGMENT: 4})
        self.assertEqual(self.ended(world).packets.from_client, 0)

    def test_hostile_name(self) -> None:
        """A name is escaped wherever it is told."""
        world = self.world()
        visit = self.visit(world)
        visit.send(b"\0\0\0\x03\x05a\n\x1b\xffb\0\x50")
        world.look_up()
        visit.send(b"\0\0\1\x03\x05a\n\x1b\xffb\0\x50")
        for line in world.lines()[-2:]:
            self.assertIn(r" a\n\033\377b.80:", line)
            self.assertTrue(line.isprintable())

    def test_refused(self) -> None:
        """ICMP errors are told as the keywords say, and the association goes on."""
        world = self.world("external.log.warning.error: ECONNREFUSED\n" + OPEN)
        visit = self.visit(world)
        closed = self.closed()
        visit.say(b"hello", closed)
        world.until(lambda: self.dropped(world))
        way = visit.association.relay.egresses[Family.IPV4]
        self.assertEqual(
            world.lines()[-2:],
            [
                f"send to host {closed} failed: Connection refused",
                f"block(1): udp/udpassociate -: {visit.where} {visit.association.local} ->"
                f" {way.source} {closed}: Connection refused (delayed error)",
            ],
        )
        failed = world.events[-2]
        assert isinstance(failed, TrafficFailed)
        self.assertIs(failed.severity, Severity.WARNING)
        sock, target = self.target()
        visit.say(b"hello", target)
        self.assertEqual(sock.recv(9), b"hello")
        visit.control.close()
        self.assertEqual(self.drops(world), {Drop.UNDELIVERED: 1})

    def test_client_deaf(self) -> None:
        """A client that does not listen any more is told of as the inner side."""
        world = self.world("internal.log.warning.error: ECONNREFUSED\n" + OPEN)
        visit = self.visit(world)
        sock, target = self.target()
        visit.say(b"hello", target)
        visit.sock.close()
        sock.sendto(b"x", sock.recvfrom(9)[1])
        world.until(lambda: self.dropped(world))
        self.assertRegex(world.lines()[-2], r"^send to host 127.0.0.1.\d+ failed: Connection")
        self.assertIn("block(1): udp/udpreply -: ", world.lines()[-1])
        self.assertEqual(len(world.sessions), 1)

    def test_too_large(self) -> None:
        """What the client cannot be sent is told."""
        world = self.world()
        visit = self.visit(world)
        sock, target = self.target()
        visit.say(b"hello", target)
        sock.sendto(bytes(65507), sock.recvfrom(9)[1])
        world.settle()
        text = "sendto of 65507 bytes failed: Message too long"
        self.assertEqual(self.dropped(world)[-1].text, text)
        self.assertIs(self.dropped(world)[-1].origin, Side.TARGET)

    def test_flood(self) -> None:
        """Of a flood so many lines a second are told, and how many more there were."""
        world = self.world()
        visit = self.visit(world)
        for _ in range(25):
            visit.send(b"\0\0\1")
        self.assertEqual(len(self.dropped(world)), LINES_PER_SECOND)
        visit.send(b"\0\0\0\x09")  # another kind has lines of its own
        self.assertEqual(len(self.dropped(world)), LINES_PER_SECOND + 1)
        world.wait(1)
        for _ in range(12):
            visit.send(b"\0\0\1")
        told = self.dropped(world)
        self.assertEqual([event.more for event in told[-LINES_PER_SECOND:]], [15] + [0] * 9)
        self.assertIn(
            "; 15 more like it since this was last told", world.lines()[-LINES_PER_SECOND]
        )
        visit.control.close()
        self.assertEqual(self.drops(world), {Drop.FRAGMENT: 37, Drop.MALFORMED: 1})
        last = self.dropped(world)[-1]
        self.assertEqual(last.text, "fragment: 2 more like it since this was last told")
        more = sum(event.more for event in told) + 2
        self.assertEqual(len([event for event in told if event.drop is Drop.FRAGMENT]) + more, 37)

    def test_flood_of_bytes(self) -> None:
        """So it is with what a client says where there is nothing to be said."""
        world = self.world()
        visit = self.visit(world)
        for _ in range(25):
            visit.control.send(b"x")
        messages = [event for event in world.events if isinstance(event, Message)]
        self.assertEqual(len(messages), LINES_PER_SECOND)

    def test_overflow(self) -> None:
        """What came faster than it could be relayed is told once, at the end."""
        world = self.world()
        visit = self.visit(world)
        _, target = self.target()
        visit.say(b"x", target)
        local = visit.association.local
        for _ in range(1000):
            visit.sock.sendto(build_header(target) + bytes(1000), (local.host, local.port))
        world.settle()
        visit.control.close()
        lost = 1001 - self.ended(world).packets.from_client
        self.assertGreater(lost, 0)
        self.assertEqual(self.drops(world), {Drop.OVERFLOW: lost})
        self.assertEqual(
            world.lines()[-3],
            f"block(1): udp/udpassociate -: {visit.where} {local} -> 0.0.0.0.0 0.0.0.0.0:"
            f" {lost} datagrams were lost: more came than could be relayed",
        )


class EndTests(AssociateCase):
    """How associations end."""

    def over(self, text: str, seconds: int = 0) -> list[str]:
        """The lines at the end of one without a datagram; the address is left out."""
        tail = f"{text}.  Session duration: {seconds}s"
        return [
            f"pass(1): udp/udpassociate ]: 0/0 -> 0.0.0.0.0 -> 0/0: {tail}",
            f"pass(1): tcp/accept ]: 0 -> {NEAR} -> 0: {tail}",
        ]

    def test_closed(self) -> None:
        """It ends when its connection is closed, and its port is free at once."""
        world = self.world()
        visit = self.visit(world)
        local = visit.association.local
        visit.control.close()
        lines = [line.replace(f" {local}", "") for line in world.lines()[-2:]]
        self.assertEqual(lines, self.over("local client closed"))
        self.assertEqual(world.ending, Ending(Side.CLIENT, Phase.RELAY, Cause.CLOSED))
        world.check_over()
        sock, _ = bind_internal(local.host, Family.IPV4, (local.port, local.port), ())
        sock.close()

    def test_shut(self) -> None:
        """A client that will say no more has closed, as in Dante."""
        world = self.world()
        visit = self.visit(world)
        visit.control.shut()
        self.assertIs(world.ending.cause, Cause.CLOSED)
        world.check_over()

    def test_reset(self) -> None:
        """A connection that fails ends it with that."""
        world = self.world()
        visit = self.visit(world)

        class Failing:
            """A connection that is reset."""

            def __init__(self, sock: socket.socket) -> None:
                self.sock = sock

            def recv(self, size: int) -> bytes:
                """Fail."""
                raise OSError(errno.ECONNRESET, "reset")

            def __getattr__(self, name: str) -> object:
                """The rest is the connection's."""
                return getattr(self.sock, name)

        session = visit.control.session
        assert session is not None and session.sock is not None
        session.sock = Failing(session.sock)  # type: ignore[assignment]
        visit.control.send(b"x")
        local = f" {world.ended[0].traffic[0].path.local}"
        self.assertEqual(
            [line.replace(local, "") for line in world.lines()[-2:]],
            self.over("local client error (Connection reset by peer)"),
        )
        world.check_over()

    def test_said(self) -> None:
        """What a client says on the connection is told, escaped and shortened."""
        world = self.world()
        visit = self.visit(world, ANYWHERE, b"early\n")
        visit.control.send(b"\x1b" * 300)
        messages = [event for event in world.events if isinstance(event, Message)]
        head = "over control connection from client 127.0.0.1.50000"
        self.assertEqual(
            [message.text for message in messages],
            [
                rf"run_io(): 6 unexpected bytes {head}: early\n",
                f"run_io(): 300 unexpected bytes {head}: " + r"\033" * 256 + "...",
            ],
        )
        self.assertEqual({message.severity for message in messages}, {Severity.NOTICE})
        self.assertEqual({message.code for message in messages}, {"association.bytes"})
        self.assertEqual(len(world.sessions), 1)
        visit.control.close()
        world.check_over()

    def test_babbling(self) -> None:
        """Of a client that goes on so many lines a second are told, and how many were not."""
        world = self.world()
        visit = self.visit(world)
        for _ in range(LINES_PER_SECOND + 3):
            visit.control.send(b"x")
        visit.control.close()
        texts = [event.text for event in world.events if isinstance(event, Message)]
        head = "over control connection from client 127.0.0.1.50000"
        self.assertEqual(
            texts,
            [
                *[f"run_io(): 1 unexpected bytes {head}: x"] * LINES_PER_SECOND,
                f"run_io(): 3 more times unexpected bytes {head}",
            ],
        )

    def test_private(self) -> None:
        """What a client says on the connection is not for destinations that leave something out."""
        world = self.world()
        visit = self.visit(world)
        visit.control.send(b"my secret (127.0.0.1)\n")
        (message,) = [event for event in world.events if isinstance(event, Message)]
        for form in (Form(omit=frozenset(("target",))), Form(hash=frozenset(("user",)))):
            ((_, text),) = Private(Dante(), form, b"key").lines(message)
            self.assertTrue(text.endswith("client 127.0.0.1.50000: -"), text)
        visit.control.close()

    def test_timed(self) -> None:
        """The time that an association lasts is not that of its request's being judged."""
        world = self.world()
        visit = self.visit(world)
        world.wait(10)
        visit.control.close()
        times = world.ended[0].times
        self.assertTrue(times.requested <= times.connecting <= times.connected < times.now - 9)

    def test_idle(self) -> None:
        """``timeout.io.udp`` counts from the last datagram that was relayed, either way."""
        world = self.world("timeout.io.udp: 10\n" + OPEN)
        visit = self.visit(world)
        sock, target = self.target()
        world.wait(9)
        visit.say(b"x", target)
        world.wait(9)
        sock.sendto(b"y", sock.recvfrom(9)[1])
        world.wait(9)
        self.assertEqual(len(world.sessions), 1)
        world.wait(3)
        self.assertEqual(world.ending, Ending(Side.US, Phase.RELAY, Cause.TIMEOUT))
        self.assertIn(": i/o timeout.  Session duration: ", world.lines()[-1])
        self.assertEqual(visit.control.hear()[-1:], visit.control.received[-1:])
        self.assertTrue(visit.control.closed)
        world.check_over()

    def test_idle_with_rubbish(self) -> None:
        """What is not relayed keeps nothing alive."""
        world = self.world("timeout.io.udp: 10\n" + OPEN)
        visit = self.visit(world)
        for _ in range(12):
            if world.sessions:
                visit.send(b"rubbish")
                visit.control.send(b"rubbish")
            world.wait(1)
        self.assertIs(world.ending.cause, Cause.TIMEOUT)

    def test_for_ever(self) -> None:
        """0 seconds are for ever."""
        world = self.world("timeout.io.udp: 0\n" + OPEN)
        self.visit(world)
        world.wait(5000)
        self.assertEqual(len(world.sessions), 1)

    def test_stopped(self) -> None:
        """The server's stop ends it, and tells so."""
        world = self.world()
        visit = self.visit(world)
        local = visit.association.local
        world.factory.stop()
        lines = [line.replace(f" {local}", "") for line in world.lines()[-2:]]
        self.assertEqual(lines, self.over("administrative termination"))
        world.check_over()

    def test_ended_while_waiting(self) -> None:
        """What is being looked up for it is of no interest any more."""
        world = self.world()
        visit = self.visit(world)
        visit.say(b"x", EXAMPLE)
        visit.control.close()
        number = len(world.events)
        world.look_up()
        self.assertEqual(len(world.events), number)
        world.check_over()

    def test_debug(self) -> None:
        """``debug: 2`` tells of every step, and changes nothing."""
        world = self.world(OPEN.replace(LOG, ""))
        world.factory.journal.debug = 2
        visit = self.visit(world)
        sock, target = self.target()
        visit.say(b"hello", target)
        sock.sendto(b"hi", sock.recvfrom(9)[1])
        world.settle()
        self.assertEqual(visit.hear(), [(target, b"hi")])
        visit.control.close()
        lines = "\n".join(world.lines())
        for part in ("expects datagrams from 127.0.0.1.0", "5 bytes from client", "2 bytes from t"):
            self.assertIn(part, lines)
        world.check_over()

    def test_many(self) -> None:
        """Many at once neither mix nor leave anything."""
        world = self.world()
        visits = [self.visit(world) for _ in range(20)]
        sock, target = self.target()
        for number, visit in enumerate(visits):
            visit.say(b"%d" % number, target)
            data, source = sock.recvfrom(9)
            sock.sendto(data * 2, source)
        world.settle()
        for number, visit in enumerate(visits):
            self.assertEqual(visit.hear(), [(target, b"%d%d" % (number, number))])
        for visit in visits:
            visit.control.close()
        self.assertEqual(len(world.ended), 20)
        world.check_over()

    def test_beside_connect(self) -> None:
        """CONNECT is not touched by any of it."""
        world = self.world()
        self.visit(world)
        client = world.client(b"\x05\x01\x00" + request(), peer=HOME)
        world.dials[-1].decide()
        world.settle()
        self.assertEqual(client.hear()[2:4], b"\x05\x00")
