"""What every relay promises of bytes, with every poller."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net import poller
from dantetw.relay import copying, pipes, splicing
from dantetw.relay.copying import CHUNK_BYTES, CopyingRelay
from dantetw.relay.splicing import SplicingRelay
from dantetw.values import Cause, Ending, Phase, Side
from tests.descriptors import descriptors
from tests.net.reactors import PATIENCE, WAIT
from tests.relay.rig import MEGABYTE, SIDES, STOPPED, RelayCase, Rig, everywhere, noise

_Suite = RelayCase if TYPE_CHECKING else object


def closed(side: Side) -> Ending:
    """The orderly ending that ``side`` began."""
    return Ending(side, Phase.RELAY, Cause.CLOSED)


class BytesSuite(_Suite):
    """Bytes are neither lost nor reordered nor duplicated, and they are counted."""

    def check_counts(self, rig: Rig, up: int, down: int) -> None:
        """Both flows have read and written so many bytes."""
        relay = rig.relay
        self.assertEqual((relay.up.read, relay.up.written), (up, up))
        self.assertEqual((relay.down.read, relay.down.written), (down, down))

    def exchange(self, seed: int, sizes: tuple[int, ...], buffers: int) -> None:
        """Send so much each way at once, at random speeds."""
        random = Random(seed)
        up, down = noise(random.choice(sizes), seed), noise(random.choice(sizes), -seed - 1)
        rig = self.running(buffers)
        rig.client.send(up, shut=True)
        rig.target.send(down, shut=True)
        for peer in rig.peers:
            peer.at_most = random.choice((1500, 10_000, CHUNK_BYTES, CHUNK_BYTES * 4))
        rig.finish()
        rig.drain()
        self.assertTrue(rig.target.received == up and rig.client.received == down)
        self.check_counts(rig, len(up), len(down))

    def test_both_ways(self) -> None:
        """Whatever the amounts and the speeds, what arrives is what was sent."""
        sizes = (
            0,
            1,
            CHUNK_BYTES - 1,
            CHUNK_BYTES,
            CHUNK_BYTES + 1,
            300_000,
            MEGABYTE,
            3 * MEGABYTE,
        )
        for seed in range(8):
            self.exchange(seed, sizes, buffers=0)

    def test_tiny_buffers(self) -> None:
        """The same where the kernel's buffers take next to nothing at a time."""
        for seed in range(4):
            self.exchange(seed, (100_000, 400_000, MEGABYTE), buffers=4096)

    def test_dialogue(self) -> None:
        """Small messages pass at once, to and fro, and leave no connection between them."""
        rig = self.running()
        for number in range(50):
            word = b"%d" % number
            for side in SIDES:
                speaker, listener = rig.far(side)
                speaker.send(word)
                rig.until(lambda: listener.received.endswith(word))  # noqa: B023 - at once
        words = b"".join(b"%d" % number for number in range(50))
        self.assertEqual((rig.client.received, rig.target.received), (words, words))
        self.check_counts(rig, len(words), len(words))

    def test_early(self) -> None:
        """What came behind the request goes first, and counts."""
        rig = self.rig()
        first = rig.client.codec.encode(b"first")
        rig.client.send(b" and then", shut=True)
        rig.client.step()
        rig.reactor.turn(50)
        rig.start(first)
        rig.until(lambda: rig.target.eof)
        self.assertEqual(rig.target.received, b"first and then")
        self.assertEqual((rig.relay.up.read, rig.relay.up.written), (14, 14))

    def test_leftover(self) -> None:
        """What of the target's was read before goes first, and counts; a tap sees it."""
        seen: list[tuple[Side, bytes]] = []
        rig = self.rig(tap=lambda side, data: seen.append((side, data)))
        rig.target.send(b" and then", shut=True)
        rig.target.step()
        rig.reactor.turn(50)
        rig.start(rig.client.codec.encode(b"question"), b"first")
        rig.until(lambda: rig.client.eof)
        self.assertEqual(rig.client.received, b"first and then")
        self.assertEqual((rig.relay.down.read, rig.relay.down.written), (14, 14))
        self.assertEqual(seen[:2], [(Side.TARGET, b"first"), (Side.CLIENT, b"question")])

    def test_leftover_to_a_client_that_reads_late(self) -> None:
        """No byte is lost where the client does not take all of it at once."""
        rig = self.rig(buffers=4096)
        data = noise(MEGABYTE)
        rig.start(b"", data)
        rig.target.send(b"end", shut=True)
        rig.until(lambda: rig.client.eof)
        self.assertTrue(rig.client.received == data + b"end")

    def test_leftover_of_a_target_that_is_gone(self) -> None:
        """What was read of the target reaches the client also if the target takes nothing more."""
        rig = self.rig()
        rig.target.reset()
        rig.reactor.turn(50)
        rig.start(rig.client.codec.encode(b"question"), b"answer")
        rig.until(lambda: rig.client.eof or bool(rig.client.error))
        self.assertEqual(rig.client.received, b"answer")
        self.assertEqual(rig.relay.down.written, 6)

    def test_before_the_start(self) -> None:
        """What both sides had sent and ended before the start is not overlooked."""
        rig = self.rig()
        for peer, data in ((rig.client, b"up"), (rig.target, b"down")):
            peer.send(data, shut=True)
            peer.step()
            peer.step()
            peer.step()
        rig.reactor.turn(50)
        rig.reactor.turn()
        rig.start()
        self.assertIs(rig.finish().cause, Cause.CLOSED)
        rig.drain()
        self.assertEqual((rig.target.received, rig.client.received), (b"up", b"down"))

    def test_hint(self) -> None:
        """What the client had sent before the start needs no further event to be read."""
        rig = self.rig()
        rig.client.sock.send(rig.client.codec.encode(b"waiting"))
        rig.reactor.turn(50)
        rig.reactor.turn()
        rig.start()
        rig.reactor.turn()
        rig.target.step()
        self.assertEqual(rig.target.received, b"waiting")

    def test_urgent(self) -> None:
        """Urgent data arrives in its place, and what is behind it does not wait for more."""
        rig = self.running()
        encode = rig.client.codec.encode
        rig.client.sock.send(encode(b"before "))
        rig.client.sock.send(encode(b"!"), 1)  # MSG_OOB
        rig.client.sock.send(encode(b" behind"))
        rig.until(lambda: len(rig.target.received) == 15)
        self.assertEqual(rig.target.received, b"before ! behind")

    def test_urgent_in_bulk(self) -> None:
        """The same in the midst of a bulky flow that ends soon behind it."""
        rig = self.running()
        first, second = noise(3 * MEGABYTE), noise(200_000, 1)
        rig.target.send(first)
        rig.until(lambda: not rig.target.outgoing)
        rig.target.sock.setblocking(True)
        rig.client.at_most = 0
        rig.target.sock.send(b"!", 1)
        rig.target.sock.setblocking(False)
        rig.client.at_most = CHUNK_BYTES
        rig.target.send(second, shut=True)
        rig.until(lambda: rig.client.eof)
        self.assertTrue(rig.client.received == first + b"!" + second)

    def test_first_io(self) -> None:
        """The times of the first bytes and of the last activity are known."""
        rig = self.rig()
        self.reactor.advance(5)
        rig.start()
        self.assertEqual(rig.relay.first_io, 0.0)
        for seconds in (7, 10):
            rig.target.send(b"x")
            rig.target.step()
            self.reactor.advance(seconds - self.reactor.seconds())
            rig.until(lambda: not rig.client.step() and bool(rig.client.received))
            rig.reactor.settle()
            self.assertEqual((rig.relay.first_io, rig.relay.last_activity), (7.0, float(seconds)))

    def test_no_leak(self) -> None:
        """A session leaves no descriptor behind, whichever way it ends."""
        before = descriptors()
        for ending in ("closed", "reset", "ended"):
            rig = self.running()
            rig.target.send(noise(2 * MEGABYTE))
            rig.until(lambda: rig.relay.down.written > MEGABYTE)  # noqa: B023 - at once
            if ending == "closed":
                rig.client.send(b"", shut=True)
                rig.target.send(b"", shut=True)
            elif ending == "reset":
                rig.target.reset()
            else:
                rig.relay.end(STOPPED)
            rig.finish()
            rig.close()
        while pipes._free:
            pipes.give_back(pipes._free.pop(), empty=False)
        self.assertEqual(descriptors() - before, set())


