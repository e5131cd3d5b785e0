"""Tests for :mod:`dantetw.auth.usersfile`."""

from __future__ import annotations

import os
import sys
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.auth import usersfile
from dantetw.auth.interfaces import IAuthenticator
from dantetw.auth.usersfile import COSTS, UsersFile, UsersFileError, load_bcrypt, parse, thd_matches
from dantetw.process.filewatch import Stamp, look
from dantetw.process.regular import open_regular
from tests.auth.testing import (
    BCRYPT,
    BCRYPT_HTPASSWD,
    SHA512,
    AuthenticatorTestsMixin,
)

USERS = b"# people\n\nbob:" + BCRYPT + b"\neve:" + BCRYPT_HTPASSWD + b"\r\n"


class UsersFileTests(AuthenticatorTestsMixin, SynchronousTestCase):
    """Tests for :class:`UsersFile`."""

    def make(self) -> IAuthenticator:
        """Users in a file."""
        self.opened: list[str] = []
        self.reports: list[str] = []
        self.path = self.mktemp()
        self.write(USERS)
        return self.open()

    def open(self) -> UsersFile:
        """Open the file anew."""
        return UsersFile(
            self.path, self.clock, self.threads, self.reports.append, self.opener, self.look
        )

    def opener(self, path: str, flags: int) -> int:
        """Open with privileges."""
        self.opened.append(path)
        return open_regular(path, flags)

    def look(self, path: str) -> Stamp:
        """Look with privileges."""
        self.opened.append(path)
        return look(path)

    def write(self, data: bytes, mode: int = 0o640) -> None:
        """Replace the file."""
        with open(self.path + ".new", "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
        os.replace(self.path + ".new", self.path)

    def test_changed(self) -> None:
        """A changed file counts after a second at most."""
        before = self.users.revision("bob")
        self.write(b"al:" + BCRYPT + b"\n")
        self.assertEqual(self.text_of(self.users.authenticate("bob", b"secret")), "")
        self.clock.advance(1)
        self.assertIn("could not", self.text_of(self.users.authenticate("bob", b"secret")))
        self.assertEqual(self.text_of(self.users.authenticate("al", b"secret")), "")
        self.assertNotEqual(self.users.revision("bob"), before)
        self.assertEqual(self.reports, [])

    def test_revision_is_the_users_own(self) -> None:
        """A change of one user leaves the others' revisions as they were."""
        before = self.users.revision("bob"), self.users.revision("eve")
        self.write(USERS.replace(BCRYPT_HTPASSWD, BCRYPT))
        self.clock.advance(1)
        self.assertEqual(self.users.revision("bob"), before[0])
        self.assertNotEqual(self.users.revision("eve"), before[1])

    def test_faulty_later(self) -> None:
        """If a changed file is faulty or gone, the users of before remain, and it is told once."""
        self.write(b"bob:secret\nx\n")
        self.clock.advance(1)
        for _ in range(2):
            self.assertEqual(self.text_of(self.users.authenticate("bob", b"secret")), "")
            self.clock.advance(1)
        self.assertEqual(
            self.reports,
            [
                f'{self.path}:1: the hash of user "bob" is not one of bcrypt; make it with '
                '"sockd users add" (and 1 more); keeping the users of before'
            ],
        )
        os.unlink(self.path)
        self.clock.advance(1)
        self.assertEqual(self.text_of(self.users.authenticate("bob", b"secret")), "")
        self.assertEqual(
            self.reports[1:],
            [f"{self.path}: No such file or directory; keeping the users of before"],
        )

    def test_faulty_at_first(self) -> None:
        """A file that is faulty or not there at the start is an error."""
        self.write(b"bob\n")
        self.assertRaises(UsersFileError, self.open)
        os.unlink(self.path)
        error = self.assertRaises(UsersFileError, self.open)
        self.assertEqual(str(error), f"{self.path}: No such file or directory")

    def test_readable_by_everybody(self) -> None:
        """A file that everybody may read is told of."""
        self.assertEqual(self.reports, [])
        self.write(USERS, 0o644)
        self.open()
        self.assertEqual(
            self.reports,
            [
                f"{self.path}: everybody on this system may use this file of passwords "
                "(mode 0644); chmod 0640 would be better"
            ],
        )

    def test_privileges(self) -> None:
        """The file is looked at, and read, with privileges."""
        self.assertEqual(self.opened, [self.path, self.path])

    def test_nobody_at_all(self) -> None:
        """An empty file has no users, and refusing them costs a hash as well."""
        self.write(b"")
        waited = self.open().authenticate("bob", b"")
        self.assertNoResult(waited)
        self.assertIn("could not", self.text_of(waited))

    def test_unknown_costs_most(self) -> None:
        """What is computed for an unknown user costs as much as the costliest hash of the file."""
        costly = BCRYPT.replace(b"$05$", b"$06$")
        stored: list[bytes] = []
        self.patch(usersfile, "thd_matches", lambda bcrypt, password, hash: stored.append(hash))
        for data in (b"a:%s\nb:%s\nc:%s\n" % (BCRYPT, costly, BCRYPT), b"a:%s\n" % BCRYPT):
            self.write(data)
            self.clock.advance(1)
            self.assertIn("could not", self.text_of(self.users.authenticate("x", b"y")))
        self.assertEqual(stored, [costly, BCRYPT])

    def test_no_library(self) -> None:
        """Without the bcrypt library the error says how to get it."""
        with mock.patch.dict(sys.modules, {"bcrypt": None}):
            error = self.assertRaises(UsersFileError, self.open)
        self.assertIn("pip install dantetw[users]", str(error))


class ParseTests(SynchronousTestCase):
    """Tests for :func:`parse`."""

    def test_users(self) -> None:
        """Comments, blank lines and line ends of either kind are understood."""
        self.assertEqual(parse(USERS, "users"), {b"bob": BCRYPT, b"eve": BCRYPT_HTPASSWD})

    def test_odd_names(self) -> None:
        """A name may have blanks inside, and bytes that are no text."""
        for key in (b"bob smith", b"\xff\xfe", b"a" * 255, b"b#b"):
            self.assertEqual(parse(key + b":" + BCRYPT, "users"), {key: BCRYPT})

    def test_faults(self) -> None:
        """Each fault is told with file and line, and without hash or password."""
        not_bcrypt = 'the hash of user "bob" is not one of bcrypt; make it with "sockd users add"'
        cases: list[tuple[bytes, str]] = [
            (b"hunter2", 'expected "name:hash"'),
            (b":" + BCRYPT, "the name is empty"),
            (b"a" * 256 + b":" + BCRYPT, "the name is longer than 255 bytes"),
            (b" bob:" + BCRYPT, "a name can begin with no # and begin or end with no blank"),
            (b"b\x1bb:" + BCRYPT, "a name can have no colon and no control characters"),
            (b"bob:", not_bcrypt),
            (b"bob:secret", not_bcrypt),
            (b"bob:" + SHA512, not_bcrypt),
            (b"bob:" + BCRYPT + b" ", not_bcrypt),
            (b"bob:" + BCRYPT[:-1], not_bcrypt),
            (
                b"bob:" + BCRYPT.replace(b"$05$", b"$31$"),
                'the hash of user "bob" has a cost outside 4-17',
            ),
            (
                b"\xffeve:" + BCRYPT + b"\n\xffeve:" + BCRYPT,
                'user "\\377eve" was named before',
            ),
        ]
        for data, text in cases:
            error = self.assertRaises(UsersFileError, parse, data, "users")
            line = data.count(b"\n") + 1
            self.assertEqual(error.problems, (f"users:{line}: {text}",))

    def test_all_faults(self) -> None:
        """All faulty lines are told, up to twenty."""
        error = self.assertRaises(UsersFileError, parse, b"x\n" + USERS + b"y\n", "users")
        self.assertEqual([text.split(":")[1] for text in error.problems], ["1", "6"])
        error = self.assertRaises(UsersFileError, parse, b"x\n" * 1000, "users")
        self.assertEqual(len(error.problems), 20)

    def test_too_large(self) -> None:
        """A file of another kind is not searched for users."""
        error = self.assertRaises(UsersFileError, parse, b"#" * 5_000_000, "users")
        self.assertEqual(str(error), "users: larger than 4194304 bytes")

    @given(st.binary(max_size=200))
    def test_any_file(self, data: bytes) -> None:
        """Whatever is in a file, it is users or faults."""
        try:
            users = parse(data, "users")
        except UsersFileError as error:
            self.assertTrue(all(text.isascii() for text in error.problems))
        else:
            for key in users:
                self.assertEqual(parse(key + b":" + BCRYPT, "again"), {key: BCRYPT})


class MatchTests(SynchronousTestCase):
    """Tests for :func:`thd_matches`."""

    def test_long_passwords(self) -> None:
        """A password that bcrypt would cut fits nothing, not even what its beginning fits."""
        bcrypt = load_bcrypt()
        stored = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(COSTS.start))
        self.assertTrue(thd_matches(bcrypt, b"x" * 72, stored))
        self.assertFalse(thd_matches(bcrypt, b"x" * 73, stored))
        self.assertFalse(thd_matches(bcrypt, b"x" * 72 + b"\x00", stored))
