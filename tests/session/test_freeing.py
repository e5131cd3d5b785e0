"""An association that is over is freed at once, without the garbage collector."""

from __future__ import annotations

import gc
from typing import Any

from dantetw.relay.datagrams import DatagramRelay
from dantetw.relay.egress import Egress
from dantetw.relay.flowcache import OutboundFlow, ReplyFlow
from dantetw.session.commands.association import Association
from dantetw.session.control import Control
from dantetw.session.datagramplans import DatagramPlans
from dantetw.session.drops import Drops
from dantetw.session.session import Session
from dantetw.values import Endpoint, Family
from tests.session.datagrams import AssociateCase

KINDS: tuple[type[Any], ...] = (
    Session,
    Association,
    Control,
    DatagramPlans,
    Drops,
    DatagramRelay,
    Egress,
    OutboundFlow,
    ReplyFlow,
)


class FreeingTests(AssociateCase):
    """What the collector need not find."""

    def counted(self) -> dict[str, int]:
        """How many there are of each kind."""
        kinds = [type(each) for each in gc.get_objects()]
        return {kind.__name__: kinds.count(kind) for kind in KINDS}

    def test_no_cycle(self) -> None:
        """Nothing of it is left, whatever has happened to it, though the collector is off."""
        world = self.world()
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        before = self.counted()
        visit = self.visit(world)
        for family in (Family.IPV4, Family.IPV6):
            for _ in range(3):
                sock, target = self.target(family)
                visit.say(b"x", target)
                sock.sendto(b"y", sock.recvfrom(9)[1])
                world.settle()
        visit.send(b"\0\0\1")
        visit.say(b"x", Endpoint("192.0.2.1", 0, Family.IPV4))
        visit.say(b"x", Endpoint("nowhere.example", 9, Family.NAME))
        world.look_up()
        visit.say(b"x", Endpoint("later.example", 9, Family.NAME))
        visit.control.send(b"said")
        self.assertEqual(len(visit.hear()), 6)
        self.assertEqual(self.counted()["Egress"], before["Egress"] + 2)
        visit.control.close()
        world.look_up()
        del visit
        self.assertEqual(self.counted(), before)
