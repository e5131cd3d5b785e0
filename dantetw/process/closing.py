"""
Closing, in a forked process, the descriptors of its parent.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress


def close_all_but(descriptors: Iterable[int]) -> None:
    """
    Close all descriptors but these and the standard ones.

    Objects that still hold a closed descriptor must never be collected: they would close its number
    again, which may be reused by then.
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
