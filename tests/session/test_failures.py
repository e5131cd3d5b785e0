"""Tests of :mod:`dantetw.session.failures`: what a session's failures make known, and to whom."""

from __future__ import annotations

import errno
import socket

from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe.events import ConnectFailed, Event, ResolveFailed, TrafficFailed
from dantetw.policy import Edge
from dantetw.values import Endpoint, Family, Operation, Severity
from tests.session.world import CLIENT, GREETING, NAMED, TARGET, World, compiled, request

S = Severity

#: Everything is told, and of which side it is by its level.
ALL = """
external.log.warning.error: system-any dns-any
internal.log.err.error: system-any dns-any
"""
RULES = """
socksmethod: none
{first}
client pass {{ from: 0/0 to: 0/0 {client} }}
socks pass {{ from: 0/0 to: 198.51.100.0/24 {socks} }}
socks pass {{ from: 0/0 to: 0/0 external.log.emerg.error: ECONNREFUSED EAI_NONAME }}
"""
#: The target whose rule has lines of its own that no other session may feel.
ELSEWHERE = Endpoint("203.0.113.5", 80, Family.IPV4)


def rules(text: str = "", client: str = "", socks: str = "", first: str = "") -> str:
    """
    A configuration, with lines in the rules that a session to ``TARGET`` is under.

    :param first: a rule that is asked before these.
    """
    return text + RULES.format(client=client, socks=socks, first=first)


def failures(world: World) -> list[Event]:
    """The failures that were told."""
    kinds = (ConnectFailed, TrafficFailed, ResolveFailed)
    return [event for event in world.events if isinstance(event, kinds)]


class Nameless(World):
    """A world in which nobody knows the name of an address."""

    def _getnameinfo(self, sockaddr: tuple[str, int], flags: int) -> tuple[str, str]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


class ConnectTests(SynchronousTestCase):
    """Targets that cannot be reached."""

    def refused(
        self, text: str, number: int = errno.ECONNREFUSED, target: Endpoint = TARGET
    ) -> list[Event]:
        """What is told of a target that refuses in the end."""
        world = World(self, text)
        world.client(GREETING + request(target))
        world.dials[-1].decide(number)
        world.settle()
        world.check_over()
        return failures(world)

    def test_event(self) -> None:
        """It has the target, the error, the session, and the severity that was asked for."""
        (told,) = self.refused(rules("external.log.notice.error: ECONNREFUSED"))
        self.assertEqual(
            told,
            ConnectFailed(
                S.NOTICE,
                Edge.EXTERNAL,
                TARGET,
                "ECONNREFUSED",
                errno.ECONNREFUSED,
                1,
                client=CLIENT,
            ),
        )

    def test_at_once(self) -> None:
        """A failure of ``connect`` itself is told too, before the session's end."""
        world = World(self, rules(ALL))
        world.unreachable[TARGET.host] = errno.ENETUNREACH
        world.client(GREETING + request())
        (told,) = failures(world)
        self.assertEqual(
            told,
            ConnectFailed(
                S.WARNING, Edge.EXTERNAL, TARGET, "ENETUNREACH", errno.ENETUNREACH, 1, client=CLIENT
            ),
        )

    def test_before_the_end(self) -> None:
        """The failure is told first, then the end."""
        world = World(self, rules(ALL, socks="log: error"))
        world.client(GREETING + request())
        world.dials[-1].decide(errno.ECONNREFUSED)
        world.settle()
        self.assertEqual(
            [type(event).__name__ for event in world.events], ["ConnectFailed", "Ended"]
        )

    def test_unasked(self) -> None:
        """What nobody asked for is not told: another symbol, the other side, another rule."""
        for text in (
            rules(),
            rules("external.log.err.error: ENETUNREACH dns-any"),
            rules("internal.log.err.error: ECONNREFUSED"),
            rules(client="internal.log.err.error: system-any"),
        ):
            self.assertEqual(self.refused(text), [], text)

    def test_debug(self) -> None:
        """With ``debug`` it is told all the same, as such."""
        world = World(self, rules())
        world.factory.journal.debug = 1
        world.client(GREETING + request())
        world.dials[-1].decide(errno.ECONNREFUSED)
        world.settle()
        (told,) = failures(world)
        assert isinstance(told, ConnectFailed)
        self.assertIs(told.severity, S.DEBUG)

    def test_rules(self) -> None:
        """Lines of both rules count as the global ones do; it is told once, as the most severe."""
        line = "external.log.{}.error: ECONNREFUSED"
        everything = ("emerg", "alert", "crit", "err", "warning", "notice", "info")
        for levels in (
            ("err", "", ""),
            ("", "err", ""),
            ("", "", "err"),
            ("err", "info", "notice"),
            ("notice", "err", "info"),
            ("info", "notice", "err"),
        ):
            text = rules(*(line.format(level) if level else "" for level in levels))
            told = self.refused(text)
            self.assertEqual([event.severity for event in told], [S.ERROR], text)  # type: ignore
        for level in everything:
            both = f"{line.format(level)}\n{line.format('info')}\n"
            (event,) = self.refused(rules(both, both, both))
            assert isinstance(event, ConnectFailed)
            self.assertEqual(event.severity, everything.index(level))

    def test_other_rule(self) -> None:
        """A rule's lines do not count for the sessions of another."""
        text = rules("external.log.info.error: ECONNREFUSED")
        for target, severity in ((TARGET, S.INFO), (ELSEWHERE, S.EMERGENCY)):
            (told,) = self.refused(text, target=target)
            assert isinstance(told, ConnectFailed)
            self.assertIs(told.severity, severity)

    def test_time_limit(self) -> None:
        """``timeout.connect`` is told as a timeout of the system's would be."""
        world = World(self, rules("timeout.connect: 5\nexternal.log.warning.error: no-route"))
        world.client(GREETING + request())
        world.wait(7)
        self.assertEqual(
            failures(world),
            [
                ConnectFailed(
                    S.WARNING, Edge.EXTERNAL, TARGET, "ETIMEDOUT", errno.ETIMEDOUT, 1, client=CLIENT
                )
            ],
        )
        world.check_over()

    def test_reload(self) -> None:
        """A session keeps the lines it began with; the next one has the new ones."""
        world = World(self, rules("external.log.err.error: ECONNREFUSED"))
        world.client(GREETING + request())
        head = "internal: 127.0.0.1 port = 1080\nexternal: 192.0.2.1\nclientmethod: none\n"
        new = compiled(head + rules("external.log.info.error: ECONNREFUSED"))
        world.factory.adopt(new, {})
        world.client(GREETING + request())
        for dial in world.dials:
            dial.decide(errno.ECONNREFUSED)
        world.settle()
        severities = {event.session: event.severity for event in failures(world)}  # type: ignore
        self.assertEqual(severities, {1: S.ERROR, 2: S.INFO})


