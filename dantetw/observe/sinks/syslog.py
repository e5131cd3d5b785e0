"""
The system's log daemon, by datagrams to ``/dev/log``.

Sent as :manpage:`syslog(3)` would, byte for byte, but without ever waiting: what the daemon does
not take at once waits in a :class:`~dantetw.observe.sinks.backlog.Backlog`, also while there is no
daemon, and comes later with its original date.
"""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from dantetw.observe.interfaces import ISink
from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks.backlog import LIMIT, Backlog
from dantetw.observe.sinks.kind import MisnamedError, Reactor, Surroundings
from dantetw.values import Severity

#: The facilities Dante knows (``syslog/FACILITY``) and their numbers (:rfc:`3164`, 4.1.1).
FACILITIES: Final[Mapping[str, int]] = MappingProxyType(
    {"user": 1, "daemon": 3, "auth": 4, "authpriv": 10}
    | {f"local{number}": 16 + number for number in range(8)}
)

#: Seconds between attempts to reach a daemon that is gone.
RETRY: Final = 1.0

# A datagram the kernel finds too long is cut to this many bytes: what every daemon takes.
_CUT: Final = 8192
_CUT_MARK: Final = b"...\n"

_PER_TURN: Final = 64
# The daemon's queue is full; the last two come where no memory is left and are not pollable.
_BUSY: Final = frozenset((errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM))


@implementer(ISink, IWriteDescriptor)
class Syslog:
    """
    The log daemon.

    :param facility: the number that goes into the priority.
    :param limit: bytes that may wait.
    """

    rank = 0

    def __init__(
        self,
        name: str,
        prefix: Prefix,
        reactor: Reactor,
        facility: int,
        device: str,
        limit: int = LIMIT,
    ) -> None:
        self.name = name
        self.trouble = 0
        self.lost = 0
        self._prefix = prefix
        self._reactor = reactor
        self._facility = facility
        self._device = device
        self._backlog = Backlog(limit)
        self._socket: socket.socket | None = None
        self._retry: IDelayedCall | None = None
        self._waiting = False
        self._closed = False
        # Now, as LOG_NDELAY does: later we may be in a chroot without the device.  If there is no
        # daemon yet, the first message finds out.
        self._connect()

    @property
    def waiting(self) -> int:
        """See :attr:`ISink.waiting`."""
        return len(self._backlog)

    def write(self, severity: Severity, when: float, text: str) -> None:
        """See :meth:`ISink.write`."""
        datagram = self._prefix.datagram(self._facility, severity, when, text)
        if self._closed:
            self.lost += 1
        elif self._backlog:
            if not self._backlog.put(datagram):
                self.lost += 1
                self.trouble = self.trouble or errno.ENOBUFS
        else:
            self._backlog.put(datagram)
            self._advance(1)

    def _connect(self) -> int:
        """Make a connected socket; an ``errno`` if that fails, else 0."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        connection.setblocking(False)
        error = connection.connect_ex(self._device)
        if error:
            connection.close()
        else:
            self._socket = connection
        return error

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._pause()
            self._socket.close()
            self._socket = None

    def _send(self, datagram: bytes) -> int:
        """Send one datagram, reconnecting once if the daemon was replaced; an ``errno`` or 0."""
        error = 0
        for _ in range(2):
            if self._socket is None and (error := self._connect()):
                return error
            assert self._socket is not None
            try:
                self._socket.send(datagram)
            except OSError as problem:
                error = problem.errno or errno.EIO
                if error == errno.EMSGSIZE and len(datagram) > _CUT:
                    datagram = datagram[: _CUT - len(_CUT_MARK)] + _CUT_MARK
                elif error in _BUSY:
                    return error
                else:
                    self._disconnect()
            else:
                return 0
        return error

    def _advance(self, messages: int) -> None:
        """Send up to so many waiting messages, as far as that goes without waiting."""
        for _ in range(messages):
            if not self._backlog:
                break
            error = self._send(self._backlog.head)
            if error == errno.EAGAIN:
                self._resume()
                break
            if error:
                self.trouble = error
                self._pause()
                self._try_later()
                return
            self._backlog.pop()
        if not self._backlog:
            self._pause()
        elif not self._waiting:
            self._resume()
        if self.trouble and not self._backlog.dropping:
            self.trouble = 0

    def _resume(self) -> None:
        if not self._waiting:
            self._waiting = True
            self._reactor.addWriter(self)

    def _pause(self) -> None:
        if self._waiting:
            self._waiting = False
            self._reactor.removeWriter(self)

    def _try_later(self) -> None:
        if self._retry is None:
            self._retry = self._reactor.callLater(RETRY, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._advance(_PER_TURN)

    def doWrite(self) -> None:
        """The reactor found room in the daemon's queue."""
        self._advance(_PER_TURN)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor found that the daemon is gone."""
        self._waiting = False
        self._disconnect()
        self._try_later()

    def fileno(self) -> int:
        """The socket's descriptor, -1 while there is none."""
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        """See ``ILoggingContext``."""
        return f"log to {self.name}"

    def reopen(self) -> None:
        """Connect anew; what waits goes out by the new connection."""
        self._disconnect()
        self._advance(_PER_TURN)

    def flush(self, seconds: float) -> None:
        """See :meth:`ISink.flush`."""
        deadline = time.monotonic() + seconds
        while self._backlog:
            self._advance(_PER_TURN)
            remaining = deadline - time.monotonic()
            if not self._backlog or self._socket is None or remaining <= 0:
                break
            poll: Any = select.poll()
            poll.register(self._socket.fileno(), select.POLLOUT)
            poll.poll(remaining * 1000)

    def close(self) -> None:
        """See :meth:`ISink.close`."""
        self._closed = True
        self._disconnect()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self.lost += self._backlog.clear()


def opened(text: str, surroundings: Surroundings) -> ISink | None:
    """
    The kind of ``syslog`` and ``syslog/FACILITY``; the facility is ``daemon`` if none is named.

    :raises MisnamedError: there is no such facility.
    """
    word, slash, facility = text.partition("/")
    if word != "syslog":
        return None
    number = FACILITIES.get(facility if slash else "daemon")
    if number is None:
        raise MisnamedError(f'unknown syslog facility "{facility}"')
    around = surroundings
    return Syslog(text, around.prefix, around.reactor, number, around.device)
