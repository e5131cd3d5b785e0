"""Tests of :mod:`dantetw.net.transports`."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IPushProducer, ITransport
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from dantetw.net.poller import READABLE, EpollPoller, ReactorPoller
from dantetw.net.transports import CHUNK, ClientTransport, SocketLost, address_of
from dantetw.values import Endpoint, Family, Operation
from tests.net.reactors import TurningReactor, connected, until


class Listening(Protocol):
    """Writes down what it gets; ``act`` may do something with it."""

    def __init__(self, act: Callable[[bytes], object] = lambda data: None) -> None:
        self.got: list[bytes] = []
        self.lost: list[Failure] = []
        self.act = act

    def dataReceived(self, data: bytes) -> None:
        self.got.append(data)
        self.act(data)

    def connectionLost(self, reason: Failure = error.ConnectionDone) -> None:  # type: ignore[assignment]
        self.lost.append(reason)


class TransportCase(SynchronousTestCase):
    """A client and the server's end of its connection."""

    poller_class: type[EpollPoller] | type[ReactorPoller]

    def setUp(self) -> None:
        self.reactor = TurningReactor()
        self.poller = self.poller_class(self.reactor, self.reactor.seconds)
        self.poller.start()
        self.addCleanup(self.poller.stop)
        self.protocol = Listening()

    def serve(self, buffers: int = 0) -> None:
        """Let a client come in."""
        self.client, self.near = connected(buffers=buffers)
        self.addCleanup(self.client.sock.close)
        self.addCleanup(self.near.close)
        self.transport = ClientTransport(
            self.near, self.near.getpeername(), self.poller, self.protocol
        )
        self.protocol.makeConnection(self.transport)

    def until(self, true: Callable[[], bool]) -> None:
        """Turn everything until ``true``."""
        until(self.reactor, [self.client], true)

    def all(self) -> bytes:
        """All that the protocol got."""
        return b"".join(self.protocol.got)

    def lost(self) -> BaseException:
        """Why the connection was lost, once."""
        self.until(lambda: bool(self.protocol.lost))
        self.reactor.settle()
        self.assertEqual(len(self.protocol.lost), 1)
        self.assertEqual(self.near.fileno(), -1)
        return self.protocol.lost[0].value


_Suite = TransportCase if TYPE_CHECKING else object


