"""
The address from which an association sends to targets of one family, and their replies.

The first target has its own connected socket, which is cheaper, and safe from strangers.  From the
second target on, all others share another socket on the same port.  Dante does the same, but then
treats the first target like the others.  With ``udp.connectdst: no`` all share one socket, and the
rules are asked about every sender, as in Dante.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from time import time
from typing import Final

from dantetw.addresses import without_zone
from dantetw.net.datagrams import bind_beside
from dantetw.net.poller import FAILED
from dantetw.net.zones import endpoint_of, sockaddr_of
from dantetw.policy import SocketOption
from dantetw.relay.clientport import (
    DATAGRAMS_PER_BATCH,
    MAX_DATAGRAM_BYTES,
    ClientPort,
    ReadBatch,
)
from dantetw.relay.flowcache import EgressTraffic, OutboundFlow, ReplyFlow
from dantetw.values import Endpoint

#: Targets of an association that may reply.  More than the cache has outbound flows, so that rarely
#: used targets stay.
MAX_TARGETS: Final = 2048
#: Other senders for which the rules' decision is cached.
MAX_UNSOLICITED: Final = 256
#: Of these, those whose decision may be waited for.  A flood from ever new addresses must not keep
#: targets waiting.
MAX_UNDECIDED: Final = 32

# Room for the header in front of a reply: that of an IPv6 address is the longest.
_ROOM: Final = 22
# One for all relays of the process: its content never outlives a call.
_buffer: Final = bytearray(_ROOM + MAX_DATAGRAM_BYTES)
_view: Final = memoryview(_buffer)
_payload: Final = _view[_ROOM:]


class Egress(EgressTraffic):
    """
    The sockets of one family, bound to one address and port.

    :param sock: bound.
    :param options: for another socket like it.
    """

    __slots__ = (
        "_batch",
        "_drained",
        "_first_address",
        "_options",
        "_port",
        "_replies",
        "_unsolicited",
        "first",
        "others",
    )

    def __init__(
        self, port: ClientPort, sock: socket.socket, options: Sequence[SocketOption]
    ) -> None:
        super().__init__(endpoint_of(sock.getsockname()), port.poller.now)
        self._port = port
        self._options = options
        self._replies: dict[tuple[str, int], ReplyFlow | None] = {}
        # What others send is relayed if the rules pass it; None: it is not.
        self._unsolicited: dict[tuple[str, int], ReplyFlow] | None = None
        self._first_address: tuple[str, int] | None = None
        self._drained = False
        self._batch = ReadBatch(DATAGRAMS_PER_BATCH)
        self.first = sock
        self.others: socket.socket | None = None
        port.watch(sock, self._first_ready, port.down)

    def assign(self, flow: OutboundFlow, connect: bool) -> None:
        """
        Choose the socket that a flow's datagrams are sent from.

        :param connect: the first target gets its own socket.
        :raises OSError: if that cannot be connected, or no other socket can be had.
        """
        target, replies = flow.target, self._replies
        # Replies are distinguished without zones.
        host = without_zone(target.host) if "%" in target.host else target.host
        address = (host, target.port)
        flow.egress = self
        if replies:
            if self.target != target:
                self.target = None
        else:
            if connect:
                self.first.connect(sockaddr_of(target.host, target.port))
                self.connected_to, self._first_address = target, address
            else:
                self._unsolicited = {}
            self.target = target
        reply = replies.pop(address, None)
        if len(replies) >= MAX_TARGETS:
            oldest = next(iter(replies))
            kept = replies.pop(oldest)
            if oldest == self._first_address:
                replies[oldest] = kept
        replies[address] = reply
        if self.connected_to == target:
            flow.sock = self.first
            if not flow.tapped:
                flow.send = flow.sock.send
            return
        if self.connected_to is not None and self.others is None:
            self.others = bind_beside(self.first, target.family, self._options)
            self._port.watch(self.others, self._others_ready, self._port.down)
        flow.sock = self.others or self.first
        flow.address = address if host is target.host else sockaddr_of(target.host, target.port)

    def forget_decisions(self) -> None:
        """Forget the decisions about replies; the targets that may reply are kept."""
        self._replies = {
            address: reply if reply is not None and reply.passes is None else None
            for address, reply in self._replies.items()
        }
        if self._unsolicited:
            self._unsolicited = {
                address: reply
                for address, reply in self._unsolicited.items()
                if reply.passes is None
            }

    def sockets(self) -> list[socket.socket]:
        """All there are."""
        return [self.first] if self.others is None else [self.first, self.others]

    def forget(self) -> None:
        """The relay has ended: drop all references to it."""
        self._replies = {}
        self._unsolicited = None

    # Replies of targets.

    def _first_ready(self, mask: int) -> None:
        port, sock = self._port, self.first
        if mask & FAILED:
            port.report_errors(self, sock)
        if not self._drained:
            # Datagrams that came before the socket was connected may be from any sender; if it
            # is not connected, all may be.
            self._drained = self._read(sock) and self.connected_to is not None
            return
        address = self._first_address
        assert self.connected_to is not None and address is not None
        receive, send, stopwatch = sock.recv_into, port.client.send, port.stopwatch
        flow, wait = self._replies[address], stopwatch.wait
        start = _lay_header(flow)
        number = moved = 0
        length, datagram = -1, _view
        for read in range(self._batch.size):
            try:
                count = receive(_payload)
            except BlockingIOError:
                self._batch.drained(read)
                break
            except OSError:
                port.report_errors(self, sock)
                if port.ended:
                    return
                continue
            # The usual case needs only this.
            if wait and start:
                if count != length:
                    # Datagrams of one batch often have one length: then one view does.
                    length, datagram = count, _view[start : _ROOM + count]
                try:
                    send(datagram)
                except OSError:
                    pass  # it is tried again below, where errors are looked at
                else:
                    number += 1
                    moved += count
                    wait -= 1
                    continue
            stopwatch.wait = wait
            self._count(number, moved, _ROOM - start)
            number = moved = 0
            if flow is None:
                flow = self._replies[address] = ReplyFlow(self.connected_to, self)
                port.delegate.decide_reply(flow)
                if port.ended:
                    return
            self._reply(sock, flow, count)
            if port.ended:
                return
            wait, start, length = stopwatch.wait, _lay_header(flow), -1
        else:
            self._batch.filled()
        stopwatch.wait = wait
        self._count(number, moved, _ROOM - start)

    def _count(self, number: int, moved: int, header: int) -> None:
        """Count replies and their bytes; ``header`` is the size of each one's header."""
        if number:
            self.packets_from_target += number
            self.from_target += moved
            self.packets_to_client += number
            self.to_client += moved + number * header
            self._port.last_activity = self.last_activity = self._port.poller.now

    def _others_ready(self, mask: int) -> None:
        assert self.others is not None
        if mask & FAILED:
            self._port.report_errors(self, self.others)
        self._read(self.others)

    def _read(self, sock: socket.socket) -> bool:
        """Read from any sender; True if that was all."""
        port = self._port
        for _ in range(DATAGRAMS_PER_BATCH):
            if port.ended:
                return False
            try:
                count, address = sock.recvfrom_into(_payload)
            except BlockingIOError:
                return True
            except OSError:
                port.report_errors(self, sock)
                continue
            key = address[:2]
            try:
                flow = self._replies[key]
            except KeyError:
                if self._unsolicited is None:
                    port.delegate.unsolicited()
                    continue
                flow = self._unsolicited.get(key)
                if flow is None:
                    flow = self._admit(key, endpoint_of(address))
                    if flow is None:
                        port.delegate.overflowed(1)
                        continue
            else:
                if flow is None:
                    flow = self._replies[key] = ReplyFlow(endpoint_of(address), self)
                    port.delegate.decide_reply(flow)
            if port.ended:
                return False
            self._reply(sock, flow, count)
        return False

    def _admit(self, key: tuple[str, int], sender: Endpoint) -> ReplyFlow | None:
        """Ask the rules about a sender that is no target; None: too many wait for a decision."""
        port, unsolicited = self._port, self._unsolicited
        assert unsolicited is not None
        if sum(each.passes is None for each in unsolicited.values()) >= MAX_UNDECIDED:
            return None
        if len(unsolicited) >= MAX_UNSOLICITED:
            del unsolicited[next(at for at, each in unsolicited.items() if each.passes is not None)]
        flow = unsolicited[key] = ReplyFlow(sender, self)
        port.delegate.decide_reply(flow)
        return flow

    def _reply(self, sock: socket.socket, flow: ReplyFlow, count: int) -> None:
        """Relay the reply in the buffer, if its flow passes."""
        port, stopwatch = self._port, self._port.stopwatch
        self.packets_from_target += 1
        self.from_target += count
        if flow.passes is None:
            if not port.hold(flow, bytes(_payload[:count])):
                port.delegate.overflowed(1)
        elif not flow.passes:
            port.delegate.blocked(flow)
        elif stopwatch.wait:
            stopwatch.wait -= 1
            self._send_back(flow, count)
        else:
            read_at = time()
            self._send_back(flow, count)
            if not port.ended:
                stopwatch.measure(sock.fileno(), read_at, stopwatch.to_client)

    def release(self, flow: ReplyFlow) -> None:
        """A late decision was made: relay or drop the replies that have waited for it."""
        port = self._port
        port.poller.refresh()
        for data in port.take_held(flow):
            if port.ended:
                return
            _payload[: len(data)] = data
            if flow.passes:
                self._send_back(flow, len(data))
            else:
                port.delegate.blocked(flow)

    def _send_back(self, flow: ReplyFlow, count: int) -> None:
        """Send the reply in the buffer to the client."""
        start, port = _ROOM - flow.size, self._port
        _buffer[start:_ROOM] = flow.header
        sent = port.send(None, port.client, _view[start : _ROOM + count], None)
        if port.ended:
            return
        if sent is None:
            port.delegate.overflowed(1)
        elif sent < 0:
            port.delegate.send_failed(flow, count, -sent)
        else:
            self.packets_to_client += 1
            self.to_client += sent
            port.last_activity = self.last_activity = port.poller.now
            if flow.tapped:
                port.delegate.relayed(flow, _payload[:count])


def _lay_header(flow: ReplyFlow | None) -> int:
    """
    Put the header in front of replies that need nothing else.

    :returns: where it begins; 0 if they need more.
    """
    if flow is None or not flow.passes or flow.tapped:
        return 0
    start = _ROOM - flow.size
    _buffer[start:_ROOM] = flow.header
    return start
