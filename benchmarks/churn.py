"""
Memory while clients come and go: ``python -m benchmarks.churn --seconds 3600 --csv churn.csv``.

Sessions begin at a steady rate, with a log; beside them come clients of other kinds: some whose
target refuses them, some with names, datagrams, a BIND that nobody answers, half a request, or
nonsense.  After each period a line is written: seconds since the start, sessions so far, kilobytes
of memory that the server has made for itself (``Anonymous``: programs that begin elsewhere change
the share of the rest), its open files, its CPU microseconds for a session, and the milliseconds
within which 99 % of the sessions were done.

Exit status 1 if, after the first third, memory grew by more than :data:`MOST` in an hour, a
descriptor was left open, or a session failed.
"""

from __future__ import annotations

import argparse
import csv
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Final, TextIO

from benchmarks.destinations import DEADLINE, Destination, wait_until
from benchmarks.load import Load, build
from benchmarks.server import DANTETW, Server, free_port

#: Kilobytes that the server may grow in an hour of churn.
MOST: Final = 2048.0
#: Sessions that begin in a second, and clients of each other kind in a period.
RATE, OTHERS = 200.0, 10
#: Seconds from one line to the next, and how many lines it takes to see a trend.
PERIOD, ENOUGH = 15.0, 40

FIELDS: Final = ("seconds", "sessions", "memory_kb", "files", "cpu_us", "p99_ms")

_GREETING: Final = b"\x05\x01\x00"
_LOOPBACK: Final = b"\x00\x01\x7f\x00\x00\x01"


def _visit(port: int, *sent: bytes) -> None:
    """One client that says this, hears an answer to each, and leaves."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as client:
        for data in sent:
            client.sendall(data)
            client.recv(512)


def _refused(port: int, target: int) -> None:
    _visit(port, _GREETING, b"\x05\x01" + _LOOPBACK + free_port().to_bytes(2, "big"))


def _named(port: int, target: int) -> None:
    name = b"\x00\x03\x09localhost" + target.to_bytes(2, "big")
    _visit(port, _GREETING, b"\x05\x01" + name, bytes(64))


def _answered_bind(port: int, target: int) -> None:
    _visit(port, _GREETING, b"\x05\x02" + _LOOPBACK + target.to_bytes(2, "big"))


def _halved(port: int, target: int) -> None:
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as client:
        client.sendall(_GREETING + b"\x05\x01")
        client.recv(2)


def _nonsense(port: int, target: int) -> None:
    with suppress(ConnectionError):
        _visit(port, b"GET / HTTP/1.0\r\n\r\n")


def _half_closed(port: int, target: int) -> None:
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as client:
        client.sendall(_GREETING)
        client.recv(2)
        client.sendall(b"\x05\x01" + _LOOPBACK + target.to_bytes(2, "big"))
        client.recv(10)
        client.sendall(bytes(64))
        client.shutdown(socket.SHUT_WR)
        while client.recv(4096):
            pass


def _associated(port: int, target: int) -> None:
    with (
        socket.create_connection(("127.0.0.1", port), DEADLINE) as client,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
    ):
        client.sendall(_GREETING)
        client.recv(2)
        client.sendall(b"\x05\x03\x00\x01" + bytes(6))
        heard = client.recv(10)
        relay = ("127.0.0.1", int.from_bytes(heard[-2:], "big"))
        for _ in range(3):
            datagrams.sendto(b"\x00\x00" + _LOOPBACK + target.to_bytes(2, "big") + b"x", relay)
        time.sleep(0.01)


_KINDS: Final[tuple[Callable[[int, int], None], ...]] = (
    _refused,
    _named,
    _answered_bind,
    _halved,
    _nonsense,
    _half_closed,
    _associated,
)


class Churn:
    """
    A server whose clients come and go, and its curve.

    :ivar rows: of each period what :data:`FIELDS` names.
    """

    def __init__(self, server: Server, load: Load, log: Destination, out: TextIO) -> None:
        self._server = server
        self._load = load
        self._log = log
        self._out = out
        self._writer = csv.writer(out)
        self._writer.writerow(FIELDS)
        self.rows: list[tuple[float, ...]] = []
        self.wrong: list[str] = []

    def run(self, seconds: float) -> None:
        """Go on for so long."""
        server, begun, sessions = self._server, time.monotonic(), 0
        while time.monotonic() - begun < seconds:
            cpu = server.cpu()
            running = self._load.begin(server.port, int(RATE * PERIOD), RATE)
            for kind in _KINDS:
                for _ in range(OTHERS):
                    kind(server.port, self._load.target)
            done = self._load.end(running)
            sessions += len(done.seconds)
            if done.failed or done.hung:
                self.wrong.append(f"{done.failed} sessions failed, {done.hung} had no answer")
            cost = 1e6 * (server.cpu() - cpu) / max(1, len(done.seconds))
            server.settle()
            seconds_so_far = time.monotonic() - begun
            row = (
                round(seconds_so_far, 1),
                sessions,
                server.memory("Anonymous"),
                len(os.listdir(f"/proc/{server.pid}/fd")),
                round(cost, 1),
                round(done.quantile(0.99), 2),
            )
            self.rows.append(row)
            self._writer.writerow(row)
            self._out.flush()
            # Its lines have been looked at elsewhere, and fill a disk.
            os.truncate(self._log.out, 0)

    def judge(self) -> list[str]:
        """What was wrong."""
        rest = self.rows[len(self.rows) // 3 :]
        growth = growth_of([(row[0], row[2]) for row in rest])
        wrong = list(self.wrong)
        if len(rest) < ENOUGH:
            print("too short to tell whether memory grows")
        else:
            print(f"memory grew by {growth:.0f} KB in an hour, as far as the last two thirds tell")
            if growth > MOST:
                wrong.append(f"memory grew by {growth:.0f} KB in an hour")
        files = [row[3] for row in rest]
        if files and files[-1] > files[0]:
            wrong.append(f"{files[-1] - files[0]:.0f} descriptors were left open")
        return wrong


def growth_of(curve: list[tuple[float, float]]) -> float:
    """
    What a curve grows by in an hour, by its median slope (Theil and Sen): no single peak counts.

    :param curve: seconds, and how much it was then.
    """
    half = len(curve) // 2
    slopes = [
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for earlier, later in zip(curve, curve[half:], strict=False)
        if later[0] > earlier[0]
    ]
    return 3600 * statistics.median(slopes) if slopes else 0.0


def main() -> int:
    """Measure; the exit status."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--csv", help="the curve's file; standard output")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="churn-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        load = Load(build(folder))
        log = Destination(folder)
        server = Server(DANTETW, folder, [log], "connect disconnect error")
        try:
            wait_until(log.out.exists, "the log")
            with (
                open(options.csv, "w", newline="")
                if options.csv
                else nullcontext(sys.stdout) as out
            ):
                churn = Churn(server, load, log, out)
                churn.run(options.seconds)
        finally:
            server.kill()
            load.stop()
    wrong = churn.judge()
    print("\n".join(f"wrong: {text}" for text in wrong) or "nothing is wrong")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
