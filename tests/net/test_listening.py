"""Tests of :mod:`dantetw.net.listening`."""

from __future__ import annotations

import errno
import socket

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.listening import ListeningSocket, Port, given_port, open_port
from dantetw.values import Endpoint, Family

ANY = Endpoint("127.0.0.1", 0, Family.IPV4)


class PortTests(SynchronousTestCase):
    """Ports with several sockets."""

    def open(self, number: int) -> Port:
        port, refused = open_port(ANY, number=number)
        self.addCleanup(port.close)
        self.assertEqual(refused, [])
        return port

    def accepted(self, sock: ListeningSocket) -> int:
        """How many clients wait at a socket."""
        number = 0
        while True:
            try:
                client, _ = sock.accept()
            except BlockingIOError:
                return number
            client.close()
            number += 1

    def test_dealt_out(self) -> None:
        """Each client waits at one of the sockets, and none of these gets them all."""
        port = self.open(4)
        where = (port.endpoint.host, port.endpoint.port)
        for _ in range(200):
            client = socket.create_connection(where, 30)
            self.addCleanup(client.close)
        numbers = [self.accepted(sock) for sock in port.sockets]
        self.assertEqual(sum(numbers), 200)
        self.assertNotIn(0, numbers)

    def test_taken(self) -> None:
        """Who has several sockets takes an address from nobody, and gives it to nobody."""
        for first, second in ((1, 1), (1, 3), (3, 1), (3, 3)):
            port = self.open(first)
            with self.assertRaises(OSError) as caught:
                open_port(port.endpoint, number=second)
            self.assertEqual(caught.exception.errno, errno.EADDRINUSE)

    def test_shares(self) -> None:
        """Each socket is some process's; if there are too few, some processes share one."""
        port = self.open(3)
        first, second, third = port.sockets
        for number, shares in (
            (1, [(first, second, third)]),
            (2, [(first, third), (second,)]),
            (3, [(first,), (second,), (third,)]),
            (5, [(first,), (second,), (third,), (first,), (second,)]),
        ):
            own = [tuple(port.share_of(place, number).sockets) for place in range(number)]
            self.assertEqual(own, shares)

    def test_given(self) -> None:
        """Sockets that somebody else has opened are a port of the same address."""
        port = self.open(2)
        copies = [ListeningSocket(fileno=sock.dup().detach()) for sock in port.sockets]
        given, _ = given_port(copies)
        self.addCleanup(given.close)
        self.assertEqual((given.endpoint, given.local), (port.endpoint, port.local))
        wildcard, _ = open_port(Endpoint("0.0.0.0", 0, Family.IPV4))
        self.addCleanup(wildcard.close)
        copy, _ = given_port([ListeningSocket(fileno=wildcard.sockets[0].dup().detach())])
        self.addCleanup(copy.close)
        self.assertIs(copy.local, None)
