"""Tests of :mod:`dantetw.net.datagrams`."""

from __future__ import annotations

import errno
import random
import socket

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net import datagrams
from dantetw.net.datagrams import (
    RANDOM_TRIES,
    bind_beside,
    bind_external,
    bind_internal,
    drops_of,
    errors_of,
)
from dantetw.policy import BUILT_IN, Edge, SocketOption
from dantetw.values import AF_OF, Endpoint, Family
from tests.descriptors import descriptors

HOST = "127.0.0.1"
HOSTS = {Family.IPV4: HOST, Family.IPV6: "::1"}


def option(edge: Edge, level: int, number: int, value: int) -> SocketOption:
    """A socket option as the configuration would have it."""
    return SocketOption(edge, level, number, value, "x.y.z", BUILT_IN)


BUFFERS = [
    option(Edge.INTERNAL, socket.SOL_SOCKET, socket.SO_RCVBUF, 30_000),
    option(Edge.EXTERNAL, socket.SOL_SOCKET, socket.SO_RCVBUF, 40_000),
    option(Edge.INTERNAL, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    option(Edge.EXTERNAL, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
]


class DatagramCase(SynchronousTestCase):
    """Sockets that are closed at the end."""

    def keep(self, sock: socket.socket) -> socket.socket:
        """Close it at the end."""
        self.addCleanup(sock.close)
        return sock

    def inside(self, ports: tuple[int, int] | None = None) -> socket.socket:
        """A socket for a client."""
        return self.keep(bind_internal(HOST, Family.IPV4, ports, ())[0])

    def far(self, family: Family = Family.IPV4) -> socket.socket:
        """Somebody else's socket."""
        sock = self.keep(socket.socket(AF_OF[family], socket.SOCK_DGRAM))
        sock.bind((HOSTS[family], 0))
        sock.settimeout(30)
        return sock

    def free(self, number: int) -> int:
        """The first of so many free ports in a row."""
        for _ in range(100):
            first = random.randint(20000, 30000)
            socks = []
            try:
                for port in range(first, first + number):
                    sock = socket.socket(type=socket.SOCK_DGRAM)
                    socks.append(sock)
                    sock.bind((HOST, port))
                return first
            except OSError:
                continue
            finally:
                for sock in socks:
                    sock.close()
        raise AssertionError("no free ports")


class InsideTests(DatagramCase):
    """Sockets for clients."""

    def test_any(self) -> None:
        """Without a range it is a port of the system's choice, in either family."""
        for family, host in HOSTS.items():
            sock, refused = bind_internal(host, family, None, ())
            self.keep(sock)
            self.assertEqual((sock.getsockname()[0], refused), (host, []))
            self.assertFalse(sock.getblocking())

    def test_range(self) -> None:
        """With one, each port of it is used, and no other; then there is none."""
        first = self.free(5)
        ports = (first, first + 4)
        found = {self.inside(ports).getsockname()[1] for _ in range(5)}
        self.assertEqual(found, set(range(first, first + 5)))
        before = descriptors()
        failed = self.assertRaises(OSError, bind_internal, HOST, Family.IPV4, ports, ())
        self.assertEqual(failed.errno, errno.EADDRINUSE)
        self.assertEqual(descriptors() - before, set())

    def test_one(self) -> None:
        """A range may be one port, which may be used again."""
        port = self.free(1)
        for _ in range(3):
            sock, _ = bind_internal(HOST, Family.IPV4, (port, port), ())
            self.assertEqual(sock.getsockname()[1], port)
            sock.close()

    def test_random(self) -> None:
        """Ports are tried at random first, so that clients' are not easily guessed."""
        tried: list[tuple[int, int]] = []

        def randint(low: int, high: int) -> int:
            tried.append((low, high))
            return high

        first = self.free(3)
        self.patch(datagrams.random, "randint", randint)
        self.assertEqual(self.inside((first, first + 2)).getsockname()[1], first + 2)
        self.assertEqual(tried, [(first, first + 2)] * RANDOM_TRIES)
        self.assertEqual(self.inside((first, first + 2)).getsockname()[1], first)

    def test_not_ours(self) -> None:
        """An address that is not ours is an error that says so, range or not."""
        for ports in (None, (20000, 20010)):
            failed = self.assertRaises(OSError, bind_internal, "192.0.2.77", Family.IPV4, ports, ())
            self.assertEqual(failed.errno, errno.EADDRNOTAVAIL)

    def test_options(self) -> None:
        """Those of its side are set, but not TCP's; refused ones are named."""
        plain = self.inside().getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        nonsense = option(Edge.INTERNAL, socket.SOL_SOCKET, 9999, 1)
        sock, refused = bind_internal(HOST, Family.IPV4, None, [*BUFFERS, nonsense])
        self.keep(sock)
        found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self.assertNotEqual(found, plain)
        self.assertEqual([what for what, _ in refused], [nonsense])
        self.assertLess(found, 80_000)
        out, _ = bind_external(HOST, Family.IPV4, 0, BUFFERS)
        self.keep(out)
        self.assertGreater(out.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF), found)

    def test_only_ipv6(self) -> None:
        """A socket for IPv6 is none for IPv4."""
        sock, _ = bind_internal("::1", Family.IPV6, None, ())
        self.keep(sock)
        self.assertEqual(sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY), 1)


