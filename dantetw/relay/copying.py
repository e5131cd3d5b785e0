"""
The relay that copies through memory.

Two :class:`~dantetw.relay.flow.Flow` objects, one a direction.  All work is done when the poller
reports that a socket is ready: it reads a chunk, writes it at once, and keeps only what the sink
does not accept; until that is written, the source is not read.  So a relay holds at most one chunk
of bytes a direction, and an idle one none.

Chunks are read and written by ``os.read`` and ``os.write``, not by methods of the sockets: the
kernel does the same work, but Python's part of a call costs a third less, and Python is nearly half
of the cost of relaying small chunks.

A relay may be shaped (:class:`~dantetw.relay.shaping.Shaping`).  Then its flows ``pull`` by other
methods than those of a relay that is not.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from errno import EPROTO
from functools import partial
from typing import Final

from dantetw.net.poller import WRITABLE, IPoller
from dantetw.relay.codec import CodecError, EncodedEnd
from dantetw.relay.flow import Flow, ShapedFlow
from dantetw.relay.relay import OTHER, Relay, Tap
from dantetw.relay.shaping import Shaping
from dantetw.values import SIDE_CLIENT, SIDE_TARGET, Ending, Operation

#: Bytes read at a time: Dante's figure, so that ``ioop`` lines show similar amounts.
CHUNK_BYTES: Final = 65536
#: Chunks that a flow moves before other sockets are served.
CHUNKS_PER_BATCH: Final = 16


class CopyingRelay(Relay):
    """
    Reads chunks into memory and writes them.

    :param client: a connected socket that ``poller`` watches; ``target`` likewise.
    :param shaping: limits and the codec, if there are any.
    """

    __slots__ = ()

    def __init__(
        self,
        poller: IPoller,
        client: socket.SocketType,
        target: socket.SocketType,
        done: Callable[[Ending], None],
        tap: Tap | None = None,
        shaping: Shaping | None = None,
    ) -> None:
        if shaping is None:
            up = Flow(SIDE_CLIENT, client, target, self._copy, self._send_pending)
            down = Flow(SIDE_TARGET, target, client, self._copy, self._send_pending)
        else:
            up, down = self._shaped(client, target, shaping)
        super().__init__(poller, up, down, done, tap)

    def _shaped(
        self, client: socket.SocketType, target: socket.SocketType, shaping: Shaping
    ) -> tuple[Flow, Flow]:
        pull, flush, codec = self._copy_shaped, self._send_pending, shaping.codec
        up = ShapedFlow(SIDE_CLIENT, client, target, pull, flush, shaping.up)
        down = ShapedFlow(SIDE_TARGET, target, client, pull, flush, shaping.down)
        if codec is not None:
            up.convert, up.convert_end = codec.decode, codec.decode_end
            down.convert, down.convert_end = codec.encode, codec.encode_end
        return up, down

    def start(self, early: bytes = b"", mask: int = 0, leftover: bytes = b"") -> None:
        """
        Begin.

        :param early: bytes the client sent behind its request; they go to the target first.
        :param mask: events of the client's socket that were reported and not handled.
        :param leftover: bytes of the target that have been read; they go to the client first.
        """
        client = self.up.source_fd
        self._poller.refresh()
        self.last_activity = self._poller.now
        self._poller.resume(client)
        self._poller.hand_over(client, self._client_ready)
        self._poller.hand_over(self.down.source_fd, self._target_ready)
        if leftover:
            self._hold(leftover)
            if self.ended:
                return
        up = self.up
        if early:
            self.first_io = self.last_activity
            up.read += len(early)
        if isinstance(up, ShapedFlow) and up.convert is not None:
            self._convert(up, up.convert, early)
        elif early:
            if self._tap is not None:
                self._tap(SIDE_CLIENT, early)
                if self.ended:
                    return
            self._keep(up, early)
            self._send_pending(up)
        if leftover and self.down.pending and not self.ended:
            self._send_pending(self.down)
        if mask & ~WRITABLE and not self.ended:
            self._client_ready(mask)

    def _hold(self, leftover: bytes) -> None:
        """
        Keep the bytes read from the target before the relay began.

        It is not sent before :meth:`start` has sent what the client had sent: if one side turns out
        dead, the other still gets its bytes.
        """
        down, data = self.down, leftover
        self.first_io = self.last_activity
        down.read += len(leftover)
        if isinstance(down, ShapedFlow) and down.convert is not None:
            try:
                data = down.convert(leftover)
            except CodecError:
                self._broken(down)
                return
        if self._tap is not None:
            self._tap(SIDE_TARGET, leftover)
        if data and not self.ended:
            self._keep(down, data)

    # Moving bytes.

    def _copy(self, flow: Flow, size: int = CHUNK_BYTES, left: int = CHUNKS_PER_BATCH) -> None:
        # At most ``left`` chunks of ``size`` bytes.
        source, sink, tap = flow.source_fd, flow.sink_fd, self._tap
        while True:
            try:
                data = os.read(source, size)
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
            # Less than was asked for: the socket is drained, except for an end of file or urgent
            # data which the poller has reported.  What comes later is another event.
            if count < size:
                if not flow.closing:
                    return
            elif self._bulky(flow):
                flow.pull(flow)
                return
            left -= 1
            if not left:
                self._queue(flow)
                return

    def _bulky(self, flow: Flow) -> bool:
        """Whether a flow that has just filled a chunk now has another ``pull``."""
        return False

    # Moving the bytes of a shaped relay.

    def _copy_shaped(self, flow: Flow) -> None:
        assert isinstance(flow, ShapedFlow)
        size, left = self._allowance(flow, CHUNK_BYTES, CHUNKS_PER_BATCH)
        if not left:
            return
        if flow.convert is not None:
            self._copy_converted(flow, flow.convert, size, left)
        else:
            if size < CHUNK_BYTES:
                flow.moved = 0  # so little is not bulky
            self._copy(flow, size, left)
        flow.charge()

    def _allowance(self, flow: ShapedFlow, size: int, most: int) -> tuple[int, int]:
        """
        How many bytes to read at a time, ``size`` at most, and how often, ``most`` at most; if not
        once, the flow waits for its budget.
        """
        flow.charge()
        budget = flow.budget
        if budget is None:
            return size, most
        if budget.left <= 0:
            flow.queued = True
            self._poller.pause(flow.source_fd)
            budget.wait(flow, partial(self._resume, flow))
            return 0, 0
        size = min(size, budget.left)
        return size, min(most, budget.left // size)

    def _resume(self, flow: Flow) -> None:
        """The budget of ``flow`` has something left again."""
        if flow.ended:
            return
        self._poller.refresh()
        self.last_activity = self._poller.now
        self._poller.resume(flow.source_fd)
        self._dequeue(flow)

    def _copy_converted(
        self, flow: ShapedFlow, convert: Callable[[bytes], bytes], size: int, left: int
    ) -> None:
        for _ in range(left):
            try:
                data = os.read(flow.source_fd, size)
            except BlockingIOError:
                return
            except OSError as failed:
                self._fail(flow.side, failed.errno or 0, Operation.RECEIVE)
                return
            if not data:
                self._convert_end(flow)
                return
            flow.read += len(data)
            if not self.first_io:
                self.first_io = self.last_activity
            if not self._convert(flow, convert, data):
                return
            if len(data) < size and not flow.closing:
                return
        self._queue(flow)

    def _convert(self, flow: ShapedFlow, convert: Callable[[bytes], bytes], data: bytes) -> bool:
        """Convert and write what was read; whether to read on at once."""
        try:
            converted = convert(data)
        except EncodedEnd as end:
            self._write_last(flow, end.rest)
            return False
        except CodecError:
            self._broken(flow)
            return False
        self._show(flow, data, converted)
        return not self.ended and self._write(flow, converted)

    def _convert_end(self, flow: ShapedFlow) -> None:
        try:
            converted = flow.convert_end()
        except CodecError:
            self._broken(flow)
            return
        self._write_last(flow, converted)

    def _write_last(self, flow: ShapedFlow, converted: bytes) -> None:
        # What is written later is followed by the end of file all the same.
        flow.pull = self._end_of_file
        self._show(flow, b"", converted)
        if not self.ended and self._write(flow, converted):
            self._end_of_file(flow)

    def _show(self, flow: ShapedFlow, data: bytes, converted: bytes) -> None:
        """Show the tap data that the target receives or sends."""
        shown = converted if flow.side is SIDE_CLIENT else data
        if shown and self._tap is not None:
            self._tap(flow.side, shown)

    def _write(self, flow: ShapedFlow, data: bytes) -> bool:
        """Whether ``sink`` has accepted all of ``data``."""
        if not data:
            return True
        try:
            sent = os.write(flow.sink_fd, data)
        except BlockingIOError:
            sent = 0
        except OSError as failed:
            self._fail(OTHER[flow.side], failed.errno or 0, Operation.SEND)
            return False
        flow.written += sent
        if sent < len(data):
            self._keep(flow, data[sent:])
            return False
        return True

    def _broken(self, flow: ShapedFlow) -> None:
        """The encoded stream between the client and us is unusable."""
        if flow.side is SIDE_CLIENT:
            flow.ended = True
            self._fail(SIDE_CLIENT, EPROTO, Operation.RECEIVE)
        else:
            self._fail(SIDE_CLIENT, EPROTO, Operation.SEND)
