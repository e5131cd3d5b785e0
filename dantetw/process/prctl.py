"""
``prctl(2)``, where there is one.
"""

from __future__ import annotations

import ctypes
from typing import Final

# <linux/prctl.h>
_SET_NAME: Final = 15
_SET_NO_NEW_PRIVS: Final = 38
_GET_NO_NEW_PRIVS: Final = 39


def forbid_privileges() -> bool:
    """
    Let no program that this process runs gain privileges, setuid or not; for good, also for its
    children.

    :returns: whether the system knows such a thing.
    """
    return _prctl(_SET_NO_NEW_PRIVS, 1) == 0


def forbidden() -> bool:
    """Whether that was done."""
    return _prctl(_GET_NO_NEW_PRIVS) == 1


def name(text: str) -> None:
    """Give this thread's process a name for ``ps`` and ``top``, of 15 bytes at most."""
    _prctl(_SET_NAME, ctypes.create_string_buffer(text.encode()))


def _prctl(option: int, argument: object = 0) -> int:
    """What it returns; -1 if there is none."""
    zero = ctypes.c_ulong(0)
    second = ctypes.c_ulong(argument) if isinstance(argument, int) else argument
    try:
        return int(ctypes.CDLL(None).prctl(option, second, zero, zero, zero))
    except (OSError, AttributeError):
        return -1