class OutsideTests(DatagramCase):
    """Sockets to targets."""

    def test_port(self) -> None:
        """The port is the one that is wanted."""
        port = self.free(1)
        sock, _ = bind_external(HOST, Family.IPV4, port, ())
        self.assertEqual(self.keep(sock).getsockname(), (HOST, port))

    def test_taken(self) -> None:
        """If it is taken, or privileged, or 0, it is another."""
        taken = self.far().getsockname()[1]
        for port in (taken, 1023, 1, 0):
            sock, _ = bind_external(HOST, Family.IPV4, port, ())
            found = self.keep(sock).getsockname()[1]
            self.assertNotEqual(found, port)
            self.assertGreater(found, 1023)

    def test_not_ours(self) -> None:
        """An address that is not ours is an error, and nothing is left open."""
        before = descriptors()
        failed = self.assertRaises(OSError, bind_external, "192.0.2.77", Family.IPV4, 4000, ())
        self.assertEqual(failed.errno, errno.EADDRNOTAVAIL)
        self.assertEqual(descriptors() - before, set())


class BesideTests(DatagramCase):
    """Two sockets on one port."""

    def test_beside(self) -> None:
        """The connected one gets what its peer sends, the other the rest."""
        for family, host in HOSTS.items():
            first, _ = bind_external(host, family, 0, ())
            peer, other = self.far(family), self.far(family)
            self.keep(first).connect(peer.getsockname())
            beside = self.keep(bind_beside(first, family, ()))
            self.assertEqual(beside.getsockname(), first.getsockname())
            for sock in (first, beside):
                sock.settimeout(30)
            for _ in range(3):
                peer.sendto(b"peer", first.getsockname())
                other.sendto(b"other", first.getsockname())
            self.assertEqual([first.recv(9) for _ in range(3)], [b"peer"] * 3)
            self.assertEqual([beside.recv(9) for _ in range(3)], [b"other"] * 3)
            for sock in (first, beside):
                sock.setblocking(False)
                self.assertRaises(BlockingIOError, sock.recv, 9)

    def test_alone(self) -> None:
        """Nobody else gets on the port, although two of us have."""
        first, _ = bind_external(HOST, Family.IPV4, 0, ())
        self.keep(first).connect(self.far().getsockname())
        self.keep(bind_beside(first, Family.IPV4, ()))
        thief = self.keep(socket.socket(type=socket.SOCK_DGRAM))
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        failed = self.assertRaises(OSError, thief.bind, first.getsockname())
        self.assertEqual(failed.errno, errno.EADDRINUSE)

    def test_impossible(self) -> None:
        """If it cannot be had nothing is left open, and the first is as it was."""
        first, _ = bind_external(HOST, Family.IPV4, 0, ())
        self.keep(first)
        before = descriptors()
        self.assertRaises(OSError, bind_beside, first, Family.IPV6, ())
        self.assertEqual(descriptors() - before, set())
        self.assertEqual(first.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR), 0)


class ErrorTests(DatagramCase):
    """What the kernel says later."""

    def test_refused(self) -> None:
        """Each error has its number and where the datagram was to go."""
        for family, host in HOSTS.items():
            sock, _ = bind_external(host, family, 0, ())
            self.keep(sock)
            closed = []
            for _ in range(2):
                far = self.far(family)
                closed.append(Endpoint.of(far.getsockname()))
                far.close()
            self.assertEqual(list(errors_of(sock)), [])
            for target in closed:
                while True:
                    try:
                        sock.sendto(b"x", (target.host, target.port))
                        break
                    except ConnectionRefusedError:
                        continue  # the one before
            found: list[tuple[int, Endpoint | None]] = []
            for _ in range(1000):
                found += errors_of(sock)
                if len(found) == 2:
                    break
            self.assertEqual(found, [(errno.ECONNREFUSED, target) for target in closed])

    def test_local(self) -> None:
        """What the failed call itself has said is not said once more."""
        sock, _ = bind_external(HOST, Family.IPV4, 0, ())
        self.keep(sock)
        failed = self.assertRaises(OSError, sock.sendto, bytes(65508), (HOST, 9))
        self.assertEqual(failed.errno, errno.EMSGSIZE)
        self.assertEqual(list(errors_of(sock)), [])

    def test_elsewhere(self) -> None:
        """On other systems there is the number only."""
        sock, _ = bind_external(HOST, Family.IPV4, 0, ())
        far = self.far()
        self.keep(sock).connect(far.getsockname())
        far.close()
        self.patch(datagrams, "_LINUX", False)
        self.assertEqual(list(errors_of(sock)), [])
        sock.send(b"x")
        found: list[tuple[int, Endpoint | None]] = []
        for _ in range(1000):
            found += errors_of(sock)
        self.assertEqual(found, [(errno.ECONNREFUSED, None)])

    def test_closed(self) -> None:
        """A closed socket has none."""
        sock = self.inside()
        sock.close()
        self.assertEqual(list(errors_of(sock)), [])


class DropTests(DatagramCase):
    """What the kernel drops."""

    def test_counted(self) -> None:
        """What did not fit is counted exactly."""
        sock, far = self.inside(), self.far()
        self.assertEqual(drops_of(sock), 0)
        for _ in range(1000):
            far.sendto(bytes(1000), sock.getsockname())
        arrived = 0
        while True:
            try:
                sock.recv(1000)
            except BlockingIOError:
                break
            arrived += 1
        self.assertLess(arrived, 1000)
        self.assertEqual(drops_of(sock), 1000 - arrived)

    def test_closed(self) -> None:
        """A closed socket has dropped none, nor has one elsewhere."""
        sock = self.inside()
        sock.close()
        self.assertEqual(drops_of(sock), 0)
