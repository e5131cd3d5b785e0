"""Tests of :mod:`dantetw.privileged.paths`."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from dantetw.privileged import paths
from dantetw.privileged.paths import BentError, Untrusted, changeable, look_trusted, open_trusted
from dantetw.process.appending import open_appending
from dantetw.process.filewatch import look
from dantetw.process.pidfile import open_pidfile
from dantetw.process.regular import open_regular
from tests.descriptors import descriptors

# Links in these tests are ours: whether they are the untrusted user's is a question of the number.
US, SOMEBODY = Untrusted(os.getuid()), Untrusted(os.getuid() + 1)
GROUP = Untrusted(os.getuid() + 1, frozenset([os.getgid()]))


def log_opener(name: str, flags: int, folder: int) -> int:
    """Open for appending."""
    return open_appending(name, None, flags, folder)


def file_opener(name: str, flags: int, folder: int) -> int:
    """Open for reading."""
    return open_regular(name, flags, folder)


def pidfile_opener(name: str, flags: int, folder: int) -> int:
    """Open for the process id."""
    return open_pidfile(name, None, flags, folder)


class PathCase(SynchronousTestCase):
    """A folder with a file that must not be opened, and one that may."""

    def setUp(self) -> None:
        # Not among trial's own, which may be in a folder that others can write in.
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.folder.chmod(0o755)
        self.victim = self.folder / "passwd"
        self.victim.write_text("root:x:0:0\n")
        self.log = self.folder / "log"
        before = descriptors()
        self.addCleanup(lambda: self.assertEqual(descriptors() - before, set()))

    def open(
        self,
        path: Path | str,
        untrusted: Untrusted = US,
        opener: paths.Opener = log_opener,
        strict: bool = False,
    ) -> str:
        """Open a file, if that may be; where it is."""
        descriptor = open_trusted(str(path), opener, untrusted, strict)
        try:
            return os.readlink(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)


class WalkTests(PathCase):
    """Where names lead."""

    def test_plain(self) -> None:
        """A file is created, and opened again, by a path from the root or from here."""
        for path in (self.log, os.path.relpath(self.log), f"{self.folder}/./x/..//log"):
            (self.folder / "x").mkdir(exist_ok=True)
            self.assertEqual(self.open(path), str(self.log.resolve()))

    def test_above(self) -> None:
        """There is nothing above the root; a folder is no file."""
        self.assertEqual(look_trusted("/../..//", US), look("/"))
        for path in ("/", f"{self.folder}/..", "/../", str(self.folder)):
            self.assertRaises(IsADirectoryError, self.open, path)
            self.assertRaises(OSError, self.open, path, US, file_opener)

    def test_links(self) -> None:
        """Links of root and of a folder's owner are followed as the kernel does."""
        (self.folder / "real").mkdir()
        (self.folder / "way").symlink_to("real")
        (self.folder / "real" / "up").symlink_to("../passwd")
        (self.folder / "absolute").symlink_to(self.folder / "way")
        for name in ("way/up", "absolute/up", "way/../passwd", "absolute/../way/missing"):
            path = self.folder / name
            self.assertEqual(self.open(path, SOMEBODY), os.path.realpath(path))
            self.assertEqual(look_trusted(str(path), SOMEBODY), look(str(path)))

    def test_link_to_nothing(self) -> None:
        """What a link names is created."""
        self.log.symlink_to("new")
        self.assertEqual(self.open(self.log, SOMEBODY), os.path.realpath(self.folder / "new"))
        self.assertRaises(BentError, self.open, self.log)

    def test_theirs(self) -> None:
        """A link of the untrusted user is not followed, wherever it stands."""
        self.log.symlink_to(self.victim)
        (self.folder / "way").symlink_to("/")
        (self.folder / "loop").symlink_to("loop")
        for path in (self.log, self.folder / "way" / "etc" / "passwd", self.folder / "loop"):
            self.assertRaises(BentError, self.open, path)
            self.assertRaises(BentError, look_trusted, str(path), US)

    def test_circle(self) -> None:
        """Links in a circle are an error."""
        self.log.symlink_to(self.log)
        error = self.assertRaises(OSError, self.open, self.log, SOMEBODY)
        self.assertNotIsInstance(error, BentError)

    def test_missing(self) -> None:
        """A way that does not exist, or leads through a file, is the system's error."""
        self.assertRaises(FileNotFoundError, self.open, self.folder / "no" / "log")
        self.assertRaises(NotADirectoryError, self.open, self.victim / "log")
        self.assertRaises(FileNotFoundError, look_trusted, str(self.log), US)
        self.assertRaises(FileNotFoundError, self.open, self.log, US, file_opener)

    def test_strangers(self) -> None:
        """A link of a user who owns neither root's things nor the folder is not followed."""
        if os.getuid() != 0:
            raise SkipTest("only root can give links away")
        self.log.symlink_to(self.victim)
        os.lchown(self.log, 12345, 12345)
        self.assertRaises(BentError, self.open, self.log, SOMEBODY)
        os.chown(self.folder, 12345, 12345)
        self.assertEqual(self.open(self.log, SOMEBODY), str(self.victim.resolve()))

    def test_second_name(self) -> None:
        """A second name is no way in where others can make one, nor is a link's."""
        os.link(self.victim, self.log)
        (self.folder / "one").symlink_to("passwd2")
        os.link(self.folder / "one", self.folder / "two", follow_symlinks=False)
        (self.folder / "passwd2").write_text("")
        two = self.folder / "two"
        self.assertRaises(BentError, self.open, self.log)
        for path in (self.log, two):
            self.open(path, SOMEBODY)
        self.folder.chmod(0o777)
        for path in (self.log, two):
            self.assertRaises(BentError, self.open, path, SOMEBODY)

    def test_deleted_folder(self) -> None:
        """A current folder that is gone is the system's error."""
        gone = self.folder / "gone"
        gone.mkdir()
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(gone)
        gone.rmdir()
        self.assertRaises(FileNotFoundError, self.open, "log")

    def test_fifo(self) -> None:
        """A FIFO can be a log, without a reader, and nothing else."""
        os.mkfifo(self.log)
        self.assertEqual(self.open(self.log), str(self.log.resolve()))
        self.assertRaises(OSError, self.open, self.log, US, file_opener)

    def test_no_links_as_such(self) -> None:
        """Where links cannot be opened, they are followed in folders that nobody else writes in."""
        os_open = os.open

        def open_none(name: str, flags: int, *args: int, dir_fd: int | None = None) -> int:
            return os_open(name, flags & ~getattr(os, "O_PATH", 0), *args, dir_fd=dir_fd)

        self.patch(os, "open", open_none)
        self.log.symlink_to("passwd")
        self.assertEqual(self.open(self.log, SOMEBODY), str(self.victim.resolve()))
        self.assertRaises(BentError, self.open, self.log)
        self.folder.chmod(0o777)
        self.assertRaises(BentError, self.open, self.log, SOMEBODY)


