"""Tests for :mod:`dantetw.wire.socks5`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.values import Cause, Command, Endpoint, Family, Method, ReplyCode
from dantetw.wire import socks5
from dantetw.wire.dialects import Request
from dantetw.wire.messages import ProtocolError

HERE = Endpoint("127.0.0.1", 80, Family.IPV4)
NAMED = Endpoint("example.org", 443, Family.NAME)

GREETINGS = [
    (b"\x05\x00", b""),
    (b"\x05\x01\x00", b"\x00"),
    (b"\x05\x02\x00\x02", b"\x00\x02"),
    (b"\x05\xff" + bytes(range(255)), bytes(range(255))),
]

REQUESTS = [
    (b"\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50", Command.CONNECT, HERE),
    (b"\x05\x02\x00\x03\x0bexample.org\x01\xbb", Command.BIND, NAMED),
    (
        b"\x05\x03\x00\x04" + bytes(16) + b"\x00\x00",
        Command.UDPASSOCIATE,
        Endpoint("::", 0, Family.IPV6),
    ),
]


def failure(code: ReplyCode) -> bytes:
    """A reply without an address."""
    return bytes((5, code, 0, 1)) + bytes(6)


class GreetingTests(SynchronousTestCase):
    """Tests for greetings and the choice of a method."""

    def test_table(self) -> None:
        """Greetings of zero to 255 methods are read and written."""
        for data, codes in GREETINGS:
            with self.subTest(data[:5]):
                self.assertEqual(socks5.parse_greeting(data + b"rest"), (codes, len(data)))
                self.assertEqual(socks5.build_greeting(codes), data)
                self.assertLessEqual(len(data), socks5.GREETING_LIMIT)

    def test_incomplete(self) -> None:
        """Each beginning of a greeting is incomplete."""
        for data, _ in GREETINGS:
            for size in range(len(data)):
                self.assertIsNone(socks5.parse_greeting(data[:size]))

    def test_version(self) -> None:
        """Another version is named and gets no answer."""
        for version in set(range(256)) - {5}:
            error = self.assertRaises(ProtocolError, socks5.parse_greeting, bytes((version,)))
            self.assertEqual(error.text, f"unknown SOCKS version {version} in client request")
            self.assertEqual((error.reply, error.at), (b"", 1))
            self.assertIs(error.cause, Cause.PROTOCOL)

    def test_choose(self) -> None:
        """The server's order decides, then the order in which a method prefers its codes."""
        none, username, anyhow = Method.NONE, Method.USERNAME, Method.PAM_ANY
        for methods, offered, chosen in (
            ((none, username), b"\x02\x00", (none, 0)),
            ((username, none), b"\x00\x02", (username, 2)),
            ((username, none), b"\x00\x01", (none, 0)),
            ((none,), b"\x02\x01\x03\xfe", None),
            ((none,), b"", None),
            ((), b"\x00\x02", None),
            ((anyhow,), b"\x00\x02", (anyhow, 2)),
            ((anyhow,), b"\x00", (anyhow, 0)),
            ((Method.RFC931,), b"\x02\x00", (Method.RFC931, 0)),
            ((Method.RFC931,), b"\x02", (Method.RFC931, 2)),
            ((Method.GSSAPI, none), b"\x01\x00", (none, 0)),
            ((none, username), b"\xff", None),
        ):
            with self.subTest(methods=methods, offered=offered):
                self.assertEqual(socks5.choose(methods, offered), chosen)

    def test_choice(self) -> None:
        """A server's choice is read and written."""
        for code in (0, 2, 0xFF):
            data = socks5.build_choice(code)
            self.assertEqual(data, bytes((5, code)))
            self.assertEqual(socks5.parse_choice(data + b"x"), (code, 2))
            self.assertIsNone(socks5.parse_choice(data[:1]))
        self.assertIsNone(socks5.parse_choice(b""))
        self.assertRaises(ProtocolError, socks5.parse_choice, b"\x04")


