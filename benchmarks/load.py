"""
Clients and their target: ``sessions.c`` and ``flows.c`` beside this file, compiled with ``cc``.

In C, so that what is measured is the server's time and not that of its clients.
"""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.destinations import DEADLINE

_PROGRAMS: Final = ("sessions", "flows")

#: Sessions of a :meth:`Load.flow` by what they do: those that fill a link need no company.
FLOWS: Final = {"ping": 50, "down": 4, "up": 4, "udp": 4}


@dataclass
class Sessions:
    """
    What clients saw.

    :ivar clients: how many sessions each client's address and port had that succeeded.
    :ivar seconds: of each of those, from its beginning to the last byte back.
    :ivar failed: refused or broken off; ``hung``: without an answer.
    :ivar took: seconds from the first one's beginning to the last one's end.
    """

    clients: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    failed: int = 0
    hung: int = 0
    took: float = 0.0

    def add(self, other: Sessions) -> None:
        """Count those of another run too."""
        self.clients += other.clients
        self.seconds += other.seconds
        self.failed += other.failed
        self.hung += other.hung
        self.took += other.took

    def quantile(self, part: float) -> float:
        """The milliseconds within which so large a part of the sessions was done; 0 of none."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[int(part * (len(ordered) - 1))] if ordered else 0.0


@dataclass(frozen=True)
class Flow:
    """
    What sessions did that stay open.

    :ivar units: round trips, megabytes or datagrams, from the beginning; ``rate``: of these, in a
        second, when all were open.
    :ivar p99: milliseconds within which 99 % of the round trips were done.
    :ivar errors: sessions that were refused or broken off.
    """

    units: float
    rate: float
    p99: float
    errors: int


def build(folder: Path) -> Path:
    """
    Compile the programs; where they are.

    :raises SystemExit: there is no compiler.
    """
    if shutil.which("cc") is None:
        raise SystemExit("a C compiler is needed: cc")
    for name in _PROGRAMS:
        source = Path(__file__).with_name(f"{name}.c")
        subprocess.run(["cc", "-O2", "-Wall", "-o", folder / name, source], check=True)
    return folder


class Load:
    """A target, and clients that go there through a server."""

    def __init__(self, programs: Path) -> None:
        self._sessions, self._flows = (programs / name for name in _PROGRAMS)
        self._target = subprocess.Popen([self._flows, "target"], stdout=subprocess.PIPE, text=True)
        assert self._target.stdout is not None
        self.target = int(self._target.stdout.readline())

    def begin(
        self, port: int, count: int, rate: float = 0.0, concurrent: int = 50
    ) -> subprocess.Popen[str]:
        """
        Begin so many sessions; :meth:`end` waits for them.

        :param rate: how many begin in a second; 0: as many as can.
        """
        numbers = (port, self.target, count, concurrent, rate)
        return subprocess.Popen(
            [self._sessions, *map(str, numbers)], stdout=subprocess.PIPE, text=True
        )

    def end(self, running: subprocess.Popen[str]) -> Sessions:
        """What became of the sessions."""
        told, _ = running.communicate()
        sessions = Sessions()
        for line in told.splitlines():
            name, number = line.split()
            if name == "failed":
                sessions.failed = int(number)
            elif name == "hung":
                sessions.hung = int(number)
            elif name == "took":
                sessions.took = int(number) / 1e6
            else:
                sessions.clients[name] += 1
                sessions.seconds.append(int(number) / 1e6)
        return sessions

    def run(self, port: int, count: int, rate: float = 0.0, concurrent: int = 50) -> Sessions:
        """Have so many sessions."""
        return self.end(self.begin(port, count, rate, concurrent))

    def flow(self, what: str, port: int, seconds: float) -> Flow:
        """
        Have sessions that stay open do something for so long.

        :param what: a name of :data:`FLOWS`.
        """
        numbers = (port, self.target, FLOWS[what], seconds)
        told = subprocess.run(
            [self._flows, what, *map(str, numbers)], stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        figures = {name: float(value) for name, value in map(str.split, told.splitlines())}
        return Flow(
            units=figures["units"],
            rate=figures["per_s"],
            p99=figures["p99_us"] / 1000,
            errors=int(figures["errors"]),
        )

    def hold(self, port: int, count: int) -> AbstractContextManager[int]:
        """Sessions that are relayed and idle meanwhile; how many there are."""
        return self._hold("hold", port, count)

    def wait(self, port: int, count: int) -> AbstractContextManager[int]:
        """Clients that have said no more than their greeting meanwhile; how many there are."""
        return self._hold("wait", port, count)

    @contextmanager
    def _hold(self, how: str, port: int, count: int) -> Iterator[int]:
        numbers = (port, self.target, count, DEADLINE)
        holding = subprocess.Popen(
            [self._flows, how, *map(str, numbers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert holding.stdout is not None
            yield int(holding.stdout.readline().removeprefix("held "))
        finally:
            holding.communicate()

    def stop(self) -> None:
        """End the target."""
        self._target.kill()
        self._target.communicate()
