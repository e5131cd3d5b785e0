"""Tests of :mod:`dantetw.handover.names`."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from dantetw.handover import names
from dantetw.handover.names import HandoverError, names_of, process_of, random_name


class NameTests(SynchronousTestCase):
    """Names of sockets."""

    def test_random(self) -> None:
        """No two names are the same, and none is the predictable one."""
        first, second = random_name(7), random_name(7)
        self.assertNotEqual(first, second)
        self.assertTrue(first.startswith(b"\0dantetw/handover/7/"))

    def test_found(self) -> None:
        """Only names of the process that is asked for are found; the predictable one is last."""
        shown = Path(self.mktemp())
        shown.write_bytes(
            b"Num       RefCount Protocol Flags    Type St Inode Path\n"
            b"0000: 00000002 00000000 00010000 0001 01 1 @dantetw/handover/7/aa\n"
            b"0000: 00000002 00000000 00010000 0001 01 2 @dantetw/handover/77/bb\n"
            b"0000: 00000002 00000000 00010000 0001 01 3 /run/other\n"
            b"0000: 00000002 00000000 00010000 0001 01 4 @dantetw/handover/7/\xff@cc\n"
            b"0000: 00000002 00000000 00010000 0001 01 5\n"
        )
        self.patch(names, "_UNIX_SOCKETS", str(shown))
        found = [b"/aa", b"/\xff@cc", b""]
        self.assertEqual(list(names_of(7)), [b"\0dantetw/handover/7" + name for name in found])

    def test_no_list(self) -> None:
        """Where the kernel's list cannot be read, the predictable name is left."""
        self.patch(names, "_UNIX_SOCKETS", self.mktemp())
        self.assertEqual(list(names_of(7)), [b"\0dantetw/handover/7"])


class ProcessTests(SynchronousTestCase):
    """The old server's process id."""

    def test_named(self) -> None:
        """It is given as such or in a file."""
        path = Path(self.mktemp())
        path.write_text(f" {os.getpid()}\n")
        for text in (str(os.getpid()), str(path)):
            self.assertEqual(process_of(text), os.getpid())

    def test_none(self) -> None:
        """Whatever is no process id, or no process's, is an error in words."""
        folder = Path(self.mktemp())
        folder.mkdir()
        for content in (b"", b"joe", b"-1", b"0", b"1" * 31, b"\xff"):
            (folder / "pid").write_bytes(content)
            self.assertRaises(HandoverError, process_of, str(folder / "pid"))
        os.mkfifo(folder / "fifo")
        for path in (folder, folder / "fifo", folder / "missing"):
            error = self.assertRaises(HandoverError, process_of, str(path))
            self.assertIn(str(path), str(error))
