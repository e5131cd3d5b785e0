"""
The client's values that may occur in log texts, for outputs that must not show them.
"""

from __future__ import annotations

from dantetw.observe.events import Named
from dantetw.session.record import SessionRecord
from dantetw.values import Command, Path


def sensitive_values(record: SessionRecord, path: Path | None = None) -> Named:
    """
    The values of a session that may occur in texts about it.

    :param path: the path of the datagram that the text is about, if it is about one.
    """
    found = [("client", record.client.host), ("user", record.claimed)]
    if path is not None:
        found.append(("client", path.client.host))
        if path.target is not None:
            found.append(("target", path.target.host))
    if record.user is not None:
        found.append(("user", record.user.name))
    found += [("user", name) for name in record.other_names]
    request = record.request
    # What an association asks for is where its client will send from.
    associates = request is not None and request.command is Command.UDPASSOCIATE
    field = "client" if associates else "target"
    received = None if request is None else request.target
    for endpoint in (record.asked, record.target, received):
        if endpoint is not None:
            found.append((field, endpoint.host))
    found += [(field, address) for address in record.addresses or ()]
    return tuple(found)
