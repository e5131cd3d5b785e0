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

    def processors(self, allowed: int, granted: str | None) -> int:
        """
        The number.

        :param granted: what the control group says; None: there is none.
        """
        path = self.mktemp()
        if granted is not None:
            with open(path, "w") as file:
                file.write(granted)
        self.patch(limits, "_CPU_MAX", path)
        self.patch(os, "sched_getaffinity", lambda pid: set(range(allowed)))
        return limits.processors()

    def test_allowed(self) -> None:
        """Those that we may run on, unless we are granted less; what makes no sense is no limit."""
        for granted in (None, "", "max 100000\n", "nonsense", "100000", "1 0\n", "-1 -1\n"):
            self.assertEqual(self.processors(8, granted), 8)

    def test_granted(self) -> None:
        """So much time as we are granted, rounded up, and never none."""
        for quota, number in ((1, 1), (1000, 1), (100000, 1), (100001, 2), (250000, 3), (10**7, 8)):
            self.assertEqual(self.processors(8, f"{quota} 100000\n"), number)
        self.assertEqual(self.processors(8, "0 100000\n"), 1)
        self.assertEqual(self.processors(0, None), 1)
