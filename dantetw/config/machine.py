"""
What reading a configuration must know of the machine.

:class:`Machine` is the interface; the real facts come from :class:`dantetw.net.host.Host`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

#: A service database's protocol; None is "whichever knows the name, tcp first".
Transport = Literal["tcp", "udp"] | None


class Machine(Protocol):
    """
    Facts about the machine that a configuration refers to.

    None of the methods raises for a name or address that does not exist: they return an empty
    list, None or False.
    """

    @property
    def effective_root(self) -> bool:
        """Whether the process has root's privileges now."""

    @property
    def interfaces(self) -> Mapping[str, Sequence[str]]:
        """
        All interfaces, and labels of addresses (``eth0:1``), with their numeric addresses.

        An interface may have none now.  Looked up at each call.
        """

    def addresses_of(self, interface: str) -> Sequence[str]:
        """Numeric addresses (IPv6 link-local ones with ``%scope``) of an interface, or nothing."""

    def all_addresses(self) -> Sequence[str]:
        """Numeric addresses of all interfaces."""

    def can_bind(self, address: str) -> bool:
        """Whether a socket can be bound to the numeric ``address``, any port."""

    def service_port(self, name: str, protocol: Transport) -> int | None:
        """Port of a service, as ``getservbyname(3)`` has it, or None."""

    def user_exists(self, name: str) -> bool:
        """Whether the password database has the login name ``name``."""

    def has_pam(self) -> bool:
        """Whether PAM can be asked: its library, and ours for it, are there."""

    def resolve(self, name: str) -> Sequence[str]:
        """Numeric addresses of a host name, in the resolver's order, or nothing."""


class Snapshot:
    """
    A :class:`Machine` whose interfaces are looked up once.

    All lines of a file see the same interfaces, and thousands of lines take one look-up.
    """

    def __init__(self, system: Machine) -> None:
        self._system = system
        self.interfaces: Mapping[str, Sequence[str]] = system.interfaces
        self._all = {a: None for addresses in self.interfaces.values() for a in addresses}
        # Those of one link may be written without its name.
        self._all.update({address.partition("%")[0]: None for address in self._all})
        self._bindable: dict[str, bool] = {}

    @property
    def effective_root(self) -> bool:
        """See :class:`Machine`, likewise the others."""
        return self._system.effective_root

    def addresses_of(self, interface: str) -> Sequence[str]:
        return self.interfaces.get(interface, ())

    def all_addresses(self) -> Sequence[str]:
        return list(self._all)

    def has_address(self, address: str) -> bool:
        """Whether an interface has an address, written with the link's name or without."""
        return address in self._all

    def can_bind(self, address: str) -> bool:
        if address not in self._bindable:
            self._bindable[address] = self._system.can_bind(address)
        return self._bindable[address]

    def service_port(self, name: str, protocol: Transport) -> int | None:
        return self._system.service_port(name, protocol)

    def user_exists(self, name: str) -> bool:
        return self._system.user_exists(name)

    def has_pam(self) -> bool:
        return self._system.has_pam()

    def resolve(self, name: str) -> Sequence[str]:
        return self._system.resolve(name)
