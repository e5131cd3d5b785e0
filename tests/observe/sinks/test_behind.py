"""Tests of files whose file system makes one wait."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks import behind, file, mounts
from dantetw.observe.sinks.behind import CALM, SLOW
from dantetw.observe.sinks.file import File
from dantetw.process.appending import open_appending
from dantetw.values import Severity
from tests.observe.sinks.fakes import make_disks_quick

#: Seconds after which something that has not happened is taken not to happen.
DEADLINE = 30.0


class BehindTests(SynchronousTestCase):
    """Files that a thread writes."""

    def setUp(self) -> None:
        """Have file systems that stand still for as long as the test wants."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.prefix = Prefix("sockd")
        self.away = True
        self.patch(file, "may_block", lambda descriptor: self.away)
        make_disks_quick(self)
        self.free = threading.Event()
        self.begun = threading.Event()
        self.held: set[int] = set()
        self.threads: set[int] = set()
        self.write = os.write

        def write(descriptor: int, data: bytes) -> int:
            if descriptor in self.held:
                self.begun.set()
                assert self.free.wait(DEADLINE)
            self.threads.add(threading.get_ident())
            return self.write(descriptor, data)

        self.patch(os, "write", write)
        self.addCleanup(self.free.set)

    def sink(self, name: str = "log", held: bool = True) -> File:
        """A sink; ``held``: its file system stands still."""
        path = str(self.folder / name)
        sink = File(path, self.prefix, lambda: open_appending(path))
        self.addCleanup(sink.close)
        if held:
            self.held.add(sink.descriptor)
        return sink

    def say(self, sink: File, *texts: str) -> None:
        """Write messages."""
        for text in texts:
            sink.write(Severity.INFO, 0.0, text)

    def texts(self, name: str = "log") -> list[str]:
        """The messages in a file."""
        lines = (self.folder / name).read_text().splitlines()
        return [line.rpartition("info: ")[2] for line in lines]

    def test_waits(self) -> None:
        """Nobody waits for a file system that stands still; later all comes out in order."""
        sink = self.sink()
        self.say(sink, "a", "b", "c")
        self.assertTrue(self.begun.wait(DEADLINE))
        self.say(sink, "d")
        self.assertEqual((sink.waiting, sink.error, sink.lost), (4, 0, 0))
        sink.flush(0.0)
        self.assertEqual(self.texts(), [])
        self.free.set()
        sink.flush(DEADLINE)
        self.assertEqual(self.texts(), ["a", "b", "c", "d"])
        self.assertEqual((sink.waiting, sink.error, sink.lost), (0, 0, 0))

    def test_overflow(self) -> None:
        """What there is no room for is lost and counted; then lines are taken again."""
        self.patch(behind.Backlog.__init__, "__defaults__", (500,))
        self.patch(behind.Behind.__init__, "__defaults__", (500,))
        sink = self.sink()
        self.say(sink, "first")
        self.assertTrue(self.begun.wait(DEADLINE))
        self.say(sink, *map(str, range(100)))
        self.assertEqual(sink.error, errno.ENOBUFS)
        self.assertEqual(sink.waiting + sink.lost, 101)
        self.assertGreater(sink.lost, 50)
        self.free.set()
        sink.flush(DEADLINE)
        self.assertEqual(sink.error, 0)
        lost = sink.lost
        self.say(sink, "again")
        sink.flush(DEADLINE)
        self.assertEqual(len(self.texts()), 102 - lost)
        self.assertEqual(self.texts()[-1], "again")

    def test_failing(self) -> None:
        """A failure in the thread is known, and the lines are counted."""
        path = "/dev/full"
        sink = File(path, self.prefix, lambda: open_appending(path))
        self.addCleanup(sink.close)
        self.say(sink, "a", "b")
        sink.flush(DEADLINE)
        self.assertEqual((sink.lost, sink.error), (2, errno.ENOSPC))

    def test_reopened(self) -> None:
        """What waits goes to the new file; what is being written stays with the old one."""
        sink = self.sink()
        old = sink.descriptor
        self.say(sink, "a")
        self.assertTrue(self.begun.wait(DEADLINE))
        self.say(sink, "b", "c")
        (self.folder / "log").rename(self.folder / "old")
        sink.reopen()
        self.say(sink, "d")
        sink.flush(DEADLINE)
        self.assertEqual(self.texts(), ["b", "c", "d"])
        self.assertNotEqual(sink.descriptor, old)
        os.fstat(old)  # still open
        self.free.set()
        self.over(sink)
        self.assertEqual(self.texts("old"), ["a"])
        self.assertEqual(sink.lost, 0)

    def over(self, sink: File) -> None:
        """Wait for threads that a sink has left behind."""
        for left in sink._left:
            left._thread.join(DEADLINE)
            self.assertTrue(left.over)

    def test_closed(self) -> None:
        """What is not out at the end is counted as lost, and nobody waits for it."""
        sink = self.sink()
        descriptor = sink.descriptor
        self.say(sink, "a")
        self.assertTrue(self.begun.wait(DEADLINE))
        self.say(sink, "b", "c")
        sink.close()
        self.assertEqual((sink.lost, sink.descriptor), (3, -1))
        os.fstat(descriptor)  # not closed while it is being written
        self.free.set()
        self.over(sink)
        self.assertRaises(OSError, os.fstat, descriptor)

    def test_never_used(self) -> None:
        """A file to which nothing is written has no thread, and is closed at once."""
        before = threading.active_count()
        sink = self.sink()
        descriptor = sink.descriptor
        self.assertEqual(threading.active_count(), before)
        sink.close()
        self.assertRaises(OSError, os.fstat, descriptor)

    def slow(self, seconds: float) -> None:
        """Have a clock that is later by so much whenever it is looked at."""
        now = 0.0

        def monotonic() -> float:
            nonlocal now
            now += seconds
            return now

        self.patch(file, "monotonic", monotonic)

    def test_slow(self) -> None:
        """A file on a disk is written at once; when that has taken long, by a thread."""
        self.away = False
        sink = self.sink(held=False)
        self.say(sink, "a")
        self.assertEqual(self.threads, {threading.get_ident()})
        self.slow(2 * SLOW)
        self.say(sink, "b")
        self.assertEqual(self.threads, {threading.get_ident()})
        self.held.add(sink.descriptor)
        self.say(sink, "c", "d")
        self.assertEqual(sink.waiting, 2)
        self.free.set()
        sink.flush(DEADLINE)
        self.assertEqual(self.texts(), ["a", "b", "c", "d"])
        self.assertEqual(len(self.threads), 2)

    def test_calm(self) -> None:
        """When no write has taken long for a while, it is written at once again."""
        self.away = False
        sink = self.sink(held=False)
        self.slow(2 * SLOW)
        self.say(sink, "a", "b")
        assert sink._behind is not None
        sink.flush(DEADLINE)
        thread = sink._behind._thread
        sink._behind.slow_at = -2 * CALM
        self.slow(0.0)
        self.threads.clear()
        self.say(sink, "c")
        thread.join(DEADLINE)
        self.say(sink, "d")
        self.assertEqual(self.threads, {threading.get_ident()})
        self.assertEqual(self.texts(), ["a", "b", "c", "d"])
        self.assertEqual(sink.lost, 0)


