"""How a relay ends, with every poller, when nobody said goodbye."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from dantetw.net.poller import EpollPoller, ReactorPoller
from dantetw.relay.copying import CHUNK_BYTES
from dantetw.values import Cause, Ending, Operation, Phase, Side
from tests.relay.rig import MEGABYTE, SIDES, STOPPED, RelayCase, Rig, everywhere, noise
from tests.relay.shapes import FAST, MASKED, UNSHAPED

_Suite = RelayCase if TYPE_CHECKING else object


class EndingSuite(_Suite):
    """How a relay ends when nobody said goodbye."""

    def failed(
        self,
        side: Side,
        number: int = errno.ECONNRESET,
        operation: Operation = Operation.RECEIVE,
    ) -> Ending:
        """The ending of a side that has failed."""
        return Ending(side, Phase.RELAY, Cause.ERROR, number, operation=operation)

    def test_reset(self) -> None:
        """A reset is one side's error, and reaches the other as a reset."""
        for side in SIDES:
            for words in (b"", b"some"):
                rig = self.running()
                first, second = rig.far(side)
                if words:
                    first.send(words)
                    rig.until(lambda: len(second.received) == 4)  # noqa: B023 - at once
                first.reset()
                self.assertEqual(rig.finish(), self.failed(side))
                rig.until(lambda: second.eof or second.error)  # noqa: B023
                self.assertEqual((second.eof, second.error), (False, errno.ECONNRESET))

    def test_reset_after_half_close(self) -> None:
        """A side that has ended can still fail, or the other: the session ends."""
        for ended in SIDES:
            for side in SIDES:
                rig = self.running()
                first, second = rig.far(ended)
                first.send(b"", shut=True)
                rig.until(lambda: second.eof)  # noqa: B023 - at once
                rig.far(side)[0].reset()
                if self.poller_class is ReactorPoller and side is ended:
                    # Nobody reads it any more: only writing tells.
                    rig.until(lambda: not second.send(b"x") and second.step())  # noqa: B023
                ending = rig.finish()
                self.assertEqual((ending.side, ending.cause), (side, Cause.ERROR))
                self.assertIn(ending.errno, (errno.ECONNRESET, errno.EPIPE))

    def test_reset_behind_data(self) -> None:
        """What had arrived before a reset is delivered, also to a slow reader."""
        for side in SIDES:
            rig = self.running(buffers=16384)
            first, second = rig.far(side)
            flow = rig.relay.up if side is Side.CLIENT else rig.relay.down
            data = noise(MEGABYTE)
            second.at_most = 0
            first.send(data)
            while first.step() or self.reactor.turn(2):
                pass
            self.assertGreater(flow.read, flow.written)
            first.reset()
            self.reactor.settle()
            self.assertEqual(rig.endings, [])
            second.at_most = 3000
            self.assertEqual(rig.finish(), self.failed(side))
            rig.until(lambda: second.eof or second.error)  # noqa: B023 - at once
            self.assertEqual(flow.read, flow.written)
            self.assertEqual(len(second.received), flow.written)
            self.assertTrue(second.received == data[: flow.written])

    def drained(self, side: Side) -> Rig:
        """A relay of which ``side`` has failed, and the other is slow to take the rest."""
        rig = self.running(buffers=16384)
        first, second = rig.far(side)
        second.at_most = 0
        first.send(noise(MEGABYTE))
        while first.step() or self.reactor.turn(2):
            pass
        first.reset()
        self.reactor.settle()
        self.assertEqual(rig.endings, [])
        return rig

    def test_no_spin(self) -> None:
        """What the slow side still sends to the one that failed keeps nobody busy."""
        for side in SIDES:
            rig = self.drained(side)
            second = rig.far(side)[1]
            for _ in range(2):
                second.send(b"into the void")
                second.step()
                self.assertLess(self.reactor.settle(), 5)
            self.assertEqual(rig.endings, [])

    def test_end_of_the_rest(self) -> None:
        """If the rest is never taken, the failure is still what has ended the session."""
        for side in SIDES:
            rig = self.drained(side)
            rig.relay.end(STOPPED)
            # Without epoll, nobody hears of the failure of a side that must wait.
            known = self.poller_class is EpollPoller
            self.assertEqual(rig.endings, [self.failed(side) if known else STOPPED])

    def test_answer_before_the_end(self) -> None:
        """A target that answers, closes and does not read on: its whole answer is delivered."""
        for size in (10, 300_000):
            rig = self.running(buffers=0 if size == 10 else 65536)
            answer = noise(size)
            rig.client.at_most = 0 if size > 10 else CHUNK_BYTES
            rig.client.send(b"?")
            rig.until(lambda: bool(rig.target.received))  # noqa: B023 - at once
            rig.client.send(noise(2 * MEGABYTE))
            rig.target.at_most = 0
            rig.target.send(answer)
            rig.until(lambda: not rig.target.outgoing)  # noqa: B023
            rig.target.sock.close()
            for _ in range(20):
                rig.client.step()
                self.reactor.turn(1)
            rig.client.at_most = 5000
            ending = rig.finish()
            self.assertEqual((ending.side, ending.cause), (Side.TARGET, Cause.ERROR))
            self.assertEqual(rig.relay.down.read, rig.relay.down.written)
            self.assertEqual(len(rig.relay.up.pending), 0)

    def test_broken_pipe(self) -> None:
        """Writing to a side that closed both ways is that side's error."""
        rig = self.running()
        rig.target.send(b"bye")
        rig.until(lambda: not rig.target.outgoing)
        rig.target.sock.close()
        rig.until(lambda: rig.client.eof)
        self.assertEqual(rig.client.received, b"bye")
        rig.client.send(b"one")
        rig.until(lambda: not rig.client.outgoing)
        self.reactor.settle()
        if not rig.endings:
            rig.client.send(b"two")
        self.assertEqual(rig.finish(), self.failed(Side.TARGET, errno.EPIPE, Operation.SEND))

    def test_both_fail(self) -> None:
        """If the other side fails too, while it is given the rest, the first failure counts."""
        rig = self.running(buffers=16384)
        rig.client.at_most = 0
        rig.target.send(noise(MEGABYTE))
        while rig.target.step() or self.reactor.turn(2):
            pass
        rig.target.reset()
        self.reactor.settle()
        rig.client.reset()
        # Without epoll, nobody hears of the failure of a side that must wait.
        first = Side.TARGET if self.poller_class is EpollPoller else Side.CLIENT
        self.assertEqual(rig.finish(), self.failed(first))

    def test_end(self) -> None:
        """A relay can be ended from outside, once, also in the midst of things."""
        for bulky in (False, True):
            rig = self.running(buffers=16384)
            if bulky:
                rig.target.send(noise(2 * MEGABYTE))
                rig.until(lambda: rig.relay.down.written > MEGABYTE)  # noqa: B023 - at once
            rig.relay.end(STOPPED)
            rig.relay.end(STOPPED)
            self.reactor.settle()
            self.assertEqual(rig.endings, [STOPPED])
            rig.client.at_most = CHUNK_BYTES
            rig.until(lambda: rig.client.eof or rig.client.error)  # noqa: B023

    def test_end_before_start(self) -> None:
        """It can be ended before it was started."""
        rig = self.rig()
        rig.relay.end(STOPPED)
        self.assertEqual(rig.endings, [STOPPED])

    def test_done_fails(self) -> None:
        """The sockets are closed even if ``done`` raises."""
        rig = self.running()

        def fail(ending: Ending) -> None:
            rig.endings.append(ending)
            raise ZeroDivisionError

        rig.relay._done = fail
        self.assertRaises(ZeroDivisionError, rig.relay.end, STOPPED)
        self.assertEqual((rig.near_client.fileno(), rig.near_target.fileno()), (-1, -1))


# With a small budget it is chance how much the kernel holds when a side fails.
globals().update(everywhere(EndingSuite, shapes=(UNSHAPED, FAST, MASKED)))
