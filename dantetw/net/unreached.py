"""
Addresses that could not be reached recently: they are tried after others.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

#: Seconds for which an address that has failed is tried last.
REMEMBERED_SECONDS: Final = 60.0
#: Addresses that are remembered; the oldest make room for more.
MAX_ADDRESSES: Final = 1024


class Unreached:
    """
    Remembers which addresses have failed.

    This affects only the order of attempts: an address that has failed is still tried if there is
    no other, so no connection is lost.

    :param monotonic: a clock.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._failed: OrderedDict[tuple[str, int], float] = OrderedDict()

    def add(self, host: str, port: int) -> None:
        """A connection to an address has failed, or was overtaken by a later one."""
        key = (host, port)
        self._failed[key] = self._monotonic()
        self._failed.move_to_end(key)
        if len(self._failed) > MAX_ADDRESSES:
            self._failed.popitem(last=False)

    def discard(self, host: str, port: int) -> None:
        """An address has been reached."""
        if self._failed:
            self._failed.pop((host, port), None)

    def lately(self, host: str, port: int) -> bool:
        """Whether an address has failed in the last :data:`REMEMBERED_SECONDS`."""
        failed = self._failed.get((host, port))
        return failed is not None and self._monotonic() - failed < REMEMBERED_SECONDS
