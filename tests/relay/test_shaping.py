"""Budgets and codecs of relays."""

from __future__ import annotations

import errno
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.poller import EpollPoller, ReactorPoller
from dantetw.relay import pipes
from dantetw.relay.codec import CodecError
from dantetw.relay.copying import CopyingRelay
from dantetw.relay.shaping import Budget
from dantetw.relay.splicing import SplicingRelay, available
from dantetw.values import Cause, Ending, Operation, Phase, Side
from tests.net.reactors import pollers
from tests.relay.rig import MEGABYTE, RelayCase, Rig, everywhere, noise
from tests.relay.shapes import Framed, GrantingReactor, Masked, Plain, Shape


class BudgetTests(SynchronousTestCase):
    """Who gets what is granted."""

    def setUp(self) -> None:
        self.budget = Budget()
        self.resumed: list[str] = []

    def wait(self, name: str, takes: int) -> None:
        """Take so much with each allowance, and wait for the next."""

        def resume() -> None:
            self.resumed.append(name)
            self.budget.left -= takes
            self.wait(name, takes)

        self.budget.wait(name, resume)

    def test_turns(self) -> None:
        """Each that waits is resumed once; whom an allowance does not reach is first next time."""
        for name in "abc":
            self.wait(name, 10)
        for _ in range(4):
            self.budget.grant(20)
        self.assertEqual("".join(self.resumed), "abcabcab")

    def test_debt(self) -> None:
        """A debt is paid first."""
        self.wait("a", 50)
        self.budget.grant(10)
        self.assertEqual(self.budget.left, -40)
        for _ in range(4):
            self.budget.grant(10)
            self.assertEqual(self.resumed, ["a"])
        self.budget.grant(1)
        self.assertEqual(self.resumed, ["a", "a"])

    def test_forgotten(self) -> None:
        """One that has ended is not resumed, even if another one's turn ends it."""
        self.wait("b", 1)

        def end() -> None:
            self.resumed.append("a")
            self.budget.forget("b")

        self.budget.forget("b")
        self.budget.wait("a", end)
        self.wait("b", 1)
        self.budget.grant(10)
        self.assertEqual(self.resumed, ["a"])
        self.assertFalse(self.budget.waited_for)

    def test_failure(self) -> None:
        """A failure of one is logged, and is not the others'."""

        def fail() -> None:
            raise ArithmeticError

        self.budget.wait("a", fail)
        self.wait("b", 1)
        self.budget.grant(10)
        self.assertEqual(self.resumed, ["b"])
        self.assertEqual(len(self.flushLoggedErrors(ArithmeticError)), 1)


class HeldSuite(RelayCase):
    """A direction whose budget is used up."""

    def held(self, left: int = 100_000) -> tuple[Rig, Budget]:
        """A relay whose target may send so much, and its budget."""
        rig = self.running()
        assert rig.shaping is not None and rig.shaping.down is not None
        self.reactor.budgets.clear()
        budget = rig.shaping.down
        budget.left = left
        return rig, budget

    def test_exact(self) -> None:
        """No byte more is read than granted, while the other direction goes on."""
        rig, budget = self.held()
        rig.relay.up.budget = None  # type: ignore[attr-defined]
        data = noise(4 * MEGABYTE)
        rig.target.send(data)
        granted = 100_000
        for allowance in (1, 0, 65_536, 1_000_000, 65_535, 700_000):
            rig.until(lambda: rig.relay.down.written == granted)  # noqa: B023 - at once
            self.reactor.settle()
            self.assertEqual((rig.relay.down.read, budget.left), (granted, 0))
            rig.client.send(b"?")
            rig.until(lambda: not rig.client.outgoing)
            self.reactor.settle()
            budget.grant(allowance)
            granted += allowance
        rig.until(lambda: rig.relay.down.written == granted)
        rig.until(lambda: len(rig.client.received) == granted)
        self.assertTrue(rig.client.received == data[:granted])
        self.assertEqual(rig.relay.up.written, 6)

    def test_idle(self) -> None:
        """While it is held nothing is done, whatever comes; resumed, it counts as active."""
        rig, budget = self.held(0)
        rig.target.send(noise(300_000))
        while rig.target.step():
            pass
        self.assertLess(self.reactor.settle(), 10)
        rig.target.send(b"", shut=True)
        rig.target.step()
        self.assertLess(self.reactor.settle(), 10)
        self.assertEqual(rig.relay.down.read, 0)
        self.reactor.advance(7)
        budget.grant(10)
        self.assertEqual((rig.relay.down.read, rig.relay.last_activity), (10, 7.0))

    def test_half_close(self) -> None:
        """An end of file passes when what was before it has, and the other direction goes on."""
        rig, budget = self.held(5)
        rig.relay.up.budget = None  # type: ignore[attr-defined]
        rig.target.send(b"0123456789", shut=True)
        rig.client.send(b"up", shut=True)
        rig.until(lambda: rig.target.eof)
        self.assertEqual((bytes(rig.client.received), rig.client.eof), (b"01234", False))
        budget.grant(5)
        self.reactor.settle()
        budget.grant(1)
        self.assertIs(rig.finish().cause, Cause.CLOSED)
        rig.drain()
        self.assertEqual(rig.client.received, b"0123456789")

    def test_reset(self) -> None:
        """What had come before a reset is delivered when there is something left again."""
        rig, budget = self.held(3)
        rig.target.send(b"0123456789")
        rig.until(lambda: len(rig.client.received) == 3)
        self.reactor.settle()
        rig.target.reset()
        self.reactor.settle()
        self.assertEqual(rig.endings, [])
        budget.grant(100)
        self.assertIs(rig.finish().cause, Cause.ERROR)
        rig.until(lambda: rig.client.eof or bool(rig.client.error))
        self.assertEqual(rig.client.received, b"0123456789")

    def test_other_side_fails(self) -> None:
        """What can no longer be delivered does not keep the relay, nor the poller, busy."""
        rig, budget = self.held(3)
        rig.relay.up.budget = None  # type: ignore[attr-defined]
        rig.target.send(b"0123456789")
        rig.until(lambda: len(rig.client.received) == 3)
        rig.client.reset()
        self.assertIs(rig.finish().cause, Cause.ERROR)
        self.assertFalse(budget.waited_for)

    def test_early(self) -> None:
        """What came behind the request is a debt, not a gift."""
        rig = self.rig()
        assert rig.shaping is not None and rig.shaping.up is not None
        self.reactor.budgets.clear()
        budget = rig.shaping.up
        rig.start(b"early")
        rig.client.send(b" and late")
        rig.until(lambda: not rig.client.outgoing and rig.target.received == b"early")
        self.reactor.settle()
        self.assertEqual(budget.left, -5)
        budget.grant(9)
        self.reactor.settle()
        rig.target.step()
        self.assertEqual(rig.target.received, b"early and")


