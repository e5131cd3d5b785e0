"""A relay that is over is freed at once, without the garbage collector."""

from __future__ import annotations

import gc
import socket

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.poller import EpollPoller
from dantetw.relay.copying import CopyingRelay
from dantetw.relay.splicing import SplicingRelay
from dantetw.values import Cause, Ending, Phase, Side
from tests.net.reactors import TurningReactor


class FreeingTests(SynchronousTestCase):
    """What the collector need not find."""

    def left(self, kind: type[CopyingRelay]) -> int:
        """How many relays of a kind there still are when one has come and gone."""
        poller = EpollPoller(TurningReactor())
        self.addCleanup(poller.stop)
        pairs = [socket.socketpair(), socket.socketpair()]
        for near, far in pairs:
            near.setblocking(False)
            poller.watch(near.fileno(), lambda mask: None)
            self.addCleanup(far.close)
        relay = kind(poller, pairs[0][0], pairs[1][0], lambda ending: None)
        relay.start()
        relay.end(Ending(Side.US, Phase.RELAY, Cause.SHUTDOWN))
        del relay
        return sum(type(one) is kind for one in gc.get_objects())

    def test_no_cycle(self) -> None:
        """Nothing of it is left, though the collector is off."""
        for kind in (CopyingRelay, SplicingRelay):
            gc.collect()
            gc.disable()
            self.addCleanup(gc.enable)
            before = sum(type(one) is kind for one in gc.get_objects())
            self.assertEqual(self.left(kind), before)
