"""
Pipes for splicing, pooled: making one and enlarging it costs more than a small transfer.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from typing import Final

#: Bytes a pipe is asked to hold: the most an ordinary user may ask for (``pipe(7)``).
SIZE: Final = 1 << 20
# Bytes of a pipe of the usual size.
_WORTH_IT: Final = 1 << 16
#: Unused pipes kept in the pool; more than most servers use at a time.
KEPT: Final = 32

# The kernel's numbers (``fcntl(2)``); Python has names for them since 3.10, on Linux.
_F_SETPIPE_SZ: Final = getattr(fcntl, "F_SETPIPE_SZ", 1031)
_F_GETPIPE_SZ: Final = getattr(fcntl, "F_GETPIPE_SZ", 1032)

#: Whether the process can spare two descriptors for another pipe; others may set it.
may_make: Callable[[], bool] | None = None

_free: list[tuple[int, int]] = []
# How many there are, those in use included.
_number = 0


def take() -> tuple[int, int]:
    """
    An empty pipe: its reading and its writing end, both non-blocking.

    :raises OSError: if the process has no descriptors left, or the user's pipe memory is exhausted.
    """
    global _number
    if _free:
        return _free.pop()
    if may_make is not None and not may_make():
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    _number += 1
    try:
        fcntl.fcntl(ends[1], _F_SETPIPE_SZ, SIZE)
    except OSError:
        # This user has as many large pipes as it may.  One of the usual size works too; but soon
        # the kernel makes them so small (``pipe(7)``, "pipe-user-pages-soft") that copying is
        # faster.
        if fcntl.fcntl(ends[1], _F_GETPIPE_SZ) < _WORTH_IT:
            give_back(ends, empty=False)
            raise
    return ends


def give_back(ends: tuple[int, int], empty: bool) -> None:
    """Return a pipe.  One that is not empty is closed, as is one too many."""
    global _number
    if empty and len(_free) < KEPT:
        _free.append(ends)
    else:
        _number -= 1
        os.close(ends[0])
        os.close(ends[1])


def number() -> int:
    """How many pipes there are, each of two descriptors."""
    return _number


def trim() -> int:
    """Close unused pipes; returns how many."""
    trimmed = len(_free)
    while _free:
        give_back(_free.pop(), empty=False)
    return trimmed
