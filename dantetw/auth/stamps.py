"""
Has a file changed?
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from twisted.internet.interfaces import IReactorTime

#: What enters and leaves the privileges a file may need.
Privileged = Callable[[], AbstractContextManager[None]]

#: For files that everybody may read, and for tests.
UNPRIVILEGED: Final[Privileged] = nullcontext

# Seconds.  Each login asks; an operator does not mind waiting for one.
_INTERVAL: Final = 1

Stamp = tuple[tuple[int, int, int] | None, ...]


class Stamps:
    """
    What shows that files are no longer what they were: time of change, size and inode.

    :param paths: the files.
    :param clock: they are looked at once a second at most.
    :param privileged: used where a folder on the way may not be entered without.
    """

    def __init__(
        self, paths: tuple[str, ...], clock: IReactorTime, privileged: Privileged = UNPRIVILEGED
    ) -> None:
        self._paths = paths
        self._clock = clock
        self._privileged = privileged
        self._looked: float | None = None
        self._last: Stamp = ()

    def current(self) -> Stamp:
        """The stamp of each file now, or a second ago; None for one that is not there."""
        now = self._clock.seconds()
        if self._looked is None or now - self._looked >= _INTERVAL:
            self._looked = now
            self._last = tuple(self._stamp(path) for path in self._paths)
        return self._last

    def _stamp(self, path: str) -> tuple[int, int, int] | None:
        try:
            return _stamp(path)
        except PermissionError:
            pass
        except OSError:
            return None
        try:
            with self._privileged():
                return _stamp(path)
        except OSError:
            return None


def _stamp(path: str) -> tuple[int, int, int]:
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size, status.st_ino
