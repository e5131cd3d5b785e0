"""
Addresses that could not be reached a short while ago, which are tried after others.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

#: Seconds for which an address that has failed is tried last.
REMEMBERED_SECONDS: Final = 60.0
#: Addresses that are remembered: beyond that the oldest are forgotten.
MOST: Final = 1024


class Unreached:
    """
    Remembers which addresses have failed.

    Only the order of attempts depends on it: an address that has failed is still tried where there
    is no other, so a failure costs nobody a connection.

    :param monotonic: a clock.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._failed: OrderedDict[tuple[str, int], float] = OrderedDict()

    def add(self, host: str, port: int) -> None:
        """A connection to an address has failed, or another was quicker by far."""
        key = (host, port)
        self._failed[key] = self._monotonic()
        self._failed.move_to_end(key)
        if len(self._failed) > MOST:
            self._failed.popitem(last=False)

    def discard(self, host: str, port: int) -> None:
        """An address has been reached."""
        if self._failed:
            self._failed.pop((host, port), None)

    def lately(self, host: str, port: int) -> bool:
        """Whether an address has failed in the last :data:`REMEMBERED_SECONDS`."""
        failed = self._failed.get((host, port))
        return failed is not None and self._monotonic() - failed < REMEMBERED_SECONDS
