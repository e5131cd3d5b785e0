"""
What a session costs does not grow with the rules, nor with the sessions that are open.

``python -m benchmarks.flat`` from the root of the source.  Two tables:

- 10, 200 and 2,000 client rules of addresses, and as many socks rules, before the ones that let
  everybody in: CPU microseconds for a session, and as a multiple of that with 10
- 0, 1,000, 5,000 and more idle sessions, as many as the limit of open files allows at two a session
  (``ulimit -n``), then as many as it allows that negotiate and take one: CPU microseconds for
  another session, and milliseconds within which 99 % of such are done at a moderate rate

Rounds take turns, and medians count.  Exit status 1 if a figure grows by more than a quarter, if
one in a hundred had to wait :data:`MOST` milliseconds longer, or if a session failed.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.load import Load, build
from benchmarks.server import DANTETW, Server
from benchmarks.setups import RATE

RULES: Final = (10, 200, 2000)
OPEN: Final = (0, 1000, 5000)
#: Milliseconds that 99 % of new sessions may be done later, however many are open.
MOST: Final = 50.0
#: As a multiple of the figure with the fewest: more than noise.
GROWTH: Final = 1.25
#: Most sessions that are relayed, however many processes hold them.  From one address to one target
#: the kernel chooses a port from half of ``ip_local_port_range`` first, some 14,000: when these run
#: out the search for another takes five times as long as all else together.
_PORTS: Final = 10_000
#: Clients that negotiate stay, however long it takes to measure beside them.
_STAY: Final = "timeout.negotiate: 0"
#: Descriptors that are not for sessions that stay: those that come begin faster than the server
#: hears that others have gone.
_OTHERS: Final = 800


def rules(count: int) -> str:
    """So many client rules and socks rules that fit nobody here: each an address of its own."""
    hosts = [f"10.{number >> 8}.{number & 255}.1/32" for number in range(count)]
    return "\n".join(
        f"{kind} pass {{ from: {host} to: 0/0 }}" for kind in ("client", "socks") for host in hosts
    )


@contextmanager
def _server(folder: Path, text: str = "", workers: int = 1) -> Iterator[Server]:
    server = Server(f"{DANTETW} --workers {workers}", folder, rules=text)
    try:
        yield server
    finally:
        server.kill()


class Bench:
    """
    Measures, and keeps what was wrong.

    :param count: sessions at full rate, :param seconds: time at the moderate one, in each round.
    """

    def __init__(self, folder: Path, load: Load, count: int, seconds: float) -> None:
        self._folder = folder
        self._load = load
        self._count = count
        self._seconds = seconds
        self.wrong: list[str] = []

    def cost(self, server: Server, what: str) -> float:
        """CPU microseconds for a session."""
        self._load.run(server.port, self._count // 10)  # whatever is made when first used
        before = server.settle()
        done = self._load.run(server.port, self._count)
        if done.failed or done.hung:
            self.wrong.append(f"{what}: {done.failed} sessions failed, {done.hung} had no answer")
        return 1e6 * (server.settle() - before) / max(1, len(done.seconds))

    def rules(self, rounds: int) -> None:
        """The table of rules."""
        found: dict[int, list[float]] = {count: [] for count in RULES}
        for _ in range(rounds):
            for count in RULES:
                with _server(self._folder, rules(count)) as server:
                    found[count].append(self.cost(server, f"{count} rules"))
        print(f"{'rules of a kind':<18}{'CPU us':>10}{'':>8}")
        first = statistics.median(found[RULES[0]])
        for count, figures in found.items():
            self._show(f"{count}", statistics.median(figures), first, f"{count} rules")
        print()

    def open(self, rounds: int, most: int, workers: int) -> None:
        """
        The table of open sessions.

        :param most: descriptors that a process may have, be it the server's, clients' or targets'.
        :param workers: processes of the server.
        """
        relayed = min(workers * (most - _OTHERS) // 2, most - _OTHERS, _PORTS)
        counts = [*(count for count in OPEN if count < relayed), relayed]
        found: dict[str, list[tuple[float, float, float]]] = {}
        for _ in range(rounds):
            for count in counts:
                with (
                    _server(self._folder, _STAY, workers) as server,
                    self._load.hold(server.port, count) as held,
                ):
                    name = f"{held} relayed"
                    found.setdefault(name, []).append(self._beside(server, name))
            with (
                _server(self._folder, _STAY, workers) as server,
                self._load.wait(server.port, most - _OTHERS) as waiting,
            ):
                name = f"{waiting} negotiating"
                found.setdefault(name, []).append(self._beside(server, name))
        print(f"{'open sessions':<18}{'CPU us':>10}{'':>8}{'p50 ms':>9}{'p99 ms':>9}")
        first, _, alone = (
            statistics.median(column) for column in zip(*found["0 relayed"], strict=True)
        )
        for name, figures in found.items():
            cost, p50, p99 = (statistics.median(column) for column in zip(*figures, strict=True))
            self._show(name, cost, first, name, f"{p50:9.2f}{p99:9.2f}")
            if p99 > alone + MOST:
                self.wrong.append(f"{name}: one in a hundred waits {p99 - alone:.0f} ms longer")
        print()

    def _beside(self, server: Server, name: str) -> tuple[float, float, float]:
        """Cost, median and 99 % of the waits of sessions that come beside those that stay."""
        cost = self.cost(server, name)
        paced = self._load.run(server.port, int(RATE * self._seconds), RATE)
        return cost, paced.quantile(0.5), paced.quantile(0.99)

    def _show(self, name: str, cost: float, first: float, what: str, more: str = "") -> None:
        print(f"{name:<18}{cost:10.1f}{cost / first:8.2f}{more}")
        if cost > GROWTH * first:
            self.wrong.append(f"{what}: a session costs {cost / first:.2f} times as much")


def main() -> int:
    """Measure; the exit status."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--only", choices=("rules", "open"))
    parser.add_argument("--workers", type=int, default=1, help="with which sessions are open")
    options = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    rounds, count, seconds = (1, 1500, 2.0) if options.quick else (3, 6000, 5.0)
    with tempfile.TemporaryDirectory(prefix="flat-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        load = Load(build(folder))
        try:
            bench = Bench(folder, load, count, seconds)
            if options.only != "open":
                bench.rules(rounds)
            if options.only != "rules":
                bench.open(rounds, limit, options.workers)
        finally:
            load.stop()
    print("\n".join(f"wrong: {text}" for text in bench.wrong) or "nothing is wrong")
    return bool(bench.wrong)


if __name__ == "__main__":
    raise SystemExit(main())
