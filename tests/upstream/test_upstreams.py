"""Tests of each upstream of the catalogue, and of the interface, by one suite."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from dantetw.catalogue import upstreams
from dantetw.net.dial import DialError, IAttempt
from dantetw.net.poller import EpollPoller, ReactorPoller
from dantetw.net.sources import NoSource, Sources
from dantetw.upstream import direct
from dantetw.upstream.direct import Direct
from dantetw.upstream.interfaces import IUpstream, MakeUpstream
from dantetw.values import Endpoint, Family, ReplyCode
from tests.descriptors import descriptors
from tests.net.reactors import TurningReactor, pollers
from tests.session.world import compiled
from tests.upstream.proxied import ASK, GRANTED, Proxied

LOCAL = Endpoint("127.0.0.1", 1080, Family.IPV4)
NOWHERE_IPV6 = Endpoint("2001:db8::1", 80, Family.IPV6)
CONFIG = """
internal: 127.0.0.1 port = 1080
external: 127.0.0.1
external.ip.ip_ttl: 77
internal.ip.ip_ttl: 66
clientmethod: none
socksmethod: none
client pass { from: 0/0 to: 0/0 }
socks pass { from: 0/0 to: 0/0 }
"""


def read(sock: socket.socket) -> bytes:
    """All that has come by now."""
    sock.setblocking(False)
    try:
        return sock.recv(100)
    except BlockingIOError:
        return b""


class UpstreamCase(SynchronousTestCase):
    """
    An upstream, and a target that it leads to.

    :cvar early: what of the target's bytes the upstream may have read before it is done.
    """

    make: MakeUpstream
    poller_class: type[EpollPoller] | type[ReactorPoller]
    early = b""

    def setUp(self) -> None:
        self.reactor = TurningReactor()
        self.poller = self.poller_class(self.reactor, self.reactor.seconds)
        self.poller.start()
        self.addCleanup(self.poller.stop)
        self.policy = compiled(CONFIG)
        sources = Sources(self.policy, lambda name: (), self.reactor.seconds, lambda target: "")
        self.upstream = type(self).make(self.poller, sources, True, None)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.server.close)
        self.target = Endpoint.of(self.server.getsockname())
        self.failures: list[DialError] = []
        self.socks: list[socket.socket] = []
        self.heard: list[bytes] = []

    def connect(self, target: Endpoint | None = None, port: int = 0) -> IAttempt:
        """Begin to connect, for a client that has come from ``port``."""
        client = Endpoint("10.0.0.9", port, Family.IPV4)
        options = self.policy.socket_options
        attempt = self.upstream.connect(target or self.target, client, LOCAL, options)
        attempt.then(self.connected, self.failures.append)
        return attempt

    def connected(self, sock: socket.SocketType) -> None:
        """Read from a connected socket from now on, as the relay does."""
        self.socks.append(sock)
        self.poller.hand_over(sock.fileno(), lambda mask: self.heard.append(read(sock)))

    def accept(self) -> socket.socket:
        """The far end of a connection, which is that of the target, whatever is on the way."""
        self.reactor.settle()
        far, _ = self.server.accept()
        self.addCleanup(far.close)
        return far

    def grant(self, far: socket.socket) -> None:
        """Let the upstream come to its end, if it has something to say to a proxy."""


_Suite = UpstreamCase if TYPE_CHECKING else object


class UpstreamSuite(_Suite):
    """What every upstream promises."""

    def test_interface(self) -> None:
        """It is an ``IUpstream``, and makes ``IAttempt``s."""
        verifyObject(IUpstream, self.upstream)
        attempt = self.connect()
        verifyObject(IAttempt, attempt)
        attempt.cancel()

    def test_connected(self) -> None:
        """The caller gets one connected socket that the poller watches, and no byte is lost."""
        attempt = self.connect()
        far = self.accept()
        self.grant(far)
        far.sendall(b"hello")
        (sock,) = self.socks
        self.addCleanup(sock.close)
        self.assertEqual(attempt.source, Endpoint.of(sock.getsockname()))
        self.reactor.settle()
        self.assertEqual(attempt.leftover, self.early)
        self.assertEqual(attempt.leftover + b"".join(self.heard), self.early + b"hello")
        sock.send(b"question")
        self.assertEqual(read(far), b"question")
        attempt.cancel()  # it is over
        self.assertEqual((self.failures, len(self.socks)), ([], 1))
        self.poller.forget(sock.fileno())

    def test_options(self) -> None:
        """Socket options of the external side are set, those of the internal one are not."""
        attempt = self.connect()
        self.grant(self.accept())
        self.reactor.settle()
        (sock,) = self.socks
        self.addCleanup(sock.close)
        self.assertEqual(sock.getsockopt(socket.IPPROTO_IP, socket.IP_TTL), 77)
        self.assertEqual(list(attempt.refused), [])
        self.poller.forget(sock.fileno())

    def test_refused(self) -> None:
        """A target that refuses is an error with its errno and the source, and holds nothing."""
        self.server.close()
        before = descriptors()
        try:
            self.connect()
        except DialError as failed:
            self.failures.append(failed)
        self.reactor.settle()
        (failure,) = self.failures
        self.assertEqual(failure.number, errno.ECONNREFUSED)
        self.assertEqual(failure.source.host, "127.0.0.1")
        self.assertEqual((self.socks, descriptors() - before), ([], set()))

    def test_no_source(self) -> None:
        """Where there is no address to connect from the error has Dante's words and a reply."""
        before = descriptors()
        none = self.assertRaises(NoSource, self.connect, NOWHERE_IPV6)
        self.assertIs(none.reply, ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED)
        self.assertEqual(descriptors() - before, set())

    def test_cancelled(self) -> None:
        """An attempt that is given up calls nothing and holds nothing, at any time."""
        before = descriptors()
        for turns in (False, True):
            attempt = self.connect()
            if turns and self.early:  # a proxy has not answered yet
                self.reactor.settle()
            attempt.cancel()
            attempt.cancel()
            self.reactor.settle()
        self.assertEqual((self.socks, self.failures), ([], []))
        self.assertEqual(descriptors() - before, set())


