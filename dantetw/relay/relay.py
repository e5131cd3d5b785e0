"""
The common part of relays of connections: reacting to the two sockets, keeping bytes that a sink
does not accept, and ending.  Its subclasses move the bytes.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from errno import ECONNRESET, EPROTO
from functools import partial
from typing import Final

from dantetw.net.poller import FAILED, HANGUP, READABLE, URGENT, WRITABLE, IPoller
from dantetw.net.queues import unsent
from dantetw.relay.flow import Flow
from dantetw.values import Cause, Ending, Operation, Phase, Side

#: Called with each chunk: the side that sent it, and the bytes (none: an end of file).
Tap = Callable[[Side, bytes], None]

OTHER: Final = {Side.CLIENT: Side.TARGET, Side.TARGET: Side.CLIENT}

_RESET: Final = struct.pack("ii", 1, 0)
# What the other side gets if this side's connection, or its encoded stream, broke off.
_PASSED_ON: Final = (ECONNRESET, EPROTO)
_USUAL: Final = READABLE | WRITABLE
_INCOMING: Final = READABLE | HANGUP | URGENT
_BEHIND: Final = HANGUP | URGENT


class Relay:
    """
    Carries bytes both ways until both sides have closed, or one fails.

    :param done: called once with how it ended; the sockets are closed after it.
    :param tap: if given, sees every chunk that the target receives or sends.
    :ivar up: the flow from client to target; ``down``: from target to client.
    :ivar last_activity: monotonic seconds; ``first_io``: of the first bytes, or 0.0.
    :ivar first_closed: the side that sent the first end of file; None if there was none yet.
    :ivar ended: whether the relay has ended.
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
        up: Flow,
        down: Flow,
        done: Callable[[Ending], None],
        tap: Tap | None,
    ) -> None:
        self._poller = poller
        self._done = done
        self._tap = tap
        self.up = up
        self.down = down
        # One object for each number, not two: 64 bytes less for an idle session.
        down.source_fd, down.sink_fd = up.sink_fd, up.source_fd
        self.last_activity = poller.now
        self.first_io = 0.0
        self.first_closed: Side | None = None
        self.ended = False
        self._failure: Ending | None = None

    # What the poller calls.

    def _client_ready(self, mask: int) -> None:
        self._ready(mask, self.up, self.down)

    def _target_ready(self, mask: int) -> None:
        self._ready(mask, self.down, self.up)

    def _ready(self, mask: int, inward: Flow, outward: Flow) -> None:
        # ``inward`` comes from the socket that is ready, ``outward`` goes to it.
        self.last_activity = self._poller.now
        # The usual case: there is data to read and none pending.
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
        # An error shows when the socket is read; but a finished or blocked flow does not read.
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
        """Let other sockets be served before ``flow`` continues."""
        flow.queued = True
        self._poller.again(partial(self._dequeue, flow))

    def _dequeue(self, flow: Flow) -> None:
        flow.queued = False
        self._continue(flow)

    # What a sink does not accept.

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
            # Both have ended; closing the sockets passes the second end of file on.
            self._finish(Ending(self.first_closed, Phase.RELAY, Cause.CLOSED))
            return
        # Where readiness is a level and not an edge, an end of file would be reported forever.
        self._poller.pause(flow.source_fd)
        try:
            flow.sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # closed already: the other flow gets the error

    def _fail(self, side: Side, number: int, operation: Operation) -> None:
        """
        The socket of ``side`` is dead.

        Nothing can be written to it any more, but what has come from it before is still there: in
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
        """Discard the bytes pending for a sink that has failed."""
        flow.pending = b""

    def _finish_failed(self, failure: Ending, flow: Flow) -> None:
        # Pass a reset on, unless that could cost the other side bytes it has not got yet.
        if failure.errno in _PASSED_ON and not unsent(flow.sink):
            flow.sink.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._finish(failure)

    def end(self, ending: Ending) -> None:
        """
        End now, for a local reason: a time limit, or the server's stop.

        If one side has failed and the other is still receiving the rest, that failure is the
        reason.
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
            # Without reference cycles all of a session is freed at once.
            for flow in (self.up, self.down):
                if flow.queued:
                    flow.cancel()
                flow.pull = flow.flush = _nothing


def _nothing(flow: Flow) -> None:
    """The ``pull`` and ``flush`` of a flow whose relay has ended."""
