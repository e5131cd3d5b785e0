"""
The server that this one has replaced, as long as it has sessions.

The connection over which its sockets came stays open, for orders to open its logs again, to write
its sessions into a status report and to stop.  When this server is replaced in turn, its successor
gets the connection, so that the server in charge reaches all its predecessors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from twisted.internet.defer import Deferred

from dantetw.handover.messages import (
    CountSessions,
    HandedOn,
    ReopenLogs,
    SessionCount,
    SessionsWritten,
    Staying,
    StopServing,
    WriteSessions,
    parse,
    send,
)
from dantetw.handover.names import ANSWER_SECONDS
from dantetw.net.channel import Answers, Channel, Frame
from dantetw.observe.status import PredecessorReport
from dantetw.session.slices import LONGEST_PAUSE_SECONDS

#: Seconds that it has to write its sessions, including waits for its log destinations.
REPORT_SECONDS: Final = LONGEST_PAUSE_SECONDS + ANSWER_SECONDS


class Predecessor:
    """
    A server that this one has replaced.

    :param channel: the connection; not trusted: the old server serves clients, as this one does.
    :param unable: called if it is of a version up to 0.1, which takes no orders.
    :param came: called with a connection to a server that it has replaced itself.
    :param able: it is known not to be of such a version.
    :ivar pid: its process id.
    :ivar alive: whether it still runs and takes orders.
    :ivar ended: fires when it no longer does.
    """

    def __init__(
        self,
        reactor: Any,
        pid: int,
        channel: Channel,
        unable: Callable[[int], None],
        came: Callable[[HandedOn, Sequence[int]], None],
        able: bool = False,
    ) -> None:
        self.pid = pid
        self.alive = True
        self.ended: Deferred[None] = Deferred()
        self._reactor = reactor
        self._unable = unable
        self._came = came
        self._able = able
        self._answers = Answers[tuple[type, int], Any](reactor)
        self._channel = channel
        channel.attend(reactor, self._heard, self._lost)

    def _heard(self, frame: Frame) -> None:
        message = parse(frame)
        if isinstance(message, HandedOn):
            self._came(message, frame.descriptors)
            return
        for descriptor in frame.descriptors:
            os.close(descriptor)
        match message:
            case Staying():
                self._able = True
            case SessionCount(report) | SessionsWritten(report):
                self._answers.heard((type(message), report), message)

    def _lost(self) -> None:
        self.alive = False
        if not self._able:
            self._unable(self.pid)
        self._answers.give_up()
        self.ended.callback(None)

    def hand_on(self, successor: Channel) -> None:
        """Another server is in charge: hand the connection to it."""
        self.alive = False
        released = self._channel.release()
        self._answers.give_up()
        if released is not None:
            sock, unread = released
            with sock, suppress(OSError):  # without descriptors it goes on alone
                send(successor, HandedOn(self.pid, unread), [sock.fileno()])

    def reopen(self) -> None:
        """Have it open its logs again."""
        send(self._channel, ReopenLogs())

    def stop(self) -> Deferred[None]:
        """Have it end; fires when it has."""
        send(self._channel, StopServing())
        return self.ended

    async def measure(self, report: int) -> list[PredecessorReport]:
        """Its part of a status report: a line, or nothing if it does not answer."""
        send(self._channel, CountSessions(report))
        answer = await self._answers.expect((SessionCount, report), ANSWER_SECONDS)
        if answer is None or answer.current is None:
            return []
        return [PredecessorReport(report, self.pid, answer.current)]

    async def tell(self, report: int) -> tuple[int, int]:
        """
        Have it write its sessions into a status report.

        :returns: how many it has written, and how many have ended before it was their turn.
        """
        send(self._channel, WriteSessions(report))
        answer = await self._answers.expect((SessionsWritten, report), REPORT_SECONDS)
        return (0, 0) if answer is None else (answer.written, answer.gone)
