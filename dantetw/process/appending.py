"""
Opening a log file.
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

#: Permissions of a file we create: the owner writes, the group may read.
MODE: Final = 0o640

_FLAGS: Final = os.O_APPEND | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK


def open_appending(
    path: str,
    owner: tuple[int, int] | None = None,
    flags: int = 0,
    folder: int | None = None,
) -> int:
    """
    Open ``path`` for appending, creating it with :data:`MODE` if there is none.

    :param owner: user and group of a created file; None: this process's.
    :param flags: for ``open(2)``, beside ours.
    :param folder: descriptor of the folder that a relative path begins at; None: the current one.

    It is readable too if that is allowed, so that the end of the file can be read.  Never waits: a
    FIFO opened for both directions needs no reader, and avoids ``EPIPE`` when readers come and go.

    :raises OSError: it cannot be opened or created.
    """
    flags |= _FLAGS
    create = flags | os.O_RDWR | os.O_CREAT
    for _ in range(2):
        with contextlib.suppress(FileNotFoundError):
            try:
                return os.open(path, flags | os.O_RDWR, dir_fd=folder)
            except PermissionError:
                return os.open(path, flags | os.O_WRONLY, dir_fd=folder)
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, create | os.O_EXCL, MODE, dir_fd=folder)
            # The umask, which daemons often set to 077, would take the group's right away.
            os.fchmod(descriptor, MODE)
            if owner is not None:
                # Without the right to do that it stays ours, and can be written all the same.
                with contextlib.suppress(OSError):
                    os.fchown(descriptor, *owner)
            return descriptor
        # Another process created it between the two.
    # Or it is a link to nowhere, which O_EXCL does not follow.
    return os.open(path, create, MODE, dir_fd=folder)
