"""
What is put off to the end of a turn.

Some work costs as much for many things as for one, such as a write to a log file.  While the
poller tells what has happened since it was last asked, such work is put off; it is done before the
process waits again, and so before anybody could notice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.logger import Logger

_log: Final = Logger()


class Batch:
    """
    The turns of a process, one after the other.

    :ivar under_way: what is put off waits.
    """

    __slots__ = ("_put_last", "_put_off", "under_way")

    def __init__(self) -> None:
        self.under_way = False
        self._put_off: list[Callable[[], None]] = []
        self._put_last: list[Callable[[], None]] = []

    def begin(self) -> None:
        """A turn begins."""
        self.under_way = True

    def put_off(self, call: Callable[[], None]) -> None:
        """
        Call at the end of the turn that is under way, in the order in which these have been given;
        at once if there is none.
        """
        self._put(call, self._put_off)

    def put_last(self, call: Callable[[], None]) -> None:
        """Likewise, but behind all that is put off otherwise."""
        self._put(call, self._put_last)

    def _put(self, call: Callable[[], None], calls: list[Callable[[], None]]) -> None:
        if self.under_way:
            calls.append(call)
        else:
            call()

    def end(self) -> None:
        """It ends: what was put off is done, and what comes of that at once."""
        self.under_way = False
        if self._put_off or self._put_last:
            calls = self._put_off + self._put_last
            self._put_off, self._put_last = [], []
            for call in calls:
                try:
                    call()
                except Exception:
                    _log.failure("Failure at the end of a turn")
