"""
A server without a network: clients and targets are pairs of local sockets, which deliver at once
and in order, time stands still unless it is moved, and nothing happens unless :meth:`World.settle`
lets it.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from dantetw.auth.interfaces import AuthenticationFailed, IAuthenticator
from dantetw.catalogue import DIALECTS, PROGRAM
from dantetw.catalogue import upstreams as list_upstreams
from dantetw.config import Policy, parse
from dantetw.net.dial import Connected, DialError, Failed, IAttempt
from dantetw.net.poller import (
    FAILED,
    READABLE,
    WRITABLE,
    EpollPoller,
    IPoller,
    ReactorPoller,
)
from dantetw.net.resolving import Resolver
from dantetw.net.sockopts import LowBinder
from dantetw.net.transports import ClientTransport, address_of
from dantetw.observe.events import Ended, Event
from dantetw.observe.formats.dante import Dante
from dantetw.observe.journal import Journal
from dantetw.policy import Edge, SocketOption
from dantetw.session.commands import bind as binding
from dantetw.session.commands import connect as connecting
from dantetw.session.commands import forward as forwarding
from dantetw.session.protocol import SocksFactory, SocksProtocol
from dantetw.session.session import Session
from dantetw.upstream import direct
from dantetw.upstream.interfaces import MakeUpstream
from dantetw.values import Command, Ending, Endpoint, Family, Method
from dantetw.wire import socks5, userpass
from dantetw.wire.dialects import Dialects
from tests.held import ReportingClock, held

#: Where the clock of a world begins; not a whole number, since limits count whole seconds.
NOON = 1000.25

HEAD = """
internal: 127.0.0.1 port = 1080
external: 192.0.2.1
clientmethod: none
"""
LOG = "log: connect disconnect error"
RULES = f"client pass {{ from: 0/0 to: 0/0 {LOG} }}\nsocks pass {{ from: 0/0 to: 0/0 {LOG} }}\n"
OPEN = f"socksmethod: none\n{RULES}"
LOGINS = f"socksmethod: username\n{RULES}"

GREETING = b"\x05\x01\x00"
LOGIN = b"\x05\x01\x02" + userpass.build_login(b"joe", b"secret")

CLIENT = Endpoint("10.0.0.9", 50000, Family.IPV4)
HERE = Endpoint("127.0.0.1", 1080, Family.IPV4)
TARGET = Endpoint("198.51.100.7", 80, Family.IPV4)
NAMED = Endpoint("www.example.org", 80, Family.NAME)


def request(target: Endpoint = TARGET, command: Command = Command.CONNECT) -> bytes:
    """A SOCKS 5 request."""
    return socks5.build_request(command, target)


UPSTREAMS = list_upstreams()

#: What clients of a world can ask for.
COMMANDS = {Command.CONNECT: connecting.connect, Command.BIND: binding.bind}


class Machine:
    """The machine a configuration is read on: it has every user and can bind every address."""

    effective_root = False
    interfaces: ClassVar[dict[str, list[str]]] = {"lo": ["127.0.0.1", "::1"], "eth0": ["192.0.2.1"]}

    def addresses_of(self, interface: str) -> Sequence[str]:
        return self.interfaces.get(interface, [])

    def all_addresses(self) -> Sequence[str]:
        return [address for addresses in self.interfaces.values() for address in addresses]

    def can_bind(self, address: str) -> bool:
        return True

    def service_port(self, name: str, protocol: Any) -> int | None:
        return None

    def user_exists(self, name: str) -> bool:
        return True

    def has_pam(self) -> bool:
        return True

    def resolve(self, name: str) -> Sequence[str]:
        return []


def compiled(text: str) -> Policy:
    """The policy of a configuration that must be free of errors."""
    parsed = parse(text.encode(), "sockd.conf", Machine(), PROGRAM)
    assert parsed.policy is not None, [problem.render() for problem in parsed.problems]
    return parsed.policy


@implementer(IReactorFDSet)
class TurningReactor(ReportingClock):
    """A reactor whose turns a test takes."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []
        self.writers: list[Any] = []
        self.rightNow = NOON

    def addReader(self, reader: Any) -> None:  # noqa: N802 - Twisted's name
        if reader not in self.readers:
            self.readers.append(reader)

    def addWriter(self, writer: Any) -> None:  # noqa: N802 - Twisted's name
        if writer not in self.writers:
            self.writers.append(writer)

    def removeReader(self, reader: Any) -> None:  # noqa: N802 - Twisted's name
        if reader in self.readers:
            self.readers.remove(reader)

    def removeWriter(self, writer: Any) -> None:  # noqa: N802 - Twisted's name
        if writer in self.writers:
            self.writers.remove(writer)

    def removeAll(self) -> list[Any]:  # noqa: N802 - Twisted's name
        return []

    def getReaders(self) -> list[Any]:  # noqa: N802 - Twisted's name
        return list(self.readers)

    def getWriters(self) -> list[Any]:  # noqa: N802 - Twisted's name
        return list(self.writers)

    def turn(self, wait: float = 0.0) -> bool:
        """
        One turn; False if there was nothing to do.

        :param wait: real seconds to wait for something, where a network is involved.
        """
        due = [call for call in self.getDelayedCalls() if call.getTime() <= self.seconds()]
        self.advance(0)
        readable, writable, _ = select.select(self.readers, self.writers, [], wait)
        for reader in readable:
            if reader in self.readers:
                reader.doRead()
        for writer in writable:
            if writer in self.writers:
                writer.doWrite()
        return bool(due or readable or writable)

    def settle(self) -> None:
        """Take turns until nothing happens any more."""
        for _ in range(2000):
            if not self.turn():
                return
        raise AssertionError("the reactor is kept busy for ever")


