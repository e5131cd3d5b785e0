"""
Runs long work a few milliseconds at a time.

A status report may cover tens of thousands of sessions, and must not delay clients.  So it is made
in slices, between which the server does its other work.

Lines that a log destination does not accept at once wait in its queue, which is bounded, and a
report may be longer.  So the work pauses while a destination is behind and makes progress.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

#: Seconds of work in a slice, and seconds between two.
SLICE_SECONDS: Final = 0.002
#: Messages that may wait at a destination: a quarter of its queue of 1 MiB, if they are of the
#: longest kind, with ``log: tcpinfo``.
BEHIND_MESSAGES: Final = 100
#: Seconds until the next check whether a destination that is behind has caught up.
PAUSE_SECONDS: Final = 0.02
#: Checks of a destination that makes no progress before it is no longer waited for: two seconds.
LOOKS_WITHOUT_PROGRESS: Final = 100
#: Total seconds that slow destinations may delay a report.
LONGEST_PAUSE_SECONDS: Final = 60.0

_log: Final = Logger()


class Slices:
    """
    Runs long work a few milliseconds at a time.

    :param monotonic: the clock.
    :param waiting: returns how many messages wait at the destination that is furthest behind.
    """

    def __init__(
        self, reactor: Any, monotonic: Callable[[], float], waiting: Callable[[], int]
    ) -> None:
        self._reactor = reactor
        self._monotonic = monotonic
        self._waiting = waiting
        self._work: Iterator[object] | None = None
        self._behind = 0
        self._looks = LOOKS_WITHOUT_PROGRESS
        self._paused = 0.0

    def run(self, work: Iterator[object], continued: bool = False) -> Deferred[None]:
        """
        Do a piece of work, a step of the iterator at a time.

        :param continued: it continues the work before, whose delay counts.
        :returns: fires when it is over; does not if :meth:`stop` is called before.
        """
        self._work, self._over = work, Deferred[None]()
        if not continued:
            self._paused = 0.0
        over = self._over
        self._continue()
        return over

    def stop(self) -> None:
        """Stop the work."""
        self._work = None

    def _continue(self) -> None:
        work, monotonic = self._work, self._monotonic
        if work is None:
            return
        if self._held_up():
            self._paused += PAUSE_SECONDS
            self._reactor.callLater(PAUSE_SECONDS, self._continue)
            return
        end = monotonic() + SLICE_SECONDS
        try:
            for _ in work:
                if monotonic() >= end:
                    self._reactor.callLater(SLICE_SECONDS, self._continue)
                    return
        except Exception:
            _log.failure("Failure in a status report")
        self._work = None
        self._over.callback(None)

    def _held_up(self) -> bool:
        """Whether to wait for a destination that is behind."""
        behind, before = self._waiting(), self._behind
        self._behind = behind
        if behind <= BEHIND_MESSAGES:
            self._looks = LOOKS_WITHOUT_PROGRESS
            return False
        # A stuck destination must not keep the report from the others: it counts what it loses.
        self._looks = LOOKS_WITHOUT_PROGRESS if behind < before else self._looks - 1
        return self._looks > 0 and self._paused < LONGEST_PAUSE_SECONDS
