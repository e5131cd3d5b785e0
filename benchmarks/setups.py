"""
Where lines go, and what the server is put through meanwhile.

Each runs twice with the same server: sessions at a moderate rate, for what clients wait, then as
many as there can be, for what is lost and what it costs.  What is blocked is so from the start,
and freed when all sessions are over; a few more then bring the server to tell what it lost.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.accounting import Account, account, is_part
from benchmarks.destinations import (
    DEADLINE,
    Destination,
    Disk,
    Fifo,
    Pipe,
    Rotated,
    Syslog,
)
from benchmarks.load import Load, Sessions
from benchmarks.server import Server

USUAL: Final = "connect disconnect error"
EVERYTHING: Final = "connect disconnect error ioop data tcpinfo"
#: Lines that ``log:`` makes of a session that goes well: with the second, those of 64 bytes there,
#: 64 bytes back, and the client's end of file.
LINES: Final = {"": 0, USUAL: 4, EVERYTHING: 7}

#: Sessions that begin in a second while it is looked at what clients wait.
RATE: Final = 400.0


@dataclass(frozen=True)
class Setup:
    """
    A configuration and what is done to it.

    :ivar words: of ``log:``.
    :ivar make: makes the destinations; the first one is healthy.
    :ivar rotations: how often the last one is renamed, with a SIGHUP, while sessions come and go.
    :ivar private: whether it needs :func:`~benchmarks.destinations.namespace`.
    """

    name: str
    words: str
    make: Callable[[Path], Sequence[Destination]]
    rotations: int = 0
    private: bool = False


HEALTHY: Final = (
    Setup("no log", "", lambda folder: ()),
    Setup("1 file", USUAL, lambda folder: [Destination(folder)]),
    Setup(
        "4 destinations",
        USUAL,
        lambda folder: [
            Destination(folder),
            Destination(folder, label="log2"),
            Pipe(folder, label="stdout.log"),
            Syslog(folder, label="syslog.log"),
        ],
        private=True,
    ),
    Setup("everything", EVERYTHING, lambda folder: [Destination(folder)]),
)


def _beside(other: Callable[[Path, bool, str], Destination]) -> Callable[[Path], list[Destination]]:
    """A healthy file, and another destination that is blocked."""
    return lambda folder: [Destination(folder), other(folder, True, "other.log")]


FULL_PIPE: Final = Setup("stdout not read", USUAL, _beside(Pipe))
BLOCKED: Final = (
    FULL_PIPE,
    Setup("fifo not read", USUAL, _beside(Fifo)),
    Setup("syslog stopped", USUAL, _beside(Syslog), private=True),
    Setup("disk full", USUAL, _beside(Disk), private=True),
    Setup("rotated twice", USUAL, _beside(Rotated), rotations=2),
)


@dataclass
class Column:
    """
    What came out of one destination.

    :ivar expected: lines that sessions should have made; ``lost``: of those and the server's own,
        how many the server says never came out.
    :ivar missing: lines nobody accounts for.
    :ivar misplaced: lines out of order; ``twice``: there once more.
    """

    name: str
    expected: int
    account: Account
    lost: int = 0
    missing: int = 0
    misplaced: int = 0
    twice: int = 0


@dataclass
class Outcome:
    """
    What became of a set-up.

    :ivar sessions: at full rate; ``paced``: at the moderate one.
    :ivar cpu: seconds of CPU time for the former.
    """

    sessions: Sessions
    paced: Sessions
    cpu: float
    columns: list[Column] = field(default_factory=list)

    @property
    def cost(self) -> float:
        """Microseconds of CPU time for a session."""
        return 1e6 * self.cpu / max(1, len(self.sessions.seconds))


def perform(
    setup: Setup, command: str, folder: Path, load: Load, count: int, seconds: float
) -> Outcome:
    """
    Put a server through a set-up.

    :param folder: an empty one.
    :param count: sessions at full rate.
    :param seconds: how long sessions come at :data:`RATE` before.
    """
    destinations = setup.make(folder)
    server = Server(command, folder, destinations, setup.words)
    try:
        paced = load.run(server.port, int(RATE * seconds), RATE)
        before = server.settle()
        running = load.begin(server.port, count)
        for _ in range(setup.rotations):
            time.sleep(count / 10_000)
            _rotate(server, destinations)
        sessions = load.end(running)
        outcome = Outcome(sessions, paced, server.settle() - before)
        every = Sessions()
        every.add(sessions)
        every.add(paced)
        for one in destinations:
            if one.blocked:
                one.free()
                every.add(_provoke(server, destinations[0], one, load))
        if not sessions.hung:
            server.stop()
    finally:
        # One that is stuck would not hear us.
        server.kill()
    outcome.columns = judge(setup.words, destinations, every.clients)
    return outcome


def _rotate(server: Server, destinations: Sequence[Destination]) -> None:
    last = destinations[-1]
    assert isinstance(last, Rotated)
    last.rotate()
    server.send(signal.SIGHUP)


def _provoke(server: Server, healthy: Destination, freed: Destination, load: Load) -> Sessions:
    """Have sessions until the server says that a destination it complained of works again."""
    every = Sessions()
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        every.add(load.run(server.port, 10, concurrent=1))
        server.settle()
        told = healthy.text()
        complained = f'could not write to logfile "{freed.word}"' in told
        if not complained or f'can write again to logfile "{freed.word}"' in told:
            break
    return every


def judge(words: str, destinations: Sequence[Destination], clients: Counter[str]) -> list[Column]:
    """Compare what came out with what clients saw, and with the first destination."""
    columns: list[Column] = []
    for one in destinations:
        mine = account(one.text())
        column = Column(one.name, LINES[words] * clients.total(), mine)
        column.misplaced, column.twice = len(mine.misplaced), len(mine.duplicates)
        if not columns:
            unseen = (clients - mine.sessions) + (mine.sessions - clients)
            column.missing = column.expected - mine.lines or unseen.total()
        else:
            first = columns[0].account
            whole = first.without(one.word)
            # A line that was cut may look like one that was not, but the first has none like it.
            known = set(whole)
            cut = [message for message in mine.without(one.word) if message not in known]
            mine.torn += cut
            rest = [message for message in mine.without(one.word) if message in known]
            column.lost = first.lost(one.word)
            column.missing = len(whole) - column.lost - len(rest)
            if not is_part(rest, whole):
                column.misplaced += 1
            elif column.lost:
                # Those that follow a lost one are not next of their session, and yet in order.
                column.misplaced = column.twice = 0
        columns.append(column)
    return columns
