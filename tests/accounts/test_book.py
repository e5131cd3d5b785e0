"""Tests of :mod:`dantetw.accounts.book`: several processes, their ends, and those that read."""

from __future__ import annotations

import os
import select
import signal
import time
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from dantetw.accounts.book import Book
from dantetw.accounts.charging import Account, Charging
from dantetw.accounts.counts import AccountCounts
from dantetw.accounts.keys import AccountKey, account_name
from dantetw.accounts.table import CAPACITY, Table
from dantetw.values import AccountKind, Cause, Counts, Work
from tests.accounts.interleaving import at_line, killed_at_line

SERVER, USER, RULE = AccountKind.SERVER, AccountKind.USER, AccountKind.SOCKS_RULE
KINDS = (SERVER, USER, RULE)
#: Users, more than there is room for; rules, as many as there is room for.
USERS = tuple(account_name(f"user {number}" * 10**number) for number in range(4))
RULES = ("a", "b")
SMALL = {**dict.fromkeys(AccountKind, len(RULES)), SERVER: 0}


@dataclass
class OpenSession:
    """A session; ``moved``: how many bytes, which it has been charged for."""

    number: int
    accounts: list[Account]
    rule: str
    performed: bool = False
    moved: int = 0


@dataclass
class Process:
    """A process that serves clients; ``unflushed``: bytes by rule that are not in the table."""

    table: Table
    charging: Charging
    sessions: list[OpenSession] = field(default_factory=list)
    unflushed: dict[str, int] = field(default_factory=dict)