class MountsTests(SynchronousTestCase):
    """Which file system a file is on."""

    def test_real(self) -> None:
        """The system says which; nothing of a test's folder waits for another machine."""
        with open(self.mktemp(), "w") as some:
            self.assertIsInstance(mounts.file_system(some.fileno()), str)
        with open("/proc/self/mountinfo") as proc:
            self.assertEqual(mounts.file_system(proc.fileno()), "proc")

    def test_kinds(self) -> None:
        """Those of networks and of processes may make one wait, disks may not."""
        path = self.mktemp()
        with open(path, "w") as some:
            device = os.fstat(some.fileno()).st_dev
            place = f"{os.major(device)}:{os.minor(device)}"
            self.patch(mounts, "_MOUNTS", path)
            for name, away in (
                ("nfs4", True),
                ("fuse.sshfs", True),
                ("virtiofs", True),
                ("ext4", False),
                ("tmpfs", False),
                ("overlay", False),
            ):
                Path(path).write_text(
                    "1 2 0:99 / /other rw - nfs other rw\n"
                    f"36 35 {place} / /mnt rw,noatime shared:1 - {name} server:/x rw\n"
                )
                self.assertEqual(mounts.may_block(some.fileno()), away, name)

    def test_unknown(self) -> None:
        """Where the system does not say, it is taken to be a disk."""
        self.patch(mounts, "_MOUNTS", self.mktemp())
        with open(self.mktemp(), "w") as some:
            self.assertFalse(mounts.may_block(some.fileno()))
