"""What processes have open, for tests that nothing is left behind."""

from __future__ import annotations

import os
from contextlib import suppress


def descriptors(process: int | str = "self") -> set[tuple[int, str]]:
    """
    The open descriptors, each with what it is open to.

    Compare sets, not numbers: ``descriptors() - before`` is what has been opened since.  What other
    tests have left, garbage or threads that come to their end, may be closed at any time.

    :param process: this one, or the id of another, which has none if it has ended.
    """
    folder, found = f"/proc/{process}/fd", set()
    with suppress(FileNotFoundError, ProcessLookupError):
        for name in os.listdir(folder):
            # Not that by which they are listed, nor what is closed meanwhile.
            with suppress(FileNotFoundError, ProcessLookupError):
                found.add((int(name), os.readlink(f"{folder}/{name}")))
    return found
