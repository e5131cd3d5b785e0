"""Tests for :mod:`dantetw.net.host`: what is true on every machine."""

from __future__ import annotations

import os
import pwd
import socket

from twisted.trial.unittest import SynchronousTestCase

from dantetw.config.machine import Machine
from dantetw.net.host import Host
from dantetw.net.ifaddrs import interface_addresses


class HostTests(SynchronousTestCase):
    """The facts about this machine."""

    def setUp(self) -> None:
        """The type checker sees here that it is a System."""
        self.host: Machine = Host()

    def loopback(self) -> str:
        """The name of the loopback interface."""
        names = [name for name, address in interface_addresses() if address == "127.0.0.1"]
        self.assertEqual(len(names), 1)
        return names[0]

    def test_interfaces(self) -> None:
        """The loopback interface has its address, and every name is one that the kernel has."""
        self.assertIn("127.0.0.1", self.host.addresses_of(self.loopback()))
        self.assertIn("127.0.0.1", self.host.all_addresses())
        known = {name for _, name in socket.if_nameindex()}
        # An alias such as eth0:1 is a label of an address, not an interface of its own.
        self.assertLessEqual({name.partition(":")[0] for name, _ in interface_addresses()}, known)

    def test_numeric(self) -> None:
        """All addresses are numeric, and scopes are interfaces' names."""
        for name, address in interface_addresses():
            bare, _, scope = address.partition("%")
            family = socket.AF_INET6 if ":" in bare else socket.AF_INET
            self.assertEqual(socket.inet_ntop(family, socket.inet_pton(family, bare)), bare)
            self.assertIn(scope, ("", name))
            if bare.startswith("fe80:"):
                self.assertEqual(scope, name)

    def test_no_such_interface(self) -> None:
        """What is not an interface has no addresses, also if it could not be one."""
        for name in ("nosuchif0", "", "a\0b", "\udcff", "x" * 300):
            self.assertEqual(list(self.host.addresses_of(name)), [])

    def test_can_bind(self) -> None:
        """Loopback can be bound to; documentation's addresses and nonsense cannot."""
        self.assertTrue(self.host.can_bind("127.0.0.1"))
        for address in ("198.51.100.77", "nonsense", "", "a\0b", "fe80::1%nosuchif0"):
            self.assertFalse(self.host.can_bind(address), address)

    def test_service_port(self) -> None:
        """A service has the port that the system says; nonsense has none."""
        try:
            expected: int | None = socket.getservbyname("http", "tcp")
        except OSError:
            expected = None
        self.assertEqual(self.host.service_port("http", "tcp"), expected)
        self.assertEqual(self.host.service_port("http", None), expected)
        for name in ("nosuchservice", "", "a\0b", "\udcff"):
            self.assertIs(self.host.service_port(name, None), None)

    def test_user_exists(self) -> None:
        """Who runs this exists; nonsense does not."""
        self.assertTrue(self.host.user_exists(pwd.getpwuid(os.getuid()).pw_name))
        for name in ("nosuchuser", "", "0", "a\0b"):
            self.assertFalse(self.host.user_exists(name), name)

    def test_resolve(self) -> None:
        """Numeric addresses are their own; what cannot be a name is nothing."""
        self.assertEqual(self.host.resolve("127.0.0.1"), ["127.0.0.1"])
        for name in ("a" * 300, "\udcff", "a\0b", "x..y"):
            self.assertEqual(list(self.host.resolve(name)), [])

    def test_effective_root(self) -> None:
        """Root is who has the user number 0."""
        self.assertEqual(self.host.effective_root, os.geteuid() == 0)
