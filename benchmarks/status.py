"""
What clients notice of a status report: nothing, with ten thousand sessions.

``python -m benchmarks.status`` from the root of the source.  Opens idle sessions, most of them
relayed, as many as the limit of open files allows, the rest negotiating.  Beside them one client
goes there and back with 64 bytes in a session that stays, and another comes, goes there and back,
and leaves, again and again: first with the server left alone, then while it gets SIGUSR1 once a
second.  Prints milliseconds for both, each time, the worst being what counts::

    python -m benchmarks.status --sessions 10000 --seconds 10

Exit status 1 if somebody waited longer than :data:`MOST` because of the reports, or if a report
lacks a session.  Needs a C compiler.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import signal
import socket
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.destinations import DEADLINE, Destination, wait_until
from benchmarks.load import Load, build
from benchmarks.server import DANTETW, Server

#: Milliseconds that nobody may wait longer because of a report.
MOST: Final = 50.0
#: Seconds between two visits, and between two reports.
_REST, _BETWEEN = 0.002, 1.0
#: Descriptors that are not for sessions.
_OTHERS: Final = 60
_BODY: Final = b"x" * 64
_GREETING: Final = b"\x05\x01\x00"


@dataclass
class Waits:
    """Seconds of round trips in a session that stays, and of whole sessions."""

    trips: list[float] = field(default_factory=list)
    visits: list[float] = field(default_factory=list)

    def show(self, name: str) -> None:
        """Print a row for each."""
        for kind, seconds in (("round trip", self.trips), ("session", self.visits)):
            print(
                f"{name:<16}{kind:<12}{len(seconds):>8}{_part(seconds, 0.5):>9.2f}"
                f"{_part(seconds, 0.99):>9.2f}{_part(seconds, 1.0):>9.2f}"
            )

    @property
    def worst(self) -> float:
        """Milliseconds of the longest."""
        return max(_part(self.trips, 1.0), _part(self.visits, 1.0))


def _part(seconds: list[float], part: float) -> float:
    """The milliseconds within which so large a part was done."""
    return 1000 * sorted(seconds)[int(part * (len(seconds) - 1))]


def _arrive(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), DEADLINE)


def _hear(sock: socket.socket, count: int) -> None:
    while count:
        got = len(sock.recv(count))
        if not got:
            raise ConnectionError("the server has closed")
        count -= got


def _join(sock: socket.socket, target: int) -> None:
    """From the greeting to a relay."""
    sock.sendall(_GREETING)
    _hear(sock, 2)
    sock.sendall(b"\x05\x01\x00\x01\x7f\x00\x00\x01" + target.to_bytes(2, "big"))
    _hear(sock, 10)


def _trip(sock: socket.socket) -> None:
    sock.sendall(_BODY)
    _hear(sock, len(_BODY))


def _probe(port: int, target: int, seconds: float, pid: int = 0) -> Waits:
    """
    Visit for so long.

    :param pid: of the server, if it is to report meanwhile.
    """
    waits, clock = Waits(), time.perf_counter
    end, due = clock() + seconds, clock()
    with _arrive(port) as stays:
        stays.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _join(stays, target)
        while (begun := clock()) < end:
            if pid and begun >= due:
                due += _BETWEEN
                os.kill(pid, signal.SIGUSR1)
            begun = clock()
            _trip(stays)
            done = clock()
            waits.trips.append(done - begun)
            with _arrive(port) as visitor:
                _join(visitor, target)
                _trip(visitor)
            waits.visits.append(clock() - done)
            time.sleep(_REST)
    return waits


def main() -> int:
    """Measure; the exit status."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10.0, help="of visits, each time")
    options = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    count = options.sessions
    relayed = min(count, limit - _OTHERS - count)
    if relayed < 0:
        parser.error(f"only {limit} files can be open")
    with tempfile.TemporaryDirectory(prefix="status-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        load = Load(build(folder))
        try:
            log = Destination(folder)
            server = Server(DANTETW, folder, [log], "")
            try:
                wrong = _measure(server, load, log, count, relayed, options.seconds)
            finally:
                server.kill()
        finally:
            load.stop()
    print("\n" + ("\n".join(f"wrong: {text}" for text in wrong) or "nothing is wrong"))
    return bool(wrong)


def _measure(
    server: Server, load: Load, log: Destination, count: int, relayed: int, seconds: float
) -> list[str]:
    """Print the table; what was wrong."""
    gc.disable()
    with load.hold(server.port, relayed), load.wait(server.port, count - relayed):
        print(f"{relayed} sessions relayed and {count - relayed} negotiating, all idle\n")
        print(f"{'':<16}{'':<12}{'number':>8}{'p50 ms':>9}{'p99 ms':>9}{'worst':>9}")
        alone = _probe(server.port, load.target, seconds)
        alone.show("left alone")
        reporting = _probe(server.port, load.target, seconds, server.pid)
        reporting.show("reporting")
        server.settle()
        lines = log.text().splitlines()
        begun = server.cpu()
        server.send(signal.SIGUSR1)
        wait_until(lambda: server.cpu() > begun, "a report")
        cost = server.settle() - begun
    reports = sum(" up " in line and "dantetw v" in line for line in lines)
    told = sum("age: " in line or "negotiating for" in line for line in lines)
    print(f"\n{reports} reports with {told / max(reports, 1):.0f} sessions each", end="")
    print(f", each takes {cost:.2f} s of CPU time, {1e6 * cost / count:.0f} us a session")
    wrong = []
    if reporting.worst > alone.worst + MOST:
        wrong.append(f"somebody waited {reporting.worst:.0f} ms")
    if not reports or told < reports * count:
        wrong.append("a session is missing in a report")
    return wrong


if __name__ == "__main__":
    raise SystemExit(main())
