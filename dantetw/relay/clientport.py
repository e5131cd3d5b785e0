"""
The port that an association's client sends to, and what both directions of the association share:
sending, network errors, and datagrams that wait for a decision.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

from dantetw.net.datagrams import errors_of
from dantetw.net.poller import IPoller
from dantetw.relay.flowcache import DatagramDelegate, DatagramFlow, EgressTraffic
from dantetw.relay.latency import Stopwatch
from dantetw.relay.meter import DatagramMeter

#: Bytes of the longest possible datagram.
MAX_DATAGRAM_BYTES: Final = 65535
#: Datagrams of one socket that are relayed before other sockets are served.
DATAGRAMS_PER_BATCH: Final = 16
#: Datagrams of an association that may wait for a decision, and their bytes.
MAX_HELD: Final = 32
MAX_HELD_BYTES: Final = 65536


class ReadBatch:
    """
    How many datagrams to read from a socket at a time.

    Finding the socket empty costs a system call and an exception, as much as relaying half a
    datagram.  So the number read is that of the last batch; if there are more the poller reports
    the socket again, and if that happens repeatedly, the number is doubled.

    :ivar size: from 1 to the most that are read before other sockets are served.
    """

    __slots__ = ("_filled", "_most", "size")

    def __init__(self, most: int) -> None:
        self._most = most
        self._filled = 0
        self.size = most

    def drained(self, read: int) -> None:
        """There were no more than ``read``."""
        self.size = max(1, read)

    def filled(self) -> None:
        """There may have been more."""
        self._filled += 1
        if not self._filled & 3:
            self.size = min(2 * self.size, self._most)


class ClientPort:
    """
    A client's socket.

    :param client: a bound socket.
    :ivar delegate: decides, until the end; ``stopwatch`` measures.
    :ivar last_activity: monotonic seconds; ``first_io``: of the first datagram, or 0.0.
    :ivar up: keeps what the client sends to a budget, ``down``: what targets send; None: there is
        no budget.
    :ivar ended: whether the relay has ended.
    """

    __slots__ = (
        "_held",
        "_held_bytes",
        "client",
        "delegate",
        "down",
        "ended",
        "first_io",
        "last_activity",
        "poller",
        "stopwatch",
        "up",
    )

    def __init__(
        self,
        poller: IPoller,
        client: socket.socket,
        delegate: DatagramDelegate,
        stopwatch: Stopwatch,
    ) -> None:
        self.poller = poller
        self.client = client
        self.delegate = delegate
        self.stopwatch = stopwatch
        poller.refresh()
        self.last_activity = poller.now
        self.first_io = 0.0
        self.up: DatagramMeter | None = None
        self.down: DatagramMeter | None = None
        self.ended = False
        self._held = self._held_bytes = 0

    def watch(
        self, sock: socket.socket, ready: Callable[[int], None], meter: DatagramMeter | None
    ) -> None:
        """
        Call ``ready`` when a socket has datagrams, whose latency is measured.

        :param meter: that of their direction, if it has a budget.
        """
        self.stopwatch.prepare(sock.fileno())
        if meter is None:
            self.poller.watch_input(sock.fileno(), ready)
        else:
            meter.watch(sock.fileno(), ready)

    def hold(self, flow: DatagramFlow, data: bytes) -> bool:
        """Keep a datagram until its flow is decided; False if there is no room."""
        if self._held >= MAX_HELD or self._held_bytes + len(data) > MAX_HELD_BYTES:
            return False
        self._held += 1
        self._held_bytes += len(data)
        flow.held.append(data)
        return True

    def take_held(self, flow: DatagramFlow) -> list[bytes]:
        """Remove and return the datagrams of a flow that have waited."""
        held, flow.held = flow.held, []
        self._held -= len(held)
        self._held_bytes -= sum(map(len, held))
        return held

    def send(
        self,
        egress: EgressTraffic | None,
        sock: socket.socket,
        data: memoryview,
        address: tuple[str, int] | None,
    ) -> int | None:
        """
        Send a datagram.

        :param egress: the owner of the socket; None: it is the client's.
        :param address: None if the socket is connected.
        :returns: how many bytes; negative, the ``errno``; None: there is no room.
        """
        try:
            return sock.send(data) if address is None else sock.sendto(data, address)
        except BlockingIOError:
            return None
        except OSError as failed:
            # Often the failure of an earlier datagram, and then this one has not been tried.
            if not self.report_errors(egress, sock) or self.ended:
                return -(failed.errno or 1)
        try:
            return sock.send(data) if address is None else sock.sendto(data, address)
        except BlockingIOError:
            return None
        except OSError as failed:
            return -(failed.errno or 1)

    def report_errors(self, egress: EgressTraffic | None, sock: socket.socket) -> bool:
        """Report earlier datagrams that did not arrive; returns whether there were any."""
        found = False
        for number, target in errors_of(sock):
            found = True
            if not self.ended:
                self.delegate.undelivered(egress, target, number)
        return found
