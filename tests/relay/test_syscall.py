"""Tests of :mod:`dantetw.relay.syscall`."""

from __future__ import annotations

import errno
import os

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from dantetw.relay import syscall


class SpliceTests(SynchronousTestCase):
    """Python's own and the C library's."""

    def setUp(self) -> None:
        found = {"library": syscall.of_library()}
        if hasattr(os, "splice"):
            found["own"] = syscall.find()
        self.splices = [splice for splice in found.values() if splice is not None]
        if not self.splices:
            raise SkipTest("this system has no splice(2)")

    def pipe(self) -> tuple[int, int]:
        """Both ends of one, which are closed at the end."""
        ends = os.pipe2(os.O_NONBLOCK)
        for end in ends:
            self.addCleanup(os.close, end)
        return ends

    def test_moves(self) -> None:
        """It moves what there is, in order, and no more than it was asked for."""
        for splice in self.splices:
            (source, writing), (reading, sink) = self.pipe(), self.pipe()
            os.write(writing, b"abcdef")
            self.assertEqual(splice(source, sink, 4), 4)
            self.assertEqual(splice(source, sink, 4), 2)
            self.assertEqual(os.read(reading, 100), b"abcdef")

    def test_end(self) -> None:
        """At the end of file it moves nothing."""
        for splice in self.splices:
            source, writing = os.pipe2(os.O_NONBLOCK)
            self.addCleanup(os.close, source)
            os.close(writing)
            self.assertEqual(splice(source, self.pipe()[1], 4), 0)

    def test_nothing_there(self) -> None:
        """Where it would have to wait it says so."""
        for splice in self.splices:
            self.assertRaises(BlockingIOError, splice, self.pipe()[0], self.pipe()[1], 4)

    def test_broken(self) -> None:
        """Whatever else is wrong it says too."""
        for splice in self.splices:
            reading, sink = os.pipe2(os.O_NONBLOCK)
            self.addCleanup(os.close, sink)
            os.close(reading)
            source, writing = self.pipe()
            os.write(writing, b"x")
            failed = self.assertRaises(OSError, splice, source, sink, 4)
            self.assertEqual(failed.errno, errno.EPIPE)

    def test_find(self) -> None:
        """A Python that has none of its own gets the library's."""
        if hasattr(os, "splice"):
            self.patch(os, "splice", None)
        splice = syscall.find()
        assert splice is not None
        (source, writing), (reading, sink) = self.pipe(), self.pipe()
        os.write(writing, b"x")
        self.assertEqual((splice(source, sink, 4), os.read(reading, 4)), (1, b"x"))
