"""
Writing to a file in a thread, so that no session waits for its file system.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Sequence
from time import monotonic
from typing import Final

from dantetw.observe.sinks.appender import Appender
from dantetw.observe.sinks.backlog import LIMIT, Backlog

#: Seconds from which on a write is slow.
SLOW: Final = 0.1
#: Seconds without a slow one after which writes need no thread any more.
CALM: Final = 60.0

# Lines written at a time.
_AT_ONCE: Final = 256


class Behind:
    """
    Lines for a file, and a thread that writes them.

    :param appender: writes, and may wait; it belongs to the thread from now on.
    :param limit: bytes that may wait.
    :ivar slow_at: when a write has last taken longer than :data:`SLOW`, monotonic seconds.
    :ivar over: the thread has nothing in hand any more.
    """

    def __init__(self, name: str, appender: Appender, limit: int = LIMIT) -> None:
        self._appender = appender
        self._backlog = Backlog(limit)
        self._written = 0
        self._error, self._lost = appender.error, appender.lost
        self._dropped = 0
        self._closed = self._kept = self.over = False
        self._changed = threading.Condition()
        self.slow_at = monotonic()
        self._thread = threading.Thread(target=self._thd_write, name=f"log to {name}", daemon=True)

    @property
    def waiting(self) -> int:
        """Lines that are not out, those included that are being written."""
        return len(self._backlog) + self._written

    @property
    def error(self) -> int:
        """See :attr:`~dantetw.observe.interfaces.ISink.error`."""
        return errno.ENOBUFS if self._backlog.dropping else self._error

    @property
    def lost(self) -> int:
        """See :attr:`~dantetw.observe.interfaces.ISink.lost`."""
        return self._lost + self._dropped

    def put(self, lines: Sequence[bytes]) -> None:
        """Take lines, as far as there is room."""
        if lines and self._thread.ident is None:
            self._thread.start()  # not before: a process that forks has better none
        with self._changed:
            for line in lines:
                if not self._backlog.put(line):
                    self._dropped += 1
            self._changed.notify_all()

    def _thd_write(self) -> None:
        """Write what comes, until closed."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._backlog or self._closed)
                if self._closed:
                    break
                lines = [self._backlog.pop() for _ in range(min(_AT_ONCE, len(self._backlog)))]
                self._written = len(lines)
            begun = monotonic()
            self._appender.append(b"".join(lines), lambda: [len(line) for line in lines])  # noqa: B023
            ended = monotonic()
            with self._changed:
                if ended - begun > SLOW:
                    self.slow_at = ended
                self._written = 0
                self._error, self._lost = self._appender.error, self._appender.lost
                self._changed.notify_all()
        self._end()

    def _end(self) -> None:
        if not self._kept:
            self._appender.close()
        self.over = True

    def flush(self, seconds: float) -> None:
        """Wait until all is out, but no longer than so."""
        with self._changed:
            self._changed.wait_for(lambda: not self.waiting, seconds)

    def leave(self, keep: bool = False) -> list[bytes]:
        """
        Write no more than what is being written, and close the file, without waiting for that.

        :param keep: do not close it; nothing may be waiting.
        :returns: the lines that were not written.
        """
        with self._changed:
            self._closed, self._kept = True, keep
            rest = [self._backlog.pop() for _ in range(len(self._backlog))]
            self._changed.notify_all()
        if self._thread.ident is None:
            self._end()
        return rest
