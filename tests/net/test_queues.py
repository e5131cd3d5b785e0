"""Tests of :mod:`dantetw.net.queues`."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.queues import unread, unsent


class QueueTests(SynchronousTestCase):
    """What waits in a connection."""

    def setUp(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.client = socket.create_connection(listener.getsockname())
            self.addCleanup(self.client.close)
            self.server, _ = listener.accept()
            self.addCleanup(self.server.close)

    def test_unread(self) -> None:
        """Bytes that came and were not read are counted, and stay there."""
        self.assertEqual(unread(self.server), 0)
        self.client.sendall(b"seven!!")
        self.server.recv(1, socket.MSG_PEEK)
        self.assertEqual(unread(self.server), 7)
        self.assertEqual(self.server.recv(4), b"seve")
        self.assertEqual(unread(self.server), 3)

    def test_unsent(self) -> None:
        """Bytes that the peer's kernel has no room for are counted."""
        self.client.setblocking(False)
        written = 0
        for _ in range(1000):
            try:
                written += self.client.send(bytes(65536))
            except BlockingIOError:
                break
        waiting, arrived = unsent(self.client), unread(self.server)
        assert waiting is not None and arrived is not None
        self.assertTrue(0 < waiting <= written)
        self.assertGreaterEqual(waiting + arrived, written)

    def test_unknown(self) -> None:
        """Of a socket that is closed nobody can tell."""
        self.client.close()
        self.assertEqual((unread(self.client), unsent(self.client)), (None, None))
