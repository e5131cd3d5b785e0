"""Tests of the address that a client announces with UDP ASSOCIATE."""

from __future__ import annotations

import json
import socket

from dantetw.observe.formats.json import Json
from dantetw.relay import egress
from dantetw.values import Drop, Endpoint, Family
from tests.session.datagrams import (
    ANYWHERE,
    HEAD,
    HERE,
    HOME,
    LOG,
    NEAR,
    OPEN,
    AssociateCase,
    Visit,
    asking,
)
from tests.session.world import Client, World

#: Where a client behind address translation believes to be.
LAN = Endpoint("10.1.2.3", 15000, Family.IPV4)
ELSEWHERE = Endpoint("127.0.0.2", 15000, Family.IPV4)
SIX = Endpoint("::1", 50000, Family.IPV6)
OURS = f"socks pass {{ from: 127.0.0.1/32 to: 0/0\n {LOG} }}\n"


def rules(socks: str) -> str:
    """A configuration with these socks rules."""
    return f"socksmethod: none\nclient pass {{ from: 0/0 to: 0/0\n {LOG} }}\n{socks}"


class AnnouncingTests(AssociateCase):
    """Which announced addresses are served."""

    def asked(self, world: World, announced: Endpoint, peer: Endpoint = HOME) -> Client:
        """A client that has asked for an association."""
        local = HERE if peer.family is Family.IPV4 else Endpoint("::1", 1080, Family.IPV6)
        client = world.client(asking(announced), peer=peer, local=local)
        world.look_up()
        return client

    def code(self, world: World, announced: Endpoint, peer: Endpoint = HOME) -> int:
        """The reply to such a request."""
        return self.asked(world, announced, peer).hear()[3]

    def test_compared(self) -> None:
        """A complete announced address is compared with ``from``, as with Dante."""
        self.assertEqual(self.code(self.world(rules(OURS)), LAN), 2)
        self.assertEqual(self.code(self.world(rules(OURS)), ANYWHERE), 0)
        here = Endpoint("127.0.0.1", 15000, Family.IPV4)
        self.assertEqual(self.code(self.world(rules(OURS)), here), 0)
        # Without a port nobody knows yet what is compared.
        world = self.world(rules(OURS))
        self.assertEqual(self.code(world, Endpoint("10.1.2.3", 0, Family.IPV4)), 0)

    def test_compared_port(self) -> None:
        """Its port is compared too."""
        text = OURS.replace("127.0.0.1/32", "127.0.0.1/32 port ge 50000")
        for port, code in ((0, 0), (49999, 2), (50000, 0)):
            announced = Endpoint("127.0.0.1", port, Family.IPV4)
            self.assertEqual(self.code(self.world(rules(text)), announced), code, port)

    def test_both(self) -> None:
        """The client's connection is compared as well, and decides which rule is the session's."""
        text = rules(
            f"socks pass {{ from: 127.0.0.2/32 to: 0/0\n {LOG} }}\n"
            f"socks pass {{ from: 127.0.0.1/32 to: 0/0\n {LOG} }}\n"
        )
        world = self.world(text)
        self.assertEqual(self.code(world, ELSEWHERE), 0)
        self.assertTrue(
            world.lines()[1].startswith("pass(2): udp/udpassociate [: 127.0.0.2.15000 ")
        )
        text = rules(f"socks pass {{ from: 127.0.0.2/32 to: 0/0\n {LOG} }}\n")
        self.assertEqual(self.code(self.world(text), ELSEWHERE), 2)

    def test_refusal_told(self) -> None:
        """A refusal names who asked, the rule, and the announced address if it is about that."""
        block = f"socks block {{ from: 10.0.0.0/8 to: 0/0\n {LOG} }}\n"
        world = self.world(rules(block + OURS))
        self.assertEqual(self.code(world, LAN), 2)
        said = "announced address 10.1.2.3.15000"
        self.assertEqual(
            world.lines()[1:],
            [
                f"block(1): udp/udpassociate ]: {NEAR}: {said}",
                f"block(1): tcp/accept ]: {NEAR}: blocked by higher-level socks-rule #1: {said}",
            ],
        )
        world = self.world(rules(block.replace("10.0.0.0/8", "0/0")))
        self.assertEqual(self.code(world, ANYWHERE), 2)
        self.assertEqual(world.lines()[1], f"block(1): udp/udpassociate ]: {NEAR}")
        world.check_over()

    def test_refusal_told_default(self) -> None:
        """That no rule matched is told beside it."""
        world = self.world(rules(OURS))
        self.asked(world, LAN)
        said = "announced address 10.1.2.3.15000: no rules matched; using default block rule"
        self.assertEqual(
            world.lines()[-1],
            f"block(1): tcp/accept ]: {NEAR}: blocked by higher-level socks-rule #0: {said}",
        )

    def test_refusal_json(self) -> None:
        """JSON has the client and what it announced."""
        world = self.world(rules(OURS))
        self.asked(world, LAN)
        ((_, text),) = Json().lines(world.ended[0])
        record = json.loads("{" + text[text.index('"') :])
        self.assertEqual(record["client"], {"host": "127.0.0.1", "port": 50000})
        self.assertEqual(record["asked"], {"host": "10.1.2.3", "port": 15000})

    def test_name_first(self) -> None:
        """A name without an address is refused before the rules are asked."""
        world = self.world(rules(f"socks block {{ from: 0/0 to: 0/0\n {LOG} }}\n"))
        self.assertEqual(self.code(world, Endpoint("nowhere.example", 0, Family.NAME)), 4)

    def test_rules_first(self) -> None:
        """The rules are asked before a name is refused whose address is of another family."""
        named = Endpoint("six.example", 15000, Family.NAME)
        world = self.world(rules(f"socks pass {{ from: 0/0 to: 0/0\n {LOG} }}\n"))
        world.hosts["six.example"] = ["2001:db8::6"]
        self.assertEqual(self.code(world, named), 8)
        text = "no IPv6 address found amongst the internal addresses"
        self.assertEqual(world.lines()[1], f"block(1): udp/udpassociate ]: {NEAR}: {text}")
        world.check_over()
        world = self.world(rules(f"socks block {{ from: 0/0 to: 0/0\n {LOG} }}\n"))
        world.hosts["six.example"] = ["2001:db8::6"]
        self.assertEqual(self.code(world, named), 2)

    def test_all_targets_blocked(self) -> None:
        """A block rule that covers all that we can go out to refuses the association itself."""
        text = rules(
            f"socks block {{ from: 0/0 to: 0.0.0.0/0\n {LOG} }}\n"
            f"socks pass {{ from: 0/0 to: 0/0\n {LOG} }}\n"
        )
        four = HEAD.replace("external: ::1\n", "")
        self.assertEqual(self.code(self.world(text, four), ANYWHERE), 2)
        self.assertEqual(self.code(self.world(text), ANYWHERE), 0)

    def test_socks4_rule(self) -> None:
        """A rule for SOCKS 4 only blocks it, also where it announces what cannot be served."""
        text = rules(
            f"socks pass {{ from: 0/0 to: 0/0\n proxyprotocol: socks_v4\n {LOG} }}\n",
        )
        self.assertEqual(self.code(self.world(text), ANYWHERE), 2)
        self.assertEqual(self.code(self.world(text), Endpoint("2001:db8::5", 5, Family.IPV6)), 8)
        self.assertEqual(self.code(self.world(text), Endpoint("no.example", 5, Family.NAME)), 4)

    def test_unreachable(self) -> None:
        """An announced address that there is no way to is refused."""
        world = self.world()
        announced = Endpoint("255.255.255.255", 15000, Family.IPV4)
        self.assertEqual(self.code(world, announced), 4)
        line = world.lines()[1]
        self.assertTrue(
            line.startswith(f"block(1): udp/udpassociate ]: {NEAR}: connect(2) to "), line
        )
        world.check_over()

    def test_strangers_told(self) -> None:
        """Strangers are a block, as with Dante: ``log: error`` alone does not tell of them."""
        for log, told in (("error", False), ("connect", True)):
            text = rules(f"socks pass {{ from: 0/0 to: 0/0\n log: {log} }}\n")
            world = self.world(text)
            visit = self.visit(world, Endpoint("127.0.0.1", 9, Family.IPV4))
            _, target = self.target()
            visit.say(b"x", target)
            self.assertEqual("expected udp packet" in world.lines()[-1], told, log)

    def test_strangers_from_the_beginning(self) -> None:
        """Where an address was announced, what others send first is told too, and not relayed."""
        world = self.world()
        client = self.sock()
        visit = self.visit(world, Endpoint.of(client.getsockname()))
        sock, target = self.target()
        visit.say(b"evil", target)
        self.assertRaises(BlockingIOError, sock.recv, 9)
        visit.sock = client
        visit.say(b"x", target)
        self.assertEqual(sock.recv(9), b"x")
        visit.control.close()
        self.assertEqual(self.drops(world), {Drop.STRANGER: 1})


