"""
Repeated warnings of several processes, counted together.

A table in shared memory has a slot for each text.  The process that claims a free slot writes the
text, and owns the slot: once a second it writes how often all have counted.  Each process counts in
a cell of its own, so no lock is needed.  What the owner has written up to is in the
slot too: if it ends, another that has the text goes on from there.

Which process is first does not matter: two that claim a slot at the same moment may both write the
text.  All else is counted.

A compromised process may write anything there.  That costs counts, but makes no other process fail:
sums are taken modulo 2**64, and stamps of the future are old.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Hashable
from typing import Final

#: Texts that are counted together at a time; each process counts others alone.
SLOTS: Final = 512
#: Processes that can take part.
PLACES: Final = 128
#: Seconds without a sign of life after which a slot's owner is taken to have gone; after as many
#: without anything to count the slot is another text's.
GONE: Final = 3.0

# Fields of a slot, each of 8 bytes: the hash of the text; when it was counted last and when the
# owner has looked last, in milliseconds; the owner, from 1; how many have been written; the subject
# of all of them, or 0; and a count for each process.
_KEY, _COUNTED, _LOOKED, _OWNER, _WRITTEN, _SUBJECT, _CELLS = range(7)
_SIZE: Final = _CELLS + PLACES
# Slots that one text can have.
_TRIES: Final = 8
_MASK: Final = 2**63 - 1
# What a cell can hold.
_CELL: Final = 2**64 - 1


class Tallies:
    """The table.  Made before the processes are."""

    def __init__(self) -> None:
        self.cells = memoryview(mmap.mmap(-1, 8 * SLOTS * _SIZE)).cast("Q")

    def of(self, place: int, clock: Callable[[], float] = time.monotonic) -> RepeatTally | None:
        """The part of one process; None: there is none for it."""
        return RepeatTally(self.cells, place, clock) if 0 <= place < PLACES else None


class RepeatTally:
    """
    The part of the table that one process uses.

    :param place: no two that live at the same time have the same.
    """

    def __init__(self, cells: memoryview[int], place: int, clock: Callable[[], float]) -> None:
        self._cells = cells
        self._place = place
        self._clock = clock

    def _now(self) -> int:
        return int(self._clock() * 1000) + 1

    def claim(self, text: Hashable, subject: Hashable) -> tuple[int, bool]:
        """
        Find the slot of a text, or claim one, when the text comes.

        :param subject: the client or endpoint that it is about.
        :returns: the slot, -1 if there is none; and whether the text is to be written, else it has
            been counted.
        """
        cells, now = self._cells, self._now()
        key = _key_of(text)
        free = -1
        for number in range(_TRIES):
            slot = (key + number) % SLOTS * _SIZE
            if cells[slot + _KEY] == key:
                if cells[slot + _OWNER] and not self._old(slot, _COUNTED, now):
                    self.count(slot, subject)
                    return slot, False
                free = slot
                break
            if free < 0 and (not cells[slot + _OWNER] or self._old(slot, _COUNTED, now)):
                free = slot
        if free < 0:
            return -1, True
        if cells[free + _KEY] != key:
            cells[free + _KEY] = key
            cells[free + _WRITTEN] = self._sum(free)
        cells[free + _SUBJECT] = _key_of(subject)
        cells[free + _COUNTED] = cells[free + _LOOKED] = now
        cells[free + _OWNER] = self._place + 1
        return free, True

    def _old(self, slot: int, field: int, now: int) -> bool:
        return abs(now - self._cells[slot + field]) > GONE * 1000

    def _sum(self, slot: int) -> int:
        return sum(self._cells[slot + _CELLS : slot + _SIZE]) & _CELL

    def holds(self, slot: int, text: Hashable) -> bool:
        """Whether a text is still counted in a slot."""
        cells = self._cells
        return cells[slot + _KEY] == _key_of(text) and cells[slot + _OWNER] != 0

    def count(self, slot: int, subject: Hashable) -> None:
        """Count a repetition."""
        cells = self._cells
        cell = slot + _CELLS + self._place
        cells[cell] = (cells[cell] + 1) & _CELL
        cells[slot + _COUNTED] = self._now()
        if cells[slot + _SUBJECT] != _key_of(subject):
            cells[slot + _SUBJECT] = 0

    def take(self, slot: int, text: Hashable, ending: bool = False) -> tuple[int, bool] | None:
        """
        How many have come since the last summary, and whether they all have one subject.

        :param ending: this process looks no more; if it is the owner, no process is.
        :returns: None if another process writes the summary, or the slot is another text's now.
        """
        cells, now, own = self._cells, self._now(), self._place + 1
        if cells[slot + _KEY] != _key_of(text):
            return None
        owner = cells[slot + _OWNER]
        if owner != own:
            if owner and not self._old(slot, _LOOKED, now):
                return None
            cells[slot + _OWNER] = own
        cells[slot + _LOOKED] = now
        total = self._sum(slot)
        number = (total - cells[slot + _WRITTEN]) & _CELL
        if number > _MASK:
            number = 0  # fewer than have been written already
        cells[slot + _WRITTEN] = total
        if ending:
            cells[slot + _OWNER] = 0
        return number, cells[slot + _SUBJECT] != 0


def _key_of(value: Hashable) -> int:
    """What stands for a text or subject in the table; never 0."""
    return (hash(value) & _MASK) or 1
