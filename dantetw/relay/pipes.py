"""
Pipes for splicing, pooled: making one and enlarging it costs more than a small transfer.
"""

from __future__ import annotations

import fcntl
import os
from typing import Final

#: Bytes a pipe is asked to hold: the most an ordinary user may ask for (``pipe(7)``).
SIZE: Final = 1 << 20
# Bytes in a pipe that nobody has enlarged or reduced.
_WORTH_IT: Final = 1 << 16
#: Pipes kept for later; more than are in use at a time on most servers.
_KEPT: Final = 32

# The kernel's numbers (``fcntl(2)``); Python has names for them since 3.10, on Linux.
_F_SETPIPE_SZ: Final = getattr(fcntl, "F_SETPIPE_SZ", 1031)
_F_GETPIPE_SZ: Final = getattr(fcntl, "F_GETPIPE_SZ", 1032)

_free: list[tuple[int, int]] = []


def take() -> tuple[int, int]:
    """
    An empty pipe: its reading and its writing end, both non-blocking.

    :raises OSError: if the process has no descriptors left, or this user no room for pipes that
        are worth it.
    """
    if _free:
        return _free.pop()
    ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
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
    if empty and len(_free) < _KEPT:
        _free.append(ends)
    else:
        os.close(ends[0])
        os.close(ends[1])
