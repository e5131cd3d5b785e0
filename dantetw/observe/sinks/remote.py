"""
Log daemons elsewhere: :rfc:`5424` by UDP (:rfc:`5426`) or TCP (:rfc:`6587`, 3.4.1).

Over TCP each message has its length in front, so that one of several lines stays one.  What was
sent stays with us until the other machine has acknowledged it: if the connection ends before, it is
sent once more.  What the other machine took and its daemon did not read is unknown.

No library does this: that of Python waits and tears messages apart, others want asyncio or threads,
and none says what was lost.

UDP is silent but for a refusal (ICMP).  Then one message, the last, is sent once more, and nothing
else until a second has passed without another refusal.
"""

from __future__ import annotations

import errno
import fcntl
import select
import socket
import sys
import termios
from collections import deque
from functools import partial
from typing import Final

from dantetw.observe.interfaces import ISink
from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks.backlog import LIMIT
from dantetw.observe.sinks.connected import BUSY, CUT, PENDING, PER_TURN, RETRY, ConnectedSink, cut
from dantetw.observe.sinks.kind import Reactor, SinkKind, Surroundings
from dantetw.observe.sinks.lookup import Address, HostLookup, numeric
from dantetw.observe.sinks.remoteaddress import (
    SCHEMES,
    RemoteAddress,
    check_address,
    read_address,
)
from dantetw.observe.sinks.syslog import FACILITIES
from dantetw.values import Severity

#: Seconds between two attempts to reach a host, at most.
LONGEST_RETRY: Final = 16.0

#: Seconds without an acknowledgement after which a TCP connection is given up.
_UNACKNOWLEDGED: Final = 30
#: Times a first packet is repeated: a connection that cannot be made is given up after 15 seconds.
_REPEATS: Final = 3
#: Bytes that may be in flight in a TCP connection; the kernel takes twice this.
_UNDER_WAY: Final = 128 * 1024
#: Bytes that daemons send, which are discarded, read at once.
_HEARD: Final = 65536


class Remote(ConnectedSink):
    """
    What both transports have in common: the form of messages, and from a name to a connection.

    Its addresses are tried in order, and looked up again when none is left.

    :param limit: bytes that may wait.
    """

    _kind: socket.SocketKind

    def __init__(
        self, name: str, prefix: Prefix, reactor: Reactor, where: RemoteAddress, limit: int = LIMIT
    ) -> None:
        self._prefixed = partial(prefix.rfc5424, FACILITIES[where.facility])
        super().__init__(name, reactor, self._message, limit, LONGEST_RETRY)
        self._where = where
        self._addresses: list[Address] = []
        self._lookup: HostLookup | None = None
        # So that the first message need not wait for it.
        self._connect()

    def _message(self, severity: Severity, when: float, text: str) -> bytes:
        message = self._prefixed(severity, when, text)
        return message if len(message) <= CUT else cut(message)

    def _connect(self) -> int:
        where = self._where
        if not self._addresses:
            self._addresses = numeric(where.host, where.port, self._kind)
        if not self._addresses:
            return self._look_up()
        family, address = self._addresses.pop(0)
        try:
            connection = socket.socket(family, self._kind)
        except OSError as problem:
            return problem.errno or errno.EIO
        connection.setblocking(False)
        self._prepare(connection)
        error = connection.connect_ex(address)
        if error not in (0, errno.EINPROGRESS):
            connection.close()
            return error
        self._socket = connection
        self._reactor.addReader(self)
        return 0

    def _prepare(self, connection: socket.socket) -> None:
        """Set options of a new socket."""

    def _look_up(self) -> int:
        if self._lookup is None:
            where = self._where
            try:
                self._lookup = HostLookup(
                    self._reactor, where.host, where.port, self._kind, self._looked_up
                )
            except RuntimeError:
                return errno.ENOMEM
        return PENDING

    def _looked_up(self, lookup: HostLookup) -> None:
        if lookup is not self._lookup:
            # The last flush was quicker, or we are closed.
            return
        self._lookup = None
        self._addresses = lookup.addresses
        if self._addresses:
            self._advance(PER_TURN)
        elif self._backlog:
            self._later(errno.EDESTADDRREQ)

    def _pausing(self) -> float:
        return 0.0 if self._addresses else super()._pausing()

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._reactor.removeReader(self)
        super()._disconnect()

    def _await(self, seconds: float) -> bool:
        if self._socket is not None:
            return super()._await(seconds)
        if self._lookup is not None and self._lookup.wait(seconds):
            self._looked_up(self._lookup)
        return bool(self._addresses) or self._socket is not None

    def reopen(self) -> None:
        """Look the host up and connect again; what waits goes out by the new connection."""
        self._addresses = []
        super().reopen()

    def close(self) -> None:
        """See :meth:`ISink.close`."""
        super().close()
        self._lookup = None


