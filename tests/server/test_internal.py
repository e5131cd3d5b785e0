"""Tests of :mod:`dantetw.server.internal`, with interfaces made up of loopback addresses."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Mapping
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import ILogObserver
from twisted.trial.unittest import SynchronousTestCase

from dantetw.catalogue import PROGRAM
from dantetw.config import parse
from dantetw.crew.errors import UnusableError
from dantetw.crew.single import SingleProcess
from dantetw.net.interfaces import Interfaces
from dantetw.net.listening import Port
from dantetw.observe.journal import Journal
from dantetw.policy import Policy
from dantetw.server import internal
from dantetw.server.internal import MOST_TRIED, RETRY_SECONDS, SETTLE_SECONDS, InternalAddresses
from dantetw.session.ports import ListeningPorts
from dantetw.values import Endpoint
from tests.config.fakes import FakeSystem
from tests.quiet import quiet_port


class _Monitor:
    """Reports when the test says so."""

    def __init__(self, reports: bool = True) -> None:
        self.reports = reports
        self.started = False

    def start(self) -> None:
        self.started = True

    def stop(self) -> None:
        self.started = False


class _Server:
    """Serves clients, and takes ports."""

    def __init__(self) -> None:
        self.ports: Mapping[Endpoint, Port] = {}

    def listen(self, ports: Mapping[Endpoint, Port], grace: bool = True) -> Deferred[None]:
        self.ports = ports
        return succeed(None)


class _Crew:
    """Stands for processes that serve clients, and notes what it is asked."""

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal
        self.asked: list[str] = []

    async def prepare(
        self,
        policy: Policy,
        key: bytes,
        ports: Mapping[Endpoint, Port],
        authenticators: object = None,
        grace: bool = True,
    ) -> None:
        self.asked.append(f"prepare {len(ports)} {grace}")
        if self.refusal:
            raise UnusableError(self.refusal)

    async def commit(self, reopened: bool) -> None:
        self.asked.append(f"commit {reopened}")

    async def release(self) -> None:
        self.asked.append("release")


class _System(FakeSystem):
    """The machine that the configuration is read on."""

    def __init__(self, interfaces: Mapping[str, tuple[str, ...]]) -> None:
        self.interfaces = {**FakeSystem.interfaces, **interfaces}


class FollowingCase(SynchronousTestCase):
    """A server that follows interfaces."""

    def setUp(self) -> None:
        self.patch(internal, "raise_descriptors", lambda: 1024)
        self.clock = Clock()
        self.port = quiet_port()
        self.machine: dict[str, tuple[str, ...]] = {}
        self.failing: dict[str, int] = {}
        self.tried: list[str] = []
        self.looks = 0
        self.messages: list[tuple[str, str]] = []
        self.server = _Server()
        self.crew: Any = SingleProcess(cast(Any, self.server))
        self.ports = ListeningPorts(self.bind, lambda refused: None)
        self.addCleanup(lambda: self.ports.use({}))
        self.monitor = _Monitor()

    def bind(self, sock: Any, address: Any) -> None:
        """Bind, unless this address cannot be bound now."""
        self.tried.append(address[0])
        number = self.failing.get(address[0])
        if number:
            raise OSError(number, os.strerror(number))
        socket.socket.bind(sock, address)

    def read(self) -> Mapping[str, tuple[str, ...]]:
        """The interfaces as they are."""
        self.looks += 1
        return dict(self.machine)

    def note(self, event: Any) -> None:
        """Take a message."""
        message = event["event"]
        self.messages.append((message.code, message.text))

    def policy(self, *lines: str, rules: str = "") -> Policy:
        """A policy of these lines, ``PORT`` in which is the port."""
        text = "\n".join((*lines, "socksmethod: none", rules)).replace("PORT", str(self.port))
        parsed = parse(text.encode(), "sockd.conf", _System(self.machine), PROGRAM)
        assert parsed.policy is not None, parsed.problems
        return parsed.policy

    def follow(self, *lines: str, rules: str = "") -> InternalAddresses:
        """Begin."""
        policy = self.policy(*lines, rules=rules)
        made = self.following = InternalAddresses(
            self.clock,
            Journal(cast(ILogObserver, self.note)),
            self.ports,
            self.crew,
            Interfaces(self.read, lambda: None),
            cast(Any, self.monitor),
        )
        ports = made.bind(policy)
        self.server.listen(ports)
        self.ports.use(ports)
        made.follow(policy, b"key")
        self.clock.advance(SETTLE_SECONDS)
        self.addCleanup(made.stop)
        return made

    def change(self, **interfaces: Iterable[str]) -> None:
        """Let interfaces have these addresses from now on, and the kernel report it."""
        self.machine.update({name: tuple(found) for name, found in interfaces.items()})
        self.following._reported()
        self.clock.advance(SETTLE_SECONDS)

    def hosts(self) -> list[str]:
        """Where clients come in."""
        self.assertEqual(self.server.ports, self.ports.bound)
        return [endpoint.host for endpoint in self.ports.bound]


class InterfaceTests(FollowingCase):
    """Interfaces come, go and change."""

    def test_comes_and_goes(self) -> None:
        """The addresses of an interface are listened on for as long as it has them."""
        self.follow("internal: 127.0.0.2 port = PORT", "internal: tun0 port = PORT", "external: lo")
        self.assertEqual(self.hosts(), ["127.0.0.2"])
        self.change(tun0=["127.0.0.3", "127.0.0.4"])
        self.assertEqual(self.hosts(), ["127.0.0.2", "127.0.0.3", "127.0.0.4"])
        self.change(tun0=["127.0.0.4", "127.0.0.5"])
        self.assertEqual(self.hosts(), ["127.0.0.2", "127.0.0.4", "127.0.0.5"])
        self.change(tun0=[])
        self.assertEqual(self.hosts(), ["127.0.0.2"])
        self.change(tun0=["127.0.0.3"])
        self.assertEqual(self.hosts(), ["127.0.0.2", "127.0.0.3"])
        self.assertEqual(
            self.messages,
            [
                ("interface.up", "interface tun0 (internal) is there: 127.0.0.3, 127.0.0.4"),
                (
                    "interface.changed",
                    "interface tun0 (internal) has changed: gained 127.0.0.5, lost 127.0.0.3",
                ),
                (
                    "interface.down",
                    "interface tun0 (internal) is gone or has no address: it had 127.0.0.4,"
                    " 127.0.0.5",
                ),
                ("interface.up", "interface tun0 (internal) is there: 127.0.0.3"),
            ],
        )

    def test_none(self) -> None:
        """A server with no address to listen on yet runs."""
        self.follow("internal: tun0 port = PORT", "external: tun0")
        self.assertEqual(self.hosts(), [])
        self.change(tun0=["127.0.0.3"])
        self.assertEqual(self.hosts(), ["127.0.0.3"])
        self.assertIn("(internal, external)", self.messages[0][1])

    def test_families(self) -> None:
        """Addresses of other families do not count."""
        self.follow("internal.protocol: ipv4", "internal: tun0 port = PORT", "external: lo")
        self.change(tun0=["::1", "127.0.0.3"])
        self.assertEqual(self.hosts(), ["127.0.0.3"])

    def test_rules(self) -> None:
        """Interfaces of rules are reported, with the conditions that name them."""
        rules = "client pass { from: wg0 to: 0/0 }\nsocks pass { from: 0/0 to: fe80::1%wg0/64 }"
        self.follow("internal: lo port = PORT", "external: lo", rules=rules)
        self.change(wg0=["10.0.0.1"])
        self.assertEqual(
            self.messages, [("interface.up", "interface wg0 (from, to) is there: 10.0.0.1")]
        )

    def test_many(self) -> None:
        """A line names few of thousands of addresses."""
        self.follow("internal: 127.0.0.2 port = PORT", "external: tun0")
        self.change(tun0=[f"10.0.0.{number}" for number in range(100)])
        self.assertIn("10.0.0.7 and 92 more", self.messages[0][1])

    def test_nothing_to_follow(self) -> None:
        """Where no interface is named and all is there, nothing is watched or looked at."""
        self.follow("internal: 127.0.0.2 port = PORT", "external: 127.0.0.1")
        self.assertFalse(self.monitor.started)
        self.assertEqual((self.clock.getDelayedCalls(), self.looks), ([], 0))

    def test_reports(self) -> None:
        """While all is bound and the kernel reports changes, there are no looks in between."""
        self.machine["tun0"] = ("127.0.0.3",)
        self.follow("internal: tun0 port = PORT", "external: lo")
        self.assertTrue(self.monitor.started)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_bursts(self) -> None:
        """Many reports are one look."""
        self.follow("internal: 127.0.0.2 port = PORT", "external: tun0")
        before = self.looks
        self.change()
        once = self.looks - before
        for _ in range(50):
            self.following._reported()
        self.change()
        self.assertEqual(self.looks - before, 2 * once)

    def test_no_reports(self) -> None:
        """Where the kernel reports nothing, a look is taken each second."""
        self.monitor.reports = False
        self.follow("internal: tun0 port = PORT", "external: lo")
        self.machine["tun0"] = ("127.0.0.3",)
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.hosts(), ["127.0.0.3"])

    def test_stopped(self) -> None:
        """Nothing happens after the end."""
        made = self.follow("internal: tun0 port = PORT", "external: lo")
        made.stop()
        self.change(tun0=["127.0.0.3"])
        self.assertEqual((self.hosts(), self.clock.getDelayedCalls()), ([], []))

    def test_own_mistake(self) -> None:
        """A bug ends neither the server nor the following."""
        self.follow("internal: tun0 port = PORT", "external: lo")
        self.patch(self.following, "_report", lambda now: 1 / 0)
        self.change(tun0=["127.0.0.3"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.patch(self.following, "_report", lambda now: None)
        self.change()
        self.assertEqual(self.hosts(), ["127.0.0.3"])


class AddressTests(FollowingCase):
    """Addresses that cannot be bound."""

    def test_comes(self) -> None:
        """An address that the machine does not have is tried each second."""
        self.failing["127.0.0.3"] = errno.EADDRNOTAVAIL
        self.follow(
            "internal: 127.0.0.2 port = PORT", "internal: 127.0.0.3 port = PORT", "external: lo"
        )
        self.assertEqual(self.hosts(), ["127.0.0.2"])
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.messages, [])
        self.failing.clear()
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.hosts(), ["127.0.0.2", "127.0.0.3"])
        text = f"listening on 127.0.0.3.{self.port}, which could not be bound before"
        self.assertEqual(self.messages, [("internal.bound", text)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stale(self) -> None:
        """A port of a link that has gone, or has come back as another, is bound again."""
        stale: list[Port] = []
        self.patch(Port, "is_stale", property(lambda port: port in stale))
        self.follow("internal: 127.0.0.2 port = PORT", "external: tun0")
        (old,) = self.ports.bound.values()
        stale.append(old)
        self.change()
        self.assertEqual(self.hosts(), [])
        self.clock.advance(SETTLE_SECONDS)
        self.assertEqual(self.hosts(), ["127.0.0.2"])
        self.assertNotIn(old, self.ports.bound.values())

    def test_no_scope(self) -> None:
        """Neither does one whose link is missing keep the server from starting."""
        self.follow(
            "internal: 127.0.0.2 port = PORT", "internal: fe80::1%nosuchif0 port = PORT",
            "external: lo",
        )  # fmt: skip
        self.assertEqual(self.hosts(), ["127.0.0.2"])

    def test_not_ready(self) -> None:
        """An interface's address that cannot be bound yet is tried again without a word."""
        self.failing["127.0.0.3"] = errno.EADDRNOTAVAIL
        self.follow("internal: tun0 port = PORT", "external: lo")
        self.change(tun0=["127.0.0.3", "127.0.0.4"])
        self.assertEqual(self.hosts(), ["127.0.0.4"])
        self.failing.clear()
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.hosts(), ["127.0.0.3", "127.0.0.4"])
        self.assertEqual([code for code, _ in self.messages], ["interface.up"])

    def test_in_use(self) -> None:
        """What else keeps it from being bound is said once, and when it is over."""
        self.failing["127.0.0.3"] = errno.EADDRINUSE
        self.follow("internal: tun0 port = PORT", "external: lo")
        self.change(tun0=["127.0.0.3"])
        self.clock.advance(RETRY_SECONDS)
        self.clock.advance(RETRY_SECONDS)
        self.failing.clear()
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.hosts(), ["127.0.0.3"])
        self.assertEqual(
            [code for code, _ in self.messages],
            ["interface.up", "internal.unbound", "internal.bound"],
        )
        self.assertIn("Address already in use; it is tried again", self.messages[1][1])

    def test_lost_meanwhile(self) -> None:
        """What an interface loses while it is bound is waited for, whatever the failure."""

        def bind(sock: Any, address: Any) -> None:
            if address[0] == "127.0.0.3":
                self.machine["tun0"] = ("127.0.0.4",)
                raise PermissionError(errno.EPERM, "no address of the configuration")
            socket.socket.bind(sock, address)

        self.patch(self.ports, "_bind", bind)
        self.machine["tun0"] = ("127.0.0.3",)
        self.follow("internal: tun0 port = PORT", "external: lo")
        self.assertEqual(self.hosts(), ["127.0.0.4"])
        self.change(tun0=["127.0.0.3", "127.0.0.4"])
        self.assertEqual(self.hosts(), ["127.0.0.4"])
        self.assertEqual({code for code, _ in self.messages}, {"interface.changed"})

    def test_at_the_start(self) -> None:
        """At the start it is an error, and so is a missing address with ``interface.missing``."""
        for number, more in ((errno.EADDRINUSE, ""), (errno.EADDRNOTAVAIL, "fail")):
            self.failing["127.0.0.3"] = number
            keyword = f"interface.missing: {more or 'wait'}"
            self.assertRaises(
                UnusableError,
                self.follow,
                keyword,
                "internal: 127.0.0.3 port = PORT",
                "external: lo",
            )
            self.assertIn(os.strerror(number), self.messages.pop()[1])

    def test_exhausted(self) -> None:
        """Where descriptors run out, it is said how many there may be."""
        self.failing["127.0.0.3"] = errno.EMFILE
        lines = ("internal: 127.0.0.3 port = PORT", "external: lo")
        self.assertRaises(UnusableError, self.follow, *lines)
        self.assertIn("Too many open files (at most 1024 files can be open)", self.messages[0][1])

    def test_few_tried(self) -> None:
        """Of many addresses that no interface has some are tried at a time, all in the end."""
        hosts = [f"127.0.1.{number}" for number in range(1, 151)]
        self.failing = dict.fromkeys(hosts, errno.EADDRNOTAVAIL)
        self.follow(*(f"internal: {host} port = PORT" for host in hosts), "external: lo")
        self.tried.clear()
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(len(self.tried), MOST_TRIED)
        for _ in range(4):
            self.clock.advance(RETRY_SECONDS)
        self.assertEqual(set(self.tried), set(hosts))


