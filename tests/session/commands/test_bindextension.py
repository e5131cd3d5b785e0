"""Tests of the bind extension: a port for many peers, and the connections back to the client."""

from __future__ import annotations

import errno
import socket

from dantetw.net.poller import ReactorPoller
from dantetw.observe.events import Connected, Counts, Parted
from dantetw.observe.status import Active
from dantetw.policy import Edge
from dantetw.session.commands import bindextension
from dantetw.session.pages import actives
from dantetw.values import Cause, Command, Ending, Family, Phase, Side, Work
from dantetw.wire import socks4, socks5
from tests.session.commands.test_bind import BOUND, NEAR, OPEN, PEER, BindCase, at
from tests.session.world import HEAD, Client, FakeDial, FakePeerPort, World

MANY = at("255.255.255.255", 2121)
EXTENDED = f"extension: bind\n{OPEN}"
BOUND_THERE = BOUND.replace("49152", "50000")
NOBODY = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"
HIM = b"\x05\x00\x00\x01\xc6\x33\x64\x07\x12\x67"


def ask(dial: FakeDial, command: Command = Command.BIND) -> bytes:
    """What a client asks that has accepted a connection of ours."""
    return socks5.build_request(command, dial.source)


class ForwardingCase(BindCase):
    """What the tests below share."""

    def many(self, text: str = EXTENDED, early: bytes = b"") -> tuple[World, Client, FakePeerPort]:
        """A client that has a port for many."""
        world = self.world(text)
        client, port = self.waiting(world, MANY, early)
        client.received = b""
        return world, client, port

    def reached(self, world: World, port: FakePeerPort) -> tuple[socket.socket, FakeDial]:
        """A peer, and the connection to the client that stands."""
        peer = port.come(PEER)
        dial = world.dials[-1]
        dial.decide()
        world.settle()
        return peer, dial

    def relayed(
        self, world: World, client: Client, port: FakePeerPort
    ) -> tuple[socket.socket, socket.socket]:
        """A peer, and the client's end of its connection."""
        peer, dial = self.reached(world, port)
        client.received = b""
        client.send(ask(dial))
        self.assertEqual(client.hear(), HIM)
        return peer, dial.far

    def parted(self, world: World) -> list[Parted]:
        """The peers that are over."""
        return [event for event in world.events if isinstance(event, Parted)]


class PortTests(ForwardingCase):
    """What is bound."""

    def test_granted(self) -> None:
        """The port is the client's own, and the log names nobody as expected."""
        world, _, port = self.many()
        self.assertEqual(str(port.bound), BOUND_THERE)
        self.assertEqual(port.backlog, bindextension.BindExtension.backlog)
        line = f"pass(1): tcp/bind [: {NEAR} -> {BOUND_THERE} 0.0.0.0.0"
        self.assertEqual(world.lines()[1], line)

    def test_blocked(self) -> None:
        """A rule that blocks it is told with what the client named."""
        world = self.world(EXTENDED.replace("socks pass", "socks block", 1))
        client = world.client(b"\x05\x01\x00" + socks5.build_request(Command.BIND, MANY))
        self.assertEqual(client.hear()[2:4], b"\x05\x02")
        self.assertEqual(
            world.lines()[1:],
            [
                f"block(1): tcp/bind ]: {NEAR} -> 0.0.0.0.0 255.255.255.255.2121",
                f"block(1): tcp/accept ]: {NEAR}: blocked by higher-level socks-rule #1",
            ],
        )
        world.check_over()

    def test_socks4(self) -> None:
        """SOCKS 4 likewise, and its questions are answered in its form."""
        world = self.world(EXTENDED)
        client = world.client(socks4.build_request(Command.BIND, MANY))
        self.assertEqual(client.hear(), b"\x00\x5a\xc3\x50\xc0\x00\x02\x01")
        _, dial = self.reached(world, world.awaits[0])
        client.send(socks4.build_request(Command.BIND, at("127.0.0.1", 1)))
        self.assertEqual(client.hear()[8:], b"\x00\x5a" + bytes(6))
        client.send(socks4.build_request(Command.BIND, dial.source))
        self.assertEqual(client.hear()[16:], b"\x00\x5a\x12\x67\xc6\x33\x64\x07")

    def test_family(self) -> None:
        """Without an external IPv4 address the port is on an IPv6 one; not for SOCKS 4."""
        text = EXTENDED.replace("to: 192.0.2.1/32", "to: 0/0")
        head = HEAD.replace("192.0.2.1", "2001:db8::1")
        world = self.world(text, head)
        self.waiting(world, MANY)
        self.assertEqual(world.awaits[0].bound.family, Family.IPV6)
        world = self.world(text, head)
        client = world.client(socks4.build_request(Command.BIND, MANY))
        self.assertEqual(client.hear()[:2], b"\x00\x5b")
        world.check_over()


