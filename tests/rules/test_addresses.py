"""Tests for :mod:`dantetw.rules.addresses`."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.addresses import literal, number_of
from dantetw.policy import ALL_PORTS, PortSet
from dantetw.rules.addresses import Lookup, LookupKind, LookupNeededError, Subject, fits
from dantetw.values import Family
from tests.rules.building import address, endpoint

KNOWN = {
    Lookup(LookupKind.FORWARD, "www.example.org"): ("192.0.2.1", "192.0.2.2", "2001:db8::1"),
    Lookup(LookupKind.FORWARD, "alias.example.net"): ("192.0.2.2",),
    Lookup(LookupKind.FORWARD, "nowhere.example.org"): (),
    Lookup(LookupKind.REVERSE, "192.0.2.1"): ("WWW.Example.Org.",),
    Lookup(LookupKind.REVERSE, "192.0.2.9"): (),
    Lookup(LookupKind.INTERFACE, "eth0"): ("10.0.0.5", "fe80::5"),
}

# The rule's address, what it is held against, whether it fits, and the address used instead.
TABLE: list[tuple[str, str, bool, str | None]] = [
    ("0/0", "192.0.2.1", True, None),
    ("0/0", "2001:db8::1", True, None),
    ("0/0", "www.example.org", True, None),
    ("0.0.0.0/0", "192.0.2.1", True, None),
    ("0.0.0.0/0", "2001:db8::1", False, None),
    ("0.0.0.0/0", "www.example.org", True, "192.0.2.1"),
    ("::/0", "192.0.2.1", False, None),
    ("::/0", "2001:db8::1", True, None),
    ("::/0", "www.example.org", True, "2001:db8::1"),
    ("::/0", "alias.example.net", False, None),
    ("192.0.2.2/32", "www.example.org", True, "192.0.2.2"),
    ("192.0.2.2/32", "192.0.2.3", False, None),
    ("192.0.3.7/23", "192.0.2.1", True, None),
    ("192.0.2.0/24", "nowhere.example.org", False, None),
    ("2001:db8::/32", "2001:db8:ffff::1", True, None),
    ("2001:db8::/32", "2001:db9::1", False, None),
    ("www.example.org", "192.0.2.2", True, None),
    ("www.example.org", "2001:db8::1", True, None),
    ("www.example.org", "192.0.2.3", False, None),
    ("www.example.org", "WWW.example.ORG", True, None),
    ("www.example.org", "www.example.org.", True, None),
    ("www.example.org.", "www.example.org", True, None),
    ("www.example.org", "alias.example.net", True, "192.0.2.2"),
    ("nowhere.example.org", "alias.example.net", False, None),
    ("nowhere.example.org", "192.0.2.1", False, None),
    (".example.org", "www.example.org", True, None),
    (".example.org", "WWW.EXAMPLE.ORG.", True, None),
    (".example.org", "example.org", True, None),
    (".example.org.", "www.example.org", True, None),
    (".example.org", "notexample.org", True, None),
    (".example.org", "example.net", False, None),
    (".example.org", "192.0.2.1", True, None),
    (".example.org", "192.0.2.9", False, None),
    (".", "anything.test", True, None),
    (".", "192.0.2.1", True, None),
    (".", "192.0.2.9", False, None),
    ("%eth0", "10.0.0.5", True, None),
    ("%eth0", "10.0.0.6", False, None),
    ("%eth0", "fe80::5", True, None),
    ("%eth0", "fe80::5%eth0", True, None),
    ("127.0.0.0/8", "::ffff:127.0.0.1", True, None),
    ("::/0", "::ffff:127.0.0.1", False, None),
    (".example.org", "::ffff:192.0.2.1", True, None),
    ("www.example.org", "::ffff:192.0.2.1", True, None),
]


class FitsTests(SynchronousTestCase):
    """Tests for :func:`fits`."""

    def test_table(self) -> None:
        """Each form of address fits what Dante says it fits."""
        for text, host, expected, used in TABLE:
            subject = Subject(endpoint(host))
            got = fits(address(text), subject, KNOWN)
            substitute = None if subject.used is None else subject.used.host
            self.assertEqual((got, substitute), (expected, used), f"{text} against {host}")

    def test_substitute(self) -> None:
        """The address used in place of a name keeps the port and has its own family."""
        subject = Subject(endpoint("www.example.org", 443))
        fits(address("::/0"), subject, KNOWN)
        self.assertEqual(subject.used, endpoint("2001:db8::1", 443))

    def test_mapped_substitute(self) -> None:
        """An address that maps IPv4 into IPv6 is used as the IPv4 address it is."""
        subject = Subject(endpoint("odd.example", 443), ("::ffff:127.0.0.1",))
        self.assertTrue(fits(address("127.0.0.0/8"), subject, {}))
        self.assertEqual(subject.used, endpoint("127.0.0.1", 443))

    def test_numbers_in_disguise(self) -> None:
        """A block on 127.0.0.0/8 also blocks names that the C library reads as such addresses."""
        loopback = address("127.0.0.0/8")
        for name in ("127.1", "0x7f.1", "2130706433", "017700000001", "0x7F000001", "127.0.1"):
            subject = Subject(endpoint(name))
            self.assertTrue(fits(loopback, subject, {}), name)
            self.assertTrue(fits(loopback, subject, {}, fake=True), name)
            self.assertEqual(subject.endpoint.family, Family.IPV4, name)

    def test_perhaps_interface(self) -> None:
        """A name without dots is an interface while there is one, and else a host."""
        wanted = replace(address("vpn"), interface="vpn")
        interface, forward = Lookup(LookupKind.INTERFACE, "vpn"), Lookup(LookupKind.FORWARD, "vpn")
        there = {interface: ("10.8.0.2",)}
        self.assertTrue(fits(wanted, Subject(endpoint("10.8.0.2")), there))
        self.assertFalse(fits(wanted, Subject(endpoint("10.8.0.3")), there))
        gone = {interface: (), forward: ("192.0.2.7",)}
        self.assertTrue(fits(wanted, Subject(endpoint("192.0.2.7")), gone))
        self.assertFalse(fits(wanted, Subject(endpoint("10.8.0.2")), gone))
        self.assertFalse(fits(wanted, Subject(endpoint("192.0.2.7")), gone, fake=True))
        self.assertTrue(fits(wanted, Subject(endpoint("10.8.0.2")), there, fake=True))
        self.assertTrue(fits(wanted, Subject(endpoint("vpn")), {}))

    def test_given_addresses(self) -> None:
        """The addresses that come with a name are used, and no others looked up."""
        subject = Subject(endpoint("www.example.org"), ("198.51.100.1",))
        self.assertFalse(fits(address("192.0.2.0/24"), subject, KNOWN))
        self.assertTrue(fits(address("198.51.100.0/24"), subject, KNOWN))

    def test_unknown(self) -> None:
        """What is not known is asked for, by kind and name."""
        cases = [
            ("192.0.2.0/24", "www.example.org", LookupKind.FORWARD, "www.example.org"),
            ("www.example.org", "192.0.2.1", LookupKind.FORWARD, "www.example.org"),
            ("www.example.org", "alias.example.net", LookupKind.FORWARD, "www.example.org"),
            (".example.org", "192.0.2.1", LookupKind.REVERSE, "192.0.2.1"),
            ("%eth0", "192.0.2.1", LookupKind.INTERFACE, "eth0"),
        ]
        for text, host, kind, name in cases:
            with self.assertRaises(LookupNeededError) as raised:
                fits(address(text), Subject(endpoint(host)), {})
            self.assertEqual(raised.exception.lookup, Lookup(kind, name))

    def test_fake(self) -> None:
        """With ``resolveprotocol: fake`` no name is looked up: names fit only names."""
        cases = [
            ("0/0", "www.example.org", True),
            ("0.0.0.0/0", "www.example.org", False),
            ("0.0.0.0/0", "192.0.2.1", True),
            ("www.example.org", "www.example.org", True),
            ("www.example.org", "192.0.2.1", False),
            ("www.example.org", "alias.example.net", False),
            (".example.org", "www.example.org", True),
            (".example.org", "192.0.2.1", False),
            ("%eth0", "10.0.0.5", True),
            ("%eth0", "www.example.org", False),
        ]
        for text, host, expected in cases:
            subject = Subject(endpoint(host), ("192.0.2.1",) if "e" in host else None)
            self.assertEqual(fits(address(text), subject, KNOWN, fake=True), expected, (text, host))

    def test_ports(self) -> None:
        """A port that does not fit is enough, whatever the address."""
        cases = [
            (PortSet(80, 80), 80, True),
            (PortSet(80, 80), 81, False),
            (PortSet(80, 80, outside=True), 80, False),
            (PortSet(80, 80, outside=True), 81, True),
            (PortSet(65536, 65535), 65535, False),
            (PortSet(1, 10), 10, True),
        ]
        for ports, port, expected in cases:
            for text in ("0/0", "192.0.2.0/24", ".example.org"):
                subject = Subject(endpoint("192.0.2.1", port))
                self.assertEqual(fits(address(text, ports), subject, KNOWN), expected)

    def test_hostile_names(self) -> None:
        """Whatever bytes a client calls a name, it fits ``0/0`` and nothing it should not."""
        for name in ("", ".", "..", "a\x00b", "\udcff", "\ud800", "127.0.0.1\n", "1" * 300, "é"):
            subject = Subject(endpoint(name), ())
            self.assertTrue(fits(address("0/0"), subject, {}), repr(name))
            self.assertFalse(fits(address("0.0.0.0/0"), subject, {}), repr(name))
            self.assertFalse(fits(address(".example.org"), subject, {}), repr(name))

    @given(
        st.ip_addresses(),
        st.ip_addresses(),
        st.integers(min_value=0, max_value=128),
    )
    def test_nets_like_ipaddress(
        self,
        net: ipaddress.IPv4Address | ipaddress.IPv6Address,
        host: ipaddress.IPv4Address | ipaddress.IPv6Address,
        prefix: int,
    ) -> None:
        """A net fits exactly the addresses the standard library says are in it."""
        prefix = min(prefix, net.max_prefixlen)
        if getattr(host, "ipv4_mapped", None) or getattr(net, "ipv4_mapped", None):
            return
        network = ipaddress.ip_network((net, prefix), strict=False)
        expected = host.version == network.version and host in network
        got = fits(address(str(network)), Subject(endpoint(str(host))), {})
        self.assertEqual(got, expected)
        inside = network[host.packed[0] % min(network.num_addresses, 256)]
        self.assertTrue(fits(address(str(network)), Subject(endpoint(str(inside))), {}))

    def test_all_ports_is_a_shortcut_only(self) -> None:
        """All ports, written out, mean the same as none written."""
        subject = Subject(endpoint("192.0.2.1", 0))
        self.assertIsNot(PortSet(), ALL_PORTS)
        self.assertTrue(fits(address("0/0", PortSet()), subject, {}))


class LiteralTests(SynchronousTestCase):
    """Tests for :func:`literal` and :func:`number_of`."""

    def test_like_getaddrinfo(self) -> None:
        """What is taken for a number is what the C library takes for one."""
        cases = (
            "127.1 0x7f.1 2130706433 1.2.3.4 01.02.03.04 1.2.3 0 1.2.3.4.5 256.1.1.1 0x 08.1.1.1"
        )
        cases += " ::1 ::ffff:1.2.3.4 2001:DB8::1 1:2 :: 1.2.3. 4294967296 0xffffffff 1..2 1a a1"
        for name in cases.split():
            try:
                found = socket.getaddrinfo(
                    name.encode(), 0, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
                )
                expected: str | None = str(found[0][4][0]).removeprefix("::ffff:")
            except OSError:
                expected = None
            self.assertEqual(literal(name), expected, name)

    def test_not_numbers(self) -> None:
        """Names, blanks after numbers, and addresses with zones are left to the resolver."""
        for name in ("localhost", "127.0.0.1 x", "127.0.0.1\n", " 127.0.0.1", "", "fe80::1%lo"):
            self.assertIsNone(literal(name), repr(name))

    @given(st.text(max_size=40))
    def test_no_text_raises(self, text: str) -> None:
        """Any text at all is a number or is not."""
        literal(text)
        number_of(text)
        Subject(endpoint(text))
