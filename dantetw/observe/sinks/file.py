"""
Files, and devices that take or refuse at once (``/dev/null``, ``/dev/full``).

One message is one ``write(2)`` to a descriptor opened for appending, so that lines of several
processes do not mix.  A regular file never makes one wait for a reader.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from typing import Final

from zope.interface import implementer

from dantetw.observe.interfaces import ISink
from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks.kind import Surroundings
from dantetw.observe.sinks.stream import Stream
from dantetw.values import Severity

#: Permissions of a file we create: the owner writes, the group may read.
MODE: Final = 0o640

_FLAGS: Final = os.O_APPEND | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK
_NEWLINE: Final = 10


def open_appending(path: str, owner: tuple[int, int] | None = None) -> int:
    """
    Open ``path`` for appending, creating it with :data:`MODE` if there is none.

    :param owner: user and group that a created file shall belong to; None: whoever we are.

    It is readable too if that is allowed, so that one sees how a file ends.  Never waits: a FIFO
    opened for both directions needs no reader, and spares us ``EPIPE`` when readers come and go.

    :raises OSError: it cannot be opened or created.
    """
    for _ in range(2):
        with contextlib.suppress(FileNotFoundError):
            try:
                return os.open(path, _FLAGS | os.O_RDWR)
            except PermissionError:
                return os.open(path, _FLAGS | os.O_WRONLY)
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, _FLAGS | os.O_RDWR | os.O_CREAT | os.O_EXCL, MODE)
            # The umask, which daemons often set to 077, would take the group's right away.
            os.fchmod(descriptor, MODE)
            if owner is not None:
                # Without the right to do that it stays ours, and can be written all the same.
                with contextlib.suppress(OSError):
                    os.fchown(descriptor, *owner)
            return descriptor
        # Somebody else created it between the two.
    # Or it is a link to nowhere, which O_EXCL does not follow.
    return os.open(path, _FLAGS | os.O_RDWR | os.O_CREAT, MODE)


def _mend(descriptor: int) -> bool:
    """
    End the line in whose middle a file ends, by a full disk or the end of a process.

    :returns: whether it still ends so, as far as we may see that.
    """
    try:
        size = os.fstat(descriptor).st_size
        if not size or os.pread(descriptor, 1, size - 1) == b"\n":
            return False
    except OSError:
        return False
    try:
        return os.write(descriptor, b"\n") == 0
    except OSError:
        return True


@implementer(ISink)
class File:
    """
    A file.

    :param opener: makes the descriptor, which then belongs to the sink; may raise ``OSError``.
    :ivar descriptor: -1 after :meth:`close`.
    """

    rank = 1
    waiting = 0

    def __init__(self, name: str, prefix: Prefix, opener: Callable[[], int]) -> None:
        self.name = name
        self.trouble = 0
        self.lost = 0
        self._prefix = prefix
        self._opener = opener
        self.descriptor = opener()
        # The file ends in the middle of a line, which a full disk has cut.
        self._torn = _mend(self.descriptor)

    def write(self, severity: Severity, when: float, text: str) -> None:
        """See :meth:`ISink.write`."""
        line = self._prefix.stamped(severity, when, text)
        if self._torn:
            line = b"\n" + line
        try:
            written = os.write(self.descriptor, line)
            while written < len(line):
                # At most one line per call is cut, where the disk is full: the rest says so.
                self._torn = line[written - 1] != _NEWLINE
                line = line[written:]
                written = os.write(self.descriptor, line)
        except OSError as error:
            self.trouble = error.errno or errno.EIO
            # A line that is all out but for its newline gets that from the next one.
            self.lost += line != b"\n"
            return
        if self.trouble or self._torn:
            self.trouble = 0
            self._torn = False

    def reopen(self) -> None:
        """See :meth:`ISink.reopen`."""
        descriptor = self._opener()
        os.close(self.descriptor)
        self.descriptor = descriptor
        self._torn = _mend(descriptor)

    def flush(self, seconds: float) -> None:
        """Nothing ever waits here."""

    def close(self) -> None:
        """See :meth:`ISink.close`."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def opened(text: str, surroundings: Surroundings) -> ISink:
    """
    The kind of everything else: a file name, relative to the working directory.

    A FIFO or a terminal becomes a :class:`~dantetw.observe.sinks.stream.Stream`.

    :raises OSError: it cannot be opened or created.
    """

    def opener() -> int:
        with surroundings.privileged():
            return open_appending(text, surroundings.owner)

    descriptor = opener()
    try:
        slow = stat.S_ISFIFO(os.fstat(descriptor).st_mode) or os.isatty(descriptor)
    finally:
        os.close(descriptor)
    if slow:
        return Stream(text, surroundings.prefix, surroundings.reactor, opener)
    return File(text, surroundings.prefix, opener)
