"""
A worker process, as the supervisor process sees it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, succeed

from dantetw.accounts.counts import AccountCounts
from dantetw.accounts.table import Table
from dantetw.crew import codec
from dantetw.crew.messages import (
    Answer,
    Committed,
    Gathered,
    Latencies,
    Notice,
    Order,
    Prepare,
    Prepared,
    Released,
    Running,
    SessionsReported,
)
from dantetw.crew.scoreboard import Scoreboard
from dantetw.net.channel import Answers, Channel, Frame
from dantetw.observe.sinks.inherited import InheritedLogs
from dantetw.relay.latency import LatencySnapshot
from dantetw.values import AccountKind

#: Seconds that a worker has to answer, and to end.
ANSWER_SECONDS: Final = 10.0

_Answer = TypeVar("_Answer", Prepared, Committed, Released, Gathered, SessionsReported)


class WorkerProcess:
    """
    A worker process.

    :ivar place: its number, from 0; ``pid``: its process id.
    :ivar born: monotonic seconds.
    :ivar latencies: its latencies, by kind.
    :ivar free_files: how many more files it can open; None: unknown.
    :ivar running: whether it accepts clients.
    :ivar retired: it accepts no more clients, and another worker has its place.
    :ivar leaving: it is ending, and only writes its last lines.
    :ivar silent: seconds without a heartbeat.
    :ivar late: silent so long that others accept its clients; ``stalled``: so long that nothing
        waits for it any more; ``killed``: so long that it was killed.
    :ivar loans: places whose sockets it has been lent.
    :ivar logs: destinations of the log that it has inherited, the last ones in use last.
    :ivar unanswered: number of its last :class:`~.messages.Prepare`; None: it has answered.
    :ivar refusal: why it could not make ready for the change; empty: it could, or has not answered.
    """

    def __init__(
        self,
        place: int,
        pid: int,
        born: float,
        scoreboard: Scoreboard,
        table: Table,
        logs: InheritedLogs,
        reactor: Any,
    ) -> None:
        self.place = place
        self.pid = pid
        self.born = born
        self.scoreboard = scoreboard
        self.table = table
        self._counts_before = table.total(AccountKind.SERVER)
        self.logs = [logs]
        self.channel: Channel
        self.latencies: Mapping[str, LatencySnapshot] = {}
        self.free_files: int | None = None
        self.running = self.retired = self.leaving = False
        self.silent = 0.0
        self.late = self.stalled = self.killed = False
        self.loans: set[int] = set()
        self.unanswered: int | None = None
        self.refusal = ""
        self._beats = 0
        # Questions so far.
        self._asked = 0
        self._answers = Answers[tuple[int, type], Any](reactor)

    @property
    def counts(self) -> AccountCounts:
        """The counts of its sessions."""
        return self.table.total(AccountKind.SERVER) - self._counts_before

    @property
    def accepting(self) -> bool:
        """Whether it accepts clients, as far as is known."""
        return self.running and not (self.retired or self.leaving or self.late)

    def look(self, elapsed: float) -> None:
        """
        Check its heartbeat.

        :param elapsed: seconds since the last check.
        """
        beats = self.scoreboard.beats
        self.silent = self.silent + elapsed if beats == self._beats else 0.0
        self._beats = beats

    def send(self, order: Order, descriptors: Sequence[int] = (), number: int = 0) -> None:
        """
        Send it an order, without waiting.

        :param descriptors: duplicates of them are sent.
        :raises OSError: if there can be no more descriptors.
        """
        frame = codec.pack(order, number)
        self.channel.send(frame.word, frame.said, frame.payload, descriptors)

    def ask(
        self,
        question: Order,
        kind: type[_Answer],
        seconds: float = ANSWER_SECONDS,
        descriptors: Sequence[int] = (),
    ) -> Deferred[_Answer | None]:
        """
        Send it an order that it answers.

        :param kind: of the answer.
        :returns: fires with the answer; with None if there will be none, or not within these
            seconds.
        :raises OSError: if there can be no more descriptors.
        """
        self._asked += 1
        self.send(question, descriptors, self._asked)
        if self.stalled:
            return succeed(None)
        return self._answers.expect((self._asked, kind), seconds)

    def prepare(self, change: Prepare, descriptors: Sequence[int]) -> Deferred[Prepared | None]:
        """Ask it to make ready for a change; see :meth:`ask`."""
        answer = self.ask(change, Prepared, descriptors=descriptors)
        self.unanswered, self.refusal = self._asked, ""
        return answer

    def heard(self, frame: Frame) -> Answer | Notice:
        """
        Process a message from it.

        :raises ValueError: if that makes no sense.
        """
        number, message = codec.parse_said(frame)
        match message:
            case Running():
                self.running = True
            case Latencies(kinds):
                self.latencies = kinds
            case Gathered(free_files):
                self.free_files = free_files
            case Prepared(refusal) if number == self.unanswered:
                self.unanswered, self.refusal = None, refusal
        self._answers.heard((number, type(message)), message)
        return message

    def kill(self) -> None:
        """End it, whatever it does."""
        with suppress(ProcessLookupError):  # a process that ignores SIGCHLD has no zombies
            os.kill(self.pid, signal.SIGKILL)

    def give_up(self) -> None:
        """Stop waiting for answers."""
        self._answers.give_up()