class Processes(RuleBasedStateMachine):
    """Any order of what processes do; the model counts along."""

    def __init__(self) -> None:
        super().__init__()
        self.book = Book(SMALL)
        self.processes: list[Process] = []
        self.ended: list[Table] = []
        self.number = 0
        # What was counted: sessions opened by kind, sessions crashed, sessions and bytes by rule.
        self.opened = dict.fromkeys(KINDS, 0)
        self.crashed = 0
        self.rules = dict.fromkeys(RULES, 0)
        self.bytes = dict.fromkeys(RULES, 0)
        self.totals = dict.fromkeys(KINDS, AccountCounts())
        self.read_rules: dict[AccountKey, AccountCounts] = {}

    @initialize()
    def begin(self) -> None:
        """There is one process at least."""
        self.start()

    @precondition(lambda self: len(self.processes) < 4)
    @rule()
    def start(self) -> None:
        """A process begins."""
        table = self.book.take()
        assert all(process.table is not table for process in self.processes)
        self.processes.append(Process(table, Charging(table)))

    def chosen(self, which: int) -> Process | None:
        """One of the processes."""
        return self.processes[which % len(self.processes)] if self.processes else None

    @rule(which=st.integers(0, 3), user=st.sampled_from(USERS), name=st.sampled_from(RULES))
    def open(self, which: int, user: str, name: str) -> None:
        """A session begins."""
        if (process := self.chosen(which)) is not None:
            self.number += 1
            charging = process.charging
            accounts = [charging.server, charging.account(USER, user), charging.account(RULE, name)]
            charging.open(accounts)
            process.sessions.append(OpenSession(self.number, accounts, name))
            self.rules[name] += 1
            for kind in KINDS:
                self.opened[kind] += 1

    @rule(which=st.integers(0, 3), data=st.data())
    def perform(self, which: int, data: st.DataObject) -> None:
        """A session's request is performed."""
        process = self.chosen(which)
        if process is not None and process.sessions:
            session = data.draw(st.sampled_from(process.sessions))
            if not session.performed:
                session.performed = True
                process.charging.request()
                process.charging.perform()

    def move_on(self, process: Process, session: OpenSession, moved: int) -> Counts:
        """A session moves so many bytes; all that it has moved."""
        session.moved += moved
        process.unflushed[session.rule] = process.unflushed.get(session.rule, 0) + moved
        return Counts(from_client=session.moved)

    @rule(which=st.integers(0, 3), data=st.data(), moved=st.integers(0, 9))
    def move(self, which: int, data: st.DataObject, moved: int) -> None:
        """A session is charged with what it has moved."""
        process = self.chosen(which)
        if process is not None and process.sessions:
            session = data.draw(st.sampled_from(process.sessions))
            counts = self.move_on(process, session, moved)
            process.charging.move(session.number, session.accounts, counts, Counts())

    @rule(which=st.integers(0, 3), data=st.data(), moved=st.integers(0, 9))
    def end(self, which: int, data: st.DataObject, moved: int) -> None:
        """A session ends."""
        process = self.chosen(which)
        if process is not None and process.sessions:
            session = data.draw(st.sampled_from(process.sessions))
            process.sessions.remove(session)
            counts = self.move_on(process, session, moved)
            work = Work.IO if session.performed else Work.NEGOTIATE
            charging = process.charging
            charging.end(session.number, session.accounts, work, Cause.CLOSED, counts)

    @rule(which=st.integers(0, 3))
    def flush(self, which: int) -> None:
        """A second has passed."""
        if (process := self.chosen(which)) is not None:
            process.charging.flush()
            for name, moved in process.unflushed.items():
                self.bytes[name] += moved
            process.unflushed.clear()

    @rule(which=st.integers(0, 3))
    def die(self, which: int) -> None:
        """A process dies."""
        if (process := self.chosen(which)) is not None:
            self.processes.remove(process)
            self.crashed += len(process.sessions)
            self.book.give_back(process.table)
            self.book.give_back(process.table)

    @rule(which=st.integers(0, 3), line=st.integers(0, 60), user=st.sampled_from(USERS))
    def die_while(self, which: int, line: int, user: str) -> None:
        """A process dies between two lines that count a session."""
        if self.chosen(which) is not None:
            if killed_at_line(line, lambda: self.open(which, user, "a")):
                # The session may be counted in some of its accounts, in their order.
                counted = [self.book.total(kind).opened - self.opened[kind] for kind in KINDS]
                assert counted in ([0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1])
                for kind, number in zip(KINDS, counted, strict=True):
                    self.opened[kind] += number
                self.rules["a"] += counted[KINDS.index(RULE)]
                self.crashed += counted[0]
            self.die(which)

    @rule(which=st.integers(0, 3), line=st.integers(0, 200), user=st.sampled_from(USERS))
    def read_while(self, which: int, line: int, user: str) -> None:
        """A process counts a session while another reads."""
        before = self.opened[USER]
        accounts = at_line(
            line, lambda: self.book.accounts(USER), lambda: self.open(which, user, "b")
        )
        assert before <= sum(counts.opened for counts in accounts.values()) <= self.opened[USER]

    @invariant()
    def never_down(self) -> None:
        """No total is ever less than it was, nor is an account that is not evicted."""
        for kind in KINDS:
            total = self.book.total(kind)
            assert grown(total, self.totals[kind])
            self.totals[kind] = total
            accounts = self.book.accounts(kind)
            assert sum(accounts.values(), AccountCounts()) == total
            if kind is RULE:
                for key, counts in self.read_rules.items():
                    assert grown(accounts[key], counts)
                self.read_rules = accounts

    @invariant()
    def exact(self) -> None:
        """All that was counted is there, in each kind, once."""
        still_open = sum(len(process.sessions) for process in self.processes)
        for kind in KINDS:
            total = self.book.total(kind)
            assert (total.opened, total.open) == (self.opened[kind], still_open)
        server = self.book.total(SERVER)
        crashed = server.ended_by(Cause.CRASH) + server.refused_by(Cause.CRASH)
        assert crashed == self.crashed
        accounts = self.book.accounts(RULE)
        for name in RULES:
            counts = accounts.get(AccountKey(RULE, name), AccountCounts())
            assert (counts.opened, counts.bytes_up) == (self.rules[name], self.bytes[name])

    def teardown(self) -> None:
        """No more tables were made than there were processes."""
        assert len(self.book._tables) <= 4


class AnyOrderTests(SynchronousTestCase):
    """Processes that begin, count, read and die in any order."""

    def test_any_order(self) -> None:
        """The sums are exact at any time, and never go down."""
        run_state_machine_as_test(Processes, settings=settings(deadline=None))


