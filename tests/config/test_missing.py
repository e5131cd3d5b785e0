"""Tests of :mod:`dantetw.config.missing` and :mod:`dantetw.config.interfaces`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.trial.unittest import SynchronousTestCase

from dantetw.config.interfaces import is_alias, is_usual, may_be_interface
from dantetw.policy import HostKind
from tests.config.fakes import (
    FakeSystem,
    errors,
    policy_of,
    read,
    warnings,
    with_globals,
    with_rules,
)


class Machine(FakeSystem):
    """
    A machine with an interface more, which has no IPv6 address.

    :param asked: gets the names that are looked up.
    """

    interfaces: Mapping[str, Sequence[str]] = {**FakeSystem.interfaces, "vpn": ("10.8.0.1",)}

    def __init__(self, asked: list[str] | None = None) -> None:
        self.asked = asked

    def resolve(self, name: str) -> Sequence[str]:
        if self.asked is not None:
            self.asked.append(name)
        return super().resolve(name)


class NameTests(SynchronousTestCase):
    """Which words name interfaces."""

    def test_usual(self) -> None:
        """Names that systems and VPN programs give are interfaces, also before they exist."""
        for name in (
            "eth0",
            "eth0.100",
            "eth0.100.7",
            "eth0:1",
            "venet0:0",
            "eth0:pub",
            "tun0",
            "wg0",
            "ppp0",
            "br-1234",
            "br-0f3ac93ab2a1",
            "ens18",
            "enp3s0f1",
            "enx0123456789ab",
            "wlp2s0",
            "wlx01234567",
            "nordlynx",
            "proton0",
            "tap-soft",
        ):
            self.assertTrue(may_be_interface(name), name)
            self.assertEqual(is_usual(name), name != "wlx01234567", name)
            self.assertEqual(is_alias(name), ":" in name, name)

    def test_possible(self) -> None:
        """A word without dots may be either."""
        for name in ("pia", "gateway", "mullvad-de", "6in4-wan", "vpn_out"):
            self.assertTrue(may_be_interface(name), name)
            self.assertFalse(is_usual(name), name)

    def test_impossible(self) -> None:
        """What the kernel refuses, host names, addresses and placeholders are no interfaces."""
        for name in (
            "",
            "a",
            "all",
            "default",
            "localhost",
            "localhost:80",
            "x" * 16,
            "ü" * 8,
            "a/b",
            "a b",
            "a\0b",
            "example.org",
            "wg.example",
            "10.0.0.1",
            "10.0.0.1:80",
            "1234",
            "proxy:1080",
            "2001:db8:1",
            ":1",
            "eth0:",
            "EXT_IF",
            "IFACE",
            "__ext__",
            "\udcff",
        ):
            self.assertFalse(may_be_interface(name), name)
            self.assertFalse(is_usual(name), name)
            self.assertFalse(is_alias(name), name)


class AbsenceTests(SynchronousTestCase):
    """Interfaces and addresses that are not there."""

    def test_waits(self) -> None:
        """All that is missing is in one warning, in the order of the file."""
        parsed = read(
            "internal: tun0 port = 5\ninternal: 198.51.100.1 port = 5\ninternal: eth0:1\n"
            "external: nordlynx\nexternal: 198.51.100.2\n"
            "client pass { from: wg0 to: fe80::1%wg1/64 }\n"
        )
        policy = policy_of(parsed)
        self.assertEqual(
            [(line.interface, line.port) for line in policy.internal],
            [("tun0", 5), ("", 5), ("eth0:1", 1080)],
        )
        self.assertEqual(
            [(line.interface, line.addresses) for line in policy.external],
            [("nordlynx", ()), ("", ("198.51.100.2",))],
        )
        self.assertTrue(policy.waits)
        found = [text for text in warnings(parsed, ours=True) if "not there" in text]
        self.assertEqual(
            found,
            [
                'not there yet: "tun0" (internal, line 1), "198.51.100.1" (internal, line 2),'
                ' "eth0:1" (internal, line 3), "nordlynx" (external, line 4), "198.51.100.2"'
                ' (external, line 5), "wg0" (from, line 6), "fe80::1%wg1" (to, line 6); dantetw'
                " waits for them"
            ],
        )

    def test_fails(self) -> None:
        """With the keyword each is what it is in Dante, wherever the keyword stands."""
        lines = ("internal: tun0 port = 5", "external: nordlynx", "external: 198.51.100.2")
        for text in (("interface.missing: fail", *lines), (*lines, "interface.missing: fail")):
            parsed = with_globals(*text)
            found = [error.partition(" ")[2] for error in errors(parsed)]
            self.assertEqual(
                found,
                [
                    'could not resolve hostname "tun0"',
                    'could not resolve hostname "nordlynx"',
                    "checkconfig(): cannot bind external address: 198.51.100.2",
                ],
            )
            self.assertFalse(any("not there" in text for text in warnings(parsed, ours=True)))
        parsed = with_globals("internal: 198.51.100.1", "interface.missing: fail")
        (doubt,) = (text for text in warnings(parsed) if "addinternal" in text)
        self.assertIn("could not find address 198.51.100.1 on any network interface", doubt)
        policy = policy_of(with_rules("interface.missing: fail\nclient pass { from: wg0 to: 0/0 }"))
        self.assertIs(policy.client_rules[0].source.kind, HostKind.NAME)

    def test_families(self) -> None:
        """An interface with addresses of another family only is waited for."""
        parsed = read(
            "internal.protocol: ipv6\ninternal: vpn port = 5\nexternal: eth0\n", system=Machine()
        )
        policy = policy_of(parsed)
        self.assertEqual((policy.internal[0].listens, policy.internal[0].interface), ((), "vpn"))
        self.assertTrue(any("no IPv6 address" in text for text in warnings(parsed, ours=True)))

    def test_misspelt(self) -> None:
        """A name like that of an interface there is gets a hint; another number is none."""
        (text,) = warnings(with_globals("internal: eht0"), ours=True)
        self.assertIn('did you mean "eth0"?', text)
        (text,) = warnings(with_globals("internal: eth1"), ours=True)
        self.assertNotIn("did you mean", text)

    def test_refused(self) -> None:
        """What can be no interface is an error, as it was."""
        for word in (
            "nosuch.example",
            "default",
            "any",
            "EXT_IF",
            "__EXTERNAL_IP__",
            "a" * 16,
            "10.0.0.1:80",
            "proxy:1080",
            "fd00:1:2",
        ):
            for keyword in ("internal", "external"):
                self.assertEqual(len(errors(with_globals(f"{keyword}: {word}"))), 1, word)

    def test_vlan(self) -> None:
        """A name that ends in a number is a VLAN's, not a host's."""
        (line,) = policy_of(with_globals("external: eth0.100")).external[1:]
        self.assertEqual(line.interface, "eth0.100")

    def test_no_look_up(self) -> None:
        """A usual name, or an alias label, is not looked up in the DNS: it may not answer yet."""
        asked: list[str] = []
        system = Machine(asked)
        read("internal: tun0\ninternal: eth0:7\nexternal: ppp0\ninternal: pia\n", system=system)
        self.assertEqual(asked, ["pia"])


class ManyTests(SynchronousTestCase):
    """Thousands of lines."""

    def test_one_look(self) -> None:
        """The machine is asked for its interfaces once, and once about each address."""
        looks: list[str] = []

        class Counting(FakeSystem):
            @property
            def interfaces(self) -> Mapping[str, Sequence[str]]:  # type: ignore[override]
                looks.append("interfaces")
                return FakeSystem.interfaces

            def addresses_of(self, interface: str) -> Sequence[str]:
                raise AssertionError(interface)

            def all_addresses(self) -> Sequence[str]:
                raise AssertionError

            def can_bind(self, address: str) -> bool:
                looks.append(address)
                return True

        hosts = [f"127.0.{number >> 8}.{number & 255}" for number in range(1, 1001)]
        lines = [f"internal: {host} port = {port}" for host in hosts for port in (1, 2)]
        lines += [f"external: {host}" for host in hosts for _ in range(2)]
        lines += ["internal: eth0 port = 3", "external: eth0"]
        rules = ["client pass { from: eth0 to: 0/0 }", "socks pass { from: lo to: 0/0 }"] * 100
        policy = policy_of(read("\n".join((*lines, *rules)) + "\n", system=Counting()))
        self.assertEqual(len(policy.internal), 2001)
        self.assertEqual(looks.count("interfaces"), 1)
        self.assertEqual(len(looks), 1 + len(hosts))