class DirectTests(SynchronousTestCase):
    """Tests for :class:`Direct` alone."""

    def setUp(self) -> None:
        self.wishes: list[tuple[Endpoint, Endpoint]] = []
        self.patch(
            direct, "Dial", lambda poller, wish, target, *_: self.wishes.append((wish, target))
        )

    def wish(self, external: str) -> Endpoint:
        """Where a connection is to come from, for a client with port 50000."""
        policy = compiled(CONFIG.replace("external: 127.0.0.1", f"external: {external}"))
        sources = Sources(policy, lambda name: (), lambda: 0.0, lambda target: "")
        client = Endpoint("10.0.0.9", 50000, Family.IPV4)
        target = Endpoint("198.51.100.7", 80, Family.IPV4)
        Direct(EpollPoller(TurningReactor()), sources, True, None).connect(
            target, client, LOCAL, ()
        )
        (wish, towards) = self.wishes.pop()
        self.assertEqual(towards, target)
        return wish

    def test_port(self) -> None:
        """It comes from the client's port, but not on loopback, where the client has that."""
        self.assertEqual(self.wish("192.0.2.1"), Endpoint("192.0.2.1", 50000, Family.IPV4))
        self.assertEqual(self.wish("127.0.0.1"), Endpoint("127.0.0.1", 0, Family.IPV4))


class ProxiedCase(UpstreamCase):
    """An upstream that reads before it hands over."""

    early = b"early "

    def grant(self, far: socket.socket) -> None:
        self.assertEqual(far.recv(100), ASK)
        self.assertEqual(self.socks, [])
        # One segment: what the target says is read together with the proxy's answer.
        far.sendall(GRANTED + self.early)
        self.reactor.settle()


def _variants() -> None:
    """Each upstream with each poller."""
    cases: list[tuple[str, MakeUpstream, type[UpstreamCase]]] = [
        (name.title(), make, UpstreamCase) for name, make in upstreams().items()
    ]
    for name, make, case in [*cases, ("Proxied", Proxied, ProxiedCase)]:
        for poller in pollers():
            full = f"{name}{poller.__name__}Tests"
            members = {"make": staticmethod(make), "poller_class": poller, "__module__": __name__}
            globals()[full] = type(full, (UpstreamSuite, case), members)


_variants()
