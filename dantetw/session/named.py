"""
What texts about a session may hold of its client, for destinations of the log that must not see it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dantetw.observe.events import Named

if TYPE_CHECKING:
    from dantetw.session.session import Session


def named_of(session: Session) -> Named:
    """What of a session's may stand in texts about it."""
    found = [("client", session.client.host), ("user", session.claimed)]
    if session.user is not None:
        found.append(("user", session.user.name))
    if session.proving is not None:
        found += [("user", name) for name in session.proving.names()]
    for endpoint in (session.asked, session.target):
        if endpoint is not None:
            found.append(("target", endpoint.host))
    if session.request is not None:
        found.append(("target", session.request.target.host))
    found += [("target", address) for address in session.addresses or ()]
    return tuple(found)
