"""
What the privileged helper reports, on its way to the operator.

A worker that an attacker has taken over would not log what the helper refuses to it.  So the helper
reports it itself, by a pipe to the supervisor process, which has the only other end, and to the
system's log (:manpage:`syslog(3)`), since with one process the supervisor serves clients too.
"""

from __future__ import annotations

import os
import syslog
import time
from collections.abc import Callable
from threading import Lock
from typing import Any, Final

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from dantetw.escaping import escape

#: Seconds for which there are :data:`MOST_LINES` at most, and the same line once.
INTERVAL_SECONDS: Final = 60.0
MOST_LINES: Final = 30

# Characters of a line; a pipe takes so much at once or not at all (PIPE_BUF is 4096 here).
_LONGEST: Final = 500
_CHUNK: Final = 4096


class HelperReports:
    """
    The helper's side: lines, few of them whatever happens.

    :param write: gets each line, fit for a log.
    :param clock: returns seconds.
    """

    def __init__(
        self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._clock = clock
        self._changing = Lock()
        self._since = clock()
        self._said: set[str] = set()
        self._unsaid = 0

    def __call__(self, text: str) -> None:
        """Report something, in one line, from any thread."""
        text = escape(text)[:_LONGEST]
        with self._changing:
            now = self._clock()
            if now - self._since >= INTERVAL_SECONDS:
                unsaid, self._unsaid = self._unsaid, 0
                self._since = now
                self._said.clear()
                if unsaid:
                    self._write(f"the privileged helper had {unsaid} more reports")
            if text in self._said or len(self._said) >= MOST_LINES:
                self._unsaid += 1
                return
            self._said.add(text)
            self._write(text)


def writer(pipe: int) -> Callable[[str], None]:
    """
    What writes lines to a pipe, without waiting, and to the system's log.

    :param pipe: its descriptor.
    """
    os.set_blocking(pipe, False)
    syslog.openlog("sockd", syslog.LOG_PID, syslog.LOG_AUTH)

    def write(line: str) -> None:
        syslog.syslog(syslog.LOG_WARNING, line)
        try:
            os.write(pipe, line.encode("ascii", "backslashreplace") + b"\n")
        except OSError:
            pass  # the supervisor does not read, or is gone

    return write


@implementer(IReadDescriptor)
class ReportReader:
    """
    The supervisor's side.

    :param pipe: its descriptor, which belongs to this from now on.
    :param report: gets each line.
    """

    def __init__(self, reactor: Any, pipe: int, report: Callable[[str], None]) -> None:
        os.set_blocking(pipe, False)
        self._reactor = reactor
        self._pipe = pipe
        self._report = report
        self._unread = b""
        reactor.addReader(self)

    def stop(self) -> None:
        """Read no more.  May be called twice."""
        if self._pipe >= 0:
            self._reactor.removeReader(self)
            os.close(self._pipe)
            self._pipe = -1

    def fileno(self) -> int:
        """The pipe's descriptor."""
        return self._pipe

    def doRead(self) -> None:
        """The reactor found that there is something to read."""
        try:
            data = os.read(self._pipe, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.stop()
            return
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self._report(line.decode("ascii", "replace"))

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has found the end in another way."""
        self.stop()

    def logPrefix(self) -> str:
        """See ``ILoggingContext``."""
        return "reports of the privileged helper"