class KernelsTests(PathCase):
    """Names of the kernel for open files."""

    def test_own(self) -> None:
        """What a descriptor of ours is can be opened by the kernel's names for it."""
        with open(self.victim) as file:
            (self.folder / "stdout").symlink_to(f"/proc/self/fd/{file.fileno()}")
            for path in (
                f"/proc/self/fd/{file.fileno()}",
                f"/proc/thread-self/fd/{file.fileno()}",
                f"/dev/fd/{file.fileno()}",
                str(self.folder / "stdout"),
            ):
                self.assertEqual(self.open(path, SOMEBODY), str(self.victim.resolve()))
                self.assertEqual(look_trusted(path, SOMEBODY), look(str(self.victim)))

    def test_pipe(self) -> None:
        """Also where it is something without a name, such as a pipe."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        self.assertTrue(self.open(f"/proc/self/fd/{writing}", SOMEBODY).startswith("pipe:"))

    def test_untrusted_process(self) -> None:
        """What a process of the untrusted user has open counts for nothing."""
        for path in ("/proc/self/fd/0", f"/proc/{os.getpid()}/fd/1", "/dev/fd/2"):
            self.assertRaises(BentError, self.open, path, US)

    def test_other_links(self) -> None:
        """The current folder, root and program of a process are no ways to anywhere."""
        for path in ("/proc/self/cwd/log", "/proc/self/root/etc/passwd", "/proc/self/exe"):
            self.assertRaises(BentError, self.open, path, SOMEBODY, file_opener)
        descriptor = os.open(self.folder, os.O_RDONLY)
        self.addCleanup(os.close, descriptor)
        self.assertRaises(BentError, self.open, f"/proc/self/fd/{descriptor}/log", SOMEBODY)


class StrictTests(PathCase):
    """A file that the untrusted user must not be able to change."""

    def strict(self, untrusted: Untrusted) -> str:
        """Open it."""
        return self.open(self.victim, untrusted, file_opener, True)

    def test_theirs(self) -> None:
        """Neither the file nor a folder on the way may be theirs."""
        self.assertRaises(BentError, self.strict, US)
        self.assertEqual(self.strict(SOMEBODY), str(self.victim.resolve()))

    def test_modes(self) -> None:
        """Nor may either be open to everybody or to a group of theirs; folders like /tmp may."""
        for path, mode in ((self.victim, 0o602), (self.victim, 0o1602), (self.folder, 0o707)):
            before = path.stat().st_mode
            path.chmod(mode)
            self.assertRaises(BentError, self.strict, SOMEBODY)
            path.chmod(before)
        for path, mode in ((self.victim, 0o660), (self.folder, 0o770)):
            before = path.stat().st_mode
            path.chmod(mode)
            self.assertRaises(BentError, self.strict, GROUP)
            self.strict(SOMEBODY)
            path.chmod(before)
        self.folder.chmod(0o1777)
        self.strict(SOMEBODY)


class ChangeableTests(PathCase):
    """What an untrusted user can change."""

    def test_reasons(self) -> None:
        """Theirs is a file that is, or is in a folder that is, or behind a link that is."""
        self.assertEqual(changeable(str(self.victim), SOMEBODY), "")
        self.assertEqual(changeable(str(self.folder), SOMEBODY), "")
        self.assertIn("a folder on the way", changeable(str(self.victim), US))
        self.victim.chmod(0o666)
        self.assertIn("it can be changed", changeable(str(self.victim), SOMEBODY))
        self.log.symlink_to("passwd")
        self.assertIn("it can be changed", changeable(str(self.log), SOMEBODY))

    def test_missing(self) -> None:
        """What is not there is nobody's."""
        self.assertEqual(changeable(str(self.folder / "no" / "file"), SOMEBODY), "")
        self.folder.chmod(0o777)
        self.assertIn("a folder on the way", changeable(str(self.folder / "no"), SOMEBODY))


