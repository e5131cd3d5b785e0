"""
The one ``ILogObserver``: everything that is logged passes here.

An event of ours is turned into lines by the format; what Twisted and libraries say is turned into
one line here.  The lines go to the sinks: ``errorlog`` takes emergency to warning, ``logoutput``
takes all, and debug lines exist only with ``debug``.  Sinks say when they are in trouble; the
observer tells the others, once, and on recovery how much was lost.

Threads: the observer belongs to the thread that made it, the reactor's.  Events of other threads
are handed over with ``callFromThread``, not locked: sinks register with the reactor, which allows
that in its own thread only, and a lock would make every line of the reactor pay for the rare one
from elsewhere.  Such an event keeps the time at which it happened.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from threading import get_ident
from typing import Any, Final, get_args

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from twisted.python.failure import Failure
from twisted.python.reflect import safe_str
from zope.interface import implementer

from dantetw.observe.events import Event, Message
from dantetw.observe.formats.oneline import one_line
from dantetw.observe.interfaces import IFormat, ISink
from dantetw.observe.sinks.opening import Outputs
from dantetw.values import Severity

#: Seconds between two complaints about the same sink, lest a disk that is all but full fills the
#: other logs.
COMPLAINT_INTERVAL: Final = 10.0

# Events that arrive while one is being written (from a destructor, say), at most.
_PENDING: Final = 64

_EVENTS: Final = frozenset(get_args(Event))

# Looked up once: LogLevel makes a search of it.
_INFO: Final = LogLevel.info

_SEVERITIES: Final = {
    LogLevel.debug: Severity.DEBUG,
    LogLevel.info: Severity.DEBUG,
    LogLevel.warn: Severity.WARNING,
    LogLevel.error: Severity.ERROR,
    LogLevel.critical: Severity.CRITICAL,
}


class _Outlet:
    """
    A sink and what has been told of it.

    :ivar trouble: what the sink's trouble was when we last looked.
    :ivar told: whether others were told of it; ``told_at``: when that was, seconds since the epoch.
    :ivar accounted: of the messages it lost, how many have been told.
    """

    __slots__ = ("accounted", "sink", "told", "told_at", "trouble", "write")

    def __init__(self, sink: ISink) -> None:
        self.sink = sink
        self.write = sink.write
        self.trouble = 0
        self.told = False
        self.told_at = float("-inf")
        self.accounted = 0


@implementer(ILogObserver)
class Observer:
    """
    Formats events and routes lines.

    Until :meth:`configure`, warnings and worse go to ``startup`` and the rest nowhere.

    :param format: makes lines of our events.
    :param startup: a sink for standard error, or None.
    :param in_reactor: calls a function in the reactor's thread (``callFromThread``).
    """

    def __init__(
        self,
        format: IFormat,
        startup: ISink | None,
        in_reactor: Callable[..., object],
    ) -> None:
        self._format = format
        self._in_reactor = in_reactor
        self._thread = get_ident()
        self._last_resort = None if startup is None else _Outlet(startup)
        self._debug = 0
        self._busy = False
        self._pending: deque[LogEvent] = deque(maxlen=_PENDING)
        # All outlets, and those of them that take severities less than a warning.
        self._outlets: tuple[_Outlet, ...] = ()
        self._severe: tuple[_Outlet, ...] = self._only_last_resort()
        self._plain: tuple[_Outlet, ...] = ()
        # No longer used, but still getting out what waits.
        self._retired: tuple[_Outlet, ...] = ()

    def _only_last_resort(self) -> tuple[_Outlet, ...]:
        return () if self._last_resort is None else (self._last_resort,)

    # What the server does with it

    def stand_by(self, sink: ISink) -> None:
        """Give warnings and worse to this sink for as long as there is no other."""
        self._last_resort = _Outlet(sink)
        if not self._outlets:
            self._severe = self._only_last_resort()

    def configure(self, outputs: Outputs, debug: int = 0, format: IFormat | None = None) -> None:
        """
        Use these sinks from now on, close the old ones when nothing waits there any more, and log
        what problems there were.

        If destinations were named but none could be opened, standard error goes on taking warnings
        and worse: Dante falls silent there.

        :param debug: the level; above 0 shows debug lines.
        :param format: another format, if given.
        """
        self._debug = debug
        if format is not None:
            self._format = format
        if not outputs.kept:
            errors = [_Outlet(sink) for sink in outputs.errorlog]
            others = [_Outlet(sink) for sink in outputs.logoutput]
            old, self._outlets = self._outlets, _ordered(errors + others)
            self._plain = _ordered(others)
            self._severe = self._outlets
            if not self._outlets and outputs.problems:
                self._severe = self._only_last_resort()
            self._retire(old + self._retired)
        for problem in outputs.problems:
            self._say(problem.severity, time.time(), one_line(problem.text))

    def reopen(self) -> None:
        """Open all destinations anew, as after a log rotation; each that fails stays as it is."""
        for outlet in self._outlets:
            try:
                outlet.sink.reopen()
            except OSError as error:
                name, reason = one_line(outlet.sink.name), os.strerror(error.errno or 0)
                self._say(
                    Severity.ALERT,
                    time.time(),
                    f'could not (re)open logfile "{name}": {reason}.  '
                    "Will continue using old logfiles",
                )

    def close(self, seconds: float) -> None:
        """
        Get out what still waits, blocking for at most so long, and close all sinks.

        Losses nobody was told of yet are told to the sinks that work.
        """
        outlets, deadline = self._outlets + self._retired, time.monotonic() + seconds
        for outlet in outlets:
            outlet.sink.flush(max(0.0, deadline - time.monotonic()))
        for outlet in outlets:
            lost = outlet.sink.lost + outlet.sink.waiting
            if lost > outlet.accounted:
                text = self._losses(outlet, lost, "could not write to")
                if not (outlet.sink.trouble or outlet.sink.waiting):
                    outlet.write(Severity.WARNING, time.time(), text)
                self._tell_others(outlet, Severity.WARNING, time.time(), text)
        self._outlets = self._plain = self._retired = ()
        self._severe = self._only_last_resort()
        for outlet in outlets:
            outlet.sink.flush(max(0.0, deadline - time.monotonic()))
            outlet.sink.close()

    def _retire(self, outlets: tuple[_Outlet, ...]) -> None:
        """Close sinks that are no longer used; one with a queue goes on until the next occasion."""
        for outlet in outlets:
            outlet.sink.flush(0.0)
        self._retired = tuple(outlet for outlet in outlets if outlet.sink.waiting)
        for outlet in outlets:
            if outlet.sink.waiting:
                continue
            outlet.sink.close()
            if outlet.sink.lost > outlet.accounted:
                text = self._losses(outlet, outlet.sink.lost, "could not write to")
                self._say(Severity.WARNING, time.time(), text)

    # What emitters do with it

    def __call__(self, event: LogEvent) -> None:
        """Log an event.  Never raises; may be called in any thread."""
        if get_ident() != self._thread:
            self._in_reactor(self._observe, event)
        else:
            self._observe(event)

    def _observe(self, event: LogEvent) -> None:
        if self._busy:
            # A sink, or a destructor that ran meanwhile, logs: one thing after the other.
            self._pending.append(event)
            return
        self._busy = True
        try:
            self._log(event)
            if self._pending:
                # Only what waits now: an event that causes another must not keep us here.
                for _ in range(len(self._pending)):
                    self._log(self._pending.popleft())
        finally:
            self._busy = False

    def _log(self, event: LogEvent) -> None:
        try:
            when = event.get("log_time") or time.time()
            said: Any = event.get("event")
            if type(said) in _EVENTS:
                for severity, text in self._format.lines(said):
                    self._say(severity, when, text)
            else:
                for severity, text in self._diagnosis(event):
                    self._say(severity, when, text)
        except Exception as error:
            self._complain(event, error)

    def _complain(self, event: LogEvent, error: Exception) -> None:
        """An event could not be logged, by a mistake of ours or of whoever made it."""
        try:
            kind = type(event.get("event", event)).__name__
            text = f"could not log an event ({kind}): {type(error).__name__}: {safe_str(error)}"
            self._say(Severity.ERROR, time.time(), one_line(text))
        except Exception:
            # Not even that: there is nothing left to do, and the server is worth more.
            return

    # Lines

    def _say(self, severity: Severity, when: float, text: str) -> None:
        if severity > Severity.WARNING:
            if severity == Severity.DEBUG and not self._debug:
                return
            outlets = self._plain
        else:
            outlets = self._severe
        for outlet in outlets:
            try:
                outlet.write(severity, when, text)
            except Exception as error:
                # A sink promises not to; one that breaks the promise must not silence the others.
                self._accuse(outlet, when, f"{type(error).__name__}: {safe_str(error)}")
            if outlet.sink.trouble != outlet.trouble:
                self._look(outlet, when)

    def _look(self, outlet: _Outlet, when: float) -> None:
        """A sink got into trouble or out of it."""
        trouble = outlet.trouble = outlet.sink.trouble
        if not trouble:
            if outlet.told:
                text = self._losses(outlet, outlet.sink.lost, "can write again to")
                before = outlet.sink.lost
                outlet.write(Severity.WARNING, when, text)
                if outlet.sink.trouble:
                    # Too early: not even this line got out, and it is not one to be counted.
                    outlet.trouble = outlet.sink.trouble
                    outlet.accounted += outlet.sink.lost - before
                else:
                    outlet.told = False
                    outlet.accounted = before
                    self._tell_others(outlet, Severity.WARNING, when, text)
        else:
            self._accuse(outlet, when, os.strerror(trouble))

    def _accuse(self, outlet: _Outlet, when: float, reason: str) -> None:
        if when - outlet.told_at >= COMPLAINT_INTERVAL:
            outlet.told, outlet.told_at = True, when
            text = f'could not write to logfile "{outlet.sink.name}": {reason}'
            self._tell_others(outlet, Severity.ALERT, when, one_line(text))

    def _losses(self, outlet: _Outlet, lost: int, what: str) -> str:
        number = lost - outlet.accounted
        lines = "1 line was lost" if number == 1 else f"{number} lines were lost"
        return one_line(f'{what} logfile "{outlet.sink.name}": {lines}')

    def _tell_others(self, about: _Outlet, severity: Severity, when: float, text: str) -> None:
        """
        Write to all sinks but one; to standard error if there are no others.

        Trouble of theirs is noticed at their next line, so this does not come back here.
        """
        others = [outlet for outlet in self._outlets if outlet is not about]
        if not others and self._last_resort is not None and about is not self._last_resort:
            others = [self._last_resort]
        for outlet in others:
            outlet.write(severity, when, text)

    def _diagnosis(self, event: LogEvent) -> list[tuple[Severity, str]]:
        """What Twisted or a library said: one line, and at debug a failure's traceback."""
        level = event.get("log_level", LogLevel.info)
        severity = _SEVERITIES.get(level, Severity.WARNING)
        if severity == Severity.DEBUG and self._debug < (2 if level is LogLevel.debug else 1):
            return []
        text = formatEvent(event).strip()
        failure = event.get("log_failure")
        if not isinstance(failure, Failure):
            return [(severity, one_line(text))] if text else []
        error = f"{_name(failure)}: {safe_str(failure.value)}"
        summary = f"{text.splitlines()[0]}: {error}" if text else error
        lines = [(severity, one_line(summary))]
        if self._debug:
            trace = failure.getTraceback().splitlines()
            lines += [(Severity.DEBUG, one_line(line)) for line in trace]
        return lines


def _name(failure: Failure) -> str:
    kind: Any = failure.type
    return getattr(kind, "__name__", str(kind))


def _ordered(outlets: Iterable[_Outlet]) -> tuple[_Outlet, ...]:
    """Syslog before files; within each, as given (errorlog before logoutput)."""
    return tuple(sorted(outlets, key=lambda outlet: outlet.sink.rank))


class Journal:
    """
    What emitters write to.

    :param observer: where events go: the :class:`Observer`, or any other in tests.
    """

    def __init__(self, observer: ILogObserver) -> None:
        self._observer = observer

    def record(self, event: Event) -> None:
        """Log an event.  Ask the rule's mask first, build the event second."""
        # What Logger.emit would make, which takes longer over it than the rest of the line does.
        self._observer(
            {
                "log_time": time.time(),
                "log_level": _INFO,
                "log_namespace": "dantetw",
                "log_format": "{event}",
                "event": event,
            }
        )

    def message(self, severity: Severity, code: str, text: str) -> None:
        """
        Log what the server says of itself.

        :param code: a stable identifier such as ``server.running``.
        :param text: one line.
        """
        self.record(Message(severity, code, text))
