"""
Observers of all sessions of a process: accounting and crash records are such.

A session announces four moments, always in this order:

1. :meth:`~ISubscriber.began`: its client has connected and was not refused at once;
2. :meth:`~ISubscriber.advanced`: a major phase begins, such as the relay; none or several;
3. :meth:`~ISubscriber.recording`: its end is about to be recorded, if any of its rules logs;
   nothing else is recorded between this call and that event;
4. :meth:`~ISubscriber.ended`: its end has been recorded.  The session's resources are still open,
   so counts can be read; they are released next.

A client that is refused at once has an end without a beginning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from dantetw.session.activity import Activity
from dantetw.session.record import SessionRecord
from dantetw.values import Ending


class IFollowed(Protocol):
    """
    A session as subscribers see it.

    :ivar record: the facts, which subscribers only read.
    :ivar activity: the command being performed.
    :ivar ended: whether the session has ended.
    """

    record: SessionRecord
    activity: Activity | None
    ended: bool


class ISubscriber(Protocol):
    """
    An observer of all sessions.

    The calls must not raise, wait or end sessions.
    """

    def began(self, session: IFollowed) -> None:
        """A session has begun."""

    def advanced(self, session: IFollowed) -> None:
        """A major phase of a session begins."""

    def recording(self, session: IFollowed) -> None:
        """The end of a session is about to be recorded."""

    def ended(self, session: IFollowed, ending: Ending) -> None:
        """A session has ended, and its end has been recorded."""


class Subscribers:
    """
    The subscribers of a process, by the moments: methods are bound once, not for each session.

    :ivar began: what to call at each moment, in the order in which subscribers were added; likewise
        ``advanced``, ``recording`` and ``ended``.
    """

    __slots__ = ("advanced", "began", "ended", "recording")

    def __init__(self) -> None:
        self.began: tuple[Callable[[IFollowed], None], ...] = ()
        self.advanced: tuple[Callable[[IFollowed], None], ...] = ()
        self.recording: tuple[Callable[[IFollowed], None], ...] = ()
        self.ended: tuple[Callable[[IFollowed, Ending], None], ...] = ()

    def add(self, subscriber: ISubscriber) -> None:
        """Add an observer of all sessions from now on."""
        self.began += (subscriber.began,)
        self.advanced += (subscriber.advanced,)
        self.recording += (subscriber.recording,)
        self.ended += (subscriber.ended,)
