"""Tests for :mod:`dantetw.auth.system` and :mod:`dantetw.auth.shadow`."""

from __future__ import annotations

import pwd

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.auth.crypting import Libcrypt
from dantetw.auth.interfaces import IAuthenticator
from dantetw.auth.shadow import (
    HashCosts,
    PasswordVerdict,
    Record,
    SystemPasswords,
    kind_of,
    record_of,
)
from dantetw.auth.system import SystemUsers
from tests.auth.testing import (
    BCRYPT,
    MD5,
    SHA256,
    SHA512,
    YESCRYPT,
    AuthenticatorTestsMixin,
)

TODAY = 20000

SHADOW = b"""\
root:*:19000:0:99999:7:::
daemon:!:19000::::::
bob:%s:19000:0:99999:7:::
eve:%s:19000:0:99999:7:::
locked:!%s:19000:0:99999:7:::
empty::19000:0:99999:7:::
expired:%s:19000:0:99999:7::20000:
expiring:%s:19000:0:99999:7::20001:
stale:%s:19000:0:900:7:99::
aged:%s:19000:0:900:7:100::
short:%s
+nis:%s:::::::
""" % (YESCRYPT, SHA512, SHA512, MD5, MD5, MD5, MD5, MD5, MD5)

# What the password database has of those who are not in the shadow file.
ELSEWHERE = {"network": SHA256.decode(), "ghost": "x", "star": "*"}
NAMES = [line.split(b":")[0].decode() for line in SHADOW.splitlines()]


def getpwnam(name: str) -> pwd.struct_passwd:
    """A password database."""
    if name in ELSEWHERE or name in NAMES:
        field = ELSEWHERE.get(name, "x")
        return pwd.struct_passwd((name, field, 1000, 1000, "", "/", "/bin/sh"))
    if "\x00" in name:
        raise ValueError("embedded null byte")
    name.encode("utf-8", "surrogateescape")
    raise KeyError(name)


