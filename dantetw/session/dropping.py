"""
Datagrams that are not relayed: counted, and told, but not each of a flood.

Of each kind :data:`LINES` a second are told; a line that follows says how many were not, and what
is then left is told at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dantetw.observe.events import Dropped
from dantetw.observe.formats.endings import wanting_drop
from dantetw.session.named import named_of
from dantetw.values import Command, Drop, Path, Side

if TYPE_CHECKING:
    from dantetw.policy import Rule
    from dantetw.session.session import Session

#: Lines a second for each kind of drop of an association.
LINES: Final = 10


class Pace:
    """
    How often something may be told.

    :ivar more: how many were not told since the last that was.
    """

    __slots__ = ("_lines", "_second", "more")

    def __init__(self) -> None:
        self._second = 0
        self._lines = 0
        self.more = 0

    def allows(self, now: float) -> bool:
        """Whether one more may be told at ``now``, monotonic seconds; if not, it is counted."""
        if self._second != int(now):
            self._second, self._lines = int(now), 0
        if self._lines >= LINES:
            self.more += 1
            return False
        self._lines += 1
        return True

    def taken(self) -> int:
        """How many there were more, which are told now."""
        more, self.more = self.more, 0
        return more


class _Told(Pace):
    """
    What has been told of one kind of drop.

    :ivar rule: that of the last one.
    """

    __slots__ = ("rule",)

    rule: Rule


class Drops:
    """What an association does not relay."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._counts: dict[Drop, int] = {}
        self._told: dict[Drop, _Told] = {}

    @property
    def counted(self) -> tuple[tuple[Drop, int], ...]:
        """How many there were of each kind."""
        return tuple(self._counts.items())

    def count(self, drop: Drop, number: int) -> None:
        """Count, and tell at the end only."""
        if number:
            self._counts[drop] = self._counts.get(drop, 0) + number

    def drop(self, rule: Rule, path: Path, origin: Side, drop: Drop, text: str = "") -> None:
        """
        Count a datagram, and tell of it.

        :param rule: the rule it met; ``path``: its way, as far as it is known.
        :param origin: whose it was.
        :param text: Dante's words.
        """
        self.count(drop, 1)
        if not rule.log & wanting_drop(drop):
            return
        told = self._told.get(drop)
        if told is None:
            told = self._told[drop] = _Told()
        told.rule = rule
        if told.allows(self._session.server.monotonic()):
            self._tell(rule, path, origin, drop, text, told.taken())

    def close(self, rule: Rule, path: Path) -> None:
        """
        Tell what has not been told.

        :param rule: the association's rule; ``path``: its way.
        """
        for drop, told in self._told.items():
            if told.more:
                text = f"{drop.word}: {told.taken()} more like it since this was last told"
                self._tell(told.rule, path, Side.CLIENT, drop, text)
        lost = self._counts.get(Drop.OVERFLOW, 0)
        if lost and rule.log & wanting_drop(Drop.OVERFLOW):
            number = "1 datagram was" if lost == 1 else f"{lost} datagrams were"
            text = f"{number} lost: more came than could be relayed"
            self._tell(rule, path, Side.CLIENT, Drop.OVERFLOW, text)

    def _tell(
        self, rule: Rule, path: Path, origin: Side, drop: Drop, text: str, more: int = 0
    ) -> None:
        session = self._session
        command = Command.UDPASSOCIATE if origin is Side.CLIENT else Command.UDPREPLY
        named = named_of(session, path) if text else ()
        session.server.journal.record(
            Dropped(
                session.record.number, rule, path, origin, drop, text, more, named, command=command
            )
        )
