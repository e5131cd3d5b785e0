"""A relay between two real connections, on a reactor that the test turns; and all its variants."""

from __future__ import annotations

import socket
from collections.abc import Callable
from itertools import product
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.poller import EpollPoller, ReactorPoller
from dantetw.relay import pipes
from dantetw.relay.codec import EncodedEnd
from dantetw.relay.copying import CopyingRelay
from dantetw.relay.flow import Flow
from dantetw.relay.relay import Tap
from dantetw.relay.splicing import SplicingRelay, available
from dantetw.values import Cause, Ending, Phase, Side
from tests.net.reactors import Peer, connected, pollers, until
from tests.relay.shapes import SHAPES, UNSHAPED, GrantingReactor, Mirrored, Shape

MEGABYTE = 1 << 20
SIDES = (Side.CLIENT, Side.TARGET)
STOPPED = Ending(Side.US, Phase.RELAY, Cause.SHUTDOWN)


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes in which anything lost, repeated or out of order shows."""
    return Random(seed).randbytes(size)


class Coded(Peer):
    """
    A client that speaks in a code.

    :ivar wire: bytes it has encoded; ``received`` and ``send`` are of decoded ones.
    """

    def __init__(self, sock: socket.socket, codec: Mirrored) -> None:
        super().__init__(sock)
        self.codec = codec
        self.wire = 0

    def send(self, data: bytes, shut: bool = False) -> None:
        encoded = self.codec.encode(data) + (self.codec.encode_end() if shut else b"")
        self.wire += len(encoded)
        super().send(encoded, shut)

    def got(self, data: bytes) -> None:
        try:
            super().got(self.codec.decode(data) if data else b"")
        except EncodedEnd as end:
            self.received += end.rest


class Rig:
    """
    Client, relay and target.

    :param buffers: bytes of the kernel's buffers, 0: its own choice.
    :ivar endings: what the relay's ``done`` was called with, each time.
    """

    def __init__(
        self,
        relay_class: type[CopyingRelay],
        poller: EpollPoller | ReactorPoller,
        reactor: GrantingReactor,
        buffers: int = 0,
        tap: Tap | None = None,
        shape: Shape = UNSHAPED,
    ) -> None:
        self.reactor = reactor
        self.poller = poller
        self.endings: list[Ending] = []
        plain, self.near_client = connected(buffers=buffers)
        self.client = Coded(plain.sock, shape.codec())
        self.target, self.near_target = connected(buffers=buffers)
        self.peers: list[Peer] = [self.client, self.target]
        self.hints = 0
        poller.watch(self.near_client.fileno(), self._hint)
        poller.watch(self.near_target.fileno(), lambda mask: None)
        self.reactor.turn()
        self.shaping = shape.make(reactor)
        self.relay = relay_class(
            poller, self.near_client, self.near_target, self.endings.append, tap, self.shaping
        )

    def _hint(self, mask: int) -> None:
        self.hints |= mask

    def start(self, early: bytes = b"", leftover: bytes = b"") -> None:
        """
        Start the relay, as a session would that has seen some of the sockets' events.

        :param early: encoded, if the client speaks in a code.
        """
        self.poller.pause(self.near_client.fileno())
        self.poller.remind(self.near_target.fileno())
        self.relay.start(early, self.hints, leftover)

    def until(self, true: Callable[[], bool]) -> None:
        """Turn everything until ``true``."""
        until(self.reactor, self.peers, true)

    def finish(self) -> Ending:
        """Turn everything until the relay has ended; says how."""
        self.until(lambda: bool(self.endings))
        return self.endings[0]

    def drain(self) -> None:
        """Turn everything until both far ends have seen the end of what was sent to them."""
        self.until(lambda: all(peer.eof or peer.error for peer in self.peers))

    def far(self, side: Side) -> tuple[Peer, Peer]:
        """The far end of a side, and the one opposite."""
        return (self.client, self.target) if side is Side.CLIENT else (self.target, self.client)

    @property
    def flows(self) -> tuple[Flow, Flow]:
        """Both directions."""
        return self.relay.up, self.relay.down

    def close(self) -> None:
        """Close whatever is open."""
        for peer in self.peers:
            peer.sock.close()
        self.near_client.close()
        self.near_target.close()


def empty_pool() -> None:
    """Close the pipes that are kept for later."""
    while pipes._free:
        pipes.give_back(pipes._free.pop(), empty=False)


class RelayCase(SynchronousTestCase):
    """A test of one kind of relay with one kind of poller."""

    relay_class: type[CopyingRelay]
    poller_class: type[EpollPoller] | type[ReactorPoller]
    shape = UNSHAPED

    def setUp(self) -> None:
        self.reactor = GrantingReactor()
        self.poller = self.poller_class(self.reactor, self.reactor.seconds)
        self.poller.start()
        self.addCleanup(empty_pool)
        self.addCleanup(self.poller.stop)

    def rig(self, buffers: int = 0, tap: Tap | None = None) -> Rig:
        """A relay that is not started, and is cleared away in the end."""
        rig = Rig(self.relay_class, self.poller, self.reactor, buffers, tap, self.shape)
        self.addCleanup(rig.close)
        self.addCleanup(self._check, rig)
        return rig

    def running(self, buffers: int = 0, tap: Tap | None = None) -> Rig:
        """A relay that is started."""
        rig = self.rig(buffers, tap)
        rig.start()
        return rig

    def _check(self, rig: Rig) -> None:
        # Whatever a test was about.
        if rig.relay.ended:
            self.assertEqual(len(rig.endings), 1)
            self.assertEqual(rig.near_client.fileno(), -1)
            self.assertEqual(rig.near_target.fileno(), -1)
            self.assertIsNone(rig.relay.up.pipe)
            self.assertIsNone(rig.relay.down.pipe)
            for budget in self.reactor.budgets:
                self.assertFalse(any(flow in budget._waiting for flow in rig.flows))
        else:
            rig.relay.end(STOPPED)


def everywhere(
    suite: type[Any],
    relays: tuple[type[CopyingRelay], ...] = (CopyingRelay, SplicingRelay),
    shapes: tuple[Shape, ...] = SHAPES,
) -> dict[str, type[RelayCase]]:
    """The suite for each relay with each poller and in each shape, as names for a test module."""
    found = {}
    for relay in relays:
        if relay is SplicingRelay and not available():
            continue
        for poller, shape in product(pollers(), shapes):
            what = suite.__name__.removesuffix("Suite")
            name = f"{what}{shape.name}{relay.__name__}{poller.__name__}Tests"
            members = {
                "relay_class": relay,
                "poller_class": poller,
                "shape": shape,
                "__module__": suite.__module__,
                "__doc__": suite.__doc__,
            }
            found[name] = type(name, (suite, RelayCase), members)
    return found
