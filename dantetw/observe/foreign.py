"""
What Twisted and libraries say, as messages of ours.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.logger import LogEvent, LogLevel, formatEvent
from twisted.python.failure import Failure
from twisted.python.reflect import safe_str

from dantetw.observe.events import Message
from dantetw.values import Severity

_SEVERITIES: Final = {
    LogLevel.debug: Severity.DEBUG,
    LogLevel.info: Severity.DEBUG,
    LogLevel.warn: Severity.WARNING,
    LogLevel.error: Severity.ERROR,
    LogLevel.critical: Severity.CRITICAL,
}


def diagnosis(event: LogEvent, debug: int) -> list[Message]:
    """
    One message, and with ``debug`` a failure's traceback behind it.

    :param debug: the level; what is information to them shows at 1, their debugging at 2.
    """
    level = event.get("log_level", LogLevel.info)
    severity = _SEVERITIES.get(level, Severity.WARNING)
    if severity == Severity.DEBUG and debug < (2 if level is LogLevel.debug else 1):
        return []
    text = formatEvent(event).strip()
    failure = event.get("log_failure")
    if not isinstance(failure, Failure):
        return [_foreign(severity, text)] if text else []
    error = f"{_name(failure)}: {safe_str(failure.value)}"
    summary = f"{text.splitlines()[0]}: {error}" if text else error
    lines = [_foreign(severity, summary)]
    if debug:
        trace = failure.getTraceback().splitlines()
        lines += [_foreign(Severity.DEBUG, line) for line in trace]
    return lines


def _name(failure: Failure) -> str:
    kind: Any = failure.type
    return getattr(kind, "__name__", str(kind))


def _foreign(severity: Severity, text: str) -> Message:
    return Message(severity, "python.log", text)
