"""What this process has open, for tests that nothing is left behind."""

from __future__ import annotations

import os
from contextlib import suppress


def descriptors() -> set[tuple[int, str]]:
    """
    The open descriptors, each with what it is open to.

    Compare sets, not numbers: ``descriptors() - before`` is what has been opened since.  What other
    tests have left, garbage or threads that come to their end, may be closed at any time.
    """
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # that by which they are listed
            found.add((int(name), os.readlink(f"/proc/self/fd/{name}")))
    return found
