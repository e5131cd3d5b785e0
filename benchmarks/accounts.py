"""
What it costs to count a session: ``python -m benchmarks.accounts``, a few seconds.

Counts many sessions as a server does: each belongs to accounts, is opened there, sends a request
that is performed, moves bytes and ends.  Prints CPU microseconds per session that is charged to one
account, the server's, and to three, those of its rules too; and microseconds to read all accounts
of a kind that is full.  The figures are the least of several rounds, since what else the machine
does only adds to them.

Exit status 1 if a session with three accounts costs more than :data:`MOST_MICROSECONDS`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Final

from dantetw.accounts.charging import Charging
from dantetw.accounts.table import CAPACITY, Table
from dantetw.values import AccountKind, Cause, Counts, Work

#: What a session with three accounts may cost.
MOST_MICROSECONDS: Final = 1.0
#: Sessions in a round, and rounds.
SESSIONS, ROUNDS = 100_000, 10

_CLIENT_RULE, _SOCKS_RULE = AccountKind.CLIENT_RULE, AccountKind.SOCKS_RULE
_IO, _CLOSED = Work.IO, Cause.CLOSED
_MOVED: Final = Counts(64, 64, 64, 64)


def _one(charging: Charging, sessions: int) -> None:
    for number in range(sessions):
        accounts = (charging.server,)
        charging.open(accounts)
        charging.request()
        charging.perform()
        charging.end(number, accounts, _IO, _CLOSED, _MOVED)


def _three(charging: Charging, sessions: int) -> None:
    client_rules = charging.accounts[_CLIENT_RULE]
    socks_rules = charging.accounts[_SOCKS_RULE]
    for number in range(sessions):
        accounts = (
            charging.server,
            client_rules.get("client") or charging.account(_CLIENT_RULE, "client"),
            socks_rules.get("socks") or charging.account(_SOCKS_RULE, "socks"),
        )
        charging.open(accounts)
        charging.request()
        charging.perform()
        charging.end(number, accounts, _IO, _CLOSED, _MOVED)


def _read(table: Table) -> None:
    for _ in table.accounts(AccountKind.USER):
        pass


def _least(work: Callable[[], None], rounds: int) -> float:
    """CPU microseconds of the round that took least."""
    found = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return 1e6 * min(found)


def main() -> int:
    """Measure; the exit status."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accounts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sessions", type=int, default=SESSIONS, help=f"{SESSIONS}")
    options = parser.parse_args()
    sessions: int = options.sessions
    table = Table()
    charging = Charging(table)
    one = _least(lambda: _one(charging, sessions), ROUNDS) / sessions
    three = _least(lambda: _three(charging, sessions), ROUNDS) / sessions
    charging.flush()
    for number in range(CAPACITY[AccountKind.USER]):
        charging.account(AccountKind.USER, f"user {number}")
    print(f"{one:.2f} us per session with 1 account")
    print(f"{three:.2f} us per session with 3 accounts")
    print(f"{_least(lambda: _read(table), ROUNDS):.0f} us to read {number + 1} accounts")
    return int(three > MOST_MICROSECONDS)


if __name__ == "__main__":
    raise SystemExit(main())
