"""
A worker, as its mother sees it.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any, Final, TypeGuard

from twisted.internet.defer import Deferred, succeed

from dantetw.crew.ledger import Ledger
from dantetw.crew.measures import unpack
from dantetw.net.channel import Answers, Channel, Frame
from dantetw.observe.sinks.inherited import InheritedLogs
from dantetw.relay.latency import LatencySnapshot
from dantetw.session.totals import KINDS

#: Seconds that workers have to answer, and to end.
PATIENCE: Final = 10.0
# More than any worker counts.
_MOST: Final = 2**40


class WorkerProcess:
    """
    A worker, as the mother sees it.

    :ivar place: which it is, from 0; ``pid``: its process.
    :ivar born: monotonic seconds.
    :ivar measured: the latencies it has told of, by their names.
    :ivar free: how many files more it can open; None: unknown.
    :ivar running: it accepts clients.
    :ivar retired: it takes no more clients, and another has its place.
    :ivar leaving: it ends, and only writes its last lines.
    :ivar silent: seconds without a heartbeat.
    :ivar late: so long that others accept its clients; ``stalled``: so long that nothing waits for
        it any more; ``killed``: so long that it was killed.
    :ivar loans: places whose sockets it has been lent.
    :ivar unanswered: the word of the answer that it owes to the last change; ``refusal``: why it
        could not make ready for that; empty: it could, or has not answered.
    """

    def __init__(
        self,
        place: int,
        pid: int,
        born: float,
        ledger: Ledger,
        bequest: InheritedLogs,
        reactor: Any,
    ) -> None:
        self.place = place
        self.pid = pid
        self.born = born
        self.ledger = ledger
        self.bequests = [bequest]
        self.channel: Channel
        self.measured: dict[str, LatencySnapshot] = {}
        self.free: int | None = None
        self.running = self.retired = self.leaving = False
        self.silent = 0.0
        self.late = self.stalled = self.killed = False
        self.loans: set[int] = set()
        self.unanswered: str | None = None
        self.refusal = ""
        self._beats = 0
        self._answers = Answers(reactor)

    @property
    def accepting(self) -> bool:
        """Whether it accepts clients, as far as is known."""
        return self.running and not (self.retired or self.leaving or self.late)

    def look(self, elapsed: float) -> None:
        """
        See whether its heart has beaten.

        :param elapsed: seconds since the last look.
        """
        beats = self.ledger.beats
        self.silent = self.silent + elapsed if beats == self._beats else 0.0
        self._beats = beats

    def expect(self, word: str, patience: float = PATIENCE) -> Deferred[Frame | None]:
        """Fires with the message when it comes; with None if it will not, or not in time."""
        return succeed(None) if self.stalled else self._answers.expect(word, patience)

    def heard(self, order: Frame) -> None:
        """
        It has said something.

        :raises ValueError: if that makes no sense.
        """
        if order.word == "measures":
            if not isinstance(order.said, dict):
                raise ValueError("not measures")
            said = order.said
            self.measured = {name: unpack(said[name]) for name in KINDS if name in said}
        elif order.word == "measured":
            self.free = order.said if is_count(order.said) else None
        elif order.word == "running":
            self.running = True
        self._answers.heard(order)

    def kill(self) -> None:
        """End it, whatever it does."""
        with suppress(ProcessLookupError):  # who ignores SIGCHLD has no zombies
            os.kill(self.pid, signal.SIGKILL)

    def give_up(self) -> None:
        """Wait no longer for what is expected of it."""
        self._answers.give_up()


def is_count(said: object) -> TypeGuard[int]:
    """Whether what a worker has said is a number of something."""
    return type(said) is int and 0 <= said < _MOST
