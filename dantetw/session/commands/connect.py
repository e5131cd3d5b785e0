"""
CONNECT (:rfc:`1928` section 4): a TCP connection to the target, then a relay.
"""

from __future__ import annotations

from dantetw.net.dial import DialError
from dantetw.net.sources import NoSource
from dantetw.plan.case import Case
from dantetw.plan.outcome import NO_SOURCE_TO_CONNECT, Plan
from dantetw.session.commands.connection import Connect
from dantetw.session.commands.race import ConnectRace
from dantetw.session.session import Session
from dantetw.session.source import refuse_sourceless, warn_misrouted
from dantetw.values import PHASE_CONNECT


def connect(session: Session, case: Case, plan: Plan) -> None:
    """Connect a session to its target, and relay."""
    record = session.record
    record.enter(PHASE_CONNECT)
    if plan.addresses:
        racing = session.activity = ConnectRace(session, case, plan)
        racing.begin()
        return
    activity = session.activity = Connect(session, plan)
    try:
        activity.dial(plan.address)
    except NoSource as none:
        warn_misrouted(session, plan.address, none)
        refuse_sourceless(session, none, NO_SOURCE_TO_CONNECT)
    except DialError as failed:
        record.target = plan.address
        activity.failed(failed)
