"""
Names that took long to fail, for example because no name server answers for them.

Each client that asks for such a name would wait as long again.  So the failure is cached for a
while; then the name is tried again, but clients do not wait long for it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Final

#: Seconds after which a failing name counts as dead, and until it is tried again.
SLOW_SECONDS: Final = 1.0
DEAD_SECONDS: Final = 10.0
#: Seconds to wait for a later attempt before the old failure is given.
DEAD_WAIT_SECONDS: Final = 1.0
#: Seconds after which a name is forgotten, and how many names are kept.
DEAD_KNOWN_SECONDS: Final = 300.0
DEAD_ENTRIES: Final = 512


@dataclass(frozen=True, slots=True)
class DeadName:
    """
    How a name failed.

    :ivar symbol: the ``EAI_`` name; ``reason``: the system's words.
    :ivar since: seconds of the clock at which it did; ``until``: until when it is not tried again.
    """

    symbol: str
    reason: str
    since: float
    until: float


class DeadNames:
    """
    The dead names; those least recently asked for are forgotten first.

    :param seconds: the clock.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._names: OrderedDict[Hashable, DeadName] = OrderedDict()

    def __len__(self) -> int:
        return len(self._names)

    def get(self, key: Hashable) -> DeadName | None:
        """How a name failed; None if it is not dead."""
        dead = self._names.get(key)
        if dead is None:
            return None
        if self._seconds() - dead.since >= DEAD_KNOWN_SECONDS:
            del self._names[key]
            return None
        self._names.move_to_end(key)
        return dead

    def wait(self, dead: DeadName, since: float | None) -> float:
        """
        Seconds to wait for the name; not above 0: give the old failure at once.

        :param since: when the current attempt began; None: there is none.
        """
        now = self._seconds()
        if now < dead.until:
            return 0.0
        return DEAD_WAIT_SECONDS if since is None else DEAD_WAIT_SECONDS - (now - since)

    def failed(self, key: Hashable, symbol: str, reason: str, took: float) -> None:
        """Remember a failure if it took long, in seconds; if not the name is not dead."""
        if took < SLOW_SECONDS:
            self.answered(key)
            return
        now = self._seconds()
        self._names[key] = DeadName(symbol, reason, now, now + DEAD_SECONDS)
        self._names.move_to_end(key)
        if len(self._names) > DEAD_ENTRIES:
            self._names.popitem(last=False)

    def answered(self, key: Hashable) -> None:
        """A name is not dead."""
        self._names.pop(key, None)

    def retry(self) -> None:
        """Let all names be tried again at the next request."""
        for key, dead in self._names.items():
            self._names[key] = replace(dead, until=0.0)
