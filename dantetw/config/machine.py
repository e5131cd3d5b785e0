"""
What reading a configuration must know of the machine, as an interface.

The real facts come from :class:`dantetw.net.host.Host`; tests bring their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

#: A service database's protocol; None is "whichever knows the name, tcp first".
Transport = Literal["tcp", "udp"] | None


class Machine(Protocol):
    """
    Facts about the machine that a configuration refers to.

    None of the methods raises for a name or address that does not exist: they say so with an
    empty list, None or False.
    """

    @property
    def effective_root(self) -> bool:
        """Whether the process has root's rights now."""

    @property
    def interfaces(self) -> Mapping[str, Sequence[str]]:
        """
        All interfaces, and labels of addresses (``eth0:1``), with their numeric addresses.

        An interface may have none now.  Asked anew each time.
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
