"""
Limits and conversion of a relay's bytes: budgets and a codec.

A relay without them costs nothing more: shaping is chosen when a relay is made, not checked with
each chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from twisted.logger import Logger

from dantetw.relay.codec import Codec

_log: Final = Logger()


class Budget:
    """
    Bytes that may be moved until more are granted.

    A relay subtracts from :attr:`left` what it reads, and stops reading when nothing is left.  A
    rate limit grants an allowance regularly.  Several directions, or several relays, may share a
    budget: those that wait are resumed in the order in which they stopped, and a relay that an
    allowance did not reach is the first to get the next one.

    :param left: bytes granted at the beginning.
    :ivar left: bytes that may be moved.  It is negative while a debt is left: bytes that arrived
        behind the client's request, or a batch of datagrams that was larger than the allowance.
    """

    __slots__ = ("_waiting", "left")

    def __init__(self, left: int = 0) -> None:
        self.left = left
        self._waiting: dict[object, Callable[[], None]] = {}

    @property
    def waited_for(self) -> bool:
        """Whether a direction has stopped for lack of an allowance."""
        return bool(self._waiting)

    def grant(self, count: int) -> None:
        """
        Let ``count`` more bytes be moved.

        What was granted before is not taken back: to keep unused allowances from adding up, grant
        the allowance less :attr:`left`.
        """
        self.left += count
        for _ in range(len(self._waiting)):
            if self.left <= 0 or not self._waiting:
                return
            resume = self._waiting.pop(next(iter(self._waiting)))
            try:
                resume()
            except Exception:
                _log.failure("Failure in a relay")

    def wait(self, waiting: object, resume: Callable[[], None]) -> None:
        """Call ``resume`` once when bytes are left again."""
        self._waiting[waiting] = resume

    def forget(self, waiting: object) -> None:
        """``waiting`` has ended: do not resume it."""
        self._waiting.pop(waiting, None)


@dataclass(frozen=True, slots=True)
class Shaping:
    """
    The limits and the codec of one relay.

    :ivar up: the budget of what the client sends, ``down``: of what the target sends; the same
        object for both lets them share it.
    :ivar codec: converts the bytes of the client's connection.  Datagrams are not converted.
    """

    up: Budget | None = None
    down: Budget | None = None
    codec: Codec | None = None