class RequestTests(SynchronousTestCase):
    """Tests for requests."""

    def test_table(self) -> None:
        """Requests are read and written, whatever stands behind them."""
        for data, command, target in REQUESTS:
            with self.subTest(command):
                found = socks5.parse_request(data + b"rest", Method.USERNAME)
                request = Request(command, target, socks5.DIALECT, Method.USERNAME)
                self.assertEqual(found, (request, len(data)))
                self.assertEqual(socks5.build_request(command, target), data)

    def test_incomplete(self) -> None:
        """Each beginning of a request is incomplete."""
        for data, _, _ in REQUESTS:
            for size in range(len(data)):
                self.assertIsNone(socks5.parse_request(data[:size]))

    def test_limit(self) -> None:
        """The longest request is as long as the limit says."""
        data = socks5.build_request(Command.CONNECT, Endpoint("a" * 255, 1, Family.NAME))
        self.assertEqual(len(data), socks5.REQUEST_LIMIT)

    def test_reserved(self) -> None:
        """The reserved byte is ignored."""
        found = socks5.parse_request(b"\x05\x01\xee\x01\x7f\x00\x00\x01\x00\x50")
        self.assertEqual(found, (Request(Command.CONNECT, HERE, socks5.DIALECT), 10))

    def test_faults(self) -> None:
        """Each fault is found at its first byte, has its text and the reply made for it."""
        unsupported = failure(ReplyCode.COMMAND_NOT_SUPPORTED)
        address_type = failure(ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED)
        unreachable = failure(ReplyCode.HOST_UNREACHABLE)
        for data, at, text, answer, cause in (
            (b"\x04", 1, "local client protocol error", b"", Cause.PROTOCOL),
            (b"\x00", 1, "local client protocol error", b"", Cause.PROTOCOL),
            (b"\x05\x00", 2, "unknown socks_v5 command: 0", unsupported, Cause.UNSUPPORTED),
            (b"\x05\x09\x00\x05", 2, "unknown socks_v5 command: 9", unsupported, Cause.UNSUPPORTED),
            (
                b"\x05\x01\x00\x05",
                4,
                "unknown socks_v5 address type: 5",
                address_type,
                Cause.UNSUPPORTED,
            ),
            (b"\x05\x01\x00\x03\x00", 5, "empty host name in request", unreachable, Cause.PROTOCOL),
            (
                b"\x05\x01\x00\x03\x03a\x00b\x00\x50data",
                10,
                "NUL byte in the host name of a request",
                unreachable,
                Cause.PROTOCOL,
            ),
        ):
            with self.subTest(data):
                error = self.assertRaises(ProtocolError, socks5.parse_request, data)
                self.assertEqual((error.at, error.text, error.reply), (at, text, answer))
                self.assertIs(error.cause, cause)
                self.assertIsNone(socks5.parse_request(data[: at - 1]))

    def test_unwritable(self) -> None:
        """A request that cannot be written is a ``ValueError``, not another request."""
        target = Endpoint("\u2603", 80, Family.NAME)
        self.assertRaises(ValueError, socks5.build_request, Command.CONNECT, target)
        self.assertRaises(KeyError, socks5.build_request, Command.ACCEPT, HERE)

    @given(st.binary(max_size=300))
    def test_garbage(self, data: bytes) -> None:
        """No bytes raise anything but a ``ProtocolError``, and a request has a limited length."""
        try:
            found = socks5.parse_request(b"\x05\x01\x00" + data)
        except ProtocolError as error:
            self.assertLessEqual(error.at, 3 + len(data))
            return
        if found is not None:
            self.assertLessEqual(found[1], socks5.REQUEST_LIMIT)
        else:
            self.assertLess(3 + len(data), socks5.REQUEST_LIMIT)


class ReplyTests(SynchronousTestCase):
    """Tests for :func:`socks5.parse_reply`; ``test_replies`` has the good cases."""

    def test_incomplete(self) -> None:
        """Each beginning of a reply is incomplete."""
        for data, _, _ in REQUESTS:
            for size in range(len(data)):
                self.assertIsNone(socks5.parse_reply(data[:size]))

    def test_unknown_code(self) -> None:
        """A code nobody has heard of is handed on."""
        self.assertEqual(socks5.parse_reply(b"\x05\xc8\x00" + REQUESTS[0][0][3:]), (200, HERE, 10))

    def test_faults(self) -> None:
        """What is not a reply is an error, and a server gets no answer to it."""
        for data, at in ((b"\x04", 1), (b"\x05\x00\x00\x02", 4), (b"\x05\x00\x00\x03\x00", 5)):
            with self.subTest(data):
                error = self.assertRaises(ProtocolError, socks5.parse_reply, data)
                self.assertEqual((error.reply, error.at), (b"", at))
