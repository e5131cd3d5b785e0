"""Tests of :mod:`dantetw.net.peerport`, over the loopback interface."""

from __future__ import annotations

import errno
import socket

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.peerport import PeerPort
from dantetw.net.poller import EpollPoller, ReactorPoller
from dantetw.policy import BUILT_IN, Edge, SocketOption
from dantetw.values import Endpoint, Family
from tests.descriptors import descriptors
from tests.net.reactors import TurningReactor

LOOPBACK = Endpoint("127.0.0.1", 0, Family.IPV4)
LOOPBACK6 = Endpoint("::1", 0, Family.IPV6)


def option(edge: Edge, number: int, value: int) -> SocketOption:
    """A socket option as the configuration would have it."""
    return SocketOption(edge, socket.SOL_SOCKET, number, value, "x.y.z", BUILT_IN)


class BindTests(SynchronousTestCase):
    """The port, before it listens."""

    def bound(self, source: Endpoint) -> Endpoint:
        """What is bound for a wish."""
        port = PeerPort(source)
        self.addCleanup(port.close)
        return port.bound

    def test_any(self) -> None:
        """A port is chosen at once, and nobody can connect to it yet."""
        bound = self.bound(LOOPBACK)
        self.assertEqual(bound.host, "127.0.0.1")
        self.assertGreater(bound.port, 1023)
        with socket.socket() as peer:
            self.assertEqual(peer.connect_ex((bound.host, bound.port)), errno.ECONNREFUSED)

    def test_wish(self) -> None:
        """A port that is free is had; one that is taken is another."""
        first = PeerPort(LOOPBACK)
        wish = first.bound
        self.assertNotEqual(self.bound(wish).port, wish.port)
        first.close()
        self.assertEqual(self.bound(wish), wish)

    def test_privileged(self) -> None:
        """A wish below 1024 is not granted, whoever we are."""
        self.assertGreater(self.bound(Endpoint("127.0.0.1", 1023, Family.IPV4)).port, 1023)

    def test_unbindable(self) -> None:
        """An address that is not ours is an error, and no descriptor stays open."""
        before = descriptors()
        with self.assertRaises(OSError) as raised:
            PeerPort(Endpoint("192.0.2.1", 0, Family.IPV4))
        self.assertEqual(raised.exception.errno, errno.EADDRNOTAVAIL)
        self.assertEqual(descriptors() - before, set())


class ListenTests(SynchronousTestCase):
    """The port, when it listens."""

    poller_class: type[EpollPoller] | type[ReactorPoller] = EpollPoller

    def setUp(self) -> None:
        self.reactor = TurningReactor()
        self.poller = self.poller_class(self.reactor, self.reactor.seconds)
        self.poller.start()
        self.addCleanup(self.poller.stop)
        self.came: list[int] = []

    def listening(self, source: Endpoint = LOOPBACK, *options: SocketOption) -> PeerPort:
        """A port that listens."""
        port = PeerPort(source, options[:1])
        self.addCleanup(port.close)
        port.listen(self.poller, self.came.append, options[1:])
        return port

    def peer(self, port: PeerPort, waits: bool = True) -> socket.socket:
        """Somebody who connects."""
        family = socket.AF_INET6 if port.bound.family is Family.IPV6 else socket.AF_INET
        sock = socket.socket(family)
        self.addCleanup(sock.close)
        sock.settimeout(30)
        sock.connect((port.bound.host, port.bound.port))
        while waits and not self.came:
            self.reactor.turn(50)
        return sock

    def test_comes(self) -> None:
        """A peer is announced, and accepted as a socket that never blocks."""
        for source in (LOOPBACK, LOOPBACK6):
            with self.subTest(source):
                self.came.clear()
                port = self.listening(source)
                peer = self.peer(port)
                ours, who = port.accept()
                self.addCleanup(ours.close)
                self.assertEqual(who, Endpoint.of(peer.getsockname()))
                with self.assertRaises(BlockingIOError):
                    ours.recv(1)
                with self.assertRaises(BlockingIOError):
                    port.accept()

    def test_only_one(self) -> None:
        """When the port is closed whoever waits at it is reset, and others are refused."""
        port = self.listening()
        self.peer(port)
        second = self.peer(port)
        ours, _ = port.accept()
        self.addCleanup(ours.close)
        port.close()
        port.close()
        with self.assertRaises(ConnectionResetError):
            second.recv(1)
        with self.assertRaises(ConnectionRefusedError):
            self.peer(port, waits=False)

    def test_paused(self) -> None:
        """A port that is paused announces nobody, and whoever has come can still be accepted."""
        port = self.listening()
        self.peer(port)
        port.pause()
        self.came.clear()
        for _ in range(3):
            self.reactor.turn(0)
        self.assertEqual(self.came, [])
        port.resume()
        ours, _ = port.accept()
        self.addCleanup(ours.close)
        self.came.clear()
        self.peer(port)
        self.assertTrue(self.came)

    def test_options(self) -> None:
        """The peer's socket has what the port was given, and what every socket gets."""
        port = self.listening(
            LOOPBACK,
            option(Edge.EXTERNAL, socket.SO_RCVLOWAT, 2),
            option(Edge.EXTERNAL, socket.SO_PRIORITY, 3),
            option(Edge.INTERNAL, socket.SO_RCVLOWAT, 4),
        )
        self.peer(port)
        ours, _ = port.accept()
        self.addCleanup(ours.close)
        self.assertEqual(ours.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT), 2)
        self.assertEqual(ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1)
        self.assertEqual(ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), 1)

    def test_refused_options(self) -> None:
        """Options that the system refuses are told, early ones and late ones."""
        port = self.listening(
            LOOPBACK, option(Edge.EXTERNAL, 9999, 1), option(Edge.EXTERNAL, 9998, 1)
        )
        self.assertEqual([number for _, number in port.refused], [errno.ENOPROTOOPT] * 2)


class ReactorListenTests(ListenTests):
    """The same without epoll."""

    poller_class = ReactorPoller
