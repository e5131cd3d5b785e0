"""
What each stage of a session took: for programs, and in Dante's words.
"""

from __future__ import annotations

from dantetw.observe.events import Ended
from dantetw.observe.facts import Times
from dantetw.values import Endpoint, Family, Phase


def seconds_of(event: Ended) -> dict[str, float | None]:
    """What each phase took, up to the session's end if it did not come to its own."""
    times: Times = event.times
    over = times.now

    def took(start: float, end: float) -> float | None:
        return round((end or over) - start, 6) if start else None

    login = took(times.logging_in, times.logged_in)
    negotiated = (times.requested or over) - times.accepted - (login or 0.0)
    looked_up, authorising = None, times.requested
    if times.resolved:
        looked_up, authorising = took(times.requested, times.resolved), times.resolved
    elif event.ending.phase is Phase.RESOLVE and _is_name(event.asked):
        looked_up, authorising = took(times.requested, over), 0.0
    return {
        "negotiate": round(negotiated, 6),
        "authenticate": login,
        "resolve": looked_up,
        "authorise": took(authorising, times.connecting),
        "connect": took(times.connecting, times.connected),
        "first_byte": took(times.connected, times.first_io) if times.first_io else None,
        "total": round(over - times.accepted, 6),
    }


def _is_name(endpoint: Endpoint | None) -> bool:
    return endpoint is not None and endpoint.family is Family.NAME


def stages_of(times: Times) -> str:
    """The lines that Dante adds with ``debug``."""

    def between(start: float, end: float) -> str:
        return f"{end - start:.6f}s" if start and end else "N/A"

    return (
        f"accept to negotiate start       : {between(times.accepted, times.negotiating)}\n"
        f"negotiate duration              : {between(times.negotiating, times.requested)}\n"
        f"negotiate finish to established : {between(times.requested, times.connected)}\n"
        f"session establish to first i/o  : {between(times.connected, times.first_io)}\n"
        f"total session duration          : {between(times.accepted, times.now)}"
    )
