"""Tests of :mod:`dantetw.config.addresses`, and of how addresses are read."""

from __future__ import annotations

import ipaddress

from twisted.trial.unittest import SynchronousTestCase

from dantetw.policy import Address, HostKind
from dantetw.values import Family
from tests.config.fakes import RULES, errors, policy_of, warnings, with_globals, with_rules

ANY, NET, NAME = HostKind.ANY, HostKind.NET, HostKind.NAME
DOMAIN, INTERFACE = HostKind.DOMAIN, HostKind.INTERFACE
NO_INTERFACE = '8:20 no interface "default"'


def target(text: str, before: str = "") -> Address:
    """The ``to`` of a socks rule."""
    parsed = with_rules(f"socks pass {{\n{before}\nfrom: 0/0 to: {text}\n}}")
    return policy_of(parsed).socks_rules[0].target


class HostTests(SynchronousTestCase):
    """The forms of an address."""

    def test_forms(self) -> None:
        """Each form has its kind, and names are in lower case."""
        for text, kind, name in (
            ("0/0", ANY, ""),
            ("0 / 0", ANY, ""),
            ("0/00", ANY, ""),
            ("lo", INTERFACE, "lo"),
            ("eth1", INTERFACE, "eth1"),
            ("eth0:pub", INTERFACE, "eth0:pub"),
            ("nordvpn", NAME, "nordvpn"),
            ("Example.COM", NAME, "example.com"),
            (".Example.com", DOMAIN, "example.com"),
            (".", DOMAIN, ""),
            ("any", NAME, "any"),
            ("*.example.com", NAME, "*.example.com"),
            ("1.2.3.4.5", NAME, "1.2.3.4.5"),
            ("a_b", NAME, "a_b"),
            ("bücher.example", NAME, "bücher.example"),
            ("lo#comment", INTERFACE, "lo"),
        ):
            found = target(text)
            self.assertEqual((found.kind, found.name), (kind, name), text)

    def test_nets(self) -> None:
        """A net's number and mask are those that the standard library computes."""
        for text in (
            "0.0.0.0/0",
            "10.1.2.3/8",
            "192.0.2.1/32",
            "10.0.0.0/255.0.0.0",
            "10.1.2.3/255.255.240.0",
            "::/0",
            "2001:db8::1/33",
            "::1/128",
        ):
            found = target(text)
            expected = ipaddress.ip_network(text, strict=False)
            self.assertIs(found.kind, NET)
            self.assertIs(found.family, Family.IPV4 if expected.version == 4 else Family.IPV6)
            self.assertEqual(found.network, int(expected.network_address), text)
            self.assertEqual(found.mask, int(expected.netmask), text)
            self.assertEqual(found.text, text)

    def test_c_numbers(self) -> None:
        """Masks are numbers as in C, and blanks may surround the slash."""
        for text, bits in (("10.0.0.0/0x8", 8), ("10.0.0.0/010", 8), ("10.0.0.0 / 8", 8)):
            self.assertEqual(bin(target(text).mask).count("1"), bits)

    def test_no_blank(self) -> None:
        """Address keywords need no blank after the colon."""
        policy = policy_of(with_rules("socks pass { from:0.0.0.0/0 to:::1/128 }"))
        rule = policy.socks_rules[0]
        self.assertEqual((rule.source.text, rule.target.text), ("0.0.0.0/0", "::1/128"))

    def test_scope(self) -> None:
        """A link-local net keeps its interface, which may come later if it can exist."""
        self.assertEqual(target("fe80::1%eth0/64").scope, "eth0")
        self.assertEqual(target("fe80::1%eth9/64").scope, "eth9")
        rule = "socks pass { from: fe80::1%eth9/64 to: 0/0 }"
        self.assertEqual(errors(with_rules(rule.replace("eth9", "default"))), [NO_INTERFACE])
        fail = with_rules(f"interface.missing: fail\n{rule}")
        self.assertEqual(errors(fail), ['9:20 no interface "eth9"'])

    def test_where(self) -> None:
        """An address remembers where it was written."""
        self.assertEqual(str(target("::/0").where), "sockd.conf:10:15")

    def test_refused(self) -> None:
        """What is not an address is refused, where it is wrong."""
        for text, where in (
            ("10/8", "8:20"),
            ("10.0/16", "8:20"),
            ("127.0.0.300/32", "8:20"),
            ("01.02.03.04/32", "8:20"),
            ("1.2.3.4", "8:20"),
            ("::1", "8:20"),
            ("1.2.3.4/33", "8:28"),
            ("::1/129", "8:24"),
            ("1.2.3.4/255.0.255.0", "8:28"),
            ("::/255.0.0.0", "8:23"),
            ("0/1", "8:22"),
            ("0/0.0.0.0", "8:22"),
            ("0", "8:20"),
            ("a", "8:20"),
            ("lo/8", "8:23"),
            (".example.com/8", "8:33"),
            ("::ffff:1.2.3.4/96", "8:20"),
            ("[::1]/128", "8:20"),
            ("1:2/3", "8:20"),
            ("http://foo/", "8:20"),
            ("1.2.3.4/-1", "8:20"),
            ("1.2.3.4/08", "8:28"),
            ("1.2.3.4/8x", "8:28"),
            ("x" * 256, "8:20"),
            ("{{x}}", "8:20"),
            ("x{y}", "8:20"),
        ):
            found = errors(with_rules(f"socks pass {{ from: {text} to: 0/0 }}"))
            self.assertEqual(len(found), 1, found)
            self.assertTrue(found[0].startswith(where + " "), (text, found))

    def test_doubtful_names(self) -> None:
        """Host names that hardly are meant as such are warned of."""
        for text, doubtful in (("any", 1), ("*.a.example", 1), ("1.2.3", 1), ("a.example", 0)):
            parsed = with_rules(f"socks block {{ from: 0/0 to: {text} }}")
            self.assertEqual(len(warnings(parsed, ours=True)), doubtful, text)

    def test_colon(self) -> None:
        """A port that Dante ignores is warned of in rules, and not where it means the same."""
        for text, count in (("port: 80", 1), ("port = 80", 0), ("", 0)):
            for kind in ("client", "socks"):
                parsed = with_rules(RULES + f"{kind} block {{ from: 10.0.0.0/8 {text} to: 0/0 }}")
                found = [t for t in warnings(parsed, ours=True) if "Dante ignores a port" in t]
                self.assertEqual(len(found), count, (kind, text))
        self.assertEqual(warnings(with_globals("internal: lo port: 1081"), ours=True), [])


