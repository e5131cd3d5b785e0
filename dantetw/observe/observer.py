"""
The one ``ILogObserver``: everything that is logged passes here.

An event of ours is turned into lines by the format; what Twisted and libraries say is turned into
one first (:mod:`~dantetw.observe.foreign`).  The lines go to the sinks: ``errorlog`` takes
emergency to warning, ``logoutput`` takes all, and debug lines exist only with ``debug``.  Sinks of
one format form a group, for which an event is formatted once.  Repeated warnings are summed up.
When a sink has an error, the observer logs that to the others, once, and on recovery how much was
lost.

Threads: the observer belongs to the thread that made it, the reactor's.  Events of other threads
are handed over with ``callFromThread``, not locked: sinks register with the reactor, which allows
that in its own thread only, and a lock would make every line of the reactor pay for the rare one
from elsewhere.  Such an event keeps the time at which it happened.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import suppress
from threading import get_ident
from typing import Any, Final, get_args

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import ILogObserver, LogEvent
from twisted.python.reflect import safe_str
from zope.interface import implementer

from dantetw.net.batch import Batch
from dantetw.net.errors import words_of_error
from dantetw.observe.events import Event, Message, Repeated
from dantetw.observe.foreign import diagnosis
from dantetw.observe.formats.oneline import one_line
from dantetw.observe.interfaces import IFormat, ISink, Said
from dantetw.observe.outlets import Group, Outlet, grouped, losses, only, recovery, succeed
from dantetw.observe.repeats import Repeats
from dantetw.observe.sinks.opening import Outputs
from dantetw.policy import PLAIN_FORM, Form
from dantetw.values import SEVERITY_DEBUG, SEVERITY_WARNING, Severity

#: Seconds between two complaints about the same sink, lest a disk that is all but full fills the
#: other logs.
COMPLAINT_INTERVAL: Final = 10.0
#: Seconds between two checks of sinks with errors, some of which recover without a line.
WATCH_INTERVAL: Final = 1.0
# Events that arrive while one is being written (from a destructor, say), at most.
_PENDING: Final = 64

_EVENTS: Final = frozenset(get_args(Event))
# Of sessions and their status, which have no severity, and what has been counted already.
_NEVER_REPEATED: Final = frozenset(
    kind for kind in _EVENTS if kind is Repeated or not hasattr(kind, "severity")
)
# Beginnings of the codes of messages that come of what an operator does, or are counted already.
_ANSWERS: Final = ("config.", "log.", "server.")


@implementer(ILogObserver)
class Observer:
    """
    Formats events and routes lines.

    Until :meth:`configure`, warnings and worse go to ``startup`` and the rest nowhere.

    :param format: makes lines of our events, as Dante does.
    :param startup: a sink for standard error, or None.
    :param in_reactor: calls a function in the reactor's thread (``callFromThread``).
    :param later: calls a function after some seconds (``callLater``); without it repeated warnings
        are written each time, and a sink's recovery shows at its next line.
    :param batch: while one is active, events that :meth:`record` gets are kept until its end, to be
        written together.
    """

    def __init__(
        self,
        format: IFormat,
        startup: ISink | None,
        in_reactor: Callable[..., object],
        later: Callable[[float, Callable[[], None]], IDelayedCall] | None = None,
        batch: Batch | None = None,
    ) -> None:
        self._format = format
        self.repeats = None if later is None else Repeats(later, self._sum_up)
        self._later = later
        self._watch: IDelayedCall | None = None
        self._in_reactor = in_reactor
        self._thread = get_ident()
        self._last_resort = None if startup is None else Outlet(startup, PLAIN_FORM, format)
        self._debug = 0
        self._busy = False
        self._pending: deque[LogEvent] = deque(maxlen=_PENDING)
        self._batch = Batch() if batch is None else batch
        self._kept: list[tuple[Event, float]] = []
        self._outlets: tuple[Outlet, ...] = ()
        self._groups: tuple[Group, ...] = ()
        self._fall_back()
        # No longer used, but still getting out what waits.
        self._retired: tuple[Outlet, ...] = ()

    def _only_last_resort(self) -> tuple[Outlet, ...]:
        return () if self._last_resort is None else (self._last_resort,)

    def _fall_back(self) -> None:
        """Use standard error, for warnings and worse."""
        outlets = tuple((outlet, False) for outlet in self._only_last_resort())
        self._groups = (Group(self._format, outlets),)

    # What the server does with it

    def stand_by(self, sink: ISink) -> None:
        """Give warnings and worse to this sink for as long as there is no other."""
        self._last_resort = Outlet(sink, PLAIN_FORM, self._format)
        if not self._outlets:
            self._fall_back()

    def configure(
        self, outputs: Outputs, debug: int = 0, formats: Mapping[Form, IFormat] | None = None
    ) -> None:
        """
        Use these sinks from now on, close the old ones when nothing waits there any more, and log
        the problems.

        An old one in which lines wait stays in use in place of the new one of its name, opened
        again: lines come out in their order.

        If destinations were named but none could be opened, standard error goes on taking warnings
        and worse: Dante logs nothing then.

        :param debug: the level; above 0 shows debug lines.
        :param formats: what makes the lines, for each form there is, :data:`PLAIN_FORM` at least;
            None: all use the present format.
        """
        self._catch_up()
        if self.repeats is not None:
            self.repeats.flush()
        self._debug = debug
        if formats is None:
            formats = dict.fromkeys((PLAIN_FORM, *outputs.forms.values()), self._format)
        self._format = formats[PLAIN_FORM]
        if not outputs.kept:
            old = [*self._outlets, *self._retired]

            def outlet(sink: ISink) -> Outlet:
                form = outputs.forms.get(sink, PLAIN_FORM)
                return succeed(Outlet(sink, form, formats[form]), old)

            errors, others = map(outlet, outputs.errorlog), map(outlet, outputs.logoutput)
            self._outlets, self._groups = grouped(tuple(errors), tuple(others))
            if not self._outlets and outputs.problems:
                self._fall_back()
            self._retire(old)
        for problem in outputs.problems:
            if problem not in outputs.known:
                self._write_event(problem, time.time())

    @property
    def waiting(self) -> int:
        """Messages that wait at the destination which is furthest behind."""
        return max((outlet.sink.waiting for outlet in self._outlets), default=0)

    @property
    def sinks(self) -> tuple[ISink, ...]:
        """
        The destinations in use, in the order in which they are written to; the one for want of
        others if there are none.
        """
        return tuple(outlet.sink for group in self._groups for outlet, _ in group.outlets)

    def look_after_sinks(self) -> None:
        """Notice sinks that failed or recovered by lines of another process."""
        for outlet in self._outlets:
            if outlet.sink.error != outlet.error:
                self._look(outlet, time.time())

    def reopen(self) -> None:
        """Open all destinations again, as after a log rotation; each that fails stays as it is."""
        self._catch_up()
        for outlet in self._outlets:
            try:
                outlet.sink.reopen()
            except OSError as error:
                text = (
                    f'could not (re)open logfile "{outlet.sink.name}":'
                    f" {words_of_error(error)}.  Will continue using old logfiles"
                )
                self._write_event(Message(Severity.ALERT, "log.unopened", text), time.time())

    def conclude(self) -> None:
        """Sum up what has repeated itself; from now on all is written, for the last lines come."""
        self._catch_up()
        if self.repeats is not None:
            self.repeats.stop()

    def close(self, seconds: float) -> None:
        """
        Get out what still waits, blocking for at most so long, and close all sinks.

        Losses that are not reported yet are logged to sinks that work, or else to standard error.
        """
        self.conclude()
        if self._watch is not None:
            self._watch.cancel()
        self._later = self._watch = None
        outlets, deadline = self._outlets + self._retired, time.monotonic() + seconds
        for outlet in outlets:
            outlet.sink.flush(max(0.0, deadline - time.monotonic()))
        # What is logged to one that does not work would be lost, and not reported.
        working = [
            outlet for outlet in self._outlets if not (outlet.sink.error or outlet.sink.waiting)
        ]
        for outlet in outlets:
            lost = outlet.sink.lost + outlet.sink.waiting
            if lost > outlet.accounted:
                message = losses(outlet, lost)
                for other in working or self._only_last_resort():
                    other.log(time.time(), message)
        self._outlets = self._retired = ()
        self._fall_back()
        for outlet in outlets:
            outlet.sink.flush(max(0.0, deadline - time.monotonic()))
            outlet.sink.close()

    def _retire(self, outlets: Sequence[Outlet]) -> None:
        """Close sinks that are no longer used; one with a queue goes on until the next occasion."""
        for outlet in outlets:
            outlet.sink.flush(0.0)
        self._retired = tuple(outlet for outlet in outlets if outlet.sink.waiting)
        for outlet in outlets:
            if outlet.sink.waiting:
                continue
            outlet.sink.close()
            if outlet.sink.lost > outlet.accounted:
                self._write_event(losses(outlet, outlet.sink.lost), time.time())

    # What emitters do with it

    def __call__(self, event: LogEvent) -> None:
        """Log an event.  Never raises; may be called in any thread."""
        if get_ident() != self._thread:
            self._in_reactor(self._observe, event)
        else:
            self._observe(event)

    def record(self, event: Event) -> None:
        """
        Log an event of ours: as :meth:`__call__`, without the dictionary that Twisted's logging
        puts around it.
        """
        when = time.time()
        if self._busy or type(event) not in _NEVER_REPEATED or get_ident() != self._thread:
            self({"log_time": when, "event": event})
            return
        # Made before we look at the list: the collector may run, and in it a destructor that logs.
        said = (event, when)
        kept = self._kept
        kept.append(said)
        if len(kept) == 1:
            self._batch.put_off(self._catch_up)

    def record_in(self, sinks: Container[ISink], event: Event) -> None:
        """Log an event in some destinations only."""
        self._catch_up()
        self._write_events(((event, time.time()),), only(self._groups, sinks))

    def _catch_up(self) -> None:
        """Log what has been kept."""
        if not self._kept:
            return
        self._busy = True
        try:
            kept, self._kept = self._kept, []
            self._write_events(kept)
            if self._pending:
                self._log_pending()
        finally:
            self._busy = False

    def _observe(self, event: LogEvent) -> None:
        if self._busy:
            # A sink, or a destructor that ran meanwhile, logs: one thing after the other.
            self._pending.append(event)
            return
        self._catch_up()
        self._busy = True
        try:
            self._log(event)
            if self._pending:
                self._log_pending()
        finally:
            self._busy = False

    def _log_pending(self) -> None:
        # Only what waits now: an event that causes another must not keep us here.
        for _ in range(len(self._pending)):
            self._log(self._pending.popleft())

    def _log(self, event: LogEvent) -> None:
        try:
            when = event.get("log_time") or time.time()
            said: Any = event.get("event")
            kind = type(said)
            if kind in _NEVER_REPEATED:
                self._write_event(said, when)
            elif kind in _EVENTS:
                self._log_once(said, when)
            else:
                for message in diagnosis(event, self._debug):
                    self._log_once(message, when)
        except Exception as error:
            self._complain(self._groups, event.get("event", event), error)

    def _complain(self, groups: Iterable[Group], event: object, error: Exception) -> None:
        """An event could not be logged, by a bug of ours or of the code that made it."""
        kind, why = type(event).__name__, f"{type(error).__name__}: {safe_str(error)}"
        text = one_line(f"could not log an event ({kind}): {why}")
        message = Message(Severity.ERROR, "log.broken", text)
        for group in groups:
            try:
                try:
                    lines = group.lines(message)
                except Exception:
                    lines = ((message.severity, text),)
                when = time.time()
                self._write(group, [(severity, when, text) for severity, text in lines])
            except Exception:
                # Not even that: nothing is left to try, and the server must go on.
                continue

    def _log_once(self, event: Any, when: float) -> None:
        """Log an event, unless it is a warning or a failure that has just been logged."""
        severity, least = event.severity, Severity.INFO
        if type(event) is Message:
            least = Severity.NOTICE
            if event.code.startswith(_ANSWERS):
                least = Severity.EMERGENCY
        if self.repeats is not None and severity <= least:
            try:
                key = self._format.lines(event)
            except Exception as error:
                self._complain(self._groups, event, error)
                return
            if not self.repeats.is_new(key, severity, event):
                return
        self._write_event(event, when)

    def _sum_up(self, repeated: Repeated) -> None:
        if self._busy:
            self._write_event(repeated, time.time())
        else:
            self._observe({"event": repeated, "log_time": time.time()})

    # Lines

    def _write_event(self, event: Event, when: float) -> None:
        self._write_events(((event, when),))

    def _write_events(
        self, events: Iterable[tuple[Event, float]], groups: Iterable[Group] | None = None
    ) -> None:
        debug = self._debug
        for group in self._groups if groups is None else groups:
            said: list[Said] = []
            for event, when in events:
                try:
                    for severity, text in group.lines(event):
                        if debug or severity is not SEVERITY_DEBUG:
                            said.append((severity, when, text))
                except Exception as error:
                    self._write(group, said)
                    said = []
                    self._complain((group,), event, error)
            self._write(group, said)

    def _write(self, group: Group, said: Sequence[Said]) -> None:
        """Have each outlet of a group write what is meant for it; then report errors."""
        if not said:
            return
        broken: list[tuple[Outlet, str]] = []
        for outlet, takes_all in group.outlets:
            taken = said if takes_all else [each for each in said if each[0] <= SEVERITY_WARNING]
            if taken:
                try:
                    outlet.write_all(taken)
                except Exception as error:
                    # A sink promises not to; one that breaks it must not silence the others.
                    broken.append((outlet, f"{type(error).__name__}: {safe_str(error)}"))
        when = said[-1][1]
        for outlet, why in broken:
            self._report_error(outlet, when, why)
        for outlet, _ in group.outlets:
            if outlet.sink.error != outlet.error:
                self._look(outlet, when)

    def _look(self, outlet: Outlet, when: float) -> None:
        """A sink has failed or recovered."""
        error = outlet.error = outlet.sink.error
        if not error:
            if outlet.reported:
                before = outlet.sink.lost
                message = recovery(outlet, before)
                outlet.log(when, message)
                if outlet.sink.error:
                    # Too early: not even this line got out, and it is not one to be counted.
                    outlet.error = outlet.sink.error
                    outlet.accounted += outlet.sink.lost - before
                else:
                    outlet.reported = False
                    outlet.accounted = before
                    self._log_to_others(outlet, when, message)
        else:
            self._report_error(outlet, when, os.strerror(error))
            if self._later is not None and self._watch is None:
                self._watch = self._later(WATCH_INTERVAL, self._look_again)

    def _look_again(self) -> None:
        """Check sinks with errors: a queue may have gone out since their last line."""
        self._watch = None
        self.look_after_sinks()
        failing = any(outlet.error for outlet in self._outlets)
        if failing and self._later is not None and self._watch is None:
            self._watch = self._later(WATCH_INTERVAL, self._look_again)

    def _report_error(self, outlet: Outlet, when: float, reason: str) -> None:
        if when - outlet.reported_at >= COMPLAINT_INTERVAL:
            outlet.reported, outlet.reported_at = True, when
            text = f'could not write to logfile "{outlet.sink.name}": {reason}'
            self._log_to_others(outlet, when, Message(Severity.ALERT, "log.unwritable", text))

    def _log_to_others(self, about: Outlet, when: float, message: Message) -> None:
        """
        Write to all sinks but one; to standard error too if none of them gets it out, as when all
        files are on one full disk.

        Their own errors are noticed at their next line, so this does not recurse.
        """
        others = [outlet for outlet in self._outlets if outlet is not about]
        for outlet in others:
            # One that breaks its promise is reported at its next line.
            with suppress(Exception):
                outlet.log(when, message)
        if all(outlet.sink.error for outlet in others) and about is not self._last_resort:
            for outlet in self._only_last_resort():
                outlet.log(when, message)
