"""Tests of :mod:`dantetw.relay.datagrams` and :mod:`dantetw.relay.egress`."""

from __future__ import annotations

import errno
import socket
from itertools import chain
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from dantetw.net import poller
from dantetw.net.poller import EpollPoller
from dantetw.observe.events import Counts
from dantetw.relay import clientaddress
from dantetw.relay import egress as egress_module
from dantetw.relay.clientport import (
    DATAGRAMS_PER_BATCH,
    MAX_HELD,
    MAX_HELD_BYTES,
    ReadBatch,
)
from dantetw.relay.datagrams import MAX_FLOWS
from dantetw.relay.egress import Egress
from dantetw.relay.flowcache import OutboundFlow
from dantetw.relay.latency import SPARSE_INTERVAL
from dantetw.values import Endpoint, Family
from dantetw.wire.udp import build_header
from tests.descriptors import descriptors
from tests.net.reactors import pollers
from tests.relay.association import BLOCK, LATER, PASS, UNUSABLE, AssociationCase

NOBODY = Endpoint("192.0.2.9", 9, Family.IPV4)
NAMED = Endpoint("www.example.org", 53, Family.NAME)

_Suite = AssociationCase if TYPE_CHECKING else object


class RelaySuite(_Suite):
    """What holds with each poller."""

    def test_there_and_back(self) -> None:
        """What the client sends arrives without its header, and what is answered with one."""
        rig, target = self.rig(), self.far()
        for payload in (b"one", b"", b"three"):
            rig.say(payload, target.where)
        self.settle()
        heard = target.hear_from()
        self.assertEqual([data for data, _ in heard], [b"one", b"", b"three"])
        source = rig.way().source
        self.assertEqual({sender for _, sender in heard}, {source})
        for payload in (b"four", b"", b"five!"):
            target.send(payload, source)
        self.settle()
        expected = [(target.where, data) for data in (b"four", b"", b"five!")]
        self.assertEqual(rig.answers(), expected)
        self.assertEqual(rig.way().counts, Counts(9 + 30, 8 + 30, 8, 9))
        self.assertEqual(rig.way().packets, Counts(3, 3, 3, 3))
        self.assertEqual(rig.delegate.told, [("admit_client", rig.client.where, True)])

    def test_young(self) -> None:
        """An association is young when it begins, however long no datagram has come to anybody."""
        self.rig()
        self.reactor.rightNow += 1000
        rig, target = self.rig(), self.far()
        self.assertEqual(rig.relay.last_activity, self.reactor.seconds())
        rig.delegate.verdicts = {target.where: LATER}
        rig.say(b"x", target.where)
        self.settle()
        self.reactor.rightNow += 1000
        rig.delegate.decide(PASS)
        self.assertEqual(rig.relay.last_activity, self.reactor.seconds())

    def test_before_connected(self) -> None:
        """What a stranger sends to a way out before it has its target does not count as that's."""
        rig, target, stranger = self.rig(), self.far(), self.far()
        aim = Egress.assign

        def slowly(egress: Egress, route: OutboundFlow, connect: bool) -> None:
            stranger.send(b"forged", egress.source)
            aim(egress, route, connect)

        self.patch(Egress, "assign", slowly)
        rig.say(b"x", target.where)
        self.settle()
        target.send(b"y", rig.way().source)
        self.settle()
        self.assertEqual(rig.answers(), [(target.where, b"y")])
        self.assertEqual(rig.delegate.count("unsolicited"), 1)
        self.assertEqual(rig.way().packets.from_target, 1)

    def test_client_unreachable(self) -> None:
        """A client that cannot be answered is told of, and nobody else is taken for it."""
        rig, target, stranger = self.rig(), self.far(), self.far()
        rig.delegate.client = rig.client.where
        sock = rig.relay.client

        class Unreachable:
            """A socket that cannot be connected."""

            def __getattr__(self, name: str) -> object:
                return getattr(sock, name)

            def connect(self, address: object) -> None:
                raise OSError(errno.ENETUNREACH, "told to")

        rig.relay.client = Unreachable()  # type: ignore[assignment]
        rig.say(b"x", target.where)
        stranger.send(build_header(target.where) + b"evil", rig.inside)
        self.settle()
        self.assertEqual(target.hear(), [])
        self.assertIn(("undelivered", None, errno.ENETUNREACH), rig.delegate.told)
        rig.relay.client = sock
        rig.say(b"y", target.where)
        self.settle()
        self.assertEqual(target.hear(), [b"y"])

    def test_client_port(self) -> None:
        """We go out from the client's port, if we can have it: other addresses, the same port."""
        rig, target = self.rig(), self.far()
        rig.say(b"x", target.where)
        self.settle()
        # The client has it on this host, so that we cannot.
        self.assertNotEqual(rig.way().source.port, rig.client.where.port)
        six = self.far(Family.IPV6)
        rig.say(b"x", six.where)
        self.settle()
        self.assertEqual(rig.way(Family.IPV6).source.port, rig.client.where.port)

    def test_families(self) -> None:
        """Client and targets may be of different families; each family has a way out."""
        for family in Family.IPV4, Family.IPV6:
            with self.subTest(family):
                rig = self.rig(family)
                targets = [self.far(), self.far(Family.IPV6)]
                for number, target in enumerate(targets):
                    rig.say(b"%d" % number, target.where)
                self.settle()
                for number, target in enumerate(targets):
                    ((data, sender),) = target.hear_from()
                    self.assertEqual(data, b"%d" % number)
                    target.send(data * 2, sender)
                self.settle()
                answers = [(t.where, b"%d%d" % (n, n)) for n, t in enumerate(targets)]
                self.assertCountEqual(rig.answers(), answers)
                self.assertEqual(rig.way().counts, Counts(12, 11, 1, 2))
                self.assertEqual(rig.way(Family.IPV6).counts, Counts(24, 23, 1, 2))

    def test_many_targets(self) -> None:
        """Each of many targets gets its own, from one port, and may answer."""
        for connects in (True, False):
            with self.subTest(connects=connects):
                rig = self.rig()
                rig.delegate.connects = connects
                targets = [self.far() for _ in range(5)]
                for turn in range(3):
                    for number, target in enumerate(targets):
                        rig.say(b"%d %d" % (turn, number), target.where)
                self.settle()
                sources = set()
                for number, target in enumerate(targets):
                    heard = target.hear_from()
                    self.assertEqual(
                        [data for data, _ in heard],
                        [b"%d %d" % (turn, number) for turn in (0, 1, 2)],
                    )
                    sources |= {sender for _, sender in heard}
                    target.send(b"answer %d" % number, rig.way().source)
                self.assertEqual(sources, {rig.way().source})
                self.settle()
                self.assertCountEqual(
                    rig.answers(), [(t.where, b"answer %d" % n) for n, t in enumerate(targets)]
                )
                self.assertIsNone(rig.way().target)
                first = targets[0].where if connects else None
                self.assertEqual(rig.way().connected_to, first)
                self.assertEqual(rig.way().packets, Counts(5, 15, 15, 5))
                self.assertEqual(set(rig.delegate.asked.values()), {1})
                self.assertEqual(set(rig.delegate.answers.values()), {1})

    def test_only_target(self) -> None:
        """The target is known as long as there is one, by whatever header."""
        rig, target = self.rig(), self.far()
        other = self.far()
        rig.say(b"x", target.where)
        self.settle()
        self.assertEqual(rig.way().target, target.where)
        rig.client.send(b"\xff\xff" + build_header(target.where)[2:] + b"y", rig.inside)
        self.settle()
        self.assertEqual(rig.way().target, target.where)
        rig.say(b"x", other.where)
        self.settle()
        self.assertIsNone(rig.way().target)
        self.assertEqual(target.hear(), [b"x", b"y"])

    def test_unasked(self) -> None:
        """Who was not asked cannot answer."""
        rig, first, second, stranger = self.rig(), self.far(), self.far(), self.far()
        rig.say(b"x", first.where)
        self.settle()
        stranger.send(b"psst", rig.way().source)
        second.send(b"too early", rig.way().source)
        self.settle()
        self.assertEqual(rig.answers(), [])
        rig.say(b"x", second.where)
        self.settle()
        stranger.send(b"psst", rig.way().source)
        second.send(b"good", rig.way().source)
        self.settle()
        self.assertEqual(rig.answers(), [(second.where, b"good")])
        self.assertEqual(rig.delegate.count("unsolicited"), 1)
        self.assertEqual(rig.way().packets.from_target, 1)

    def test_malformed(self) -> None:
        """What has no good header is told and not counted, and does no harm."""
        rig, target = self.rig(), self.far()
        good = build_header(target.where)
        bad = [b"", b"\0", good[:-1], b"\0\0\x01" + good[3:] + b"x", b"\0\0\0\x09abc"]
        for data in bad:
            rig.client.send(data, rig.inside)
        rig.say(b"x", target.where)
        rig.client.send(b"", rig.inside)
        self.settle()
        told = [what for name, *what in rig.delegate.told if name == "malformed"]
        self.assertEqual(told, [[data] for data in (*bad, b"")])
        self.assertEqual(target.hear(), [b"x"])
        self.assertEqual(rig.way().packets.from_client, 1)

    def test_blocked(self) -> None:
        """What a rule blocks is not sent, and counted as received once there is a way out."""
        rig, target, other = self.rig(), self.far(), self.far()
        rig.delegate.verdicts[other.where] = BLOCK
        rig.say(b"x", other.where)
        self.settle()
        self.assertEqual(rig.relay.egresses, {})
        for to in (target, other, target, other):
            rig.say(b"x", to.where)
        self.settle()
        self.assertEqual((target.hear(), other.hear()), ([b"x", b"x"], []))
        self.assertEqual(rig.delegate.count("blocked"), 3)
        self.assertEqual(rig.delegate.asked[other.where], 1)
        self.assertEqual(rig.way().packets, Counts(0, 4, 2, 0))

    def test_blocked_answers(self) -> None:
        """So it is with what targets answer."""
        for beside in (False, True):
            with self.subTest(beside=beside):
                rig, first, second = self.rig(), self.far(), self.far()
                silenced = second if beside else first
                rig.delegate.replies[silenced.where] = BLOCK
                for target in (first, second):
                    rig.say(b"x", target.where)
                self.settle()
                for _ in range(3):
                    for target in (first, second):
                        target.send(b"y", rig.way().source)
                self.settle()
                heard = first if beside else second
                self.assertEqual(rig.answers(), [(heard.where, b"y")] * 3)
                self.assertEqual(rig.delegate.count("blocked"), 3)
                self.assertEqual(rig.delegate.answers[silenced.where], 1)
                self.assertEqual(rig.way().packets, Counts(3, 2, 2, 6))

    def test_dropped(self) -> None:
        """A target that cannot be used is not remembered, and asked about each time."""
        rig = self.rig()
        rig.delegate.verdicts[NOBODY] = UNUSABLE
        for _ in range(3):
            rig.say(b"x", NOBODY)
        self.settle()
        self.assertEqual(rig.delegate.count("unusable"), 3)
        self.assertEqual(rig.relay._flows, {})

    def test_tapped(self) -> None:
        """Who wants to see each datagram does, in both directions, and the counts are the same."""
        rig, target = self.rig(), self.far()
        rig.delegate.tapped = True
        for _ in range(3):
            rig.say(b"abc", target.where)
        self.settle()
        for _ in range(2):
            target.send(b"de", rig.way().source)
        self.settle()
        seen = [what for name, *what in rig.delegate.told if name == "relayed"]
        self.assertEqual(seen, [[target.where, b"abc"]] * 3 + [[target.where, b"de"]] * 2)
        self.assertEqual(rig.way().counts, Counts(24, 39, 9, 4))

    # Waiting for decisions.

    def test_held(self) -> None:
        """Datagrams wait for a decision that takes time, in order, and others pass meanwhile."""
        rig, target, other = self.rig(), self.far(), self.far()
        rig.delegate.verdicts[target.where] = LATER
        for number in range(3):
            rig.say(b"%d" % number, target.where)
            rig.say(b"%d" % number, other.where)
        self.settle()
        self.assertEqual(other.hear(), [b"0", b"1", b"2"])
        self.assertEqual(target.hear(), [])
        self.assertEqual(rig.delegate.asked[target.where], 1)
        rig.delegate.decide(PASS)
        self.assertEqual(target.hear(), [b"0", b"1", b"2"])
        rig.say(b"3", target.where)
        self.settle()
        self.assertEqual(target.hear(), [b"3"])
        self.assertEqual(rig.way().packets, Counts(0, 7, 7, 0))

    def test_held_blocked(self) -> None:
        """If the decision is against them each is told as blocked."""
        rig, target = self.rig(), self.far()
        rig.delegate.verdicts[target.where] = LATER
        for _ in range(3):
            rig.say(b"x", target.where)
        self.settle()
        rig.delegate.decide(BLOCK)
        self.assertEqual(rig.delegate.count("blocked"), 3)
        rig.say(b"x", target.where)
        self.settle()
        self.assertEqual(rig.delegate.count("blocked"), 4)
        self.assertEqual(target.hear(), [])

    def test_held_answers(self) -> None:
        """So do answers."""
        for beside in (False, True):
            for verdict in (PASS, BLOCK):
                with self.subTest(beside=beside, verdict=verdict):
                    rig, first, second = self.rig(), self.far(), self.far()
                    slow = second if beside else first
                    rig.delegate.replies[slow.where] = LATER
                    for target in (first, second):
                        rig.say(b"x", target.where)
                    self.settle()
                    for number in range(3):
                        slow.send(b"%d" % number, rig.way().source)
                    self.settle()
                    self.assertEqual(rig.answers(), [])
                    rig.delegate.decide(verdict)
                    expected = [(slow.where, b"%d" % number) for number in range(3)]
                    self.assertEqual(rig.answers(), expected if verdict is PASS else [])
                    self.assertEqual(rig.delegate.count("blocked"), 0 if verdict is PASS else 3)
                    self.assertEqual(rig.delegate.answers[slow.where], 1)

    def test_held_bounded(self) -> None:
        """No more than so many wait, for whatever reasons; the rest is lost and counted."""
        rig, target, other = self.rig(), self.far(), self.far()
        third = self.far()
        rig.delegate.verdicts = {target.where: LATER, other.where: LATER}
        for _ in range(MAX_HELD - 2):
            rig.say(b"x", target.where)
            self.settle()
        for _ in range(5):
            rig.say(b"y", other.where)
        self.settle()
        self.assertEqual(rig.delegate.count("overflowed"), 3)
        rig.delegate.verdicts[NOBODY] = LATER
        rig.say(b"z", NOBODY)  # nothing is known of it, and it would have to wait
        rig.say(b"z", third.where)  # this need not
        self.settle()
        self.assertEqual(rig.delegate.count("overflowed"), 4)
        self.assertEqual(third.hear(), [b"z"])
        rig.delegate.decide(PASS)
        self.assertEqual(len(target.hear()), MAX_HELD - 2)
        self.assertEqual(other.hear(), [b"y", b"y"])
        rig.say(b"z", NOBODY)
        self.settle()
        self.assertEqual(rig.delegate.asked[NOBODY], 2)

    def test_held_bytes_bounded(self) -> None:
        """Nor do more bytes wait than so many."""
        rig, target = self.rig(), self.far()
        rig.delegate.verdicts = {target.where: LATER}
        for _ in range(4):
            rig.say(bytes(MAX_HELD_BYTES // 3), target.where)
            self.settle()
        self.assertEqual(rig.delegate.count("overflowed"), 2)
        rig.delegate.decide(PASS)
        self.assertEqual(len(target.hear()), 2)
        self.assertEqual((rig.relay._held, rig.relay._held_bytes), (0, 0))

    # What is remembered.

    def test_remembered(self) -> None:
        """So many headers are remembered; the oldest is forgotten, and asked about once more."""
        rig = self.rig()
        everyone = [Endpoint("192.0.2.9", port, Family.IPV4) for port in range(1, MAX_FLOWS + 2)]
        rig.delegate.verdicts = dict.fromkeys(everyone, BLOCK)
        for target in everyone:
            rig.say(b"x", target)
            self.reactor.turn(2)
        self.settle()
        self.assertEqual(rig.delegate.count("blocked"), MAX_FLOWS + 1)
        self.assertEqual(len(rig.relay._flows), MAX_FLOWS)
        self.assertEqual(set(rig.delegate.asked.values()), {1})
        for target in (everyone[1], everyone[0]):
            rig.say(b"x", target)
        self.settle()
        self.assertEqual(rig.delegate.asked[everyone[1]], 1)
        self.assertEqual(rig.delegate.asked[everyone[0]], 2)

    def test_forgotten_waiting(self) -> None:
        """What waits for a forgotten header is lost, and counted; late words are ignored."""
        rig = self.rig()
        rig.delegate.verdicts = {NOBODY: LATER}
        for _ in range(3):
            rig.say(b"x", NOBODY)
        self.settle()
        for port in range(1, MAX_FLOWS + 1):
            target = Endpoint("192.0.2.10", port, Family.IPV4)
            rig.delegate.verdicts[target] = BLOCK
            rig.say(b"x", target)
            self.reactor.turn(2)
        self.settle()
        self.assertEqual(
            [told for told in rig.delegate.told if told[0] == "overflowed"], [("overflowed", 3)]
        )
        blocked = rig.delegate.count("blocked")
        rig.delegate.decide(BLOCK)
        self.assertEqual(rig.delegate.count("blocked"), blocked)

    def test_forgotten_and_new(self) -> None:
        """What comes late for a forgotten header does not touch the new one with the same."""
        rig, target = self.rig(), self.far()
        rig.delegate.verdicts = {target.where: LATER}
        rig.say(b"old", target.where)
        self.settle()
        (old,) = rig.delegate.waiting
        rig.relay._forget(old)
        rig.say(b"new", target.where)
        self.settle()
        self.assertTrue(old.gone)
        rig.relay.drop(old)
        rig.delegate.waiting.remove(old)
        rig.delegate.decide(PASS)
        self.assertEqual(target.hear(), [b"new"])
        self.assertEqual(rig.relay._held, 0)

    def test_anew(self) -> None:
        """What is known is forgotten when names may have moved: rules have names too."""
        rig, target = self.rig(), self.far()
        rig.delegate.verdicts[NAMED] = BLOCK
        for _ in range(2):
            for to in (NAMED, target.where):
                rig.say(b"x", to)
            self.settle()
            target.send(b"y", rig.way().source)
        self.settle()
        rig.relay.forget_decisions()
        for to in (NAMED, target.where):
            rig.say(b"x", to)
        self.settle()
        target.send(b"y", rig.way().source)
        self.settle()
        self.assertEqual(rig.delegate.asked, {NAMED: 2, target.where: 2})
        self.assertEqual(rig.delegate.answers, {target.where: 2})
        self.assertEqual(len(rig.answers()), 3)

    def test_names_waiting(self) -> None:
        """Those that are being looked up are not."""
        rig = self.rig()
        rig.delegate.verdicts[NAMED] = LATER
        rig.say(b"x", NAMED)
        self.settle()
        rig.relay.forget_decisions()
        rig.delegate.decide(BLOCK)
        self.assertEqual(rig.delegate.count("blocked"), 1)

    def test_asked_bounded(self) -> None:
        """The number of targets that may answer is bounded; who has just been asked is kept."""
        self.patch(egress_module, "MAX_TARGETS", 3)
        rig = self.rig()
        targets = [self.far() for _ in range(5)]
        for number, target in enumerate(targets):
            rig.say(b"x", target.where)
            # Another header, so that nothing is remembered of it.
            header = bytes((1, number)) + build_header(targets[0].where)[2:]
            rig.client.send(header + b"x", rig.inside)
        self.settle()
        for target in targets:
            target.send(b"y", rig.way().source)
        self.settle()
        heard = {sender for sender, _ in rig.answers()}
        self.assertEqual(heard, {targets[0].where, targets[3].where, targets[4].where})
        self.assertEqual(len(rig.way()._replies), 3)

    def test_strangers_first(self) -> None:
        """Only the client is served, even if others were here first and between."""
        rig, stranger, target = self.rig(), self.far(), self.far()
        rig.delegate.client = rig.client.where
        header = build_header(target.where)
        for sender in (stranger, rig.client, stranger, rig.client, stranger):
            sender.send(header + str(sender.where).encode(), rig.inside)
        self.settle()
        self.assertEqual(target.hear(), [str(rig.client.where).encode()] * 2)
        told = [what for name, *what in rig.delegate.told if name == "admit_client"]
        no, yes = [stranger.where, False], [rig.client.where, True]
        self.assertEqual(told, [no, yes, no, no])

    def test_strangers_later(self) -> None:
        """Once the client is known, strangers are told and not served."""
        rig, stranger, target = self.rig(), self.far(), self.far()
        rig.delegate.client = rig.client.where
        rig.say(b"x", target.where)
        self.settle()
        for _ in range(3):
            stranger.send(build_header(target.where) + b"evil", rig.inside)
        self.settle()
        self.assertEqual(target.hear(), [b"x"])
        self.assertEqual(rig.delegate.count("admit_client"), 4)
        target.send(b"decide_reply", rig.way().source)
        self.settle()
        self.assertEqual((rig.answers(), stranger.hear()), ([(target.where, b"decide_reply")], []))

    def test_no_room_for_strangers(self) -> None:
        """Without a socket for strangers the client is served all the same."""

        def fail(*_: object) -> None:
            raise OSError(errno.EMFILE, "no more")

        self.patch(egress_module, "bind_beside", fail)
        self.patch(clientaddress, "bind_beside", fail)
        rig, target = self.rig(), self.far()
        rig.say(b"x", target.where)
        self.settle()
        self.assertEqual(target.hear(), [b"x"])

    # Sizes.

    def test_largest(self) -> None:
        """The largest datagrams there are pass, in both directions."""
        rig, target = self.rig(), self.far()
        rig.say(bytes(65497), target.where)
        self.settle()
        self.assertEqual([len(data) for data in target.hear()], [65497])
        target.send(bytes(65497), rig.way().source)
        self.settle()
        self.assertEqual([len(data) for _, data in rig.answers()], [65497])
        self.assertEqual(rig.way().counts, Counts(65507, 65507, 65497, 65497))

    def test_too_large(self) -> None:
        """What is too large with its header is told, and the rest goes on."""
        for tapped in (False, True):
            with self.subTest(tapped=tapped):
                rig, target = self.rig(), self.far()
                rig.delegate.tapped = tapped
                rig.say(b"x", target.where)
                self.settle()
                for size in (1, 65507, 1, 65498, 1):
                    target.send(bytes(size), rig.way().source)
                self.settle()
                self.assertEqual([len(data) for _, data in rig.answers()], [1, 1, 1])
                self.assertEqual(
                    [told for told in rig.delegate.told if told[0] == "send_failed"],
                    [
                        ("send_failed", target.where, size, errno.EMSGSIZE)
                        for size in (65507, 65498)
                    ],
                )
                self.assertEqual(rig.way().packets, Counts(3, 1, 1, 5))

    def test_larger_over_ipv6(self) -> None:
        """A client by IPv6 can send what no IPv4 target can be sent."""
        rig, target = self.rig(Family.IPV6), self.far()
        rig.say(bytes(65508), target.where)
        rig.say(bytes(65507), target.where)
        self.settle()
        self.assertEqual([len(data) for data in target.hear()], [65507])
        self.assertEqual(
            rig.delegate.told[1:], [("send_failed", target.where, 65508, errno.EMSGSIZE)]
        )
        self.assertEqual(rig.way().packets, Counts(0, 2, 1, 0))

    # Turns.

    def test_fair(self) -> None:
        """Who sends without end gets so many relayed in a turn, and then others have theirs."""
        self.patch(poller, "_ROUNDS", 0)
        self.patch(ReadBatch, "drained", lambda batch, read: None)
        busy, quiet, target = self.rig(), self.rig(), self.far()
        for rig in (busy, quiet):
            rig.say(b"first", target.where)
        self.settle()
        target.hear()
        for _ in range(100):
            busy.say(b"busy", target.where)
        quiet.say(b"quiet", target.where)
        self.reactor.turn(50)
        heard = target.hear()
        self.assertEqual((heard.count(b"busy"), heard.count(b"quiet")), (DATAGRAMS_PER_BATCH, 1))
        self.settle()
        self.assertEqual(target.hear(), [b"busy"] * (100 - DATAGRAMS_PER_BATCH))

    def test_fair_answers(self) -> None:
        """So it is with what targets answer, and with strangers."""
        self.patch(poller, "_ROUNDS", 0)
        self.patch(ReadBatch, "drained", lambda batch, read: None)
        busy, quiet, target, stranger = self.rig(), self.rig(), self.far(), self.far()
        for rig in (busy, quiet):
            rig.delegate.client = rig.client.where
            rig.say(b"first", target.where)
        self.settle()
        introduced = busy.delegate.count("admit_client")
        for _ in range(100):
            target.send(b"busy", busy.way().source)
            stranger.send(b"evil", busy.inside)
        target.send(b"quiet", quiet.way().source)
        self.reactor.turn(50)
        self.assertEqual((len(busy.answers()), len(quiet.answers())), (DATAGRAMS_PER_BATCH, 1))
        self.assertEqual(busy.delegate.count("admit_client") - introduced, DATAGRAMS_PER_BATCH)
        self.settle()
        self.assertEqual(len(busy.answers()), 100 - DATAGRAMS_PER_BATCH)

    def test_read_batch(self) -> None:
        """As many are read as the last time; again and again so many, and it is twice as many."""
        batch = ReadBatch(16)
        sizes = [batch.size]
        batch.drained(3)
        sizes.append(batch.size)
        for _ in range(16):
            batch.filled()
            sizes.append(batch.size)
        batch.drained(0)
        sizes.append(batch.size)
        self.assertEqual(sizes, [16, *[3] * 4, *[6] * 4, *[12] * 4, *[16] * 5, 1])

    def test_measured(self) -> None:
        """Each datagram is measured, in both directions; of many in a second each sixteenth."""
        rig, target = self.rig(), self.far()
        self.stopwatch.wait = 0
        for _ in range(5):
            rig.say(b"x", target.where)
        self.settle()
        for _ in range(4):
            target.send(b"y", rig.way().source)
        self.settle()
        self.assertEqual(self.stopwatch.relaying.snapshot().since_start.figures().count, 9)
        self.stopwatch._every, self.stopwatch.wait = SPARSE_INTERVAL, 0
        for _ in range(4 * SPARSE_INTERVAL):
            rig.say(b"x", target.where)
        self.settle()
        self.assertEqual(self.stopwatch.relaying.snapshot().since_start.figures().count, 13)
        self.assertEqual(len(target.hear()), 5 + 4 * SPARSE_INTERVAL)
        self.assertEqual(rig.way().packets, Counts(4, 69, 69, 4))

    # Losses.

    def test_overflow(self) -> None:
        """What the kernel drops since it comes faster than it is relayed is counted exactly."""
        rig, target = self.rig(), self.far()
        rig.say(b"x", target.where)
        self.settle()
        sent = 2000
        for _ in range(sent):
            rig.say(bytes(1000), target.where)
        self.settle()
        arrived = len(target.hear()) - 1
        self.assertLess(arrived, sent)
        self.assertEqual(rig.relay.overflows, sent - arrived)
        self.assertEqual(rig.way().packets.to_target, arrived + 1)
        rig.relay.end()
        self.assertEqual(rig.relay.overflows, 0)

    def test_overflow_of_strangers(self) -> None:
        """What strangers lose is nobody's loss."""
        rig, target, stranger = self.rig(), self.far(), self.far()
        rig.delegate.client = rig.client.where
        rig.say(b"x", target.where)
        self.settle()
        for _ in range(1000):
            stranger.send(bytes(1000), rig.inside)
        self.assertEqual(rig.relay.overflows, 0)
        self.settle()
        self.assertLess(rig.delegate.count("admit_client"), 1001)

    # Ends.

    def test_end(self) -> None:
        """The end closes all there is, once; what comes later is nothing to it."""
        before = descriptors()
        rig, targets = self.rig(), [self.far(), self.far(), self.far(Family.IPV6)]
        for target in targets:
            rig.say(b"x", target.where)
        self.settle()
        rig.say(b"late", targets[0].where)
        rig.relay.end()
        rig.relay.end()
        self.settle()
        self.assertEqual(len(descriptors() - before), 4)
        self.assertTrue(rig.relay.ended)
        self.assertEqual(targets[0].hear(), [b"x"])

    def test_ended_in_between(self) -> None:
        """Whatever the delegate is asked, it may end the relay, and is asked nothing more."""
        for name in (
            "admit_client",
            "decide_outbound",
            "decide_reply",
            "blocked",
            "relayed",
            "malformed",
            "send_failed",
            "unsolicited",
            "overflowed",
            "unusable",
        ):
            with self.subTest(name):
                rig, target, blocked, held = self.rig(), self.far(), self.far(), self.far()
                unusable = Endpoint("192.0.2.7", 1, Family.IPV4)
                delegate = rig.delegate
                delegate.verdicts = {
                    blocked.where: BLOCK,
                    held.where: LATER,
                    unusable: UNUSABLE,
                }
                delegate.tapped = name == "relayed"
                second = self.far()
                delegate.ends_in = name
                rig.say(b"x", target.where)
                self.settle()
                if not rig.relay.ended:
                    source = rig.way().source
                    rig.say(b"x", second.where)
                    self.settle()
                    for far in (target, second):
                        for size in (1, 65507, 1):
                            far.send(bytes(size), source)
                    self.far().send(b"unsolicited", source)
                    self.settle()
                if not rig.relay.ended:
                    rig.client.send(b"bad", rig.inside)
                    for _ in range(MAX_HELD + 2):
                        rig.say(b"x", held.where)
                        self.reactor.turn()
                    delegate.verdicts.pop(held.where)
                    delegate.decide(PASS)
                    for far in (blocked, blocked):
                        rig.say(b"x", far.where)
                    rig.say(b"x", unusable)
                    self.settle()
                self.assertTrue(rig.relay.ended)
                if name in ("decide_outbound", "decide_reply"):
                    self.assertEqual([t for t in delegate.told if t[0] != "admit_client"], [])
                else:
                    self.assertEqual(delegate.told[-1][0], name)
                    self.assertEqual(delegate.count(name), 1)


def _suites() -> dict[str, type]:
    """The suite with each poller, with all datagrams measured and with hardly any."""
    found = {}
    for poller_class in pollers():
        for unmeasured, word in ((0, ""), (10**6, "Unmeasured")):
            name = f"Relay{poller_class.__name__}{word}Tests"
            members = {
                "poller_class": poller_class,
                "unmeasured": unmeasured,
                "__module__": __name__,
                "__doc__": RelaySuite.__doc__,
            }
            found[name] = type(name, (RelaySuite, AssociationCase), members)
    return found


globals().update(_suites())


class CountTests(AssociationCase):
    """Exactness."""

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(
            st.tuples(st.integers(0, 2), st.integers(0, 9), st.booleans()), min_size=1, max_size=60
        ),
        st.sampled_from((0, 7, 1000)),
        st.booleans(),
    )
    def test_counts(
        self, steps: list[tuple[int, int, bool]], unmeasured: int, connects: bool
    ) -> None:
        """Whatever is sent in whatever order, each target gets its own, in order, all counted."""
        rig = self.rig()
        self.stopwatch.wait = unmeasured
        rig.delegate.connects = connects
        targets = [self.far() for _ in range(3)]
        sent: list[list[bytes]] = [[], [], []]
        answered: list[list[bytes]] = [[], [], []]
        for number, (which, size, answers) in enumerate(steps):
            target = targets[which]
            if answers and sent[which]:
                data = bytes((number,)) * size
                target.send(data, rig.way().source)
                answered[which].append(data)
            else:
                data = bytes((number,)) * size
                rig.say(data, target.where)
                sent[which].append(data)
                self.settle()
        self.settle()
        got = rig.answers()
        for which, target in enumerate(targets):
            self.assertEqual(target.hear(), sent[which])
            expected = [data for sender, data in got if sender == target.where]
            self.assertEqual(expected, answered[which])
        out, back = list(chain(*sent)), list(chain(*answered))
        size_out, size_back = sum(map(len, out)), sum(map(len, back))
        if out:
            way = rig.way()
            self.assertEqual(way.packets, Counts(len(back), len(out), len(out), len(back)))
            self.assertEqual(
                way.counts,
                Counts(size_back + 10 * len(back), size_out + 10 * len(out), size_out, size_back),
            )
        rig.relay.end()


class ErrorTests(AssociationCase):
    """What the network says later of datagrams that were sent (``IP_RECVERR``, Linux)."""

    poller_class = EpollPoller

    def closed(self, family: Family = Family.IPV4) -> Endpoint:
        """Where nobody listens."""
        far = self.far(family)
        where = far.where
        far.sock.close()
        return where

    def test_refused(self) -> None:
        """Nobody listens at the target: told with its address, and the association goes on."""
        for family in Family.IPV4, Family.IPV6:
            with self.subTest(family):
                rig, target = self.rig(), self.far(family)
                closed = self.closed(family)
                rig.say(b"x", closed)
                self.until(lambda rig=rig: rig.delegate.count("undelivered"))  # type: ignore[misc]
                self.assertEqual(rig.delegate.told[-1], ("undelivered", closed, errno.ECONNREFUSED))
                rig.say(b"y", target.where)
                rig.say(b"x", closed)
                self.until(lambda rig=rig: rig.delegate.count("undelivered") == 2)  # type: ignore[misc]
                self.assertEqual(target.hear(), [b"y"])
                self.assertEqual(rig.way(family).packets, Counts(0, 3, 3, 0))

    def test_refused_beside(self) -> None:
        """Of several targets that refuse each is told by its own address."""
        rig, target = self.rig(), self.far()
        closed = [self.closed() for _ in range(3)]
        rig.say(b"x", target.where)
        for where in closed:
            rig.say(b"x", where)
        self.until(lambda: rig.delegate.count("undelivered") == 3)
        told = {what[0] for name, *what in rig.delegate.told if name == "undelivered"}
        self.assertEqual(told, set(closed))

    def test_not_in_place_of_another(self) -> None:
        """An error of an earlier datagram costs no later one."""
        rig, target = self.rig(), self.far()
        rig.delegate.connects = False
        closed = self.closed()
        rig.say(b"y", target.where)
        self.settle()
        for _ in range(20):
            rig.say(b"x", closed)
            rig.say(b"y", target.where)
        self.until(lambda: rig.delegate.count("undelivered"))
        self.settle()
        self.assertEqual(target.hear(), [b"y"] * 21)
        self.assertEqual(rig.way().packets, Counts(0, 41, 41, 0))

    def test_client_gone(self) -> None:
        """The client does not listen any more: told, and nothing else happens."""
        rig, target = self.rig(), self.far()
        rig.say(b"x", target.where)
        self.settle()
        rig.client.sock.close()
        for _ in range(3):
            target.send(b"y", rig.way().source)
            self.settle()
        self.until(lambda: rig.delegate.count("undelivered"))
        self.assertEqual(
            {told for told in rig.delegate.told if told[0] != "admit_client"},
            {("undelivered", None, errno.ECONNREFUSED)},
        )
        self.assertFalse(rig.relay.ended)

    def test_strangers(self) -> None:
        """What is said of a datagram that was never sent keeps nobody busy."""
        rig, target = self.rig(), self.far()
        rig.say(b"x", target.where)
        self.settle()
        assert rig.relay.address.strangers is not None
        # It is as if somebody had forged it: the kernel tells the socket of a closed port.
        closed = self.closed()
        rig.relay.address.strangers.sendto(b"x", (closed.host, closed.port))
        self.reactor.turn(50)
        self.settle()
        self.assertEqual(rig.delegate.count("undelivered"), 0)

    def test_ended(self) -> None:
        """An error may end the relay."""
        rig = self.rig()
        rig.delegate.ends_in = "undelivered"
        for where in (self.closed(), self.closed()):
            rig.say(b"x", where)
            rig.say(b"x", where)
        self.until(lambda: rig.relay.ended)
        self.settle()
        self.assertEqual(rig.delegate.count("undelivered"), 1)


class NoReusedPortTests(AssociationCase):
    """The port of a client's is ours alone."""

    def test_taken(self) -> None:
        """Nobody else can bind it, before or after the client is known."""
        rig, target = self.rig(), self.far()
        for turn in range(3):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
                thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                failed = self.assertRaises(OSError, thief.bind, (rig.inside.host, rig.inside.port))
                self.assertEqual(failed.errno, errno.EADDRINUSE, turn)
            for _ in range(turn + 1):
                rig.say(b"x", self.far().where if turn else target.where)
            self.settle()
