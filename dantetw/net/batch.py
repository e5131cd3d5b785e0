"""
Work that is put off to the end of a batch of events.

Some work costs as much for many things as for one, such as a write to a log file.  While the poller
calls the watchers of one batch, such work is put off; it is done before the process waits again,
and so before any other process could notice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.logger import Logger

_log: Final = Logger()


class Batch:
    """
    The batches of a process, one after the other.

    :ivar active: a batch has begun and not ended, and what is put off waits for its end.
    """

    __slots__ = ("_put_last", "_put_off", "active")

    def __init__(self) -> None:
        self.active = False
        self._put_off: list[Callable[[], None]] = []
        self._put_last: list[Callable[[], None]] = []

    def begin(self) -> None:
        """A batch begins."""
        self.active = True

    def put_off(self, call: Callable[[], None]) -> None:
        """
        Call at the end of the active batch, in the order in which these have been given; at once if
        there is none.
        """
        self._put(call, self._put_off)

    def put_last(self, call: Callable[[], None]) -> None:
        """Likewise, but after all that :meth:`put_off` was given."""
        self._put(call, self._put_last)

    def _put(self, call: Callable[[], None], calls: list[Callable[[], None]]) -> None:
        if self.active:
            calls.append(call)
        else:
            call()

    def end(self) -> None:
        """It ends: do what was put off; what that puts off is done at once."""
        self.active = False
        if self._put_off or self._put_last:
            calls = self._put_off + self._put_last
            self._put_off, self._put_last = [], []
            for call in calls:
                try:
                    call()
                except Exception:
                    _log.failure("Failure at the end of a turn")
