"""
The way out of an association in one family: to targets, and what they answer.

The first target has a connected socket to itself, which is cheaper, and safe from strangers; as
soon as there is a second one all others share another socket on the same port.  So does Dante, but
for the first, which it then treats as the others.  With ``udp.connectdst: no`` all share one
socket, and the rules are asked about whoever sends something there, as with Dante.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from time import time
from typing import TYPE_CHECKING, Final

from dantetw.addresses import without_zone
from dantetw.net.datagrams import bind_beside
from dantetw.net.poller import FAILED
from dantetw.net.zones import endpoint_of, sockaddr_of
from dantetw.policy import SocketOption
from dantetw.relay.routes import Answer, Helping, Route
from dantetw.values import Counts, Endpoint

if TYPE_CHECKING:
    from dantetw.relay.datagrams import DatagramRelay

#: Bytes of the longest datagram there is.
LARGEST: Final = 65535
#: Datagrams of one socket that are relayed before others get their turn.
TURN: Final = 16
#: Targets that may answer.  More than there are routes: who is asked now and then stays.
ASKED: Final = 2048

#: Others that have sent something, of whom it is known what the rules say.
UNASKED: Final = 256
#: Of these, those about whom the rules' answer may be waited for.  Anybody can send from ever new
#: addresses, and who was asked must not wait behind them.
PENDING: Final = 32

# Room for the header in front of an answer: that of an IPv6 address is the longest.
_ROOM: Final = 22
# One for all relays of the process: what is in it never outlives a call.
_buffer: Final = bytearray(_ROOM + LARGEST)
_view: Final = memoryview(_buffer)
_payload: Final = _view[_ROOM:]


class Outside:
    """
    The way out in one family.

    :param sock: bound.
    :ivar source: our address and port.
    :ivar target: the one target; None: there are several, or none any more.
    :ivar connected_to: whose the first socket is.
    :ivar since: monotonic seconds of the beginning, ``stamp`` of the last datagram.
    :ivar to_client: bytes that the client has got from here, ``packets_to_client`` how many
        datagrams; likewise the others.  The client's include their headers.
    """

    __slots__ = (
        "_answers",
        "_drained",
        "_first_address",
        "_helping",
        "_options",
        "_relay",
        "_unasked",
        "connected_to",
        "first",
        "from_client",
        "from_target",
        "others",
        "packets_from_client",
        "packets_from_target",
        "packets_to_client",
        "packets_to_target",
        "since",
        "source",
        "stamp",
        "target",
        "to_client",
        "to_target",
    )

    def __init__(
        self, relay: DatagramRelay, sock: socket.socket, options: Sequence[SocketOption]
    ) -> None:
        self._relay = relay
        self._options = options
        self._answers: dict[tuple[str, int], Answer | None] = {}
        # What others send is relayed if the rules let it pass; None: it is not.
        self._unasked: dict[tuple[str, int], Answer] | None = None
        self._first_address: tuple[str, int] | None = None
        self._drained = False
        self._helping = Helping(TURN)
        self.first = sock
        self.others: socket.socket | None = None
        self.source = endpoint_of(sock.getsockname())
        self.connected_to: Endpoint | None = None
        self.target: Endpoint | None = None
        self.since = self.stamp = relay.poller.now
        self.to_client = self.from_client = self.to_target = self.from_target = 0
        self.packets_to_client = self.packets_from_client = 0
        self.packets_to_target = self.packets_from_target = 0
        relay.watch(sock, self._first_ready)

    def aim(self, route: Route, connect: bool) -> None:
        """
        Say how a route's datagrams go out.

        :param connect: the first target gets a socket to itself.
        :raises OSError: if that cannot be connected, or no other socket can be had.
        """
        target, answers = route.target, self._answers
        # Zones are left out where answers are told apart.
        host = without_zone(target.host) if "%" in target.host else target.host
        address = (host, target.port)
        route.outside = self
        if answers:
            if self.target != target:
                self.target = None
        else:
            if connect:
                self.first.connect(sockaddr_of(target.host, target.port))
                self.connected_to, self._first_address = target, address
            else:
                self._unasked = {}
            self.target = target
        answer = answers.pop(address, None)
        if len(answers) >= ASKED:
            oldest = next(iter(answers))
            kept = answers.pop(oldest)
            if oldest == self._first_address:
                answers[oldest] = kept
        answers[address] = answer
        if self.connected_to == target:
            route.sock = self.first
            if not route.tapped:
                route.send = route.sock.send
            return
        if self.connected_to is not None and self.others is None:
            self.others = bind_beside(self.first, target.family, self._options)
            self._relay.watch(self.others, self._others_ready)
        route.sock = self.others or self.first
        route.address = address if host is target.host else sockaddr_of(target.host, target.port)

    @property
    def counts(self) -> Counts:
        """Bytes."""
        return Counts(self.to_client, self.from_client, self.to_target, self.from_target)

    @property
    def packets(self) -> Counts:
        """Datagrams."""
        return Counts(
            self.packets_to_client,
            self.packets_from_client,
            self.packets_to_target,
            self.packets_from_target,
        )

    def ask_anew(self) -> None:
        """Forget what has been decided about answers; who may answer stays."""
        self._answers = {
            address: answer if answer is not None and answer.passes is None else None
            for address, answer in self._answers.items()
        }
        if self._unasked:
            self._unasked = {
                address: answer
                for address, answer in self._unasked.items()
                if answer.passes is None
            }

    def sockets(self) -> list[socket.socket]:
        """All there are."""
        return [self.first] if self.others is None else [self.first, self.others]

    def forget(self) -> None:
        """It is over: remember nobody."""
        self._answers = {}
        self._unasked = None

    # What targets answer.

    def _first_ready(self, mask: int) -> None:
        relay, sock = self._relay, self.first
        if mask & FAILED:
            relay.hear(self, sock)
        if not self._drained:
            # Who has sent what came before it was connected must be looked at; likewise if it is
            # not connected at all.
            self._drained = self._read(sock) and self.connected_to is not None
            return
        address = self._first_address
        assert self.connected_to is not None and address is not None
        receive, send, stopwatch = sock.recv_into, relay.client.send, relay.stopwatch
        answer, wait = self._answers[address], stopwatch.wait
        start = _lay(answer)
        number = moved = 0
        length, datagram = -1, _view
        for read in range(self._helping.size):
            try:
                count = receive(_payload)
            except BlockingIOError:
                self._helping.was(read)
                break
            except OSError:
                relay.hear(self, sock)
                if relay.ended:
                    return
                continue
            # Most often there is no more to do than this.
            if wait and start:
                if count != length:
                    # Those that come together are often of one length: then one view does.
                    length, datagram = count, _view[start : _ROOM + count]
                try:
                    send(datagram)
                except OSError:
                    pass  # it is tried once more below, where there is time to look
                else:
                    number += 1
                    moved += count
                    wait -= 1
                    continue
            stopwatch.wait = wait
            self._count(number, moved, _ROOM - start)
            number = moved = 0
            if answer is None:
                answer = self._answers[address] = Answer(self.connected_to, self)
                relay.owner.answer(answer)
                if relay.ended:
                    return
            self._take(sock, answer, count)
            if relay.ended:
                return
            wait, start, length = stopwatch.wait, _lay(answer), -1
        else:
            self._helping.full()
        stopwatch.wait = wait
        self._count(number, moved, _ROOM - start)

    def _count(self, number: int, moved: int, header: int) -> None:
        """Count answers and their bytes; ``header`` is the size of each one's header."""
        if number:
            self.packets_from_target += number
            self.from_target += moved
            self.packets_to_client += number
            self.to_client += moved + number * header
            self._relay.stamp = self.stamp = self._relay.poller.now

    def _others_ready(self, mask: int) -> None:
        assert self.others is not None
        if mask & FAILED:
            self._relay.hear(self, self.others)
        self._read(self.others)

    def _read(self, sock: socket.socket) -> bool:
        """Take what anybody has sent; True if that was all."""
        relay = self._relay
        for _ in range(TURN):
            if relay.ended:
                return False
            try:
                count, address = sock.recvfrom_into(_payload)
            except BlockingIOError:
                return True
            except OSError:
                relay.hear(self, sock)
                continue
            key = address[:2]
            try:
                answer = self._answers[key]
            except KeyError:
                if self._unasked is None:
                    relay.owner.unasked()
                    continue
                answer = self._unasked.get(key)
                if answer is None:
                    answer = self._admit(key, endpoint_of(address))
                    if answer is None:
                        relay.owner.overflowed(1)
                        continue
            else:
                if answer is None:
                    answer = self._answers[key] = Answer(endpoint_of(address), self)
                    relay.owner.answer(answer)
            if relay.ended:
                return False
            self._take(sock, answer, count)
        return False

    def _admit(self, key: tuple[str, int], sender: Endpoint) -> Answer | None:
        """Somebody has sent something who was not asked: ask the rules; None: too many wait."""
        relay, unasked = self._relay, self._unasked
        assert unasked is not None
        if sum(each.passes is None for each in unasked.values()) >= PENDING:
            return None
        if len(unasked) >= UNASKED:
            del unasked[next(at for at, each in unasked.items() if each.passes is not None)]
        answer = unasked[key] = Answer(sender, self)
        relay.owner.answer(answer)
        return answer

    def _take(self, sock: socket.socket, answer: Answer, count: int) -> None:
        """See to an answer in the buffer."""
        relay, stopwatch = self._relay, self._relay.stopwatch
        self.packets_from_target += 1
        self.from_target += count
        if answer.passes is None:
            if not relay.hold(answer, bytes(_payload[:count])):
                relay.owner.overflowed(1)
        elif not answer.passes:
            relay.owner.blocked(answer)
        elif stopwatch.wait:
            stopwatch.wait -= 1
            self._return(answer, count)
        else:
            read_at = time()
            self._return(answer, count)
            if not relay.ended:
                stopwatch.measure(sock.fileno(), read_at, stopwatch.to_client)

    def answered(self, answer: Answer) -> None:
        """It has turned out what becomes of a target's answers: see to those that have waited."""
        relay = self._relay
        relay.poller.refresh()
        for data in relay.release(answer):
            if relay.ended:
                return
            _payload[: len(data)] = data
            if answer.passes:
                self._return(answer, len(data))
            else:
                relay.owner.blocked(answer)

    def _return(self, answer: Answer, count: int) -> None:
        """Send what is in the buffer to the client."""
        start, relay = _ROOM - answer.size, self._relay
        _buffer[start:_ROOM] = answer.header
        sent = relay.send(None, relay.client, _view[start : _ROOM + count], None)
        if relay.ended:
            return
        if sent is None:
            relay.owner.overflowed(1)
        elif sent < 0:
            relay.owner.unsendable(answer, count, -sent)
        else:
            self.packets_to_client += 1
            self.to_client += sent
            relay.stamp = self.stamp = relay.poller.now
            if answer.tapped:
                relay.owner.seen(answer, _payload[:count])


def _lay(answer: Answer | None) -> int:
    """
    Put the header in front of answers that need no more than that.

    :returns: where it begins; 0 if that is not all they need.
    """
    if answer is None or not answer.passes or answer.tapped:
        return 0
    start = _ROOM - answer.size
    _buffer[start:_ROOM] = answer.header
    return start
