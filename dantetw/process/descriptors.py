"""
Descriptors that the process was started with.
"""

from __future__ import annotations

import fcntl
import os
import sys
from contextlib import suppress
from typing import Final

#: The first descriptor behind the standard ones.
_FIRST: Final = 3


def open_missing() -> None:
    """
    Open those of the descriptors 0 to 2 that are closed on ``/dev/null``.

    Otherwise the next thing that is opened gets the number, and code that writes to standard
    error, or becomes a daemon, writes into it or replaces it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            try:
                opened = os.open(os.devnull, os.O_RDWR)
            except OSError:
                return  # a root folder without devices: there is nothing better
            # The lowest number that is free, hence this one: those below are open by now.
            os.set_inheritable(opened, True)
        if getattr(sys, name) is None:
            stream = open(number, "r" if number == 0 else "w", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


class Inherited:
    """
    The descriptors above 2 that the process that started us left open, by intention or not.

    Their flags distinguish them from our own: Python opens everything close-on-exec
    (:pep:`446`), and what has survived an ``exec`` is not.
    """

    def __init__(self) -> None:
        self._found = {number: mark for number in _numbers() if (mark := _mark(number))}

    def close(self) -> None:
        """
        Close those that have not been adopted since.

        The sockets of systemd are close-on-exec once they have been adopted, as is anything else
        that got one of the numbers meanwhile.
        """
        for number, mark in self._found.items():
            if _mark(number) == mark:
                with suppress(OSError):
                    os.close(number)
        self._found.clear()


def _numbers() -> list[int]:
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:
        # Not Linux.  ``close_all_but`` may look at many more, but that is for a child of ours.
        return [*range(_FIRST, 256)]
    return [int(name) for name in names if int(name) >= _FIRST]


def _mark(number: int) -> tuple[int, int] | None:
    """Identifies the file of an inherited descriptor; None: it is not inherited, or closed."""
    try:
        if fcntl.fcntl(number, fcntl.F_GETFD) & fcntl.FD_CLOEXEC:
            return None
        status = os.fstat(number)
    except OSError:
        return None
    return status.st_dev, status.st_ino
