"""
The facts about this machine that a configuration refers to.

Implements :class:`dantetw.config.machine.Machine`.  Nothing is cached: a reload should see
interfaces as they are now.
"""

from __future__ import annotations

import importlib
import os
import pwd
import socket
from collections.abc import Mapping, Sequence

from dantetw.config.machine import Transport
from dantetw.net.ifaddrs import interfaces
from dantetw.net.listening import kernel_address
from dantetw.values import Endpoint, Family


class Host:
    """This machine."""

    @property
    def effective_root(self) -> bool:
        """Whether the process runs as root now."""
        return os.geteuid() == 0

    @property
    def interfaces(self) -> Mapping[str, Sequence[str]]:
        """All interfaces and labels with their addresses; see :func:`.ifaddrs.interfaces`."""
        return interfaces()

    def addresses_of(self, interface: str) -> Sequence[str]:
        """Addresses of an interface; none if it has none, or does not exist."""
        return self.interfaces.get(interface, ())

    def all_addresses(self) -> Sequence[str]:
        """Addresses of all interfaces."""
        return [address for addresses in self.interfaces.values() for address in addresses]

    def can_bind(self, address: str) -> bool:
        """Whether a UDP socket can be bound to ``address``; it is closed again."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                kind = Family.IPV6 if ":" in address else Family.IPV4
                probe.bind(kernel_address(Endpoint(address, 0, kind)))
        except (OSError, ValueError):  # gaierror is an OSError
            return False
        return True

    def service_port(self, name: str, protocol: Transport) -> int | None:
        """Port of a service by ``getservbyname(3)``."""
        for transport in (protocol,) if protocol else ("tcp", "udp"):
            try:
                return socket.getservbyname(name, transport)
            except (OSError, ValueError):
                continue
        return None

    def user_exists(self, name: str) -> bool:
        """Whether the password database knows ``name``."""
        try:
            pwd.getpwnam(name)
        except (KeyError, ValueError):
            return False
        return True

    def has_pam(self) -> bool:
        """Whether pamela is installed and finds ``libpam``."""
        try:
            # It raises whatever ctypes does where there is no libpam.
            importlib.import_module("pamela")
        except (ImportError, OSError, AttributeError):
            return False
        return True

    def resolve(self, name: str) -> Sequence[str]:
        """
        Addresses of a host name by ``getaddrinfo(3)``, each once.

        Blocks until the resolver has answered; a configuration is read before any client is served.
        """
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, ValueError):
            return []
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))
