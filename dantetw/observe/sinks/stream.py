"""
Destinations with a reader, which may be slow or gone: pipes, FIFOs, terminals, stream sockets.

What the reader does not take at once waits in a :class:`~dantetw.observe.sinks.backlog.Backlog`
until the reactor finds the descriptor writable.

Two destinations may be one pipe, by ``2>&1``.  A message too long for what room there is goes out
in parts, so the other must not write between them: it gets out the rest first.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
import time
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakValueDictionary

from twisted.internet.interfaces import IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from dantetw.net.adopting import adopt
from dantetw.observe.interfaces import ISink
from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks.backlog import LIMIT, Backlog
from dantetw.observe.sinks.kind import OneByOne, Reactor
from dantetw.values import Severity

# Messages per event-loop iteration, so that a reader that catches up does not hold up clients.
_PER_ITERATION: Final = 64

# Streams that have written the first part of a message, by the place.
_begun: WeakValueDictionary[tuple[int, int], Stream] = WeakValueDictionary()


class _Channel:
    """
    A descriptor that is written without waiting.

    :ivar place: the same for descriptors of the same pipe, terminal or socket.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._socket: socket.socket | None = None
        status = os.fstat(descriptor)
        self.place = (status.st_dev, status.st_ino)
        if stat.S_ISSOCK(status.st_mode):
            # Its O_NONBLOCK would hold for all processes that share it, so each call has a flag.
            self._socket = adopt(descriptor, socket.socket)

    def write(self, data: bytes) -> int:
        if self._socket is not None:
            # No signal comes of a reader that is gone: Python ignores SIGPIPE.
            return self._socket.send(data, socket.MSG_DONTWAIT)
        return os.write(self.descriptor, data)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        else:
            os.close(self.descriptor)
        self.descriptor = -1


@implementer(ISink, IWriteDescriptor)
class Stream(OneByOne):
    """
    A pipe, FIFO, terminal or socket.

    :param opener: makes the descriptor, which then belongs to the sink.  Unless it is a socket it
        must be non-blocking, and hence not share its open file description with other processes.
    :param limit: bytes that may wait.
    """

    rank = 1

    def __init__(
        self,
        name: str,
        prefix: Prefix,
        reactor: Reactor,
        opener: Callable[[], int],
        limit: int = LIMIT,
    ) -> None:
        self.name = name
        self.error = 0
        self.lost = 0
        self._prefix = prefix
        self._reactor = reactor
        self._opener = opener
        self._channel = _Channel(opener())
        self._backlog = Backlog(limit)
        # How much of the oldest message is out.
        self._offset = 0

    @property
    def waiting(self) -> int:
        """See :attr:`ISink.waiting`."""
        return len(self._backlog)

    def write(self, severity: Severity, when: float, text: str) -> None:
        """See :meth:`ISink.write`."""
        self.put(self._prefix.stamped(severity, when, text))

    def put(self, line: bytes) -> None:
        """Take a message as it is to be written."""
        if self._backlog:
            if not self._backlog.put(line):
                self.lost += 1
                self.error = errno.ENOBUFS
            return
        self._backlog.put(line)
        self._advance(1)
        if self._backlog:
            self._reactor.addWriter(self)

    def _advance(self, messages: int) -> None:
        """Write up to so many waiting messages, as far as that goes without waiting."""
        for _ in range(messages):
            if not self._backlog:
                break
            if not self._may_write():
                break
            message = self._backlog.head
            try:
                self._offset += self._channel.write(message[self._offset :])
            except BlockingIOError:
                break
            except OSError as error:
                self._abandon(error.errno or errno.EIO)
                return
            if self._offset == len(message):
                self._backlog.pop()
                self._offset = 0
                self._give_way()
            else:
                _begun[self._channel.place] = self
        if self.error and not self._backlog.dropping:
            self.error = 0

    def _may_write(self) -> bool:
        """Whether no other stream is in the middle of a message there, now that we have helped."""
        other = _begun.get(self._channel.place)
        if other is None or other is self:
            return True
        other._advance(1)
        return self._channel.place not in _begun

    def _give_way(self) -> None:
        """Be in the middle of no message any more."""
        if _begun.get(self._channel.place) is self:
            del _begun[self._channel.place]

    def _abandon(self, error: int) -> None:
        self._give_way()
        self.error = error
        self.lost += self._backlog.clear()
        self._offset = 0

    def doWrite(self) -> None:
        """The reactor found the descriptor writable."""
        self._advance(_PER_ITERATION)
        if not self._backlog:
            self._reactor.removeWriter(self)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor found that the reader is gone."""
        if self._backlog:
            self._abandon(errno.EPIPE)

    def fileno(self) -> int:
        """The descriptor, -1 after :meth:`close`."""
        return self._channel.descriptor

    def logPrefix(self) -> str:
        """See ``ILoggingContext``."""
        return f"log to {self.name}"

    def reopen(self) -> None:
        """
        See :meth:`ISink.reopen`; what waits goes to the new one: whole messages, unless it is the
        same pipe or socket, which has had the first part of one.
        """
        channel = _Channel(self._opener())
        self._reactor.removeWriter(self)
        if channel.place != self._channel.place:
            self._give_way()
            self._offset = 0
        self._channel.close()
        self._channel = channel
        if self._backlog:
            self._reactor.addWriter(self)

    def flush(self, seconds: float) -> None:
        """See :meth:`ISink.flush`."""
        deadline = time.monotonic() + seconds
        poll: Any = select.poll()
        poll.register(self._channel.descriptor, select.POLLOUT)
        while self._backlog:
            self._advance(_PER_ITERATION)
            remaining = deadline - time.monotonic()
            if not self._backlog or remaining <= 0:
                break
            poll.poll(remaining * 1000)
        if not self._backlog:
            self._reactor.removeWriter(self)

    def close(self) -> None:
        """See :meth:`ISink.close`."""
        if self._channel.descriptor < 0:
            return
        self._give_way()
        self._reactor.removeWriter(self)
        self.lost += self._backlog.clear()
        self._channel.close()