class PortTests(SynchronousTestCase):
    """The port part."""

    def test_forms(self) -> None:
        """Every operator lets through the ports that it says, at its edges."""
        for text, inside, outside in (
            ("", (0, 65535), ()),
            ("port = 80", (80,), (79, 81)),
            ("port=80", (80,), (79, 81)),
            ("port: 80", (80,), (79, 81)),
            ("port eq 80", (80,), (79, 81)),
            ("port ne 80", (79, 81, 0, 65535), (80,)),
            ("port != 80", (79, 81), (80,)),
            ("port ge 80", (80, 65535), (79,)),
            ("port>=80", (80, 65535), (79,)),
            ("port gt 80", (81, 65535), (80,)),
            ("port>1023", (1024,), (1023,)),
            ("port gt 65535", (), (0, 65535)),
            ("port le 80", (0, 80), (81,)),
            ("port <= 80", (0, 80), (81,)),
            ("port lt 80", (0, 79), (80,)),
            ("port lt 0", (), (0, 65535)),
            ("port 80-90", (80, 90), (79, 91)),
            ("port 80 - 90", (80, 90), (79, 91)),
            ("port = 0", (0,), (1,)),
            ("port = 010", (8,), (10,)),
            ("port = 0x50", (80,), (50,)),
            ("port ge80", (80,), (79,)),
            ("port = http", (80,), (79,)),
            ("port gehttp", (80, 81), (79,)),
            ("port = tftp", (69,), (70,)),
            ("port \\\n = 80", (80,), (81,)),
            ("port = 80#x", (80,), (81,)),
        ):
            ports = target(f"0/0 {text}").ports
            for port in inside:
                self.assertIn(port, ports, text)
            for port in outside:
                self.assertNotIn(port, ports, text)

    def test_text(self) -> None:
        """The condition is kept as written, but for blanks."""
        self.assertEqual(target("0/0 port   =\thttp").ports.text, "port = http")
        self.assertEqual(target("0/0").ports.text, "")

    def test_service_of_protocol(self) -> None:
        """A service must exist for the protocol that the rule has named before."""
        self.assertEqual(target("0/0 port = tftp", "protocol: udp").ports.low, 69)
        for protocol, service in (("tcp", "tftp"), ("udp", "http")):
            text = f"socks pass {{\nprotocol: {protocol}\nfrom: 0/0 port = {service} to: 0/0 }}"
            self.assertEqual(
                errors(with_rules(text)), [f"10:18 unknown {protocol} protocol: {service}"]
            )

    def test_refused(self) -> None:
        """What Dante does not take for a port is refused."""
        for text in (
            "port 80",
            "port == 80",
            "port neq 80",
            "port = 80-90",
            "port: 80-90",
            "port: http",
            "port = 80,443",
            "port = -1",
            "port = 65536",
            "port = 99999999999999999999",
            "port 90 - 80",
            "port = nosuchservice",
            "port = 80x",
            "port",
        ):
            found = errors(with_rules(f"socks pass {{ from: 0/0 {text} to: 0/0 }}"))
            self.assertEqual(len(found), 1, (text, found))