class HalfCloseSuite(_Suite):
    """An end of file passes to the other side, and only that."""

    def test_passes(self) -> None:
        """After one side's end of file the other can speak for long, and then end likewise."""
        for side in SIDES:
            rig = self.running()
            first, second = rig.far(side)
            first.send(b"a question", shut=True)
            rig.until(lambda: second.eof)  # noqa: B023 - at once
            self.assertEqual(second.received, b"a question")
            self.assertIs(rig.relay.first_closed, side)
            self.reactor.advance(3600)
            answer = noise(2 * MEGABYTE)
            second.send(answer)
            rig.until(lambda: len(first.received) == len(answer))  # noqa: B023
            self.assertFalse(first.eof or rig.endings)
            second.send(b".", shut=True)
            self.assertEqual(rig.finish(), closed(side))
            rig.until(lambda: first.eof)  # noqa: B023
            self.assertTrue(first.received == answer + b".")

    def test_no_spin(self) -> None:
        """While one side has ended and the other is silent, nothing is done."""
        for side in SIDES:
            rig = self.running()
            first, second = rig.far(side)
            first.send(b"", shut=True)
            rig.until(lambda: second.eof)  # noqa: B023 - at once
            self.assertLess(self.reactor.settle(), 10)

    def test_both_at_once(self) -> None:
        """Two ends of file in one turn end the session once."""
        rig = self.running()
        rig.client.send(b"", shut=True)
        rig.target.send(b"", shut=True)
        rig.client.step()
        rig.target.step()
        self.assertIs(rig.finish().cause, Cause.CLOSED)
        rig.drain()
        self.reactor.settle()
        self.assertEqual(len(rig.endings), 1)

    def test_with_data(self) -> None:
        """An end of file in the same turn as data comes behind the data."""
        for size in (1, CHUNK_BYTES, CHUNK_BYTES + 1):
            rig = self.running()
            data = noise(size)
            rig.client.sock.send(rig.client.codec.encode(data))
            rig.client.send(b"", shut=True)
            rig.client.step()
            rig.until(lambda: rig.target.eof)  # noqa: B023 - at once
            self.assertTrue(rig.target.received == data)

    def test_while_blocked(self) -> None:
        """An end of file passes while the opposite direction waits for a slow reader."""
        rig = self.running(buffers=8192)
        data = noise(MEGABYTE)
        rig.client.at_most = 0
        rig.target.send(data)
        rig.reactor.settle()
        rig.until(lambda: rig.relay.down.read > rig.relay.down.written)
        rig.client.send(b"done", shut=True)
        rig.until(lambda: rig.target.eof)
        self.assertEqual(rig.target.received, b"done")
        rig.client.at_most = CHUNK_BYTES
        rig.target.send(b"", shut=True)
        self.assertEqual(rig.finish(), closed(Side.CLIENT))
        rig.until(lambda: rig.client.eof)
        self.assertTrue(rig.client.received == data)

    def test_slow_sink(self) -> None:
        """An end of file waits for the data before it, however slow the reader."""
        rig = self.running(buffers=8192)
        data = noise(400_000)
        rig.target.at_most = 0
        rig.client.send(data, shut=True)
        self.reactor.settle()
        rig.until(lambda: rig.relay.up.read > rig.relay.up.written)
        self.assertIsNone(rig.relay.first_closed)
        rig.target.at_most = 7000
        rig.until(lambda: rig.target.eof)
        self.assertTrue(rig.target.received == data)