class ExchangeTests(PathCase):
    """Names that lead elsewhere from one moment to the next."""

    def setUp(self) -> None:
        super().setUp()
        self.way = self.folder / "logs"
        self.secret = self.folder / "secret"
        for folder in (self.way, self.secret):
            folder.mkdir()
            (folder / "old").write_text("")
        (self.secret / "old").write_text("secret")

    def bend(self, bend: Callable[[], Any], name: str, opener: paths.Opener) -> None:
        """Whatever happens, and before whichever step, the secret folder stays as it is."""
        names = ("open", "readlink", "stat", "fstat")
        originals = {name: getattr(os, name) for name in names}
        step = 0
        done = False
        while not done:
            self.tearDown_way()
            calls = 0

            def wrapped(original: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls == step + 1:  # noqa: B023 - called in this round only
                    bend()
                return original(*args, **keywords)

            for each, original in originals.items():
                self.patch(
                    os,
                    each,
                    lambda *args, _original=original, **kw: wrapped(_original, *args, **kw),
                )
            with contextlib.suppress(OSError):
                descriptor = open_trusted(str(self.way / name), opener, US)
                opened = originals["fstat"](descriptor)
                os.close(descriptor)
                self.assertNotEqual(opened.st_ino, (self.secret / "old").stat().st_ino)
            done = calls <= step
            for each, original in originals.items():
                self.patch(os, each, original)
            self.assertEqual(os.listdir(self.secret), ["old"])
            step += 1
        self.assertGreater(step, 10)

    def tearDown_way(self) -> None:  # noqa: N802
        """Put the folder of logs back."""
        if self.way.is_symlink():
            self.way.unlink()
        else:
            shutil.rmtree(self.way, ignore_errors=True)
        shutil.rmtree(self.folder / "moved", ignore_errors=True)
        self.way.mkdir()
        (self.way / "old").write_text("")

    def link(self) -> None:
        """Put a link in the folder's place."""
        self.way.rename(self.folder / "moved")
        self.way.symlink_to(self.secret)

    def link_file(self) -> None:
        """Put a link in the file's place."""
        for name in ("old", "new"):
            (self.way / name).unlink(missing_ok=True)
            (self.way / name).symlink_to(self.secret / name)

    def second_name(self) -> None:
        """Give the secret a second name in the file's place."""
        (self.way / "old").unlink(missing_ok=True)
        os.link(self.secret / "old", self.way / "old")

    def test_folder(self) -> None:
        """A folder that becomes a link between any two steps of ours leads nowhere."""
        for opener in (log_opener, file_opener, pidfile_opener):
            for name in ("old", "new"):
                self.bend(self.link, name, opener)

    def test_file(self) -> None:
        """Nor does a file that does."""
        for opener in (log_opener, file_opener, pidfile_opener):
            for name in ("old", "new"):
                self.bend(self.link_file, name, opener)

    def test_second_name(self) -> None:
        """Nor one that is replaced by a second name of another file."""
        for opener in (log_opener, file_opener, pidfile_opener):
            self.bend(self.second_name, "old", opener)


#: Becomes a user and a group, and exchanges two names until it is killed.
SWAPPER = """\
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
uid, gid = int(sys.argv[1]), int(sys.argv[2])
one, two = (os.fsencode(name) for name in sys.argv[3:])
os.setgroups([])
os.setresgid(gid, gid, gid)
os.setresuid(uid, uid, uid)
if libc.renameat2(-100, one, -100, two, 2):  # AT_FDCWD, RENAME_EXCHANGE
    sys.exit(os.strerror(ctypes.get_errno()))
print("ready", flush=True)
while True:
    libc.renameat2(-100, one, -100, two, 2)
"""


class RaceTests(SynchronousTestCase):
    """An attacker who owns a folder above the log's and exchanges names all the time."""

    ATTEMPTS = 3000

    def setUp(self) -> None:
        if os.getuid() != 0:
            raise SkipTest("only root can start a process of another user")
        if not hasattr(ctypes.CDLL(None), "renameat2"):
            raise SkipTest("this C library has no renameat2()")
        try:
            self.nobody = pwd.getpwnam("nobody")
        except KeyError:
            raise SkipTest("this system has no user nobody") from None
        # Trial's own folders are for root alone.
        self.folder = Path(tempfile.mkdtemp())
        self.folder.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.folder)
        self.theirs = self.folder / "theirs"
        self.victim = self.folder / "victim"
        (self.theirs / "logs").mkdir(parents=True)
        self.victim.mkdir(0o700)
        os.symlink(self.victim, self.theirs / "link")
        for path in (self.theirs, self.theirs / "logs", self.theirs / "link"):
            os.lchown(path, self.nobody.pw_uid, self.nobody.pw_gid)
        self.untrusted = Untrusted(self.nobody.pw_uid, frozenset([self.nobody.pw_gid]))

    def race(self, opener: paths.Opener, existing: bool) -> None:
        """Open a file again and again while the folder and the link change places."""
        if existing:
            (self.victim / "log").write_text("victim")
        user = (str(self.nobody.pw_uid), str(self.nobody.pw_gid))
        names = (str(self.theirs / "logs"), str(self.theirs / "link"))
        # It takes the user itself, who need not be allowed to enter the interpreter's folder.
        command = [sys.executable, "-c", SWAPPER, *user, *names]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        if process.stdout.readline() != b"ready\n":
            raise SkipTest("this filesystem exchanges no names")
        wins = 0
        for _ in range(self.ATTEMPTS):
            with contextlib.suppress(OSError):
                descriptor = open_trusted(str(self.theirs / "logs" / "log"), opener, self.untrusted)
                where = os.readlink(f"/proc/self/fd/{descriptor}")
                os.close(descriptor)
                wins += where.startswith(str(self.victim))
            if not existing:
                for name in os.listdir(self.victim):
                    wins += 1
                    (self.victim / name).unlink()
        self.assertEqual(wins, 0)

    def test_log_created(self) -> None:
        """No log is created in a folder of root's."""
        self.race(log_opener, False)

    def test_log_opened(self) -> None:
        """None is opened there."""
        self.race(log_opener, True)

    def test_pidfile(self) -> None:
        """Nor is a pid file."""
        self.race(pidfile_opener, True)

    def test_file(self) -> None:
        """Nor a file to read."""
        self.race(file_opener, True)
