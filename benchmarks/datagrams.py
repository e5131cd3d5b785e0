"""
A million datagrams through ten associations: what is lost is counted, and nothing else happens.

``python -m benchmarks.datagrams`` from the root of the source.  Ten clients send numbered datagrams
to a target that sends them back, first with a few of each client's under way, so that nothing need
be lost, then as fast as they can, so that the server cannot follow.  Each comes back once, in the
order it was sent, or is among those that the server's record of the association says were lost
(``drops`` in JSON), or that our own sockets had no room for::

    python -m benchmarks.datagrams --quick    # 100,000 of each; without it 1,000,000

Exit status 1 if one came twice or out of order, or if the losses seen are not the losses counted.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.destinations import DEADLINE, Destination, wait_until
from benchmarks.server import DANTETW, Server

#: Datagrams of one client that are under way if nothing is to be lost.
WINDOW: Final = 32
#: Datagrams that one client sends at once if something is.
BURST: Final = 400
#: Seconds without an answer after which no more are expected.
QUIET: Final = 1.5
#: Bytes of a payload.
SIZE: Final = 64
_ROOM: Final = 64 << 20  # bytes of our own sockets' buffers
_HEADER: Final = 10
_NUMBER: Final = struct.Struct("!Q")
# Linux: a buffer larger than users may have, and how many datagrams a socket had no room for.
_RCVBUFFORCE, _MEMINFO, _DROPS = 33, 55, 8


def _roomy() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
    with suppress(OSError):  # without privileges it is less; what is lost is counted
        sock.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _ROOM)
    sock.bind(("127.0.0.1", 0))
    return sock


def _drops(sock: socket.socket) -> int:
    return int(struct.unpack("9I", sock.getsockopt(socket.SOL_SOCKET, _MEMINFO, 36))[_DROPS])


class Echo:
    """A target in a process of its own, which sends back what it gets."""

    def __init__(self) -> None:
        self._sock = _roomy()
        self.address = self._sock.getsockname()
        self._reader, writer = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            try:
                self._serve(writer)
            finally:
                os._exit(0)
        os.close(writer)

    def _serve(self, writer: int) -> None:
        sock, stopped = self._sock, []
        signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
        sock.setblocking(True)
        sock.settimeout(0.1)
        room, count, unsent = bytearray(2048), 0, 0
        while not stopped:
            try:
                size, address = sock.recvfrom_into(room)
            except TimeoutError:
                continue
            count += 1
            try:
                sock.sendto(room[:size], address)
            except OSError:
                unsent += 1
        os.write(writer, json.dumps([count, unsent, _drops(sock)]).encode())

    def stop(self) -> tuple[int, int, int]:
        """End it; how many it got, could not send back, and had no room for."""
        os.kill(self._pid, signal.SIGTERM)
        with os.fdopen(self._reader, "rb") as reader:
            count, unsent, drops = json.loads(reader.read())
        os.waitpid(self._pid, 0)
        self._sock.close()
        return count, unsent, drops


class Flow:
    """
    One client.

    :ivar sent: numbers from 0 up to this have been sent; ``unsent``: those our own system refused.
    :ivar received: how many came back; ``twice`` and ``misplaced``: of those.
    """

    def __init__(self, port: int, target: tuple[str, int]) -> None:
        self.control = socket.create_connection(("127.0.0.1", port), DEADLINE)
        self.control.sendall(b"\x05\x01\x00\x05\x03\x00\x01" + bytes(6))
        heard = b""
        while len(heard) < 12:
            heard += self.control.recv(12 - len(heard))
        assert heard[2:4] == b"\x05\x00", heard
        self.sock = _roomy()
        self.sock.connect(("127.0.0.1", int.from_bytes(heard[-2:], "big")))
        self._head = b"\0\0\0\1" + socket.inet_aton(target[0]) + target[1].to_bytes(2, "big")
        self._rest = bytes(SIZE - _NUMBER.size)
        self._seen = bytearray()
        self._highest = -1
        self.sent = self.unsent = self.received = self.twice = self.misplaced = 0

    def send(self, count: int) -> None:
        """Send the next ones."""
        send, head, rest, pack = self.sock.send, self._head, self._rest, _NUMBER.pack
        for number in range(self.sent, self.sent + count):
            try:
                send(head + pack(number) + rest)
            except OSError:
                self.unsent += 1
        self.sent += count
        self._seen.extend(bytes(count))

    def hear(self) -> int:
        """Take what has come; how many that was."""
        receive, unpack, seen, highest = (
            self.sock.recv,
            _NUMBER.unpack_from,
            self._seen,
            self._highest,
        )
        count = 0
        while True:
            try:
                data = receive(2048)
            except OSError:
                break
            count += 1
            (number,) = unpack(data, _HEADER)
            if seen[number]:
                self.twice += 1
            elif number < highest:
                self.misplaced += 1
            else:
                highest = number
            seen[number] = 1
        self._highest = highest
        self.received += count
        return count

    def close(self) -> int:
        """End it; how many datagrams its socket had no room for."""
        drops = _drops(self.sock)
        self.sock.close()
        self.control.close()
        return drops


@dataclass
class Outcome:
    """What there is to say of a run."""

    name: str
    seconds: float = 0.0
    cpu: float = 0.0
    sent: int = 0
    received: int = 0
    twice: int = 0
    misplaced: int = 0
    counted: int = 0
    ours: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """Losses seen."""
        return self.sent - self.received

    def show(self) -> None:
        """Print a row."""
        print(
            f"{self.name:<10}{self.sent:>10}{self.received:>10}{self.lost:>9}{self.counted:>9}"
            f"{self.ours:>7}{self.twice:>7}{self.misplaced:>10}"
            f"{1e6 * self.cpu / max(1, self.sent):>9.1f}{self.seconds:>8.1f}"
        )


def _windowed(flows: list[Flow], each: int) -> None:
    """Send so many each, and no more at a time than can wait in the server's sockets."""
    poll = select.epoll()
    by_number = {flow.sock.fileno(): flow for flow in flows}
    under_way = dict.fromkeys(flows, 0)
    for flow in flows:
        poll.register(flow.sock, select.EPOLLIN)
        first = min(WINDOW, each)
        flow.send(first)
        under_way[flow] = first
    while any(under_way.values()):
        ready = poll.poll(QUIET)
        if not ready:  # what has not come does not come any more
            under_way = dict.fromkeys(flows, 0)
        for flow in [by_number[number] for number, _ in ready] or flows:
            under_way[flow] -= flow.hear() if ready else 0
            if (more := min(WINDOW - under_way[flow], each - flow.sent)) > 0:
                flow.send(more)
                under_way[flow] += more
    poll.close()


