"""Tests of :mod:`dantetw.net.tcpinfo`."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.tcpinfo import read
from dantetw.observe.formats.tcpinfo import SIZE, block


class ReadTests(SynchronousTestCase):
    """Reading ``struct tcp_info``."""

    def test_connection(self) -> None:
        """A connection's information has all the rows, and the state is right."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            with socket.create_connection(server.getsockname()) as client:
                raw = read(client)
                self.assertGreaterEqual(len(raw), SIZE)
                self.assertIn("tcpi_state           : 1 (ESTABLISHED)\n", block(raw))
            self.assertIn("tcpi_state           : 10 (LISTEN)\n", block(read(server)))

    def test_nothing(self) -> None:
        """Without a TCP connection there is nothing, and no error."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            self.assertEqual(read(datagrams), b"")
        self.assertEqual(read(datagrams), b"")
        self.assertEqual(read(None), b"")
