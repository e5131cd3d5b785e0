"""
Connecting to a target, with the errno kept.

Twisted's own connectors lose the ``errno``, cannot set options between ``socket`` and ``connect``,
and register the socket in the reactor, where a relay does not want it.  Here the socket is
watched by the poller from the beginning, and stays registered when the relay takes it over.

One person waits for an attempt and nothing else comes of it, so there are two callbacks and no
Deferred, which would cost a short session one part in fifty.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from dantetw.net.poller import FAILED, HANGUP, READABLE, URGENT, WRITABLE, IPoller
from dantetw.net.sockopts import LowBinder, bind_source, prepare, set_options
from dantetw.net.zones import endpoint_of, sockaddr_of
from dantetw.policy import Edge, SocketOption
from dantetw.values import AF_OF, Endpoint, Family

# Looked up once: in Python 3.11 finding a member of an Enum takes 0.2 us, and each session does.
_IPV6: Final = Family.IPV6
_NON_BLOCKING: Final = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK)


class DialError(Exception):
    """
    A connection attempt failed.

    :ivar number: the ``errno``.
    :ivar immediate: whether ``connect`` itself said so, before anything was on its way.
    :ivar source: the address we tried from.
    """

    def __init__(self, number: int, immediate: bool, source: Endpoint) -> None:
        super().__init__(number)
        self.number = number
        self.immediate = immediate
        self.source = source


#: Gets the connected socket, which the poller still watches for the caller to
#: :meth:`~dantetw.net.poller.IPoller.hand_over`.
Connected = Callable[[socket.SocketType], None]
#: Gets why there is no connection.
Failed = Callable[[DialError], None]


def _nobody(outcome: object) -> None:
    """Who waits for an attempt as long as nobody has said so, or when it is over."""


class Dial:
    """
    One connection attempt, whose outcome :meth:`then` asks for.

    :ivar source: the address we connect from, port included.
    :ivar refused: socket options that the system refused, with the ``errno``.

    :param source: numeric address to go out from, and the port we would like.
    :param low: how to get one below 1024; None: not at all.
    :param edge: on which side that is; socket options for the other are not set.
    :raises DialError: if the attempt fails at once.
    """

    __slots__ = ("_connected", "_failed", "_poller", "_sock", "refused", "source")

    def __init__(
        self,
        poller: IPoller,
        source: Endpoint,
        target: Endpoint,
        options: Sequence[SocketOption] = (),
        keep_alive: bool = True,
        low: LowBinder | None = None,
        edge: Edge = Edge.EXTERNAL,
    ) -> None:
        self._poller = poller
        self._connected: Connected = _nobody
        self._failed: Failed = _nobody
        self.refused: list[tuple[SocketOption, int]] = []
        self.source = Endpoint(source.host, 0, target.family)
        sock: socket.SocketType | None = None
        try:
            sock = socket.SocketType(AF_OF[target.family], _NON_BLOCKING)
            prepare(sock, keep_alive)
            if options:
                self.refused = set_options(sock, options, edge)
            granted = bind_source(sock, source.host, source.port, low)
            address: tuple[Any, ...] = (target.host, target.port)
            if target.family is _IPV6:
                address = sockaddr_of(*address)
            number = sock.connect_ex(address)
            # After ``connect`` the port is known, also after one that failed.
            self.source = source if granted else endpoint_of(sock.getsockname())
            if self.source.port == target.port and self.source.host == target.host:
                # TCP lets a socket connect to itself; whoever asked wanted somebody else.
                number = errno.ECONNREFUSED
        except OSError as failed:
            number = failed.errno or errno.EIO
        except OverflowError:
            number = errno.EINVAL
        if number not in (0, errno.EINPROGRESS) or sock is None:
            if sock is not None:
                sock.close()
            raise DialError(number, True, self.source)
        self._sock: socket.SocketType | None = sock
        poller.watch(sock.fileno(), self._ready)

    def then(self, connected: Connected, failed: Failed) -> None:
        """Call one of these, once, unless :meth:`cancel` comes first."""
        self._connected, self._failed = connected, failed

    def _ready(self, mask: int) -> None:
        if self._sock is None or not mask & (WRITABLE | FAILED):
            return
        number = 0
        if mask & FAILED or not self._poller.tells_failures:
            number = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        connected, failed = self._connected, self._failed
        if number:
            self.cancel()
            failed(DialError(number, False, self.source))
        else:
            sock, self._sock = self._sock, None
            # Whoever waits may hold us: there must be no cycle.
            self._connected = self._failed = _nobody
            if mask & (READABLE | HANGUP | URGENT):
                # Targets that speak first may already have spoken: their reader has to hear of it.
                self._poller.remind(sock.fileno())
            connected(sock)

    def cancel(self) -> None:
        """Give the attempt up; nothing is called."""
        self._connected = self._failed = _nobody
        if self._sock is not None:
            self._poller.forget(self._sock.fileno())
            self._sock.close()
            self._sock = None
