"""
The tables of all processes, and what the server has counted: the sum over them.

A process that begins takes a table that no other process writes to.  When it has ended, sessions
that it left open are counted as ended by a crash, and the table waits for the next process, which
goes on with its counts.  Nothing is ever moved from one table to another, so nothing is counted
twice, or missing meanwhile.  There are as many tables as there were processes at one time.
"""

from __future__ import annotations

from collections.abc import Mapping

from dantetw.accounts.counts import AccountCounts
from dantetw.accounts.keys import AccountKey
from dantetw.accounts.table import CAPACITY, Table
from dantetw.values import AccountKind


class Book:
    """
    All tables.  It belongs to the process that makes the others.

    :param capacity: as :class:`.table.Table` takes it.
    """

    def __init__(self, capacity: Mapping[AccountKind, int] = CAPACITY) -> None:
        self._capacity = capacity
        self._tables: list[Table] = []
        self._free: list[Table] = []

    def take(self) -> Table:
        """A table for a process that is about to be made."""
        if self._free:
            return self._free.pop()
        table = Table(self._capacity)
        self._tables.append(table)
        return table

    def give_back(self, table: Table) -> None:
        """
        The process that had a table has ended, or was not made.

        May be called again for the same process, which changes nothing.
        """
        if table.settle() and table not in self._free:
            self._free.append(table)

    def keep(self, table: Table) -> None:
        """In a process that was made: use one table, and unmap those of other processes."""
        for other in self._tables:
            if other is not table:
                other.close()
        self._tables, self._free = [table], []

    def total(self, kind: AccountKind) -> AccountCounts:
        """The sum of all accounts of a kind.  No later one is less."""
        return sum((table.total(kind) for table in self._tables), AccountCounts())

    def accounts(self, kind: AccountKind) -> dict[AccountKey, AccountCounts]:
        """The accounts of a kind that there are in any table."""
        found: dict[AccountKey, AccountCounts] = {}
        for table in self._tables:
            for name, counts in table.accounts(kind):
                key = AccountKey(kind, name)
                found[key] = found[key] + counts if key in found else counts
        return found
