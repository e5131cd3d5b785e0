"""Tests for :mod:`dantetw.wire.socks4`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.values import Cause, Command, Endpoint, Family
from dantetw.wire import socks4
from dantetw.wire.dialects import Request
from dantetw.wire.messages import ProtocolError

HERE = Endpoint("127.0.0.1", 80, Family.IPV4)
REFUSAL = bytes.fromhex("005b 0000 00000000")
HEAD = bytes.fromhex("0401 0050 7f000001")
HEAD_4A = bytes.fromhex("0401 0050 00000001")


def name(host: str) -> Endpoint:
    """A host name's endpoint."""
    return Endpoint(host, 80, Family.NAME)


LONGEST = b"u" * 1382

# What it is, bytes, command, target, user id; good in both directions.
TABLE = [
    ("no user", HEAD + b"\x00", Command.CONNECT, HERE, b""),
    ("user", HEAD + b"joe\x00", Command.CONNECT, HERE, b"joe"),
    ("longest user", HEAD + LONGEST + b"\x00", Command.CONNECT, HERE, LONGEST),
    ("bind", b"\x04\x02" + HEAD[2:] + b"\x00", Command.BIND, HERE, b""),
    ("4a", HEAD_4A + b"\x00example.org\x00", Command.CONNECT, name("example.org"), b""),
    ("4a, user", HEAD_4A + b"joe\x00a\x00", Command.CONNECT, name("a"), b"joe"),
    (
        "longest",
        HEAD_4A + LONGEST + b"\x00" + b"h" * 255 + b"\x00",
        Command.CONNECT,
        name("h" * 255),
        LONGEST,
    ),
    ("other bytes", HEAD_4A + b"\xfc\x00\xff\x00", Command.CONNECT, name("\udcff"), b"\xfc"),
    (
        "zero address",
        bytes.fromhex("0401 0050 00000000 00"),
        Command.CONNECT,
        Endpoint("0.0.0.0", 80, Family.IPV4),
        b"",
    ),
    (
        "net 0",
        bytes.fromhex("0401 0050 00000101 00"),
        Command.CONNECT,
        Endpoint("0.0.1.1", 80, Family.IPV4),
        b"",
    ),
]


class RequestTests(SynchronousTestCase):
    """Tests for requests."""

    def test_table(self) -> None:
        """Requests of SOCKS 4 and 4a are read and written, whatever stands behind them."""
        for what, data, command, target, user_id in TABLE:
            with self.subTest(what):
                text = user_id.decode("utf-8", "surrogateescape")
                request = Request(command, target, socks4.DIALECT, user_id=text)
                self.assertEqual(socks4.parse_request(data + b"rest"), (request, len(data)))
                self.assertEqual(socks4.build_request(command, target, user_id), data)
                self.assertLessEqual(len(data), socks4.REQUEST_LIMIT)

    def test_incomplete(self) -> None:
        """Each beginning of a request is incomplete."""
        for what, data, _, _, _ in TABLE:
            with self.subTest(what):
                for size in range(len(data)):
                    self.assertIsNone(socks4.parse_request(data[:size]))

    def test_every_mark(self) -> None:
        """Any 0.0.0.x but 0.0.0.0 says that a host name follows."""
        for mark in range(1, 256):
            found = socks4.parse_request(HEAD_4A[:-1] + bytes((mark,)) + b"\x00a\x00")
            self.assertEqual(found and found[0].target, name("a"))

    def test_numeric_name(self) -> None:
        """A numeric address in the place of a host name is the address it is, IPv6 included."""
        for raw, target in ((b"127.0.0.1", HERE), (b"[::1]", Endpoint("::1", 80, Family.IPV6))):
            found = socks4.parse_request(HEAD_4A + b"\x00" + raw + b"\x00")
            self.assertEqual(found and found[0].target, target)

    def test_faults(self) -> None:
        """Each fault is found at its first byte, has its text and reply 91."""
        for data, at, text, cause in (
            (b"\x04\x03\x00", 2, "unknown socks_v4 command: 3", Cause.UNSUPPORTED),
            (b"\x04\x00", 2, "unknown socks_v4 command: 0", Cause.UNSUPPORTED),
            (HEAD + b"u" * 1400 + b"\x00", 1391, USER_TOO_LONG, Cause.PROTOCOL),
            (HEAD_4A + b"u\x00" + b"h" * 256, 266, NAME_TOO_LONG, Cause.PROTOCOL),
            (HEAD_4A + b"u\x00\x00more", 11, "empty host name in request", Cause.PROTOCOL),
        ):
            with self.subTest(text):
                error = self.assertRaises(ProtocolError, socks4.parse_request, data)
                self.assertEqual((error.at, error.text, error.reply), (at, text, REFUSAL))
                self.assertIs(error.cause, cause)
                self.assertIsNone(socks4.parse_request(data[: at - 1]))

    def test_version(self) -> None:
        """Another version is named and gets no answer."""
        error = self.assertRaises(ProtocolError, socks4.parse_request, b"\x05")
        self.assertEqual(error.text, "unknown SOCKS version 5 in client request")
        self.assertEqual((error.reply, error.at), (b"", 1))

    def test_unwritable(self) -> None:
        """What SOCKS 4 cannot say is a ``ValueError``."""
        for target, user_id in (
            (Endpoint("::1", 80, Family.IPV6), b""),
            (name("\u2603"), b""),
            (name("a\x00b"), b""),
            (name("h" * 256), b""),
            (name(""), b""),
            (HERE, b"u" * 1383),
            (HERE, b"u\x00"),
        ):
            with self.subTest(target=target, user_id=user_id[:4]):
                self.assertRaises(
                    ValueError, socks4.build_request, Command.CONNECT, target, user_id
                )
        self.assertRaises(KeyError, socks4.build_request, Command.UDPASSOCIATE, HERE)

    @given(st.binary(max_size=1700))
    def test_garbage(self, data: bytes) -> None:
        """No bytes raise anything but a ``ProtocolError``, and a request has a limited length."""
        try:
            found = socks4.parse_request(b"\x04\x01" + data)
        except ProtocolError as error:
            self.assertLessEqual(error.at, 2 + len(data))
            return
        if found is not None:
            self.assertLessEqual(found[1], socks4.REQUEST_LIMIT)
        else:
            self.assertLess(2 + len(data), socks4.REQUEST_LIMIT)


class ReplyTests(SynchronousTestCase):
    """Tests for :func:`socks4.parse_reply`; ``test_replies`` has the good cases."""

    def test_incomplete(self) -> None:
        """Each beginning of a reply is incomplete."""
        for size in range(8):
            self.assertIsNone(socks4.parse_reply(b"\x00\x5a\x00\x50\x7f\x00\x00\x01"[:size]))

    def test_versions(self) -> None:
        """Version 0 is right, 4 is put up with, all else is an error."""
        for version in (0, 4):
            found = socks4.parse_reply(bytes((version,)) + b"\x5a\x00\x50\x7f\x00\x00\x01")
            self.assertEqual(found, (True, HERE, 8))
        self.assertRaises(ProtocolError, socks4.parse_reply, b"\x05")


USER_TOO_LONG = "socks_v4 username received from client is too long.  Max length is 1382"
NAME_TOO_LONG = "socks_v4 host name received from client is too long.  Max length is 255"
