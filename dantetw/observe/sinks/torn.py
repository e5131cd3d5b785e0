"""
Files that end in the middle of a line, because a disk is full or a process ended while it wrote.

Several processes append to one file, and none knows what another has written.  So a process that
has written half a line ends it at once, in place, which takes no room: its last bytes become
:data:`MARK`.  What another process appends then begins on a line of its own, also if it has done so
already.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress
from typing import Final

#: The end of a line of which the rest is missing.
MARK: Final = b"...\n"

# Seconds between two looks at a file that seems to be torn.
_LOOK_AGAIN: Final = 0.002
# How far from the end of a file half a line is looked for, in bytes; others may have written since.
_FAR: Final = 256 * 1024
# Bytes that make half a line unique: date, microseconds, name and process id.
_UNIQUE: Final = 48
# ``pwritev2(2)``, since Linux 6.9: write where it is said, though the file is open for appending.
_NOAPPEND: Final = 0x20


def ends_torn(descriptor: int) -> int | None:
    """The size of a file that ends in the middle of a line; 0 if it does not; None: unknown."""
    try:
        size = os.fstat(descriptor).st_size
        return size if size and os.pread(descriptor, 1, size - 1) != b"\n" else 0
    except OSError:
        return None


def mend(descriptor: int) -> bool:
    """
    End the line in whose middle a file ends, when it is opened.

    :returns: whether it still ends so, as far as that can be seen.
    """
    size = ends_torn(descriptor)
    if not size:
        return False
    # Another process of ours may be in the middle of writing there: then it looks torn, but grows.
    time.sleep(_LOOK_AGAIN)
    if ends_torn(descriptor) != size:
        return False
    try:
        return os.write(descriptor, b"\n") == 0
    except OSError:
        return True


def end_in_place(descriptor: int, half: bytes) -> bool:
    """
    End a line of which only ``half`` could be written; False if that cannot be done.

    It takes Linux 6.9, or the right to open the file again.
    """
    try:
        size = os.fstat(descriptor).st_size
        begin = max(0, size - _FAR)
        tail = os.pread(descriptor, _FAR, begin)
        if tail.endswith(half):
            place = len(tail)
        elif len(half) >= _UNIQUE and tail.count(half) == 1:
            place = tail.index(half) + len(half)
        else:
            return False  # others have written a lot since, or emptied the file
        mark = MARK[-len(half) :]
        return _overwrite(descriptor, mark, begin + place - len(mark)) == len(mark)
    except OSError:
        return False


def _overwrite(descriptor: int, data: bytes, place: int) -> int:
    """Write at a place of a file that is open for appending; how many bytes have been written."""
    with suppress(AttributeError, NotImplementedError):
        try:
            return os.pwritev(descriptor, [data], place, _NOAPPEND)
        except OSError as failed:
            if failed.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
    # Other processes share what this descriptor is open on, so its flags must stay.
    again = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        return os.pwrite(again, data, place)
    finally:
        os.close(again)
