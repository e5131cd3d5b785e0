"""
Addresses: the conditions of rules, and where the server listens and connects from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from dantetw.policy.places import Where
from dantetw.values import FAMILIES, Endpoint, Family


class HostKind(Enum):
    """The forms of an address in a rule (``sockd.conf(5)``, "ADDRESSES")."""

    ANY = "any"  # 0/0: every address of either family, every name
    NET = "net"  # 10.0.0.0/8, ::/0
    NAME = "name"  # example.org
    DOMAIN = "domain"  # .example.org; "." is every name
    INTERFACE = "interface"  # eth0: the interface's own addresses


@dataclass(frozen=True, slots=True)
class PortSet:
    """
    Ports from ``low`` to ``high``, both included; with ``outside``, all but those.

    Every operator is expressed this way: ``= 80`` is 80-80, ``ne 80`` is outside 80-80, ``gt 1023``
    is 1024-65535.  ``gt 65535`` matches nothing: then ``low`` is greater than ``high``.
    """

    low: int = 0
    high: int = 65535
    outside: bool = False
    text: str = ""  # as written, such as "port = http"; empty where no port was named

    def __contains__(self, port: object) -> bool:
        assert isinstance(port, int)
        return (self.low <= port <= self.high) is not self.outside


ALL_PORTS = PortSet()


@dataclass(frozen=True, slots=True)
class Address:
    """
    An address condition of a rule: ``from`` or ``to``.

    :ivar kind: which of the forms.
    :ivar text: as written, without the port.
    :ivar family: of a ``NET``; ``NAME`` for all other kinds.
    :ivar network: of a ``NET``: the network's number, host bits cleared.
    :ivar mask: of a ``NET``: the mask as a number.
    :ivar name: host name, domain without its leading dot, or interface name; lower case for
        names and domains.
    :ivar ports: which ports fit.
    :ivar scope: of a link-local ``NET``: the interface it is about; else empty.
    :ivar interface: of a ``NAME``: the interface it means whenever there is one of this name.
    """

    kind: HostKind
    text: str
    where: Where
    family: Family = Family.NAME
    network: int = 0
    mask: int = 0
    name: str = ""
    ports: PortSet = ALL_PORTS
    scope: str = ""
    interface: str = ""


@dataclass(frozen=True, slots=True)
class Internal:
    """
    One ``internal`` line.

    :ivar text: address, interface or host name as written; ``listens``: its addresses when the
        file was read, none if the interface had none.
    :ivar interface: its name if it is an interface, whose addresses are followed; else empty.
    :ivar port: the port to listen on; ``families``: of addresses of the interface that count.
    """

    text: str
    listens: tuple[Endpoint, ...]
    where: Where
    interface: str = ""
    port: int = 0
    families: frozenset[Family] = FAMILIES

    def listens_now(self, addresses_of: Callable[[str], Sequence[str]]) -> tuple[Endpoint, ...]:
        """
        The addresses to listen on, which those of an interface may have changed.

        :param addresses_of: the numeric addresses an interface has now.
        """
        if not self.interface:
            return self.listens
        found = [
            Endpoint(address, self.port, Family.IPV6 if ":" in address else Family.IPV4)
            for address in addresses_of(self.interface)
        ]
        return tuple(endpoint for endpoint in found if endpoint.family in self.families)


@dataclass(frozen=True, slots=True)
class External:
    """
    One ``external`` line.

    :ivar interface: its name if it is an interface, which is looked up at each use; else empty.
    :ivar addresses: numeric addresses when the file was read, in the order of preference; none if
        the interface had none.
    """

    text: str
    interface: str
    addresses: tuple[str, ...]
    where: Where


class Rotation(Enum):
    """``external.rotation``: how the outgoing address is chosen."""

    NONE = "none"
    ROUTE = "route"
    SAME_SAME = "same-same"
