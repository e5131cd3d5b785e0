"""Associations in a world: clients and targets of datagrams have real sockets, on the loopback."""

from __future__ import annotations

import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.poller import EpollPoller
from dantetw.observe.events import Dropped, Ended
from dantetw.session.commands import connect
from dantetw.session.commands.associate import associate
from dantetw.session.commands.association import Association
from dantetw.values import AF_OF, Command, Drop, Endpoint, Family
from dantetw.wire import socks5
from dantetw.wire.udp import build_header, parse_datagram
from tests.session.world import GREETING, Client, World

HEAD = """
internal: 127.0.0.1 port = 1080
external: 127.0.0.1
external: ::1
clientmethod: none
"""
LOG = "log: connect disconnect error ioop"
RULES = f"client pass {{ from: 0/0 to: 0/0 {LOG} }}\nsocks pass {{ from: 0/0 to: 0/0 {LOG} }}\n"
OPEN = f"socksmethod: none\n{RULES}"
ANYWHERE = Endpoint("0.0.0.0", 0, Family.IPV4)
HOME = Endpoint("127.0.0.1", 50000, Family.IPV4)
HERE = Endpoint("127.0.0.1", 1080, Family.IPV4)
HOSTS = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}
#: The client's two addresses in a ``tcp/accept`` line.
NEAR = "127.0.0.1.50000 127.0.0.1.1080"


def asking(announced: Endpoint = ANYWHERE) -> bytes:
    """A greeting and a request."""
    return GREETING + socks5.build_request(Command.UDPASSOCIATE, announced)


class Visit:
    """
    A client with an association.

    :ivar control: its connection; ``sock``: where it sends its datagrams from.
    """

    def __init__(self, world: World, control: Client, sock: socket.socket) -> None:
        self.world = world
        self.control = control
        self.sock = sock

    @property
    def association(self) -> Association:
        """Our side of it."""
        session = self.control.session
        assert session is not None and isinstance(session.activity, Association)
        return session.activity

    @property
    def where(self) -> Endpoint:
        """Where the client sends from."""
        return Endpoint.of(self.sock.getsockname())

    @property
    def bound(self) -> Endpoint:
        """Where the reply says that it shall send to."""
        heard = self.control.hear()
        assert heard[:3] == b"\x05\x00\x05", heard
        found, _ = parse_datagram(b"\0\0\0" + heard[5:])
        return found

    def say(self, payload: bytes, to: Endpoint) -> None:
        """Send a datagram, and let the server act."""
        self.send(build_header(to) + payload)

    def send(self, data: bytes, sock: socket.socket | None = None) -> None:
        """Send it as it is."""
        local = self.association.local
        (sock or self.sock).sendto(data, (local.host, local.port))
        self.world.settle()

    def hear(self) -> list[tuple[Endpoint, bytes]]:
        """All that has come back."""
        found = []
        while True:
            try:
                data = self.sock.recv(70000)
            except BlockingIOError:
                return found
            sender, start = parse_datagram(data)
            found.append((sender, data[start:]))


class AssociateCase(SynchronousTestCase):
    """What the tests of associations share."""

    make_poller = EpollPoller

    def world(self, text: str = OPEN, head: str = HEAD) -> World:
        """A server that performs UDP ASSOCIATE."""
        commands: dict[Command, Any] = {
            Command.CONNECT: connect.connect,
            Command.UDPASSOCIATE: associate,
        }
        return World(self, text, self.make_poller, commands, head)

    def sock(self, family: Family = Family.IPV4) -> socket.socket:
        """Somebody's socket."""
        sock = socket.socket(AF_OF[family], socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.setblocking(False)
        sock.bind((HOSTS[family], 0))
        return sock

    def target(self, family: Family = Family.IPV4) -> tuple[socket.socket, Endpoint]:
        """A target."""
        sock = self.sock(family)
        return sock, Endpoint.of(sock.getsockname())

    def closed(self) -> Endpoint:
        """Where nobody listens."""
        sock, where = self.target()
        sock.close()
        return where

    def visit(
        self, world: World, announced: Endpoint = ANYWHERE, *early: bytes, peer: Endpoint = HOME
    ) -> Visit:
        """A client whose request was granted."""
        local = HERE if peer.family is Family.IPV4 else Endpoint("::1", 1080, Family.IPV6)
        control = world.client(asking(announced) + b"".join(early), peer=peer, local=local)
        world.look_up()
        control.hear()  # a client that closes and has not read its reply sends a reset
        return Visit(world, control, self.sock(peer.family))

    def drops(self, world: World) -> dict[Drop, int]:
        """What the only session's record counts."""
        return dict(self.ended(world).drops)

    def ended(self, world: World) -> Ended:
        """The only session's record."""
        (ended,) = world.ended
        return ended

    def dropped(self, world: World) -> list[Dropped]:
        """All that was told of datagrams that were not relayed."""
        return [event for event in world.events if isinstance(event, Dropped)]