class BackPressureSuite(_Suite):
    """What one side does not take is not read from the other."""

    def test_bounded(self) -> None:
        """A reader that does not read stops its source; when it reads on, all is there."""
        for side in SIDES:
            rig = self.running(buffers=16384)
            source, sink = rig.far(side)
            flow = rig.relay.up if side is Side.CLIENT else rig.relay.down
            data = noise(4 * MEGABYTE)
            sink.at_most = CHUNK_BYTES
            source.send(data)
            rig.until(lambda: flow.written > MEGABYTE)  # noqa: B023 - at once
            sink.at_most = 0
            # Until the relay itself holds something back, and a while longer.  The kernel may
            # take its time between two of its steps, so rest for a moment is not the end.
            rest = spun = 0
            while not flow.read > flow.written or rest < 5:
                before = flow.read, flow.written
                moved = source.step()
                turned = self.reactor.turn(WAIT)
                rest = 0 if moved or turned else rest + 1
                spun += turned > 0 and before == (flow.read, flow.written)
                self.assertLess(max(rest, spun), PATIENCE)
                self.assertLessEqual(flow.read - flow.written, pipes.SIZE)
            self.assertLessEqual(len(flow.pending), CHUNK_BYTES)
            self.assertLess(source.sent, len(data))
            self.reactor.settle()  # fails if it spins
            sink.at_most = CHUNK_BYTES
            rig.until(lambda: len(sink.received) == len(data))  # noqa: B023
            self.assertTrue(sink.received == data)

    def test_both_blocked(self) -> None:
        """Two readers that do not read block both directions; each goes on by itself."""
        rig = self.running(buffers=8192)
        up, down = noise(400_000, 1), noise(400_000, 2)
        rig.client.at_most = rig.target.at_most = 0
        rig.client.send(up)
        rig.target.send(down)
        flows = (rig.relay.up, rig.relay.down)
        rig.until(lambda: all(flow.read > flow.written for flow in flows))
        rig.target.at_most = 5000
        rig.until(lambda: len(rig.target.received) == len(up))
        self.assertLess(rig.relay.down.written, len(down))
        rig.client.at_most = 5000
        rig.until(lambda: len(rig.client.received) == len(down))
        self.assertTrue(rig.target.received == up and rig.client.received == down)

    def test_turns(self) -> None:
        """A flow that never runs dry moves a bounded amount in each turn."""
        self.patch(poller, "_ROUNDS", 0)
        self.patch(CopyingRelay._copy, "__defaults__", (CHUNK_BYTES, 2))
        self.patch(copying, "CHUNKS_PER_BATCH", 2)
        self.patch(SplicingRelay._splice, "__defaults__", (pipes.SIZE, 2))
        self.patch(splicing, "SPLICES_PER_BATCH", 2)
        rig = self.running()
        data = noise(8 * MEGABYTE)
        rig.target.send(data)
        # A turn that ends before a full sink, what had to wait for it, and another turn; and what
        # an allowance resumes.
        most = (8 if self.shape.allowance else 5) * (
            CHUNK_BYTES if self.relay_class is CopyingRelay else pipes.SIZE
        )
        while len(rig.client.received) < len(data):
            for _ in range(8):
                rig.target.step()
            before = rig.relay.down.written
            self.reactor.turn(1)
            self.assertLessEqual(rig.relay.down.written - before, most)
            while rig.client.step():
                pass
        self.assertTrue(rig.client.received == data)

    def test_fair(self) -> None:
        """A dialogue beside bulky flows has its answer within a few turns."""
        bulky = [self.running() for _ in range(3)]
        data = noise(3 * MEGABYTE)
        for rig in bulky:
            rig.target.send(data * 4)
        chat = self.running()
        answered = 0
        while any(rig.target.outgoing for rig in bulky):
            chat.client.send(b"?")
            chat.client.step()
            for _turn in range(6):
                for rig in bulky:
                    for _ in range(4):
                        rig.target.step()
                        rig.client.step()
                self.reactor.turn()
                chat.target.step()
                if len(chat.target.received) > answered:
                    break
            answered += 1
            self.assertEqual(len(chat.target.received), answered)
        self.assertGreater(answered, 3)


