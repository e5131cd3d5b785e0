"""
What one process does between two lines of another.

Both are this process; the lines are those of :mod:`dantetw.accounts`, where shared memory changes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

PLACE: Final = "dantetw/accounts/"


class KilledError(Exception):
    """A process was killed."""


def at_line(number: int, work: Callable[[], Any], other: Callable[[], Any]) -> Any:
    """
    Call ``work`` and, before a line of it, ``other``; behind it, if it has not as many lines.

    :param number: which line, from 0.
    :returns: what ``work`` returns.
    """
    left = number

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        if PLACE not in frame.f_code.co_filename:
            return None
        if event == "line":
            left -= 1
            if left == -1:
                sys.settrace(None)
                other()
                return None
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        result = work()
    finally:
        sys.settrace(before)
    if left >= 0:
        other()
    return result


def killed_at_line(number: int, work: Callable[[], Any]) -> bool:
    """Call ``work``, which is killed before one of its lines; False if it has not as many."""
    done = False

    def whole() -> None:
        nonlocal done
        work()
        done = True

    def kill() -> None:
        if not done:
            raise KilledError

    try:
        at_line(number, whole, kill)
    except KilledError:
        return True
    return False
