"""Tests for :mod:`dantetw.cli.users`."""

from __future__ import annotations

import errno
import io
import os
import stat
import threading

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from dantetw.auth import locking
from dantetw.auth.usersfile import load_bcrypt, parse, thd_matches
from dantetw.cli import users as useradmin
from dantetw.cli.users import main
from tests.auth.testing import BCRYPT


class Terminal(io.StringIO):
    """A standard input that is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


class MainTests(SynchronousTestCase):
    """Tests for :func:`main`."""

    def setUp(self) -> None:
        """Name a file that is not there."""
        self.path = self.mktemp()

    def run_command(
        self, *argv: str, stdin: str = "", typed: list[str] | None = None
    ) -> tuple[int, str, str]:
        """Exit status, output and errors of a command; ``typed`` is typed at a terminal."""
        out, err = io.StringIO(), io.StringIO()
        keys = iter(typed or [])
        status = main(
            argv,
            io.StringIO(stdin) if typed is None else Terminal(),
            out,
            err,
            lambda _: next(keys),
        )
        return status, out.getvalue(), err.getvalue()

    def add(self, name: str, password: str, *options: str) -> tuple[int, str, str]:
        """Add a user, cheaply."""
        return self.run_command(
            "add", "--cost", "4", *options, self.path, name, stdin=password + "\n"
        )

    def read(self) -> bytes:
        """The file."""
        with open(self.path, "rb") as file:
            return file.read()

    def test_add(self) -> None:
        """A user is added to a new file that only its owner may read."""
        self.assertEqual(self.add("bob", "secret"), (0, f'{self.path}: user "bob" added\n', ""))
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        users = parse(self.read(), self.path)
        self.assertTrue(thd_matches(load_bcrypt(), b"secret", users[b"bob"]))
        self.assertTrue(users[b"bob"].startswith(b"$2b$04$"))
        self.assertEqual(os.listdir(os.path.dirname(self.path)), [os.path.basename(self.path)])

    def test_new_password(self) -> None:
        """A known user gets a new password in place; comments and others stay as they were."""
        with open(self.path, "wb") as file:
            file.write(b"# people\nbobby:" + BCRYPT + b"\nbob:" + BCRYPT + b"\n\neve:" + BCRYPT)
        status, out, _ = self.add("bob", "new")
        self.assertEqual((status, out), (0, f'{self.path}: user "bob" has a new password\n'))
        lines = self.read().split(b"\n")
        self.assertEqual(lines[:2], [b"# people", b"bobby:" + BCRYPT])
        self.assertNotEqual(lines[2], b"bob:" + BCRYPT)
        self.assertEqual(lines[3:], [b"", b"eve:" + BCRYPT, b""])
        self.add("al", "x")
        self.assertEqual(list(parse(self.read(), "")), [b"bobby", b"bob", b"eve", b"al"])

    def test_mode_is_kept(self) -> None:
        """A file keeps its mode when it is replaced."""
        self.add("bob", "secret")
        os.chmod(self.path, 0o640)
        self.add("eve", "secret")
        self.run_command("remove", self.path, "bob")
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o640)

    def test_symbolic_link(self) -> None:
        """A link remains a link; the file it points to is replaced."""
        link = self.mktemp()
        self.add("bob", "secret")
        os.symlink(os.path.abspath(self.path), link)
        self.run_command("add", "--cost", "4", link, "eve", stdin="x\n")
        self.assertTrue(os.path.islink(link))
        self.assertIn(b"eve:", self.read())

    def test_typed(self) -> None:
        """At a terminal the password is asked for twice, and must be the same."""
        typed = ["secret", "secret"]
        self.assertEqual(self.run_command("add", self.path, "bob", typed=typed)[0], 0)
        before = self.read()
        status, _, err = self.run_command("add", self.path, "bob", typed=["secret", "sercet"])
        self.assertEqual((status, err), (1, "the two passwords differ; nothing was changed\n"))
        self.assertEqual(self.read(), before)

    def test_many_at_once(self) -> None:
        """Of 24 users that are added at once, all having asked before any writes, all remain."""
        names = [f"user{number}" for number in range(24)]
        all_there = threading.Barrier(len(names))

        def password(twice: bool) -> bytes:
            all_there.wait(60)
            return b"secret"

        threads = [
            threading.Thread(target=useradmin._add, args=(self.path, name, 4, password))
            for name in names
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(parse(self.read(), self.path)), sorted(map(str.encode, names)))
        self.assertEqual(os.listdir(os.path.dirname(self.path)), [os.path.basename(self.path)])

    def test_removed_during_the_prompt(self) -> None:
        """A user who is removed while a password is asked for stays removed."""
        for name in ("al", "bob", "eve"):
            self.add(name, "secret")

        def ask(prompt: str) -> str:
            self.run_command("remove", self.path, "bob")
            return "new"

        out = io.StringIO()
        main(["add", "--cost", "4", self.path, "eve"], Terminal(), out, out, ask)
        self.assertEqual(list(parse(self.read(), self.path)), [b"al", b"eve"])
        # Or the one who was to get a new password: then they are new.
        out = io.StringIO()
        main(["add", "--cost", "4", self.path, "bob"], Terminal(), out, out, lambda _: "new")
        self.assertIn("added", out.getvalue())

    def test_locked(self) -> None:
        """A file that another process keeps locked is not waited for without end."""
        self.add("bob", "secret")
        before = self.read()
        self.patch(locking, "LOCK_SECONDS", 0.05)
        with locking.locked(self.path):
            for argv in (("remove", self.path, "bob"), ("add", "--cost", "4", self.path, "eve")):
                status, _, err = self.run_command(*argv, stdin="x\n")
                self.assertEqual(status, 1)
                self.assertIn("another process keeps it locked; nothing was changed", err)
        self.assertEqual(self.read(), before)

    def test_failed(self) -> None:
        """What cannot be written leaves no new file, no empty one, and the old one as it was."""

        def replace(old: str, new: str) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        folder = os.path.dirname(os.path.abspath(self.path))
        self.patch(locking.os, "replace", replace)
        status, _, err = self.add("bob", "secret")
        self.assertEqual((status, err), (1, f"{self.path}: No space left on device\n"))
        self.assertEqual(os.listdir(folder), [])

    def test_attributes_are_kept(self) -> None:
        """Extended attributes, as access lists are, stay with the name."""
        self.add("bob", "secret")
        try:
            os.setxattr(self.path, "user.dantetw", b"kept")
        except (AttributeError, OSError):
            raise SkipTest("no extended attributes here") from None
        self.add("eve", "secret")
        self.assertEqual(os.getxattr(self.path, "user.dantetw"), b"kept")

    def test_fifo(self) -> None:
        """A FIFO is no users file, and is not waited for."""
        os.mkfifo(self.path)
        for argv in (("remove", self.path, "bob"), ("add", "--cost", "4", self.path, "eve")):
            status, _, err = self.run_command(*argv, stdin="x\n")
            self.assertEqual((status, err), (1, f"{self.path}: not a regular file\n"))

    def test_bad_passwords(self) -> None:
        """Passwords that cannot work are refused when they are made."""
        for password, text in (
            ("", "the password is empty\n"),
            (
                "é" * 37,
                "the password has 74 bytes; bcrypt would look at the first 72 only\n",
            ),
            (
                "a\x00b",
                "the password has a NUL byte, which clients cannot send to all servers\n",
            ),
        ):
            self.assertEqual(self.add("bob", password), (1, "", text))
            self.assertFalse(os.path.exists(self.path))

    def test_bad_names(self) -> None:
        """Names that no file can hold are refused."""
        for name in ("", "a:b", "#a", " a", "a\n", "x" * 256):
            status, out, err = self.add(name, "secret")
            self.assertEqual((status, out), (1, ""), repr(name))
            self.assertIn("name", err)

    def test_remove(self) -> None:
        """A user can be removed, once."""
        self.add("bob", "secret")
        self.add("bobby", "secret")
        self.assertEqual(self.run_command("remove", self.path, "bob")[0], 0)
        self.assertEqual(list(parse(self.read(), "")), [b"bobby"])
        self.assertEqual(
            self.run_command("remove", self.path, "bob"),
            (1, "", f'{self.path}: there is no user "bob"\n'),
        )

    def test_list(self) -> None:
        """The users are named in the order of the file, escaped."""
        with open(self.path, "wb") as file:
            file.write(b"bob:" + BCRYPT + b"\n\xff:" + BCRYPT + b"\n")
        self.assertEqual(self.run_command("list", self.path), (0, "bob\n\\377\n", ""))

    def test_check(self) -> None:
        """A file is checked, or one user's password."""
        self.add("bob", "secret")
        self.assertEqual(
            self.run_command("check", self.path), (0, f"{self.path}: 1 user, no faults\n", "")
        )
        for typed, status in (["secret"], 0), (["wrong"], 1):
            self.assertEqual(self.run_command("check", self.path, "bob", typed=typed)[0], status)
        self.assertEqual(self.run_command("check", self.path, "eve", typed=["x"])[0], 1)

    def test_faulty_file(self) -> None:
        """A faulty file is not touched, and its faults are told."""
        with open(self.path, "wb") as file:
            file.write(b"hunter2\n")
        for command in (["check"], ["list"], ["remove", "bob"], ["add", "bob"]):
            status, out, err = self.run_command(command[0], self.path, *command[1:], stdin="x\n")
            self.assertEqual((status, out), (1, ""))
            self.assertEqual(err, f'{self.path}:1: expected "name:hash"\n')
        self.assertEqual(self.read(), b"hunter2\n")

    def test_no_file(self) -> None:
        """A file that is not there is an error in the system's words."""
        self.assertEqual(
            self.run_command("list", self.path),
            (1, "", f"{self.path}: No such file or directory\n"),
        )

    def test_nonsense(self) -> None:
        """A command that makes no sense gets the usage, and help is no error."""
        for argv in ([], ["frob"], ["add"], ["add", "--cost", "3", "f", "n"]):
            status, out, err = self.run_command(*argv)
            self.assertEqual((status, out), (2, ""))
            self.assertIn("usage: sockd users", err)
        status, out, _ = self.run_command("--help")
        self.assertEqual(status, 0)
        self.assertIn("usage: sockd users", out)

    def test_interrupted(self) -> None:
        """Who is interrupted while typing has changed nothing."""

        def interrupted(_: str) -> str:
            raise KeyboardInterrupt

        err = io.StringIO()
        status = main(["add", self.path, "bob"], Terminal(), io.StringIO(), err, interrupted)
        self.assertEqual((status, err.getvalue()), (1, "given up; nothing was changed\n"))
        self.assertFalse(os.path.exists(self.path))
