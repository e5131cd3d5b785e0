"""Tests of the ports clients come in by, and of whole sessions over the loopback interface."""

from __future__ import annotations

import errno
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.dial import Dial
from dantetw.net.listening import open_port
from dantetw.net.poller import READABLE
from dantetw.observe.events import AcceptFailed, Counts, Message
from dantetw.policy import Edge
from dantetw.session import listener as module
from dantetw.session.listener import ACCEPT_RETRY_SECONDS, Listener
from dantetw.upstream import direct
from dantetw.values import Cause, Ending, Endpoint, Family, Operation, Phase, Severity, Side
from tests.session.world import GREETING, OPEN, World, compiled, request

HEAD = """
internal: 127.0.0.1 port = 1080
external: 127.0.0.1
clientmethod: none
"""
ANY_PORT = Endpoint("127.0.0.1", 0, Family.IPV4)


class ListenerCase(SynchronousTestCase):
    """A server that listens, and dials, for real."""

    def setUp(self) -> None:
        self.listeners: list[Listener] = []

    def listen(self, endpoint: Endpoint = ANY_PORT) -> tuple[World, Listener]:
        """A server with one listener."""
        world = World(self, OPEN, head=HEAD)
        self.patch(direct, "Dial", Dial)
        port, _ = open_port(endpoint)
        self.addCleanup(port.close)
        listener = Listener(port.sockets[0], port, world.factory, world.reactor)
        self.addCleanup(listener.stop)
        listener.start()
        self.listeners.append(listener)
        return world, listener

    def open(self, family: int = socket.AF_INET) -> socket.socket:
        """A socket that is closed at the end; a system call on it waits for 30 seconds at most."""
        sock = socket.socket(family)
        self.addCleanup(sock.close)
        sock.settimeout(30)
        return sock

    def target(self) -> tuple[socket.socket, Endpoint]:
        """A listening socket and where it is."""
        sock = self.open()
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        return sock, Endpoint.of(sock.getsockname())

    def arrive(self, world: World, listener: Listener) -> socket.socket:
        """A client that has been accepted."""
        client = self.open()
        client.connect((listener.endpoint.host, listener.endpoint.port))
        before = len(world.sessions)
        world.until(lambda: len(world.sessions) > before)
        return client

    def over(self, world: World) -> None:
        """Wait for the only session's end, and look what is left."""
        world.until(lambda: world.ended)
        for listener in self.listeners:
            listener.stop()
        world.check_over()


class SessionTests(ListenerCase):
    """Whole sessions."""

    def test_session(self) -> None:
        """Bytes, ends of file and counts go through to either side."""
        world, listener = self.listen()
        listening, where = self.target()
        client = self.arrive(world, listener)
        client.send(GREETING + request(where) + b"question")
        world.until(lambda: any(type(event).__name__ == "Connected" for event in world.events))
        far, source = listening.accept()
        self.addCleanup(far.close)
        client.shutdown(socket.SHUT_WR)
        world.until(lambda: world.factory.sessions and world.reactor.turn(0.01) is False)
        self.assertEqual((far.recv(100), far.recv(100)), (b"question", b""))
        far.send(b"answer")
        far.close()
        self.over(world)
        heard = b""
        while piece := client.recv(100):
            heard += piece
        granted = b"\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01" + struct.pack("!H", source[1])
        self.assertEqual(heard, granted + b"answer")
        (ended,) = world.ended
        self.assertEqual(ended.ending, Ending(Side.CLIENT, Phase.RELAY, Cause.CLOSED))
        self.assertEqual(ended.counts, Counts(6, 8, 8, 6))
        self.assertEqual(ended.path.client, Endpoint.of(client.getsockname()))
        self.assertEqual(ended.path.local, listener.endpoint)
        self.assertEqual(ended.path.source, Endpoint.of(source))
        self.assertEqual(ended.path.target, where)

    def test_refused(self) -> None:
        """A port nobody listens on is reply 5, from the address that was tried."""
        world, listener = self.listen()
        # Bound, so that nobody else takes it, but not listening.
        closed = self.open()
        closed.bind(("127.0.0.1", 0))
        client = self.arrive(world, listener)
        client.send(GREETING + request(Endpoint.of(closed.getsockname())))
        self.over(world)
        self.assertEqual(client.recv(100)[2:4], b"\x05\x05")
        number, operation = errno.ECONNREFUSED, Operation.CONNECT
        ending = Ending(Side.TARGET, Phase.CONNECT, Cause.ERROR, number, "", operation)
        self.assertEqual(world.ending, ending)

    def test_reset(self) -> None:
        """A client's reset is told as one, in negotiation and in a relay."""
        for phase in (Phase.NEGOTIATE, Phase.RELAY):
            with self.subTest(phase.value):
                world, listener = self.listen()
                _, where = self.target()
                client = self.arrive(world, listener)
                said = GREETING if phase is Phase.NEGOTIATE else GREETING + request(where)
                client.send(said)
                answer = 2 if phase is Phase.NEGOTIATE else 12
                heard = bytearray()
                client.setblocking(False)

                def hear(heard: bytearray = heard, client: socket.socket = client) -> int:
                    try:
                        heard += client.recv(100)
                    except BlockingIOError:
                        pass
                    return len(heard)

                world.until(lambda: hear() >= answer)  # noqa: B023
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
                self.over(world)
                ending = world.ending
                self.assertEqual(
                    (ending.side, ending.phase, ending.cause, ending.errno),
                    (Side.CLIENT, phase, Cause.ERROR, errno.ECONNRESET),
                )