class SystemUsersTests(AuthenticatorTestsMixin, SynchronousTestCase):
    """Tests for :class:`SystemUsers`."""

    def make(self) -> IAuthenticator:
        """Users of a system of which only the C library is real."""
        self.shadow = self.mktemp()
        with open(self.shadow, "wb") as file:
            file.write(SHADOW)
        return self.users_of(SystemPasswords(self.shadow, Libcrypt(), getpwnam, lambda: TODAY))

    def users_of(self, passwords: SystemPasswords) -> SystemUsers:
        """The users with these passwords."""

        def thd_check(name: str, password: bytes, client: str) -> PasswordVerdict:
            return passwords.thd_check(name, password)

        return SystemUsers(self.clock, self.threads, thd_check, shadow=self.shadow)

    def test_accounts(self) -> None:
        """Only who has a password, an unlocked one, and an account that lives, gets in."""
        no_record = 'could not access user "{}"\'s records in the system password file: no system '
        no_record += "error"
        wrong = 'system password authentication failed for user "{}"'
        for name, refusal in (
            ("locked", wrong),
            ("empty", wrong),
            ("root", wrong),
            ("star", wrong),
            ("expired", wrong),
            ("expiring", ""),
            ("stale", wrong),
            ("aged", ""),
            ("short", ""),
            ("network", ""),
            ("ghost", no_record),
        ):
            for password in (b"secret", b""):
                expected = refusal if password else refusal or wrong
                self.assertEqual(
                    self.text_of(self.users.authenticate(name, password)), expected.format(name)
                )

    def test_unreadable(self) -> None:
        """If the shadow file cannot be read, the system's error is told, and nobody gets in."""
        users = self.users_of(SystemPasswords("/", getpwnam=getpwnam))
        self.assertEqual(
            self.text_of(users.authenticate("bob", b"secret")),
            'could not access user "bob"\'s records in the system password file: Is a directory',
        )

    def test_unreadable_costs_a_hash(self) -> None:
        """That takes as long as if it could."""
        settings: list[bytes] = []
        self.patch(Libcrypt, "thd_matches", lambda crypt, password, stored: settings.append(stored))
        users = self.users_of(SystemPasswords("/", getpwnam=getpwnam))
        self.assertNotEqual(self.text_of(users.authenticate("bob", b"secret")), "")
        self.assertEqual(len(settings), 1)

    def test_no_shadow(self) -> None:
        """A system without a shadow file has the hashes in its password database."""
        users = self.users_of(SystemPasswords(self.mktemp(), getpwnam=getpwnam))
        self.assertEqual(self.text_of(users.authenticate("network", b"secret")), "")
        self.assertIn("could not access", self.text_of(users.authenticate("bob", b"secret")))

    def test_unknown_costs_most(self) -> None:
        """For an unknown user, or a locked one, the hash is computed that costs most."""
        costs = {YESCRYPT: 3.0, SHA512: 5.0, MD5: 0.1}
        settings: list[bytes] = []

        def thd_matches(crypt: Libcrypt, password: bytes, stored: bytes) -> bool:
            settings.append(stored)
            self.used += costs[stored]
            return True

        self.used = 0.0
        self.patch(Libcrypt, "thd_matches", thd_matches)
        users = self.users_of(
            SystemPasswords(self.shadow, Libcrypt(), getpwnam, lambda: TODAY, lambda: self.used)
        )
        for _ in costs:
            self.assertNotEqual(self.text_of(users.authenticate("nosuchuser", b"secret")), "")
        self.assertEqual(set(settings), set(costs))
        del settings[:]
        for name in ("nosuchuser", "locked", "expired", "empty", "ghost"):
            self.assertNotEqual(self.text_of(users.authenticate(name, b"secret")), "")
        self.assertEqual(settings, [SHA512] * 5)

    def test_kinds(self) -> None:
        """Hashes of one kind cost the same: the salt is no part of it, the rounds are."""
        for stored, kind in (
            (YESCRYPT, b"y$j75"),
            (SHA512, b"6$rounds=1000"),
            (SHA256, b"5$"),
            (MD5, b"1$"),
            (BCRYPT, b"2b$05"),
            (b"$7$DU..../....saltsalt$hash", b"7$DU..../...."),
            (b"$gy$j9T$salt$hash", b"gy$j9T"),
            (b"$", b"$"),
            (b"$6", b"6$"),
        ):
            self.assertEqual(kind_of(stored), kind)

    @given(st.binary(max_size=80))
    def test_any_kind(self, data: bytes) -> None:
        """Whatever stands behind the dollar sign is some kind."""
        costs = HashCosts()
        costs.measured(b"$" + data, 1.0)
        costs.measured(data, 1.0)
        self.assertEqual(costs.costliest([b"$" + data]), b"$" + data)
        self.assertIsNone(costs.costliest([]))

    def test_revision_of_changed_file(self) -> None:
        """A changed shadow file has another revision, seen after a second at most."""
        before = self.users.revision("bob")
        with open(self.shadow, "ab") as file:
            file.write(b"new:*:::::::\n")
        self.assertEqual(self.users.revision("bob"), before)
        self.clock.advance(1)
        self.assertNotEqual(self.users.revision("bob"), before)

    def test_own_mistake(self) -> None:
        """An error while hashing is logged, and nobody gets in."""
        self.patch(Libcrypt, "thd_matches", lambda *_: 1 // 0)
        self.assertIn("failed", self.text_of(self.users.authenticate("bob", b"secret")))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class RecordTests(SynchronousTestCase):
    """Tests for :class:`Record` and :func:`record_of`."""

    def test_no_secret_in_repr(self) -> None:
        """A record does not show its hash."""
        self.assertNotIn("$1$", repr(Record(MD5)))

    def test_not_there(self) -> None:
        """A name that is not the whole first field has no record."""
        for key in (b"", b"bo", b"bobb", b"bob:", b"bob\n", b"bob:$y$", b"+ni", b"root:*"):
            self.assertIsNone(record_of(key, SHADOW), key)

    @given(st.binary(max_size=200))
    def test_any_file(self, data: bytes) -> None:
        """Whatever is in the file, it is read without error."""
        record = record_of(b"bob", b"bob:" + data)
        assert record is not None
        record.usable(TODAY)
        record_of(b"bob", data)
