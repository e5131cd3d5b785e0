"""Tests of :mod:`dantetw.accounts.charging` and :mod:`dantetw.accounts.table`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.accounts.charging import EVICTION_TRIES, Account, Charging
from dantetw.accounts.counts import OPENED, AccountCounts
from dantetw.accounts.table import CAPACITY, Table
from dantetw.values import AccountKind, Cause, Counts, Work
from tests.accounts.interleaving import at_line, killed_at_line

USER, RULE, SERVER = AccountKind.USER, AccountKind.SOCKS_RULE, AccountKind.SERVER
#: More lines than a reader or a writer of these tests comes to.
LINES = 700
BYTES, DATAGRAMS = Counts(70, 50, 50, 60), Counts(7, 5, 5, 6)


class ChargingCase(SynchronousTestCase):
    """A table with room for few users."""

    users = 3

    def setUp(self) -> None:
        self.table = Table({**CAPACITY, USER: self.users})
        self.addCleanup(self.table.close)
        self.charging = Charging(self.table)

    def charge(self, *names: str, ended: bool = True) -> list[Account]:
        """A session of each user."""
        accounts = []
        for name in names:
            account = self.charging.account(USER, name)
            self.charging.open((account,))
            if ended:
                self.charging.end(1, (account,), Work.IO, Cause.CLOSED)
            accounts.append(account)
        return accounts

    def accounts(self, kind: AccountKind = USER) -> dict[str | None, AccountCounts]:
        """The accounts that a reader finds."""
        found: dict[str | None, AccountCounts] = {}
        for name, counts in self.table.accounts(kind):
            found[name] = found.get(name, AccountCounts()) + counts
        return found

    def opened(self) -> dict[str | None, int]:
        """How many sessions a reader finds of each user."""
        return {name: counts.opened for name, counts in self.accounts().items()}


class SessionTests(ChargingCase):
    """What sessions are charged."""

    def test_story(self) -> None:
        """A session counts in all its accounts, from its beginning to its end."""
        charging = self.charging
        accounts = (charging.server, charging.account(RULE, "a"), charging.account(USER, "b"))
        charging.open(accounts)
        charging.request()
        charging.perform()
        for kind, name in ((SERVER, None), (RULE, "a"), (USER, "b")):
            self.assertEqual(self.accounts(kind)[name].open, 1)
        charging.end(1, accounts, Work.IO, Cause.TIMEOUT, BYTES, DATAGRAMS)
        charging.flush()
        for kind, name in ((SERVER, None), (RULE, "a"), (USER, "b")):
            counts = self.accounts(kind)[name]
            self.assertEqual((counts.opened, counts.open), (1, 0))
            self.assertEqual((counts.ended_by(Cause.TIMEOUT), counts.ended(Work.IO)), (1, 1))
            self.assertEqual((counts.bytes_up, counts.bytes_down), (50, 70))
            self.assertEqual((counts.datagrams_up, counts.datagrams_down), (5, 7))
        server = self.table.total(SERVER)
        self.assertEqual((server.requested, server.performed), (1, 1))

    def test_moved(self) -> None:
        """Each byte is charged once, however often a session is charged before it ends."""
        account = self.charging.account(USER, "a")
        self.charging.open((account,))
        for moved in (Counts(1, 2), Counts(1, 2), Counts(5, 9)):
            self.charging.move(1, (account,), moved, DATAGRAMS)
            self.charging.move(2, (account,), moved, Counts())
        self.charging.flush()
        self.assertEqual(self.accounts()["a"].bytes_up, 18)
        self.charging.end(1, (account,), Work.IO, Cause.CLOSED, Counts(6, 9), DATAGRAMS)
        self.charging.end(2, (account,), Work.IO, Cause.CLOSED, Counts(5, 9))
        self.charging.flush()
        counts = self.accounts()["a"]
        self.assertEqual((counts.bytes_up, counts.bytes_down), (18, 11))
        self.assertEqual((counts.datagrams_up, counts.datagrams_down), (5, 7))
        # The next session of this number is another one.
        self.charging.open((account,))
        self.charging.end(1, (account,), Work.IO, Cause.CLOSED, Counts(1, 1))
        self.charging.flush()
        self.assertEqual(self.accounts()["a"].bytes_up, 19)


class RoomTests(ChargingCase):
    """More accounts than there is room for."""

    def test_full(self) -> None:
        """Where all accounts have open sessions, "other" counts what comes."""
        self.charge("a", "b", "c", ended=False)
        self.charge("d", "e", "d")
        self.assertEqual(self.opened(), {None: 3, "a": 1, "b": 1, "c": 1})

    def test_evicted(self) -> None:
        """An account without an open session makes room; its counts go to "other"."""
        self.charge("a", "c", ended=False)
        self.charge("b")
        self.charge("d", "d")
        self.assertEqual(self.opened(), {None: 1, "a": 1, "c": 1, "d": 2})
        self.charge("b")
        self.assertEqual(self.opened(), {None: 3, "a": 1, "c": 1, "b": 1})
        self.assertEqual(self.table.total(USER).opened, 6)

    def test_bytes(self) -> None:
        """What an evicted account has moved is not lost, nor is it another account's."""
        for name in "abcde":
            account = self.charging.account(USER, name)
            self.charging.open((account,))
            self.charging.end(1, (account,), Work.IO, Cause.CLOSED, BYTES)
        self.charging.flush()
        found = {name: counts.bytes_up for name, counts in self.accounts().items()}
        self.assertEqual(found, {None: 100, "d": 50, "e": 50, "c": 50})

    def test_bounded(self) -> None:
        """However many accounts there are, few are looked at to find an idle one."""
        self.table = Table({**CAPACITY, USER: 100})
        self.charging = Charging(self.table)
        self.charge(*map(str, range(99)), ended=False)
        self.charge("idle")
        looked = []
        counts = self.table.counts
        self.patch(self.table, "counts", lambda *slot: looked.append(slot) or counts(*slot))  # type: ignore[func-returns-value]
        for number in range(100, 130):
            looked.clear()
            self.charging.account(USER, str(number))
            self.assertLessEqual(len(looked), EVICTION_TRIES)
        self.assertNotIn("idle", self.accounts())

    def test_other_kinds(self) -> None:
        """A kind that is full takes no room from others."""
        self.charge(*map(str, range(50)), ended=False)
        account = self.charging.account(RULE, "a")
        self.charging.open((account,))
        self.assertEqual(set(self.accounts(RULE)), {None, "a"})


