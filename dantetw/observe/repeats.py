"""
Warnings that come again and again: written once, then counted.

The first of them is written at once.  While it goes on coming its repetitions are summed up, once
a second, until a second passes without one.  None goes uncounted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from twisted.internet.interfaces import IDelayedCall

from dantetw.observe.events import Event, Repeated
from dantetw.values import Severity

#: Seconds from one summary to the next.
INTERVAL: Final = 1.0

#: Different texts that are remembered; of more, the one that did not come for longest is forgotten.
MOST: Final = 256


class _Seen:
    """
    Something that was written.

    :ivar times: how often it has come since then, or since it was summed up.
    :ivar new: it was written less than :data:`INTERVAL` ago.
    """

    __slots__ = ("event", "new", "severity", "times")

    def __init__(self, severity: Severity, event: Event) -> None:
        self.severity = severity
        self.event = event
        self.times = 0
        self.new = True


class Repeats:
    """
    Tells the first from its repetitions.

    :param later: calls a function after so many seconds (``callLater``).
    :param tell: takes the summaries.
    """

    def __init__(
        self,
        later: Callable[[float, Callable[[], None]], IDelayedCall],
        tell: Callable[[Repeated], None],
    ) -> None:
        self._later = later
        self._tell = tell
        self._seen: OrderedDict[Hashable, _Seen] = OrderedDict()
        self._timer: IDelayedCall | None = None
        self._stopped = False

    def is_new(self, key: Hashable, severity: Severity, event: Event) -> bool:
        """
        Whether to write an event; otherwise it has been counted.

        :param key: the same for events that are to be the same.
        """
        if self._stopped:
            return True
        seen = self._seen.get(key)
        if seen is not None:
            seen.times += 1
            self._seen.move_to_end(key)
            return False
        self._seen[key] = _Seen(severity, event)
        if self._timer is None:
            self._timer = self._later(INTERVAL, self._tick)
        if len(self._seen) > MOST:
            self._sum_up(self._seen.popitem(last=False)[1])
        return True

    def flush(self) -> None:
        """Sum up what has been counted, and forget all."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._seen:
            self._sum_up(self._seen.popitem(last=False)[1])

    def stop(self) -> None:
        """The same; from now on everything is new."""
        self._stopped = True
        self.flush()

    def _tick(self) -> None:
        self._timer = None
        for key, seen in list(self._seen.items()):
            if not (seen.times or seen.new):
                # What is told in this loop may have pushed it out already.
                self._seen.pop(key, None)
            seen.new = False
            self._sum_up(seen)
        if self._seen and self._timer is None:
            self._timer = self._later(INTERVAL, self._tick)

    def _sum_up(self, seen: _Seen) -> None:
        times, seen.times = seen.times, 0
        if times:
            self._tell(Repeated(seen.severity, times, seen.event))
