"""
The part of a session that is visible to functions which do not drive it.
"""

from __future__ import annotations

from dantetw.session.context import PolicyContext
from dantetw.session.record import SessionRecord
from dantetw.session.services import SessionServices


class SessionView:
    """
    The facts of a session and its surroundings.

    :ivar record: the facts.
    :ivar context: the objects built for the policy of the session.
    :ivar server: what all sessions share.
    """

    __slots__ = ("context", "record", "server")

    record: SessionRecord
    context: PolicyContext
    server: SessionServices
