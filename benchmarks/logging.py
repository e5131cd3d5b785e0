"""
Lines of the log: whether any is missing, torn or out of order, and what one costs.

``python -m benchmarks.logging`` from the root of the source; not ``python benchmarks/logging.py``,
which would put a module of this name in the way of Python's own.  Starts the server again and
again, with each set-up of :mod:`benchmarks.setups`, and prints a table:

The first three set-ups and "everything" are healthy.  In the others one destination is blocked and
later freed, beside a file that is to have every line.

- ``sessions``: those that succeeded at full rate; at the moderate rate there are more
- ``expected``: lines that all sessions together should have made; ``found``: those that came out;
  ``lost``: lines, the server's own included, that it says never will; ``missing``: lines that
  nobody accounts for, to be 0
- ``torn``, ``order``, ``twice``: lines that are no line, not the next one of their session, there
  once more; a disk that is full cuts one line, which is told as lost
- ``us/session``: CPU time of the server at full rate; ``us/line``: what the log added to it, for
  each line and destination (negative: noise)
- ``p50``, ``p99``: milliseconds to the last byte back, at the moderate rate

Exit status 1 if a line is missing, or wrong but for the cut one, or lost where nothing was blocked,
or if a session failed.  Dante's faults do not count.

Needs a C compiler and, for syslog and the disk, a mount namespace; what needs one is left out where
there is none.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
from collections.abc import Iterable
from pathlib import Path

from benchmarks.destinations import why_no_namespace
from benchmarks.load import Load, Sessions, build
from benchmarks.server import DANTED, DANTETW
from benchmarks.setups import (
    BLOCKED,
    EVERYTHING,
    FULL_PIPE,
    HEALTHY,
    LINES,
    RATE,
    Column,
    Outcome,
    Setup,
    perform,
)

_HEAD = (
    f"{'set-up':<16}{'destination':<14}{'sessions':>8}{'expected':>9}{'found':>8}{'lost':>7}"
    f"{'missing':>8}{'torn':>5}{'order':>6}{'twice':>6}{'us/session':>11}{'us/line':>8}"
    f"{'p50':>7}{'p99':>7}"
)


class Bench:
    """
    Runs set-ups and keeps what became of them.

    :param count: sessions at full rate, :param seconds: time at the moderate one, in each run.
    """

    def __init__(self, folder: Path, load: Load, count: int, seconds: float) -> None:
        self._folder = folder
        self._load = load
        self._count = count
        self._seconds = seconds
        self._number = 0
        self.faults: list[str] = []

    def run(self, setup: Setup, command: str) -> Outcome:
        """One run of a set-up."""
        self._number += 1
        folder = self._folder / str(self._number)
        folder.mkdir()
        # Its lines are ten times as long.
        count = self._count // 3 if setup.words == EVERYTHING else self._count
        return perform(setup, command, folder, self._load, count, self._seconds)

    def rounds(
        self, setups: Iterable[Setup], command: str, rounds: int
    ) -> dict[str, list[Outcome]]:
        """Several runs of each set-up, in turn: machines change their pace."""
        setups = list(setups)
        found: dict[str, list[Outcome]] = {setup.name: [] for setup in setups}
        for _ in range(rounds):
            for setup in setups:
                found[setup.name].append(self.run(setup, command))
        return found

    def show(self, setup: Setup, outcomes: list[Outcome], silent: float) -> None:
        """
        Print what became of a set-up, and note what is wrong.

        :param silent: microseconds of a session with no log.
        """
        cost = statistics.median(outcome.cost for outcome in outcomes)
        paced = Sessions()
        for outcome in outcomes:
            paced.add(outcome.paced)
        columns = list(zip(*(outcome.columns for outcome in outcomes), strict=True))
        lines = LINES[setup.words] * len(columns)
        each = f"{(cost - silent) / lines:8.2f}" if lines else " " * 8
        done = sum(len(outcome.sessions.seconds) for outcome in outcomes)
        latency = f"{paced.quantile(0.5):7.2f}{paced.quantile(0.99):7.2f}"
        if not columns:
            print(f"{setup.name:<30}{done:8}{'':49}{cost:11.1f}{each}{latency}")
        for place, column in enumerate(columns):
            text = self._figures(setup, column)
            if place == 0:
                print(
                    f"{setup.name:<16}{column[0].name:<14}{done:8}{text}{cost:11.1f}{each}{latency}"
                )
            else:
                print(f"{'':<16}{column[0].name:<14}{'':8}{text}")
        for outcome in outcomes:
            for sessions in (outcome.sessions, outcome.paced):
                if sessions.failed or sessions.hung:
                    print(f"  {sessions.failed} sessions failed, {sessions.hung} had no answer")
                    self.faults.append(f"{setup.name}: sessions without success")

    def _figures(self, setup: Setup, columns: tuple[Column, ...]) -> str:
        expected = sum(column.expected for column in columns)
        found = sum(column.account.lines for column in columns)
        lost = sum(column.lost for column in columns)
        missing = sum(abs(column.missing) for column in columns)
        torn = sum(len(column.account.torn) for column in columns)
        misplaced = sum(column.misplaced for column in columns)
        twice = sum(column.twice for column in columns)
        cut = len(columns) if columns[0].name == "full disk" else 0
        if missing or torn > cut or misplaced or twice:
            self.faults.append(f"{setup.name}: {columns[0].name}: lines missing or wrong")
        if lost and setup in HEALTHY:
            self.faults.append(f"{setup.name}: {columns[0].name}: lines lost, and nothing blocked")
        return f"{expected:9}{found:8}{lost:7}{missing:8}{torn:5}{misplaced:6}{twice:6}"


def compare(
    bench: Bench, healthy: list[Setup], ours: dict[str, list[Outcome]], rounds: int
) -> None:
    """Run Dante, and print what it costs beside ours, and what a full pipe does to it."""
    setups = [setup for setup in healthy if setup.words != EVERYTHING]
    theirs = bench.rounds(setups, DANTED, rounds)
    silent = statistics.median(outcome.cost for outcome in theirs["no log"])
    print("\nDante:\n")
    for setup in setups:
        bench.show(setup, theirs[setup.name], silent)
    stuck = bench.run(FULL_PIPE, DANTED)
    hung = stuck.paced.hung + stuck.sessions.hung
    print(f"{FULL_PIPE.name}: {hung} clients were under way and had no answer, then we gave up")
    print("\nDante's CPU time for a session, as a multiple of ours:\n")
    for setup in setups:
        other, own = (
            statistics.median(outcome.cost for outcome in outcomes[setup.name])
            for outcomes in (theirs, ours)
        )
        print(f"{setup.name:<16}{other / own:6.2f}")


def main() -> int:
    """Run everything; the exit status."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one short round: half a minute")
    parser.add_argument("--danted", action="store_true", help="run Dante too, if it is installed")
    parser.add_argument(
        "--command", default=DANTETW, help="the server, with {config} for its configuration"
    )
    options = parser.parse_args()
    if options.danted and shutil.which("danted") is None:
        parser.error("danted is not installed, or not in PATH")
    rounds, count, seconds = (1, 2400, 1.0) if options.quick else (3, 4000, 2.0)
    with tempfile.TemporaryDirectory(prefix="logging-") as name:
        folder = Path(name)
        # Servers become somebody else.
        folder.chmod(0o755)
        obstacle = why_no_namespace(folder)
        load = Load(build(folder))
        try:
            bench = Bench(folder, load, count, seconds)
            print(
                f"{rounds} rounds of {count} sessions at full rate and {seconds:g} s of {RATE:g}"
                f" a second; load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs\n"
            )
            if obstacle:
                print(f"without syslog and the disk: {obstacle}\n")
            print(_HEAD)
            healthy = [setup for setup in HEALTHY if not (obstacle and setup.private)]
            ours = bench.rounds(healthy, options.command, rounds)
            silent = statistics.median(outcome.cost for outcome in ours["no log"])
            for setup in healthy:
                bench.show(setup, ours[setup.name], silent)
            for setup in BLOCKED:
                if not (obstacle and setup.private):
                    bench.show(setup, [bench.run(setup, options.command)], silent)
            faults = list(bench.faults)
            if options.danted:
                compare(bench, healthy, ours, rounds)
        finally:
            load.stop()
    print("\n" + ("\n".join(f"wrong: {fault}" for fault in faults) or "nothing is wrong"))
    return bool(faults)


if __name__ == "__main__":
    raise SystemExit(main())