class TrafficTests(SynchronousTestCase):
    """Connections that stood."""

    def expect(self, world: World, edge: Edge, operation: Operation, number: int) -> None:
        """One failure was told: this."""
        severity, place = {
            Edge.INTERNAL: (S.ERROR, CLIENT),
            Edge.EXTERNAL: (S.WARNING, TARGET),
        }[edge]
        symbol = errno.errorcode[number]
        self.assertEqual(
            failures(world),
            [TrafficFailed(severity, edge, operation, place, symbol, number, 1, client=CLIENT)],
        )
        world.check_over()

    def test_target(self) -> None:
        """A target's reset is external."""
        world = World(self, rules(ALL))
        client, dial = world.connected()
        client.send(b"never read")
        dial.far.close()
        world.settle()
        self.expect(world, Edge.EXTERNAL, Operation.RECEIVE, errno.ECONNRESET)

    def test_client(self) -> None:
        """A client's reset is internal."""
        world = World(self, rules(ALL))
        client, _ = world.connected()
        client.close()  # without having read the answer
        self.expect(world, Edge.INTERNAL, Operation.RECEIVE, errno.ECONNRESET)

    def test_negotiating(self) -> None:
        """So it is before it has asked for anything."""
        world = World(self, rules(ALL))
        world.client(GREETING).close()
        self.expect(world, Edge.INTERNAL, Operation.RECEIVE, errno.ECONNRESET)

    def test_sending(self) -> None:
        """Who has shut its end and does not take more has failed in being sent to."""
        world = World(self, rules(ALL))
        client, dial = world.connected()
        client.hear()
        dial.far.shutdown(socket.SHUT_RDWR)
        client.send(b"too late")
        self.expect(world, Edge.EXTERNAL, Operation.SEND, errno.EPIPE)

    def test_no_failures(self) -> None:
        """An orderly end, time limits, the server's stop and bad requests are no failures."""
        world = World(self, rules(ALL + "timeout.io: 5\ntimeout.negotiate: 5"))
        client, dial = world.connected()
        client.hear()
        client.shut()
        dial.far.close()
        world.settle()
        world.client(b"GET / HTTP/1.1\r\n\r\n")
        world.client(GREETING + request(Endpoint("198.51.100.7", 0, Family.IPV4)))
        world.client(GREETING)
        world.connected()
        world.wait(7)
        world.connected()
        world.factory.stop()
        self.assertEqual(failures(world), [])
        world.check_over()