class TransportSuite(_Suite):
    """What a negotiation relies on."""

    def test_interfaces(self) -> None:
        """It is a transport like any other."""
        self.serve()
        verifyObject(ITransport, self.transport)
        verifyObject(IPushProducer, self.transport)

    def test_addresses(self) -> None:
        """It knows both ends, also after the connection has gone."""
        self.serve()
        host, port = self.client.sock.getpeername()
        here = IPv4Address("TCP", host, port)
        there = IPv4Address("TCP", *self.client.sock.getsockname())
        for _ in range(2):
            self.assertEqual((self.transport.getHost(), self.transport.getPeer()), (here, there))
            self.transport.loseConnection()

    def test_told_its_address(self) -> None:
        """Our end need not be asked for if it is known."""
        self.serve()
        local = Endpoint("2001:db8::1", 1080, Family.IPV6)
        other, near = connected()
        self.addCleanup(other.sock.close)
        self.addCleanup(near.close)
        transport = ClientTransport(near, near.getpeername(), self.poller, self.protocol, local)
        self.assertEqual(transport.getHost(), IPv6Address("TCP", "2001:db8::1", 1080))

    def test_reads(self) -> None:
        """Whole, byte by byte and in random pieces: what was sent arrives."""
        data = Random(1).randbytes(3 * CHUNK + 17)
        for pieces in ([len(data)], [1] * 300, [CHUNK, CHUNK - 1, 2 * CHUNK]):
            self.protocol = Listening()
            self.serve()
            sent = 0
            for size in pieces:
                self.client.send(data[sent : sent + size])
                sent = min(sent + size, len(data))
                self.until(lambda: len(self.all()) == sent)  # noqa: B023 - at once
            self.assertTrue(self.all() == data[:sent])
            self.assertLessEqual(max(map(len, self.protocol.got)), CHUNK)

    def test_hints(self) -> None:
        """Whoever takes the socket is not told to read what has been read."""
        self.serve()
        for size in (1, CHUNK):
            self.client.sock.send(bytes(size))
            self.reactor.turn(50)
            self.reactor.settle()
            self.assertFalse(self.transport.hints & READABLE)
        self.assertEqual(len(self.all()), 1 + CHUNK)

    def test_urgent(self) -> None:
        """Urgent data does not hold up what is behind it."""
        self.serve()
        self.client.sock.send(b"a")
        self.client.sock.send(b"!", socket.MSG_OOB)
        self.client.sock.send(b"b")
        self.until(lambda: len(self.all()) == 3)
        self.assertEqual(self.all(), b"a!b")

    def test_end_of_file(self) -> None:
        """An end of file is an orderly end, and comes behind the data before it."""
        for data in (b"", b"x", bytes(CHUNK), bytes(CHUNK + 1)):
            self.protocol = Listening()
            self.serve()
            self.client.sock.send(data) if data else None
            self.client.sock.shutdown(socket.SHUT_WR)
            self.assertIsInstance(self.lost(), error.ConnectionDone)
            self.assertEqual(self.all(), data)

    def test_reset(self) -> None:
        """A reset is an error whose number is known."""
        self.serve()
        self.client.reset()
        lost = self.lost()
        assert isinstance(lost, SocketLost)
        self.assertEqual((lost.number, lost.operation), (errno.ECONNRESET, Operation.RECEIVE))
        self.assertIsInstance(lost, error.ConnectionLost)

    def test_reset_seen_by_write(self) -> None:
        """So is one that a write meets first; the protocol hears of it after its write."""
        self.serve()
        self.reactor.settle()
        self.client.reset()
        self.transport.write(b"x")
        self.assertEqual(self.protocol.lost, [])
        lost = self.lost()
        assert isinstance(lost, SocketLost)
        self.assertIn(lost.number, (errno.ECONNRESET, errno.EPIPE))
        self.assertIs(lost.operation, Operation.SEND)

    def test_write(self) -> None:
        """What is written goes out at once."""
        self.serve()
        self.transport.write(b"one ")
        self.transport.writeSequence([b"two ", b"three"])
        self.client.step()
        self.assertEqual(self.client.received, b"one two three")

    def test_write_queue(self) -> None:
        """What the kernel does not take is queued, and nothing of it is lost."""
        self.serve(buffers=4096)
        self.client.at_most = 0
        data = Random(2).randbytes(300_000)
        for start in range(0, len(data), 30_000):
            self.transport.write(data[start : start + 30_000])
        self.reactor.settle()
        self.client.at_most = 5000
        self.until(lambda: len(self.client.received) == len(data))
        self.assertTrue(self.client.received == data)
        self.client.send(b"still there")
        self.until(lambda: self.all() == b"still there")
        self.assertEqual(self.reactor.settle(), 0)

    def test_write_queue_while_paused(self) -> None:
        """Writing out the queue does not end a pause."""
        self.serve(buffers=4096)
        self.client.at_most = 0
        self.transport.write(bytes(300_000))
        self.transport.pauseProducing()
        self.client.send(b"later")
        self.client.at_most = 5000
        self.until(lambda: len(self.client.received) == 300_000)
        self.reactor.settle()
        self.assertEqual(self.protocol.got, [])
        self.transport.resumeProducing()
        self.until(lambda: self.all() == b"later")

    def test_write_afterwards(self) -> None:
        """Writing to what is closed does nothing, and so do all other orders."""
        self.serve()
        self.transport.loseConnection()
        self.transport.write(b"x")
        self.transport.pauseProducing()
        self.transport.resumeProducing()
        self.transport.stopProducing()
        self.assertEqual(len(self.protocol.lost), 1)

    def test_lose(self) -> None:
        """Closing is an orderly end for both."""
        self.serve()
        self.transport.write(b"bye")
        self.transport.loseConnection()
        self.assertIsInstance(self.lost(), error.ConnectionDone)
        self.until(lambda: self.client.eof)
        self.assertEqual(self.client.received, b"bye")

    def test_lose_unread(self) -> None:
        """The last answer arrives even if the client has sent more than was read."""

        def act(data: bytes) -> None:
            self.transport.write(b"no")
            self.transport.loseConnection()

        self.protocol.act = act
        self.serve()
        self.client.send(bytes(10 * CHUNK))
        self.until(lambda: bool(self.client.eof or self.client.error))
        self.assertEqual((self.client.received, self.client.error), (b"no", 0))

    def test_pause(self) -> None:
        """While it is paused nothing is delivered; afterwards everything."""
        self.serve()
        data = Random(3).randbytes(5 * CHUNK)
        self.protocol.act = lambda data: self.transport.pauseProducing()
        self.client.send(data)
        for count in range(1, 6):
            self.until(lambda: len(self.protocol.got) == count)  # noqa: B023 - at once
            self.reactor.settle()
            self.assertEqual(len(self.protocol.got), count)
            self.transport.resumeProducing()
        self.assertTrue(self.all() == data)
        self.client.send(b"more", shut=True)
        self.until(lambda: self.all().endswith(b"more"))
        self.assertEqual(self.protocol.lost, [])
        self.transport.resumeProducing()
        self.lost()

    def test_pause_at_the_end(self) -> None:
        """An end that comes during a pause is told after it."""
        self.serve()
        self.reactor.settle()
        self.transport.pauseProducing()
        self.client.send(b"last", shut=True)
        for _ in range(3):
            self.client.step()
        self.reactor.settle()
        self.assertEqual((self.protocol.got, self.protocol.lost), ([], []))
        self.transport.resumeProducing()
        self.lost()
        self.assertEqual(self.all(), b"last")

    def test_protocol_fails(self) -> None:
        """A protocol that raises loses its connection, and is told so."""
        self.protocol.act = lambda data: 1 // 0
        self.serve()
        self.client.send(b"x")
        self.assertIsInstance(self.lost(), ZeroDivisionError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_detach(self) -> None:
        """Whoever takes the socket away gets all that the protocol did not, wherever it is."""
        data = Random(4).randbytes(4 * CHUNK)
        for size in (10, CHUNK, CHUNK + 1, 4 * CHUNK):
            for shut in (False, True):
                self.protocol = Listening()
                self.serve()
                self.detach(data[:size], shut)

    def detach(self, data: bytes, shut: bool) -> None:
        """Send ``data``, take the socket with the first bytes, and read on."""
        taken = bytearray()
        ended: list[int] = []

        def read(mask: int) -> None:
            while not ended:
                try:
                    more = self.near.recv(1000)
                except BlockingIOError:
                    return
                taken.extend(more)
                if not more:
                    ended.append(1)
                    self.poller.pause(self.near.fileno())

        def act(first: bytes) -> None:
            sock = self.transport.detach()
            self.assertIs(sock, self.near)
            self.poller.pause(sock.fileno())
            self.poller.hand_over(sock.fileno(), read)

        self.protocol.act = act
        self.client.send(data, shut)
        for _ in range(3):
            self.client.step()
        self.until(lambda: bool(self.protocol.got))
        # Meanwhile more comes, which nobody hears of before the socket is used again.
        if not shut:
            self.client.send(b"more")
            self.client.step()
        self.poller.resume(self.near.fileno())
        if self.transport.hints:
            read(self.transport.hints)
        wanted = data if shut else data + b"more"
        self.until(lambda: len(self.all()) + len(taken) == len(wanted) and bool(ended) == shut)
        self.assertTrue(self.all() + taken == wanted)
        self.assertEqual((len(self.protocol.got), self.protocol.lost), (1, []))
        self.poller.forget(self.near.fileno())
        self.near.close()


class EpollTransportTests(TransportSuite, TransportCase):
    """With the nested epoll."""

    poller_class = EpollPoller


class ReactorTransportTests(TransportSuite, TransportCase):
    """With the reactor's means."""

    poller_class = ReactorPoller


class AddressTests(SynchronousTestCase):
    """Kernel addresses as Twisted has them."""

    def test_families(self) -> None:
        """Two parts make an IPv4 address, four an IPv6 address."""
        self.assertEqual(address_of(("192.0.2.1", 9)), IPv4Address("TCP", "192.0.2.1", 9))
        self.assertEqual(address_of(("::1", 9, 0, 0)), IPv6Address("TCP", "::1", 9, 0, 0))
