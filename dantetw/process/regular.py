"""
Opening a file that may turn out to be something else, without waiting.
"""

from __future__ import annotations

import errno
import os
import stat


def open_regular(path: str, flags: int, folder: int | None = None) -> int:
    """
    Open a regular file: an opener for :func:`open`.

    Opening a FIFO would wait for its writer, and the whole server with it.

    :param folder: descriptor of the folder that a relative path begins at; None: the current one.
    :raises OSError: if it is none, or cannot be opened.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return descriptor
