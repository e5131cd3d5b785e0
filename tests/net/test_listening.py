"""Tests of :mod:`dantetw.net.listening`: ports with a socket for each process."""

from __future__ import annotations

import errno
import os
import select
import socket
from collections import Counter
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.listening import ListeningSocket, Port, given_port, open_port
from dantetw.values import Endpoint, Family
from tests.descriptors import descriptors
from tests.quiet import quiet_port

ANY = Endpoint("127.0.0.1", 0, Family.IPV4)
#: Clients, of whom each of a few sockets gets some: with two the odds are 2 to the 199 against one.
CLIENTS = 200


class PortCase(SynchronousTestCase):
    """Real ports."""

    def open(self, endpoint: Endpoint = ANY, number: int = 1, share: bool = False) -> Port:
        """A port, closed at the end of the test."""
        port, refused = open_port(endpoint, number=number, share=share)
        self.addCleanup(port.close)
        self.assertEqual(refused, [])
        return port

    def visit(self, port: Port, sockets: Sequence[socket.socket]) -> Counter[int]:
        """Let clients come; how many each of some sockets has accepted, by its place."""
        clients = [socket.create_connection(("127.0.0.1", port.endpoint.port)) for _ in range(2)]
        clients += [socket.create_connection(client.getpeername()) for client in clients * 99]
        for client in clients:
            self.addCleanup(client.close)
        found: Counter[int] = Counter()
        while found.total() < CLIENTS:
            ready, _, _ = select.select(sockets, [], [], 60)
            self.assertTrue(ready, f"{found.total()} clients came to these")
            for sock in ready:
                sock.accept()[0].close()
                found[sockets.index(sock)] += 1
        return found


class SeveralTests(PortCase):
    """Ports of several processes."""

    def test_dealt(self) -> None:
        """All have the same address, and the kernel deals clients to each of them."""
        port = self.open(number=3)
        self.assertEqual(len({sock.getsockname() for sock in port.sockets}), 1)
        found = self.visit(port, port.sockets)
        self.assertEqual(set(found), {0, 1, 2})

    def test_taken(self) -> None:
        """Another server's address cannot be had, whether it shares it or not."""
        for sharing in (False, True):
            other = socket.socket()
            self.addCleanup(other.close)
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, sharing)
            other.bind(("127.0.0.1", 0))
            other.listen()
            endpoint = Endpoint.of(other.getsockname())
            before = descriptors()
            failed = self.assertRaises(OSError, open_port, endpoint, number=2)
            self.assertEqual(failed.errno, errno.EADDRINUSE)
            self.assertEqual(descriptors() - before, set())

    def test_ours(self) -> None:
        """Nor can another of our kind have ours, for its first socket does not share."""
        port = self.open(number=2)
        for number in (1, 2):
            failed = self.assertRaises(OSError, open_port, port.endpoint, number=number)
            self.assertEqual(failed.errno, errno.EADDRINUSE)

    def test_wildcard(self) -> None:
        """A wildcard and an address of its own can follow each other, with all their sockets."""
        port = self.open(Endpoint("127.0.0.1", quiet_port(), Family.IPV4), number=2)
        wildcard = Endpoint("0.0.0.0", port.endpoint.port, Family.IPV4)
        self.assertRaises(OSError, open_port, wildcard, number=2)
        port.share(True)
        after = self.open(wildcard, number=2, share=True)
        port.share(False)
        self.assertEqual((after.wildcard, after.local), (True, None))
        self.assertEqual(set(self.visit(port, port.sockets)), {0, 1})
        port.close()
        self.assertEqual(set(self.visit(after, after.sockets)), {0, 1})
        after.share(True)
        back = self.open(port.endpoint, number=2, share=True)
        self.assertEqual(set(self.visit(back, back.sockets)), {0, 1})

    def test_shares(self) -> None:
        """Each socket is one process's, and each process has one, if need be in common."""
        port = self.open(number=3)
        for number in (1, 2, 3):
            shares = [port.share_of(place, number) for place in range(number)]
            held = [sock for share in shares for sock in share.sockets]
            self.assertEqual(Counter(map(id, held)), Counter(map(id, port.sockets)))
            self.assertEqual({share.endpoint for share in shares}, {port.endpoint})
        for place in range(5):
            (sock,) = port.share_of(place, 5).sockets
            self.assertIs(sock, port.sockets[place % 3])

    def test_copy(self) -> None:
        """A client that waits at a socket when a process dies is there for the next who has it."""
        port = self.open()
        (copy,) = port.share_of(0, 1).sockets
        again, _ = given_port((ListeningSocket(fileno=os.dup(copy.fileno())),))
        self.addCleanup(again.close)
        client = socket.create_connection(("127.0.0.1", port.endpoint.port))
        self.addCleanup(client.close)
        again.close()
        accepted, peer = port.sockets[0].accept()
        accepted.close()
        self.assertEqual(peer, client.getsockname())

    def test_given(self) -> None:
        """Sockets that somebody else has opened are a port of the same address."""
        for endpoint in (ANY, Endpoint("0.0.0.0", 0, Family.IPV4)):
            port = self.open(endpoint, number=2)
            copies = [ListeningSocket(fileno=sock.dup().detach()) for sock in port.sockets]
            given, _ = given_port(copies)
            self.addCleanup(given.close)
            self.assertEqual((given.endpoint, given.local), (port.endpoint, port.local))
