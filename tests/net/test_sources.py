"""Tests of :mod:`dantetw.net.sources`."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.sources import CACHE_SECONDS, NoSource, Sources
from dantetw.net.zones import kernel_choice
from dantetw.policy import BUILT_IN, External, Policy, Rotation
from dantetw.values import Endpoint, Family, ReplyCode

CLIENT = Endpoint("192.0.2.77", 40000, Family.IPV4)
LOCAL = Endpoint("192.0.2.2", 1080, Family.IPV4)
TARGET = Endpoint("198.51.100.9", 80, Family.IPV4)
TARGET6 = Endpoint("2001:db8::9", 80, Family.IPV6)
BOTH = frozenset((Family.IPV4, Family.IPV6))


def external(*addresses: str, interface: str = "") -> External:
    """One ``external`` line."""
    return External(interface or addresses[0], interface, addresses, BUILT_IN)


def nobody_asks(*args: object) -> str:
    """Stands for what must not be called."""
    raise AssertionError(args)


class SourcesTests(SynchronousTestCase):
    """Which address a session goes out from."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[str] = []
        self.interfaces: dict[str, Sequence[str]] = {}

    def addresses_of(self, interface: str) -> Sequence[str]:
        """What an interface has now."""
        self.asked.append(interface)
        return self.interfaces.get(interface, ())

    def sources(
        self,
        *lines: External,
        rotation: Rotation = Rotation.NONE,
        families: frozenset[Family] = BOTH,
        route_to: Callable[[Endpoint], str] = nobody_asks,
    ) -> Sources:
        """Sources with these ``external`` lines."""
        policy = Policy(
            "/etc/sockd.conf", external=lines, external_families=families, rotation=rotation
        )
        return Sources(policy, self.addresses_of, self.clock.seconds, route_to)

    def choose(self, sources: Sources, target: Endpoint = TARGET) -> str:
        """The choice for our client."""
        return sources.choose(target, CLIENT, LOCAL)

    def test_first(self) -> None:
        """Without rotation it is the first address of the target's family."""
        sources = self.sources(
            external("2001:db8::1"), external("192.0.2.1"), external("192.0.2.2")
        )
        self.assertEqual(self.choose(sources), "192.0.2.1")
        self.assertEqual(self.choose(sources, TARGET6), "2001:db8::1")

    def test_order(self) -> None:
        """Addresses keep the order of the file, each once."""
        self.interfaces["eth0"] = ("192.0.2.3", "2001:db8::3", "192.0.2.1")
        sources = self.sources(external("192.0.2.1"), external(interface="eth0"))
        self.assertEqual(sources.addresses(Family.IPV4), ("192.0.2.1", "192.0.2.3"))
        self.assertEqual(sources.addresses(Family.IPV6), ("2001:db8::3",))

    def test_missing(self) -> None:
        """While no external interface has an address the network is out of reach, for all."""
        sources = self.sources(external(interface="tun0"), external(interface="wg0"))
        for target in (TARGET, TARGET6):
            none = self.assertRaises(NoSource, self.choose, sources, target)
            self.assertIs(none.reply, ReplyCode.NETWORK_UNREACHABLE)
            self.assertIn("tun0, wg0 are missing or without an address", none.text)
        self.assertEqual(sources.missing(), ("tun0", "wg0"))
        self.interfaces["wg0"] = ("192.0.2.3",)
        self.clock.advance(CACHE_SECONDS)
        self.assertEqual(self.choose(sources), "192.0.2.3")
        self.assertEqual(sources.missing(), ())
        none = self.assertRaises(NoSource, self.choose, sources, TARGET6)
        self.assertIs(none.reply, ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED)

    def test_families(self) -> None:
        """We can go out by the families that we have, and that are wanted."""
        lines = (external("192.0.2.1"), external("2001:db8::1"))
        for families in (BOTH, frozenset((Family.IPV4,)), frozenset((Family.IPV6,))):
            self.assertEqual(self.sources(*lines, families=families).families(), families)
        self.assertEqual(self.sources(lines[1]).families(), {Family.IPV6})
        self.assertEqual(self.sources().families(), frozenset())

    def test_no_address(self) -> None:
        """Without an address of the family it says so, in Dante's words."""
        for sources, target, said in (
            (self.sources(external("192.0.2.1")), TARGET6, "IPv6"),
            (self.sources(external("2001:db8::1")), TARGET, "IPv4"),
        ):
            none = self.assertRaises(NoSource, self.choose, sources, target)
            self.assertEqual(
                none.text,
                f"connect to {said} address requested, but no {said} address configured for our"
                " usage on the external interface",
            )
            self.assertEqual(none.reply, ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED)
            self.assertFalse(none.misrouted)

    def test_link_local(self) -> None:
        """A link-local target is reached from its own link, all others not from such an address."""
        self.interfaces["eth0"] = ("fe80::1%eth0", "2001:db8::1")
        self.interfaces["eth1"] = ("fe80::2%eth1",)
        eth0, eth1 = external(interface="eth0"), external(interface="eth1")
        sources = self.sources(eth0, eth1)
        for host, expected in (
            ("fe80::9%eth0", "fe80::1%eth0"),
            ("fe80::9%eth1", "fe80::2%eth1"),
            ("2001:db8::9", "2001:db8::1"),
            ("::", "2001:db8::1"),
        ):
            target = Endpoint(host, 80, Family.IPV6)
            self.assertEqual(self.choose(sources, target), expected)
        self.assertEqual(
            self.choose(self.sources(eth1), Endpoint("::", 0, Family.IPV6)), "fe80::2%eth1"
        )
        for lines, host in (
            ((eth0, eth1), "fe80::9%eth2"),
            ((eth0, eth1), "fe80::9"),
            ((eth1,), "2001:db8::9"),
        ):
            target = Endpoint(host, 80, Family.IPV6)
            none = self.assertRaises(NoSource, self.choose, self.sources(*lines), target)
            self.assertIn("none of the addresses configured on our external interface", none.text)
            self.assertIn("192.0.2.77.40000 to target " + str(target), none.text)
            self.assertTrue(none.misrouted)
            self.assertEqual(none.reply, ReplyCode.NETWORK_UNREACHABLE)

    def test_link_local_route(self) -> None:
        """Likewise by the kernel's choice."""
        self.interfaces["eth0"] = ("2001:db8::1", "fe80::1%eth0", "fe80::2%eth0")
        sources = self.sources(
            external(interface="eth0"), rotation=Rotation.ROUTE, route_to=lambda _: "fe80::2%eth0"
        )
        target = Endpoint("fe80::9%eth0", 80, Family.IPV6)
        self.assertEqual(self.choose(sources, target), "fe80::2%eth0")

    def test_route(self) -> None:
        """``route`` takes the kernel's choice, if it is one of ours."""
        lines = (external("192.0.2.1"), external("192.0.2.2"))
        sources = self.sources(*lines, rotation=Rotation.ROUTE, route_to=lambda _: "192.0.2.2")
        self.assertEqual(self.choose(sources), "192.0.2.2")

    def test_no_route(self) -> None:
        """Where there is no route any address will do: connecting has words for it."""

        def unreachable(target: Endpoint) -> str:
            raise OSError(errno.ENETUNREACH, "as if")

        sources = self.sources(external("192.0.2.1"), rotation=Rotation.ROUTE, route_to=unreachable)
        self.assertEqual(self.choose(sources), "192.0.2.1")

    def test_route_to_nobody(self) -> None:
        """For a BIND that expects nobody in particular the kernel has no route to tell."""
        sources = self.sources(
            external("192.0.2.1", "192.0.2.2"), rotation=Rotation.ROUTE, route_to=nobody_asks
        )
        anybody = Endpoint("0.0.0.0", 0, Family.IPV4)
        self.assertEqual(sources.choose(anybody, CLIENT, LOCAL), "192.0.2.1")

    def test_same_same(self) -> None:
        """``same-same`` goes out where the client came in."""
        lines = (external("192.0.2.1"), external("192.0.2.2"))
        sources = self.sources(*lines, rotation=Rotation.SAME_SAME)
        self.assertEqual(self.choose(sources), "192.0.2.2")

    def test_misrouted(self) -> None:
        """A choice that is not ``external`` is refused, in Dante's words."""
        for rotation in (Rotation.ROUTE, Rotation.SAME_SAME):
            sources = self.sources(
                external("192.0.2.1"), rotation=rotation, route_to=lambda _: "192.0.2.2"
            )
            none = self.assertRaises(NoSource, self.choose, sources)
            self.assertEqual(
                none.text,
                f"using external.rotation = {rotation.value}, local address 192.0.2.2 was"
                " selected for forwarding from our local client 192.0.2.77.40000 to target"
                " 198.51.100.9.80, but that local address is not set on our external"
                " interface(s).  Configuration error in /etc/sockd.conf?",
            )
            self.assertEqual(none.reply, ReplyCode.NETWORK_UNREACHABLE)
            self.assertTrue(none.misrouted)

    def test_believed(self) -> None:
        """An interface is asked again after a while, and not before."""
        self.interfaces["eth0"] = ("192.0.2.1",)
        sources = self.sources(external(interface="eth0"))
        self.assertEqual(self.choose(sources), "192.0.2.1")
        self.interfaces["eth0"] = ("192.0.2.5",)
        self.clock.advance(CACHE_SECONDS / 2)
        self.assertEqual(self.choose(sources), "192.0.2.1")
        self.assertEqual(self.asked, ["eth0"])
        self.clock.advance(CACHE_SECONDS / 2)
        self.assertEqual(self.choose(sources), "192.0.2.5")
        self.interfaces.clear()
        self.clock.advance(CACHE_SECONDS)
        self.assertRaises(NoSource, self.choose, sources)

    def test_addresses_stay(self) -> None:
        """Plain addresses are never asked for."""
        sources = self.sources(external("192.0.2.1"))
        for _ in range(3):
            self.clock.advance(CACHE_SECONDS)
            self.assertEqual(self.choose(sources), "192.0.2.1")
        self.assertEqual(self.asked, [])


class KernelChoiceTests(SynchronousTestCase):
    """Asking the kernel."""

    def test_loopback(self) -> None:
        """To ourselves we go out from ourselves, whatever the port."""
        for port in (0, 80):
            target = Endpoint("127.0.0.1", port, Family.IPV4)
            self.assertEqual(kernel_choice(target), "127.0.0.1")
