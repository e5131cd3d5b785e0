"""
Finding what has waited for too long.

One look a second at all that has a time limit, in place of a timer for each session that is reset
with each chunk.  So limits strike up to a second late, as Dante's do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

_log = Logger()

#: Seconds between two looks.
INTERVAL = 1.0


class Limited(Protocol):
    """Something with a time limit."""

    def check(self, now: float) -> None:
        """Act if the limit has passed; ``now`` is monotonic seconds."""


class Sweep:
    """
    Calls ``check`` of everything that was added and not yet discarded, once a second.

    :param clock: a Twisted clock, which says when to look.
    :param monotonic: the clock that limits are counted by.
    """

    def __init__(self, clock: Any, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._limited: set[Limited] = set()
        self.add = self._limited.add
        self.discard = self._limited.discard
        self._loop = LoopingCall(self.look)
        self._loop.clock = clock

    def start(self) -> None:
        """Begin to look."""
        self._loop.start(INTERVAL, now=False)

    def stop(self) -> None:
        """Look no more."""
        if self._loop.running:
            self._loop.stop()

    def look(self) -> None:
        """Look once."""
        now = self._monotonic()
        for limited in tuple(self._limited):
            try:
                limited.check(now)
            except Exception:
                _log.failure("Failure in a time limit")