@implementer(IAttempt)
class FakeDial:
    """
    A connection attempt that a test decides.

    :ivar leftover: what of the target's an upstream has read already.
    :ivar far: the target's end of the connection to be.
    """

    def __init__(
        self,
        world: World,
        poller: IPoller,
        source: Endpoint,
        target: Endpoint,
        options: Sequence[SocketOption],
        keep_alive: bool,
    ) -> None:
        self.world = world
        self._connected: Connected
        self._failed: Failed
        self.target = target
        self.options = options
        self.keep_alive = keep_alive
        self.edge = Edge.EXTERNAL
        self.leftover = b""
        self.refused: list[tuple[SocketOption, int]] = []
        self.source = Endpoint(source.host, 40000 + len(world.dials), target.family)
        number = world.unreachable.get(target.host)
        if number is not None:
            raise DialError(number, True, self.source)
        self._poller = poller
        self._sock: socket.socket | None
        self._sock, self.far = world.pair()
        self._number = 0
        self._decided = False
        poller.watch(self._sock.fileno(), self._ready)
        world.dials.append(self)

    def then(self, connected: Connected, failed: Failed) -> None:
        """See :meth:`dantetw.net.dial.Dial.then`."""
        self._connected, self._failed = connected, failed

    def _ready(self, mask: int) -> None:
        """A pair is connected from the start; the news is kept until the test wants it."""
        if self._decided and mask & (WRITABLE | FAILED):
            self._tell()

    @property
    def open(self) -> bool:
        """Whether the attempt is still under way."""
        return self._sock is not None

    def decide(self, number: int = 0) -> None:
        """The attempt succeeds, or fails with an errno."""
        self._number = number
        if self._sock is not None:
            self._tell()

    def _tell(self) -> None:
        sock = self._sock
        assert sock is not None
        if self._number:
            self.cancel()
            self._failed(DialError(self._number, False, self.source))
        else:
            self._sock = None
            self._connected(sock)

    def cancel(self) -> None:
        """See :meth:`dantetw.net.dial.Dial.cancel`."""
        if self._sock is not None:
            self._poller.forget(self._sock.fileno())
            self._sock.close()
            self._sock = None


class FakePeerPort:
    """
    A port that waits for a peer, whom a test lets come.

    :ivar bound: where: the port asked for, or one from 49152.
    :ivar listens: whether peers can come; ``open``: whether it is held; ``paused``: whether it is
        watched.
    :ivar trouble: errnos of the calls that fail next.
    """

    def __init__(
        self,
        world: World,
        source: Endpoint,
        options: Sequence[SocketOption],
        keep_alive: bool,
        low: LowBinder | None = None,
    ) -> None:
        if source.host in world.unreachable:
            raise OSError(world.unreachable[source.host], "unbindable")
        self.world = world
        self.options = tuple(options)
        granted = source.port >= 1024 or (source.port and low)
        port = source.port if granted else 49152 + len(world.awaits)
        self.bound = Endpoint(source.host, port, source.family)
        self.refused: list[tuple[SocketOption, int]] = []
        self.open, self.listens, self.paused = True, False, False
        self.trouble: list[int] = []
        self._waiting: list[tuple[socket.socket, Endpoint]] = []
        world.awaits.append(self)

    def listen(
        self,
        poller: IPoller,
        arrived: Callable[[int], None],
        options: Sequence[SocketOption] = (),
        backlog: int = 1,
    ) -> None:
        """See :meth:`dantetw.net.peerport.PeerPort.listen`."""
        if self.trouble:
            raise OSError(self.trouble.pop(), "no listening")
        self.options += tuple(options)
        self.backlog = backlog
        self._arrived = arrived
        self.listens = True

    def come(self, peer: Endpoint) -> socket.socket:
        """A peer connects; its end."""
        ours, theirs = self.world.pair()
        self._waiting.append((ours, peer))
        self._arrived(READABLE)
        self.world.settle()
        return theirs

    def accept(self) -> tuple[socket.socket, Endpoint]:
        """See :meth:`dantetw.net.peerport.PeerPort.accept`."""
        if self.trouble:
            raise OSError(self.trouble.pop(), "no accepting")
        if not self._waiting:
            raise BlockingIOError
        return self._waiting.pop(0)

    def pause(self) -> None:
        """See :meth:`dantetw.net.peerport.PeerPort.pause`."""
        self.paused = True

    def resume(self) -> None:
        """See :meth:`dantetw.net.peerport.PeerPort.resume`."""
        self.paused = False

    def close(self) -> None:
        """See :meth:`dantetw.net.peerport.PeerPort.close`."""
        self.open = self.listens = False
        for sock, _ in self._waiting:
            sock.close()


