"""
Charging the sessions of a process to accounts.

A session is charged when it begins to belong to an account and when it ends, and meanwhile about
once a second with what it has moved: never for a single read or write.  Numbers of sessions are in
the table at once; bytes and datagrams are put there about once a second, by :meth:`Charging.flush`.

The number of accounts of a kind is fixed.  When all are taken, one that has no open session makes
room; when none of those that are looked at is idle, "other" counts.  So no client can make the
accounts grow, or the cost of a session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dantetw.accounts.counts import (
    BYTES_DOWN,
    BYTES_UP,
    DATAGRAMS_DOWN,
    DATAGRAMS_UP,
    ENDED,
    OPENED,
    PERFORMED,
    REQUESTED,
)
from dantetw.accounts.table import Table
from dantetw.values import AccountKind, Cause, Counts, Work

#: Accounts that are looked at to find an idle one.
EVICTION_TRIES: Final = 8

_NONE: Final = Counts()


class Account:
    """
    An account, as the process sees it that charges it.

    It may be charged as long as it has open sessions, and before any other is looked for.

    :ivar row: the index of its first count in the table; ``opened_at``: of the count of sessions.
    :ivar opened: that count, which no other process changes.
    :ivar bytes_up: bytes from clients that are not in the table yet; likewise ``bytes_down``,
        ``datagrams_up`` and ``datagrams_down``.
    """

    __slots__ = (
        "bytes_down",
        "bytes_up",
        "datagrams_down",
        "datagrams_up",
        "opened",
        "opened_at",
        "row",
    )

    def __init__(self, cells: memoryview[int], row: int) -> None:
        self.row = row
        self.opened_at = row + OPENED
        self.opened = cells[self.opened_at]
        self.bytes_up = self.bytes_down = self.datagrams_up = self.datagrams_down = 0

    def flush(self, cells: memoryview[int]) -> None:
        """Put what is not in the table yet there."""
        row = self.row
        if self.bytes_up:
            cells[row + BYTES_UP] += self.bytes_up
        if self.bytes_down:
            cells[row + BYTES_DOWN] += self.bytes_down
        if self.datagrams_up:
            cells[row + DATAGRAMS_UP] += self.datagrams_up
        if self.datagrams_down:
            cells[row + DATAGRAMS_DOWN] += self.datagrams_down
        self.bytes_up = self.bytes_down = self.datagrams_up = self.datagrams_down = 0


class Charging:
    """
    What writes to a table.

    :param table: no other process writes to it.
    :ivar server: the server's account.
    :ivar accounts: the accounts that there are, by kind and name, to save sessions a call.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._cells = table.cells
        self._others = {kind: self._account(kind, -1) for kind in AccountKind}
        self.server = self._others[AccountKind.SERVER]
        self._requested = self.server.row + REQUESTED
        self._performed = self.server.row + PERFORMED
        self.accounts: dict[AccountKind, dict[str, Account]] = {}
        # By slot; None: it is no account's.
        self._names: dict[AccountKind, list[str | None]] = {}
        self._hands = dict.fromkeys(AccountKind, 0)
        # What was charged of what a session has moved, by its number; most end before there is any.
        self._moved: dict[int, tuple[Counts, Counts]] = {}
        for kind in AccountKind:
            names = [table.name(kind, slot) for slot in range(table.used(kind))]
            self._names[kind] = names
            self.accounts[kind] = {
                name: self._account(kind, slot)
                for slot, name in enumerate(names)
                if name is not None
            }

    # Which accounts there are.

    def account(self, kind: AccountKind, name: str) -> Account:
        """
        The account of this name; "other" if there is no room for it.

        :param name: as :func:`.keys.account_name` returns it.
        """
        account = self.accounts[kind].get(name)
        if account is not None:
            return account
        table, names = self._table, self._names[kind]
        slot = len(names)
        if slot < table.capacity[kind]:
            names.append(name)
        else:
            slot = self._make_room(kind)
            if slot < 0:
                return self._others[kind]
            names[slot] = name
        table.assign(kind, slot, name)
        account = self.accounts[kind][name] = self._account(kind, slot)
        return account

    def _account(self, kind: AccountKind, slot: int) -> Account:
        return Account(self._cells, self._table.row(kind, slot))

    def _make_room(self, kind: AccountKind) -> int:
        """Evict an account that has no open session; its slot, or -1."""
        table, names, slot = self._table, self._names[kind], self._hands[kind]
        for _ in range(min(EVICTION_TRIES, len(names))):
            tried, slot = slot, (slot + 1) % len(names)
            if not table.counts(kind, tried).open:
                self._hands[kind] = slot
                name = names[tried]
                if name is not None:
                    account = self.accounts[kind].pop(name, None)
                    if account is not None:
                        account.flush(self._cells)
                    table.evict(kind, tried)
                return tried
        self._hands[kind] = slot
        return -1

    # Charging.  ``accounts`` are those that a session belongs to.

    def open(self, accounts: Sequence[Account]) -> None:
        """A session begins to belong to accounts."""
        cells = self._cells
        for account in accounts:
            account.opened = opened = account.opened + 1
            cells[account.opened_at] = opened

    def request(self) -> None:
        """A session has sent a request."""
        self._cells[self._requested] += 1

    def perform(self) -> None:
        """A session's request is performed: what it sends and receives is relayed."""
        self._cells[self._performed] += 1

    def move(
        self, number: int, accounts: Sequence[Account], counts: Counts, datagrams: Counts
    ) -> None:
        """
        Charge what a session has moved, beyond what it was charged for before.

        :param number: the session's.
        :param counts: bytes so far; ``datagrams``: none if it relays a connection.
        """
        self._charge(accounts, counts, datagrams, self._moved.get(number))
        self._moved[number] = (counts, datagrams)

    def end(
        self,
        number: int,
        accounts: Sequence[Account],
        work: Work,
        cause: Cause,
        counts: Counts = _NONE,
        datagrams: Counts = _NONE,
    ) -> None:
        """
        A session ends.

        :param work: what was being done for it; ``cause``: why it ends.
        :param counts: as :meth:`move` takes them, likewise ``datagrams``.  They may be left out if
            it was never called for the session, and nothing is to be charged.
        """
        cells, place = self._cells, ENDED[work][cause]
        if counts is _NONE:
            for account in accounts:
                cells[account.row + place] += 1
            return
        moved = self._moved.pop(number, None) if self._moved else None
        if moved is not None or datagrams is not _NONE:
            self._charge(accounts, counts, datagrams, moved)
            counts = _NONE
        up, down = counts.from_client, counts.to_client
        for account in accounts:
            cells[account.row + place] += 1
            account.bytes_up += up
            account.bytes_down += down

    def _charge(
        self,
        accounts: Sequence[Account],
        counts: Counts,
        datagrams: Counts,
        charged: tuple[Counts, Counts] | None,
    ) -> None:
        bytes_before, datagrams_before = charged or (_NONE, _NONE)
        for account in accounts:
            account.bytes_up += counts.from_client - bytes_before.from_client
            account.bytes_down += counts.to_client - bytes_before.to_client
            account.datagrams_up += datagrams.from_client - datagrams_before.from_client
            account.datagrams_down += datagrams.to_client - datagrams_before.to_client

    def flush(self) -> None:
        """Put all bytes and datagrams in the table: about once a second."""
        cells = self._cells
        for account in self._others.values():
            account.flush(cells)
        for accounts in self.accounts.values():
            for account in accounts.values():
                account.flush(cells)