class NameTests(SynchronousTestCase):
    """Names that do not resolve."""

    unknown = Endpoint("nosuchname.example", 80, Family.NAME)

    def test_target(self) -> None:
        """What a client asks for is external."""
        world = World(self, rules(ALL))
        world.client(GREETING + request(self.unknown))
        world.look_up()
        words = "Name or service not known for IPv4 address"
        self.assertEqual(
            failures(world),
            [
                ResolveFailed(
                    S.WARNING,
                    Edge.EXTERNAL,
                    self.unknown.host,
                    "EAI_NONAME",
                    words,
                    1,
                    client=CLIENT,
                )
            ],
        )
        world.check_over()

    def test_rule(self) -> None:
        """What stands in a rule is internal, and does not end the session."""
        world = World(self, rules(ALL, first="socks block { from: 0/0 to: nosuchname.example }"))
        world.client(GREETING + request())
        world.look_up()
        words = "Name or service not known"
        self.assertEqual(
            failures(world),
            [
                ResolveFailed(
                    S.ERROR, Edge.INTERNAL, self.unknown.host, "EAI_NONAME", words, 1, client=CLIENT
                )
            ],
        )
        self.assertEqual(len(world.dials), 1)

    def test_address(self) -> None:
        """An address whose name nobody can tell is told as one; the client's is internal."""
        world = Nameless(self, rules(ALL, first="client block { from: .example.org to: 0/0 }"))
        world.client()
        world.look_up()
        again = "Temporary failure in name resolution"
        self.assertEqual(
            failures(world),
            [
                ResolveFailed(
                    S.ERROR, Edge.INTERNAL, CLIENT.host, "EAI_AGAIN", again, 1, True, client=CLIENT
                )
            ],
        )
        self.assertEqual(
            world.lines(), [f"could not DNS reversemap address {CLIENT.host}: {again}"]
        )

    def test_target_address(self) -> None:
        """That of a target is external."""
        world = Nameless(self, rules(ALL, first="socks block { from: 0/0 to: .example.org }"))
        world.client(GREETING + request())
        world.look_up()
        again = "Temporary failure in name resolution"
        self.assertEqual(
            failures(world),
            [
                ResolveFailed(
                    S.WARNING,
                    Edge.EXTERNAL,
                    TARGET.host,
                    "EAI_AGAIN",
                    again,
                    1,
                    True,
                    client=CLIENT,
                )
            ],
        )

    def test_time_limit(self) -> None:
        """A look-up that takes too long is told once, also when it fails in the end."""
        world = World(self, rules("timeout.connect: 5\nexternal.log.warning.error: EAI_AGAIN"))
        world.client(GREETING + request(self.unknown))
        world.wait(7)
        world.look_up()
        again = "Temporary failure in name resolution"
        self.assertEqual(
            failures(world),
            [
                ResolveFailed(
                    S.WARNING,
                    Edge.EXTERNAL,
                    self.unknown.host,
                    "EAI_AGAIN",
                    again,
                    1,
                    client=CLIENT,
                )
            ],
        )
        world.check_over()

    def test_unasked(self) -> None:
        """Nothing is told that nobody asked for."""
        world = World(self, rules("external.log.warning.error: EAI_AGAIN system-any"))
        world.client(GREETING + request(self.unknown))
        world.look_up()
        self.assertEqual(failures(world), [])

    def test_group(self) -> None:
        """``dns-any`` finds a name without an address too."""
        world = World(self, rules("external.log.crit.error: dns-any"))
        world.hosts[NAMED.host] = []
        world.client(GREETING + request(NAMED))
        world.look_up()
        (told,) = failures(world)
        assert isinstance(told, ResolveFailed)
        self.assertEqual((told.severity, told.symbol), (S.CRITICAL, "EAI_NODATA"))