class CodecSuite(RelayCase):
    """A codec that keeps bytes, adds some, and knows an end of its own."""

    def test_frames(self) -> None:
        """Frames are delivered when complete, and the last bytes before the end of file."""
        rig = self.running()
        frame = rig.client.codec.encode(b"question")
        for piece in (frame[:3], frame[3:9], frame[9:]):
            rig.client.sock.send(piece)
            self.reactor.turn(20)
            self.reactor.settle()
        rig.until(lambda: rig.target.received == b"question")
        rig.target.send(b"answer", shut=True)
        rig.until(lambda: rig.client.eof)
        self.assertEqual(rig.client.received, b"answer")
        self.assertEqual((rig.relay.down.read, rig.relay.down.written), (6, 4 + 6 + 4))
        rig.client.send(b"more", shut=True)
        self.assertEqual(rig.finish().cause, Cause.CLOSED)
        rig.drain()
        self.assertEqual(rig.target.received, b"questionmore")

    def test_end_within(self) -> None:
        """The end of the encoded stream is passed on, though the connection stays open."""
        rig = self.running()
        rig.client.sock.send(rig.client.codec.encode(b"all") + rig.client.codec.encode_end())
        rig.until(lambda: rig.target.eof)
        self.assertEqual(rig.target.received, b"all")
        self.assertLess(self.reactor.settle(), 10)
        rig.target.send(b"answer", shut=True)
        self.assertEqual(rig.finish(), Ending(Side.CLIENT, Phase.RELAY, Cause.CLOSED))

    def test_slow_sink(self) -> None:
        """The last bytes wait for a slow reader, and the end of file for them."""
        rig = self.running(buffers=8192)
        data = noise(300_000)
        rig.client.at_most = 0
        rig.target.send(data, shut=True)
        self.reactor.settle()
        rig.until(lambda: bool(rig.relay.down.pending))
        rig.client.at_most = 3000
        rig.until(lambda: rig.client.eof)
        self.assertTrue(rig.client.received == data)

    def broken(self, operation: Operation) -> Ending:
        """The ending of a client whose code is broken."""
        return Ending(Side.CLIENT, Phase.RELAY, Cause.ERROR, errno.EPROTO, operation=operation)

    def test_truncated(self) -> None:
        """An end of file where none may be is an error, which the target sees as a reset."""
        rig = self.running()
        rig.client.sock.send(rig.client.codec.encode(b"some"))
        rig.until(lambda: rig.target.received == b"some")
        rig.client.sock.shutdown(1)
        self.assertEqual(rig.finish(), self.broken(Operation.RECEIVE))
        rig.until(lambda: bool(rig.target.error or rig.target.eof))
        self.assertEqual(rig.target.error, errno.ECONNRESET)

    def test_undecodable(self) -> None:
        """Bytes that make no sense end the relay; what the target has sent is of no use."""
        rig = self.running()
        rig.client.at_most = 0
        rig.client.sock.send(b"\xff" * 100)
        self.assertEqual(rig.finish(), self.broken(Operation.RECEIVE))

    def test_unencodable(self) -> None:
        """If nothing can be encoded, the target still gets what the client had sent."""

        def fail(codec: Framed, data: bytes = b"") -> bytes:
            raise CodecError

        self.patch(Framed, "encode", fail)
        rig = self.running()
        rig.client.sock.send(b"\0\0\0\4last")
        rig.until(lambda: rig.target.received == b"last")
        rig.target.send(b"unwelcome")
        self.assertEqual(rig.finish(), self.broken(Operation.SEND))

    def test_tap(self) -> None:
        """A tap sees what the target gets and sends, not the code."""
        seen: list[tuple[Side, bytes]] = []
        rig = self.running(tap=lambda side, data: seen.append((side, data)))
        rig.client.send(b"up")
        rig.until(lambda: rig.target.received == b"up")
        rig.target.send(b"down", shut=True)
        rig.until(lambda: rig.client.eof)
        self.assertEqual(seen, [(Side.CLIENT, b"up"), (Side.TARGET, b"down"), (Side.TARGET, b"")])


