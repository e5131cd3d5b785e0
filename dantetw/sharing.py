"""
One result shared by all that wait for it.

Many sessions ask the same thing at once: a browser opens thirty connections to one name with one
password.  The first asks, the others wait along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred

_T = TypeVar("_T")


class Shared(Generic[_T]):
    """
    A result to come.

    :param abandoned: called when the last waiter has cancelled.
    """

    def __init__(self, abandoned: Callable[[], None]) -> None:
        self._abandoned = abandoned
        self._waiters: list[Deferred[_T]] = []

    def wait(self) -> Deferred[_T]:
        """Fires or fails with the result.  Cancelling it does not affect other waiters."""
        waiter: Deferred[_T] = Deferred(self._give_up)
        self._waiters.append(waiter)
        return waiter

    def succeed(self, result: _T) -> None:
        """Fire all waiters with the result."""
        for waiter in self._leaving():
            waiter.callback(result)

    def fail(self, error: Exception) -> None:
        """Fail all waiters with the error."""
        for waiter in self._leaving():
            waiter.errback(error)

    def _leaving(self) -> Iterator[Deferred[_T]]:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            # A waiter that was called before may have cancelled others.
            if not waiter.called:
                yield waiter

    def _give_up(self, waiter: Deferred[_T]) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
            if not self._waiters:
                self._abandoned()
