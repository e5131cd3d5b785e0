"""
``splice(2)``: moves bytes from one descriptor to another, one of which is a pipe, inside the
kernel.

Python has it since 3.10 as ``os.splice``.  PyPy does not; there the C library's function is called.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from functools import partial
from typing import Final

#: Moves at most the given number of bytes between descriptors; returns how many.  Does not wait,
#: but raises :exc:`BlockingIOError`, and :exc:`OSError` for any other error.
Splice = Callable[[int, int, int], int]

# <linux/fcntl.h>: SPLICE_F_MOVE and SPLICE_F_NONBLOCK.
_FLAGS: Final = 3


def find() -> Splice | None:
    """The system call, if this system has it."""
    own = getattr(os, "splice", None)
    return of_library() if own is None else partial(own, flags=_FLAGS)


def of_library() -> Splice | None:
    """The one of the C library."""
    try:
        function = ctypes.CDLL(None, use_errno=True).splice
    except (OSError, AttributeError):
        return None
    function.restype = ctypes.c_ssize_t
    function.argtypes = (
        *(ctypes.c_int, ctypes.c_void_p) * 2,
        ctypes.c_size_t,
        ctypes.c_uint,
    )

    def splice(source: int, sink: int, most: int) -> int:
        while (moved := function(source, None, sink, None, most, _FLAGS)) < 0:
            number = ctypes.get_errno()
            if number != errno.EINTR:
                raise OSError(number, os.strerror(number))
        return int(moved)

    return splice
