"""
The timeout sweep: finds what has waited for too long.

Everything with a time limit is checked once a second; timers for each session would have to be
reset with each chunk.  So limits apply up to a second late, as Dante's do.

Checking ten thousand sessions takes about ten milliseconds, and ending thousands of them in one
sweep takes tenths of a second, which would delay all others.  So a sweep is done in slices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

_log = Logger()

#: Seconds between two sweeps.
SWEEP_SECONDS = 1.0
#: Seconds of a slice, after which other work is done.
SLICE_SECONDS = 0.005


class TimeLimited(Protocol):
    """Something with a time limit."""

    def check(self, now: float) -> None:
        """Act if the limit has passed; ``now`` is monotonic seconds."""


class TimeoutSweep:
    """
    Calls ``check`` of everything that was added and not yet discarded, once a second.

    :param clock: a Twisted clock, which schedules the sweeps.
    :param monotonic: the clock of the time limits.
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
        """Start sweeping."""
        self._loop.start(SWEEP_SECONDS, now=False)

    def stop(self) -> None:
        """Stop sweeping."""
        if self._loop.running:
            self._loop.stop()
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def look(self) -> None:
        """Sweep once, unless the last sweep still goes on."""
        if self._rest is None:
            self._go_on(self._monotonic(), iter(tuple(self._limited)))

    def _go_on(self, now: float, rest: Iterator[TimeLimited]) -> None:
        """
        Sweep one slice.

        :param now: when the sweep began; ``rest``: what has not been checked.
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
