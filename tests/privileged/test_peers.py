"""Tests of :mod:`dantetw.privileged.peers`."""

from __future__ import annotations

import os
import socket
from types import SimpleNamespace

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dantetw.privileged import peers
from dantetw.privileged.peers import Bucket, name_of, peer_of


class PeerTests(SynchronousTestCase):
    """Who is at the other end."""

    def test_named_or_not(self) -> None:
        """The kernel tells, whether Python has a name for the question or not."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        self.assertEqual(peer_of(ours), (os.getpid(), os.geteuid()))
        self.patch(peers, "socket", SimpleNamespace(SOL_SOCKET=socket.SOL_SOCKET))
        self.assertEqual(peer_of(ours), (os.getpid(), os.geteuid()))


class BucketTests(SynchronousTestCase):
    """How often something may be done."""

    def test_pace(self) -> None:
        """So many times at once, and then at a steady pace, whatever was not used before."""
        clock = Clock()
        bucket = Bucket(3, 2.0, clock.seconds)
        clock.advance(1000)
        for _ in range(3):
            self.assertEqual(bucket.wait(), 0.0)
            bucket.take()
        self.assertEqual(bucket.wait(), 0.5)
        clock.advance(0.25)
        self.assertEqual(bucket.wait(), 0.25)
        clock.advance(0.25)
        self.assertEqual(bucket.wait(), 0.0)


class NameTests(SynchronousTestCase):
    """Processes in words."""

    def test_names(self) -> None:
        """A process has its number, if the system says which it is."""
        ours, theirs = socket.socketpair()
        with ours, theirs, socket.socket() as inet:
            self.assertEqual(name_of(ours), f"process {os.getpid()}")
            self.assertEqual(name_of(inet), "some process")
        self.assertEqual(name_of(ours), "some process")
