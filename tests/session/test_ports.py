"""Tests of :mod:`dantetw.session.ports`: what a reload does to the ports clients come in by."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.listening import open_port, waits
from dantetw.policy import Policy
from dantetw.session import listener as listening
from dantetw.session.drain import HANDSHAKE_SECONDS
from dantetw.session.listener import Listener
from dantetw.session.ports import BindError, Listeners, ListeningPorts
from dantetw.values import Endpoint, Family
from tests.quiet import quiet_port
from tests.session.test_listener import HEAD
from tests.session.world import GREETING, OPEN, World

LOOPBACK, WILDCARD, OTHER = "127.0.0.1", "0.0.0.0", "127.0.0.2"


class PortsCase(SynchronousTestCase):
    """A server that listens on loopback."""

    def setUp(self) -> None:
        self.world = World(self, OPEN, head=HEAD)
        self.ports = ListeningPorts(socket.socket.bind, self.world.factory.report_refused)
        self.acceptors = Listeners(self.world.factory, self.world.reactor)
        self.addCleanup(self.stop)

    def open(self) -> socket.socket:
        """A socket that is closed at the end; a system call on it waits for 30 seconds at most."""
        sock = socket.socket()
        self.addCleanup(sock.close)
        sock.settimeout(30)
        return sock

    def policy(self, *hosts: str, port: int) -> Policy:
        """A policy that listens on these."""
        (line,) = self.world.policy.internal
        listens = tuple(Endpoint(host, port, Family.IPV4) for host in hosts)
        return replace(self.world.policy, internal=(replace(line, listens=listens),))

    def begin(self, host: str) -> int:
        """Listen on one address; the port."""
        policy = self.policy(host, port=quiet_port())
        self.use(policy)
        (listener,) = self.listeners
        return listener.endpoint.port

    def change(self, *hosts: str, port: int) -> None:
        """A reload."""
        policy = self.policy(*hosts, port=port)
        self.use(policy)

    def use(self, policy: Policy) -> None:
        """Listen where a policy says."""
        self.world.reactor.advance(HANDSHAKE_SECONDS)  # the reload before is over
        ports = self.ports.bind(policy)
        self.acceptors.use(ports).addCallback(lambda _: self.ports.use(ports, policy))

    def stop(self) -> None:
        """Accept no more."""
        self.acceptors.stop()
        self.ports.use({})

    @property
    def listeners(self) -> Sequence[Listener]:
        return [one for some in self.acceptors._listeners.values() for one in some]

    def hosts(self) -> list[str]:
        """Where clients come in."""
        return [listener.endpoint.host for listener in self.listeners]

    def connect(self, port: int, host: str = LOOPBACK) -> socket.socket:
        """A client that waits to be accepted."""
        client = self.open()
        client.connect((host, port))
        return client

    def serve(self, client: socket.socket) -> None:
        """The client is served."""
        client.sendall(GREETING)
        client.setblocking(False)
        heard = bytearray()

        def hear() -> bool:
            try:
                heard.extend(client.recv(100))
            except BlockingIOError:
                pass
            return len(heard) >= 2

        self.world.until(hear)
        self.assertEqual(bytes(heard), b"\x05\x00")


class MoveTests(PortsCase):
    """Between a wildcard and an address of its own, on the same port."""

    def test_moved(self) -> None:
        """Both ways, and on to several; clients that wait or are there are served."""
        for before, after in (
            ([LOOPBACK], [WILDCARD]),
            ([WILDCARD], [LOOPBACK]),
            ([WILDCARD], [LOOPBACK, OTHER]),
            ([LOOPBACK, OTHER], [WILDCARD]),
        ):
            with self.subTest(before=before, after=after):
                port = quiet_port()
                self.change(*before, port=port)
                there = self.connect(port)
                self.world.until(lambda: self.world.sessions)
                waiting = [self.connect(port) for _ in range(3)]
                self.change(*after, port=port)
                self.assertEqual(self.hosts(), after)
                for client in (there, *waiting, self.connect(port)):
                    self.serve(client)
                    client.close()
                self.world.until(lambda: not self.world.sessions)

    def test_nobody_else(self) -> None:
        """The port is ours alone afterwards."""
        for before, after in ((LOOPBACK, WILDCARD), (WILDCARD, LOOPBACK)):
            port = self.begin(before)
            self.change(after, port=port)
            for host in (LOOPBACK, WILDCARD):
                self.expect_refusal(host, port)

    def test_all_or_nothing(self) -> None:
        """If another address cannot be bound, the old listener stays, and works."""
        taken = self.open()
        taken.bind((OTHER, 0))
        taken.listen()
        port = self.begin(WILDCARD)
        policy = self.policy(LOOPBACK, port=port)
        (line,) = policy.internal
        listens = (*line.listens, Endpoint(OTHER, taken.getsockname()[1], Family.IPV4))
        policy = replace(policy, internal=(replace(line, listens=listens),))
        before = self.listeners
        with self.assertRaises(BindError) as caught:
            self.ports.bind(policy)
        self.assertEqual(
            (caught.exception.place, caught.exception.errno), ("2/2", errno.EADDRINUSE)
        )
        self.assertEqual(self.listeners, before)
        self.expect_refusal(LOOPBACK, port)
        self.serve(self.connect(port))

    def expect_refusal(self, host: str, port: int) -> None:
        """Another server cannot listen there, and we offer nobody to share the port."""
        other = Endpoint(host, port, Family.IPV4)
        with self.assertRaises(OSError) as caught:
            open_port(other)
        self.assertEqual(caught.exception.errno, errno.EADDRINUSE)
        for listener in self.listeners:
            sharing = listener._sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
            self.assertEqual(sharing, 0)

    def test_both(self) -> None:
        """A wildcard beside an address that stays is an error, as it is at a start."""
        port = self.begin(LOOPBACK)
        for hosts in ((LOOPBACK, WILDCARD), (WILDCARD, LOOPBACK)):
            self.assertRaises(BindError, self.ports.bind, self.policy(*hosts, port=port))
        self.serve(self.connect(port))


class LeaveTests(PortsCase):
    """Addresses that are no longer listened on."""

    def test_backlog(self) -> None:
        """Clients that wait on one are accepted before it is closed; then there is none."""
        port = self.begin(LOOPBACK)
        waiting = [self.connect(port) for _ in range(100)]
        self.change(OTHER, port=port)
        self.assertEqual(self.open().connect_ex((LOOPBACK, port)), errno.ECONNREFUSED)
        self.world.reactor.advance(HANDSHAKE_SECONDS)
        for client in waiting:
            self.serve(client)
        self.serve(self.connect(port, OTHER))

    def test_late(self) -> None:
        """Clients that arrive when new ones are refused already are served."""
        port = self.begin(LOOPBACK)
        (listener,) = self.listeners
        waiting = [self.connect(port) for _ in range(3)]
        self.change(OTHER, port=port)
        self.assertGreaterEqual(listener._sock.fileno(), 0)
        self.world.until(lambda: len(self.world.sessions) == 3)
        for client in waiting:
            self.serve(client)
        self.assertGreaterEqual(listener._sock.fileno(), 0)
        self.world.reactor.advance(HANDSHAKE_SECONDS)
        self.assertEqual(listener._sock.fileno(), -1)

    def test_connecting(self) -> None:
        """So are clients whose third packet is still on its way when their address goes."""
        port = self.begin(LOOPBACK)
        client = self.open()
        # The kernel sends it with the first data then, or in a while.
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        client.connect((LOOPBACK, port))
        (listener,) = self.listeners
        self.assertFalse(waits(listener._sock))
        self.change(OTHER, port=port)
        self.serve(client)

    def crowd(self) -> Listener:
        """A port that goes while a client waits there for room."""
        port = self.begin(LOOPBACK)
        (listener,) = self.listeners
        self.connect(port)
        self.change(OTHER, port=port)
        self.world.factory.descriptors._set(0)
        self.world.reactor.advance(HANDSHAKE_SECONDS)
        self.assertGreaterEqual(listener._sock.fileno(), 0)
        return listener

    def test_no_room(self) -> None:
        """A port at which clients wait for room stays until they are in."""
        listener = self.crowd()
        self.world.factory.descriptors._set(100)
        self.world.reactor.advance(HANDSHAKE_SECONDS)
        self.assertEqual(listener._sock.fileno(), -1)
        self.assertEqual(len(self.world.sessions), 1)

    def test_no_room_for_long(self) -> None:
        """But it does not stay for ever."""
        listener = self.crowd()
        self.world.reactor.pump([HANDSHAKE_SECONDS] * 30)
        self.assertEqual(listener._sock.fileno(), -1)

    def test_old_kernel(self) -> None:
        """Where the kernel cannot turn clients away, who waits comes in, and that is all."""
        self.patch(listening, "turn_away", lambda sock: False)
        port = self.begin(LOOPBACK)
        waiting = [self.connect(port) for _ in range(3)]
        self.change(OTHER, port=port)
        self.assertEqual(self.open().connect_ex((LOOPBACK, port)), errno.ECONNREFUSED)
        for client in waiting:
            self.serve(client)

    def test_again(self) -> None:
        """Turning clients away twice, which takes privileges, is as good as once."""
        port, _ = open_port(Endpoint(LOOPBACK, 0, Family.IPV4))
        self.addCleanup(port.close)
        (sock,) = port.sockets
        self.assertTrue(listening.turn_away(sock))
        real = listening.turn_away

        def refused(*arguments: object) -> None:
            raise PermissionError(errno.EPERM, "as to ordinary users")

        class Refusing(socket.socket):
            setsockopt = refused  # type: ignore[assignment]

        with Refusing(fileno=os.dup(sock.fileno())) as again:
            self.assertTrue(real(again))

    def test_stop(self) -> None:
        """At the end nobody is accepted any more."""
        port = self.begin(LOOPBACK)
        self.connect(port)
        self.stop()
        self.assertEqual(self.world.sessions, set())
        self.assertEqual(self.open().connect_ex((LOOPBACK, port)), errno.ECONNREFUSED)
