"""
Clients and their target: ``sessions.c`` beside this file, compiled with ``cc``.

In C, so that what is measured is the server's time and not that of its clients.
"""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_SOURCE: Final = Path(__file__).with_name("sessions.c")


@dataclass
class Sessions:
    """
    What clients saw.

    :ivar clients: how many sessions each client's address and port had that succeeded.
    :ivar seconds: of each of those, from its beginning to the last byte back.
    :ivar failed: refused or broken off; ``hung``: without an answer.
    """

    clients: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    failed: int = 0
    hung: int = 0

    def add(self, other: Sessions) -> None:
        """Count those of another run too."""
        self.clients += other.clients
        self.seconds += other.seconds
        self.failed += other.failed
        self.hung += other.hung

    def quantile(self, part: float) -> float:
        """The milliseconds within which so large a part of the sessions was done; 0 of none."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[int(part * (len(ordered) - 1))] if ordered else 0.0


def build(folder: Path) -> Path:
    """
    Compile the program.

    :raises SystemExit: there is no compiler.
    """
    if shutil.which("cc") is None:
        raise SystemExit("a C compiler is needed: cc")
    program = folder / "sessions"
    subprocess.run(["cc", "-O2", "-Wall", "-o", program, _SOURCE], check=True)
    return program


class Load:
    """A target, and clients that go there through a server."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._target = subprocess.Popen([program, "target"], stdout=subprocess.PIPE, text=True)
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
            [self._program, "run", *map(str, numbers)], stdout=subprocess.PIPE, text=True
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
            else:
                sessions.clients[name] += 1
                sessions.seconds.append(int(number) / 1e6)
        return sessions

    def run(self, port: int, count: int, rate: float = 0.0, concurrent: int = 50) -> Sessions:
        """Have so many sessions."""
        return self.end(self.begin(port, count, rate, concurrent))

    def stop(self) -> None:
        """End the target."""
        self._target.kill()
        self._target.communicate()