class BookTests(SynchronousTestCase):
    """Who has which table."""

    def test_next(self) -> None:
        """A table that was given back is the next process's, but not that of two."""
        book = Book()
        one, two = book.take(), book.take()
        book.give_back(one)
        book.give_back(one)
        self.assertIs(book.take(), one)
        self.assertNotIn(book.take(), (one, two))

    def test_unsound(self) -> None:
        """With a table in which nobody could have counted no process goes on."""
        book = Book()
        table = book.take()
        Charging(table).request()
        book.give_back(table)
        self.assertIsNot(book.take(), table)

    def test_kept(self) -> None:
        """A process that was made cannot write what others count."""
        book = Book()
        one, two = book.take(), book.take()
        book.keep(one)
        Charging(one)
        self.assertRaises(ValueError, Charging, two)
        self.assertEqual(book.total(SERVER).opened, 0)


def grown(new: AccountCounts, old: AccountCounts) -> bool:
    """Whether no count is less than it was."""
    return all(now >= before for now, before in zip(new.words, old.words, strict=True))


#: Sessions that a process counts between two signs of life, and processes in all.
SESSIONS, LIVES = 50, 12


class KilledTests(SynchronousTestCase):
    """Real processes, which are killed while they count."""

    def setUp(self) -> None:
        if not hasattr(os, "fork"):
            raise SkipTest("this system has no fork")
        self.book = Book({**CAPACITY, USER: 8})
        self.totals = dict.fromkeys(KINDS, AccountCounts())
        self.reads = 0

    def count(self, table: Table, pipe: int) -> None:
        """Count sessions for ever, and tell how many."""
        charging = Charging(table)
        number = 0
        while True:
            for _ in range(SESSIONS):
                number += 1
                user = charging.account(USER, f"user {number % 13}")
                accounts = (charging.server, user, charging.account(RULE, "rule"))
                charging.open(accounts)
                charging.request()
                charging.perform()
                charging.end(number, accounts, Work.IO, Cause.CLOSED, Counts(3, 2, 2, 3))
            charging.flush()
            os.write(pipe, bytes([1]))

    def start(self) -> tuple[int, int, Table]:
        """A process, the pipe that it tells by, and its table."""
        table = self.book.take()
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                self.book.keep(table)
                self.count(table, writing)
            finally:
                os._exit(1)
        os.close(writing)
        return pid, reading, table

    def read(self) -> None:
        """Read all accounts; none of their sums is less than before."""
        self.reads += 1
        for kind in KINDS:
            accounts = sum(self.book.accounts(kind).values(), AccountCounts())
            for total in (accounts, self.book.total(kind)):
                self.assertTrue(grown(total, self.totals[kind]), (kind, total, self.totals[kind]))
                self.assertGreaterEqual(total.open, 0)
                self.totals[kind] = total

    def test_killed(self) -> None:
        """The sums never go down, and in the end miss nothing that was told."""
        told = 0
        living = [self.start() for _ in range(3)]
        for life in range(LIVES):
            until = time.monotonic() + 0.1
            while time.monotonic() < until:
                self.read()
                ready, _, _ = select.select([pipe for _, pipe, _ in living], [], [], 0.0)
                for pipe in ready:
                    told += len(os.read(pipe, 4096))
            pid, pipe, table = living.pop(0)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            while data := os.read(pipe, 65536):
                told += len(data)
            os.close(pipe)
            self.book.give_back(table)
            if life < LIVES - 3:
                living.append(self.start())
            self.read()
        self.assertEqual(living, [])
        server = self.book.total(SERVER)
        self.assertEqual(server.open, 0)
        # Each was killed within a round, or between it and the word of it.
        self.assertGreaterEqual(server.opened, told * SESSIONS)
        self.assertLessEqual(server.opened, (told + 2 * LIVES) * SESSIONS)
        self.assertLessEqual(server.ended_by(Cause.CRASH), LIVES)
        crashed = server.ended_by(Cause.CRASH) + server.refused_by(Cause.CRASH)
        self.assertEqual(server.ended_by(Cause.CLOSED) + crashed, server.opened)
        for kind in KINDS:
            total = self.book.total(kind)
            self.assertEqual(total.open, 0)
            self.assertLessEqual(abs(total.opened - server.opened), LIVES)
            # Bytes are told when they are flushed.
            self.assertGreaterEqual(total.bytes_up, 2 * told * SESSIONS)
            self.assertEqual(total.bytes_up % 2, 0)
            self.assertLessEqual(total.bytes_up, 2 * server.opened)
        self.assertGreater(told, LIVES)
        self.assertGreater(self.reads, LIVES)
