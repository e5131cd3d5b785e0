"""
The old server's side of a handover.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from dantetw.handover.messages import Busy, Give, Given, Taken, TooLate, parse, send
from dantetw.handover.names import ANSWER_SECONDS, predictable_name, random_name
from dantetw.net.channel import MOST_DESCRIPTORS, Channel, Frame
from dantetw.net.errors import words_of_error
from dantetw.observe.journal import Journal
from dantetw.privileged.peers import peer_of
from dantetw.values import Severity

#: Successors at a time; the oldest gives way to a further one.
MOST_SUCCESSORS: Final = 8
#: Seconds until successors are accepted again when there were no descriptors for them.
DESCRIPTORS_RETRY_SECONDS: Final = 1.0
#: Seconds in which a successor that has the sockets must serve clients, before another may try.
START_SECONDS: Final = 60.0

_BACKLOG: Final = 64


def await_successors(
    reactor: Any,
    journal: Journal,
    sockets: Callable[[], Iterable[socket.socket]],
    taken: Callable[[int, Channel], None],
) -> HandoverServer | None:
    """
    Make the sockets that successors connect to, as the user that started this server.

    :returns: None if that failed, which is logged.
    """
    try:
        return HandoverServer(reactor, os.getuid(), sockets, taken)
    except OSError as failed:
        text = f"no upgrade can replace this server: no socket for it: {words_of_error(failed)}"
        journal.message(Severity.WARNING, "server.handover", text)
        return None


class HandoverServer:
    """
    The old server's side.

    :param starter: the user that started this server, and may replace it, as root may.
    :param sockets: returns those to hand over.
    :param taken: called with the process id of the successor when it accepts clients, and with the
        connection to it.
    :raises OSError: if successors could not connect.
    """

    def __init__(
        self,
        reactor: Any,
        starter: int,
        sockets: Callable[[], Iterable[socket.socket]],
        taken: Callable[[int, Channel], None],
    ) -> None:
        self._reactor = reactor
        self._starter = starter
        self._sockets = sockets
        self._taken = taken
        self._successors: list[_Successor] = []
        pid = os.getpid()
        self._entrances = [_Entrance(reactor, random_name(pid), self)]
        with suppress(OSError):  # another process may have this one
            self._entrances.append(_Entrance(reactor, predictable_name(pid), self))

    def start(self) -> None:
        """Begin to accept successors."""
        for entrance in self._entrances:
            entrance.start()

    def stop(self) -> None:
        """Accept no more successors and close all connections.  May be called twice."""
        for entrance in self._entrances:
            entrance.stop()
        for successor in self._successors:
            successor.close()
        self._successors.clear()

    def came(self, sock: socket.socket) -> None:
        """A connection has been accepted."""
        try:
            pid, uid = peer_of(sock)
        except OSError:
            pid, uid = 0, -1
        if pid <= 0 or uid not in (0, self._starter):
            sock.close()
            return
        if len(self._successors) >= MOST_SUCCESSORS:
            oldest = next(each for each in self._successors if not each.given)
            self._successors.remove(oldest)
            oldest.close()
        self._successors.append(_Successor(self._reactor, sock, pid, self))

    def gone(self, successor: _Successor) -> None:
        """A successor has closed its connection, or has sent nothing."""
        self._successors.remove(successor)

    def give(self, successor: _Successor) -> None:
        """
        Send a successor the sockets.

        :raises OSError: if there can be no more descriptors.
        """
        descriptors = [sock.fileno() for sock in self._sockets()]
        parts = range(0, max(1, len(descriptors)), MOST_DESCRIPTORS)
        for left, place in zip(reversed(range(len(parts))), parts, strict=True):
            part = descriptors[place : place + MOST_DESCRIPTORS]
            send(successor.channel, Given(left), part)

    def rival_of(self, successor: _Successor) -> _Successor | None:
        """The other successor that is starting: two at once would both serve."""
        rivals = (each for each in self._successors if each.given and each is not successor)
        return next(rivals, None)

    def taken(self, successor: _Successor) -> None:
        """A successor serves clients."""
        self._successors.remove(successor)
        self.stop()
        self._taken(successor.pid, successor.channel)


class _Successor:
    """
    A connection from a successor.

    :ivar pid: its process, reported by the kernel.
    :ivar given: it has the sockets, and is starting.
    """

    def __init__(self, reactor: Any, sock: socket.socket, pid: int, server: HandoverServer) -> None:
        self.pid = pid
        self.given = False
        self._reactor = reactor
        self._server = server
        self._silent = reactor.callLater(ANSWER_SECONDS, self._end)
        self.channel = Channel(sock, reactor, self._heard, self._end)
        self.channel.start()

    def _heard(self, frame: Frame) -> None:
        for descriptor in frame.descriptors:
            os.close(descriptor)
        message = parse(frame)
        if isinstance(message, Give) and not self.given:
            self._spoke()
            if rival := self._server.rival_of(self):
                send(self.channel, Busy(rival.pid))
                self._end()
                return
            self.given = True
            self._silent = self._reactor.callLater(START_SECONDS, self._late)
            try:
                self._server.give(self)
            except OSError:
                self._end()  # it reports that we do not answer
        elif isinstance(message, Taken):
            self._spoke()
            self._server.taken(self)

    def _late(self) -> None:
        send(self.channel, TooLate())
        self._end()

    def _spoke(self) -> None:
        if self._silent.active():
            self._silent.cancel()

    def _end(self) -> None:
        self.close()
        self._server.gone(self)

    def close(self) -> None:
        """Close the connection."""
        self._spoke()
        self.channel.close()


@implementer(IReadDescriptor)
class _Entrance:
    """
    A socket that successors connect to.

    :raises OSError: if it cannot have this name.
    """

    def __init__(self, reactor: Any, name: bytes, server: HandoverServer) -> None:
        self._reactor = reactor
        self._server = server
        self._pausing: Any = None
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self._sock.bind(name)
            self._sock.listen(_BACKLOG)
        except OSError:
            self._sock.close()
            raise

    def start(self) -> None:
        """Begin to accept."""
        self._pausing = None
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Accept no more.  May be called twice."""
        if self._pausing is not None:
            self._pausing.cancel()
            self._pausing = None
        if self._sock.fileno() >= 0:
            self._reactor.removeReader(self)
            self._sock.close()

    def fileno(self) -> int:
        return self._sock.fileno()

    def logPrefix(self) -> str:
        return "handover"

    def connectionLost(self, reason: Failure) -> None:
        """Asked for by the interface; a listening socket is never lost."""

    def doRead(self) -> None:
        """The reactor found that a successor has connected."""
        try:
            sock, _ = self._sock.accept()
        except OSError as failed:
            if failed.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                # It stays in the queue, and the reactor would find it there without a pause.
                self._reactor.removeReader(self)
                self._pausing = self._reactor.callLater(DESCRIPTORS_RETRY_SECONDS, self.start)
            return
        self._server.came(sock)
