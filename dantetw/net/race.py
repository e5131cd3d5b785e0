"""
Which of a target's addresses to try, and when (:rfc:`8305`).

Pure: the clock is an argument, and the caller connects.  An attempt has a head start of
:data:`HEAD_START_SECONDS`; then, or as soon as one has failed, the next begins beside it, and the
first to connect wins.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import Final

#: Seconds until the next attempt begins although nothing has failed: :rfc:`8305`, section 5.
HEAD_START_SECONDS: Final = 0.25

#: Attempts of one race that run at the same time: one session must not take all descriptors.
MAX_ATTEMPTS: Final = 6


def arrange(
    addresses: Iterable[str], first: str, failed_lately: Callable[[str], bool]
) -> tuple[str, ...]:
    """
    The order in which addresses are tried, each once.

    :param addresses: numeric, in the order of preference (:rfc:`6724`).
    :param first: the one that comes before all others; empty: none does.
    :param failed_lately: whether an address has failed a short while ago: it is tried last.
    :returns: the families alternate, beginning with that of the most preferred address
        (:rfc:`8305`, section 4).
    """
    preferred = dict.fromkeys(address for address in (first, *addresses) if address)
    if not preferred:
        return ()
    by_family: dict[bool, list[str]] = {}
    for address in preferred:
        by_family.setdefault(":" in address, []).append(address)
    rounds = zip_longest(*by_family.values())
    order = [address for each in rounds for address in each if address is not None]
    failed = {address for address in order if failed_lately(address)}
    return tuple(sorted(order, key=failed.__contains__))


class Race:
    """
    Attempts at connecting to one of several addresses.

    An address is waiting until :meth:`begin` returns it, and runs until it is reported to
    :meth:`fail` or :meth:`win`.  None begins twice.

    :ivar running: the addresses of attempts that run, the oldest first.
    :ivar winner: the address that has connected; None as long as none has.

    :param addresses: in the order in which they are to be tried.
    """

    __slots__ = ("_next", "_waiting", "running", "winner")

    def __init__(self, addresses: Sequence[str]) -> None:
        self._waiting = deque(addresses)
        self._next: float | None = None
        self.running: list[str] = []
        self.winner: str | None = None

    def begin(self, now: float) -> str | None:
        """
        The address to try now, which runs from now on; None: none is to be tried now.

        :param now: seconds of a clock that never goes back.
        """
        if self.winner is not None or len(self.running) >= MAX_ATTEMPTS or not self._waiting:
            return None
        if self._next is not None and now < self._next:
            return None
        address = self._waiting.popleft()
        self.running.append(address)
        self._next = now + HEAD_START_SECONDS
        return address

    def fail(self, address: str, now: float) -> None:
        """An attempt has failed, or its address is not to be tried: the next may begin at once."""
        self.running.remove(address)
        self._next = now

    def win(self, address: str) -> tuple[str, ...]:
        """
        An attempt has connected.

        :returns: the others that run: they have lost.
        """
        self.running.remove(address)
        self.winner = address
        return self.stop()

    def finish(self) -> None:
        """Begin no more; those that run may still win."""
        self._waiting.clear()

    def stop(self) -> tuple[str, ...]:
        """
        Begin no more, and let none win.

        :returns: those that ran.
        """
        self.finish()
        running, self.running = tuple(self.running), []
        return running

    @property
    def due(self) -> float | None:
        """When to call :meth:`begin` if no attempt ends before; None: there is no need to."""
        if not self._waiting or len(self.running) >= MAX_ATTEMPTS:
            return None
        return self._next

    @property
    def lost(self) -> bool:
        """Whether no attempt is left and none has connected."""
        return self.winner is None and not self.running and not self._waiting
