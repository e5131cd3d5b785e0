"""
Keeps the datagrams of one direction within a budget.

The sockets of a direction whose budget has nothing left are not watched, so its datagrams wait in
the kernel's receive buffers.  That delays them; the kernel drops those that exceed the buffers, and
they are counted with the datagrams that arrived faster than they could be relayed
(:attr:`.DatagramRelay.overflows`).

A datagram is charged when it has been read.  As they are read in batches, one batch may go beyond
the budget; the next allowance pays for it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from dantetw.net.poller import READABLE, IPoller
from dantetw.relay.shaping import Budget


class DatagramMeter:
    """
    Watches the sockets of a direction.

    :param read: how many bytes of datagrams have been read from these sockets.
    """

    __slots__ = ("_budget", "_charged", "_poller", "_read", "_waiting")

    def __init__(self, poller: IPoller, budget: Budget, read: Callable[[], int]) -> None:
        self._poller = poller
        self._budget = budget
        self._read: Callable[[], int] | None = read
        self._charged = 0
        self._waiting: set[int] = set()

    def watch(self, fd: int, ready: Callable[[int], None]) -> None:
        """Call ``ready`` when a socket has datagrams and the budget has something left."""
        self._poller.watch_input(fd, partial(self._ready, fd, ready))

    def _ready(self, fd: int, ready: Callable[[int], None], mask: int) -> None:
        # Other relays may have a share in the budget.
        if self._is_spent(fd, ready):
            return
        ready(mask)
        self._is_spent(fd, ready)

    def _is_spent(self, fd: int, ready: Callable[[int], None]) -> bool:
        if self._read is None:
            return True
        read, budget = self._read(), self._budget
        budget.left -= read - self._charged
        self._charged = read
        if budget.left > 0:
            return False
        self._poller.forget(fd, shared=True)
        self._waiting.add(fd)
        budget.wait((self, fd), partial(self._resume, fd, ready))
        return True

    def _resume(self, fd: int, ready: Callable[[int], None]) -> None:
        self._waiting.discard(fd)
        self.watch(fd, ready)
        # At once: the budget may be spent again before the poller reports what waits here.
        self._poller.refresh()
        self._ready(fd, ready, READABLE)

    def end(self) -> None:
        """The relay has ended: wait for nothing."""
        self._read = None
        for fd in self._waiting:
            self._budget.forget((self, fd))
