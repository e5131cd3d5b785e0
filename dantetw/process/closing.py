"""
Letting go, in a process that was forked, of what is its parent's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress


def close_all_but(descriptors: Iterable[int]) -> None:
    """
    Close all descriptors but these and the standard ones.

    Whatever still names a closed one must never be collected: it would close that number again,
    which may be somebody else's by then.
    """
    kept = {0, 1, 2, *descriptors}
    try:
        # The limit may be a thousand million, and not every system closes a range in one call.
        there = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        there = [*range(os.sysconf("SC_OPEN_MAX"))]
    for descriptor in there:
        if descriptor not in kept:
            with suppress(OSError):
                os.close(descriptor)
