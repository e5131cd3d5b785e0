"""Tests of :mod:`dantetw.net.sockopts`."""

from __future__ import annotations

import errno
import socket
import struct
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.sockopts import bind_source, bind_wished, prepare, set_options
from dantetw.policy import BUILT_IN, Edge, SocketOption

TTL = (socket.IPPROTO_IP, socket.IP_TTL)
TOS = (socket.IPPROTO_IP, socket.IP_TOS)


def option(name: tuple[int, int], value: int, edge: Edge = Edge.EXTERNAL) -> SocketOption:
    """A socket option as the configuration would have it."""
    return SocketOption(edge, *name, value, "x.y.z", BUILT_IN)


class SockoptsTests(SynchronousTestCase):
    """Setting options on sockets."""

    def setUp(self) -> None:
        self.sock = self.socket()

    def socket(self) -> socket.socket:
        """A TCP socket."""
        sock = socket.socket()
        self.addCleanup(sock.close)
        return sock

    def test_edge(self) -> None:
        """Only the options of the side in question are set, in their order."""
        before = self.sock.getsockopt(*TOS)
        options = [option(TTL, 9), option(TTL, 11), option(TOS, 0x10, Edge.INTERNAL)]
        self.assertEqual(set_options(self.sock, options, Edge.EXTERNAL), [])
        self.assertEqual(self.sock.getsockopt(*TTL), 11)
        self.assertEqual(self.sock.getsockopt(*TOS), before)

    def test_refused(self) -> None:
        """What the system refuses is told, and the others are set all the same."""
        bad, high, large = (
            option((socket.SOL_SOCKET, 9999), 1),
            option(TTL, 300),
            option(TTL, 1 << 40),
        )
        refused = set_options(self.sock, [bad, high, large, option(TTL, 12)], Edge.EXTERNAL)
        self.assertEqual(
            refused, [(bad, errno.ENOPROTOOPT), (high, errno.EINVAL), (large, errno.EINVAL)]
        )
        self.assertEqual(self.sock.getsockopt(*TTL), 12)

    def test_structures(self) -> None:
        """Options that take a structure take a number here: seconds."""
        linger = (socket.SOL_SOCKET, socket.SO_LINGER)
        timeout = (socket.SOL_SOCKET, socket.SO_RCVTIMEO)
        options = [option(linger, 3), option(timeout, 4)]
        self.assertEqual(set_options(self.sock, options, Edge.EXTERNAL), [])
        self.assertEqual(self.sock.getsockopt(*linger, 8), struct.pack("ii", 1, 3))
        self.assertEqual(self.sock.getsockopt(*timeout, 16), struct.pack("ll", 4, 0))
        large = [option(linger, 1 << 40), option(timeout, 1 << 70)]
        self.assertEqual(
            set_options(self.sock, large, Edge.EXTERNAL), [(it, errno.EINVAL) for it in large]
        )

    def test_prepare(self) -> None:
        """Every socket sends at once and has urgent data inline; keep-alive is a choice."""
        for keep_alive in (False, True):
            sock = self.socket()
            prepare(sock, keep_alive)
            self.assertTrue(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            self.assertTrue(sock.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE))
            self.assertEqual(
                bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)), keep_alive
            )

    def test_inherited(self) -> None:
        """Accepted sockets inherit all of that from the listening one."""
        prepare(self.sock, True)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen()
        with socket.create_connection(self.sock.getsockname()):
            accepted, _ = self.sock.accept()
        with accepted:
            for name in (
                (socket.IPPROTO_TCP, socket.TCP_NODELAY),
                (socket.SOL_SOCKET, socket.SO_OOBINLINE),
                (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            ):
                self.assertTrue(accepted.getsockopt(*name))

    def test_port_granted(self) -> None:
        """A port that is free is had."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
        bind_source(self.sock, "127.0.0.1", port)
        self.assertEqual(self.sock.getsockname(), ("127.0.0.1", port))

    def test_port_not_granted(self) -> None:
        """One that is taken, or reserved, or none, means any port, known once connected."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            there = taken.getsockname()
            for port in (there[1], 0, 1023):
                sock = self.socket()
                bind_source(sock, "127.0.0.1", port)
                sock.connect(there)
                self.assertEqual(sock.getsockname()[0], "127.0.0.1")
                self.assertNotIn(sock.getsockname()[1], (there[1], 0, 1023))

    def test_reserved(self) -> None:
        """Ports below 1024, and no others, are bound by who may; failing that, any will do."""
        asked: list[tuple[str, int]] = []
        for number in (0, errno.EACCES, errno.EPERM, errno.EADDRINUSE):

            def low(sock: socket.socket, address: tuple[str, int], number: int = number) -> None:
                asked.append(address)
                if number:
                    raise OSError(number, "refused")

            for port in (0, 1023, 1024):
                wished = ("127.0.0.1", port)
                with patch.object(socket.socket, "bind"):
                    granted = bind_wished(self.socket(), *wished, low)
                self.assertEqual(granted, port == 1024 or (port == 1023 and not number))
        self.assertEqual(asked, [("127.0.0.1", 1023)] * 4)

    def test_reserved_elsewhere(self) -> None:
        """An address that is not ours is an error below 1024 too."""

        def low(sock: socket.socket, address: tuple[str, int]) -> None:
            sock.bind((address[0], 0))

        failed = self.assertRaises(OSError, bind_wished, self.sock, "192.0.2.1", 1023, low)
        self.assertEqual(failed.errno, errno.EADDRNOTAVAIL)

    def test_address_not_ours(self) -> None:
        """An address that is not ours is an error, with a port and without."""
        for port in (0, 50000):
            failed = self.assertRaises(OSError, bind_source, self.sock, "192.0.2.1", port)
            self.assertEqual(failed.errno, errno.EADDRNOTAVAIL)