class RelayTests(ForwardingCase):
    """Peers that are welcome."""

    def test_many(self) -> None:
        """Each peer has its relay and its lines, and the port stays."""
        world, client, port = self.many()
        one, to_one = self.relayed(world, client, port)
        two, to_two = self.relayed(world, client, port)
        source = world.dials[0].source
        self.assertEqual(source.host, "127.0.0.1")
        self.assertEqual(world.dials[0].target, at("10.0.0.9", 50000))
        self.assertEqual(world.dials[0].edge, Edge.INTERNAL)
        one.send(b"from one")
        to_two.send(b"for two")
        world.settle()
        self.assertEqual((to_one.recv(99), two.recv(99)), (b"from one", b"for two"))
        one.close()
        world.settle()
        self.assertEqual(to_one.recv(99), b"")
        to_one.close()
        world.settle()
        way = f"{PEER} {BOUND_THERE} -> {source} 10.0.0.9.50000"
        self.assertEqual(
            [line for line in world.lines()[2:] if "40001" not in line],
            [
                f"pass(3): tcp/bindreply [: {way}",
                f"pass(3): tcp/bindreply ]: 0 -> {PEER} {BOUND_THERE} -> 8, 8 -> {source}"
                " 10.0.0.9.50000 -> 0: local client closed.  Session duration: 0s",
            ],
        )
        self.assertTrue(port.listens)
        client.close()
        source = world.dials[1].source
        self.assertEqual(
            world.lines()[-3:],
            [
                f"pass(3): tcp/bindreply ]: 7 -> {PEER} {BOUND_THERE} -> 0, 0 -> {source}"
                " 10.0.0.9.50000 -> 7: remote peer closed.  Session duration: 0s",
                f"pass(1): tcp/bind ]: {NEAR} -> {BOUND_THERE} 0.0.0.0.0: eof from client",
                f"pass(1): tcp/accept ]: {NEAR}: eof from client",
            ],
        )
        self.assertEqual(world.ended[0].counts, Counts(8, 7, 7, 8))
        self.assertEqual(two.recv(99), b"")
        world.check_over()

    def test_early(self) -> None:
        """What either side says before the client has asked is not lost, nor its end."""
        world, client, port = self.many()
        peer, dial = self.reached(world, port)
        peer.send(b"first")
        peer.shutdown(socket.SHUT_WR)
        dial.far.send(b"second")
        world.settle()
        self.assertEqual([event for event in world.events if isinstance(event, Connected)][1:], [])
        client.send(ask(dial))
        self.assertEqual(dial.far.recv(99), b"first")
        self.assertEqual(dial.far.recv(99), b"")
        self.assertEqual(peer.recv(99), b"second")

    def test_unknown(self) -> None:
        """Who asks about a connection that is not ours, or once more, hears of nobody."""
        world, client, port = self.many()
        _, dial = self.reached(world, port)
        client.send(socks5.build_request(Command.BIND, at("127.0.0.1", 1)))
        self.assertEqual(client.hear(), NOBODY)
        client.send(ask(dial, Command.CONNECT))
        client.send(ask(dial))
        self.assertEqual(client.hear()[10:], HIM + NOBODY)

    def test_ahead(self) -> None:
        """The client may know of a connection, and ask, before we have heard that it stands."""
        world, client, port = self.many()
        port.come(PEER)
        (dial,) = world.dials
        client.send(ask(dial), ask(dial))
        self.assertEqual(client.hear(), b"")
        dial.decide()
        world.settle()
        self.assertEqual(client.hear(), HIM + NOBODY)
        client.close()
        world.check_over()

    def test_ahead_and_gone(self) -> None:
        """It may also have gone by then, or the connection has failed after all."""
        for number, cause in ((0, Cause.CLOSED), (errno.ECONNRESET, Cause.ERROR)):
            world, client, port = self.many()
            port.come(PEER)
            client.send(ask(world.dials[0]))
            client.shut()
            world.dials[0].decide(number)
            world.settle()
            self.assertEqual(world.ending.cause, cause)
            world.check_over()

    def test_pieces(self) -> None:
        """Questions may come byte by byte, or several at once."""
        world, client, port = self.many()
        _, one = self.reached(world, port)
        _, two = self.reached(world, port)
        client.send(*(bytes((byte,)) for byte in ask(one)))
        self.assertEqual(client.hear(), HIM)
        client.send(ask(two) + ask(two)[:4])
        client.send(ask(two)[4:])
        self.assertEqual(client.hear()[10:], HIM + NOBODY)

    def test_one_at_a_time(self) -> None:
        """The next peer is looked at when the client has been connected to for the last."""
        world, _, port = self.many()
        port.come(PEER)
        port.come(PEER)
        self.assertEqual(len(world.dials), 1)
        self.assertTrue(port.paused)
        world.dials[0].decide()
        world.settle()
        self.assertEqual(len(world.dials), 2)

    def test_most(self) -> None:
        """So many peers and no more; the next when one has gone."""
        self.patch(bindextension, "MAX_PEERS", 2)
        world, client, port = self.many()
        one, to_one = self.relayed(world, client, port)
        self.reached(world, port)
        port.come(PEER)
        self.assertEqual(len(world.dials), 2)
        self.assertTrue(port.paused)
        one.close()
        to_one.close()
        world.settle()
        self.assertEqual(len(world.dials), 3)

    def test_report(self) -> None:
        """The report has each peer, and counts the client once."""
        world, client, port = self.many()
        (session,) = world.sessions
        self.assertEqual(session.work.word, "request")
        peer, _ = self.relayed(world, client, port)
        self.relayed(world, client, port)
        peer.send(b"12345")
        world.settle()
        told: list[Active] = list(actives(session, 1))
        counts = [each.standing.counts.to_client for each in told if each.standing is not None]
        self.assertEqual(counts, [5, 0])
        self.assertEqual([each.path.local.port for each in told], [40000, 40001])
        assert session.activity is not None
        self.assertEqual(session.activity.last_activity, world.reactor.seconds())
        self.assertEqual(session.activity.counts, Counts(5, 0, 0, 5))
        self.assertEqual(world.factory.counts.performed, 1)
        client.close()
        self.assertEqual(
            (world.factory.counts.ended(Work.REQUEST), world.factory.sessions), (0, {})
        )

    def test_report_without(self) -> None:
        """When all peers have gone it still has the port."""
        world, client, port = self.many()
        peer, to_peer = self.relayed(world, client, port)
        peer.close()
        to_peer.close()
        world.settle()
        (session,) = world.sessions
        (told,) = actives(session, 1)
        self.assertEqual(str(told.path.source), BOUND_THERE)


