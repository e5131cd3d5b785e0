"""
A worker, as its mother sees it.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any, Final, TypeGuard

from twisted.internet.defer import Deferred

from dantetw.observe.sinks.inherited import Bequest
from dantetw.relay.latency import Measured
from dantetw.session.totals import KINDS
from dantetw.workers.channel import Channel, Order
from dantetw.workers.ledger import Ledger
from dantetw.workers.measures import unpack

#: Seconds that workers have to answer, and to end.
PATIENCE: Final = 10.0
# More than any worker counts.
_MOST: Final = 2**40


class Child:
    """
    A worker, as the mother sees it.

    :ivar place: which it is, from 0; ``pid``: its process.
    :ivar born: monotonic seconds.
    :ivar measured: the latencies it has told of, by their names.
    :ivar free: how many files more it can open; None: unknown.
    :ivar running: it accepts clients.
    :ivar retired: it takes no more clients, and another has its place.
    """

    def __init__(self, place: int, pid: int, born: float, ledger: Ledger, bequest: Bequest) -> None:
        self.place = place
        self.pid = pid
        self.born = born
        self.ledger = ledger
        self.bequests = [bequest]
        self.channel: Channel
        self.measured: dict[str, Measured] = {}
        self.free: int | None = None
        self.running = self.retired = False
        self._expected: dict[str, Deferred[Order | None]] = {}

    def expect(self, word: str, reactor: Any, patience: float = PATIENCE) -> Deferred[Order | None]:
        """Fires with the message when it comes; with None if it will not, or not in time."""

        def late(_: object) -> None:
            if self._expected.get(word) is expected:
                del self._expected[word]

        expected = self._expected[word] = Deferred()
        expected.addTimeout(patience, reactor)
        expected.addErrback(late)
        return expected

    def heard(self, order: Order) -> None:
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
        expected = self._expected.pop(order.word, None)
        if expected is not None:
            expected.callback(order)

    def kill(self) -> None:
        """End it, whatever it does."""
        with suppress(ProcessLookupError):  # who ignores SIGCHLD has no zombies
            os.kill(self.pid, signal.SIGKILL)

    def gone(self) -> None:
        """It will say nothing any more."""
        while self._expected:
            self._expected.popitem()[1].callback(None)


def is_count(said: object) -> TypeGuard[int]:
    """Whether what a worker has said is a number of something."""
    return type(said) is int and 0 <= said < _MOST
