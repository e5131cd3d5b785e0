"""Tests of :mod:`dantetw.net.dial`."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from dantetw.net.dial import Dial, DialError
from dantetw.net.poller import HANGUP, READABLE, EpollPoller, ReactorPoller
from dantetw.policy import BUILT_IN, Edge, SocketOption
from dantetw.values import Endpoint, Family
from tests.descriptors import descriptors
from tests.net.reactors import TurningReactor


def option(edge: Edge, level: int, number: int, value: int) -> SocketOption:
    """A socket option as the configuration would have it."""
    return SocketOption(edge, level, number, value, "x.y.z", BUILT_IN)


LOOPBACK = Endpoint("127.0.0.1", 0, Family.IPV4)


class DialCase(SynchronousTestCase):
    """A poller to dial with, and something to dial."""

    poller_class: type[EpollPoller] | type[ReactorPoller]

    def setUp(self) -> None:
        self.reactor = TurningReactor()
        self.poller = self.poller_class(self.reactor, self.reactor.seconds)
        self.poller.start()
        self.addCleanup(self.poller.stop)

    def listening(self, family: Family = Family.IPV4) -> tuple[socket.socket, Endpoint]:
        """Something that accepts."""
        kind, host = (socket.AF_INET, "127.0.0.1")
        if family is Family.IPV6:
            kind, host = (socket.AF_INET6, "::1")
        server = socket.create_server((host, 0), family=kind)
        self.addCleanup(server.close)
        return server, Endpoint.of(server.getsockname())

    def closed(self) -> Endpoint:
        """Something that refuses."""
        server, target = self.listening()
        server.close()
        return target

    def connect(self, dial: Dial) -> socket.socket:
        """Turn until the attempt has succeeded."""
        found: list[socket.socket] = []
        dial.then(found.append, self.fail)
        while not found:
            self.reactor.turn(50)
        self.addCleanup(found[0].close)
        return found[0]

    def fail_at_once(self, source: Endpoint, target: Endpoint, number: int) -> DialError:
        """Dial what cannot be; the error has ``number`` and nothing is left."""
        before = descriptors()
        failed = self.assertRaises(DialError, Dial, self.poller, source, target)
        self.assertEqual((failed.number, failed.immediate), (number, True))
        self.assertEqual(descriptors() - before, set())
        return failed


_Suite = DialCase if TYPE_CHECKING else object


class DialSuite(_Suite):
    """One connection attempt."""

    def test_itself(self) -> None:
        """A socket that would connect to itself, as TCP allows, is refused."""
        # An address where no other process is and a port that no other poller's test has used,
        # which then is in TIME_WAIT: it must be free.
        pid, port = os.getpid(), 40000 + len(self.poller_class.__name__)
        target = Endpoint(f"127.88.{pid >> 8 & 255}.{pid & 255}", port, Family.IPV4)
        self.fail_at_once(target, target, errno.ECONNREFUSED)

    def test_success(self) -> None:
        """It fires with a connected socket from the address that was asked for."""
        server, target = self.listening()
        dial = Dial(self.poller, Endpoint("127.0.0.3", 0, Family.IPV4), target)
        sock = self.connect(dial)
        accepted, peer = server.accept()
        accepted.close()
        self.assertEqual(peer, ("127.0.0.3", dial.source.port))
        self.assertEqual(dial.source, Endpoint.of(sock.getsockname()))
        self.assertNotEqual(dial.source.port, 0)
        self.assertFalse(sock.getblocking())

    def test_port(self) -> None:
        """It goes out from the port that was wished for, or from another if that is taken."""
        _, target = self.listening()
        with socket.create_server(("127.0.0.4", 0)) as taken:
            port = taken.getsockname()[1]
            dial = Dial(self.poller, Endpoint("127.0.0.5", port, Family.IPV4), target)
            self.assertEqual(dial.source.port, port)
            self.connect(dial)
            dial = Dial(self.poller, Endpoint("127.0.0.4", port, Family.IPV4), target)
            self.assertNotIn(dial.source.port, (0, port))
            self.connect(dial)

    def test_ipv6(self) -> None:
        """IPv6 likewise."""
        try:
            _, target = self.listening(Family.IPV6)
        except OSError as failed:
            raise SkipTest("no IPv6 here") from failed
        dial = Dial(self.poller, Endpoint("::1", 0, Family.IPV6), target)
        sock = self.connect(dial)
        self.assertEqual(Endpoint.of(sock.getpeername()), target)
        self.assertEqual(dial.source, Endpoint.of(sock.getsockname()))

    def test_options(self) -> None:
        """The options of the external side are set, those of the internal one are not."""
        _, target = self.listening()
        options = (
            option(Edge.EXTERNAL, socket.IPPROTO_IP, socket.IP_TTL, 77),
            option(Edge.INTERNAL, socket.IPPROTO_IP, socket.IP_TTL, 66),
            option(Edge.EXTERNAL, socket.SOL_SOCKET, 9999, 1),
        )
        for keep_alive in (True, False):
            sock = self.connect(Dial(self.poller, LOOPBACK, target, options, keep_alive))
            for level, number, value in (
                (socket.IPPROTO_IP, socket.IP_TTL, 77),
                (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
                (socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(keep_alive)),
            ):
                self.assertEqual(sock.getsockopt(level, number), value)

    def test_refused(self) -> None:
        """A refusal arrives late, with its number and our address, and leaves nothing."""
        target = self.closed()
        before = descriptors()
        dial = Dial(self.poller, LOOPBACK, target)
        failures: list[DialError] = []
        dial.then(self.fail, failures.append)
        while not failures:
            self.reactor.turn(50)
        self.assertEqual(
            (failures[0].number, failures[0].immediate, failures[0].source),
            (errno.ECONNREFUSED, False, dial.source),
        )
        self.assertNotEqual(dial.source.port, 0)
        self.assertEqual(self.reactor.settle(), 0)
        self.assertEqual(descriptors() - before, set())

    def test_unreachable(self) -> None:
        """What the system knows to be unreachable fails at once."""
        broadcast = Endpoint("255.255.255.255", 9, Family.IPV4)
        failed = self.fail_at_once(LOOPBACK, broadcast, self.number_of(broadcast))
        self.assertEqual(failed.source.host, "127.0.0.1")

    def number_of(self, target: Endpoint) -> int:
        """What the system itself says."""
        with socket.socket(socket.AF_INET) as sock:
            sock.bind(("127.0.0.1", 0))
            number = sock.connect_ex((target.host, target.port))
        self.assertNotIn(number, (0, errno.EINPROGRESS))
        return number

    def test_bad_source(self) -> None:
        """So does an address that is not ours."""
        _, target = self.listening()
        stranger = Endpoint("192.0.2.1", 0, Family.IPV4)
        failed = self.fail_at_once(stranger, target, errno.EADDRNOTAVAIL)
        self.assertEqual(failed.source, stranger)

    def test_bad_port(self) -> None:
        """So does a port that cannot be: no traceback."""
        self.fail_at_once(LOOPBACK, Endpoint("127.0.0.1", 65536, Family.IPV4), errno.EINVAL)

    def test_no_descriptors(self) -> None:
        """So does an attempt for which there is no socket."""

        def none_left(*args: object) -> socket.SocketType:
            raise OSError(errno.EMFILE, "as if")

        _, target = self.listening()
        self.patch(socket, "SocketType", none_left)
        self.fail_at_once(LOOPBACK, target, errno.EMFILE)

    def test_cancel(self) -> None:
        """An attempt that is given up is closed and does not fire; giving up twice is no error."""
        for target in (self.listening()[1], self.closed()):
            before = descriptors()
            dial, told = Dial(self.poller, LOOPBACK, target), list[object]()
            dial.then(told.append, told.append)
            self.assertEqual(len(descriptors() - before), 1)
            dial.cancel()
            dial.cancel()
            self.assertEqual(descriptors() - before, set())
            self.reactor.settle()
            self.assertEqual(told, [])

    def test_cancel_late(self) -> None:
        """Giving up what has succeeded leaves the socket to its new owner."""
        _, target = self.listening()
        dial = Dial(self.poller, LOOPBACK, target)
        sock = self.connect(dial)
        dial.cancel()
        self.assertNotEqual(sock.fileno(), -1)

    def test_target_speaks_first(self) -> None:
        """What the target has said by the time it is connected, its new watcher hears of."""
        server, target = self.listening()
        dial = Dial(self.poller, LOOPBACK, target)
        accepted, _ = server.accept()
        accepted.send(b"220 welcome")
        accepted.close()
        heard: list[int] = []

        found: list[socket.socket] = []

        def take(sock: socket.socket) -> None:
            self.poller.hand_over(sock.fileno(), heard.append)
            found.append(sock)

        dial.then(take, self.fail)
        while not found:
            self.reactor.turn(50)
        sock = found[0]
        self.addCleanup(sock.close)
        self.reactor.turn(50)
        mask = 0
        for said in heard:
            mask |= said
        self.assertTrue(mask & READABLE)
        if self.poller_class is EpollPoller:
            self.assertTrue(mask & HANGUP)
        self.assertEqual(sock.recv(99), b"220 welcome")


class EpollDialTests(DialSuite, DialCase):
    """With the nested epoll."""

    poller_class = EpollPoller


class ReactorDialTests(DialSuite, DialCase):
    """With the reactor's means."""

    poller_class = ReactorPoller
