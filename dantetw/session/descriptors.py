"""
The budget of file descriptors for the clients of this process.

A client is accepted only if a second descriptor, which each client needs, is available too; other
clients wait in the kernel.  This takes no system call: the need of each kind of session is known.
A part of the limit is reserved for look-ups, logs and reloads.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Sized
from typing import Any, Final

from dantetw.net.poller import IPoller
from dantetw.net.resolving import THREADS
from dantetw.process.limits import count_files, limits
from dantetw.relay import pipes

#: Descriptors reserved for other uses: each thread that looks a name up takes one, and a reload
#: opens logs, the users file and new listening sockets.
RESERVE: Final = THREADS + 64
#: At most one in so many descriptors is reserved.
RESERVE_DIVISOR: Final = 3
#: Descriptors of a session: the client's and the target's.  Until its request is known it may need
#: twice as many, as an association does.
PER_SESSION: Final = 2
#: Clients accepted in one event-loop iteration.
ACCEPT_BATCH: Final = 64
#: Seconds between two checks whether there is room again; a session's end is noticed at once.
RETRY_SECONDS: Final = 0.05


class DescriptorBudget:
    """
    The file descriptors that are left.

    :param poller: calls what waits; ``reactor``: for checks in a while.
    :param sessions: those that are alive; ``closing``: connections that wait to be closed.
    :param early: how many sessions may come to need twice as many.
    :ivar short: a listener waits for room, or a session has more than :data:`PER_SESSION`: then
        sessions that end are reported by :meth:`left`.
    """

    def __init__(
        self,
        reactor: Any,
        poller: IPoller,
        sessions: Sized,
        closing: Sized,
        early: Callable[[], int],
    ) -> None:
        self._reactor = reactor
        self._poller = poller
        self._sessions = sessions
        self._closing = closing
        self._early = early
        self._set(sys.maxsize)
        self._extra = 0
        self._held: dict[int, int] = {}
        self._waiting: deque[Callable[[], None]] = deque()
        self._looking = False
        self.short = False

    def measure(self) -> None:
        """Find the limit.  Descriptors open at this moment are not clients'."""
        most = limits()[1]
        if most is None:
            return
        known = [0, *count_files()][-1] or _lowest_free()
        self._set(max(2 * PER_SESSION, most - known - min(RESERVE, most // RESERVE_DIVISOR)))
        pipes.may_make = self._may_make_pipe

    def stop(self) -> None:
        """Stop: no more clients are accepted."""
        self._waiting.clear()
        pipes.may_make = None

    def _set(self, most: int) -> None:
        self._most = most
        # Of sessions, with all that one can have without a call of hold(), and unused pipes.
        self._plenty = (most - 2 * pipes.KEPT) // (4 * PER_SESSION)

    def take(self, number: int) -> None:
        """So many more, or less, belong to no client: listening sockets."""
        if self._most != sys.maxsize:
            self._set(max(2 * PER_SESSION, self._most - number))

    def _left(self) -> int:
        sessions = len(self._sessions)
        early = min(max(0, self._early()), sessions)
        others = len(self._closing) + self._extra + 2 * pipes.number()
        return self._most - PER_SESSION * (sessions + early) - others

    def clients(self) -> int:
        """How many clients can be accepted in this iteration."""
        if not self.short:
            # Usually this rough estimate suffices.
            left = self._plenty - len(self._sessions) - len(self._closing)
            if left >= ACCEPT_BATCH:
                return left
        left = self._left() // (2 * PER_SESSION)
        if left <= 0 and pipes.trim():
            left = self._left() // (2 * PER_SESSION)
        return left

    def has(self, number: int) -> bool:
        """Whether sessions can have so many more than those counted at their admission."""
        return self._left() >= number

    def hold(self, session: int, number: int) -> None:
        """Count so many more than :data:`PER_SESSION` for a session from now on."""
        self._extra += number - self._held.pop(session, 0)
        if number:
            self._held[session] = number
        self._settle()

    def left(self, session: int) -> None:
        """A session has ended."""
        self.hold(session, 0)
        self.wake()

    def wait(self, call: Callable[[], None]) -> None:
        """Call a function when another client can be accepted, which then calls :meth:`wake`."""
        self._waiting.append(call)
        self._settle()
        if not self._looking:
            self._looking = True
            self._reactor.callLater(RETRY_SECONDS, self._look)

    def wake(self) -> None:
        """Call the first function that waits, if there is room."""
        if self._waiting and self.clients() > 0:
            self._poller.again(self._waiting.popleft())
            self._settle()

    def _look(self) -> None:
        self._looking = bool(self._waiting)
        if self._looking:
            self._reactor.callLater(RETRY_SECONDS, self._look)
            self.wake()

    def _settle(self) -> None:
        self.short = bool(self._waiting or self._held)

    def _may_make_pipe(self) -> bool:
        # Copying needs no descriptors, so clients have priority.
        return not self._waiting and self._left() > self._most // 4


def _lowest_free() -> int:
    """The number that a descriptor would get now: they are given nearly without gaps."""
    number = os.dup(0)
    os.close(number)
    return number
