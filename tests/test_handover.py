"""Tests of :mod:`dantetw.handover`."""

from __future__ import annotations

import os
import socket
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from dantetw import handover


class PeerTests(SynchronousTestCase):
    """Who is at the other end."""

    def test_named_or_not(self) -> None:
        """The kernel tells, whether Python has a name for the question or not."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        self.assertEqual(handover._peer(ours), (os.getpid(), os.geteuid()))
        self.patch(handover, "socket", SimpleNamespace(SOL_SOCKET=socket.SOL_SOCKET))
        self.assertEqual(handover._peer(ours), (os.getpid(), os.geteuid()))
