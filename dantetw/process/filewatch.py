"""
Noticing that a file has changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime

#: Time of change in nanoseconds, size and inode.
Stamp = tuple[int, int, int]

#: Looks at a file: its stamp.
Look = Callable[[str], Stamp]

# Seconds.  Each login asks; an operator does not mind waiting for one.
_INTERVAL: Final = 1


def look(path: str) -> Stamp:
    """
    A file's stamp, with this process's privileges.

    :raises OSError: if it may not be looked at, or is not there.
    """
    return stamp_of(os.stat(path))


def stamp_of(status: os.stat_result) -> Stamp:
    """The stamp in what the system says of a file."""
    return status.st_mtime_ns, status.st_size, status.st_ino


class FileWatch:
    """
    What shows that files are no longer what they were: time of change, size and inode.

    :param paths: the files.
    :param clock: they are looked at once a second at most.
    :param look: looks with privileges, if there is a folder on the way that takes them to enter.
    """

    def __init__(self, paths: tuple[str, ...], clock: IReactorTime, look: Look = look) -> None:
        self._paths = paths
        self._clock = clock
        self._look = look
        self._looked: float | None = None
        self._last: tuple[Stamp | None, ...] = ()

    def current(self) -> tuple[Stamp | None, ...]:
        """The stamp of each file now, or a second ago; None for one that is not there."""
        now = self._clock.seconds()
        if self._looked is None or now - self._looked >= _INTERVAL:
            self._looked = now
            self._last = tuple(self._stamp(path) for path in self._paths)
        return self._last

    def _stamp(self, path: str) -> Stamp | None:
        try:
            return self._look(path)
        except OSError:
            return None
