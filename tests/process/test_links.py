"""Tests of :mod:`dantetw.process.links`."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from dantetw.process.appending import open_appending
from dantetw.process.links import BentError, open_trusted, resolve

# Links in these tests are ours: whether they are the distrusted one's is a question of the number.
US, SOMEBODY = os.getuid(), os.getuid() + 1


class LinkCase(SynchronousTestCase):
    """A folder with a file that must not be opened, and one that may."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(0o755)
        self.folder.chmod(0o755)
        self.victim = self.folder / "passwd"
        self.victim.write_text("root:x:0:0\n")
        self.log = self.folder / "log"


class ResolveTests(LinkCase):
    """Where names lead."""

    def test_without_links(self) -> None:
        """What has no links is itself, from the root."""
        for path in (self.log, self.victim):
            self.assertEqual(resolve(str(path), US), str(path.resolve()))
            self.assertEqual(resolve(os.path.relpath(path), US), str(path.resolve()))
        self.assertEqual(resolve("/", US), "/")
        self.assertEqual(resolve("/..//./tmp/..", US), "/")

    def test_links(self) -> None:
        """Links of others are followed as the kernel does, in folders on the way too."""
        (self.folder / "real").mkdir()
        (self.folder / "way").symlink_to("real")
        (self.folder / "real" / "up").symlink_to("../passwd")
        (self.folder / "absolute").symlink_to(self.folder / "way")
        for name in ("way/up", "absolute/up", "way/../passwd", "absolute/missing"):
            path = str(self.folder / name)
            self.assertEqual(resolve(path, SOMEBODY), os.path.realpath(path))

    def test_theirs(self) -> None:
        """A link of the distrusted user is not followed, wherever it stands."""
        self.log.symlink_to(self.victim)
        (self.folder / "way").symlink_to("/")
        for path in (self.log, self.folder / "way" / "etc" / "passwd"):
            self.assertRaises(BentError, resolve, str(path), US)

    def test_circle(self) -> None:
        """Links in a circle are an error."""
        self.log.symlink_to(self.log)
        error = self.assertRaises(OSError, resolve, str(self.log), SOMEBODY)
        self.assertNotIsInstance(error, BentError)

    def test_kernels(self) -> None:
        """The kernel's own links lead to what has no name."""
        self.assertEqual(resolve("/proc/self/fd/1", US), "/proc/self/fd/1")


class OpenTests(LinkCase):
    """Opening."""

    def open(self, distrusted: int = US) -> None:
        """Open the log, if that may be."""
        os.close(open_trusted(str(self.log), self.opener, distrusted))

    def opener(self, path: str, flags: int) -> int:
        """Open for appending."""
        return open_appending(path, None, flags)

    def test_plain(self) -> None:
        """A file is created, and opened again."""
        self.open()
        self.open()
        self.assertTrue(self.log.exists())

    def test_link(self) -> None:
        """A link of somebody else's may stand there, to a file or to nothing yet."""
        self.log.symlink_to("new")
        self.open(SOMEBODY)
        self.assertTrue((self.folder / "new").exists())
        self.assertRaises(BentError, self.open)

    def test_bent_before_opening(self) -> None:
        """A link that appears after the look is not followed, and nothing is created behind it."""

        def bend(path: str, flags: int) -> int:
            self.log.symlink_to(self.folder / "nologin")
            return self.opener(path, flags)

        self.assertRaises(OSError, open_trusted, str(self.log), bend, US)
        self.assertFalse((self.folder / "nologin").exists())

    def test_bent_folder(self) -> None:
        """Nor is a folder that becomes a link meanwhile, if what is opened is elsewhere."""
        real = self.folder / "logs"
        real.mkdir()
        path = str(real / "passwd")

        def bend(path: str, flags: int) -> int:
            real.rmdir()
            real.symlink_to(self.folder)
            return self.opener(path, flags)

        self.assertRaises(BentError, open_trusted, path, bend, US)

    def test_replaced(self) -> None:
        """Nor a file that another one is put in place of while it is opened."""

        def swap(path: str, flags: int) -> int:
            descriptor = self.opener(str(self.victim), flags)
            self.log.write_text("")
            return descriptor

        self.assertRaises(BentError, open_trusted, str(self.log), swap, US)

    def test_second_name(self) -> None:
        """A second name is no way in either where others can make one."""
        os.link(self.victim, self.log)
        self.assertRaises(BentError, self.open)
        self.open(SOMEBODY)
        self.folder.chmod(0o777)
        self.assertRaises(BentError, self.open, SOMEBODY)

    def test_kernels(self) -> None:
        """What a descriptor of ours is can be opened by the kernel's name for it."""
        with open(self.victim) as file:
            path = f"/proc/self/fd/{file.fileno()}"
            os.close(open_trusted(path, lambda path, flags: os.open(path, flags), US))
