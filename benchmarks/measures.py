"""
What is measured of a server, and what the figures mean.

Each measure is work that is done through the server for some seconds, and gives several figures.
What counts is the CPU time of all processes of the server, children that have ended included, for
a unit of work: on a busy machine rates and waits tell of the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.load import Load
from benchmarks.server import Server


@dataclass(frozen=True)
class Row:
    """
    One figure.

    :ivar work: what it is about; ``unit``: what it is counted in.
    :ivar digits: behind the point.
    :ivar plotted: whether it is in the plot: costs, of which less is better.
    """

    work: str
    unit: str
    digits: int = 0
    plotted: bool = False


#: All figures there are, by the names under which measures give them, in the order of the table.
ROWS: Final = {
    "rate.cost": Row("session: connect, 64 bytes and back, close", "CPU us", 0, True),
    "ping.cost": Row("round trip of 64 bytes", "CPU us", 1, True),
    "down.cost": Row("MB from target to client", "CPU us", 0, True),
    "up.cost": Row("MB from client to target", "CPU us", 0, True),
    "udp.cost": Row("datagram of 64 bytes and back", "CPU us", 1, True),
    "hold.cost": Row("idle session", "KB", 1, True),
    "rate.flow": Row("sessions", "per second"),
    "rate.p99": Row("session, 99 % within", "ms", 1),
    "ping.flow": Row("round trips", "per second"),
    "ping.p99": Row("round trip, 99 % within", "ms", 1),
    "down.flow": Row("target to client", "MB/s"),
    "up.flow": Row("client to target", "MB/s"),
    "udp.flow": Row("datagrams and back", "per second"),
    "start.cost": Row("start to the first client's answer", "CPU ms"),
    "start.wait": Row("start to the first client's answer", "ms"),
}


@dataclass(frozen=True)
class Effort:
    """
    How much is done.

    :ivar rounds: in each all servers have their turn.
    :ivar seconds: of each flow; ``sessions``: as many as there can be in a second; ``held``: idle.
    """

    rounds: int
    seconds: float
    sessions: int
    held: int


QUICK: Final = Effort(rounds=1, seconds=0.5, sessions=1000, held=200)
FULL: Final = Effort(rounds=5, seconds=3.0, sessions=8000, held=2000)


def _rate(server: Server, load: Load, effort: Effort) -> tuple[dict[str, float], int]:
    before = server.settle()
    done = load.run(server.port, effort.sessions)
    count = max(1, len(done.seconds))
    figures = {
        "rate.cost": 1e6 * (server.settle() - before) / count,
        "rate.flow": count / done.took,
        "rate.p99": done.quantile(0.99),
    }
    return figures, done.failed + done.hung


def _flow(what: str) -> Callable[[Server, Load, Effort], tuple[dict[str, float], int]]:
    def measure(server: Server, load: Load, effort: Effort) -> tuple[dict[str, float], int]:
        before = server.settle()
        done = load.flow(what, server.port, effort.seconds)
        figures = {
            f"{what}.cost": 1e6 * (server.settle() - before) / max(1e-9, done.units),
            f"{what}.flow": done.rate,
        }
        if what == "ping":
            figures["ping.p99"] = done.p99
        return figures, done.errors

    return measure


def _hold(server: Server, load: Load, effort: Effort) -> tuple[dict[str, float], int]:
    server.settle()
    before = server.memory()
    with load.hold(server.port, effort.held) as held:
        server.settle()
        grown = server.memory() - before
    return {"hold.cost": grown / max(1, held)}, effort.held - held


#: The measures by name; each gives its figures, and how many sessions failed.
MEASURES: Final = {
    "rate": _rate,
    "ping": _flow("ping"),
    "down": _flow("down"),
    "up": _flow("up"),
    "udp": _flow("udp"),
    "hold": _hold,
}
