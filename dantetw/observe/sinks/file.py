"""
Files, and devices that take or refuse at once (``/dev/null``, ``/dev/full``).

Messages that come together are one ``write(2)`` to a descriptor opened for appending, so that lines
of several processes do not mix.  A regular file never makes one wait for a reader.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from zope.interface import implementer

from dantetw.observe.interfaces import ISink, Said
from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks.kind import Surroundings
from dantetw.observe.sinks.stream import Stream
from dantetw.values import Severity

_NEWLINE: Final = 10
# Seconds between two looks at a file that seems to be torn.
_LOOK_AGAIN: Final = 0.002


def _torn(descriptor: int) -> int:
    """The size of a file that ends in the middle of a line; 0 if it does not, or we may not see."""
    try:
        size = os.fstat(descriptor).st_size
        return size if size and os.pread(descriptor, 1, size - 1) != b"\n" else 0
    except OSError:
        return 0


def _mend(descriptor: int) -> bool:
    """
    End the line in whose middle a file ends, by a full disk or the end of a process.

    :returns: whether it still ends so, as far as we may see that.
    """
    size = _torn(descriptor)
    if not size:
        return False
    # Another process of ours may be in the middle of writing there: then it looks torn, but grows.
    time.sleep(_LOOK_AGAIN)
    if _torn(descriptor) != size:
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
        self.write_all(((severity, when, text),))

    def write_all(self, said: Sequence[Said]) -> None:
        """See :meth:`ISink.write_all`."""
        data = self._prefix.stamped_all(said)
        if self._torn:
            data = b"\n" + data
        try:
            written = os.write(self.descriptor, data)
            while written < len(data):
                # At most one line per call is cut, where the disk is full: the rest says so.
                self._torn = data[written - 1] != _NEWLINE
                data = data[written:]
                written = os.write(self.descriptor, data)
        except OSError as error:
            self.trouble = error.errno or errno.EIO
            self.lost += self._missing(said, len(data))
            return
        if self.trouble or self._torn:
            self.trouble = 0
            self._torn = False

    def _missing(self, said: Sequence[Said], left: int) -> int:
        """
        How many messages are not out.

        :param left: how many bytes at their end are not.
        """
        missing = 0
        for severity, when, text in reversed(said):
            # One that is all out but for its newline gets that from the next one.
            missing += left > 1
            left -= len(self._prefix.stamped(severity, when, text))
        return missing

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
    opener = partial(surroundings.open_log, text)
    descriptor = opener()
    try:
        slow = stat.S_ISFIFO(os.fstat(descriptor).st_mode) or os.isatty(descriptor)
    finally:
        os.close(descriptor)
    if slow:
        return Stream(text, surroundings.prefix, surroundings.reactor, opener)
    return File(text, surroundings.prefix, opener)