class Udp(Remote):
    """A message is a datagram."""

    _kind = socket.SOCK_DGRAM

    # What was sent last, until it is refused.
    _last = b""
    # A datagram was refused, so the next one is sent alone, and stays at the head of the backlog
    # until it is clear that it was not refused, too; and whether it has been sent.
    _doubtful = False
    _tried = False

    def _send(self) -> int:
        if self._socket is None and (error := self._connect()):
            return error
        assert self._socket is not None
        message = self._backlog.head
        if self._tried:
            error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        else:
            error = _sent(self._socket, message)
        if error in BUSY:
            return error
        if error:
            self._fail(error)
        elif self._doubtful and not self._tried:
            self._tried = True
            self._try_later(RETRY)
            return PENDING
        else:
            self._doubtful = self._tried = False
            self._last = message
        return error

    def _fail(self, error: int) -> None:
        if self._tried and self._retry is not None:
            # It was to find out just this.
            self._retry.cancel()
            self._retry = None
        elif self._last:
            self._backlog.put_back([self._last])
        self._last = b""
        self._doubtful = True
        super()._fail(error)

    def _disconnect(self) -> None:
        self._tried = False
        super()._disconnect()

    def _await(self, seconds: float) -> bool:
        if self._tried:
            return self._poll(select.POLLIN, min(seconds, RETRY))
        return super()._await(seconds)

    def doRead(self) -> None:
        """Take a refusal; discard anything else."""
        assert self._socket is not None
        try:
            self._socket.recv(_HEARD)
        except BlockingIOError:
            return
        except OSError as problem:
            self._fail(problem.errno or errno.EIO)


class Tcp(Remote):
    """A message has its length in front."""

    _kind = socket.SOCK_STREAM

    # How much of the head of the backlog is out.
    _offset = 0

    def __init__(
        self, name: str, prefix: Prefix, reactor: Reactor, where: RemoteAddress, limit: int = LIMIT
    ) -> None:
        # What the other side has perhaps not acknowledged, and its bytes.
        self._in_flight: deque[bytes] = deque()
        self._size = 0
        super().__init__(name, prefix, reactor, where, limit)

    def _message(self, severity: Severity, when: float, text: str) -> bytes:
        message = super()._message(severity, when, text)
        return b"%d %b" % (len(message), message)

    def _prepare(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNDER_WAY)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, _REPEATS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED * 1000)

    def _send(self) -> int:
        # Before each message: what is written to a peer who has closed is lost for this connection.
        if not self._offset and (error := self._heard()):
            self._disconnect()
            if error != errno.EPIPE:
                return error
        if self._socket is None and (error := self._connect()):
            return error
        assert self._socket is not None
        message = self._backlog.head
        try:
            self._offset += self._socket.send(message[self._offset :])
        except OSError as problem:
            error = problem.errno or errno.EIO
            if error not in BUSY:
                self._disconnect()
            return error
        if self._offset < len(message):
            return errno.EAGAIN
        self._offset = 0
        self._in_flight.append(message)
        self._size += len(message)
        if self._size > _UNDER_WAY:
            self._forget()
        return 0

    def _heard(self) -> int:
        """Whether the connection has ended: ``EPIPE`` or another ``errno``, else 0."""
        if self._socket is None:
            return 0
        try:
            return 0 if self._socket.recv(_HEARD) else errno.EPIPE
        except BlockingIOError:
            return 0
        except OSError as problem:
            return problem.errno or errno.EIO

    def _forget(self) -> None:
        """Forget what has been acknowledged."""
        assert self._socket is not None
        queued = fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4))
        needed = int.from_bytes(queued, sys.byteorder) - self._offset
        while self._in_flight and self._size - len(self._in_flight[0]) >= needed:
            self._size -= len(self._in_flight.popleft())

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._forget()
            self._backlog.put_back(self._in_flight)
            self._in_flight.clear()
            self._size = self._offset = 0
        super()._disconnect()

    def doRead(self) -> None:
        """See whether the other side has closed."""
        if error := self._heard():
            self._fail(error)

    def close(self) -> None:
        """See :meth:`ISink.close`; what has been sent the kernel brings to its end."""
        self._in_flight.clear()
        self._size = 0
        super().close()


def _sent(connection: socket.socket, message: bytes) -> int:
    """Send a datagram; 0 or an ``errno``."""
    try:
        connection.send(message)
    except OSError as problem:
        return problem.errno or errno.EIO
    return 0


_TRANSPORTS: Final = {"udp": Udp, "tcp": Tcp}


def open_remote(text: str, surroundings: Surroundings) -> ISink:
    """Open ``syslog+udp://…`` or ``syslog+tcp://…``; whether the host is there turns out later."""
    address = read_address(text)
    assert isinstance(address, RemoteAddress), "a word that was not checked"
    return _TRANSPORTS[address.transport](text, surroundings.prefix, surroundings.reactor, address)


#: The words ``syslog+udp://HOST[:PORT][/FACILITY]`` and ``syslog+tcp://…``.
KIND: Final = SinkKind(
    "syslog+(udp|tcp)://HOST[:PORT][/FACILITY]",
    lambda word: word.partition("://")[0] in SCHEMES and "://" in word,
    open_remote,
    check_address,
    SCHEMES,
)
