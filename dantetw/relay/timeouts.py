"""
Finding what has waited for too long.

One look a second at all that has a time limit, in place of a timer for each session that is reset
with each chunk.  So limits strike up to a second late, as Dante's do.

A look at ten thousand takes some ten milliseconds, and ending thousands in one look, a crowd that
came together and has said nothing, takes tenths of a second: too long for everybody else.  So it
is taken in pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

_log = Logger()

#: Seconds between two looks.
SWEEP_SECONDS = 1.0
#: Seconds a look takes before others get their turn.
SLICE_SECONDS = 0.005


class TimeLimited(Protocol):
    """Something with a time limit."""

    def check(self, now: float) -> None:
        """Act if the limit has passed; ``now`` is monotonic seconds."""


class TimeoutSweep:
    """
    Calls ``check`` of everything that was added and not yet discarded, once a second.

    :param clock: a Twisted clock, which says when to look.
    :param monotonic: the clock that limits are counted by.
    """

    def __init__(self, clock: Any, monotonic: Callable[[], float]) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._limited: set[TimeLimited] = set()
        self.add = self._limited.add
        self.discard = self._limited.discard
        self._loop = LoopingCall(self.look)
        self._loop.clock = clock
        self._rest: IDelayedCall | None = None

    def start(self) -> None:
        """Begin to look."""
        self._loop.start(SWEEP_SECONDS, now=False)

    def stop(self) -> None:
        """Look no more."""
        if self._loop.running:
            self._loop.stop()
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def look(self) -> None:
        """Look once, unless the last look is still being taken."""
        if self._rest is None:
            self._go_on(self._monotonic(), iter(tuple(self._limited)))

    def _go_on(self, now: float, rest: Iterator[TimeLimited]) -> None:
        """
        Look at some more.

        :param now: when the look began; ``rest``: what has not been looked at.
        """
        self._rest = None
        end = self._monotonic() + SLICE_SECONDS
        for limited in rest:
            if limited not in self._limited:
                continue  # discarded meanwhile
            try:
                limited.check(now)
            except Exception:
                _log.failure("Failure in a time limit")
            if self._monotonic() >= end:
                self._rest = self._clock.callLater(0, self._go_on, now, rest)
                return
