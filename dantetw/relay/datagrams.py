"""
The relay of datagrams (:rfc:`1928`, 7).

A client sends to one socket; each address family of its targets has an
:class:`~dantetw.relay.egress.Egress`, which sends from one address and port.

A datagram's header names its target.  The decision about a header is cached as an
:class:`~dantetw.relay.flowcache.OutboundFlow`, that about a sender as a
:class:`~dantetw.relay.flowcache.ReplyFlow`, so that most datagrams cost a comparison of bytes.
Decisions are made by the :class:`~dantetw.relay.flowcache.DatagramDelegate`.

All sockets are watched level-triggered: a batch of datagrams is relayed from each, and then the
others are served, so a flood from one sender does not delay the others.  Only datagrams whose flow
is not decided yet are held in memory, :data:`~dantetw.relay.clientport.MAX_HELD` at most.
Datagrams that a socket does not accept are dropped and counted.  Those beyond a budget wait in the
kernel (:mod:`.meter`).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from time import time
from typing import Final

from dantetw.net.datagrams import drops_of
from dantetw.net.poller import FAILED, IPoller
from dantetw.policy import SocketOption
from dantetw.relay.clientaddress import ClientAddress
from dantetw.relay.clientport import (
    DATAGRAMS_PER_BATCH,
    MAX_DATAGRAM_BYTES,
    ClientPort,
    ReadBatch,
)
from dantetw.relay.egress import Egress
from dantetw.relay.flowcache import DatagramDelegate, OutboundFlow, ReplyFlow
from dantetw.relay.latency import Stopwatch
from dantetw.relay.meter import DatagramMeter
from dantetw.relay.shaping import Shaping
from dantetw.values import Endpoint, Family
from dantetw.wire.messages import ProtocolError
from dantetw.wire.udp import parse_datagram

#: Headers of an association that the flow cache holds.
MAX_FLOWS: Final = 1024

# One for all relays of the process: its content never outlives a call.
_buffer: Final = bytearray(MAX_DATAGRAM_BYTES)
_view: Final = memoryview(_buffer)


class _NoFlow(OutboundFlow):
    """The latest flow where there is none yet: no datagram begins with its header."""

    def __init__(self) -> None:
        super().__init__(b"", Endpoint("", 0, Family.NAME))
        self.size = MAX_DATAGRAM_BYTES + 1


_NO_FLOW: Final = _NoFlow()


class DatagramRelay(ClientPort):
    """
    Carries one client's datagrams, and the replies to them.

    :param connected: the client's socket is connected to the client, whose address is known.
    :param shaping: the budgets of both directions, if they are limited.
    :ivar address: the client's, as far as it is known.
    :ivar egresses: by family.
    """

    __slots__ = ("_batch", "_flows", "_latest", "address", "egresses")

    def __init__(
        self,
        poller: IPoller,
        client: socket.socket,
        delegate: DatagramDelegate,
        stopwatch: Stopwatch,
        connected: bool = False,
        shaping: Shaping | None = None,
    ) -> None:
        super().__init__(poller, client, delegate, stopwatch)
        if shaping is not None:
            if shaping.up is not None:
                self.up = DatagramMeter(poller, shaping.up, self._read_from_client)
            if shaping.down is not None:
                self.down = DatagramMeter(poller, shaping.down, self._read_from_targets)
        self.egresses: dict[Family, Egress] = {}
        self._latest: OutboundFlow = _NO_FLOW
        self._flows: dict[bytes, OutboundFlow] = {}
        self._batch = ReadBatch(DATAGRAMS_PER_BATCH)
        self.watch(client, self._client_ready, self.up)
        self.address = ClientAddress(self, connected, _buffer, self._relay)

    def open(self, family: Family, sock: socket.socket, options: Sequence[SocketOption]) -> Egress:
        """Send from a bound socket to this family; ``options`` are for another one like it."""
        egress = self.egresses[family] = Egress(self, sock, options)
        return egress

    # Datagrams of the client.

    def _client_ready(self, mask: int) -> None:
        client = self.client
        if mask & FAILED:
            self.report_errors(None, client)
        if not self.address.complete:
            self.address.learn()
            return
        receive, stopwatch = client.recv_into, self.stopwatch
        flow, wait = self._latest, stopwatch.wait
        send, size, header = flow.send, flow.size, flow.header
        number = moved = 0
        length, payload = -1, _view
        for read in range(self._batch.size):
            try:
                count = receive(_buffer)
            except BlockingIOError:
                self._batch.drained(read)
                break
            except OSError:
                self.report_errors(None, client)
                if self.ended:
                    return
                continue
            # The usual case, a datagram like the one before, needs only this.
            if wait and send and count >= size and _buffer.startswith(header):
                if count != length:
                    # Datagrams of one batch often have one length: then one view does.
                    length, payload = count, _view[size:count]
                try:
                    send(payload)
                except OSError:
                    pass  # it is tried again below, where errors are looked at
                else:
                    number += 1
                    moved += count
                    wait -= 1
                    continue
            stopwatch.wait = wait
            self._count(flow, number, moved)
            number = moved = 0
            self._relay(count)
            if self.ended:
                return
            flow, wait, length = self._latest, stopwatch.wait, -1
            send, size, header = flow.send, flow.size, flow.header
        else:
            self._batch.filled()
        stopwatch.wait = wait
        self._count(flow, number, moved)

    def _count(self, flow: OutboundFlow, number: int, moved: int) -> None:
        """Count datagrams that were relayed, and their bytes."""
        egress = flow.egress
        if number and egress is not None:
            egress.packets_from_client += number
            egress.from_client += moved
            egress.packets_to_target += number
            egress.to_target += moved - number * flow.size
            self.last_activity = egress.last_activity = self.poller.now

    def _relay(self, count: int) -> None:
        """Relay the client's datagram in the buffer, if it can be parsed and its flow passes."""
        flow = self._latest
        if count < flow.size or not _buffer.startswith(flow.header):
            found = self._find(count)
            if found is None:
                return
            flow = self._latest = found
        stopwatch = self.stopwatch
        if not flow.passes:
            self._blocked(flow, count)
        elif stopwatch.wait:
            stopwatch.wait -= 1
            self._forward(flow, count)
        else:
            read_at = time()
            self._forward(flow, count)
            if not self.ended:
                stopwatch.measure(self.client.fileno(), read_at, stopwatch.to_target)

    def _find(self, count: int) -> OutboundFlow | None:
        """The flow of the datagram in the buffer; None: undecided, or the datagram was dropped."""
        try:
            asked, offset = parse_datagram(_view[:count])
        except ProtocolError as error:
            self.delegate.malformed(_view[:count], error)
            return None
        header = bytes(_view[:offset])
        flow = self._flows.get(header)
        if flow is None:
            if len(self._flows) >= MAX_FLOWS:
                self._forget(next(iter(self._flows.values())))
            flow = self._flows[header] = OutboundFlow(header, asked)
            self.delegate.decide_outbound(flow)
        if self.ended:
            return None
        if flow.gone:
            # Its target cannot be reached, which the delegate has logged.
            self._count_lost(flow, count)
            return None
        if flow.passes is None:
            if not self.hold(flow, bytes(_view[:count])):
                self.delegate.overflowed(1)
                if not flow.held:
                    self._forget(flow)
            return None
        return flow

    @staticmethod
    def _count_lost(flow: OutboundFlow, count: int) -> None:
        """Count a datagram of a flow that is not sent."""
        if flow.egress is not None:
            flow.egress.packets_from_client += 1
            flow.egress.from_client += count

    def _blocked(self, flow: OutboundFlow, count: int) -> None:
        egress = self.egresses.get(flow.target.family)
        if egress is not None:
            egress.packets_from_client += 1
            egress.from_client += count
            egress.target = None
        self.delegate.blocked(flow)

    def _forward(self, flow: OutboundFlow, count: int) -> None:
        """Send the datagram in the buffer to its target."""
        egress, size = flow.egress, flow.size
        assert egress is not None and flow.sock is not None
        egress.packets_from_client += 1
        egress.from_client += count
        payload = _view[size:count]
        sent = self.send(egress, flow.sock, payload, flow.address)
        if self.ended:
            return
        if sent is None:
            self.delegate.overflowed(1)
        elif sent < 0:
            self.delegate.send_failed(flow, count - size, -sent)
        else:
            egress.packets_to_target += 1
            egress.to_target += sent
            self.last_activity = egress.last_activity = self.poller.now
            if flow.tapped:
                self.delegate.relayed(flow, payload)

    # The flow cache.

    def release(self, flow: OutboundFlow) -> None:
        """A late decision was made: relay or drop the datagrams that have waited for it."""
        self.poller.refresh()
        for data in self.take_held(flow):
            if self.ended:
                return
            _view[: len(data)] = data
            if flow.passes:
                self._forward(flow, len(data))
            else:
                self._blocked(flow, len(data))

    def release_replies(self, flow: ReplyFlow) -> None:
        """The same for a target's replies."""
        egress = self.egresses.get(flow.sender.family)
        if egress is not None:
            egress.release(flow)

    def drop(self, flow: OutboundFlow) -> int:
        """Remove a flow from the cache, drop the datagrams it holds, and return their number."""
        if self._flows.get(flow.header) is flow:
            del self._flows[flow.header]
        if flow is self._latest:
            self._latest = _NO_FLOW
        flow.gone = True
        held = self.take_held(flow)
        for data in held:
            self._count_lost(flow, len(data))
        return len(held)

    def _forget(self, flow: OutboundFlow) -> None:
        if lost := self.drop(flow):
            self.delegate.overflowed(lost)

    def forget_decisions(self) -> None:
        """Forget all decisions: names, in headers or in rules, may have other addresses by now."""
        for flow in tuple(self._flows.values()):
            if flow.passes is not None:
                self._forget(flow)
        for egress in self.egresses.values():
            egress.forget_decisions()

    def _read_from_client(self) -> int:
        return sum(egress.from_client for egress in self.egresses.values())

    def _read_from_targets(self) -> int:
        return sum(egress.from_target for egress in self.egresses.values())

    @property
    def overflows(self) -> int:
        """Datagrams that the kernel dropped because they arrived faster than they were relayed."""
        return sum(map(drops_of, self._served()))

    def _served(self) -> list[socket.socket]:
        found = [self.client]
        for egress in self.egresses.values():
            found += egress.sockets()
        return found

    def end(self) -> None:
        """End now."""
        if self.ended:
            return
        self.ended = True
        for sock in self._served() + self.address.sockets():
            self.poller.forget(sock.fileno())
            sock.close()
        for meter in (self.up, self.down):
            if meter is not None:
                meter.end()
        # Reference cycles would stay until the garbage collector runs.
        for egress in self.egresses.values():
            egress.forget()
        self.egresses = {}
        self._flows = {}
        self._latest = _NO_FLOW
        del self.address
        del self.delegate
