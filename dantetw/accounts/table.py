"""
The accounts of one process, in memory that other processes can read.

One process at a time writes to a table, and no process locks it.  This works because

- each count is an aligned word of 8 bytes, written and read at once, which never decreases;
- a slot counts for the account "other" until its name is complete, and again once its account is
  evicted: each is the change of a single word, its *state*.  What had been counted in the slot
  before is noted in it and stays with "other".

So a process that ends, however suddenly, leaves a table that is sound, and the next process goes on
with it (:mod:`.book`).  The sum over all slots of a kind is exact at any time and never decreases;
only an account that was evicted begins again from 0.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from dantetw.accounts.counts import COUNTS, ENDED, AccountCounts
from dantetw.accounts.keys import NAME_BYTES, decoded, encoded
from dantetw.values import AccountKind, Cause, Work

#: Accounts that a table has room for, without the account "other" that each kind has.
CAPACITY: Final = MappingProxyType(
    {
        AccountKind.SERVER: 0,
        AccountKind.CLIENT_RULE: 1024,
        AccountKind.SOCKS_RULE: 1024,
        AccountKind.USER: 2048,
        AccountKind.CLIENT: 2048,
        AccountKind.MONITOR: 256,
        AccountKind.UPSTREAM: 256,
    }
)
#: Times that a reader tries to read a slot that another process changes; then "other" counts it.
READ_TRIES: Final = 3

_WORD_BYTES: Final = 8
# At the beginning of a table: for each kind, how many slots have been used, without the one of
# "other".
_USED: Final = {kind: place for place, kind in enumerate(AccountKind)}
_HEAD_WORDS: Final = 512
# Words of a slot: its state (odd: it is an account's, even: it counts for "other"), the length of
# the name in bytes, the name, the counts that were there before, and all counts.
_LENGTH: Final = 1
_NAME: Final = 2
_BEFORE: Final = _NAME + NAME_BYTES // _WORD_BYTES
_ALL: Final = _BEFORE + COUNTS
_SLOT_WORDS: Final = _ALL + COUNTS
# No process counts as far as this: a word that is larger was not counted.
_MOST: Final = 2**60

_CRASHED: Final = {work: ENDED[work][Cause.CRASH] for work in Work}


class Table:
    """
    The accounts of one process.

    A *slot* is a number from 0 within a kind; slot -1 is that of "other".

    :param capacity: see :data:`CAPACITY`.
    :ivar cells: the words of the table.
    """

    def __init__(self, capacity: Mapping[AccountKind, int] = CAPACITY) -> None:
        self.capacity = capacity
        # Where the slots of each kind begin.  Pages that were never used take no memory.
        self._first: dict[AccountKind, int] = {}
        end = _HEAD_WORDS
        for kind in AccountKind:
            self._first[kind] = end
            end += (1 + capacity[kind]) * _SLOT_WORDS
        self._memory = mmap.mmap(-1, end * _WORD_BYTES)
        self._bytes = memoryview(self._memory)
        self.cells = self._bytes.cast("Q")

    def row(self, kind: AccountKind, slot: int) -> int:
        """
        The index in :attr:`cells` of a slot's first count.

        :mod:`.counts` has the places of the others, relative to it.
        """
        return self._at(kind, slot) + _ALL

    def _at(self, kind: AccountKind, slot: int) -> int:
        return self._first[kind] + (1 + slot) * _SLOT_WORDS

    def used(self, kind: AccountKind) -> int:
        """How many slots have been used."""
        return min(self.cells[_USED[kind]], self.capacity[kind])

    # For the process that writes.

    def assign(self, kind: AccountKind, slot: int, name: str) -> None:
        """
        Make a slot an account's, which is no account's now.

        :param slot: one that was used before, or the next one.
        :param name: as :func:`.keys.account_name` returns it.
        """
        cells, at, data = self.cells, self._at(kind, slot), encoded(name)
        for place in range(COUNTS):
            cells[at + _BEFORE + place] = cells[at + _ALL + place]
        begin = (at + _NAME) * _WORD_BYTES
        self._bytes[begin : begin + len(data)] = data
        cells[at + _LENGTH] = len(data)
        cells[at] += 1
        cells[_USED[kind]] = max(cells[_USED[kind]], slot + 1)

    def evict(self, kind: AccountKind, slot: int) -> None:
        """Make a slot no account's: what was counted there counts for "other"."""
        self.cells[self._at(kind, slot)] += 1

    # For all that read.

    def name(self, kind: AccountKind, slot: int) -> str | None:
        """The name of the account that has a slot, if one has it."""
        at = self._at(kind, slot)
        if not self.cells[at] & 1:
            return None
        begin = (at + _NAME) * _WORD_BYTES
        length = min(self.cells[at + _LENGTH], NAME_BYTES)
        return decoded(bytes(self._bytes[begin : begin + length]))

    def counts(self, kind: AccountKind, slot: int) -> AccountCounts:
        """All that was ever counted in a slot."""
        return self._words(self.row(kind, slot))

    def total(self, kind: AccountKind) -> AccountCounts:
        """The sum of all accounts of a kind.  No later one is less."""
        slots = range(-1, self.used(kind))
        return sum((self.counts(kind, slot) for slot in slots), AccountCounts())

    def accounts(self, kind: AccountKind) -> Iterator[tuple[str | None, AccountCounts]]:
        """The accounts of a kind, by name; None: "other", of which there may be several parts."""
        for slot in range(-1, self.used(kind)):
            name, counts, others = self._read(kind, slot)
            yield None, others
            if name is not None:
                yield name, counts

    def _read(
        self, kind: AccountKind, slot: int
    ) -> tuple[str | None, AccountCounts, AccountCounts]:
        """The name of the account in a slot and its counts; and those that count for "other"."""
        at = self._at(kind, slot)
        for _ in range(READ_TRIES):
            state = self.cells[at]
            name = self.name(kind, slot)
            if name is None:
                break
            before, counts = self._words(at + _BEFORE), self.counts(kind, slot)
            if self.cells[at] == state:
                return name, counts - before, before
        return None, AccountCounts(), self.counts(kind, slot)

    def _words(self, begin: int) -> AccountCounts:
        # This reads each word at once, the first one first.
        return AccountCounts(tuple(self.cells[begin : begin + COUNTS].tolist()))

    # For the supervisor process, when no process writes.

    def settle(self) -> bool:
        """
        End all sessions that are open: the process that served them has ended.

        May be called again, and then changes nothing.

        :returns: whether another process can go on with the table.  If the numbers in it cannot
            have come about by counting, none can: the process may have written anything.
        """
        sound = True
        for kind in AccountKind:
            for slot in range(-1, self.used(kind)):
                sound = self._settle(kind, slot) and sound
        return sound

    def _settle(self, kind: AccountKind, slot: int) -> bool:
        counts, at = self.counts(kind, slot), self._at(kind, slot)
        if kind is AccountKind.SERVER:
            # How far its sessions have come is counted, too.
            crashed = {
                Work.NEGOTIATE: counts.opened - counts.requested - counts.ended(Work.NEGOTIATE),
                Work.REQUEST: counts.requested - counts.performed - counts.ended(Work.REQUEST),
                Work.IO: counts.performed - counts.ended(Work.IO),
            }
        else:
            crashed = {Work.IO: counts.open}
        if max(*counts.words, self.cells[at]) > _MOST or min(crashed.values()) < 0:
            return False
        for work, number in crashed.items():
            self.cells[at + _ALL + _CRASHED[work]] += number
        return True

    def close(self) -> None:
        """Unmap the memory.  May be called twice."""
        self.cells.release()
        self._bytes.release()
        self._memory.close()