class ReaderTests(ChargingCase):
    """A reader that reads while another process writes."""

    users = 1

    def test_at_each_line(self) -> None:
        """Whichever line the writer has come to, the sums are right, and names are whole."""
        names = ("a" * 9, "b" * 300)
        for number in range(LINES):
            before = self.table.total(USER).opened
            found: list[tuple[int, set[str | None]]] = []

            def read(found: list[tuple[int, set[str | None]]] = found) -> None:
                accounts = self.accounts()
                total = sum((each.opened for each in accounts.values()), 0)
                self.assertEqual(total, self.table.total(USER).opened)
                found.append((total, set(accounts)))

            at_line(number, lambda: self.charge(*names), read)
            ((total, seen),) = found
            self.assertTrue(before <= total <= before + 2)
            self.assertTrue(seen <= {None, *names})

    def test_in_between(self) -> None:
        """Whichever line the reader has come to, what the writer does is counted once."""
        for number in range(LINES):
            before = self.opened()
            found = at_line(number, self.opened, lambda: self.charge("a", "b"))
            total = sum(before.values())
            self.assertTrue(total <= sum(found.values()) <= total + 2, found)
            self.assertTrue(set(found) <= {None, "a", "b"})
            self.assertLessEqual(max(found.get("a", 0), found.get("b", 0)), 1)


class NextProcessTests(ChargingCase):
    """The table of a process that has ended."""

    users = 2

    def test_settled(self) -> None:
        """What was open has crashed, once; and of the server's sessions, where they were."""
        charging = self.charging
        charging.open([charging.server] * 6)
        for _ in range(4):
            charging.request()
        charging.perform()
        charging.end(1, (charging.server,), Work.NEGOTIATE, Cause.CLOSED)
        self.charge("a", ended=False)
        for _ in range(2):
            self.assertTrue(self.table.settle())
            server = self.table.total(SERVER)
            self.assertEqual([server.ended(work) for work in Work], [2, 3, 1])
            self.assertEqual(server.refused_by(Cause.CRASH), 4)
            self.assertEqual((server.ended_by(Cause.CRASH), server.open), (1, 0))
            self.assertEqual(self.accounts()["a"].ended_by(Cause.CRASH), 1)

    def test_goes_on(self) -> None:
        """The next process goes on with the accounts of the one before."""
        self.charge("a", "b", ended=False)
        self.assertTrue(self.table.settle())
        self.charging = Charging(self.table)
        self.charge("b", "b", "c")
        self.assertEqual(self.opened(), {None: 1, "b": 3, "c": 1})

    def test_killed(self) -> None:
        """Killed at any line, it leaves a table with which another process goes on."""
        number, killed = 0, True
        while killed:
            self.charging = Charging(self.table)
            killed = killed_at_line(number, lambda: self.charge("a", "b" * 300, "c", "d"))
            self.assertTrue(self.table.settle())
            total = self.table.total(USER)
            self.assertEqual(total.open, 0)
            self.assertEqual(sum(self.opened().values()), total.opened)
            self.charging = Charging(self.table)
            self.charge("a", "b" * 300, "c", "d", ended=False)
            self.assertEqual(self.table.total(USER).opened, total.opened + 4)
            self.assertEqual(self.table.total(USER).open, 4)
            self.assertTrue(self.table.settle())
            number += 1
        self.assertGreater(number, 100)

    @given(st.lists(st.tuples(st.integers(0, 2**14), st.integers(0, 2**64 - 1)), max_size=20))
    def test_hostile(self, words: list[tuple[int, int]]) -> None:
        """Whatever a process has written, the supervisor and the next process go on."""
        table = Table({**dict.fromkeys(AccountKind, 2), SERVER: 0})
        for place, word in words:
            table.cells[place % len(table.cells)] = word
        for kind in AccountKind:
            dict(table.accounts(kind))
            table.total(kind)
        if table.settle():
            charging = Charging(table)
            for kind in AccountKind:
                for name in "abc":
                    account = charging.account(kind, name)
                    charging.open((account,))
                    charging.end(1, (account,), Work.IO, Cause.CLOSED, BYTES, DATAGRAMS)
            charging.flush()
        table.close()
        table.close()

    def test_not_counted(self) -> None:
        """With numbers that nobody has counted no process goes on."""
        self.table.cells[self.charging.server.row + OPENED] = 2**61
        self.assertFalse(self.table.settle())
        self.table.cells[self.charging.server.row + OPENED] = 0
        self.assertTrue(self.table.settle())
        self.charging.request()
        self.assertFalse(self.table.settle())
