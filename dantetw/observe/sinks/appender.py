"""
Appending whole lines to a file, and what becomes of those that a full disk cuts.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence

from dantetw.observe.sinks.torn import end_in_place, ends_torn, mend


class Appender:
    """
    A descriptor to append to.  It waits as long as its file system does.

    :param descriptor: belongs to the appender.
    :ivar error: why the last write has failed, an ``errno``; 0: it has not.
    :ivar lost: how many lines are not out.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.error = self.lost = 0
        # The file ends in the middle of a line, which a full disk has cut.
        self._torn = mend(descriptor)

    def append(self, data: bytes, sizes: Callable[[], Sequence[int]]) -> None:
        """
        Write lines.

        :param sizes: how many bytes each line has; asked only if not all can be written.
        """
        if self.error or self._torn:
            data = self._behind_torn() + data
        begun, size = 0, len(data)
        try:
            begun = os.write(self.descriptor, data)
            while begun < size:
                begun += os.write(self.descriptor, data[begun:])
        except OSError as error:
            self.error = error.errno or errno.EIO
            self.lost += _missing(sizes(), size - begun, self._cut(data[:begun]))
            return
        if self.error or self._torn:
            self.error = 0
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

    def close(self) -> None:
        """Let go of the file."""
        os.close(self.descriptor)


def _missing(sizes: Sequence[int], left: int, ended: bool) -> int:
    """
    How many lines are not out.

    :param left: how many bytes at their end are not.
    :param ended: the one that is cut has been ended as it is.
    """
    missing, least = 0, 0 if ended else 1
    for size in reversed(sizes):
        # One that is all out but for its newline gets that from the next one, or is cut.
        missing += left > least
        left -= size
    return missing
