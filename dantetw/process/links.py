"""
Opening files by names that somebody else may have bent.

A configuration names a log, and its folder belongs to the server.  Who has taken the server over
can put a link to ``/etc/passwd`` there, and then ask the privileged helper to open the log.  The
kernel itself has a rule against this (``protected_symlinks``, :manpage:`proc(5)`), but for folders
like ``/tmp`` only.  So the helper follows no link that the server's user made, nor opens a file
that has a second name in a folder where the server could have given it one.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import Final

# As many as Linux follows (path_resolution(7)).
_MOST_LINKS: Final = 40


class BentError(OSError):
    """A name leads, or may lead, where somebody untrusted wants it to."""

    def __init__(self, words: str) -> None:
        super().__init__(errno.ELOOP, words)


def resolve(path: str, distrusted: int) -> str:
    """
    Where a name leads, without links.

    What is below ``/proc`` stays as it is: the links there are the kernel's, and do not all name
    something.

    :param distrusted: the user whose links are not followed.
    :raises OSError: if a link is theirs, or there are too many; what does not exist is no error.
    """
    done = "/"
    todo = os.path.join(os.getcwd(), path).split("/")
    todo.reverse()
    followed = 0
    while todo:
        name = todo.pop()
        if name in ("", "."):
            continue
        if name == "..":
            done = os.path.dirname(done)
            continue
        here = os.path.join(done, name)
        if here == "/proc":
            return os.path.join(here, *reversed(todo))
        try:
            status = os.lstat(here)
        except FileNotFoundError:
            return os.path.join(here, *reversed(todo))
        if not stat.S_ISLNK(status.st_mode):
            done = here
            continue
        if status.st_uid == distrusted:
            raise BentError("a link on the way belongs to user.unprivileged")
        followed += 1
        if followed > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = os.readlink(here)
        if target.startswith("/"):
            done = "/"
        todo += reversed(target.split("/"))
    return done


def open_trusted(path: str, opener: Callable[[str, int], int], distrusted: int) -> int:
    """
    Open a file unless somebody untrusted had a hand in where its name leads.

    :param opener: opens a path with flags for ``open(2)`` beside its own.  What it opens is looked
        at afterwards, so it should change nothing but create what is missing.
    :param distrusted: the user who may have had.
    :raises OSError: if they may have had, or as ``opener`` does.
    """
    resolved = resolve(path, distrusted)
    descriptor = opener(resolved, 0 if _is_kernels(resolved) else os.O_NOFOLLOW)
    try:
        # The way may have been bent between the two: what is open must be what it leads to now.
        _compare(descriptor, resolve(path, distrusted), distrusted)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _is_kernels(path: str) -> bool:
    return path.startswith("/proc/")


def _compare(descriptor: int, path: str, distrusted: int) -> None:
    if _is_kernels(path):
        return
    opened, found = os.fstat(descriptor), os.lstat(path)
    if (opened.st_dev, opened.st_ino) != (found.st_dev, found.st_ino):
        raise BentError("another file has its name now")
    if stat.S_ISREG(opened.st_mode) and opened.st_nlink > 1:
        folder = os.stat(os.path.dirname(path))
        if folder.st_uid == distrusted or folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise BentError("the file has a second name, and others can write in its folder")
