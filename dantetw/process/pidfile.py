"""
Dante's pid file: written when the server runs, emptied, not removed, when it ends.
"""

from __future__ import annotations

import os


def write(path: str) -> None:
    """
    Write our process id.

    :raises OSError: if the file cannot be written.
    """
    # A file that exists keeps its mode and owner; one that does not becomes 0644.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, b"%d\n" % os.getpid())
    finally:
        os.close(descriptor)


def empty(path: str) -> None:
    """Take the process id out of the file, if it can be done."""
    try:
        os.truncate(path, 0)
    except OSError:
        pass  # it may be in a folder that is gone by now; nobody is served by a complaint
