"""An upstream by way of a proxy that says one line before the target is heard."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

from zope.interface import implementer

from dantetw.net.dial import Connected, DialError, Failed, IAttempt
from dantetw.net.poller import IPoller
from dantetw.net.sockopts import LowBinder
from dantetw.net.sources import Sources
from dantetw.policy import SocketOption
from dantetw.upstream.direct import Direct
from dantetw.upstream.interfaces import IUpstream
from dantetw.values import Endpoint

#: What the proxy is sent, and what it answers if it has connected; any other line is a refusal.
ASK, GRANTED = b"GO\n", b"OK\n"


@implementer(IAttempt)
class Handshake:
    """A connection to the proxy, and what is said on it before it belongs to the target."""

    def __init__(self, poller: IPoller, inner: IAttempt) -> None:
        self._poller = poller
        self._inner = inner
        self._sock: socket.SocketType | None = None
        self.source = inner.source
        self.refused = inner.refused
        self.leftover = b""

    def then(self, connected: Connected, failed: Failed) -> None:
        """See :meth:`IAttempt.then`."""
        self._connected, self._failed = connected, failed
        self._inner.then(self._reached, failed)

    def _reached(self, sock: socket.SocketType) -> None:
        self._sock = sock
        self._poller.hand_over(sock.fileno(), self._ready)
        sock.send(ASK)

    def _ready(self, mask: int) -> None:
        sock = self._sock
        if sock is None:
            return
        try:
            data = sock.recv(100)
        except BlockingIOError:
            return
        self.leftover += data
        line, end, leftover = self.leftover.partition(b"\n")
        if data and not end:
            return
        if line + end != GRANTED:
            self.cancel()
            self._failed(DialError(errno.ECONNREFUSED, False, self.source))
            return
        self._sock, self.leftover = None, leftover
        self._poller.remind(sock.fileno())
        self._connected(sock)

    def cancel(self) -> None:
        """See :meth:`IAttempt.cancel`."""
        self._inner.cancel()
        sock, self._sock = self._sock, None
        if sock is not None:
            self._poller.forget(sock.fileno())
            sock.close()


@implementer(IUpstream)
class Proxied:
    """Connects to the proxy, which is where the target is."""

    def __init__(
        self, poller: IPoller, sources: Sources, keep_alive: bool, low: LowBinder | None
    ) -> None:
        self._poller = poller
        self._inner = Direct(poller, sources, keep_alive, low)

    def connect(
        self, target: Endpoint, client: Endpoint, local: Endpoint, options: Sequence[SocketOption]
    ) -> Handshake:
        """See :meth:`IUpstream.connect`."""
        inner = self._inner.connect(target, client, local, options)
        return Handshake(self._poller, inner)
