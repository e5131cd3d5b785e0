"""
Dante's pid file: written when the server runs; emptied, not removed, when it ends, which takes
privileges (:mod:`.direct`).
"""

from __future__ import annotations

import os


def write(path: str, owner: tuple[int, int] | None = None) -> None:
    """
    Write our process id.

    :param owner: user and group that a created file shall belong to: who will empty it.
    :raises OSError: if the file cannot be written.
    """
    # A file that exists keeps its mode and owner; one that does not becomes 0644.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    created = not os.path.exists(path)
    descriptor = os.open(path, flags, 0o644)
    try:
        if created and owner is not None:
            os.fchown(descriptor, *owner)
        os.write(descriptor, b"%d\n" % os.getpid())
    finally:
        os.close(descriptor)
