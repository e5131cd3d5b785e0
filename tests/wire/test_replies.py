"""Tests for replies in the dialects of :mod:`dantetw.wire`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dantetw.values import Endpoint, Family, ReplyCode
from dantetw.wire import socks4, socks5

HERE = Endpoint("192.0.2.1", 8080, Family.IPV4)
HERE_6 = Endpoint("2001:db8::1", 8080, Family.IPV6)
LOCALHOST = Endpoint("localhost", 12111, Family.NAME)

ZEROS = bytes.fromhex("01 00000000 0000")

# What is bound, and its address in a reply of SOCKS 5.
ADDRESSES = [
    (HERE, bytes.fromhex("01 c0000201 1f90")),
    (HERE_6, bytes.fromhex("04 20010db8000000000000000000000001 1f90")),
    (LOCALHOST, b"\x03\x09localhost\x2f\x4f"),
    (Endpoint("\udcff", 1, Family.NAME), b"\x03\x01\xff\x00\x01"),
    (Endpoint("a" * 255, 1, Family.NAME), b"\x03\xff" + b"a" * 255 + b"\x00\x01"),
    (Endpoint("a" * 256, 1, Family.NAME), ZEROS),
    (Endpoint("", 1, Family.NAME), ZEROS),
    (Endpoint("\u2603", 1, Family.NAME), ZEROS),
]


class ReplyTests(SynchronousTestCase):
    """Tests for :meth:`IDialect.reply`."""

    def test_v5_addresses(self) -> None:
        """SOCKS 5 can say each kind of address; what it cannot say is zeros."""
        for bound, address in ADDRESSES:
            with self.subTest(bound):
                data = socks5.DIALECT.reply(ReplyCode.SUCCEEDED, bound)
                self.assertEqual(data, b"\x05\x00\x00" + address)

    def test_v5_codes(self) -> None:
        """The codes are the nine of RFC 1928, in its order, and they can be read back."""
        self.assertEqual([int(code) for code in ReplyCode], list(range(9)))
        for code in ReplyCode:
            with self.subTest(code):
                data = socks5.DIALECT.reply(code, HERE)
                self.assertEqual(data[1], code)
                self.assertEqual(socks5.parse_reply(data + b"x"), (code, HERE, 10))

    def test_v4_codes(self) -> None:
        """SOCKS 4 says 90 for success and 91 for all else."""
        for code in ReplyCode:
            with self.subTest(code):
                data = socks4.DIALECT.reply(code, HERE)
                verdict = 90 if code is ReplyCode.SUCCEEDED else 91
                self.assertEqual(data, bytes((0, verdict)) + bytes.fromhex("1f90 c0000201"))
                granted = code is ReplyCode.SUCCEEDED
                self.assertEqual(socks4.parse_reply(data + b"x"), (granted, HERE, 8))

    def test_v4_addresses(self) -> None:
        """What SOCKS 4 cannot say is zeros, the port included."""
        for bound in (HERE_6, LOCALHOST):
            with self.subTest(bound):
                data = socks4.DIALECT.reply(ReplyCode.SUCCEEDED, bound)
                self.assertEqual(data, bytes.fromhex("005a 0000 00000000"))
