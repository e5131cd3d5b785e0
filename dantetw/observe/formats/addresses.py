"""
Who talks to whom, in Dante's notation.

A line reads as the way of the data, each side a pair of the two ends of a connection::

    SOURCE:       [USER@]PEER LOCAL
    DESTINATION:  LOCAL [USER@]PEER

where USER is ``METHOD%NAME``.  Unlike Dante we escape the name.
"""

from __future__ import annotations

from typing import Final

from dantetw.escaping import escape
from dantetw.values import FAMILY_NAME, NOWHERE, Endpoint, Path, User

_NOWHERE: Final = str(NOWHERE)


def place(endpoint: Endpoint | None) -> str:
    """``127.0.0.1.80``, ``::1.80``, ``example.org.80``; ``0.0.0.0.0`` for None."""
    if endpoint is None:
        return _NOWHERE
    if not endpoint.text:
        host = endpoint.host
        if endpoint.family is FAMILY_NAME:
            host = escape(host)
        elif "%" in host:
            host = endpoint.shown
        # The value stays the same: no other text could come to stand here.
        endpoint.text = f"{host}.{endpoint.port}"  # type: ignore[misc]
    return endpoint.text


def who(user: User | None) -> str:
    """``username%alice@``; empty without a user, and for users without a name."""
    if user is None or not user.name:
        return ""
    return f"{user.method.word}%{escape(user.name)}@"


def arrival(path: Path) -> str:
    """The pair of ``tcp/accept`` lines, with the user the client rule's method found."""
    if path.client_user is path.user:
        return near(path)
    return f"{who(path.client_user)}{place(path.client)} {place(path.local)}"


def near(path: Path) -> str:
    """The client's side as a source: ``username%alice@127.0.0.1.5000 127.0.0.1.1080``."""
    if not path.near:
        # The value stays the same, as with an endpoint's text.
        path.near = f"{who(path.user)}{place(path.client)} {place(path.local)}"  # type: ignore[misc]
    return path.near


def far(path: Path) -> str:
    """The target's side as a destination: ``10.0.0.1.5001 192.0.2.1.80``."""
    if not path.far:
        path.far = f"{place(path.source)} {place(path.target)}"  # type: ignore[misc]
    return path.far


def outward(path: Path) -> str:
    """From the client to the target, as far as there is one."""
    if path.source is None and path.target is None:
        return near(path)
    return f"{near(path)} -> {far(path)}"


def inward(path: Path) -> str:
    """From the target to the client: both sides mirrored."""
    return (
        f"{place(path.target)} {place(path.source)} -> "
        f"{place(path.local)} {who(path.user)}{place(path.client)}"
    )
