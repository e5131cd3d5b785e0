"""
Connecting to a target, with the errno kept.

Twisted's own connectors lose the ``errno``, cannot set options between ``socket`` and ``connect``,
and register the socket in the reactor, where a relay does not want it.  Here the socket is
watched by the poller from the beginning, and stays registered when the relay takes it over.

An attempt has one caller and one outcome, so there are two callbacks and no Deferred, which would
cost 2 % of a short session.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from zope.interface import Attribute, Interface, implementer

from dantetw.net.poller import FAILED, HANGUP, READABLE, URGENT, WRITABLE, IPoller
from dantetw.net.sockopts import LowBinder, bind_source, prepare, set_options
from dantetw.net.zones import endpoint_of, sockaddr_of
from dantetw.policy import Edge, SocketOption
from dantetw.values import AF_OF, FAMILY_IPV6, Endpoint

_NON_BLOCKING: Final = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK)


class DialError(Exception):
    """
    A connection attempt failed.

    :ivar number: the ``errno``.
    :ivar immediate: whether ``connect`` itself returned it, before anything was sent.
    :ivar source: the address of the attempt's own end.
    """

    def __init__(self, number: int, immediate: bool, source: Endpoint) -> None:
        super().__init__(number)
        self.number = number
        self.immediate = immediate
        self.source = source


#: Receives the connected socket, which the poller still watches for the caller to
#: :meth:`~dantetw.net.poller.IPoller.hand_over`.
Connected = Callable[[socket.SocketType], None]
#: Receives the reason why there is no connection.
Failed = Callable[[DialError], None]


class IAttempt(Interface):
    """A connection attempt, whose outcome :meth:`then` asks for."""

    source = Attribute("The endpoint connected from, port included, as far as it is known.")
    refused = Attribute("Socket options that the system refused, with the ``errno``.")
    leftover = Attribute(
        "Bytes that are read already of what the target sends; complete once it is connected."
    )

    def then(connected: Connected, failed: Failed) -> None:  # noqa: N805 - zope's way
        """Call one of these, once, unless :meth:`cancel` comes first."""

    def cancel() -> None:
        """Give the attempt up, if it is not over; nothing is called."""


def _ignore(outcome: object) -> None:
    """Called as long as no caller has asked for the outcome, and after the end."""


@implementer(IAttempt)
class Dial:
    """
    An attempt to connect to an address.

    :ivar source: the address connected from, port included.
    :ivar refused: socket options that the system refused, with the ``errno``.

    :param source: numeric address to connect from, and the port wished for.
    :param low: binds a port below 1024; None: such a port is not bound.
    :param edge: on which side the target is; socket options for the other are not set.
    :raises DialError: if the attempt fails at once.
    """

    __slots__ = ("_connected", "_failed", "_poller", "_sock", "refused", "source")

    #: Nothing is read before there is a reader.
    leftover: Final = b""

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
        self._connected: Connected = _ignore
        self._failed: Failed = _ignore
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
            if target.family is FAMILY_IPV6:
                address = sockaddr_of(*address)
            number = sock.connect_ex(address)
            # After ``connect`` the port is known, also after one that failed.
            self.source = source if granted else endpoint_of(sock.getsockname())
            if self.source.port == target.port and self.source.host == target.host:
                # TCP lets a socket connect to itself, which no client means.
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
        """See :meth:`IAttempt.then`."""
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
            # The caller may refer to this object: there must be no cycle.
            self._connected = self._failed = _ignore
            if mask & (READABLE | HANGUP | URGENT):
                # A target that speaks first may have spoken: its reader must be called.
                self._poller.remind(sock.fileno())
            connected(sock)

    def cancel(self) -> None:
        """See :meth:`IAttempt.cancel`."""
        self._connected = self._failed = _ignore
        if self._sock is not None:
            self._poller.forget(self._sock.fileno())
            self._sock.close()
            self._sock = None