class CrewTests(FollowingCase):
    """With workers."""

    def test_all(self) -> None:
        """Workers get ready, change, and let go, as at a reload."""
        crew = self.crew = _Crew()
        self.follow("internal: tun0 port = PORT", "external: lo")
        self.change(tun0=["127.0.0.3"])
        self.assertEqual(list(self.ports.bound), [Endpoint.of(("127.0.0.3", self.port))])
        self.assertEqual(crew.asked, ["prepare 1 False", "commit False", "release"])

    def test_refused(self) -> None:
        """If one cannot, nothing changes, and it is tried again."""
        crew = self.crew = _Crew("worker 1 does not answer")
        self.follow("internal: tun0 port = PORT", "external: lo")
        self.change(tun0=["127.0.0.3"])
        self.assertEqual((dict(self.ports.bound), crew.asked[1:]), ({}, []))
        self.assertIn("worker 1 does not answer", self.messages[-1][1])
        crew.refusal = ""
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(len(self.ports.bound), 1)

    def test_many_at_once(self) -> None:
        """More addresses than workers take at once come one batch after the other."""
        self.patch(internal, "MOST_DESCRIPTORS", 2)
        self.crew = _Crew()
        self.follow("internal: tun0 port = PORT", "external: lo")
        self.change(tun0=[f"127.0.0.{number}" for number in range(3, 8)])
        self.assertEqual(len(self.ports.bound), 2)
        self.clock.pump([SETTLE_SECONDS] * 3)
        self.assertEqual(len(self.ports.bound), 5)

    def test_reload(self) -> None:
        """A change waits for a reload that is under way, and goes by what that has brought."""
        made = self.follow("internal: tun0 port = PORT", "external: lo")
        made.lock.acquire()
        self.change(tun0=["127.0.0.3"], tun1=["127.0.0.4"])
        self.assertEqual(self.hosts(), [])
        policy = self.policy("internal: tun1 port = PORT", "external: lo")
        ports = made.bind(policy)
        self.server.listen(ports)
        self.ports.use(ports, policy)
        made.follow(policy, b"key")
        made.lock.release()
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.hosts(), ["127.0.0.4"])
