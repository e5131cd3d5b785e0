"""
A log daemon behind a socket, near or far: what all of them have in common.

What the daemon does not take at once waits in a :class:`~dantetw.observe.sinks.backlog.Backlog`,
also while there is no daemon, and comes later with its original date.
"""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IReadWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from dantetw.observe.interfaces import ISink
from dantetw.observe.sinks.backlog import LIMIT, Backlog
from dantetw.observe.sinks.kind import OneByOne, Reactor
from dantetw.values import Severity

#: Seconds from the first failure to the next attempt to reach a daemon.
RETRY: Final = 1.0

#: Bytes of a message that every daemon takes, and rsyslog by default.
CUT: Final = 8192

#: Messages per event-loop iteration, so that a daemon that catches up does not hold up clients.
PER_TURN: Final = 64

#: A queue is full; the last two come where no memory is left and are not pollable.
BUSY: Final = frozenset((errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM))

#: What ``_send`` returns when ``_advance`` will be called anyway.
PENDING: Final = errno.EINPROGRESS

# When this many messages more wait, the daemon may have made room.
_TRY_AGAIN: Final = 4

_MARK: Final = "..."


def cut(message: bytes, end: str = "") -> bytes:
    """A message cut to :data:`CUT` bytes of whole characters, which says so; with this end."""
    kept = message[: CUT - len(_MARK) - len(end)].decode("utf-8", "ignore")
    return f"{kept}{_MARK}{end}".encode()


@implementer(ISink, IReadWriteDescriptor)
class ConnectedSink(OneByOne):
    """
    A log daemon.

    Subclasses say how to connect and to send.  They never wait.

    :param form: makes a message of severity, time and text.
    :param limit: bytes that may wait.
    :param longest: seconds between two attempts to reach the daemon at most; each waits twice as
        long as the one before.
    """

    rank = 0

    def __init__(
        self,
        name: str,
        reactor: Reactor,
        form: Callable[[Severity, float, str], bytes],
        limit: int = LIMIT,
        longest: float = RETRY,
    ) -> None:
        self.name = name
        self.error = 0
        self.lost = 0
        self._reactor = reactor
        self._form = form
        self._backlog = Backlog(limit)
        self._socket: socket.socket | None = None
        self._longest = longest
        self._delay = RETRY
        self._retry: IDelayedCall | None = None
        self._waiting = False
        self._closed = False

    def _connect(self) -> int:
        """Make :attr:`_socket`, connected or about to be; else an ``errno`` or :data:`PENDING`."""
        raise NotImplementedError

    def _send(self) -> int:
        """
        Send the head of the backlog, connecting if need be.

        :returns: 0: it is out; ``EAGAIN``: call again when the socket is writable;
            :data:`PENDING`; another ``errno``: call again later.
        """
        raise NotImplementedError

    @property
    def waiting(self) -> int:
        """See :attr:`ISink.waiting`."""
        return len(self._backlog)

    def write(self, severity: Severity, when: float, text: str) -> None:
        """See :meth:`ISink.write`."""
        message = self._form(severity, when, text)
        if self._closed:
            self.lost += 1
        elif self._backlog:
            if not self._backlog.put(message):
                self.lost += 1
                self.error = self.error or errno.ENOBUFS
            elif self._waiting and not len(self._backlog) % _TRY_AGAIN:
                # A daemon's queue holds ten datagrams: so many an iteration are not enough.
                self._advance(PER_TURN)
        else:
            self._backlog.put(message)
            self._advance(1)

    def _advance(self, messages: int) -> None:
        """Send up to so many waiting messages, as far as that goes without waiting."""
        error = sent = 0
        while sent < messages and self._backlog:
            error = self._send()
            if error:
                break
            self._backlog.pop()
            sent += 1
        if self.error and sent and not self._backlog.dropping:
            self.error = 0
            self._delay = RETRY
        if error == PENDING:
            self._pause()
        elif error and error != errno.EAGAIN:
            self._later(error)
        elif self._backlog:
            self._resume()
        else:
            self._pause()

    def _later(self, error: int) -> None:
        """Something went wrong: try again, but not now."""
        self.error = error
        self._pause()
        self._try_later()

    def _try_later(self, delay: float | None = None) -> None:
        if self._retry is None:
            delay = self._pausing() if delay is None else delay
            self._retry = self._reactor.callLater(delay, self._try_again)

    def _pausing(self) -> float:
        """Seconds until the next attempt."""
        delay, self._delay = self._delay, min(2 * self._delay, self._longest)
        return delay

    def _try_again(self) -> None:
        self._retry = None
        self._advance(PER_TURN)

    def _resume(self) -> None:
        if not self._waiting:
            self._waiting = True
            self._reactor.addWriter(self)

    def _pause(self) -> None:
        if self._waiting:
            self._waiting = False
            self._reactor.removeWriter(self)

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._pause()
            self._socket.close()
            self._socket = None

    def _fail(self, error: int) -> None:
        """The connection is of no use any more."""
        self._disconnect()
        if self._backlog:
            self._later(error)

    def doRead(self) -> None:
        """Daemons say nothing, unless a subclass listens."""

    def doWrite(self) -> None:
        """The reactor found room."""
        self._advance(PER_TURN)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor found that the daemon is gone."""
        # It has forgotten us already.
        self._waiting = False
        error = 0
        if self._socket is not None:
            error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._fail(error or errno.ECONNRESET)

    def fileno(self) -> int:
        """The socket's descriptor, -1 while there is none."""
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        """See ``ILoggingContext``."""
        return f"log to {self.name}"

    def reopen(self) -> None:
        """Connect again; what waits goes out by the new connection."""
        self._disconnect()
        self._advance(PER_TURN)

    def flush(self, seconds: float) -> None:
        """See :meth:`ISink.flush`."""
        deadline = time.monotonic() + seconds
        while self._backlog:
            self._advance(PER_TURN)
            remaining = deadline - time.monotonic()
            if not self._backlog or remaining <= 0 or not self._await(remaining):
                break

    def _await(self, seconds: float) -> bool:
        """Wait for what must happen before another message can go; False if nothing will."""
        return self._poll(select.POLLOUT, seconds)

    def _poll(self, event: int, seconds: float) -> bool:
        """Wait for an event at the socket, or an error there; False if there is no socket."""
        if self._socket is None:
            return False
        poll: Any = select.poll()
        poll.register(self._socket.fileno(), event)
        poll.poll(seconds * 1000)
        return True

    def close(self) -> None:
        """See :meth:`ISink.close`."""
        self._closed = True
        self._disconnect()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self.lost += self._backlog.clear()
