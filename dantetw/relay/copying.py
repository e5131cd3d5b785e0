"""
The relay that copies through memory.

Two :class:`Flow` objects, one a direction.  All work is done when the poller says that a socket is
ready: read a chunk, write it at once, and only what the sink does not take is kept, whereupon the
source is not read any more.  So a relay holds at most one chunk of bytes a direction, and an idle
one none.

Chunks are read and written by ``os.read`` and ``os.write``, not by methods of the sockets: the
kernel does the same for both, but Python's part of a call costs a third less, and of a relay that
carries small chunks Python is nearly half.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from errno import ECONNRESET
from typing import Final

from dantetw.net.poller import FAILED, HANGUP, READABLE, URGENT, WRITABLE, IPoller
from dantetw.net.queues import unsent
from dantetw.values import Cause, Ending, Operation, Phase, Side

#: Bytes read at a time: Dante's figure, so that ``ioop`` lines speak of like amounts.
CHUNK: Final = 65536
#: Chunks a flow may move before others get their turn.
TURN: Final = 16

#: Told of each chunk: who sent it, and the bytes (none: an end of file).
Tap = Callable[[Side, bytes], None]

_RESET: Final = struct.pack("ii", 1, 0)
_USUAL: Final = READABLE | WRITABLE
_INCOMING: Final = READABLE | HANGUP | URGENT
_BEHIND: Final = HANGUP | URGENT
OTHER: Final = {Side.CLIENT: Side.TARGET, Side.TARGET: Side.CLIENT}


class Flow:
    """
    One direction of a relay.

    :ivar side: whose bytes these are.
    :ivar source_fd: the descriptor of ``source``, ``sink_fd`` that of ``sink``.  They are not to be
        used any more when the relay has ended: they may be others' then.
    :ivar read: bytes taken from ``source``; ``written``: bytes that ``sink`` has taken.
    :ivar pending: what ``sink`` would not take yet; ``waiting``: how many bytes wait elsewhere, in
        a pipe.  While there is any of either, ``source`` is not read.
    :ivar closing: the poller has said that something is there behind what one read brings: the end
        of file, or urgent data, at which every read stops (``tcp(7)``); ``urgent``: the latter.
    :ivar queued: it has had its turn and waits for the next.
    :ivar ended: ``source`` has sent its end of file, and all before it has been written; or
        ``sink`` has failed.
    :ivar pull: reads ``source`` and writes to ``sink``; ``flush`` writes what had to wait.
    :ivar moved: bytes since ``pull`` was last changed; ``pipe``: its two ends, if there is one.
    """

    __slots__ = (
        "closing",
        "ended",
        "flush",
        "moved",
        "pending",
        "pipe",
        "pull",
        "queued",
        "read",
        "side",
        "sink",
        "sink_fd",
        "source",
        "source_fd",
        "urgent",
        "waiting",
        "written",
    )

    def __init__(
        self,
        side: Side,
        source: socket.SocketType,
        sink: socket.SocketType,
        pull: Callable[[Flow], None],
        flush: Callable[[Flow], None],
    ) -> None:
        self.side = side
        self.source = source
        self.sink = sink
        self.source_fd = source.fileno()
        self.sink_fd = sink.fileno()
        self.pull = pull
        self.flush = flush
        self.read = 0
        self.written = 0
        self.pending = b""
        self.waiting = 0
        self.closing = False
        self.urgent = False
        self.queued = False
        self.ended = False
        self.moved = 0
        self.pipe: tuple[int, int] | None = None


class CopyingRelay:
    """
    Carries bytes both ways until both sides have closed, or one fails.

    :param client: a connected socket that ``poller`` watches; ``target`` likewise.
    :param done: called once with how it ended; the sockets are closed behind it.
    :param tap: sees every chunk, if given.
    :ivar up: the flow from client to target; ``down``: from target to client.
    :ivar last_activity: monotonic seconds; ``first_io``: of the first bytes, or 0.0.
    :ivar first_closed: who sent the first end of file, None as long as nobody has.
    :ivar ended: nothing more will happen.
    """

    __slots__ = (
        "_done",
        "_failure",
        "_poller",
        "_tap",
        "down",
        "ended",
        "first_closed",
        "first_io",
        "last_activity",
        "up",
    )

    def __init__(
        self,
        poller: IPoller,
        client: socket.SocketType,
        target: socket.SocketType,
        done: Callable[[Ending], None],
        tap: Tap | None = None,
    ) -> None:
        self._poller = poller
        self._done = done
        self._tap = tap
        self.up = Flow(Side.CLIENT, client, target, self._copy, self._send_pending)
        self.down = Flow(Side.TARGET, target, client, self._copy, self._send_pending)
        # One object for each number, not two: 64 bytes less for a session that idles.
        self.down.source_fd, self.down.sink_fd = self.up.sink_fd, self.up.source_fd
        self.last_activity = poller.now
        self.first_io = 0.0
        self.first_closed: Side | None = None
        self.ended = False
        self._failure: Ending | None = None

    def start(self, early: bytes = b"", mask: int = 0) -> None:
        """
        Begin.

        :param early: bytes the client sent behind its request; they go to the target first.
        :param mask: what the poller has already said of the client's socket and nobody acted on.
        """
        client = self.up.source_fd
        self._poller.refresh()
        self.last_activity = self._poller.now
        self._poller.resume(client)
        self._poller.hand_over(client, self._client_ready)
        self._poller.hand_over(self.down.source_fd, self._target_ready)
        if early:
            self.first_io = self.last_activity
            self.up.read += len(early)
            if self._tap is not None:
                self._tap(Side.CLIENT, early)
                if self.ended:
                    return
            self._keep(self.up, early)
            self._send_pending(self.up)
        if mask & ~WRITABLE and not self.ended:
            self._client_ready(mask)

    # What the poller calls.

    def _client_ready(self, mask: int) -> None:
        self._ready(mask, self.up, self.down)

    def _target_ready(self, mask: int) -> None:
        self._ready(mask, self.down, self.up)

    def _ready(self, mask: int, inward: Flow, outward: Flow) -> None:
        # ``inward`` comes from the socket that is ready, ``outward`` goes to it.
        self.last_activity = self._poller.now
        # Most often there is something to read and nothing waits: one look, and no call but pull.
        if mask == _USUAL and not (
            outward.pending
            or outward.waiting
            or inward.pending
            or inward.waiting
            or inward.queued
            or inward.ended
        ):
            inward.pull(inward)
            return
        if mask & _BEHIND:
            inward.closing = True
            if mask & URGENT:
                inward.urgent = True
        if (outward.pending or outward.waiting) and mask & WRITABLE:
            outward.flush(outward)
        if mask & _INCOMING:
            self._continue(inward)
        # An error shows when the socket is read; but a flow that has ended or must wait reads not.
        if mask & FAILED and not self.ended:
            number = inward.source.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                # After an end of file there is nothing to receive: what we sent has failed.
                operation = Operation.SEND if inward.ended else Operation.RECEIVE
                self._fail(inward.side, number, operation)

    def _continue(self, flow: Flow) -> None:
        if not (flow.pending or flow.waiting or flow.queued or flow.ended or self.ended):
            flow.pull(flow)

    def _queue(self, flow: Flow) -> None:
        """Let others have their turn before ``flow`` continues."""

        def turn() -> None:
            flow.queued = False
            self._continue(flow)

        flow.queued = True
        self._poller.again(turn)

    # Moving bytes.

    def _copy(self, flow: Flow) -> None:
        source, sink, tap = flow.source_fd, flow.sink_fd, self._tap
        left = TURN
        while True:
            try:
                data = os.read(source, CHUNK)
            except BlockingIOError:
                return
            except OSError as failed:
                self._fail(flow.side, failed.errno or 0, Operation.RECEIVE)
                return
            if not data:
                self._end_of_file(flow)
                return
            count = len(data)
            flow.read += count
            if not self.first_io:
                self.first_io = self.last_activity
            if tap is not None:
                tap(flow.side, data)
                if self.ended:
                    return
            try:
                sent = os.write(sink, data)
            except BlockingIOError:
                sent = 0
            except OSError as failed:
                self._fail(OTHER[flow.side], failed.errno or 0, Operation.SEND)
                return
            flow.written += sent
            if sent < count:
                self._keep(flow, data[sent:])
                return
            # Less than was asked for: the socket is drained, but for an end of file that the
            # poller has seen, or urgent data.  What it has not seen yet is another event.
            if count < CHUNK:
                if not flow.closing:
                    return
            elif self._bulky(flow):
                flow.pull(flow)
                return
            left -= 1
            if not left:
                self._queue(flow)
                return

    def _keep(self, flow: Flow, data: bytes) -> None:
        """``data`` was read, but cannot be written now."""
        flow.pending = data
        self._poller.block(flow.source_fd, flow.sink_fd)

    def _send_pending(self, flow: Flow) -> None:
        try:
            sent = os.write(flow.sink_fd, flow.pending)
        except BlockingIOError:
            return
        except OSError as failed:
            self._fail(OTHER[flow.side], failed.errno or 0, Operation.SEND)
            return
        flow.written += sent
        flow.pending = flow.pending[sent:]
        if not flow.pending:
            self._poller.unblock(flow.source_fd, flow.sink_fd)
            self._continue(flow)

    def _bulky(self, flow: Flow) -> bool:
        """Whether another way of working was chosen for a flow that has just filled a chunk."""
        return False

    # Ending.

    def _end_of_file(self, flow: Flow) -> None:
        if self._failure is not None:
            self._finish_failed(self._failure, flow)
            return
        flow.ended = True
        if self.first_closed is None:
            self.first_closed = flow.side
            if self._tap is not None:
                self._tap(flow.side, b"")
        if self.up.ended and self.down.ended:
            # Both have said all; closing the sockets passes the second end of file on.
            self._finish(Ending(self.first_closed, Phase.RELAY, Cause.CLOSED))
            return
        # Where readiness is a level and not an edge, an end of file would be told for ever.
        self._poller.pause(flow.source_fd)
        try:
            flow.sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # gone already: the other flow hears of it

    def _fail(self, side: Side, number: int, operation: Operation) -> None:
        """
        The socket of ``side`` is dead.

        Nothing can be written to it any more, but what had come from it before is still there: in
        ``pending``, in a pipe, in the kernel.  The other side gets all of that first.
        """
        if self.ended:
            return
        flow, into = (self.up, self.down) if side is Side.CLIENT else (self.down, self.up)
        if self._failure is not None:
            self._finish_failed(self._failure, flow)
            return
        self._failure = Ending(side, Phase.RELAY, Cause.ERROR, number, operation=operation)
        if into.pending or into.waiting:
            self._poller.unblock(into.source_fd, into.sink_fd)
            self._drop(into)
        if not into.ended:
            into.ended = True
            self._poller.pause(into.source_fd)
        self._continue(flow)
        if not (self.ended or flow.pending or flow.waiting or flow.queued):
            self._finish_failed(self._failure, flow)

    def _drop(self, flow: Flow) -> None:
        """Give up what waits for a sink that has failed."""
        flow.pending = b""

    def _finish_failed(self, failure: Ending, flow: Flow) -> None:
        # Pass a reset on, where that cannot cost the other side bytes it has not got yet.
        if failure.errno == ECONNRESET and not unsent(flow.sink):
            flow.sink.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._finish(failure)

    def end(self, ending: Ending) -> None:
        """
        End now, for a reason of our own: a time limit, the server's stop.

        If one side has failed and the other is still being given the rest, that is the reason.
        """
        if not self.ended:
            self._finish(self._failure or ending)

    def _finish(self, ending: Ending) -> None:
        self.ended = True
        client, target = self.up.source, self.down.source
        self._poller.forget(self.up.source_fd)
        self._poller.forget(self.down.source_fd)
        try:
            self._done(ending)
        finally:
            client.close()
            target.close()
            # Without these there is no cycle, and all of a session is freed at once.
            for flow in (self.up, self.down):
                flow.pull = flow.flush = _nothing


def _nothing(flow: Flow) -> None:
    """What is done for a flow that is over."""
