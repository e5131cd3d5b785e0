"""
The address that a client announces with UDP ASSOCIATE: where its datagrams will come from
(:rfc:`1928` section 4), all zeros if it does not know.

The socks rules are asked about a complete announced address as well as about the client's
connection, and both must pass, as in Dante: otherwise no datagram from there would be relayed.
With ``udp.source: connected`` the announced address does not count, since clients behind address
translation announce one that the server never sees.
"""

from __future__ import annotations

from dantetw.plan.case import Case
from dantetw.values import FAMILY_WORDS, UNSPECIFIED, Endpoint, Family


def announced_address(case: Case) -> Endpoint:
    """
    The announced address: of a name's the first of the family that the client is connected by, or
    the first.
    """
    announced, addresses = case.asked, case.addresses
    if announced.family is not Family.NAME or not addresses:
        return announced
    found = [Endpoint.of((address, announced.port)) for address in addresses]
    fitting = (each for each in found if each.family is case.local.family)
    return next(fitting, found[0])


def is_complete(announced: Endpoint) -> bool:
    """Whether an address and a port are announced."""
    return announced.port != 0 and announced.host not in UNSPECIFIED


def unreceivable_text(case: Case) -> str:
    """
    Why no datagram from the announced address could be received, in Dante's words; empty: it could.

    For a name this is known only when it is resolved.
    """
    announced, policy = case.asked, case.policy
    family = announced.family
    if family is Family.NAME or announced.host in UNSPECIFIED or family is case.local.family:
        return ""
    if any(e.family is family for line in policy.internal for e in line.listens):
        return ""
    if any(rule.udp.from_connected for rule in policy.socks_rules):
        return ""
    said = FAMILY_WORDS[family]
    return (
        f"client wants to send us UDP packets from {said} address, but no {said} address"
        " configured for our usage on the internal interface"
    )


def receiving_host(case: Case, announced: Endpoint) -> str:
    """
    The host's address to receive datagrams on; empty: there is none of the family.

    That which the client is connected to, if it is of the announced address's family.

    :param announced: numeric.
    """
    family, local = announced.family, case.local
    if announced.host in UNSPECIFIED or family is local.family:
        return local.host
    for line in case.policy.internal:
        for endpoint in line.listens:
            if endpoint.family is family and endpoint.host not in UNSPECIFIED:
                return endpoint.host
    return ""


def unreceived_text(case: Case, family: Family) -> str:
    """Why there is none, in Dante's words."""
    said, policy = FAMILY_WORDS[family], case.policy
    for line in policy.internal:
        if any(endpoint.family is family for endpoint in line.listens):
            return (
                f"no specific {said} address found amongst the internal addresses, only an unbound"
                " wildcard address found.  This client requires an internal IP-address to be"
                f" specified in {policy.file} however"
            )
    return f"no {said} address found amongst the internal addresses"
