"""Tests of :mod:`dantetw.net.adopting`."""

from __future__ import annotations

import os
import socket

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net import adopting
from dantetw.net.adopting import adopt


class Waiting(socket.socket):
    """As PyPy's: one that is not said not to wait is made to wait."""

    def __init__(
        self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None
    ) -> None:
        super().__init__(family, type, proto, fileno)
        if type < 0 or not type & socket.SOCK_NONBLOCK:
            os.set_blocking(self.fileno(), True)


class AdoptingTests(SynchronousTestCase):
    """A socket that somebody else has too."""

    def setUp(self) -> None:
        self.patch(adopting.socket, "socket", Waiting)

    def adopted(self, sock: socket.socket) -> socket.socket:
        """The same socket, adopted."""
        other = adopt(os.dup(sock.fileno()), Waiting)
        self.addCleanup(other.close)
        self.addCleanup(sock.close)
        self.assertEqual((other.family, other.type), (sock.family, sock.type))
        return other

    def test_accepting(self) -> None:
        """One that does not wait for clients does not wait from then on either, for anybody."""
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            sock = socket.create_server((host, 0), family=family)
            sock.setblocking(False)
            other = self.adopted(sock)
            self.assertEqual(other.getsockname(), sock.getsockname())
            for each in (sock, other):
                self.assertFalse(os.get_blocking(each.fileno()))
                self.assertRaises(BlockingIOError, each.accept)

    def test_datagrams(self) -> None:
        """It may be of another kind."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.assertFalse(os.get_blocking(self.adopted(sock).fileno()))

    def test_waiting(self) -> None:
        """One that waits still waits."""
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        self.assertTrue(os.get_blocking(self.adopted(ours).fileno()))

    def test_none(self) -> None:
        """What is not a socket raises, and is left open."""
        reading, writing = os.pipe2(os.O_NONBLOCK)
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        self.assertRaises(OSError, adopt, reading, socket.socket)
        os.write(writing, b"x")
        self.assertEqual(os.read(reading, 1), b"x")