class RefusedTests(ForwardingCase):
    """Peers that are not, and clients that cannot be reached."""

    def test_blocked(self) -> None:
        """A rule that blocks a peer costs nobody else anything."""
        world, client, port = self.many()
        blocked = at("203.0.113.9", 9)
        peer = port.come(blocked)
        self.assertEqual(peer.recv(9), b"")
        line = f"block(2): tcp/bindreply ]: {blocked} {BOUND_THERE} -> 0.0.0.0.0 10.0.0.9.50000"
        self.assertEqual(world.lines()[2:], [line])
        self.relayed(world, client, port)

    def test_names(self) -> None:
        """A rule with a name about the peer has it looked up, and others wait."""
        text = EXTENDED.replace("203.0.113.0/24", ".example.org")
        world, _, port = self.many(text)
        world.hosts = {"peer.example.org": [PEER.host]}
        peer = port.come(PEER)
        self.assertEqual(world.dials, [])
        world.look_up()
        self.assertEqual(peer.recv(9), b"")
        self.assertEqual(len(self.parted(world)), 1)
        self.assertEqual(len(world.sessions), 1)

    def test_refused(self) -> None:
        """A client that does not listen ends the port, as in Dante."""
        for immediate in (False, True):
            world, _, port = self.many(f"internal.log.warning.error: ECONNREFUSED\n{EXTENDED}")
            if immediate:
                world.unreachable["10.0.0.9"] = errno.ECONNREFUSED
            peer = port.come(PEER)
            if not immediate:
                world.dials[0].decide(errno.ECONNREFUSED)
                world.settle()
            source = "127.0.0.1.40000"
            text = f"connect(2) to 10.0.0.9.50000 from {source} failed: Connection refused"
            self.assertEqual(
                world.lines()[2:],
                [
                    "connect to host 10.0.0.9.50000 failed: Connection refused",
                    f"block(3): tcp/bindreply ]: {PEER} {BOUND_THERE} -> 0.0.0.0.0 {source}:"
                    f" {text}",
                    f"block(1): tcp/bind ]: {NEAR} -> {BOUND_THERE} 0.0.0.0.0: {text}",
                    f"block(1): tcp/accept ]: {NEAR}:"
                    f" request was not performed due to error: {text}",
                ],
            )
            self.assertEqual(peer.recv(9), b"")
            world.check_over()

    def test_scarce(self) -> None:
        """Where we lack descriptors only the peer is lost."""
        world, client, port = self.many()
        world.unreachable["10.0.0.9"] = errno.EMFILE
        self.assertEqual(port.come(PEER).recv(9), b"")
        world.unreachable.clear()
        self.relayed(world, client, port)

    def test_unaccepted(self) -> None:
        """A peer that cannot be accepted is so later."""
        world, _, port = self.many()
        port.trouble.append(errno.EMFILE)
        port.come(PEER)
        self.assertEqual(world.dials, [])
        world.wait(2)
        self.assertEqual(len(world.dials), 1)

    def test_late(self) -> None:
        """``timeout.connect`` limits the connection to the client."""
        text = EXTENDED.replace("10.0.0.9/32 command", "10.0.0.9/32 timeout.connect: 5\ncommand")
        world, _, port = self.many(text)
        port.come(PEER)
        world.wait(5)
        self.assertEqual(self.parted(world), [])
        world.wait(3)
        (parted,) = self.parted(world)
        self.assertEqual(parted.ending.errno, errno.ETIMEDOUT)
        self.assertIn("Connection timed out", world.lines()[-1])
        world.check_over()