class ListenerTests(ListenerCase):
    """The port itself."""

    def test_port(self) -> None:
        """Port 0 becomes a real one, and clients are told apart from each other by number."""
        world, listener = self.listen()
        self.assertNotEqual(listener.endpoint.port, 0)
        self.arrive(world, listener)
        self.arrive(world, listener)
        self.assertEqual(sorted(session.record.number for session in world.sessions), [1, 2])

    def test_many(self) -> None:
        """Of many who wait some get in, whoever else comes, and the rest in the next turns."""
        self.patch(module, "ACCEPT_BATCH", 2)
        world, listener = self.listen()
        for _ in range(5):
            self.open().connect((listener.endpoint.host, listener.endpoint.port))
        turns: list[Callable[[], None]] = []
        self.patch(world.poller, "again", turns.append)
        for number, expected in ((1, 2), (2, 4), (2, 5)):
            for _ in range(3):
                listener._ready(READABLE)
            self.assertEqual((len(world.sessions), len(turns)), (expected, number))
            turns[-1]()

    def test_wildcard(self) -> None:
        """On a wildcard a session's local address is the one the client came in on."""
        world, listener = self.listen(Endpoint("0.0.0.0", 0, Family.IPV4))
        client = self.open()
        client.connect(("127.0.0.1", listener.endpoint.port))
        world.until(lambda: world.sessions)
        (session,) = world.sessions
        self.assertEqual(session.record.local.host, "127.0.0.1")

    def test_ipv6(self) -> None:
        """An IPv6 address takes IPv6 clients."""
        try:
            world, listener = self.listen(Endpoint("::1", 0, Family.IPV6))
        except OSError as failed:
            self.skipTest(f"no IPv6 here: {failed}")
        client = self.open(socket.AF_INET6)
        client.connect(("::1", listener.endpoint.port))
        world.until(lambda: world.sessions)
        (session,) = world.sessions
        self.assertEqual(session.record.client, Endpoint.of(client.getsockname()))

    def test_in_use(self) -> None:
        """An address somebody else listens on is an error, and leaves no descriptor behind."""
        _, listener = self.listen()
        with self.assertRaises(OSError) as caught:
            open_port(listener.endpoint)
        self.assertEqual(caught.exception.errno, errno.EADDRINUSE)

    def test_stopped(self) -> None:
        """A listener that has stopped takes nobody."""
        world, listener = self.listen()
        listener.stop()
        client = self.open()
        where = (listener.endpoint.host, listener.endpoint.port)
        self.assertEqual(client.connect_ex(where), errno.ECONNREFUSED)
        self.assertEqual(world.poller._watchers, {})


class _Failing:
    """
    A listening socket whose ``accept`` fails as told, and then has nobody waiting.

    :param numbers: of the errors; for each 0 a client is accepted.
    """

    def __init__(self, real: Any, *numbers: int) -> None:
        self.real = real
        self.numbers = deque(numbers)
        self.open = True

    def accept(self) -> Any:
        if not self.numbers:
            raise BlockingIOError
        number = self.numbers.popleft()
        if not number:
            return self.real.accept()
        raise OSError(number, "told to")

    def fileno(self) -> int:
        return 99 if self.open else -1

    def close(self) -> None:
        self.open = False