_KINDS = (CopyingRelay, SplicingRelay) if available() else (CopyingRelay,)
FRAMED = Shape("Framed", codec=Framed)
globals().update(everywhere(HeldSuite, shapes=(Shape("", 1),)))
globals().update(everywhere(CodecSuite, shapes=(FRAMED,)))
del HeldSuite, CodecSuite  # trial would take them for tests of their own

_SIZES = st.one_of(st.integers(1, 200), st.sampled_from((4096, 65_535, 65_536, 70_000, 300_000)))
_STEPS = st.one_of(
    st.tuples(st.just("send"), st.booleans(), _SIZES),
    st.tuples(st.just("read"), st.booleans(), _SIZES),
    st.tuples(st.just("grant"), st.booleans(), _SIZES),
    st.tuples(st.just("turn"), st.booleans(), st.integers(1, 3)),
    st.tuples(st.just("shut"), st.booleans(), st.just(0)),
)


class InterleavingTests(SynchronousTestCase):
    """Whatever the order of reads, short writes, grants and ends of file."""

    def play(self, kind: type[CopyingRelay], poller: Any, shape: Shape, steps: Any) -> None:
        """Do all of ``steps``, then let everything happen, and compare."""
        reactor = GrantingReactor()
        waiting = poller(reactor, reactor.seconds)
        waiting.start()
        try:
            rig = Rig(kind, waiting, reactor, 16384, None, shape)
            try:
                self.play_in(rig, steps)
            finally:
                rig.close()
        finally:
            waiting.stop()

    def play_in(self, rig: Rig, steps: Any) -> None:
        """Likewise, in a rig."""
        reactor, shaping = rig.reactor, rig.shaping
        budgets, reactor.budgets = reactor.budgets, []
        granted = [0, 0]
        sent: list[bytes] = [b"", b""]
        ended = [False, False]
        for peer in rig.peers:
            peer.at_most = 0
        rig.start()
        for what, first, size in steps:
            place = int(first)
            peer = rig.peers[place]
            if what == "send" and not ended[place]:
                data = noise(size, len(sent[place]))
                sent[place] += data
                peer.send(data)
            elif what == "read":
                peer.at_most = size
                peer.step()
                peer.at_most = 0
            elif what == "grant" and budgets:
                granted[place if len(budgets) > 1 else 0] += size
                budgets[place if len(budgets) > 1 else 0].grant(size)
            elif what == "turn":
                for each in rig.peers:
                    each.step()
                for _ in range(size):
                    reactor.turn()
            elif what == "shut" and not ended[place]:
                ended[place] = True
                peer.send(b"", shut=True)
            flows = rig.flows
            if len(budgets) > 1:
                for flow, limit in zip(flows, granted, strict=True):
                    self.assertLessEqual(flow.read, limit)
            elif budgets:
                self.assertLessEqual(sum(flow.read for flow in flows), granted[0])
        for place, peer in enumerate(rig.peers):
            peer.at_most = 1 << 18
            if not ended[place]:
                peer.send(b"", shut=True)
        reactor.budgets = budgets
        self.assertIs(rig.finish().cause, Cause.CLOSED)
        rig.drain()
        self.assertTrue(rig.target.received == sent[0] and rig.client.received == sent[1])
        up, down = rig.flows
        self.assertEqual((up.read, up.written), (rig.client.wire, len(sent[0])))
        self.assertEqual(down.read, len(sent[1]))
        if shaping is None or shaping.codec is None:
            self.assertEqual(down.written, len(sent[1]))
        for budget in budgets:
            self.assertFalse(budget.waited_for)

    @settings(max_examples=60, deadline=None)
    @given(
        st.sampled_from(_KINDS),
        st.sampled_from(pollers()),
        st.sampled_from((0, 30_000, 400_000)),
        st.booleans(),
        st.sampled_from((Plain, Masked, Framed)),
        st.lists(_STEPS, max_size=30),
    )
    def test_any(
        self,
        kind: type[CopyingRelay],
        poller: type[EpollPoller] | type[ReactorPoller],
        allowance: int,
        shared: bool,
        codec: Any,
        steps: Any,
    ) -> None:
        """The same bytes arrive in order, no budget is exceeded, and the counts are right."""
        self.addCleanup(_empty)
        self.play(kind, poller, Shape("", allowance, codec, shared), steps)


def _empty() -> None:
    while pipes._free:
        pipes.give_back(pipes._free.pop(), empty=False)