class TapSuite(_Suite):
    """Somebody may look at the bytes."""

    def test_sees_all(self) -> None:
        """The tap sees each chunk of each side, and the first end of file only."""
        seen: list[tuple[Side, bytes]] = []
        rig = self.rig(tap=lambda side, data: seen.append((side, data)))
        up, down = noise(300_000, 1), noise(500_000, 2)
        rig.start(rig.client.codec.encode(b"early"))
        rig.client.send(up)
        rig.target.send(down)
        rig.until(lambda: rig.client.received == down and len(rig.target.received) == 300_005)
        rig.target.send(b"", shut=True)
        rig.until(lambda: rig.client.eof)
        rig.client.send(b"last", shut=True)
        self.assertEqual(rig.finish(), closed(Side.TARGET))
        self.assertEqual(seen[0], (Side.CLIENT, b"early"))
        for side, data in ((Side.CLIENT, b"early" + up + b"last"), (Side.TARGET, down)):
            self.assertTrue(b"".join(chunk for whose, chunk in seen if whose is side) == data)
        self.assertEqual([whose for whose, chunk in seen if not chunk], [Side.TARGET])
        self.assertLessEqual(max(len(chunk) for _, chunk in seen), CHUNK_BYTES)

    def test_ends(self) -> None:
        """A tap ends the relay: the chunk goes nowhere, as the sink's number may be another's."""
        for early in (b"early", b""):
            rig = self.rig(tap=lambda side, data: rig.relay.end(STOPPED))  # noqa: B023 - at once
            rig.start(rig.client.codec.encode(early))
            rig.client.send(b"late")
            self.assertEqual(rig.finish(), STOPPED)
            self.assertEqual(rig.relay.up.written, 0)
            self.assertEqual(rig.relay.up.pending, b"")


globals().update(everywhere(BytesSuite))
globals().update(everywhere(HalfCloseSuite))
globals().update(everywhere(BackPressureSuite))
globals().update(everywhere(TapSuite, (CopyingRelay,)))


class ChoiceTests(SynchronousTestCase):
    """Which relay a session gets."""

    def test_tapped(self) -> None:
        """Whoever wants to see the bytes gets a copying relay."""
        self.assertIs(splicing.relay_class(copies=True), CopyingRelay)

    def test_not_available(self) -> None:
        """So does everybody where the system cannot splice."""
        self.patch(splicing, "available", lambda: False)
        self.assertIs(splicing.relay_class(copies=False), CopyingRelay)
