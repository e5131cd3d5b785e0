"""Tests of :mod:`dantetw.process.limits`."""

from __future__ import annotations

import os
import resource
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dantetw.process import limits


class LimitTests(SynchronousTestCase):
    """What the system grants."""

    def test_limits(self) -> None:
        """A limit that is none is None."""
        told = {
            resource.RLIMIT_NPROC: (resource.RLIM_INFINITY, resource.RLIM_INFINITY),
            resource.RLIMIT_NOFILE: (1024, 4096),
        }
        self.patch(resource, "getrlimit", told.__getitem__)
        self.assertEqual(limits.limits(), (None, 1024))

    def test_tasks(self) -> None:
        """We are at least one process."""
        self.assertGreaterEqual(limits.tasks(), 1)


class FileTests(SynchronousTestCase):
    """How many files are open."""

    def count(self) -> int | None:
        """The last number."""
        last = None
        for number in limits.count_files():
            last = number
        return last

    def check(self) -> None:
        """A file that is opened is one more."""
        before = self.count()
        assert before is not None
        with open(os.devnull), open(os.devnull):
            self.assertEqual(self.count(), before + 2)
        self.assertEqual(self.count(), before)

    def test_told(self) -> None:
        """The kernel tells the number, or the files are counted."""
        self.check()

    def test_counted(self) -> None:
        """Both give the same."""
        told = self.count()
        real = os.stat

        def stat(path: Any) -> Any:
            return SimpleNamespace(st_size=0) if path == "/proc/self/fd" else real(path)

        self.patch(limits, "os", SimpleNamespace(stat=stat, scandir=os.scandir))
        self.assertEqual(self.count(), told)
        self.assertGreater(len(list(limits.count_files())), 1)
        self.check()

    def test_unknown(self) -> None:
        """Where the system does not tell there is no number."""
        self.patch(limits, "_OPEN", "/no/such/directory")
        self.assertIsNone(self.count())


class ProcessorTests(SynchronousTestCase):
    """How many processors we can keep busy."""

    def granted(self, text: str) -> int | None:
        path = self.mktemp()
        with open(path, "w") as file:
            file.write(text)
        return limits._granted(path)

    def test_granted(self) -> None:
        """A control group grants time, rounded up; without a limit, or a file, all of them."""
        for text, number in (
            ("max 100000\n", None),
            ("200000 100000\n", 2),
            ("150000 100000\n", 2),
            ("1000 100000\n", 1),
            ("100000 0\n", None),
            ("nonsense", None),
            ("", None),
        ):
            self.assertEqual(self.granted(text), number)
        self.assertIs(limits._granted("/nowhere/cpu.max"), None)

    def test_processors(self) -> None:
        """No more than we may run on, no more than granted, and never none."""
        self.patch(os, "sched_getaffinity", lambda pid: {0, 1, 2, 5})
        for granted, number in ((None, 4), (2, 2), (9, 4), (0, 1)):
            self.patch(limits, "_granted", lambda path, granted=granted: granted)
            self.assertEqual(limits.processors(), number)
