"""
The relay that lets the kernel move the bytes.

Copying is cheapest for the few bytes of a chat: one ``recv`` and one ``send``.  Splicing, two
``splice`` calls through a pipe, costs more for each call, but nothing for each byte.  So a flow
begins by copying, changes over when it has moved :data:`BULKY` bytes and still fills whole chunks,
and goes back when a turn brings little.
"""

from __future__ import annotations

from typing import Final

from dantetw.relay import pipes, syscall
from dantetw.relay.copying import CHUNK, OTHER, CopyingRelay, Flow
from dantetw.values import Ending, Operation

#: Bytes a flow copies before it is worth a pipe.
BULKY: Final = 256 * 1024
#: A turn that moves less than this goes back to copying.
CHATTY: Final = 16 * 1024
#: Splices in one turn before others get theirs.
TURN: Final = 8

_move: Final = syscall.find()


def available() -> bool:
    """Whether this system can splice."""
    return _move is not None


class SplicingRelay(CopyingRelay):
    """Copies while a flow is chatty, splices while it is bulky."""

    __slots__ = ()

    def _bulky(self, flow: Flow) -> bool:
        flow.moved += CHUNK
        # Splicing stops at urgent data and does not get past it.
        if flow.moved < BULKY or flow.urgent:
            return False
        try:
            flow.pipe = pipes.take()
        except OSError:
            flow.moved = 0  # no descriptors left: go on copying, and ask again later
            return False
        flow.pull, flow.flush = self._splice, self._flush_pipe
        return True

    def _splice(self, flow: Flow) -> None:
        assert flow.pipe is not None
        if flow.urgent:
            self._copy_again(flow)
            self._copy(flow)
            return
        reading, writing = flow.pipe
        source, sink = flow.source_fd, flow.sink_fd
        assert _move is not None
        moved = 0
        for _ in range(TURN):
            try:
                count = _move(source, writing, pipes.SIZE)
            except BlockingIOError:
                if moved < CHATTY:
                    self._copy_again(flow)
                return
            except OSError as failed:
                self._fail(flow.side, failed.errno or 0, Operation.RECEIVE)
                return
            if not count:
                # The end of file, or urgent data with one behind it: reading tells.
                self._copy_again(flow)
                self._copy(flow)
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
        # Not at once: the source may be fast enough to keep us here for ever.
        self._queue(flow)

    def _copy_again(self, flow: Flow) -> None:
        self._free_pipe(flow)
        flow.moved = 0
        flow.pull, flow.flush = self._copy, self._send_pending

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


def relay_class(tapped: bool) -> type[CopyingRelay]:
    """The relay for a session: one that can show its chunks if they are wanted."""
    return CopyingRelay if tapped or not available() else SplicingRelay
