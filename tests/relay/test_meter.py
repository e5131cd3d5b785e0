"""Datagrams that have a budget."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dantetw.relay.clientport import DATAGRAMS_PER_BATCH
from dantetw.relay.shaping import Budget, Shaping
from dantetw.values import Family
from tests.net.reactors import pollers
from tests.relay.association import BLOCK, AssociationCase

_Suite = AssociationCase if TYPE_CHECKING else object
#: The header in front of an IPv4 target's datagrams.
HEADER = 10


class MeterSuite(_Suite):
    """What holds with each poller."""

    def test_up(self) -> None:
        """What the client sends waits when its budget is used up, and replies do not."""
        budget = Budget(1)
        rig, target = self.rig(shaping=Shaping(up=budget)), self.far()
        rig.say(b"one", target.where)
        self.settle()
        self.assertEqual((target.hear(), budget.left), ([b"one"], 1 - HEADER - 3))
        rig.say(b"two", target.where)
        rig.say(b"three", target.where)
        target.send(b"reply", rig.way().source)
        self.assertLess(self.reactor.settle(), 10)
        self.assertEqual(target.hear(), [])
        self.assertEqual(rig.answers(), [(target.where, b"reply")])
        budget.grant(HEADER + 3)
        self.settle()
        self.assertEqual(target.hear(), [b"two", b"three"])
        self.assertEqual(budget.left, 1 - 2 * HEADER - 8)
        self.assertTrue(budget.waited_for)

    def test_down(self) -> None:
        """What targets send waits, whatever their family; what the client sends does not."""
        budget = Budget(3)
        rig = self.rig(shaping=Shaping(down=budget))
        targets = [self.far(), self.far(), self.far(Family.IPV6)]
        for target in targets:
            rig.say(b"x", target.where)
        self.settle()
        self.assertEqual([target.hear() for target in targets], [[b"x"]] * 3)
        sources = [rig.way().source] * 2 + [rig.way(Family.IPV6).source]
        for target, source in zip(targets, sources, strict=True):
            target.send(b"1234", source)
            self.settle()
        self.assertEqual(rig.answers(), [(targets[0].where, b"1234")])
        self.assertEqual(budget.left, -1)
        budget.grant(100)
        self.settle()
        self.assertCountEqual(
            rig.answers(), [(targets[1].where, b"1234"), (targets[2].where, b"1234")]
        )
        self.assertFalse(budget.waited_for)

    def test_shared(self) -> None:
        """Both directions, and several associations, can share a budget."""
        budget = Budget(1)
        rigs = [self.rig(shaping=Shaping(budget, budget)) for _ in range(2)]
        target = self.far()
        for number, rig in enumerate(rigs):
            rig.say(b"%d" % number, target.where)
        self.settle()
        self.assertEqual(target.hear(), [b"0"])
        target.send(b"reply", rigs[0].way().source)
        for expected in ([b"1"], []):
            self.assertEqual(rigs[0].answers(), [])
            budget.grant(1 - budget.left)
            self.settle()
            self.assertEqual(target.hear(), expected)
        self.assertEqual(rigs[0].answers(), [(target.where, b"reply")])

    def test_overflow(self) -> None:
        """What the kernel does not hold is dropped and counted; what it does is relayed later."""
        budget = Budget(1)
        rig, target = self.rig(shaping=Shaping(up=budget)), self.far()
        rig.relay.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        rig.say(b"first", target.where)
        self.settle()
        for number in range(100):
            rig.say(b"%03d" % number + bytes(500), target.where)
        self.settle()
        self.assertEqual(target.hear(), [b"first"])
        budget.grant(1_000_000)
        self.settle()
        heard = [int(data[:3]) for data in target.hear()]
        self.assertTrue(0 < len(heard) < 100)
        self.assertEqual(heard, list(range(len(heard))))
        if rig.relay.overflows:  # where the system tells it
            self.assertEqual(rig.relay.overflows, 100 - len(heard))

    def test_blocked(self) -> None:
        """What a rule blocks counts too, as it was read."""
        budget = Budget(HEADER + 5)
        rig, target, other = self.rig(shaping=Shaping(up=budget)), self.far(), self.far()
        rig.delegate.verdicts = {other.where: BLOCK}
        rig.say(b"x", target.where)
        self.settle()
        rig.say(b"x" * 4, other.where)
        self.settle()
        self.assertEqual(budget.left, -HEADER)

    def test_end(self) -> None:
        """An association that has ended waits for nothing."""
        budget = Budget(1)
        rig, target = self.rig(shaping=Shaping(budget, budget)), self.far()
        rig.say(b"x", target.where)
        self.settle()
        self.assertTrue(budget.waited_for)
        rig.relay.end()
        self.assertFalse(budget.waited_for)
        budget.grant(100)
        self.settle()

    def test_ended_meanwhile(self) -> None:
        """It may end while a datagram is relayed."""
        budget = Budget(1)
        rig, target = self.rig(shaping=Shaping(budget, budget)), self.far()
        rig.delegate.ends_in = "decide_outbound"
        rig.say(b"x", target.where)
        self.settle()
        self.assertTrue(rig.relay.ended)
        self.assertFalse(budget.waited_for)

    def any_order(self, steps: Any) -> None:
        """What :func:`any_test` says."""
        budget = Budget(1)
        rig, target = self.rig(shaping=Shaping(budget, budget)), self.far()
        rig.say(b"", target.where)
        self.settle()
        target.hear()
        source, granted = rig.way().source, 1
        sent: dict[str, list[bytes]] = {"up": [], "down": []}
        heard: list[bytes] = []
        answered: list[bytes] = []
        for what, size in [*steps, ("turn", 0)]:
            data = b"%03d" % size + bytes(size)
            if what == "grant":
                granted += size
                budget.grant(size)
            elif what == "turn":
                self.settle()
            elif what == "up":
                sent[what].append(data)
                rig.say(data, target.where)
            else:
                sent[what].append(data)
                target.send(data, source)
            counts = rig.way().counts
            most = DATAGRAMS_PER_BATCH * (HEADER + 303)
            self.assertLess(counts.from_client + counts.from_target, granted + 2 * most)
            heard += target.hear()
            answered += [data for _, data in rig.answers()]
        for _ in range(2000):
            if budget.left > 0 and not budget.waited_for:
                break
            budget.grant(1000)
            self.settle()
        self.settle()
        heard += target.hear()
        answered += [data for _, data in rig.answers()]
        self.assertEqual((heard, answered), (sent["up"], sent["down"]))
        counts = rig.way().counts
        self.assertEqual(counts.from_target, sum(map(len, answered)))
        self.assertEqual(counts.from_client, HEADER + sum(HEADER + len(data) for data in heard))
        rig.relay.end()


def any_test() -> Any:
    """A property of one class: hypothesis refuses one that several have in common."""

    @settings(max_examples=25, deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("up"), st.integers(0, 300)),
                st.tuples(st.just("down"), st.integers(0, 300)),
                st.tuples(st.just("grant"), st.integers(1, 2000)),
                st.tuples(st.just("turn"), st.just(0)),
            ),
            max_size=40,
        )
    )
    def test_any(case: MeterSuite, steps: Any) -> None:
        """Whatever the order, all arrives in order, and no more than a batch beyond the budget."""
        case.any_order(steps)

    return test_any


globals().update(
    {
        f"Meter{poller.__name__}Tests": type(
            f"Meter{poller.__name__}Tests",
            (MeterSuite, AssociationCase),
            {
                "poller_class": poller,
                "test_any": any_test(),
                "__module__": __name__,
                "__doc__": MeterSuite.__doc__,
            },
        )
        for poller in pollers()
    }
)
