"""
Opening files by names that another user may have a hand in.

A configuration names a log, and its folder belongs to the server.  An attacker who has taken the
server over can put a link to ``/etc/passwd`` there, or exchange folders on the way again and again
(``renameat2(2)``), and ask the privileged helper to open the log meanwhile.  The kernel's own rule
against this (``protected_symlinks``, :manpage:`proc(5)`) is for folders like ``/tmp`` only.

So a name is walked from the root, one component at a time, each opened by the descriptor of the
folder before (``openat(2)``).  What has been looked at is what is used: a folder that is exchanged
later does not count any more, since its descriptor is held.  Links are read by a descriptor of the
link itself, whose owner is known, and the last component is opened, or created, in the folder that
is held, where it must be no link.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from dantetw.process.filewatch import Stamp, stamp_of

#: Opens a name with flags for ``open(2)`` beside its own, in a folder.
Opener = Callable[[str, int, int], int]

# As many as Linux follows (path_resolution(7)).
_MOST_LINKS: Final = 40
# Python has no name for Linux's O_PATH everywhere.  Elsewhere folders are opened for reading.
_LINUX: Final = sys.platform == "linux"
_PATH: Final = getattr(os, "O_PATH", 0o10000000 if _LINUX else os.O_RDONLY) | os.O_CLOEXEC
_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


class BentError(OSError):
    """A name leads, or may lead, where an untrusted user wants it to."""

    def __init__(self, words: str) -> None:
        super().__init__(errno.ELOOP, words)


@dataclass(frozen=True, slots=True)
class Untrusted:
    """
    A user that must not choose what a name leads to.

    :ivar uid: the user; ``gids``: all its groups.
    """

    uid: int
    gids: frozenset[int] = frozenset()

    def may_change(self, status: os.stat_result) -> bool:
        """Whether the user may write a file, or make and remove names in a folder."""
        if status.st_uid == self.uid:
            return True
        if stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX:
            return False  # as /tmp: only its owner can remove what is there
        wanted = stat.S_IWGRP if status.st_gid in self.gids else stat.S_IWOTH
        return bool(status.st_mode & wanted)


class _Walk:
    """
    A walk from the root.

    :ivar folders: descriptors of the folders from the root to where the walk is.
    :ivar name: the last component, in the last of the folders; it is no link, or a link that is
        the kernel's name for an open file.
    :ivar kernels: it is such a link.

    :param strict: the untrusted user may change nothing on the way.
    """

    def __init__(self, untrusted: Untrusted, strict: bool) -> None:
        self._untrusted = untrusted
        self._strict = strict
        self._followed = 0
        self._names: list[str] = []
        self.folders = [os.open("/", _PATH | os.O_DIRECTORY)]
        self.name = "."
        self.kernels = False

    def close(self) -> None:
        """Let go of the folders."""
        while self.folders:
            os.close(self.folders.pop())

    def go(self, path: str) -> None:
        """
        Walk to the last component, which need not exist.

        :raises OSError: if the way does not exist, or the untrusted user had a hand in it.
        """
        todo = os.path.join(os.getcwd(), path).split("/")
        todo.reverse()
        while todo:
            name = todo.pop()
            if name in ("", "."):
                continue
            if name == "..":
                if self._names:
                    self._names.pop()
                    os.close(self.folders.pop())
                continue
            last = all(each in ("", ".") for each in todo)
            if last and self._is_kernels(name):
                self.name, self.kernels = name, True
                return
            target = self._step(name, last)
            if target is not None:
                self._followed += 1
                if self._followed > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                if target.startswith("/"):
                    self._names.clear()
                    while len(self.folders) > 1:
                        os.close(self.folders.pop())
                todo += reversed(target.split("/"))
            elif last:
                self.name = name
                return

    def _step(self, name: str, last: bool) -> str | None:
        """Go into a folder, unless it is the last component; the target of a link."""
        folder = self.folders[-1]
        try:
            # An automatic mount is made for what must be a folder only.
            descriptor = _look(name, folder, 0 if last else os.O_DIRECTORY)
        except FileNotFoundError:
            if last:
                return None
            raise
        except OSError as error:
            if error.errno == errno.ELOOP:
                return self._read_link(name, folder, None)
            raise
        status = os.fstat(descriptor)
        if not last and stat.S_ISDIR(status.st_mode):
            if self._strict and self._untrusted.may_change(status):
                os.close(descriptor)
                raise BentError("a folder on the way can be changed by user.unprivileged")
            self.folders.append(descriptor)
            self._names.append(name)
            return None
        try:
            if stat.S_ISLNK(status.st_mode):
                return self._read_link(name, folder, descriptor)
            if not last:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            return None
        finally:
            os.close(descriptor)

    def _read_link(self, name: str, folder: int, descriptor: int | None) -> str:
        """
        Where a link leads.

        :param descriptor: of the link; None: the system has no such thing, and it is read by its
            name, which must not be exchanged meanwhile.
        """
        around = os.fstat(folder)
        status = (
            os.stat(name, dir_fd=folder, follow_symlinks=False)
            if descriptor is None
            else os.fstat(descriptor)
        )
        match self._names:
            case ["proc", pid, *_] if pid.isdecimal():
                raise BentError("a link of the kernel's on the way is not one of an open file")
        if status.st_uid == self._untrusted.uid:
            raise BentError("a link on the way belongs to user.unprivileged")
        # As the kernel does in folders like /tmp.
        if status.st_uid not in (0, os.geteuid(), around.st_uid):
            raise BentError("a link on the way belongs to neither root nor its folder's owner")
        if (descriptor is None or status.st_nlink > 1) and self._open_to_others(around):
            raise BentError("a link on the way is in a folder that others can write in")
        if descriptor is None:
            return os.readlink(name, dir_fd=folder)
        return os.readlink("", dir_fd=descriptor)

    def _is_kernels(self, name: str) -> bool:
        """
        Whether a component is the kernel's name for an open file, as in ``/proc/self/fd/1``.

        Such links lead to what has no name.  They are followed if the process is no untrusted one,
        which could have any file open there, for reading, say.
        """
        match self._names:
            case ["proc", pid, "fd"] | ["proc", pid, "task", _, "fd"]:
                if not (pid.isdecimal() and name.isdecimal()):
                    return False
            case _:
                return False
        # Of the process whose folder is held, even if another one has its number by now.
        with open(os.open("status", os.O_RDONLY, dir_fd=self.folders[2])) as file:
            users = next((line.split()[1:] for line in file if line.startswith("Uid:")), [])
        if str(self._untrusted.uid) in users:
            raise BentError("the process on the way is one of user.unprivileged")
        return True

    def check(self, descriptor: int) -> None:
        """
        Look at the file that has been opened by the last component.

        :raises OSError: if the untrusted user may have chosen it.
        """
        if self.kernels:
            return
        status = os.fstat(descriptor)
        if self._strict and self._untrusted.may_change(status):
            raise BentError("the file can be changed by user.unprivileged")
        second = stat.S_ISREG(status.st_mode) and status.st_nlink > 1
        if second and self._open_to_others(os.fstat(self.folders[-1])):
            raise BentError("the file has a second name, and others can write in its folder")

    def _open_to_others(self, folder: os.stat_result) -> bool:
        return folder.st_uid == self._untrusted.uid or bool(folder.st_mode & _OTHERS)


def _look(name: str, folder: int, flags: int) -> int:
    """A descriptor of something, which may be a link, that can be looked at only."""
    with suppress(NotADirectoryError):
        return os.open(name, _PATH | os.O_NOFOLLOW | os.O_NONBLOCK | flags, dir_fd=folder)
    return os.open(name, _PATH | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)


@contextmanager
def _walked(path: str, untrusted: Untrusted, strict: bool = False) -> Iterator[_Walk]:
    walk = _Walk(untrusted, strict)
    try:
        walk.go(path)
        yield walk
    finally:
        walk.close()


def open_trusted(path: str, opener: Opener, untrusted: Untrusted, strict: bool = False) -> int:
    """
    Open a file unless an untrusted user had a hand in where its name leads.

    :param opener: opens the last component.  What it opens is looked at afterwards, so it should
        change nothing but create what is missing.
    :param strict: the user must not be able to change the file either, nor a folder on the way.
    :raises OSError: if they may have had, or as ``opener`` does.
    """
    with _walked(path, untrusted, strict) as walk:
        flags = 0 if walk.kernels else os.O_NOFOLLOW
        descriptor = opener(walk.name, flags, walk.folders[-1])
        try:
            walk.check(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor


def look_trusted(path: str, untrusted: Untrusted) -> Stamp:
    """
    A file's stamp, unless an untrusted user had a hand in where its name leads.

    :raises OSError: if they may have had, or if there is no such file.
    """
    with _walked(path, untrusted) as walk:
        flags = 0 if walk.kernels else os.O_NOFOLLOW
        descriptor = os.open(walk.name, _PATH | flags, dir_fd=walk.folders[-1])
        try:
            return stamp_of(os.fstat(descriptor))
        finally:
            os.close(descriptor)


def changeable(path: str, untrusted: Untrusted) -> str:
    """
    Why an untrusted user can choose what a name leads to, or change it; empty if not.

    What does not exist, or cannot be looked at, is no reason.
    """
    try:
        with _walked(path, untrusted, strict=True) as walk:
            status = os.stat(walk.name, dir_fd=walk.folders[-1], follow_symlinks=False)
            if not walk.kernels and untrusted.may_change(status):
                return "it can be changed by user.unprivileged"
    except BentError as bent:
        return str(bent.strerror)
    except OSError:
        pass
    return ""
