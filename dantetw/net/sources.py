"""
The address that a session connects from: ``external`` and ``external.rotation``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from dantetw.addresses import is_link_local, zone_of
from dantetw.policy import Policy, Rotation
from dantetw.values import FAMILY_IPV6, FAMILY_WORDS, UNSPECIFIED, Endpoint, Family, ReplyCode

#: Seconds for which the addresses of interfaces are cached: a tunnel is used within a second of
#: coming up.
CACHE_SECONDS: Final = 0.5

# Found once, as those at the end of dantetw.values are.
_NO_ROTATION: Final = Rotation.NONE
_ROUTE: Final = Rotation.ROUTE


class NoSource(Exception):  # noqa: N818 - says what is missing
    """
    No address of this host fits.

    :ivar text: Dante's words; ``reply``: the reply to the request.
    :ivar misrouted: the kernel would connect from an address that is not ``external``.
    """

    def __init__(self, text: str, reply: ReplyCode, misrouted: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.reply = reply
        self.misrouted = misrouted


class Sources:
    """
    Chooses source addresses by one policy.

    :param addresses_of: the numeric addresses an interface has now.
    :param monotonic: a clock, for :data:`CACHE_SECONDS`.
    :param route_to: the address that the kernel would connect from to a target; raises an OSError
        if there is no route.
    """

    def __init__(
        self,
        policy: Policy,
        addresses_of: Callable[[str], Sequence[str]],
        monotonic: Callable[[], float],
        route_to: Callable[[Endpoint], str],
    ) -> None:
        self._policy = policy
        self._addresses_of = addresses_of
        self._monotonic = monotonic
        self._route_to = route_to
        self._known: dict[Family, tuple[str, ...]] = {}
        self._known_until = 0.0

    def addresses(self, family: Family) -> tuple[str, ...]:
        """The external addresses of a family, in the order of the configuration."""
        now = self._monotonic()
        if now >= self._known_until:
            self._known = self._look()
            # Where no interface is looked up, they never change.
            looked_up = any(external.interface for external in self._policy.external)
            self._known_until = now + CACHE_SECONDS if looked_up else float("inf")
        return self._known.get(family, ())

    def _look(self) -> dict[Family, tuple[str, ...]]:
        # Each once, in order; an interface may have thousands.
        found: dict[Family, dict[str, None]] = {Family.IPV4: {}, Family.IPV6: {}}
        for external in self._policy.external:
            addresses: Sequence[str] = external.addresses
            if external.interface:
                addresses = self._addresses_of(external.interface)
            for address in addresses:
                family = Family.IPV6 if ":" in address else Family.IPV4
                if family in self._policy.external_families:
                    found[family][address] = None
        return {family: tuple(addresses) for family, addresses in found.items()}

    def missing(self) -> tuple[str, ...]:
        """
        The external interfaces if none of them has an address; empty if there is any address.

        Then the reply says that the network is unreachable, not that the client's kind of address
        is not supported.
        """
        if self.families():
            return ()
        return tuple(each.interface for each in self._policy.external if each.interface)

    def _unroutable(self, target: Endpoint, client: Endpoint) -> NoSource:
        """The error where there are no addresses of the target's family."""
        missing = self.missing()
        if not missing:
            text = no_address_text(target.family)
            return NoSource(text, ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED)
        # As Dante, which asks whether its configuration is wrong.
        text = (
            "none of the addresses configured on our external interface(s) can be used for"
            f" forwarding from our local client {client} to target {target}:"
            f" {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing or without an"
            " address"
        )
        return NoSource(text, ReplyCode.NETWORK_UNREACHABLE)

    def families(self) -> frozenset[Family]:
        """The families of the external addresses."""
        return frozenset(f for f in (Family.IPV4, Family.IPV6) if self.addresses(f))

    def choose(self, target: Endpoint, client: Endpoint, local: Endpoint) -> str:
        """
        The address to connect from.

        :param target: numeric; of a BIND perhaps unspecified: any peer.
        :param client: the client's end of its connection; ``local``: our end, for ``same-same``.
        :raises NoSource: if no address fits.
        """
        addresses = self.addresses(target.family)
        rotation = self._policy.rotation
        if not addresses:
            raise self._unroutable(target, client)
        if target.family is FAMILY_IPV6:
            addresses = _of_link(addresses, target.host)
            if not addresses:
                raise NoSource(
                    "none of the addresses configured on our external interface(s) can be used for"
                    f" forwarding from our local client {client} to target {target}.  Configuration"
                    f" error in {self._policy.file}?",
                    ReplyCode.NETWORK_UNREACHABLE,
                    misrouted=True,
                )
        nowhere = rotation is _ROUTE and target.host in UNSPECIFIED
        if rotation is _NO_ROTATION or nowhere:
            return addresses[0]
        if rotation is Rotation.SAME_SAME:
            chosen = local.host
        else:
            try:
                chosen = self._route_to(target)
            except OSError:
                return addresses[0]  # ``connect`` will fail likewise, with its own error
        if chosen in addresses:
            return chosen
        raise NoSource(
            f"using external.rotation = {rotation.value}, local address {chosen} was selected for"
            f" forwarding from our local client {client} to target {target}, but that local"
            " address is not set on our external interface(s).  Configuration error in"
            f" {self._policy.file}?",
            ReplyCode.NETWORK_UNREACHABLE,
            misrouted=True,
        )


def _of_link(addresses: tuple[str, ...], target: str) -> tuple[str, ...]:
    """
    The addresses from which a target can be reached.

    For a link-local target, those on the same link; for all others, those that are not link-local.
    """
    if is_link_local(target):
        zone = zone_of(target)
        return tuple(each for each in addresses if "%" in each and zone_of(each) == zone)
    others = tuple(each for each in addresses if "%" not in each)
    return addresses if not others and target in UNSPECIFIED else others


def no_address_text(family: Family) -> str:
    """Dante's words for a target of whose family there is no ``external`` address."""
    said = FAMILY_WORDS[family]
    return (
        f"connect to {said} address requested, but no {said} address configured for our usage on"
        " the external interface"
    )
