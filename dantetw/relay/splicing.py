"""
A relay in which the kernel moves the bytes.

Copying is cheapest for small chunks: one ``read`` and one ``write``.  Splicing, two ``splice``
calls through a pipe, costs more for each call, but nothing for each byte.  So a flow begins by
copying, changes over when it has moved :data:`SPLICE_ABOVE_BYTES` and still fills whole chunks, and
goes back when a batch brings little.  A flow that is converted always copies.
"""

from __future__ import annotations

from typing import Final

from dantetw.relay import pipes, syscall
from dantetw.relay.copying import CHUNK_BYTES, CopyingRelay
from dantetw.relay.flow import Flow, ShapedFlow
from dantetw.relay.relay import OTHER
from dantetw.values import Ending, Operation

#: Bytes that a flow copies before it is worth a pipe.
SPLICE_ABOVE_BYTES: Final = 256 * 1024
#: A flow of which a batch moves less than this goes back to copying.
COPY_BELOW_BYTES: Final = 16 * 1024
#: Splices of a flow before other sockets are served.
SPLICES_PER_BATCH: Final = 8

_move: Final = syscall.find()


def available() -> bool:
    """Whether this system can splice."""
    return _move is not None


class SplicingRelay(CopyingRelay):
    """Copies while a flow is chatty, splices while it is bulky."""

    __slots__ = ()

    def _bulky(self, flow: Flow) -> bool:
        flow.moved += CHUNK_BYTES
        # Splicing stops at urgent data and does not get past it.
        if flow.moved < SPLICE_ABOVE_BYTES or flow.urgent:
            return False
        try:
            flow.pipe = pipes.take()
        except OSError:
            flow.moved = 0  # no descriptors left: go on copying, and try again later
            return False
        shaped = isinstance(flow, ShapedFlow)
        flow.pull = self._splice_shaped if shaped else self._splice
        flow.flush = self._flush_pipe
        return True

    def _splice_shaped(self, flow: Flow) -> None:
        assert isinstance(flow, ShapedFlow)
        size, left = self._allowance(flow, pipes.SIZE, SPLICES_PER_BATCH)
        if left:
            self._splice(flow, size, left)
            flow.charge()

    def _splice(self, flow: Flow, size: int = pipes.SIZE, left: int = SPLICES_PER_BATCH) -> None:
        # At most ``left`` splices of ``size`` bytes.
        assert flow.pipe is not None
        if flow.urgent:
            self._copy_again(flow)
            flow.pull(flow)
            return
        reading, writing = flow.pipe
        source, sink = flow.source_fd, flow.sink_fd
        assert _move is not None
        moved = 0
        for _ in range(left):
            try:
                count = _move(source, writing, size)
            except BlockingIOError:
                if moved < COPY_BELOW_BYTES:
                    self._copy_again(flow)
                return
            except OSError as failed:
                self._fail(flow.side, failed.errno or 0, Operation.RECEIVE)
                return
            if not count:
                # The end of file, or urgent data with one behind it: a read shows which.
                self._copy_again(flow)
                flow.pull(flow)
                return
            flow.read += count
            moved += count
            try:
                sent = _move(reading, sink, count)
            except BlockingIOError:
                sent = 0
            except OSError as failed:
                flow.waiting = count
                self._fail(OTHER[flow.side], failed.errno or 0, Operation.SEND)
                return
            flow.written += sent
            if sent < count:
                flow.waiting = count - sent
                self._poller.block(source, sink)
                # A splice that moved something stops short also where the sink would take more.
                if sent:
                    self._flush_pipe(flow)
                return
        self._queue(flow)

    def _flush_pipe(self, flow: Flow) -> None:
        assert flow.pipe is not None and _move is not None
        while flow.waiting:
            try:
                sent = _move(flow.pipe[0], flow.sink_fd, flow.waiting)
            except BlockingIOError:
                return
            except OSError as failed:
                self._fail(OTHER[flow.side], failed.errno or 0, Operation.SEND)
                return
            flow.written += sent
            flow.waiting -= sent
        self._poller.unblock(flow.source_fd, flow.sink_fd)
        # Not at once: a fast source could keep this loop running forever.
        self._queue(flow)

    def _copy_again(self, flow: Flow) -> None:
        self._free_pipe(flow)
        flow.moved = 0
        shaped = isinstance(flow, ShapedFlow)
        flow.pull = self._copy_shaped if shaped else self._copy
        flow.flush = self._send_pending

    def _free_pipe(self, flow: Flow) -> None:
        if flow.pipe is not None:
            pipes.give_back(flow.pipe, empty=not flow.waiting)
            flow.pipe = None

    def _drop(self, flow: Flow) -> None:
        self._free_pipe(flow)
        flow.waiting = 0
        super()._drop(flow)

    def _finish(self, ending: Ending) -> None:
        self._free_pipe(self.up)
        self._free_pipe(self.down)
        super()._finish(ending)


def relay_class(copies: bool) -> type[CopyingRelay]:
    """The relay for a session; ``copies``: its chunks are wanted, by a tap or a codec."""
    return CopyingRelay if copies or not available() else SplicingRelay
