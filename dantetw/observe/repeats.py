"""
Repeated warnings: written once, then counted.

The first of them is written at once.  While it goes on coming its repetitions are summed up, once
a second, until a second passes without one.  None goes uncounted.  Several processes that have the
same warning write it once, and one sum (:mod:`~dantetw.observe.tallies`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall

from dantetw.observe.events import Event, Repeated
from dantetw.observe.tallies import RepeatTally
from dantetw.values import Endpoint, Severity

#: Seconds from one summary to the next.
INTERVAL: Final = 1.0

#: Different texts that are remembered; of more, the one that did not come for longest is forgotten.
MOST: Final = 256


class _Seen:
    """
    Something that was written.

    :ivar times: how often it has come since then, or since it was summed up; not counting what is
        counted with other processes.
    :ivar new: it has come less than :data:`INTERVAL` ago, or so it may be.
    :ivar subject: the client or endpoint that it is about; ``one``: all its repetitions are, too.
    :ivar slot: where it is counted with other processes; -1: nowhere.
    """

    __slots__ = ("event", "new", "one", "severity", "slot", "subject", "times")

    def __init__(self, severity: Severity, event: Event, subject: Hashable, slot: int) -> None:
        self.severity = severity
        self.event = event
        self.times = 0
        self.new = self.one = True
        self.subject = subject
        self.slot = slot


class Repeats:
    """
    Distinguishes the first event from its repetitions.

    :param later: calls a function after so many seconds (``callLater``).
    :param write: takes the summaries.
    :ivar tally: for what is counted with other processes; None: there are none.
    """

    def __init__(
        self,
        later: Callable[[float, Callable[[], None]], IDelayedCall],
        write: Callable[[Repeated], None],
    ) -> None:
        self.tally: RepeatTally | None = None
        self._later = later
        self._write = write
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
        tally, seen, subject = self.tally, self._seen.get(key), _subject_of(event)
        if seen is not None:
            self._seen.move_to_end(key)
            seen.new = True
            if tally is None or seen.slot < 0:
                seen.times += 1
                seen.one = seen.one and subject == seen.subject
                return False
            if tally.holds(seen.slot, key):
                tally.count(seen.slot, subject)
                return False
        slot, first = (-1, True) if tally is None else tally.claim(key, subject)
        if seen is not None:
            self._sum_up(key, seen)
        self._seen[key] = _Seen(severity, event, subject, slot)
        if self._timer is None:
            self._timer = self._later(INTERVAL, self._tick)
        if len(self._seen) > MOST:
            self._sum_up(*self._seen.popitem(last=False), ending=True)
        return first

    def alone(self) -> None:
        """Count with no other process from now on."""
        self.flush()
        self.tally = None

    def flush(self) -> None:
        """Sum up what has been counted, and forget all."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._seen:
            self._sum_up(*self._seen.popitem(last=False), ending=True)

    def stop(self) -> None:
        """The same; from now on everything is new."""
        self._stopped = True
        self.flush()

    def _tick(self) -> None:
        self._timer = None
        for key, seen in list(self._seen.items()):
            ours, new, seen.new = bool(seen.times), seen.new, False
            came = self._sum_up(key, seen)
            if not (ours or new or came):
                # What is written in this loop may have pushed it out already.
                self._seen.pop(key, None)
                self._sum_up(key, seen, ending=True)
        if self._seen and self._timer is None:
            self._timer = self._later(INTERVAL, self._tick)

    def _sum_up(self, key: Hashable, seen: _Seen, ending: bool = False) -> bool:
        """Log how often it has come, unless another process does; whether it has."""
        times, seen.times = seen.times, 0
        one, seen.one = seen.one, True
        taken = None
        if self.tally is not None and seen.slot >= 0:
            taken = self.tally.take(seen.slot, key, ending)
        if taken is not None:
            times += taken[0]
            one = one and taken[1]
        if times:
            self._write(Repeated(seen.severity, times, _of_all(seen.event, one)))
        return times > 0


def _subject_of(event: Any) -> tuple[str, str] | None:
    """Whom an event is about: the client's address and the user."""
    client, user = getattr(event, "client", None), getattr(event, "user", None)
    return None if client is None else (client.host, "" if user is None else user.name)


def _of_all(event: Any, one: bool) -> Any:
    """What several events have in common of which this is the first; if all are about one."""
    client = getattr(event, "client", None)
    if client is None or not hasattr(event, "user"):
        return event
    client = Endpoint(client.host, 0, client.family) if one else None
    return replace(event, session=0, client=client, user=event.user if one else None)
