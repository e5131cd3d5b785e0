"""
Destinations that the supervisor process has opened for its workers.

A file is written by each of them: messages that come together are one ``write(2)`` for appending.
But a destination with a reader, which may be slow, takes long messages in parts, between which no
other process must write.  So one process alone writes there, and the others send it their messages,
each as a packet.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from dantetw.observe.interfaces import ISink
from dantetw.observe.sinks.file import File
from dantetw.observe.sinks.kind import Reactor, Surroundings
from dantetw.observe.sinks.stream import Stream
from dantetw.observe.sinks.threaded import Threaded

#: Bytes of messages on their way to the supervisor, and hence of the longest: what a client
#: sends at once, with each byte escaped.  The kernel grants twice what is asked for, up to twice
#: ``net.core.wmem_max``.
LONGEST: Final = 512 * 1024
# Messages taken per iteration, so that a worker that has many does not hold up the rest.
_PER_ITERATION: Final = 64
# Iterations that take all that can be on their way: a message takes 768 bytes at least.
_ITERATIONS: Final = 2 * 2 * LONGEST // 768 // _PER_ITERATION


def opened(text: str, surroundings: Surroundings) -> ISink | None:
    """A sink for what another process has opened for this one; None: it has not."""
    descriptor = surroundings.inherited.get(text)
    if descriptor is None:
        return None
    prefix, opener = surroundings.prefix, partial(os.dup, descriptor)
    if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return Stream(text, prefix, surroundings.reactor, opener)
    return File(text, prefix, opener)


@implementer(IReadDescriptor)
class LogForwarder:
    """
    Takes the messages of one worker for one destination.

    :param look: called when the destination may have failed or recovered.
    :ivar theirs: the worker's end, a packet for each message.
    :ivar open: more may come.
    """

    def __init__(self, sink: Stream | Threaded, reactor: Reactor, look: Callable[[], None]) -> None:
        self._sink = sink
        self._look = look
        self._reactor = reactor
        self._ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)
        self.open = True
        self.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST)
        self._buffer = bytearray(2 * LONGEST)
        reactor.addReader(self)

    def doRead(self) -> None:
        """The reactor found that messages have come."""
        self._take(_PER_ITERATION)
        self._look()

    def follow(self, sinks: Iterable[ISink]) -> None:
        """Use the one of these with the same name: the destination was opened again."""
        for sink in sinks:
            if sink.name == self._sink.name and isinstance(sink, Stream | Threaded):
                self._sink = sink
                return

    def take(self) -> None:
        """Take all that has come."""
        for _ in range(_ITERATIONS):
            if not self._take(_PER_ITERATION):
                return

    def _take(self, messages: int) -> bool:
        """Take so many messages; False if there are no more now."""
        for _ in range(messages):
            try:
                size = self._ours.recv_into(self._buffer)
            except BlockingIOError:
                return False
            except OSError:
                size = 0
            if not size:
                self.close()
                return False
            self._sink.put(bytes(memoryview(self._buffer)[:size]))
        return True

    def connectionLost(self, reason: Failure) -> None:
        """The reactor found that the worker has gone."""
        self.drain()

    def drain(self) -> None:
        """The worker has gone: take all that it has left behind."""
        self.take()
        self.close()

    def fileno(self) -> int:
        return self._ours.fileno()

    def logPrefix(self) -> str:
        return f"lines for {self._sink.name}"

    def close(self) -> None:
        """Take no more.  May be called twice."""
        if self.open:
            self.open = False
            self._reactor.removeReader(self)
            self._ours.close()
            self.theirs.close()
            self._buffer = bytearray()


class InheritedLogs:
    """
    What a worker inherits of the supervisor process's sinks.

    :param look: see :class:`LogForwarder`.
    :ivar descriptors: by the names of destinations, for :attr:`Surroundings.inherited`.  Other
        destinations, such as a log daemon, each process opens on its own.
    :raises OSError: if there can be no more descriptors.
    """

    def __init__(self, sinks: Iterable[ISink], reactor: Reactor, look: Callable[[], None]) -> None:
        self.descriptors: dict[str, int] = {}
        self._forwarders: list[LogForwarder] = []
        for sink in sinks:
            if sink.name in self.descriptors:
                continue  # named twice: the messages for either look the same
            if isinstance(sink, File):
                self.descriptors[sink.name] = sink.descriptor
            elif isinstance(sink, Stream | Threaded):
                try:
                    forwarder = LogForwarder(sink, reactor, look)
                except OSError:
                    self.close()
                    raise
                self._forwarders.append(forwarder)
                self.descriptors[sink.name] = forwarder.theirs.fileno()

    @property
    def open(self) -> bool:
        """Whether more may come."""
        return any(forwarder.open for forwarder in self._forwarders)

    def take(self) -> None:
        """Take all that has come."""
        for forwarder in self._forwarders:
            forwarder.take()

    def follow(self, sinks: Iterable[ISink]) -> None:
        """Let messages go to these, the supervisor's sinks from now on."""
        for forwarder in self._forwarders:
            forwarder.follow(sinks)

    def drain(self) -> None:
        """The worker has ended: take what it has left behind, and close."""
        for forwarder in self._forwarders:
            forwarder.drain()

    def close(self) -> None:
        """Take nothing from the worker: there is none."""
        for forwarder in self._forwarders:
            forwarder.close()

    def given(self) -> None:
        """The worker has its own descriptors now: close the supervisor's."""
        for forwarder in self._forwarders:
            forwarder.theirs.close()