class EndTests(ForwardingCase):
    """How it is over."""

    def test_gives_up(self) -> None:
        """A client that closes takes all with it, whatever they are at."""
        world, client, port = self.many()
        self.relayed(world, client, port)
        self.reached(world, port)
        port.come(PEER)
        client.close()
        self.assertEqual(world.ending, Ending(Side.CLIENT, Phase.CONNECT, Cause.CLOSED))
        self.assertFalse(port.open)
        world.check_over()

    def test_stopped(self) -> None:
        """So does the server's end."""
        world, client, port = self.many()
        self.relayed(world, client, port)
        self.reached(world, port)
        (session,) = world.sessions
        session.stop()
        told = [line for line in world.lines() if " ]: " in line]
        self.assertEqual(len(told), 3)
        self.assertTrue(all("administrative termination" in line for line in told), told)
        world.check_over()

    def test_nonsense(self) -> None:
        """What is no question is an error, in Dante's words."""
        for said in (b"junk", b"\x05\x09\x00\x01", b"\x04\x09"):
            world, client, _ = self.many()
            client.send(said)
            text = "receiving request from client failed (no system error)"
            self.assertEqual(
                world.lines()[2:],
                [
                    f"block(1): tcp/bind ]: {NEAR} -> {BOUND_THERE} 0.0.0.0.0: {text}",
                    f"block(1): tcp/accept ]: {NEAR}:"
                    f" request was not performed due to error: {text}",
                ],
            )
            world.check_over()

    def test_early_nonsense(self) -> None:
        """Also if it came behind the request."""
        world = self.world(EXTENDED)
        world.client(b"\x05\x01\x00" + socks5.build_request(Command.BIND, MANY) + b"junk")
        self.assertEqual(world.ending.cause, Cause.PROTOCOL)
        world.check_over()

    def test_deaf(self) -> None:
        """A client that does not listen to the answers is not answered for ever."""
        world, client, _ = self.many()
        question = socks5.build_request(Command.BIND, at("127.0.0.1", 1)) * 300
        for _ in range(1000):
            client.send(question)
            if world.ended:
                break
        self.assertIn("sending bind-response to client failed", world.ending.text)
        world.check_over()

    def test_idle(self) -> None:
        """``timeout.io`` limits how long a port has no peer, and how long a relay is silent."""
        text = EXTENDED.replace("command: bind connect", "timeout.io: 10\ncommand: bind connect")
        text = text.replace("10.0.0.9/32 command", "10.0.0.9/32 timeout.io: 30\ncommand")
        world, client, port = self.many(text)
        self.relayed(world, client, port)
        world.wait(29)
        self.assertEqual(self.parted(world), [])
        world.wait(3)
        (parted,) = self.parted(world)
        self.assertEqual(parted.ending.cause, Cause.TIMEOUT)
        self.assertEqual(world.ended, [])
        world.wait(12)
        self.assertEqual(world.ending, Ending(Side.US, Phase.CONNECT, Cause.TIMEOUT))
        self.assertIn("i/o timeout", world.lines()[-1])
        world.check_over()


class ReactorPortTests(PortTests):
    """The same with the portable poller."""

    make_poller = ReactorPoller


class ReactorRelayTests(RelayTests):
    """The same with the portable poller."""

    make_poller = ReactorPoller


class ReactorRefusedTests(RefusedTests):
    """The same with the portable poller."""

    make_poller = ReactorPoller


class ReactorEndTests(EndTests):
    """The same with the portable poller."""

    make_poller = ReactorPoller
