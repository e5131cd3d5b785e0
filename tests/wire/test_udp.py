"""Tests for :mod:`dantetw.wire.udp`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.values import Cause, Endpoint, Family
from dantetw.wire import udp
from dantetw.wire.messages import ProtocolError

# Header, endpoint; good in both directions.
TABLE = [
    (b"\x00\x00\x00\x01\x7f\x00\x00\x01\x00\x35", Endpoint("127.0.0.1", 53, Family.IPV4)),
    (b"\x00\x00\x00\x04" + bytes(15) + b"\x01\x00\x35", Endpoint("::1", 53, Family.IPV6)),
    (b"\x00\x00\x00\x03\x01a\x00\x00", Endpoint("a", 0, Family.NAME)),
    (
        b"\x00\x00\x00\x03\xff" + b"h" * 255 + b"\x00\x35",
        Endpoint("h" * 255, 53, Family.NAME),
    ),
]


class DatagramTests(SynchronousTestCase):
    """Tests for :func:`udp.parse_datagram` and :func:`udp.build_header`."""

    def test_table(self) -> None:
        """Headers are read and written, and the payload begins behind them."""
        for header, endpoint in TABLE:
            for payload in (b"", b"x", bytes(65497)):
                with self.subTest(endpoint, size=len(payload)):
                    data = header + payload
                    self.assertEqual(udp.parse_datagram(data), (endpoint, len(header)))
                    view = memoryview(data)
                    self.assertEqual(udp.parse_datagram(view), (endpoint, len(header)))
            self.assertEqual(udp.build_header(endpoint), header)
            self.assertLessEqual(len(header), udp.HEADER_LIMIT)

    def test_short(self) -> None:
        """What ends within its header is to be dropped."""
        for header, _ in TABLE:
            for size in range(len(header)):
                error = self.assertRaises(ProtocolError, udp.parse_datagram, header[:size])
                self.assertIn("too short", error.text)
                self.assertEqual((error.reply, error.at), (b"", size))

    def test_faults(self) -> None:
        """Fragments, unknown address types and unusable names are to be dropped."""
        for data, at, text, cause in (
            (b"\x00\x00\x01" + TABLE[0][0][3:], 3, "fragment", Cause.UNSUPPORTED),
            (b"\x00\x00\x80", 3, "fragment", Cause.UNSUPPORTED),
            (b"\x00\x00\x00\x02", 4, "address type: 2", Cause.UNSUPPORTED),
            (b"\x00\x00\x00\x03\x00\x00\x35", 5, "empty host name", Cause.PROTOCOL),
            (b"\x00\x00\x00\x03\x01\x00\x00\x35", 8, "NUL byte", Cause.PROTOCOL),
        ):
            with self.subTest(text):
                error = self.assertRaises(ProtocolError, udp.parse_datagram, data)
                self.assertIn(text, error.text)
                self.assertEqual((error.reply, error.at), (b"", at))
                self.assertIs(error.cause, cause)

    def test_reserved(self) -> None:
        """The reserved bytes are ignored."""
        header, endpoint = TABLE[0]
        self.assertEqual(udp.parse_datagram(b"\xff\xff" + header[2:]), (endpoint, len(header)))

    def test_every_reserved(self) -> None:
        """Whatever the reserved bytes are, and of whatever type the address is."""
        for header, endpoint in TABLE:
            for reserved in (b"\x00\x01", b"\x01\x00", b"\xff\xff", b"\x05\x00"):
                data = reserved + header[2:] + b"payload"
                self.assertEqual(udp.parse_datagram(data), (endpoint, len(header)))

    def test_every_fragment(self) -> None:
        """Any fragment number but 0 is a fragment, whatever follows, even nothing."""
        for number in range(1, 256):
            for header, _ in TABLE:
                data = header[:2] + bytes((number,)) + header[3:]
                for cut in (3, 4, len(data)):
                    error = self.assertRaises(ProtocolError, udp.parse_datagram, data[:cut])
                    self.assertIs(error.cause, Cause.UNSUPPORTED)

    def test_every_type(self) -> None:
        """Only three address types are known."""
        for kind in set(range(256)) - {1, 3, 4}:
            data = b"\x00\x00\x00" + bytes((kind,)) + bytes(300)
            error = self.assertRaises(ProtocolError, udp.parse_datagram, data)
            self.assertIn(f"address type: {kind}", error.text)

    def test_name_lengths(self) -> None:
        """A name has 1 to 255 bytes; a length that the datagram does not hold is too short."""
        for size in range(256):
            data = b"\x00\x00\x00\x03" + bytes((size,)) + b"n" * size + b"\x12\x34"
            if not size:
                self.assertRaises(ProtocolError, udp.parse_datagram, data)
                continue
            found, start = udp.parse_datagram(data + b"payload")
            self.assertEqual((found.host, found.port), ("n" * size, 0x1234))
            self.assertEqual(start, len(data))
            error = self.assertRaises(ProtocolError, udp.parse_datagram, data[:-1])
            self.assertIn("too short", error.text)

    @given(
        st.binary(min_size=2, max_size=2),
        st.sampled_from((0, 0, 0, 1)),
        st.sampled_from((0, 1, 3, 4, 5)),
        st.binary(max_size=300),
    )
    def test_near_misses(self, reserved: bytes, fragment: int, kind: int, rest: bytes) -> None:
        """Nor does one that is almost good; and what is good is written as it was read."""
        data = reserved + bytes((fragment, kind)) + rest
        try:
            endpoint, start = udp.parse_datagram(data)
        except ProtocolError:
            return
        self.assertEqual(udp.parse_datagram(udp.build_header(endpoint))[0], endpoint)
        self.assertEqual(udp.parse_datagram(data[:start]), (endpoint, start))
        self.assertRaises(ProtocolError, udp.parse_datagram, data[: start - 1])

    @given(st.binary(max_size=300))
    def test_garbage(self, data: bytes) -> None:
        """No datagram raises anything but a ``ProtocolError``."""
        try:
            _, start = udp.parse_datagram(data)
        except ProtocolError:
            return
        self.assertLessEqual(start, len(data))