def _flooding(flows: list[Flow], each: int) -> None:
    """Send so many each, as fast as it goes."""
    while any(flow.sent < each for flow in flows):
        for flow in flows:
            flow.send(min(BURST, each - flow.sent))
            flow.hear()
    heard_at = time.monotonic()
    while time.monotonic() - heard_at < QUIET:
        if sum([flow.hear() for flow in flows]):
            heard_at = time.monotonic()
        time.sleep(0.01)


@contextmanager
def _server(folder: Path) -> Iterator[tuple[Server, Destination]]:
    """A server that writes its records in JSON."""
    log = Destination(folder)
    log.word = f"{log.out}\nlog.format.json: {log.out}"
    server = Server(DANTETW, folder, [log], "disconnect")
    try:
        yield server, log
    finally:
        server.kill()


def _records(log: Destination) -> list[dict[str, Any]]:
    objects = [json.loads(line) for line in log.text().splitlines()]
    return [told for told in objects if told["kind"] == "session"]


def _run(name: str, send: Callable[[list[Flow], int], None], clients: int, each: int) -> Outcome:
    """One run, and what was wrong."""
    found = Outcome(name)
    with tempfile.TemporaryDirectory(prefix="datagrams-") as name_:
        folder = Path(name_)
        folder.chmod(0o755)
        with _server(folder) as (server, log):
            echo = Echo()
            flows = [Flow(server.port, echo.address) for _ in range(clients)]
            cpu, begun = server.settle(), time.monotonic()
            send(flows, each)
            found.seconds, found.cpu = time.monotonic() - begun, server.settle() - cpu
            target = echo.stop()
            client_drops = sum(flow.close() for flow in flows)
            wait_until(lambda: len(_records(log)) >= clients, "the associations' records")
            records = _records(log)
    for flow in flows:
        found.sent += flow.sent
        found.received += flow.received
        found.twice += flow.twice
        found.misplaced += flow.misplaced
    unsent = sum(flow.unsent for flow in flows)
    drops = [told["drops"] for told in records]
    found.counted = sum(each_.get("overflow", 0) for each_ in drops)
    found.ours = client_drops + target[1] + target[2] + unsent
    if found.twice:
        found.wrong.append(f"{name}: {found.twice} came twice")
    if found.misplaced:
        found.wrong.append(f"{name}: {found.misplaced} came out of order")
    if found.lost != found.counted + found.ours:
        found.wrong.append(
            f"{name}: {found.lost} were lost, and {found.counted} + {found.ours} counted"
        )
    if others := [each_ for each_ in drops if set(each_) - {"overflow"}]:
        found.wrong.append(f"{name}: dropped for other reasons: {others}")
    for way, seen in (
        ("to_target", target[0] + target[2]),
        ("to_client", found.received + client_drops),
    ):
        if (told_ := sum(told["packets"][way] for told in records)) != seen:
            found.wrong.append(f"{name}: {told_} {way} are in the records, {seen} were seen")
    return found


def main() -> int:
    """Measure; the exit status."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--datagrams", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="100,000")
    parser.add_argument("--clients", type=int, default=10)
    options = parser.parse_args()
    number = 100_000 if options.quick else options.datagrams
    each = number // options.clients
    print(
        f"{'':<10}{'sent':>10}{'back':>10}{'lost':>9}{'counted':>9}{'ours':>7}{'twice':>7}"
        f"{'misplaced':>10}{'CPU us':>9}{'s':>8}"
    )
    wrong: list[str] = []
    for name, send in (("window", _windowed), ("flood", _flooding)):
        found = _run(name, send, options.clients, each)
        found.show()
        wrong += found.wrong
        if name == "window" and found.lost:
            wrong.append("something was lost although there was room")
        if name == "flood" and not found.counted:
            wrong.append("nothing was lost: this machine is no use for that")
    print("\n" + ("\n".join(f"wrong: {text}" for text in wrong) or "nothing is wrong"))
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
