"""
Listening sockets that somebody else has opened: systemd, or a server whose place we take.

The successor connects to the old server by an abstract socket (:manpage:`unix(7)`) whose name holds
the old one's process id, and gets duplicates of its listening sockets.  When it serves clients it
says so; the old server then accepts no more, and ends with its last session.  The sockets are never
closed meanwhile, so no client is refused.  If the successor fails before that, nothing has changed.

Each side asks the kernel who the other is: nobody but root, and whoever has started the old server,
gets the sockets, and only the process that was meant can give some.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from twisted.internet import endpoints
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from dantetw.net.adopting import adopt
from dantetw.net.listening import ListeningSocket
from dantetw.workers.channel import MOST_DESCRIPTORS, Channel, Order

#: Seconds that the old server has to answer.
PATIENCE: Final = 10.0

_CREDENTIALS: Final = struct.Struct("3i")
# Linux's number (``asm-generic/socket.h``): PyPy has no name for it.
_SO_PEERCRED: Final = 17


class HandoverError(Exception):
    """There is no server to take the place of; the text says why."""


def _name(pid: int) -> str:
    return f"\0dantetw/handover/{pid}"


def _peer(sock: socket.socket) -> tuple[int, int]:
    """Process and user at the other end."""
    option = getattr(socket, "SO_PEERCRED", _SO_PEERCRED)
    data = sock.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(data)
    return pid, uid


def from_systemd() -> list[ListeningSocket]:
    """The sockets we were started with, by ``LISTEN_FDS`` (:manpage:`sd_listen_fds(3)`)."""
    sockets = []
    # Twisted has taken the variables out of the environment by now, for its own endpoints.
    for descriptor in endpoints._SystemdParser._sddaemon.inheritedDescriptors():
        try:
            sock = adopt(descriptor, ListeningSocket)
        except OSError:
            continue  # something else, or nothing
        os.set_inheritable(descriptor, False)
        sock.setblocking(False)
        sockets.append(sock)
    return sockets


def _process(text: str) -> int:
    """
    A process id, as such or in a file.

    :raises HandoverError: if it is none.
    """
    try:
        said = text if text.isdecimal() else Path(text).read_text()
        return int(said)
    except OSError as failed:
        raise HandoverError(f"{text}: {os.strerror(failed.errno or 0)}") from None
    except ValueError:
        raise HandoverError(f"{text}: there is no process id") from None


class Taking:
    """
    The successor's side.

    :ivar sockets: the old server's, which belong to us too.

    :param old: process id of the old server, or the name of the file with it.
    :raises HandoverError: if it gives none.
    """

    def __init__(self, old: str) -> None:
        self.sockets: list[ListeningSocket] = []
        pid = _process(old)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(PATIENCE)
        try:
            sock.connect(_name(pid))
            there, uid = _peer(sock)
        except OSError as failed:
            sock.close()
            reason = os.strerror(failed.errno or 0)
            raise HandoverError(f"process {pid} hands nothing over: {reason}") from None
        if there != pid or uid not in (0, os.geteuid()):
            sock.close()
            raise HandoverError(f"process {pid} is not the one that answers")
        self._channel = Channel(sock, _Unattended(), self._heard, lambda: None)
        self._channel.send("give")
        poll, until = select.poll(), time.monotonic() + PATIENCE
        poll.register(sock, select.POLLIN)
        while not self.sockets and sock.fileno() >= 0 and (left := until - time.monotonic()) > 0:
            if poll.poll(left * 1000):
                self._channel.doRead()
        if not self.sockets:
            self._channel.close()
            raise HandoverError(f"process {pid} does not answer")

    def _heard(self, order: Order) -> None:
        for descriptor in order.descriptors:
            sock = adopt(descriptor, ListeningSocket)
            sock.setblocking(False)
            self.sockets.append(sock)

    def done(self) -> None:
        """We serve clients: the old server may accept no more."""
        self._channel.send("taken", os.getpid())
        self._channel.close()


class _Unattended:
    """Stands for a reactor where nobody watches."""

    def addReader(self, reader: object) -> None:  # noqa: N802 - Twisted's name
        """Nobody does."""

    removeReader = addWriter = removeWriter = addReader  # noqa: N815 - Twisted's names


@implementer(IReadDescriptor)
class Offering:
    """
    The old server's side.

    :param starter: the user who has started us; may take our place, as root may.
    :param sockets: says what there is.
    :param taken: called with the process id of the successor when it serves clients.
    :raises OSError: if successors could not reach us.
    """

    def __init__(
        self,
        reactor: Any,
        starter: int,
        sockets: Callable[[], Iterable[socket.socket]],
        taken: Callable[[int], None],
    ) -> None:
        self._reactor = reactor
        self._starter = starter
        self._sockets = sockets
        self._taken = taken
        self._channels: list[Channel] = []
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self._sock.bind(_name(os.getpid()))
            self._sock.listen(1)
        except OSError:
            self._sock.close()
            raise

    def start(self) -> None:
        """Begin to listen to successors."""
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Hear no more.  May be called twice."""
        if self._sock.fileno() >= 0:
            self._reactor.removeReader(self)
            self._sock.close()
        for channel in self._channels:
            channel.close()
        self._channels.clear()

    def fileno(self) -> int:
        return self._sock.fileno()

    def logPrefix(self) -> str:
        return "handover"

    def connectionLost(self, reason: Failure) -> None:
        """Asked for by the interface; a listening socket is never lost."""

    def doRead(self) -> None:
        """The reactor found that a successor has come."""
        try:
            sock, _ = self._sock.accept()
        except OSError:
            return  # it has gone again
        _, uid = _peer(sock)
        if self._channels or uid not in (0, self._starter):
            sock.close()  # one at a time
            return
        channel = Channel(sock, self._reactor, self._heard, self._channels.clear)
        self._channels.append(channel)
        channel.start()

    def _heard(self, order: Order) -> None:
        for descriptor in order.descriptors:
            os.close(descriptor)
        if order.word == "give":
            descriptors = [sock.fileno() for sock in self._sockets()]
            self._channels[0].send("given", descriptors=descriptors[:MOST_DESCRIPTORS])
        elif order.word == "taken" and isinstance(order.said, int):
            self.stop()
            self._taken(order.said)