class TroubleTests(ListenerCase):
    """Clients that cannot be accepted."""

    def failing(self, *numbers: int) -> tuple[World, Listener, _Failing]:
        """A listener on a socket that fails so; it is not watched."""
        world, listener = self.listen()
        world.poller.forget(listener._sock.fileno())
        self.addCleanup(listener._sock.close)
        sock = _Failing(listener._sock, *numbers)
        listener._sock = sock  # type: ignore[assignment]
        return world, listener, sock

    def test_client_gone(self) -> None:
        """One client that is gone before it is accepted is passed over without a word."""
        world, listener, sock = self.failing(errno.ECONNABORTED, errno.EPROTO)
        listener._accept_some()
        self.assertEqual((len(sock.numbers), world.events), (0, []))

    def test_network_error(self) -> None:
        """So is one on whose way the network has failed: all that accept(2) names."""
        names = "ENETDOWN EPROTO ENOPROTOOPT EHOSTDOWN ENONET EHOSTUNREACH EOPNOTSUPP ENETUNREACH"
        numbers = [getattr(errno, name) for name in names.split()]
        world, listener, sock = self.failing(*numbers)
        listener._accept_some()
        self.assertEqual((len(sock.numbers), world.events), (0, []))

    def test_broken(self) -> None:
        """A mistake of ours in accepting a client costs that client only, and no descriptor."""
        for part in ("buildProtocol", "arrived"):
            with self.subTest(part):
                world, listener = self.listen()

                def fail(*_: object) -> None:
                    raise ZeroDivisionError("told to")

                right = getattr(world.factory, part)
                setattr(world.factory, part, fail)
                client = self.open()
                client.connect((listener.endpoint.host, listener.endpoint.port))
                failures: list[object] = []
                world.until(
                    lambda: failures.extend(self.flushLoggedErrors(ZeroDivisionError)) or failures  # noqa: B023
                )
                self.assertEqual(client.recv(1), b"")
                self.assertEqual(world.factory.sessions, {})
                self.assertEqual(list(world.poller._watchers), [listener._sock.fileno()])
                setattr(world.factory, part, right)
                self.arrive(world, listener)

    def test_exhausted(self) -> None:
        """Without descriptors clients wait in the backlog; the log says so once."""
        world, listener, sock = self.failing(errno.EMFILE, errno.EMFILE, errno.EMFILE)
        listener._accept_some()
        for left in (2, 1, 0):
            self.assertEqual(len(sock.numbers), left)
            world.reactor.advance(ACCEPT_RETRY_SECONDS)
        (message,) = world.events
        assert isinstance(message, Message)
        self.assertEqual(message.code, "internal.exhausted")
        self.assertTrue(message.text.endswith(": Too many open files"))

    def test_exhausted_and_more(self) -> None:
        """However many come meanwhile, it tries again once, and not before it is time."""
        world, listener, sock = self.failing(*[errno.EMFILE] * 10)
        for _ in range(5):
            listener._ready(READABLE)
        self.assertEqual(len(sock.numbers), 9)
        world.reactor.advance(ACCEPT_RETRY_SECONDS)
        self.assertEqual(len(sock.numbers), 8)

    def test_exhausted_for_long(self) -> None:
        """It says so once also while some get in as others leave; again when it was over."""
        world, listener, sock = self.failing(errno.EMFILE, 0, errno.EMFILE, 0, errno.EMFILE)

        def told() -> int:
            return sum(isinstance(event, Message) for event in world.events)

        for _ in range(2):
            client = self.open()
            client.connect((listener.endpoint.host, listener.endpoint.port))
        for _ in range(3):
            listener._accept_some()
            world.reactor.advance(ACCEPT_RETRY_SECONDS)
        self.assertEqual((told(), len(world.sessions)), (1, 2))
        listener._accept_some()  # nobody waits any more
        sock.numbers.append(errno.EMFILE)
        listener._accept_some()
        self.assertEqual(told(), 2)

    def test_told(self) -> None:
        """Every failure that ``internal.log`` names is told, whoever's trouble it is, each time."""
        numbers = [errno.ECONNABORTED, errno.EHOSTUNREACH, errno.EPROTO, errno.EMFILE]
        world, listener, _ = self.failing(*numbers, errno.EMFILE)
        lines = (
            "internal.log.err.error: EMFILE\n"
            "internal.log.notice.error: ECONNABORTED no-route\n"
            "external.log.alert.error: system-any\n"
        )
        world.factory.adopt(compiled(HEAD + lines + OPEN), {})
        listener._accept_some()
        world.reactor.advance(ACCEPT_RETRY_SECONDS)
        listener._accept_some()
        self.assertEqual(
            world.events,
            [
                AcceptFailed(
                    severity, Edge.INTERNAL, listener.endpoint, errno.errorcode[number], number
                )
                for severity, number in (
                    (Severity.NOTICE, errno.ECONNABORTED),
                    (Severity.NOTICE, errno.EHOSTUNREACH),
                    (Severity.ERROR, errno.EMFILE),
                    (Severity.ERROR, errno.EMFILE),
                )
            ],
        )

    def test_interrupted(self) -> None:
        """That a signal came in between is no failure."""
        world, listener, _ = self.failing(errno.EINTR)
        lines = "internal.log.alert.error: system-any\n"
        world.factory.adopt(compiled(HEAD + lines + OPEN), {})
        listener._accept_some()
        self.assertEqual(world.events, [])

    def test_debug(self) -> None:
        """What nobody asked for is told with ``debug``; a lack of descriptors is said anyway."""
        world, listener, _ = self.failing(errno.ECONNABORTED, errno.EMFILE)
        world.factory.journal.debug = 1
        listener._accept_some()
        told = [(type(event).__name__, getattr(event, "severity", None)) for event in world.events]
        debug = ("AcceptFailed", Severity.DEBUG)
        self.assertEqual(told, [debug, debug, ("Message", Severity.WARNING)])

    def test_exhausted_and_stopped(self) -> None:
        """A listener that stops while it waits does not come back."""
        world, listener, _ = self.failing(errno.EMFILE)
        listener._accept_some()
        listener.stop()
        world.reactor.advance(ACCEPT_RETRY_SECONDS)
        self.assertEqual(world.poller._watchers, {})
