"""Tests of :mod:`dantetw.net.zones`."""

from __future__ import annotations

import errno
import socket

from twisted.trial.unittest import SynchronousTestCase

from dantetw.addresses import is_link_local
from dantetw.net.zones import endpoint_of, on_link_of, sockaddr_of
from dantetw.observe.formats.addresses import place
from dantetw.values import Endpoint, Family

LINKED = Endpoint("fe80::1%eth7", 80, Family.IPV6)


class ZoneTests(SynchronousTestCase):
    """Addresses and their links."""

    def setUp(self) -> None:
        def name(number: int) -> str:
            if number != 7:
                raise OSError(errno.ENXIO, "no such device")
            return "eth7"

        def number(name: str) -> int:
            if name != "eth7":
                raise OSError("no interface with this name")
            return 7

        self.patch(socket, "if_indextoname", name)
        self.patch(socket, "if_nametoindex", number)

    def test_link_local(self) -> None:
        """The zone of a link-local address is kept by its name, and found again."""
        self.assertEqual(endpoint_of(("fe80::1", 80, 0, 7)), LINKED)
        self.assertEqual(sockaddr_of(LINKED.host, 80), ("fe80::1", 80, 0, 7))
        self.assertEqual(endpoint_of(("fe80::1%eth7", 80, 0, 7)), LINKED)

    def test_unknown(self) -> None:
        """A zone that does not exist stays a number, and fails as one when it is used."""
        endpoint = endpoint_of(("fe80::1", 80, 0, 99))
        self.assertEqual(endpoint.host, "fe80::1%99")
        for host in (endpoint.host, "fe80::1%no\x00where", "fe80::1%7"):
            failed = self.assertRaises(OSError, sockaddr_of, host, 80)
            self.assertEqual(failed.errno, errno.ENODEV)

    def test_others(self) -> None:
        """No other address keeps one: what is judged must be what is connected to."""
        for host in ("::", "::1", "2001:db8::1", "ff05::1", "fec0::1"):
            self.assertEqual(endpoint_of((host, 80, 0, 7)), Endpoint(host, 80, Family.IPV6))
        mapped = Endpoint("192.0.2.1", 80, Family.IPV4)
        self.assertEqual(endpoint_of(("::ffff:192.0.2.1", 80, 0, 7)), mapped)
        self.assertEqual(endpoint_of(("192.0.2.1", 80)), mapped)
        self.assertEqual(sockaddr_of("192.0.2.1", 80), ("192.0.2.1", 80))

    def test_which(self) -> None:
        """fe80::/10, and multicast of a link, mean nothing without a zone."""
        for host in ("fe80::1", "febf::1", "ff02::1", "fe80::1%eth7"):
            self.assertTrue(is_link_local(host), host)
        for host in ("fec0::1", "fe7f::1", "::fe80", "192.0.2.1", "ff0e::1"):
            self.assertFalse(is_link_local(host), host)

    def test_shown(self) -> None:
        """Lines have the address without its zone, as Dante's; a name stays as it was received."""
        self.assertEqual((place(LINKED), str(LINKED)), ("fe80::1.80", "fe80::1.80"))
        name = Endpoint("fe80::1%eth7\n", 80, Family.NAME)
        self.assertEqual(place(name), "fe80::1%eth7\\n.80")

    def test_on_link(self) -> None:
        """Addresses of a client's connection are of its link; others stay as they are."""

        class Sock(socket.socket):
            def getsockname(self) -> tuple[str, int, int, int]:
                return "fe80::2", 1080, 0, 7

        with Sock() as sock:
            self.assertEqual(on_link_of("fe80::1", sock), "fe80::1%eth7")
            self.assertEqual(on_link_of("fe80::1%eth8", sock), "fe80::1%eth8")
            self.assertEqual(on_link_of("2001:db8::1", sock), "2001:db8::1")
