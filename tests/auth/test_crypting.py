"""Tests for :mod:`dantetw.auth.crypting`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dantetw.auth.crypting import Libcrypt, LibcryptMissingError
from tests.auth.testing import BCRYPT, MD5, SHA256, SHA512, YESCRYPT


class LibcryptTests(SynchronousTestCase):
    """Tests for :class:`Libcrypt`."""

    def test_known_hashes(self) -> None:
        """Passwords fit hashes that were made elsewhere, and others do not."""
        crypt = Libcrypt()
        for stored in (YESCRYPT, SHA512, SHA256, MD5, BCRYPT):
            self.assertTrue(crypt.thd_matches(b"secret", stored), stored)
            for wrong in (b"Secret", b"", b"secret ", b"secret\x00", b"sec\x00ret"):
                self.assertFalse(crypt.thd_matches(wrong, stored), (wrong, stored))

    def test_no_hashes(self) -> None:
        """What is no hash fits no password."""
        crypt = Libcrypt()
        for stored in (b"", b"!", b"*", b"*0", b"*1", b"x", b"!" + SHA512, b"$nosuch$salt$hash"):
            for password in (b"", b"secret", b"x", b"*0"):
                self.assertFalse(crypt.thd_matches(password, stored), (password, stored))

    def test_missing(self) -> None:
        """Without the library the error says what to do."""

        def load(name: str | None) -> object:
            if name is None:
                return object()  # a program without crypt_r
            raise OSError("no such library")

        with self.assertRaises(LibcryptMissingError) as raised:
            Libcrypt(load)
        self.assertIn("username.file", str(raised.exception))
