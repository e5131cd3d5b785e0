"""
A descriptor that must stay blocking, because other processes share it: a thread waits for us.

The last resort of ``stdout`` and ``stderr`` where neither a description of our own nor
``MSG_DONTWAIT`` is to be had.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable

from zope.interface import implementer

from dantetw.observe.interfaces import ISink
from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks.backlog import LIMIT, Backlog
from dantetw.observe.sinks.kind import OneByOne
from dantetw.values import Severity


@implementer(ISink)
class Threaded(OneByOne):
    """
    A blocking descriptor with a thread that writes to it.

    :param opener: makes the descriptor, which then belongs to the sink.
    :param limit: bytes that may wait.
    """

    rank = 1

    def __init__(
        self, name: str, prefix: Prefix, opener: Callable[[], int], limit: int = LIMIT
    ) -> None:
        self.name = name
        self.error = 0
        self.lost = 0
        self._prefix = prefix
        self._descriptor = opener()
        self._backlog = Backlog(limit)
        self._changed = threading.Condition()
        self._closed = False
        # Threads do not survive a fork, so a process starts its own at its first message.
        self._started_by = -1

    @property
    def waiting(self) -> int:
        """See :attr:`ISink.waiting`."""
        return len(self._backlog)

    def write(self, severity: Severity, when: float, text: str) -> None:
        """See :meth:`ISink.write`."""
        self.put(self._prefix.stamped(severity, when, text))

    def put(self, line: bytes) -> None:
        """Take a message as it is to be written."""
        if self._started_by != os.getpid():
            self._start()
        with self._changed:
            if self._closed:
                self.lost += 1
            elif self._backlog.put(line):
                self._changed.notify_all()
            else:
                self.lost += 1
                self.error = errno.ENOBUFS

    def _start(self) -> None:
        if self._started_by != -1:
            # What waited when we were forked is our parent's to write; its lock may have been held.
            self._backlog.clear()
            self._changed = threading.Condition()
        self._started_by = os.getpid()
        threading.Thread(target=self._thd_write, name=f"log to {self.name}", daemon=True).start()

    def _thd_write(self) -> None:
        """Write what waits, until closed."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._backlog or self._closed)
                if self._closed:
                    return
                message = self._backlog.head
            error = self._thd_write_one(message)
            with self._changed:
                if self._closed:
                    return
                self._backlog.pop()
                if error:
                    self.lost += 1
                    self.error = error
                elif not self._backlog.dropping:
                    self.error = 0
                self._changed.notify_all()

    def _thd_write_one(self, message: bytes) -> int:
        """Write a message, waiting as long as it takes; an ``errno`` if that fails, else 0."""
        try:
            while message:
                message = message[os.write(self._descriptor, message) :]
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def reopen(self) -> None:
        """There is nothing to open again."""

    def flush(self, seconds: float) -> None:
        """See :meth:`ISink.flush`."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while self._backlog and (remaining := deadline - time.monotonic()) > 0:
                self._changed.wait(remaining)

    def close(self) -> None:
        """See :meth:`ISink.close`."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            waiting = self._backlog.clear()
            self.lost += waiting
            self._changed.notify_all()
        # A thread that hangs in write(2) still uses the descriptor: closing it would let the number
        # be given to a client's socket while log text is on its way to it.
        if not waiting:
            os.close(self._descriptor)
