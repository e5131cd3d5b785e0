"""
Chooses the address of this host that a session connects from, or listens on.
"""

from __future__ import annotations

from dantetw.net.sockopts import LowBinder
from dantetw.net.sources import NoSource
from dantetw.plan.outcome import without_source
from dantetw.session.sensitive import sensitive_values
from dantetw.session.session import Session
from dantetw.values import Endpoint, Severity


def low_binder(session: Session) -> LowBinder | None:
    """What binds ports below 1024 for a session, or None (``compatibility: sameport``)."""
    return session.server.bind_low if session.record.policy.compatibility.same_port else None


def source_for(session: Session, target: Endpoint, failing: str) -> str:
    """
    The address to reach ``target`` from; empty if there is none and the request was refused.

    :param target: numeric.
    :param failing: as of :func:`dantetw.plan.outcome.without_source`.
    """
    record = session.record
    try:
        return session.context.sources.choose(target, record.client, record.local)
    except NoSource as none:
        warn_misrouted(session, target, none)
        refuse_sourceless(session, none, failing)
        return ""


def warn_misrouted(session: Session, target: Endpoint, none: NoSource) -> None:
    """Log a warning if there is no address to connect from because of the configuration."""
    if none.misrouted:
        text = f"getoutaddr(): {none.text}"
        named = (*sensitive_values(session.record), ("target", target.host))
        session.server.journal.message(Severity.WARNING, "external.misrouted", text, named=named)


def refuse_sourceless(session: Session, none: NoSource, failing: str) -> None:
    """
    Refuse a request for which there is no address to connect from.

    :param failing: as of :func:`dantetw.plan.outcome.without_source`.
    """
    refusal = without_source(failing, none.text, none.reply)
    session.refuse(refusal.ending, refusal.reply)
