"""
Decides whether a host and port match an address of a rule.

The table (``sockd.conf(5)``, "ADDRESSES"; *name* stands for a host name the client gave us):

=============  =====================================  ==========================================
rule           against an address                     against a name
=============  =====================================  ==========================================
``0/0``        fits                                   fits
net            masked compare                         one of the name's addresses is in the net
host name      one of the rule's host's addresses     the names are equal, or share an address
``.domain``    its reverse name ends so               it ends so
interface      one of the interface's own addresses   one of the name's addresses is
=============  =====================================  ==========================================

A name without dots that was no interface when the configuration was read counts as one while an
interface has that name, else as a host name.

Where one of the name's addresses decided, the first that fits is the one to use from then on.
Families never mix.  With ``resolveprotocol: fake`` nothing is looked up, and a name fits no net,
no interface and no other name.

Three ways around a rule are closed here:

- An IPv4 address mapped into IPv6 (``::ffff:127.0.0.1``) is the IPv4 address.
- A name that the C library reads as a number (``127.1``, ``0x7f.1``, ``2130706433``) is that
  address, before any rule sees it.
- A name's last dot does not make it another name: ``example.org.`` is ``example.org``.

As in Dante, ``.example.org`` fits ``notexample.org`` too.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import Final, Protocol

from dantetw.addresses import literal, literal_endpoint, number_of
from dantetw.policy import ALL_PORTS, Address, HostKind
from dantetw.values import FAMILY_IPV4, FAMILY_NAME, Endpoint, Family, value

# Looking a member of an Enum up in its class takes longer than comparing it.
_ANY: Final = HostKind.ANY
_NET: Final = HostKind.NET
_NAME: Final = HostKind.NAME
_DOMAIN: Final = HostKind.DOMAIN


class LookupKind(Enum):
    """The kinds of look-up."""

    FORWARD = "forward"  # the addresses of a host name
    REVERSE = "reverse"  # the name of an address
    INTERFACE = "interface"  # the addresses of a network interface


@value
class Lookup:
    """
    A fact that must be known before a rule can be evaluated.

    :ivar name: host name, numeric address or interface name.
    """

    kind: LookupKind
    name: str


class Known(Protocol):
    """Answers to look-ups; a ``dict`` will do."""

    def get(self, lookup: Lookup, /) -> tuple[str, ...] | None:
        """
        The answer: numeric addresses, or for ``REVERSE`` at most one name.

        :returns: None if it is not known yet; empty if there is none, or it cannot be found out.
        """


class LookupNeededError(Exception):
    """
    Raised out of :func:`fits` when an answer is missing.

    :ivar lookup: what is asked for.
    """

    def __init__(self, lookup: Lookup) -> None:
        super().__init__(lookup)
        self.lookup = lookup


class Subject:
    """
    An endpoint, prepared to be compared with many rules.

    :ivar endpoint: what it was made from; ``port``: its port.
    :ivar family: of the number; ``Family.NAME`` if it is a name.
    :ivar number: the address as a number.
    :ivar name: the name in lower case, without its last dot; empty if it is an address.
    :ivar used: the address that :func:`fits` found instead of the name, if it did; None else.

    :param addresses: of a name: its addresses; None if they are not known yet.
    """

    __slots__ = ("_addresses", "_numbers", "endpoint", "family", "name", "number", "port", "used")

    def __init__(self, endpoint: Endpoint, addresses: tuple[str, ...] | None = None) -> None:
        endpoint = literal_endpoint(endpoint)
        self.endpoint = endpoint
        self.port = endpoint.port
        self.used: Endpoint | None = None
        if endpoint.family is Family.NAME:
            self.name = endpoint.host.lower().removesuffix(".")
            self.family, self.number = FAMILY_NAME, 0
        else:
            self.name = ""
            self.family, self.number = number_of(endpoint.host)
        self._addresses = addresses
        self._numbers: tuple[tuple[Family, int, str], ...] | None = None

    def numbers(self, known: Known) -> tuple[tuple[Family, int, str], ...]:
        """
        Family, number and text of each address of a name.

        :raises LookupNeededError: if they are not known.
        """
        if self._numbers is None:
            addresses = self._addresses
            if addresses is None:
                addresses = _ask(known, LookupKind.FORWARD, self.endpoint.host)
            self._numbers = tuple((*number_of(address), address) for address in addresses)
        return self._numbers

    def use(self, family: Family, address: str) -> None:
        """Keep the address of the name that fitted."""
        if family is FAMILY_IPV4 and ":" in address:
            address = literal(address) or address
        self.used = Endpoint(address, self.port, family)


def fits(address: Address, subject: Subject, known: Known, fake: bool = False) -> bool:
    """
    Whether the subject fits an address of a rule; the table above.

    Sets :attr:`Subject.used` if one of several addresses of a name decided.

    :param fake: ``resolveprotocol: fake``: look nothing up.
    :raises LookupNeededError: if an answer is missing.
    """
    ports = address.ports
    if ports is not ALL_PORTS and subject.port not in ports:
        return False
    kind = address.kind
    if kind is _ANY:
        return True
    if kind is _NET:
        family = subject.family
        if family is not FAMILY_NAME:
            return family is address.family and subject.number & address.mask == address.network
        if fake or not subject.name:
            return False
        family, mask, network = address.family, address.mask, address.network
        for its_family, number, text in subject.numbers(known):
            if its_family is family and number & mask == network:
                subject.use(its_family, text)
                return True
        return False
    if kind is _DOMAIN:
        return _fits_domain(address.name, subject, known, fake)
    if kind is _NAME:
        if subject.name and subject.name == address.name.removesuffix("."):
            return True
        if address.interface and _ask(known, LookupKind.INTERFACE, address.interface):
            return _fits_one_of(LookupKind.INTERFACE, address.interface, subject, known, fake)
        return not fake and _fits_one_of(LookupKind.FORWARD, address.name, subject, known, fake)
    return _fits_one_of(LookupKind.INTERFACE, address.name, subject, known, fake)


def _ask(known: Known, kind: LookupKind, name: str) -> tuple[str, ...]:
    lookup = Lookup(kind, name)
    answer = known.get(lookup)
    if answer is None:
        raise LookupNeededError(lookup)
    return answer


def _fits_domain(domain: str, subject: Subject, known: Known, fake: bool) -> bool:
    domain = domain.removesuffix(".")
    if subject.name:
        return subject.name.endswith(domain)
    if fake or subject.family is FAMILY_NAME:
        return False
    names = _ask(known, LookupKind.REVERSE, subject.endpoint.host)
    return any(name.lower().removesuffix(".").endswith(domain) for name in names)


@lru_cache(maxsize=256)
def _numbers_of(addresses: tuple[str, ...]) -> frozenset[tuple[Family, int]]:
    """The numbers of addresses: an interface may have thousands."""
    return frozenset(map(number_of, addresses))


def _fits_one_of(kind: LookupKind, name: str, subject: Subject, known: Known, fake: bool) -> bool:
    allowed = _numbers_of(_ask(known, kind, name))
    if subject.family is not FAMILY_NAME:
        return (subject.family, subject.number) in allowed
    if fake or not subject.name:
        return False
    for family, number, text in subject.numbers(known):
        if family is not FAMILY_NAME and (family, number) in allowed:
            subject.use(family, text)
            return True
    return False