@implementer(IAuthenticator)
class Doorkeeper:
    """
    Checks logins when the test says so.

    :ivar asked: names and passwords, and what their checks wait on; ``clients``: whose they are.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes, Deferred[None]]] = []
        self.clients: list[str] = []
        self.cancelled = 0

    def authenticate(self, name: str, password: bytes, client: str = "") -> Deferred[None]:
        check: Deferred[None] = Deferred(self._give_up)
        self.asked.append((name, password, check))
        self.clients.append(client)
        return check

    def _give_up(self, _: Deferred[None]) -> None:
        self.cancelled += 1

    def revision(self, name: str) -> object:
        return None

    def answer(self, good: bool) -> None:
        """Answer the oldest question that is still open."""
        for name, _, check in self.asked:
            if not check.called:
                if good:
                    check.callback(None)
                else:
                    check.errback(AuthenticationFailed.wrong_password(name))
                return


class Client:
    """One client of a world: its end of the connection, and what it has been sent."""

    def __init__(self, world: World, sock: socket.socket, protocol: SocksProtocol) -> None:
        self.world = world
        self.sock = sock
        self.session = protocol.session
        self.received = b""
        self.closed = False
        self.reset = False

    def send(self, *pieces: bytes) -> None:
        """Send bytes, each piece by itself, and let the server act."""
        for piece in pieces:
            try:
                self.sock.send(piece)
            except OSError:
                return  # the server has closed; what it said before can still be heard
            self.world.settle()

    def hear(self) -> bytes:
        """All that has been received; sets ``closed`` at the end of file."""
        while not self.closed:
            try:
                data = self.sock.recv(65536)
            except BlockingIOError:
                break
            except OSError:
                self.closed = self.reset = True
                break
            self.received += data
            self.closed = not data
        return self.received

    def close(self) -> None:
        """Close, and let the server notice."""
        self.sock.close()
        self.world.settle()

    def shut(self) -> None:
        """Say that no more will come."""
        self.sock.shutdown(socket.SHUT_WR)
        self.world.settle()


class World:
    """
    A server, its surroundings and its clients.

    :param case: the test; gets the clean-up.
    :param text: configuration, behind :data:`HEAD`.
    :param make_poller: which of the pollers to use.
    :ivar events: all that was recorded, in order.
    :ivar dials: connection attempts under way or over, in order; ``awaits``: ports of BINDs.
    :ivar unreachable: errno of what fails at once, by host: connection attempts to it, or a port
        on it.
    :ivar hosts: addresses of names; others do not exist.
    """

    def __init__(
        self,
        case: SynchronousTestCase,
        text: str = OPEN,
        make_poller: Callable[[Any], EpollPoller | ReactorPoller] = EpollPoller,
        commands: dict[Command, Any] | None = None,
        head: str = HEAD,
        upstreams: Mapping[str, MakeUpstream] = UPSTREAMS,
    ) -> None:
        self.case = case
        self.events: list[Event] = []
        self.dials: list[FakeDial] = []
        self.awaits: list[FakePeerPort] = []
        self.unreachable: dict[str, int] = {}
        self.hosts: dict[str, list[str]] = {"www.example.org": ["203.0.113.5"]}
        self.sockets: list[socket.socket] = []
        self.reactor = TurningReactor()
        self.doorkeeper = Doorkeeper()
        threads, self.pool = held(self.reactor, 1000, 1000)
        if make_poller is EpollPoller:
            self.poller: Any = EpollPoller(self.reactor, self.reactor.seconds)
        else:
            self.poller = ReactorPoller(self.reactor, self.reactor.seconds)
        self.poller.start()
        case.addCleanup(self.close)
        case.patch(direct, "Dial", self._dial)
        case.patch(forwarding, "Dial", self._dial)
        machine = Machine()
        self.factory = SocksFactory(
            self.reactor,
            Journal(lambda event: self.events.append(event["event"])),
            Resolver(self.reactor, threads, self._getaddrinfo, self._getnameinfo),
            self.poller,
            Dialects(DIALECTS),
            COMMANDS if commands is None else commands,
            upstreams,
            machine.addresses_of,
            machine.all_addresses,
            monotonic=self.reactor.seconds,
        )
        self.factory.wait_on = partial(FakePeerPort, self)  # type: ignore[assignment]
        self.policy = compiled(head + text)
        self.factory.adopt(self.policy, {Method.USERNAME: self.doorkeeper})
        self.factory.sweep.start()

    def close(self) -> None:
        """Close what a test has left open."""
        self.poller.stop()
        for sock in self.sockets:
            sock.close()

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Two connected, non-blocking sockets, closed at the end of the test."""
        ends = socket.socketpair()
        for end in ends:
            end.setblocking(False)
            self.sockets.append(end)
        return ends

    def _dial(
        self,
        poller: IPoller,
        source: Endpoint,
        target: Endpoint,
        options: Sequence[SocketOption] = (),
        keep_alive: bool = True,
        low: LowBinder | None = None,
        edge: Edge = Edge.EXTERNAL,
    ) -> FakeDial:
        dial = FakeDial(self, poller, source, target, options, keep_alive)
        dial.edge = edge
        return dial

    def _getaddrinfo(self, name: bytes, *_: Any) -> list[tuple[Any, ...]]:
        addresses = self.hosts.get(name.decode())
        if addresses is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (address, 0)) for address in addresses]

    def _getnameinfo(self, sockaddr: tuple[str, int], flags: int) -> tuple[str, str]:
        for name, addresses in self.hosts.items():
            if sockaddr[0] in addresses:
                return name, "0"
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def client(self, *pieces: bytes, peer: Endpoint = CLIENT, local: Endpoint = HERE) -> Client:
        """A client that has just been accepted and sends ``pieces``."""
        server_end, end = self.pair()
        sockaddr = (peer.host, peer.port) + ((0, 0) if peer.family is Family.IPV6 else ())
        protocol = self.factory.buildProtocol(address_of(sockaddr))
        transport = ClientTransport(server_end, sockaddr, self.poller, protocol, local)
        protocol.makeConnection(transport)
        client = Client(self, end, protocol)
        self.settle()
        client.send(*pieces)
        return client

    def connected(self, *early: bytes) -> tuple[Client, FakeDial]:
        """A client whose request was granted, and the way to its target."""
        client = self.client(GREETING + request() + b"".join(early))
        dial = self.dials[-1]
        dial.decide()
        self.settle()
        return client, dial

    def settle(self) -> None:
        """Let happen what can happen without time going by."""
        self.reactor.settle()

    def look_up(self) -> None:
        """Let all look-ups that wait be answered."""
        while self.pool.jobs:
            self.pool.run()
            self.settle()

    def wait(self, seconds: float) -> None:
        """Let time go by, a second at a time."""
        whole = int(seconds)
        for step in [1.0] * whole + [seconds - whole] * (seconds > whole):
            self.reactor.advance(step)
            self.settle()

    # What came of it.

    @property
    def ended(self) -> list[Ended]:
        """The ends of sessions, in order."""
        return [event for event in self.events if isinstance(event, Ended)]

    @property
    def ending(self) -> Ending:
        """How the only session ended."""
        (ended,) = self.ended
        return ended.ending

    @property
    def sessions(self) -> set[Session]:
        """Sessions that are alive."""
        return set(self.factory.sessions.values())

    def lines(self) -> list[str]:
        """All that was recorded, in Dante's words."""
        form = Dante()
        return [text for event in self.events for _, text in form.lines(event)]

    def check_over(self) -> None:
        """Check that nothing is left: no session, no time limit, no socket of the server's."""
        case = self.case
        case.assertEqual(self.factory.sessions, {})
        case.assertEqual(self.factory.sweep._limited, set())
        case.assertEqual(self.factory.delayed_closes.pending, set())
        for number, sock in enumerate(self.sockets):
            if number % 2 == 0:  # the server's end of a pair
                case.assertEqual(sock.fileno(), -1, f"pair {number // 2} is still open")
        for awaited in self.awaits:
            case.assertFalse(awaited.open, f"{awaited.bound} is still held")
        poller = self.poller
        watched = poller._watchers if isinstance(poller, EpollPoller) else poller._descriptors
        case.assertEqual(dict(watched), {})

    def until(self, condition: Callable[[], object]) -> None:
        """Take turns until something has happened, where the kernel's network is involved."""
        deadline = time.monotonic() + 30
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError("it does not happen")
            self.reactor.turn(0.01)
