"""
The relay of datagrams (:rfc:`1928`, 7).

A client sends to one socket of ours; each family that it sends to by us has an
:class:`~dantetw.relay.outside.Outside`, which goes out from one address and port.

A datagram's header says where it is to go.  What has been decided about a header is remembered as
a :class:`~dantetw.relay.routes.Route`, about a sender as an :class:`~dantetw.relay.routes.Answer`,
so that most datagrams cost a comparison of bytes.  Decisions are not taken here, but by the
:class:`~dantetw.relay.routes.Owner`.

All sockets are watched level-triggered: of each so many datagrams are relayed, and then others have
their turn, so who sends without end keeps nobody waiting.  Nothing waits in memory but datagrams
whose fate is being found out, :data:`HELD` at most; what a socket does not take is lost, as
datagrams may be, and counted.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from time import time
from typing import Final

from dantetw.net.datagrams import drops_of, errors_of
from dantetw.net.poller import FAILED, IPoller
from dantetw.policy import SocketOption
from dantetw.relay.acquainting import Acquaintance
from dantetw.relay.latency import Stopwatch
from dantetw.relay.outside import LARGEST, TURN, Outside
from dantetw.relay.routes import Helping, Judged, Owner, Route
from dantetw.values import Endpoint, Family
from dantetw.wire.messages import ProtocolError
from dantetw.wire.udp import parse_datagram

#: Headers that are remembered of an association.
REMEMBERED: Final = 1024
#: Datagrams that may wait until it is known what becomes of them, and their bytes.
HELD: Final = 32
HELD_BYTES: Final = 65536

# One for all relays of the process: what is in it never outlives a call.
_buffer: Final = bytearray(LARGEST)
_view: Final = memoryview(_buffer)


class _Nothing(Route):
    """Stands for the last route where there was none: no datagram begins with its header."""

    def __init__(self) -> None:
        super().__init__(b"", Endpoint("", 0, Family.NAME))
        self.size = LARGEST + 1


_NOTHING: Final = _Nothing()


class DatagramRelay:
    """
    Carries one client's datagrams, and the answers to them.

    :param client: a bound socket; ``connected``: to the client, who is known.
    :ivar acquaintance: who the client is.
    :ivar owner: decides, until the end; ``stopwatch`` measures.
    :ivar stamp: monotonic seconds of the last activity; ``first_io``: of the first, or 0.0.
    :ivar outsides: by family.
    :ivar ended: nothing more will happen.
    """

    __slots__ = (
        "_held",
        "_held_bytes",
        "_helping",
        "_route",
        "_routes",
        "acquaintance",
        "client",
        "ended",
        "first_io",
        "outsides",
        "owner",
        "poller",
        "stamp",
        "stopwatch",
    )

    def __init__(
        self,
        poller: IPoller,
        client: socket.socket,
        owner: Owner,
        stopwatch: Stopwatch,
        connected: bool = False,
    ) -> None:
        self.poller = poller
        self.owner = owner
        self.stopwatch = stopwatch
        self.client = client
        self.outsides: dict[Family, Outside] = {}
        poller.refresh()
        self.stamp = poller.now
        self.first_io = 0.0
        self.ended = False
        self._route: Route = _NOTHING
        self._routes: dict[bytes, Route] = {}
        self._held = self._held_bytes = 0
        self._helping = Helping(TURN)
        self.watch(client, self._client_ready)
        self.acquaintance = Acquaintance(self, connected, _buffer)

    def open(self, family: Family, sock: socket.socket, options: Sequence[SocketOption]) -> Outside:
        """Go out by a bound socket, for this family; ``options`` are for another one like it."""
        outside = self.outsides[family] = Outside(self, sock, options)
        return outside

    def watch(self, sock: socket.socket, ready: Callable[[int], None]) -> None:
        """Let ``ready`` hear of a socket whose datagrams are measured."""
        self.stopwatch.prepare(sock.fileno())
        self.poller.watch_input(sock.fileno(), ready)

    # What the client sends.

    def _client_ready(self, mask: int) -> None:
        client = self.client
        if mask & FAILED:
            self.hear(None, client)
        if not self.acquaintance.complete:
            self.acquaintance.listen()
            return
        receive, stopwatch = client.recv_into, self.stopwatch
        route, wait = self._route, stopwatch.wait
        send, size, header = route.send, route.size, route.header
        number = moved = 0
        length, payload = -1, _view
        for read in range(self._helping.size):
            try:
                count = receive(_buffer)
            except BlockingIOError:
                self._helping.was(read)
                break
            except OSError:
                self.hear(None, client)
                if self.ended:
                    return
                continue
            # Most often a datagram is like the one before: then nothing is done but what must be.
            if wait and send and count >= size and _buffer.startswith(header):
                if count != length:
                    # Those that come together are often of one length: then one view does.
                    length, payload = count, _view[size:count]
                try:
                    send(payload)
                except OSError:
                    pass  # it is tried once more below, where there is time to look
                else:
                    number += 1
                    moved += count
                    wait -= 1
                    continue
            stopwatch.wait = wait
            self._count(route, number, moved)
            number = moved = 0
            self.consider(count)
            if self.ended:
                return
            route, wait, length = self._route, stopwatch.wait, -1
            send, size, header = route.send, route.size, route.header
        else:
            self._helping.full()
        stopwatch.wait = wait
        self._count(route, number, moved)

    def _count(self, route: Route, number: int, moved: int) -> None:
        """Count datagrams that were sent on, and their bytes."""
        outside = route.outside
        if number and outside is not None:
            outside.packets_from_client += number
            outside.from_client += moved
            outside.packets_to_target += number
            outside.to_target += moved - number * route.size
            self.stamp = outside.stamp = self.poller.now

    def consider(self, count: int) -> None:
        """See to the client's datagram in the buffer, whatever it is."""
        route = self._route
        if count < route.size or not _buffer.startswith(route.header):
            found = self._find(count)
            if found is None:
                return
            route = self._route = found
        stopwatch = self.stopwatch
        if not route.passes:
            self._blocked(route, count)
        elif stopwatch.wait:
            stopwatch.wait -= 1
            self._forward(route, count)
        else:
            read_at = time()
            self._forward(route, count)
            if not self.ended:
                stopwatch.measure(self.client.fileno(), read_at, stopwatch.to_target)

    def _find(self, count: int) -> Route | None:
        """The route of the datagram in the buffer, if it can be gone now."""
        try:
            asked, offset = parse_datagram(_view[:count])
        except ProtocolError as wrong:
            self.owner.malformed(_view[:count], wrong)
            return None
        header = bytes(_view[:offset])
        route = self._routes.get(header)
        if route is None:
            if len(self._routes) >= REMEMBERED:
                self._forget(next(iter(self._routes.values())))
            route = self._routes[header] = Route(header, asked)
            self.owner.route(route)
        if self.ended:
            return None
        if route.gone:
            # It could not be aimed, which has been told.
            self._count_lost(route, count)
            return None
        if route.passes is None:
            if not self.hold(route, bytes(_view[:count])):
                self.owner.overflowed(1)
                if not route.held:
                    self._forget(route)
            return None
        return route

    @staticmethod
    def _count_lost(route: Route, count: int) -> None:
        """Count a datagram that came for a way out and does not go."""
        if route.outside is not None:
            route.outside.packets_from_client += 1
            route.outside.from_client += count

    def _blocked(self, route: Route, count: int) -> None:
        outside = self.outsides.get(route.target.family)
        if outside is not None:
            outside.packets_from_client += 1
            outside.from_client += count
            outside.target = None
        self.owner.blocked(route)

    def _forward(self, route: Route, count: int) -> None:
        """Send what is in the buffer on."""
        outside, size = route.outside, route.size
        assert outside is not None and route.sock is not None
        outside.packets_from_client += 1
        outside.from_client += count
        payload = _view[size:count]
        sent = self.send(outside, route.sock, payload, route.address)
        if self.ended:
            return
        if sent is None:
            self.owner.overflowed(1)
        elif sent < 0:
            self.owner.unsendable(route, count - size, -sent)
        else:
            outside.packets_to_target += 1
            outside.to_target += sent
            self.stamp = outside.stamp = self.poller.now
            if route.tapped:
                self.owner.seen(route, payload)

    # What waits, and what is remembered.

    def hold(self, judged: Judged, data: bytes) -> bool:
        """Keep a datagram until it is known what becomes of it; False if there is no room."""
        if self._held >= HELD or self._held_bytes + len(data) > HELD_BYTES:
            return False
        self._held += 1
        self._held_bytes += len(data)
        judged.held.append(data)
        return True

    def release(self, judged: Judged) -> list[bytes]:
        """The datagrams that have waited, which do so no longer."""
        held, judged.held = judged.held, []
        self._held -= len(held)
        self._held_bytes -= sum(map(len, held))
        return held

    def settled(self, route: Route) -> None:
        """It has turned out what becomes of a route's datagrams: see to those that have waited."""
        self.poller.refresh()
        for data in self.release(route):
            if self.ended:
                return
            _view[: len(data)] = data
            if route.passes:
                self._forward(route, len(data))
            else:
                self._blocked(route, len(data))

    def drop(self, route: Route) -> int:
        """Remember nothing of a route, and give up what waits for it; how many that was."""
        if self._routes.get(route.header) is route:
            del self._routes[route.header]
        if route is self._route:
            self._route = _NOTHING
        route.gone = True
        held = self.release(route)
        for data in held:
            self._count_lost(route, len(data))
        return len(held)

    def _forget(self, route: Route) -> None:
        if lost := self.drop(route):
            self.owner.overflowed(lost)

    def ask_anew(self) -> None:
        """Forget what has been decided: names, in headers or in rules, may have moved."""
        for route in tuple(self._routes.values()):
            if route.passes is not None:
                self._forget(route)
        for outside in self.outsides.values():
            outside.ask_anew()

    # Sending, and what the network says of it.

    def send(
        self,
        outside: Outside | None,
        sock: socket.socket,
        data: memoryview,
        address: tuple[str, int] | None,
    ) -> int | None:
        """
        Send a datagram.

        :param outside: whose socket it is; None: the client's.
        :param address: None if the socket is connected.
        :returns: how many bytes; negative, the ``errno``; None: there is no room.
        """
        try:
            return sock.send(data) if address is None else sock.sendto(data, address)
        except BlockingIOError:
            return None
        except OSError as failed:
            # Often the failure of an earlier datagram, and then this one has not been tried.
            if not self.hear(outside, sock) or self.ended:
                return -(failed.errno or 1)
        try:
            return sock.send(data) if address is None else sock.sendto(data, address)
        except BlockingIOError:
            return None
        except OSError as failed:
            return -(failed.errno or 1)

    def hear(self, outside: Outside | None, sock: socket.socket) -> bool:
        """Tell what became of earlier datagrams; whether there was anything."""
        heard = False
        for number, target in errors_of(sock):
            heard = True
            if not self.ended:
                self.owner.delayed(outside, target, number)
        return heard

    @property
    def overflows(self) -> int:
        """Datagrams the kernel has dropped since they came faster than they could be relayed."""
        return sum(map(drops_of, self._served()))

    def _served(self) -> list[socket.socket]:
        found = [self.client]
        for outside in self.outsides.values():
            found += outside.sockets()
        return found

    def end(self) -> None:
        """End now."""
        if self.ended:
            return
        self.ended = True
        for sock in self._served() + self.acquaintance.sockets():
            self.poller.forget(sock.fileno())
            sock.close()
        # What refers to each other would stay until the garbage collector comes.
        for outside in self.outsides.values():
            outside.forget()
        self.outsides = {}
        self._routes = {}
        self._route = _NOTHING
        del self.acquaintance
        del self.owner
