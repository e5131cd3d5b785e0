"""
Servers that replace each other: the predecessors of this server, and its successor.

A server that is replaced accepts no more clients and ends with its last session, or after
``timeout.handover``.  Until then it follows its successor: it opens its logs again at SIGHUP, is
part of the successor's status report, and ends when the successor is stopped.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from dantetw.handover.client import HandoverClient
from dantetw.handover.messages import (
    CountSessions,
    HandedOn,
    HandoverMessage,
    ReopenLogs,
    SessionCount,
    SessionsWritten,
    Staying,
    StopServing,
    WriteSessions,
    parse,
    send,
)
from dantetw.handover.predecessor import Predecessor
from dantetw.handover.server import HandoverServer, await_successors
from dantetw.net.channel import Channel, Frame
from dantetw.net.listening import ListeningSocket
from dantetw.observe.journal import Journal
from dantetw.observe.status import PredecessorReport
from dantetw.values import Severity

#: Seconds that a replaced server has to end when its successor is stopped.
STOP_SECONDS: Final = 10.0
#: Servers that were replaced and still have sessions, at most.
MOST_PREDECESSORS: Final = 64
#: Seconds between two checks whether the last session has ended.
IDLE_SECONDS: Final = 1.0

_log: Final = Logger()


def _nothing(*_: object) -> None:
    """Stands for callbacks until there are some."""


class IReplaceable(Protocol):
    """The interface of a server that another can replace."""

    stop: Callable[[], None]
    """End, as by a signal."""
    end: Callable[[], None]
    """End, since nothing is left to do."""

    def sockets(self) -> list[ListeningSocket]:
        """Its listening sockets."""

    def retire(self) -> None:
        """Accept no more clients."""

    @property
    def busy(self) -> bool:
        """Whether it may have sessions."""

    @property
    def sessions(self) -> int:
        """How many sessions it has."""

    @property
    def seconds_left(self) -> float:
        """Seconds that its sessions may last when it has been replaced; 0: no limit."""

    def reopen(self) -> None:
        """Open the logs again, and change nothing else."""

    def report_sessions(self, report: int) -> Deferred[tuple[int, int]]:
        """
        Write the sessions into a status report of the successor.

        :returns: how many were written, and how many ended before it was their turn.
        """


class Succession:
    """
    The relation of this server to those that it replaces, and that replace it.

    :ivar successor: process id of the server that has replaced this one; 0: none.
    """

    def __init__(self, reactor: Any, journal: Journal) -> None:
        self.successor = 0
        self._reactor = reactor
        self._journal = journal
        self._client: HandoverClient | None = None
        self._server: HandoverServer | None = None
        self._predecessors: list[Predecessor] = []
        # Whether servers that join later must do so too: open their logs again, and end.
        self._reopened = False
        self._stopping: list[Deferred[None]] | None = None
        # The connection to the server that has replaced this one.
        self._channel: Channel | None = None

    # Replacing another.

    def take(self, old: str) -> list[ListeningSocket]:
        """
        Get the sockets of a server that runs.

        :param old: its process id, or the file with it.
        :raises HandoverError: if it gives none.
        """
        self._client = HandoverClient(old)
        return self._client.sockets

    def open(self, server: IReplaceable) -> None:
        """
        Make the sockets that successors connect to, as the user that started this server.

        :param server: the server that successors replace.
        """
        self._replaceable = server
        self._server = await_successors(
            self._reactor, self._journal, server.sockets, self._replaced
        )

    def check(self) -> None:
        """
        Check that the handover from the old server is still possible.

        :raises HandoverError: if not.
        """
        if self._client is not None:
            self._client.check()

    def start(self) -> None:
        """This server serves clients: the old one stops accepting, and successors may connect."""
        if self._server is not None:
            self._server.start()
        if self._client is not None:
            client, self._client = self._client, None
            self._follow(client.pid, client.done())

    def _follow(self, pid: int, channel: Channel, able: bool = False) -> Predecessor:
        """Keep the connection to the server that was replaced."""
        before = Predecessor(self._reactor, pid, channel, self._alone, self._came, able)
        self._predecessors.append(before)
        return before

    def _came(self, message: HandedOn, descriptors: Sequence[int]) -> None:
        """
        A predecessor has itself replaced a server, and hands on the connection.

        By then orders that concern all predecessors may have been given.
        """
        if len(descriptors) != 1 or not self._believed(message.process):
            for descriptor in descriptors:
                os.close(descriptor)
            return
        try:
            sock = socket.socket(fileno=descriptors[0])
        except OSError:
            os.close(descriptors[0])
            return
        channel = Channel(sock, self._reactor, _nothing, _nothing, unread=message.unread)
        channel.distrust()
        before = self._follow(message.process, channel, able=True)
        if self._reopened:
            before.reopen()
        if self._stopping is not None:
            self._stopping.append(self._stop(before))

    def _believed(self, pid: int) -> bool:
        known = {before.pid for before in self._before} | {os.getpid()}
        return pid not in known and len(known) < MOST_PREDECESSORS

    def _alone(self, pid: int) -> None:
        text = (
            f"process {pid}, which this server has replaced, is of a version that cannot be reached"
            " any more: until it ends it does not open its logs again, and stops by a signal of"
            " its own only"
        )
        self._journal.message(Severity.WARNING, "server.handover", text)

    @property
    def _before(self) -> list[Predecessor]:
        self._predecessors = [before for before in self._predecessors if before.alive]
        return self._predecessors

    async def _each(self) -> AsyncIterator[Predecessor]:
        """The servers that were replaced, including those that join during the iteration."""
        asked: set[Predecessor] = set()
        while waiting := [before for before in self._before if before not in asked]:
            asked.add(waiting[0])
            yield waiting[0]

    def reopen(self) -> None:
        """Have the servers that were replaced open their logs again."""
        self._reopened = True
        for before in self._before:
            before.reopen()

    async def measure(self, report: int) -> Sequence[PredecessorReport]:
        """The part of a status report about servers that were replaced."""
        lines: list[PredecessorReport] = []
        async for before in self._each():
            lines += await before.measure(report)
        return lines

    async def tell(self, report: int) -> tuple[int, int]:
        """Have them write their sessions into a status report; see :meth:`Predecessor.tell`."""
        told = gone = 0
        async for before in self._each():
            more_told, more_gone = await before.tell(report)
            told, gone = told + more_told, gone + more_gone
        return told, gone

    # Ending.

    def close(self) -> None:
        """No more successors are accepted.  May be called twice."""
        if self._server is not None:
            self._server.stop()

    def stop(self) -> Deferred[Any]:
        """
        Stop the servers that were replaced, since this one is stopped.

        :returns: fires when they have ended, or time is up.
        """
        return Deferred.fromCoroutine(self._stop_all())

    async def _stop_all(self) -> None:
        self._stopping = [self._stop(before) for before in self._before]
        for stopped in self._stopping:  # more come meanwhile
            await stopped

    def _stop(self, before: Predecessor) -> Deferred[None]:
        def late(_: object) -> None:
            text = f"process {before.pid}, which this server has replaced, does not stop"
            self._journal.message(Severity.WARNING, "server.handover", text)

        stopped = before.stop()
        stopped.addTimeout(STOP_SECONDS, self._reactor)
        return stopped.addErrback(late)

    # Being replaced.

    def _replaced(self, successor: int, channel: Channel) -> None:
        """A successor serves clients: end with the last session, or when time is up."""
        self.successor = successor
        self._channel = channel
        channel.attend(self._reactor, self._heard, self._left)
        send(channel, Staying())
        for before in self._before:
            before.hand_on(channel)
        self._replaceable.retire()
        text = f"process {successor} has taken our place; sessions that are here go on"
        self._journal.message(Severity.INFO, "server.handover", text)
        ending = LoopingCall(self._end_if_idle, self._reactor.seconds())
        ending.clock = self._reactor
        ending.start(IDLE_SECONDS, now=False)

    def _left(self) -> None:
        """The successor has ended, or is of a version up to 0.1."""
        self._channel = None

    def _end_if_idle(self, since: float) -> None:
        server, limit = self._replaceable, self._replaceable.seconds_left
        if not server.busy or 0 < limit <= self._reactor.seconds() - since:
            server.end()

    def _heard(self, frame: Frame) -> None:
        for descriptor in frame.descriptors:
            os.close(descriptor)
        match parse(frame):
            case ReopenLogs():
                self._replaceable.reopen()
            case StopServing():
                self._replaceable.stop()
            case CountSessions(report):
                self._answer(SessionCount(report, self._replaceable.sessions))
            case WriteSessions(report):
                self._tell(report)

    def _tell(self, report: int) -> None:
        def failed(failure: Failure) -> tuple[int, int]:
            _log.failure("Failure in a status report", failure)
            return 0, 0

        told = self._replaceable.report_sessions(report)
        told.addErrback(failed)
        told.addCallback(lambda told: self._answer(SessionsWritten(report, *told)))

    def _answer(self, message: HandoverMessage) -> None:
        if self._channel is not None:
            send(self._channel, message)
