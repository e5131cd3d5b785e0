"""
A reactor that a test turns by hand, and the far ends of connections it serves.

Real sockets on the loopback interface, no global reactor, no threads: everything happens in
:meth:`TurningReactor.turn`, in the test's own order.
"""

# ruff: noqa: N802 - Twisted's names
from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from dantetw.net.poller import EpollPoller, ReactorPoller

#: Idle turns after which a test gives up; each may wait a little for the kernel.
PATIENCE = 3000
#: Milliseconds that an idle turn waits for something to happen.
WAIT = 2


@implementer(IReactorFDSet, IReactorTime)
class TurningReactor(Clock):
    """
    Descriptors and delayed calls, served as Twisted's level-triggered reactors do.

    :ivar readers: who wants to read; ``writers`` likewise.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readers: dict[Any, int] = {}
        self.writers: dict[Any, int] = {}

    def addReader(self, reader: Any) -> None:
        self.readers[reader] = reader.fileno()

    def addWriter(self, writer: Any) -> None:
        self.writers[writer] = writer.fileno()

    def removeReader(self, reader: Any) -> None:
        self.readers.pop(reader, None)

    def removeWriter(self, writer: Any) -> None:
        self.writers.pop(writer, None)

    def removeAll(self) -> list[Any]:
        """Forget all descriptors."""
        everybody = [*self.readers, *self.writers]
        self.readers.clear()
        self.writers.clear()
        return everybody

    def getReaders(self) -> list[Any]:
        return list(self.readers)

    def getWriters(self) -> list[Any]:
        return list(self.writers)

    def turn(self, wait: int = 0) -> int:
        """
        Run due calls, then serve each descriptor that is ready once.

        :param wait: milliseconds to wait for one, if no calls are due.
        :returns: how many calls were made.
        """
        due = [call for call in self.calls if call.getTime() <= self.seconds()]
        made = len(due)
        # Unlike ``advance``: calls that these add wait for the next turn, as in a real reactor.
        for call in due:
            if call.active():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)
        poll = select.poll()
        selectables: dict[int, Any] = {}
        for mask, members in ((select.POLLIN, self.readers), (select.POLLOUT, self.writers)):
            for selectable, fd in members.items():
                poll.register(fd, mask | (select.POLLIN if selectable in self.readers else 0))
                selectables[fd] = selectable
        for fd, mask in poll.poll(0 if made else wait):
            selectable = selectables[fd]
            if selectable not in self.readers and selectable not in self.writers:
                continue
            made += 1
            if mask & (select.POLLHUP | select.POLLERR) and not mask & select.POLLIN:
                self.removeReader(selectable)
                self.removeWriter(selectable)
                selectable.connectionLost(Failure(ConnectionLost()))
                continue
            if mask & select.POLLIN:
                selectable.doRead()
            # As Twisted does: also if ``doRead`` has removed it, but not if it is nobody now.
            if mask & select.POLLOUT and selectable.fileno() != -1:
                selectable.doWrite()
        return made

    def settle(self) -> int:
        """Turn until nothing happens any more; says how often something did."""
        for turns in range(PATIENCE):
            if not self.turn(WAIT):
                return turns
        raise AssertionError("never comes to rest")


def pollers() -> list[type[EpollPoller] | type[ReactorPoller]]:
    """Those this system has."""
    return [EpollPoller, ReactorPoller] if hasattr(select, "epoll") else [ReactorPoller]


class Peer:
    """
    The far end of a connection: a client, or a target.

    :ivar outgoing: what it has still to send; ``sent`` counts what the kernel took.
    :ivar received: all it got.
    :ivar at_most: bytes it reads in one step, 0: it does not read.
    :ivar shut: send an end of file behind ``outgoing``.
    :ivar eof: it has got an end of file; ``error``: the number of the error it has got.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.outgoing = memoryview(b"")
        self.sent = 0
        self.received = bytearray()
        self.at_most = 1 << 18
        self.shut = False
        self.eof = False
        self.error = 0

    def send(self, data: bytes, shut: bool = False) -> None:
        """Send all of ``data`` in the steps to come."""
        self.outgoing = memoryview(bytes(self.outgoing) + data)
        self.shut = shut

    def step(self) -> bool:
        """Send and read a little; says whether anything moved."""
        try:
            return self._write() | self._read()
        except OSError as failed:
            self.error = failed.errno or 0
            return False

    def _write(self) -> bool:
        if self.outgoing:
            try:
                count = self.sock.send(self.outgoing[: 1 << 18])
            except BlockingIOError:
                return False
            self.sent += count
            self.outgoing = self.outgoing[count:]
        elif self.shut:
            self.shut = False
            self.sock.shutdown(socket.SHUT_WR)
        else:
            return False
        return True

    def _read(self) -> bool:
        if self.eof or not self.at_most or self.error:
            return False
        try:
            data = self.sock.recv(self.at_most)
        except BlockingIOError:
            return False
        self.got(data)
        self.eof = not data
        return True

    def got(self, data: bytes) -> None:
        """It has read ``data``."""
        self.received += data

    def reset(self) -> None:
        """Close with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def connected(family: int = socket.AF_INET, buffers: int = 0) -> tuple[Peer, socket.socket]:
    """
    A TCP connection over the loopback interface: its far end, and ours, which does not block.

    :param buffers: bytes of the kernel's buffers at both ends, 0: its own choice.
    """
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.socket(family) as listening, socket.socket(family) as far:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for sock in (listening, far):
            if buffers:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        listening.bind((host, 0))
        listening.listen()
        far.connect(listening.getsockname())
        near, _ = listening.accept()
        near.setblocking(False)
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Peer(socket.socket(fileno=far.detach())), near


def until(reactor: TurningReactor, peers: list[Peer], true: Callable[[], bool]) -> None:
    """
    Turn the reactor and the peers until ``true``.

    :raises AssertionError: if nothing moves any more and it still is not.
    """
    idle = 0
    while not true():
        made = reactor.turn(WAIT if idle else 0)
        moved = False
        for peer in peers:
            if peer.sock.fileno() >= 0:
                moved |= peer.step()
        idle = 0 if made or moved else idle + 1
        if idle > PATIENCE:
            raise AssertionError("nothing moves any more")
