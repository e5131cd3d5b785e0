"""
Files, and devices that take or refuse at once (``/dev/null``, ``/dev/full``).

Messages that come together are one ``write(2)`` to a descriptor opened for appending, so that lines
of several processes do not mix.  A regular file never makes one wait for a reader.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from functools import partial

from zope.interface import implementer

from dantetw.observe.interfaces import ISink, Said
from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks.kind import Surroundings
from dantetw.observe.sinks.stream import Stream
from dantetw.observe.sinks.torn import end_in_place, ends_torn, mend
from dantetw.values import Severity

#: Called with what is about to be written.
BeforeWrite = Callable[[bytes], None]


@implementer(ISink)
class File:
    """
    A file.

    :param opener: makes the descriptor, which then belongs to the sink; may raise ``OSError``.
    :ivar descriptor: -1 after :meth:`close`.
    :ivar before_write: called before each write of messages, if it is set.
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
        self._torn = mend(self.descriptor)
        self.before_write: BeforeWrite | None = None

    def write(self, severity: Severity, when: float, text: str) -> None:
        """See :meth:`ISink.write`."""
        self.write_all(((severity, when, text),))

    def write_all(self, said: Sequence[Said]) -> None:
        """See :meth:`ISink.write_all`."""
        data = self._prefix.stamped_all(said)
        if self.trouble or self._torn:
            data = self._behind_torn() + data
        if self.before_write is not None:
            self.before_write(data)
        begun, size = 0, len(data)
        try:
            begun = os.write(self.descriptor, data)
            while begun < size:
                begun += os.write(self.descriptor, data[begun:])
        except OSError as error:
            self.trouble = error.errno or errno.EIO
            self.lost += self._missing(said, size - begun, self._cut(data[:begun]))
            return
        if self.trouble or self._torn:
            self.trouble = 0
            self._torn = False

    def _behind_torn(self) -> bytes:
        """What ends the line in whose middle the file ends, if it does: another's, it may be."""
        size = ends_torn(self.descriptor)
        return b"\n" if size or (size is None and self._torn) else b""

    def _cut(self, data: bytes) -> bool:
        """
        End the line in whose middle a write has ended; whether it cannot be completed any more.

        :param data: what is out.
        """
        half = data[data.rfind(b"\n") + 1 :]
        if half:
            self._torn = not end_in_place(self.descriptor, half)
            return not self._torn
        if data:
            self._torn = False
        return False

    def _missing(self, said: Sequence[Said], left: int, ended: bool) -> int:
        """
        How many messages are not out.

        :param left: how many bytes at their end are not.
        :param ended: the one that is cut has been ended as it is.
        """
        missing, least = 0, 0 if ended else 1
        for severity, when, text in reversed(said):
            # One that is all out but for its newline gets that from the next one, or is cut.
            missing += left > least
            left -= len(self._prefix.stamped(severity, when, text))
        return missing

    def reopen(self) -> None:
        """See :meth:`ISink.reopen`."""
        descriptor = self._opener()
        os.close(self.descriptor)
        self.descriptor = descriptor
        self._torn = mend(descriptor)

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