class ConnectedTests(AssociateCase):
    """``udp.source: connected``: clients behind address translation."""

    def test_another_address(self) -> None:
        """Who announces an address that nobody sees is served from that of its connection."""
        for text in (
            "udp.source: connected\n" + rules(OURS),
            rules(OURS.replace("to: 0/0", "to: 0/0 udp.source: connected")),
        ):
            world = self.world(text)
            visit = self.visit(world, LAN)
            sock, target = self.target()
            visit.say(b"x", target)
            self.assertEqual(sock.recv(9), b"x")
            visit.control.close()
            world.check_over()

    def test_another_port(self) -> None:
        """Who announces another port than it sends from is served too."""
        world = self.world("udp.source: connected\n" + OPEN)
        visit = self.visit(world, Endpoint("127.0.0.1", 9, Family.IPV4))
        sock, target = self.target()
        visit.say(b"x", target)
        self.assertEqual(sock.recv(9), b"x")

    def test_announced(self) -> None:
        """An announced address that fits is served as well, if it sends first."""
        world = self.world("udp.source: connected\n" + OPEN)
        client = self.sock()
        client.connect(("127.0.0.1", 9))
        visit = self.visit(world, Endpoint("127.0.0.2", 0, Family.IPV4))
        with socket.socket(type=socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.2", 0))
            visit.sock = other
            sock, target = self.target()
            visit.say(b"x", target)
            self.assertEqual(sock.recv(9), b"x")

    def test_nobody_else(self) -> None:
        """Others are not served, and who has sent first stays."""
        world = self.world("udp.source: connected\n" + OPEN)
        visit = self.visit(world, LAN)
        sock, target = self.target()
        first = visit.sock
        with socket.socket(type=socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.3", 0))
            visit.sock = other
            visit.say(b"evil", target)
        visit.sock = first
        visit.say(b"x", target)
        visit.sock = self.sock()
        visit.say(b"late", target)
        self.assertEqual(sock.recv(9), b"x")
        self.assertRaises(BlockingIOError, sock.recv, 9)
        visit.control.close()
        self.assertEqual(self.drops(world), {Drop.STRANGER: 2})

    def test_other_family(self) -> None:
        """An announced address of a family that we do not have is no reason to refuse."""
        world = self.world("udp.source: connected\n" + OPEN)
        visit = self.visit(world, Endpoint("2001:db8::5", 5, Family.IPV6))
        sock, target = self.target()
        visit.say(b"x", target)
        self.assertEqual(sock.recv(9), b"x")

    def test_default(self) -> None:
        """A rule may say that only announced addresses are served."""
        text = "udp.source: connected\n" + rules(
            OURS.replace("to: 0/0", "to: 0/0 udp.source: announced")
        )
        world = self.world(text)
        client = world.client(asking(LAN), peer=HOME)
        self.assertEqual(client.hear()[3], 2)

    def test_datagrams_judged(self) -> None:
        """Rules about datagrams see where they really come from."""
        block = f"socks block {{ from: 127.0.0.1/32 port ge 1 to: 127.0.0.1/32\n {LOG} }}\n"
        world = self.world("udp.source: connected\n" + rules(block + OURS))
        visit = self.visit(world, LAN)
        sock, target = self.target()
        visit.say(b"x", target)
        self.assertRaises(BlockingIOError, sock.recv, 9)
        visit.control.close()
        self.assertEqual(self.drops(world), {Drop.BLOCKED: 1})


class UnaskedTests(AssociateCase):
    """``udp.connectdst: no``: rules are asked about answers of whom nobody has asked."""

    def test_passed(self) -> None:
        """They are relayed if ``udpreply`` lets them pass."""
        world = self.world("udp.connectdst: no\n" + OPEN)
        visit, sock, _ = self.asked(world)
        other, where = self.target()
        other.sendto(b"hello", self.source(visit))
        world.settle()
        self.assertEqual(visit.hear(), [(where, b"hello")])
        sock.sendto(b"answer", self.source(visit))
        world.settle()
        self.assertEqual([text for _, text in visit.hear()], [b"answer"])
        visit.control.close()
        self.assertEqual(self.drops(world), {})

    def test_blocked(self) -> None:
        """They are dropped, told and counted if it does not."""
        text = rules(
            f"socks block {{ from: 127.0.0.3/32 to: 0/0\n command: udpreply\n {LOG} }}\n"
            f"socks pass {{ from: 0/0 to: 0/0\n {LOG} }}\n"
        )
        world = self.world("udp.connectdst: no\n" + text)
        visit, _, _ = self.asked(world)
        with socket.socket(type=socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.3", 0))
            for _ in range(2):
                other.sendto(b"hello", self.source(visit))
            world.settle()
            where = Endpoint.of(other.getsockname())
        self.assertEqual(visit.hear(), [])
        self.assertIn(f"block(1): udp/udpreply -: {where} ", world.lines()[-1])
        visit.control.close()
        self.assertEqual(self.drops(world), {Drop.BLOCKED: 2})

    def test_default(self) -> None:
        """By default nobody is relayed who was not asked."""
        world = self.world()
        visit, _, _ = self.asked(world)
        _, where = self.target()
        visit.say(b"y", where)  # from now on there is a socket for others
        other, _ = self.target()
        other.sendto(b"hello", self.source(visit))
        world.settle()
        self.assertEqual(visit.hear(), [])
        visit.control.close()
        self.assertEqual(self.drops(world), {Drop.STRANGER: 1})

    def test_many(self) -> None:
        """However many send something, few are remembered."""
        self.patch(egress, "MAX_UNSOLICITED", 2)
        self.patch(egress, "MAX_UNDECIDED", 2)
        world = self.world("udp.connectdst: no\n" + OPEN)
        visit, _, _ = self.asked(world)
        for _ in range(5):
            other, _ = self.target()
            other.sendto(b"hello", self.source(visit))
        world.settle()
        self.assertEqual(len(visit.hear()), 5)
        (way,) = visit.association.relay.egresses.values()
        self.assertEqual(len(way._unsolicited or ()), 2)
        visit.control.close()
        world.check_over()

    def test_many_wait(self) -> None:
        """However many send something while names are looked up, few questions are asked."""
        self.patch(egress, "MAX_UNDECIDED", 2)
        text = rules(
            f"socks block {{ from: evil.example to: 0/0\n command: udpreply\n {LOG} }}\n"
            f"socks pass {{ from: 0/0 to: 0/0\n {LOG} }}\n"
        )
        world = self.world("udp.connectdst: no\n" + text)
        world.hosts["evil.example"] = ["192.0.2.66"]
        visit, _, _ = self.asked(world)
        for _ in range(5):
            other, _ = self.target()
            other.sendto(b"hello", self.source(visit))
        world.settle()
        self.assertEqual(visit.hear(), [])
        world.look_up()
        self.assertEqual(len(visit.hear()), 2)
        visit.control.close()
        self.assertEqual(self.drops(world), {Drop.OVERFLOW: 3})
        world.check_over()

    def asked(self, world: World) -> tuple[Visit, socket.socket, Endpoint]:
        """A client that has sent something to a target."""
        visit = self.visit(world)
        sock, target = self.target()
        visit.say(b"x", target)
        self.assertEqual(sock.recv(9), b"x")
        return visit, sock, target

    @staticmethod
    def source(visit: Visit) -> tuple[str, int]:
        """Where we have gone out from."""
        (way,) = visit.association.relay.egresses.values()
        return way.source.host, way.source.port
