"""
Counts and logs datagrams that are not relayed, with a limit on the lines.

Of each kind of drop :data:`LINES_PER_SECOND` are logged; the next line has the number of those
suppressed, and the rest is logged at the end.
"""

from __future__ import annotations

from typing import Final

from dantetw.observe.events import Dropped
from dantetw.observe.formats.endings import wanting_drop
from dantetw.policy import Rule
from dantetw.session.sensitive import sensitive_values
from dantetw.session.session import Session
from dantetw.values import Command, Drop, Path, Side

#: Log lines a second for each kind of drop of an association.
LINES_PER_SECOND: Final = 10


class LogRate:
    """
    Limits how often something is logged.

    :ivar suppressed: how many were not logged since the last that was.
    """

    __slots__ = ("_lines", "_second", "suppressed")

    def __init__(self) -> None:
        self._second = 0
        self._lines = 0
        self.suppressed = 0

    def allows(self, now: float) -> bool:
        """Whether to log one more at ``now``, monotonic seconds; if not, it is counted."""
        if self._second != int(now):
            self._second, self._lines = int(now), 0
        if self._lines >= LINES_PER_SECOND:
            self.suppressed += 1
            return False
        self._lines += 1
        return True

    def take_suppressed(self) -> int:
        """How many were not logged, to be logged now."""
        suppressed, self.suppressed = self.suppressed, 0
        return suppressed


class _DropRate(LogRate):
    """
    The log rate of one kind of drop.

    :ivar rule: the rule of the last datagram dropped.
    """

    __slots__ = ("rule",)

    rule: Rule


class Drops:
    """The datagrams that an association does not relay."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._counts: dict[Drop, int] = {}
        self._rates: dict[Drop, _DropRate] = {}

    @property
    def counted(self) -> tuple[tuple[Drop, int], ...]:
        """How many there were of each kind."""
        return tuple(self._counts.items())

    def count(self, drop: Drop, number: int) -> None:
        """Count, and log at the end only."""
        if number:
            self._counts[drop] = self._counts.get(drop, 0) + number

    def drop(self, rule: Rule, path: Path, origin: Side, drop: Drop, text: str = "") -> None:
        """
        Count a datagram, and log it.

        :param rule: the rule that applies to it; ``path``: its path, as far as it is known.
        :param origin: the side that sent it.
        :param text: Dante's words.
        """
        self.count(drop, 1)
        if not rule.log & wanting_drop(drop):
            return
        rate = self._rates.get(drop)
        if rate is None:
            rate = self._rates[drop] = _DropRate()
        rate.rule = rule
        if rate.allows(self._session.server.monotonic()):
            self._log(rule, path, origin, drop, text, rate.take_suppressed())

    def close(self, rule: Rule, path: Path) -> None:
        """
        Log what has not been logged.

        :param rule: the association's rule; ``path``: its path.
        """
        for drop, rate in self._rates.items():
            if rate.suppressed:
                more = rate.take_suppressed()
                text = f"{drop.word}: {more} more like it since this was last told"
                self._log(rate.rule, path, Side.CLIENT, drop, text)
        lost = self._counts.get(Drop.OVERFLOW, 0)
        if lost and rule.log & wanting_drop(Drop.OVERFLOW):
            number = "1 datagram was" if lost == 1 else f"{lost} datagrams were"
            text = f"{number} lost: more came than could be relayed"
            self._log(rule, path, Side.CLIENT, Drop.OVERFLOW, text)

    def _log(
        self, rule: Rule, path: Path, origin: Side, drop: Drop, text: str, more: int = 0
    ) -> None:
        session = self._session
        command = Command.UDPASSOCIATE if origin is Side.CLIENT else Command.UDPREPLY
        named = sensitive_values(session.record, path) if text else ()
        session.server.journal.record(
            Dropped(
                session.record.number, rule, path, origin, drop, text, more, named, command=command
            )
        )
