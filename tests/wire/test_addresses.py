"""Tests for :mod:`dantetw.wire.addresses`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.values import Cause, Endpoint, Family, ReplyCode
from dantetw.wire.addresses import (
    AddressError,
    build_address,
    name_endpoint,
    parse_address,
)

# What it is, its bytes, its endpoint; good in both directions.
TABLE = [
    ("IPv4", b"\x01\x7f\x00\x00\x01\x1f\x90", Endpoint("127.0.0.1", 8080, Family.IPV4)),
    ("zeros", b"\x01" + bytes(6), Endpoint("0.0.0.0", 0, Family.IPV4)),
    ("ones", b"\x01" + b"\xff" * 6, Endpoint("255.255.255.255", 65535, Family.IPV4)),
    ("IPv6", b"\x04" + bytes(15) + b"\x01\x00\x50", Endpoint("::1", 80, Family.IPV6)),
    (
        "IPv6, full",
        b"\x04 \x01\r\xb8\x00\x01\x00\x02\x00\x03\x00\x04\x00\x05\x00\x06\x01\xbb",
        Endpoint("2001:db8:1:2:3:4:5:6", 443, Family.IPV6),
    ),
    ("name", b"\x03\x0bexample.org\x00\x50", Endpoint("example.org", 80, Family.NAME)),
    ("one letter", b"\x03\x01a\x00\x50", Endpoint("a", 80, Family.NAME)),
    ("longest name", b"\x03\xff" + b"a" * 255 + b"\x00\x50", Endpoint("a" * 255, 80, Family.NAME)),
    ("other bytes", b"\x03\x03\xfcb\xff\x00\x50", Endpoint("\udcfcb\udcff", 80, Family.NAME)),
    ("line break", b"\x03\x03a\nb\x00\x50", Endpoint("a\nb", 80, Family.NAME)),
]

# Bytes of a host name field, and what they mean.
MEANINGS = [
    (b"127.0.0.1", "127.0.0.1", Family.IPV4),
    (b"0.0.0.0", "0.0.0.0", Family.IPV4),
    (b"::1", "::1", Family.IPV6),
    (b"[::1]", "::1", Family.IPV6),
    (b"2001:DB8:0:0::1", "2001:db8::1", Family.IPV6),
    (b"::ffff:192.0.2.1", "192.0.2.1", Family.IPV4),
    (b"[::FFFF:c000:201]", "192.0.2.1", Family.IPV4),
    (b"127.1", "127.1", Family.NAME),
    (b"010.0.0.1", "010.0.0.1", Family.NAME),
    (b"127.0.0.01", "127.0.0.01", Family.NAME),
    (b"127.0.0.256", "127.0.0.256", Family.NAME),
    (b"127.0.0.1.", "127.0.0.1.", Family.NAME),
    (b" 127.0.0.1", " 127.0.0.1", Family.NAME),
    (b"127.0.0.1\n", "127.0.0.1\n", Family.NAME),
    (b"0x7f000001", "0x7f000001", Family.NAME),
    (b"2130706433", "2130706433", Family.NAME),
    (b"[127.0.0.1]", "[127.0.0.1]", Family.NAME),
    (b"[::1", "[::1", Family.NAME),
    (b"::1]", "::1]", Family.NAME),
    (b"[[::1]]", "[[::1]]", Family.NAME),
    (b"[", "[", Family.NAME),
    (b":", ":", Family.NAME),
    (b"[:]", "[:]", Family.NAME),
    (b"fe80::1%eth0", "fe80::1%eth0", Family.NAME),
    (b"a:80", "a:80", Family.NAME),
    (b":\xff", ":\udcff", Family.NAME),
    (b"\xff1", "\udcff1", Family.NAME),
    (b"\xb2", "\udcb2", Family.NAME),
    (b"Example.ORG", "Example.ORG", Family.NAME),
]


class ParseAddressTests(SynchronousTestCase):
    """Tests for :func:`parse_address` and :func:`build_address`."""

    def test_table(self) -> None:
        """Bytes become the endpoint they stand for, and the endpoint becomes the bytes."""
        for name, data, endpoint in TABLE:
            with self.subTest(name):
                self.assertEqual(parse_address(data), (endpoint, len(data)))
                self.assertEqual(build_address(endpoint), data)

    def test_offset(self) -> None:
        """Parsing begins where it is told to and ends where the address does."""
        for name, data, endpoint in TABLE:
            with self.subTest(name):
                expected = (endpoint, 3 + len(data))
                self.assertEqual(parse_address(b"abc" + data + b"more", 3), expected)
                self.assertEqual(parse_address(memoryview(b"abc" + data), 3), expected)

    def test_incomplete(self) -> None:
        """Each beginning of an address is incomplete, and nothing else."""
        for name, data, _ in TABLE:
            with self.subTest(name):
                for size in range(len(data)):
                    self.assertIsNone(parse_address(data[:size]))

    def test_mapped(self) -> None:
        """An IPv4 address mapped into IPv6 is that IPv4 address."""
        data = b"\x04" + bytes(10) + b"\xff\xff\xc0\x00\x02\x01\x00\x50"
        endpoint = Endpoint("192.0.2.1", 80, Family.IPV4)
        self.assertEqual(parse_address(data), (endpoint, len(data)))

    def test_compatible(self) -> None:
        """The deprecated IPv4-compatible form stays the IPv6 address it is."""
        data = b"\x04" + bytes(12) + b"\xc0\x00\x02\x01\x00\x50"
        endpoint = Endpoint("::192.0.2.1", 80, Family.IPV6)
        self.assertEqual(parse_address(data), (endpoint, len(data)))

    def test_unknown_types(self) -> None:
        """All other types are refused as soon as they are seen, with their own reply code."""
        for kind in set(range(256)) - {1, 3, 4}:
            with self.subTest(kind):
                error = self.assertRaises(AddressError, parse_address, bytes((kind,)))
                self.assertEqual(error.text, f"unknown socks_v5 address type: {kind}")
                self.assertIs(error.code, ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED)
                self.assertIs(error.cause, Cause.UNSUPPORTED)
                self.assertEqual(error.at, 1)

    def test_unusable_names(self) -> None:
        """Empty names and names with a NUL are refused, and do not get cut."""
        for data, at in (
            (b"\x03\x00", 2),
            (b"\x03\x00\x00\x50", 2),
            (b"\x03\x01\x00\x00\x50", 5),
            (b"\x03\x06ev\x00.il\x00\x50more", 10),
        ):
            with self.subTest(data):
                error = self.assertRaises(AddressError, parse_address, data)
                self.assertIs(error.code, ReplyCode.HOST_UNREACHABLE)
                self.assertIs(error.cause, Cause.PROTOCOL)
                self.assertEqual(error.at, at)

    @given(st.binary(max_size=300))
    def test_garbage(self, data: bytes) -> None:
        """Nothing is raised but the promised error, and a result can be written again."""
        try:
            found = parse_address(data)
        except AddressError as error:
            self.assertLessEqual(error.at, len(data))
            return
        if found is not None:
            endpoint, end = found
            self.assertLessEqual(end, len(data))
            self.assertEqual(parse_address(build_address(endpoint)), (endpoint, _size(endpoint)))


class NameEndpointTests(SynchronousTestCase):
    """Tests for :func:`name_endpoint`."""

    def test_meanings(self) -> None:
        """Canonical numeric addresses are recognised, all else stays a name, byte for byte."""
        for raw, host, family in MEANINGS:
            with self.subTest(raw):
                self.assertEqual(name_endpoint(raw, 7), Endpoint(host, 7, family))

    @given(st.binary(min_size=1, max_size=255).filter(lambda raw: 0 not in raw))
    def test_lossless(self, raw: bytes) -> None:
        """The bytes of whatever stays a name can be had back."""
        endpoint = name_endpoint(raw, 1)
        if endpoint.family is Family.NAME:
            self.assertEqual(endpoint.host.encode("ascii", "surrogateescape"), raw)

    def test_not_folded(self) -> None:
        """No byte beyond ASCII survives the codec that would fold it into another name."""
        host = name_endpoint(b"evil\xaa.example", 1).host
        self.assertRaises(UnicodeError, host.encode, "idna")


class BuildAddressTests(SynchronousTestCase):
    """Tests for :func:`build_address`."""

    def test_scope(self) -> None:
        """A scope is left out."""
        data = build_address(Endpoint("fe80::1%eth0", 1, Family.IPV6))
        self.assertEqual(data, b"\x04\xfe\x80" + bytes(13) + b"\x01\x00\x01")

    def test_unwritable_names(self) -> None:
        """Names that have no bytes on the wire are a ``ValueError``."""
        for host in ("", "a" * 256, "a\x00b", "b\u00fccher.example", "\u2603", "\ud800"):
            with self.subTest(host):
                endpoint = Endpoint(host, 80, Family.NAME)
                self.assertRaises(ValueError, build_address, endpoint)


def _size(endpoint: Endpoint) -> int:
    """The length of an address on the wire, by :rfc:`1928`."""
    if endpoint.family is Family.NAME:
        return 1 + 1 + len(endpoint.host) + 2
    return {Family.IPV4: 1 + 4 + 2, Family.IPV6: 1 + 16 + 2}[endpoint.family]
