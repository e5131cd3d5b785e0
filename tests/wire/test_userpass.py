"""Tests for :mod:`dantetw.wire.userpass`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.wire import userpass
from dantetw.wire.messages import Credentials, ProtocolError

# What it is, bytes, user name, password; good in both directions.
TABLE = [
    ("usual", b"\x01\x03joe\x06secret", b"joe", b"secret"),
    ("empty", b"\x01\x00\x00", b"", b""),
    ("no name", b"\x01\x00\x01x", b"", b"x"),
    ("no password", b"\x01\x01x\x00", b"x", b""),
    ("longest", b"\x01\xff" + b"u" * 255 + b"\xff" + b"p" * 255, b"u" * 255, b"p" * 255),
    ("UTF-8", b"\x01\x02\xc3\xbc\x02\xc3\xbc", b"\xc3\xbc", b"\xc3\xbc"),
    ("other bytes", b"\x01\x02\xfc\n\x02\xff\n", b"\xfc\n", b"\xff\n"),
]


class LoginTests(SynchronousTestCase):
    """Tests for logins."""

    def test_table(self) -> None:
        """Logins are read and written, whatever stands behind them."""
        for what, data, name, password in TABLE:
            with self.subTest(what):
                text = name.decode("utf-8", "surrogateescape")
                expected = Credentials(text, password), len(data)
                self.assertEqual(userpass.parse_login(data + b"rest"), expected)
                self.assertEqual(userpass.build_login(name, password), data)
                self.assertLessEqual(len(data), userpass.LOGIN_LIMIT)
                self.assertEqual(text.encode("utf-8", "surrogateescape"), name)

    def test_incomplete(self) -> None:
        """Each beginning of a login is incomplete."""
        for what, data, _, _ in TABLE:
            with self.subTest(what):
                for size in range(len(data)):
                    self.assertIsNone(userpass.parse_login(data[:size]))

    def test_version(self) -> None:
        """Another version of the sub-negotiation is named and gets no answer."""
        error = self.assertRaises(ProtocolError, userpass.parse_login, b"\x05")
        self.assertEqual(
            error.text,
            "recv_unamever(): unknown socks_v5 version on username packet from client: 5",
        )
        self.assertEqual((error.reply, error.at), (b"", 1))

    def test_nul(self) -> None:
        """A NUL in either field is refused, so that no beginning passes for the whole."""
        for data in (b"\x01\x03a\x00b\x01p", b"\x01\x01u\x02p\x00"):
            with self.subTest(data):
                error = self.assertRaises(ProtocolError, userpass.parse_login, data + b"rest")
                self.assertEqual((error.reply, error.at), (b"\x01\x01", len(data)))

    def test_secret(self) -> None:
        """A password shows neither in the credentials' ``repr`` nor in an error."""
        found = userpass.parse_login(b"\x01\x03joe\x06secret")
        self.assertIn("joe", repr(found))
        self.assertNotIn("secret", repr(found))
        error = self.assertRaises(ProtocolError, userpass.parse_login, b"\x01\x01u\x07secret\x00")
        self.assertNotIn("secret", repr(error) + str(error))

    def test_too_long(self) -> None:
        """A field that cannot be written is a ``ValueError``."""
        self.assertRaises(ValueError, userpass.build_login, b"u" * 256, b"")
        self.assertRaises(ValueError, userpass.build_login, b"", b"p" * 256)

    @given(st.binary(max_size=600))
    def test_garbage(self, data: bytes) -> None:
        """No bytes raise anything but a ``ProtocolError``, and a login has a limited length."""
        try:
            found = userpass.parse_login(b"\x01" + data)
        except ProtocolError as error:
            self.assertLessEqual(error.at, 1 + len(data))
            return
        if found is not None:
            self.assertLessEqual(found[1], userpass.LOGIN_LIMIT)
        else:
            self.assertLess(1 + len(data), userpass.LOGIN_LIMIT)


class StatusTests(SynchronousTestCase):
    """Tests for :func:`userpass.parse_status`."""

    def test_table(self) -> None:
        """Zero is success and all else failure, whatever the version byte says."""
        for data, expected in (
            (b"", None),
            (b"\x01", None),
            (userpass.ACCEPTED, (True, 2)),
            (userpass.REFUSED, (False, 2)),
            (b"\x05\x00more", (True, 2)),
            (b"\x01\xff", (False, 2)),
        ):
            with self.subTest(data):
                self.assertEqual(userpass.parse_status(data), expected)
