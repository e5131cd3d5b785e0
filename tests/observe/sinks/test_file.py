"""Tests of :mod:`dantetw.observe.sinks.file`."""

from __future__ import annotations

import errno
import os
import stat
from itertools import accumulate

from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks import torn
from dantetw.observe.sinks.file import File, open_file
from dantetw.observe.sinks.kind import Surroundings
from dantetw.observe.sinks.stream import Stream
from dantetw.process.appending import open_appending
from dantetw.values import Severity
from tests.observe.sinks.fakes import FakeReactor, make_disks_quick


class FileTests(SynchronousTestCase):
    """Files of logs."""

    def setUp(self) -> None:
        """Have an empty directory."""
        make_disks_quick(self)
        directory = self.mktemp()
        os.mkdir(directory)
        self.path = os.path.join(directory, "log")
        self.prefix = Prefix("sockd")

    def file(self) -> File:
        """A sink that writes to the file."""
        sink = File(self.path, self.prefix, lambda: open_appending(self.path))
        self.addCleanup(sink.close)
        return sink

    def texts(self, path: str) -> list[str]:
        """The messages in a file."""
        with open(path) as file:
            return [line.rpartition("info: ")[2].rstrip("\n") for line in file]

    def mode(self) -> int:
        """The file's permissions."""
        return stat.S_IMODE(os.stat(self.path).st_mode)

    def test_mode(self) -> None:
        """A new file may be read by its group, whatever the umask; others may never read it."""
        for mask in (0, 0o022, 0o077):
            before = os.umask(mask)
            try:
                self.file()
            finally:
                os.umask(before)
            self.assertEqual(self.mode(), 0o640)
            os.unlink(self.path)

    def test_mode_is_kept(self) -> None:
        """The permissions of a file that was there are not touched."""
        with open(self.path, "w"):
            os.chmod(self.path, 0o604)
        self.file()
        self.assertEqual(self.mode(), 0o604)

    def test_append(self) -> None:
        """What was in the file stays, and what others append too."""
        first, second = self.file(), self.file()
        for number, sink in enumerate((first, second, first)):
            sink.write(Severity.INFO, 0.0, str(number))
        self.assertEqual(self.texts(self.path), ["0", "1", "2"])

    def test_one_write(self) -> None:
        """A message is one call of write(2), however long it is, and so are several together."""
        sizes: list[int] = []
        sink, write = self.file(), os.write

        def counting(descriptor: int, data: bytes) -> int:
            sizes.append(len(data))
            return write(descriptor, data)

        self.patch(os, "write", counting)
        sink.write(Severity.INFO, 0.0, "x" * 300_000)
        self.assertEqual(sizes, [os.path.getsize(self.path)])
        sink.write_all([(Severity.INFO, 0.0, text) for text in ("a", "b", "c")])
        self.assertEqual(self.texts(self.path)[1:], ["a", "b", "c"])
        self.assertEqual(sum(sizes), os.path.getsize(self.path))
        self.assertEqual(len(sizes), 2)

    def test_rotation(self) -> None:
        """After a rename lines go to the old file until reopen(), then to a new one."""
        sink = self.file()
        sink.write(Severity.INFO, 0.0, "a")
        os.rename(self.path, self.path + ".1")
        sink.write(Severity.INFO, 0.0, "b")
        sink.reopen()
        sink.write(Severity.INFO, 0.0, "c")
        self.assertEqual(self.texts(self.path + ".1"), ["a", "b"])
        self.assertEqual(self.texts(self.path), ["c"])

    def test_reopen_fails(self) -> None:
        """If the file cannot be opened anew, the old one goes on being used."""
        sink = self.file()
        os.rename(self.path, self.path + ".1")
        os.mkdir(self.path)
        self.assertRaises(IsADirectoryError, sink.reopen)
        sink.write(Severity.INFO, 0.0, "a")
        self.assertEqual(self.texts(self.path + ".1"), ["a"])
        self.assertEqual(sink.lost, 0)

    def test_full_device(self) -> None:
        """On a full device each message is counted and the reason is known."""
        sink = File("/dev/full", self.prefix, lambda: open_appending("/dev/full"))
        self.addCleanup(sink.close)
        for number in range(3):
            self.assertEqual(sink.lost, number)
            sink.write(Severity.INFO, 0.0, "x")
        self.assertEqual((sink.lost, sink.error), (3, errno.ENOSPC))

    def cut(self, *counts: int) -> None:
        """Have the next writes take so many bytes, each followed by one that finds no room."""
        answers, write = [answer for count in counts for answer in (count, -1) if answer], os.write

        def short(descriptor: int, data: bytes) -> int:
            if not answers:
                return write(descriptor, data)
            answer = answers.pop(0)
            if answer < 0:
                raise OSError(errno.ENOSPC, "full")
            return write(descriptor, data[:answer])

        self.patch(os, "write", short)

    def test_cut_line(self) -> None:
        """A line that the disk had no room for does not run into the next one."""
        sink = self.file()
        self.cut(5)
        sink.write(Severity.INFO, 0.0, "a")
        self.assertEqual((sink.lost, sink.error), (1, errno.ENOSPC))
        sink.write(Severity.INFO, 0.0, "b")
        self.assertEqual((sink.lost, sink.error), (1, 0))
        self.assertEqual(self.texts(self.path)[1:], ["b"])

    def append_only(self) -> None:
        """Have a system that can write at the end of a file only."""
        self.patch(torn, "_overwrite", lambda descriptor, data, place: 0)

    def test_cut_newline(self) -> None:
        """If it cannot be ended at once, a line that lacks its newline gets that from the next."""
        self.append_only()
        sink = self.file()
        self.cut(len(self.prefix.stamped(Severity.INFO, 0.0, "a")) - 1)
        sink.write(Severity.INFO, 0.0, "a")
        self.assertEqual((sink.lost, sink.error), (0, errno.ENOSPC))
        sink.write(Severity.INFO, 0.0, "b")
        self.assertEqual((sink.lost, sink.error), (0, 0))
        self.assertEqual(self.texts(self.path), ["a", "b"])

    def test_cut_among_several(self) -> None:
        """Wherever a disk cuts several messages: each is there, whole, or counted as lost."""
        for in_place in (True, False):
            with self.subTest(in_place=in_place):
                if not in_place:
                    self.append_only()
                self.cut_among_several(in_place)

    def cut_among_several(self, in_place: bool) -> None:
        texts = ["a", "bb", "ccc"]
        ends = list(
            accumulate(len(self.prefix.stamped(Severity.INFO, 0.0, text)) for text in texts)
        )
        for size in range(ends[-1]):
            sink = self.file()
            self.cut(size)
            sink.write_all([(Severity.INFO, 0.0, text) for text in texts])
            # One that lacks its newline only gets that from the next one, or is cut at once.
            out = sum(end - (not in_place) <= size for end in ends)
            self.assertEqual((sink.lost, sink.error), (3 - out, errno.ENOSPC))
            sink.write(Severity.INFO, 0.0, "next")
            found = self.texts(self.path)
            self.assertEqual(
                ([*found[:out], found[-1]], sink.lost), ([*texts[:out], "next"], 3 - out)
            )
            sink.close()
            os.remove(self.path)

    def test_cut_after_newline(self) -> None:
        """If there is room for the newline only that ends a cut line, no empty line follows."""
        self.append_only()
        sink = self.file()
        self.cut(5, 1)
        sink.write(Severity.INFO, 0.0, "a")
        sink.write(Severity.INFO, 0.0, "b")
        self.assertEqual(sink.lost, 2)
        sink.write(Severity.INFO, 0.0, "c")
        self.assertEqual(self.texts(self.path)[1:], ["c"])

    def test_cut_and_another(self) -> None:
        """A line that is cut is ended at once, so that another process's line begins a new one."""
        sink, other = self.file(), self.file()
        sink.write(Severity.INFO, 0.0, "whole")
        self.cut(len(self.prefix.stamped(Severity.INFO, 0.0, "abcdef")) - 2)
        sink.write(Severity.INFO, 0.0, "abcdef")
        self.assertEqual((sink.lost, sink.error), (1, errno.ENOSPC))
        other.write(Severity.INFO, 0.0, "b")
        sink.write(Severity.INFO, 0.0, "c")
        self.assertEqual(self.texts(self.path), ["whole", "a...", "b", "c"])

    def test_cut_and_another_behind(self) -> None:
        """Likewise if another process has written behind it before it could be ended."""
        sink, other = self.file(), self.file()
        write, calls = os.write, 0

        def short(descriptor: int, data: bytes) -> int:
            nonlocal calls
            calls += descriptor == sink.descriptor
            if descriptor == other.descriptor or calls > 2:
                return write(descriptor, data)
            if calls == 2:
                other.write(Severity.INFO, 0.0, "b")
                raise OSError(errno.ENOSPC, "full")
            return write(descriptor, data[:-2])

        self.patch(os, "write", short)
        sink.write(Severity.INFO, 1795872380.4, "abcdef")
        self.assertEqual(self.texts(self.path), ["a...", "b"])
        sink.write(Severity.INFO, 0.0, "c")
        self.assertEqual(self.texts(self.path), ["a...", "b", "c"])
        self.assertEqual((sink.lost, other.lost), (1, 0))

    def test_cut_very_short(self) -> None:
        """Of a line only the first bytes of which are out the mark is cut too."""
        for size in range(1, 6):
            sink = self.file()
            self.cut(size)
            sink.write(Severity.INFO, 0.0, "a")
            with open(self.path, "rb") as file:
                self.assertEqual(file.read()[-4:], b"...\n"[-size:])
            os.remove(self.path)

    def test_cut_by_another(self) -> None:
        """Who has found no room either ends a line that another has left, if it was not ended."""
        self.append_only()
        sink, other = self.file(), self.file()
        self.cut(5, 0)
        sink.write(Severity.INFO, 0.0, "a")
        other.write(Severity.INFO, 0.0, "lost")
        for one in (other, sink, other):
            one.write(Severity.INFO, 0.0, "b")
        self.assertEqual(self.texts(self.path)[1:], ["b", "b", "b"])

    def test_reopened_to_end(self) -> None:
        """Where the kernel cannot write in place the file is opened once more for it."""

        def unknown(*arguments: object) -> int:
            raise OSError(errno.EOPNOTSUPP, "as before Linux 6.9")

        self.patch(os, "pwritev", unknown)
        sink = self.file()
        self.cut(len(self.prefix.stamped(Severity.INFO, 0.0, "abcdef")) - 1)
        sink.write(Severity.INFO, 0.0, "abcdef")
        self.assertEqual(self.texts(self.path), ["ab..."])

    def test_emptied_meanwhile(self) -> None:
        """A file that somebody has emptied since is left as it is."""
        sink, write = self.file(), os.write

        def short(descriptor: int, data: bytes) -> int:
            if len(data) > 20:
                return write(descriptor, data[:-5])
            os.truncate(self.path, 0)
            raise OSError(errno.ENOSPC, "full")

        patched = self.patch(os, "write", short)
        sink.write(Severity.INFO, 0.0, "a")
        patched.restore()
        sink.write(Severity.INFO, 0.0, "b")
        self.assertEqual(self.texts(self.path), ["b"])

    def test_cut_before(self) -> None:
        """A file that ends in the middle of a line when it is opened gets a new line first."""
        for content in ("", "a\n", "a"):
            with open(self.path, "w") as file:
                file.write(content)
            for sink in (self.file(), self.file()):
                sink.write(Severity.INFO, 0.0, "b")
            self.assertEqual(self.texts(self.path), [*content.split(), "b", "b"])

    def test_cut_before_and_full(self) -> None:
        """If there is no room for that new line, it comes with the first line there is room for."""
        with open(self.path, "w") as file:
            file.write("a")
        self.cut(0)
        sink = self.file()
        sink.write(Severity.INFO, 0.0, "b")
        self.assertEqual(self.texts(self.path), ["a", "b"])

    def test_cut_and_reopened(self) -> None:
        """A cut line does not run into the next one if the same file is opened anew in between."""
        sink = self.file()
        self.cut(5)
        sink.write(Severity.INFO, 0.0, "a")
        sink.reopen()
        sink.write(Severity.INFO, 0.0, "b")
        self.assertEqual(self.texts(self.path)[1:], ["b"])

    def test_unreadable(self) -> None:
        """A file that we may write only is written."""
        open_, flags = os.open, list[int]()

        def refusing(path: str, flag: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            flags.append(flag)
            if flag & os.O_RDWR:
                raise PermissionError(errno.EACCES, path)
            return open_(path, flag, mode)

        with open(self.path, "w") as file:
            file.write("a")
        self.patch(os, "open", refusing)
        self.file().write(Severity.INFO, 0.0, "b")
        with open(self.path) as file:
            self.assertTrue(file.read().endswith(": b\n"))
        self.assertEqual([bool(flag & os.O_RDWR) for flag in flags], [True, False])

    def test_short_write(self) -> None:
        """A write that takes a part is completed."""
        sink, write = self.file(), os.write
        self.patch(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
        sink.write(Severity.INFO, 0.0, "a long message")
        sink.write(Severity.INFO, 0.0, "and another")
        self.assertEqual(self.texts(self.path), ["a long message", "and another"])
        self.assertEqual((sink.lost, sink.error), (0, 0))

    def test_dangling_link(self) -> None:
        """A link to a file that is not there makes the file."""
        os.symlink("target", self.path)
        self.file().write(Severity.INFO, 0.0, "a")
        self.assertEqual(self.texts(os.path.join(os.path.dirname(self.path), "target")), ["a"])


class OpenedTests(SynchronousTestCase):
    """Opening by name."""

    def setUp(self) -> None:
        """Note what is opened with privileges."""
        self.directory = self.mktemp()
        os.mkdir(self.directory)
        self.taken: list[str] = []

        def open_log(path: str) -> int:
            self.taken.append(path)
            return open_appending(path)

        self.surroundings = Surroundings(
            Prefix("sockd"), FakeReactor(), standard={}, open_log=open_log
        )

    def test_file(self) -> None:
        """A file is opened with privileges, at the first time and later."""
        path = os.path.join(self.directory, "log")
        sink = open_file(path, self.surroundings)
        assert sink is not None
        self.addCleanup(sink.close)
        self.assertIsInstance(sink, File)
        before = len(self.taken)
        self.assertGreater(before, 0)
        sink.reopen()
        self.assertEqual(self.taken, [path] * (before + 1))

    def test_owner(self) -> None:
        """A file that we create belongs to who shall open it anew; one that was there does not."""
        given: list[tuple[int, int]] = []
        self.patch(os, "fchown", lambda descriptor, user, group: given.append((user, group)))
        path = os.path.join(self.directory, "log")
        for _ in range(2):
            os.close(open_appending(path, (11, 12)))
            self.assertEqual(given, [(11, 12)])

    def test_fifo(self) -> None:
        """A FIFO is opened without waiting for a reader, and can be slow."""
        path = os.path.join(self.directory, "fifo")
        os.mkfifo(path)
        sink = open_file(path, self.surroundings)
        assert sink is not None
        self.addCleanup(sink.close)
        self.assertIsInstance(sink, Stream)

    def test_unopenable(self) -> None:
        """What cannot be opened is an error with its reason."""
        error = self.assertRaises(
            OSError, open_file, os.path.join(self.directory, "no", "log"), self.surroundings
        )
        self.assertEqual(error.errno, errno.ENOENT)
