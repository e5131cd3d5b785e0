"""Tests of :mod:`dantetw.process.regular`."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from dantetw.process.regular import open_regular
from tests.descriptors import descriptors


class RegularTests(SynchronousTestCase):
    """Opening without waiting."""

    def test_file(self) -> None:
        """A file is read as ever, also through a link."""
        path, link = self.mktemp(), self.mktemp()
        Path(path).write_bytes(b"text")
        os.symlink(os.path.abspath(path), link)
        for name in (path, link):
            with open(name, "rb", opener=open_regular) as file:
                self.assertEqual(file.read(), b"text")

    def test_others(self) -> None:
        """Everything else is refused at once, and leaves no descriptor behind."""
        fifo, folder = self.mktemp(), self.mktemp()
        os.mkfifo(fifo)
        os.mkdir(folder)
        before = descriptors()
        for path in (fifo, folder, "/dev/null"):
            with self.assertRaises(OSError) as caught:
                open(path, "rb", opener=open_regular)  # noqa: SIM115 - there is nothing to close
            self.assertEqual(caught.exception.strerror, "not a regular file")
        self.assertEqual(descriptors() - before, set())

    def test_missing(self) -> None:
        """A file that is not there is the system's error."""
        with self.assertRaises(FileNotFoundError):
            open(self.mktemp(), "rb", opener=open_regular)  # noqa: SIM115
