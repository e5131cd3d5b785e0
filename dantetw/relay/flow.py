"""
One direction of a relay.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from dantetw.relay.shaping import Budget
from dantetw.values import Side


class Flow:
    """
    One direction of a relay.

    :ivar side: the side that sends these bytes.
    :ivar source_fd: the descriptor of ``source``, ``sink_fd`` that of ``sink``.  They must not be
        used after the relay has ended, when they may belong to other sockets.
    :ivar read: bytes read from ``source``; ``written``: bytes that ``sink`` has accepted.
    :ivar pending: bytes that ``sink`` has not accepted yet; ``waiting``: the number of bytes in a
        pipe.  While there are any of either, ``source`` is not read.
    :ivar closing: the poller has reported that something is behind what one read returns: the end
        of file, or urgent data, at which every read stops (``tcp(7)``); ``urgent``: the latter.
    :ivar queued: it waits for its next batch, or for its budget, and ``source`` is not read.
    :ivar ended: ``source`` has sent its end of file, and all before it has been written; or
        ``sink`` has failed.
    :ivar pull: reads ``source`` and writes to ``sink``; ``flush`` writes pending bytes.
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

    def cancel(self) -> None:
        """The relay has ended: wait for nothing."""


class ShapedFlow(Flow):
    """
    A direction that has a budget, or whose bytes are converted.

    :ivar budget: its budget; None: it is not limited.
    :ivar charged: those bytes of ``read`` that were taken from the budget.
    :ivar convert: converts a chunk, None: it passes as it is; ``convert_end``: the bytes behind the
        last one.
    """

    __slots__ = ("budget", "charged", "convert", "convert_end")

    def __init__(
        self,
        side: Side,
        source: socket.SocketType,
        sink: socket.SocketType,
        pull: Callable[[Flow], None],
        flush: Callable[[Flow], None],
        budget: Budget | None,
    ) -> None:
        super().__init__(side, source, sink, pull, flush)
        self.budget = budget
        self.charged = 0
        self.convert: Callable[[bytes], bytes] | None = None
        self.convert_end: Callable[[], bytes] = bytes

    def charge(self) -> None:
        """Charge the bytes read since the last call to the budget."""
        if self.budget is not None:
            self.budget.left -= self.read - self.charged
            self.charged = self.read

    def cancel(self) -> None:
        """The relay has ended: wait for nothing."""
        if self.budget is not None:
            self.budget.forget(self)
