"""When a relay splices, and what becomes of the pipes."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from dantetw.relay import pipes
from dantetw.relay.flow import Flow
from dantetw.relay.splicing import COPY_BELOW_BYTES, SPLICE_ABOVE_BYTES, SplicingRelay
from dantetw.values import Cause, Side
from tests.descriptors import descriptors
from tests.relay.rig import MEGABYTE, STOPPED, RelayCase, Rig, empty_pool, everywhere, noise
from tests.relay.shapes import FAST, UNSHAPED

_Suite = RelayCase if TYPE_CHECKING else object


class SplicingSuite(_Suite):
    """A flow begins by copying, splices while it is bulky, and copies again."""

    def bulky(self, rig: Rig, data: bytes, side: Side = Side.TARGET) -> Flow:
        """Have ``side`` send ``data`` until the relay splices; returns the flow."""
        source, flow = rig.far(side)[0], rig.relay.up if side is Side.CLIENT else rig.relay.down
        source.send(data)
        while source.step():
            pass  # as much as the kernel takes, so that a turn does not run dry
        rig.until(lambda: flow.pipe is not None)
        return flow

    def test_changes(self) -> None:
        """It goes over and back, as often as need be, and the bytes do not suffer."""
        rig = self.running()
        sent = b""
        for seed in range(3):
            bulk = noise(3 * MEGABYTE, seed)
            self.bulky(rig, bulk)
            self.assertGreaterEqual(rig.relay.down.read, SPLICE_ABOVE_BYTES)
            rig.until(lambda: not rig.target.outgoing)
            sent += bulk
            # Alone, each of these is less than a turn that is worth a pipe.
            rig.until(lambda: len(rig.client.received) == len(sent))  # noqa: B023 - at once
            for _ in range(20):
                sent += b"chat"
                rig.target.send(b"chat")
                rig.until(lambda: len(rig.client.received) == len(sent))  # noqa: B023
            self.assertIsNone(rig.relay.down.pipe)
            self.assertIsNone(rig.relay.up.pipe)
        rig.target.send(b"", shut=True)
        rig.client.send(b"", shut=True)
        rig.finish()
        rig.drain()
        self.assertTrue(rig.client.received == sent)
        self.assertEqual(rig.relay.down.written, len(sent))

    def test_chatty(self) -> None:
        """However much a dialogue amounts to, no pipe is spent on it."""
        self.patch(pipes, "take", self.fail)
        rig = self.running()
        for _ in range(2 * SPLICE_ABOVE_BYTES // COPY_BELOW_BYTES):
            rig.target.send(bytes(COPY_BELOW_BYTES))
            rig.until(lambda: not rig.target.outgoing)
            self.reactor.settle()
        self.assertGreater(rig.relay.down.read, SPLICE_ABOVE_BYTES)

    def test_no_descriptors(self) -> None:
        """Without descriptors for a pipe it goes on copying, and asks again later."""
        asked = []

        def take() -> tuple[int, int]:
            asked.append(1)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        patched = self.patch(pipes, "take", take)
        rig = self.running()
        data = noise(4 * MEGABYTE)
        rig.target.send(data)
        rig.until(lambda: len(rig.client.received) == len(data))
        self.assertIsNone(rig.relay.down.pipe)
        self.assertGreaterEqual(len(asked), 1)
        self.assertLessEqual(len(asked), len(data) // SPLICE_ABOVE_BYTES)
        patched.restore()
        self.bulky(rig, data)
        rig.until(lambda: len(rig.client.received) == 2 * len(data))
        self.assertTrue(rig.client.received == data + data)

    def stuck(self, side: Side = Side.TARGET) -> Rig:
        """A relay that splices, with bytes in its pipe that nobody takes."""
        rig = self.running(buffers=65536)
        flow = self.bulky(rig, noise(8 * MEGABYTE), side)
        rig.far(side)[1].at_most = 0
        rig.until(lambda: flow.waiting > 0)
        return rig

    def test_leftovers(self) -> None:
        """A pipe in which there is something is not used again."""
        for way in ("end", "end up", "client", "target"):
            rig = self.stuck(Side.CLIENT if way == "end up" else Side.TARGET)
            ends = rig.relay.down.pipe or rig.relay.up.pipe
            assert ends is not None
            kept = list(pipes._free)
            if way.startswith("end"):
                rig.relay.end(STOPPED)
                self.assertEqual(pipes._free, kept)
            elif way == "client":
                rig.client.reset()
                self.assertIs(rig.finish().cause, Cause.ERROR)
                self.assertEqual(pipes._free, kept)
            else:
                # What is in the pipe is delivered first; then it is empty.
                rig.target.reset()
                self.reactor.settle()
                rig.client.at_most = 10_000
                self.assertIs(rig.finish().cause, Cause.ERROR)
                self.assertIn(ends, pipes._free)
                self.assertEqual(rig.relay.down.read, rig.relay.down.written)
            for pipe in pipes._free:
                self.assertRaises(BlockingIOError, os.read, pipe[0], 1)

    def test_returned(self) -> None:
        """A pipe is used again by the next bulky flow."""
        rig = self.running()
        self.bulky(rig, noise(2 * MEGABYTE))
        ends = rig.relay.down.pipe
        rig.target.send(b"", shut=True)
        rig.until(lambda: rig.client.eof)
        self.assertEqual(pipes._free, [ends])
        another = self.running()
        self.bulky(another, noise(2 * MEGABYTE))
        self.assertEqual(another.relay.down.pipe, ends)


globals().update(everywhere(SplicingSuite, (SplicingRelay,), (UNSHAPED, FAST)))


class PipesTests(SynchronousTestCase):
    """The pool of pipes."""

    def setUp(self) -> None:
        empty_pool()
        self.addCleanup(empty_pool)

    def test_pool(self) -> None:
        """A pipe given back is the next taken; one too many is closed."""
        before = descriptors()
        taken = [pipes.take() for _ in range(pipes.KEPT + 3)]
        for ends in taken:
            pipes.give_back(ends, empty=True)
        self.assertEqual(len(descriptors() - before), 2 * pipes.KEPT)
        self.assertEqual(pipes.take(), taken[pipes.KEPT - 1])
        pipes.give_back(taken[pipes.KEPT - 1], empty=False)
        self.assertEqual(len(descriptors() - before), 2 * pipes.KEPT - 2)

    def test_does_not_block(self) -> None:
        """Neither end of a pipe blocks, and no other program inherits it."""
        ends = pipes.take()
        self.addCleanup(pipes.give_back, ends, empty=False)
        for end in ends:
            self.assertFalse(os.get_blocking(end) or os.get_inheritable(end))

    def test_small(self) -> None:
        """A pipe that cannot be enlarged will do if it has the usual size, and not if less."""
        real = pipes.fcntl.fcntl

        for size, worth_it in ((1 << 16, True), (8192, False)):

            def fcntl(fd: int, command: int, argument: int = 0, size: int = size) -> int:
                if command == pipes._F_SETPIPE_SZ:
                    raise PermissionError(errno.EPERM, "as if this user had too many")
                return size if command == pipes._F_GETPIPE_SZ else real(fd, command, argument)

            patched = self.patch(pipes.fcntl, "fcntl", fcntl)
            before = descriptors()
            if worth_it:
                pipes.give_back(pipes.take(), empty=False)
            else:
                self.assertRaises(PermissionError, pipes.take)
            self.assertEqual(descriptors() - before, set())
            patched.restore()
