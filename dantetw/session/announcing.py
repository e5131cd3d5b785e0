"""
The address that a client announces with UDP ASSOCIATE: where its datagrams will come from
(:rfc:`1928` section 4), all zeros if it does not know.

If the announced address is complete, the socks rules are asked about it as well as about the
client's connection, and both must pass: no datagram from there would be relayed otherwise (so does
Dante).  With ``udp.source: connected`` an announced address binds nobody, since clients behind
address translation announce one that we never see.
"""

from __future__ import annotations

from dantetw.session.session import Session
from dantetw.values import FAMILY_NAMES, UNSPECIFIED, Endpoint, Family


def numeric(session: Session, announced: Endpoint) -> Endpoint:
    """
    The announced address: of a name's, which have been looked up, the first one of the family that
    the client is connected by, or the first one.
    """
    record = session.record
    if announced.family is not Family.NAME or not record.addresses:
        return announced
    found = [Endpoint.of((address, announced.port)) for address in record.addresses]
    fitting = (each for each in found if each.family is record.local.family)
    return next(fitting, found[0])


def is_complete(announced: Endpoint) -> bool:
    """Whether an address and a port are announced."""
    return announced.port != 0 and announced.host not in UNSPECIFIED


def unreceivable_text(session: Session, announced: Endpoint) -> str:
    """
    Why nothing that comes from an announced address could be received, in Dante's words; empty: it
    could.

    :param announced: as the client has it; of a name nobody knows yet.
    """
    record = session.record
    family = announced.family
    if family is Family.NAME or announced.host in UNSPECIFIED or family is record.local.family:
        return ""
    policy = record.policy
    if any(e.family is family for line in policy.internal for e in line.listens):
        return ""
    if any(rule.udp.from_connected for rule in policy.socks_rules):
        return ""
    said = FAMILY_NAMES[family]
    return (
        f"client wants to send us UDP packets from {said} address, but no {said} address"
        " configured for our usage on the internal interface"
    )


def receiving_host(session: Session, announced: Endpoint) -> str:
    """
    The address of ours to receive datagrams on; empty: there is none of the family.

    That which the client is connected to, if it is of the announced address's family.

    :param announced: numeric.
    """
    record = session.record
    family = announced.family
    if announced.host in UNSPECIFIED or family is record.local.family:
        return record.local.host
    for line in record.policy.internal:
        for endpoint in line.listens:
            if endpoint.family is family and endpoint.host not in UNSPECIFIED:
                return endpoint.host
    return ""


def unreceived_text(session: Session, family: Family) -> str:
    """Why there is none, in Dante's words."""
    record = session.record
    said = FAMILY_NAMES[family]
    for line in record.policy.internal:
        if any(endpoint.family is family for endpoint in line.listens):
            return (
                f"no specific {said} address found amongst the internal addresses, only an unbound"
                " wildcard address found.  This client requires an internal IP-address to be"
                f" specified in {record.policy.file} however"
            )
    return f"no {said} address found amongst the internal addresses"
