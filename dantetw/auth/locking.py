"""
Changing a file that other processes may change at the same time.

The file is locked (:manpage:`flock(2)`) while it is read, changed and replaced.  Since the lock is
the file's, and the file is replaced, a process that gets the lock checks that the name still leads
to the file it has locked.  A lock of the folder could be held by any user that may read the folder;
the file can be opened only by those that may read the hashes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Final

from dantetw.process.regular import open_regular

#: Seconds that another process may keep the lock; a change takes milliseconds.
LOCK_SECONDS: Final = 10.0

_RETRY_SECONDS: Final = 0.01
_NEW_FILE_MODE: Final = 0o600


class LockedError(Exception):
    """Another process keeps the file locked; the text says so."""


class LockedFile:
    """
    A file that no other process changes meanwhile, if all use :func:`locked`.

    :ivar data: what is in it; nothing if it did not exist.
    """

    def __init__(self, path: str, descriptor: int, created: bool) -> None:
        self._path = path
        self._descriptor = descriptor
        self._created = created
        with open(os.dup(descriptor), "rb") as file:
            self.data = file.read()

    def replace(self, data: bytes) -> None:
        """
        Put a new file in its place, with its mode, owner, access list and label.

        :raises OSError: if that cannot be done; nothing has changed then.
        """
        folder, name = os.path.split(self._path)
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f"{name}.")
        try:
            with open(descriptor, "wb") as file:
                old = os.fstat(self._descriptor)
                if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(descriptor, old.st_uid, old.st_gid)
                _copy_attributes(self._descriptor, descriptor)
                os.fchmod(descriptor, old.st_mode & 0o7777)
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            os.replace(temporary, self._path)
        except BaseException:
            os.unlink(temporary)
            raise
        self._created = False
        _sync(folder)

    def close(self) -> None:
        """Let others change it; removes it again if it was created and has got no content."""
        if self._created:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        os.close(self._descriptor)


def _copy_attributes(old: int, new: int) -> None:
    """Copy extended attributes, which access lists and labels are, as far as that may be."""
    if not hasattr(os, "listxattr"):
        return
    with contextlib.suppress(OSError):
        for name in os.listxattr(old):
            with contextlib.suppress(OSError):
                os.setxattr(new, name, os.getxattr(old, name))


def _sync(folder: str) -> None:
    """Let the new name be on the disk, where folders can be asked for that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def locked(
    path: str, create: bool = True, clock: Callable[[], float] = time.monotonic
) -> Iterator[LockedFile]:
    """
    Lock a file while it is changed.

    :param path: symbolic links are followed and remain.
    :param create: one that does not exist is created, for its owner alone.
    :raises OSError: if it cannot be opened; ``FileNotFoundError`` without ``create``.
    :raises LockedError: if another process keeps it for :data:`LOCK_SECONDS`.
    """
    real = os.path.realpath(path)
    until = clock() + LOCK_SECONDS
    while True:
        descriptor, created = _open(real, create)
        try:
            got = _lock(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        if got and _is_there(descriptor, real):
            break
        os.close(descriptor)
        if clock() >= until:
            raise LockedError(f"{path}: another process keeps it locked; nothing was changed")
        if not got:
            time.sleep(_RETRY_SECONDS)
    file = LockedFile(real, descriptor, created)
    try:
        yield file
    finally:
        file.close()


def _open(path: str, create: bool) -> tuple[int, bool]:
    """A descriptor of the file, and whether it has been created."""
    while True:
        try:
            try:
                # Some systems lock only what can be written.
                return open_regular(path, os.O_RDWR | os.O_CLOEXEC), False
            except PermissionError:
                return open_regular(path, os.O_RDONLY | os.O_CLOEXEC), False
        except FileNotFoundError:
            if not create:
                raise
        with contextlib.suppress(FileExistsError):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            return os.open(path, flags, _NEW_FILE_MODE), True


def _lock(descriptor: int) -> bool:
    """Lock a file, if no other process has."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN):
            return False
        if error.errno in (errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK):
            return True  # a filesystem without locks: as good as can be had there
        raise
    return True


def _is_there(descriptor: int, path: str) -> bool:
    """Whether a name leads to an open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
