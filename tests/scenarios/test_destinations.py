"""
Scenarios: destinations of the log that work, that are blocked, that are freed.

Every line must be accounted for, exactly.  The parts are those of :mod:`benchmarks`, which puts the
server through the same at full rate.
"""

from __future__ import annotations

import re
import signal
import socket
from collections import Counter
from collections.abc import Sequence

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from benchmarks.accounting import account
from benchmarks.destinations import (
    Destination,
    Disk,
    Fifo,
    Pipe,
    Rotated,
    Syslog,
    why_no_namespace,
)
from benchmarks.server import DANTETW, Server
from benchmarks.setups import EVERYTHING, USUAL, Column, judge
from tests.scenarios.running import DEADLINE, Scenario, wait_until

BODY = b"x" * 64
#: Sessions under way at a time.
TOGETHER = 20
#: Times that a disk is filled.
ROUNDS = 8


def receive(sock: socket.socket, count: int) -> bytes:
    """So many bytes, less if they end before."""
    data = b""
    while len(data) < count and (piece := sock.recv(count - len(data))):
        data += piece
    return data


class Clients:
    """
    Clients, each with an address of its own, and their target.

    :ivar done: sessions that went well, by the client's address and port.
    """

    def __init__(self, port: int) -> None:
        self.done: Counter[str] = Counter()
        self.target = socket.create_server(("127.0.0.1", 0), backlog=TOGETHER)
        self.target.settimeout(DEADLINE)
        self._port = port
        self._open: list[socket.socket] = []

    def begin(self) -> None:
        """Have sessions under way, which have moved nothing yet."""
        port = self.target.getsockname()[1].to_bytes(2, "big")
        for number in range(TOGETHER):
            self._open.append(
                socket.create_connection(
                    ("127.0.0.1", self._port), DEADLINE, (f"127.0.1.{number + 1}", 0)
                )
            )
        for said, heard in (
            (b"\x05\x01\x00", b"\x05\x00"),
            (b"\x05\x01\x00\x01\x7f\x00\x00\x01" + port, b"\x05\x00\x00\x01"),
        ):
            for client in self._open:
                client.sendall(said)
            for client in self._open:
                assert receive(client, len(heard)) == heard
        for client in self._open:
            receive(client, 6)

    def finish(self) -> None:
        """Have each send and get its bytes, and close."""
        far = [self.target.accept()[0] for _ in self._open]
        for client in self._open:
            client.sendall(BODY)
        for one in far:
            one.settimeout(DEADLINE)
            one.sendall(receive(one, len(BODY)))
        for client in self._open:
            assert receive(client, len(BODY)) == BODY
            host, port = client.getsockname()
            self.done[f"{host}.{port}"] += 1
            client.close()
        self._open.clear()
        for one in far:
            assert one.recv(1) == b""
            one.close()

    def run(self, count: int) -> None:
        """So many sessions, :data:`TOGETHER` at a time."""
        for _ in range(count // TOGETHER):
            self.begin()
            self.finish()

    def close(self) -> None:
        """Let go of all sockets."""
        for one in (*self._open, self.target):
            one.close()


class DestinationScenario(Scenario):
    """What these scenarios share."""

    def serve(
        self, *destinations: Destination, words: str = USUAL, workers: int = 1
    ) -> tuple[Server, Clients]:
        """A server that logs to these, and clients for it."""
        server = Server(f"{DANTETW} --workers {workers}", self.folder, destinations, words)
        self.addCleanup(server.kill)
        clients = Clients(server.port)
        self.addCleanup(clients.close)
        return server, clients

    def private(self) -> None:
        """Skip if the server cannot have a log daemon and a disk of its own."""
        if obstacle := why_no_namespace(self.folder):
            raise SkipTest(f"no namespace: {obstacle}")

    def judge(
        self, clients: Clients, *destinations: Destination, words: str = USUAL
    ) -> list[Column]:
        """What came out: nothing may be wrong with any line, or missing."""
        columns = judge(words, destinations, clients.done)
        for column in columns:
            faults = (column.missing, column.misplaced, column.twice)
            self.assertEqual(faults, (0, 0, 0), column.name)
        return columns

    def whole(self, columns: Sequence[Column]) -> None:
        """Each line of each session came out whole, everywhere."""
        for column in columns:
            self.assertEqual(column.account.torn, [], column.name)
            self.assertEqual(column.account.unfinished, [], column.name)
            self.assertEqual((column.account.lines, column.lost), (column.expected, 0), column.name)

    def recover(self, clients: Clients, healthy: Destination, freed: Destination) -> None:
        """Free a destination, and have sessions until the server says that it works again."""
        if freed.blocked:
            freed.free()

        def told() -> bool:
            clients.run(TOGETHER)
            return f'can write again to logfile "{freed.word}"' in healthy.text()

        wait_until(told, "recovery")


class HealthyScenarios(DestinationScenario):
    """Destinations that take what they get."""

    def test_file(self) -> None:
        """A file has each line of each session once, whole and in order."""
        file = Destination(self.folder)
        server, clients = self.serve(file)
        clients.run(400)
        server.stop()
        self.whole(self.judge(clients, file))

    def test_everything(self) -> None:
        """So it has with all that ``log`` can have, whose messages are of many lines."""
        file = Destination(self.folder)
        server, clients = self.serve(file, words=EVERYTHING)
        clients.run(200)
        server.stop()
        self.whole(self.judge(clients, file, words=EVERYTHING))

    def test_four(self) -> None:
        """Two files, standard output and the log daemon all have the same lines."""
        self.private()
        destinations = (
            Destination(self.folder),
            Destination(self.folder, label="log2"),
            Pipe(self.folder, label="stdout.log"),
            Syslog(self.folder, label="syslog.log"),
        )
        server, clients = self.serve(*destinations)
        clients.run(200)
        server.stop()
        self.whole(self.judge(clients, *destinations))

    def test_rotation(self) -> None:
        """A file that is renamed, with SIGHUP, while sessions are under way misses no line."""
        file, rotated = Destination(self.folder), Rotated(self.folder, label="rotated")
        server, clients = self.serve(file, rotated)
        for number in (1, 2):
            clients.run(80)
            clients.begin()
            rotated.rotate()
            server.send(signal.SIGHUP)
            clients.finish()
            wait_until(lambda n=number: file.text().count("SIGHUP ]: ") == n, "reload")
        clients.run(80)
        server.stop()
        self.whole(self.judge(clients, file, rotated))
        for name in ("rotated.1", "rotated.2", "rotated"):
            self.assertIn("tcp/accept ]", (self.folder / name).read_text())


class BlockedScenarios(DestinationScenario):
    """Destinations that take nothing for a while; all clients are served, and a file has it all."""

    def overflow(self, blocked: Destination, words: str = EVERYTHING) -> Column:
        """Have more lines than may wait, free the destination; what came out of it."""
        file = Destination(self.folder)
        server, clients = self.serve(file, blocked, words=words)
        clients.run(240)
        self.recover(clients, file, blocked)
        server.stop()
        first, second = self.judge(clients, file, blocked, words=words)
        self.whole([first])
        self.assertGreater(second.lost, 0)
        # The new ones, not the old ones, are lost.
        self.assertEqual(second.account.messages[1], first.account.messages[1])
        self.assertIn("can write again", "\n".join(second.account.messages))
        return second

    def wait_and_come(self, blocked: Destination) -> None:
        """Have fewer lines than may wait, free the destination: all come."""
        file = Destination(self.folder)
        server, clients = self.serve(file, blocked)
        clients.run(240)
        blocked.free()
        server.stop()
        self.whole(self.judge(clients, file, blocked))

    def test_stdout(self) -> None:
        """What a pipe's queue has no room for is lost, counted and told; nothing else is."""
        column = self.overflow(Pipe(self.folder, True, "other.log"))
        self.assertEqual(column.account.torn, [])

    def test_stdout_late(self) -> None:
        """What a pipe's queue has room for comes when somebody reads."""
        self.wait_and_come(Pipe(self.folder, True, "other.log"))

    def test_fifo(self) -> None:
        """What the queue of a FIFO has no room for is lost, counted and told."""
        column = self.overflow(Fifo(self.folder, True, "other.log"))
        self.assertEqual(column.account.torn, [])

    def test_fifo_late(self) -> None:
        """A FIFO needs no reader: what waits comes when there is one."""
        self.wait_and_come(Fifo(self.folder, True, "other.log"))

    def test_syslog(self) -> None:
        """What the log daemon's queue has no room for while it is stopped is lost and told."""
        self.private()
        column = self.overflow(Syslog(self.folder, True, "other.log"))
        self.assertEqual(column.account.torn, [])

    def test_syslog_late(self) -> None:
        """A log daemon that was stopped gets what waits when it goes on."""
        self.private()
        self.wait_and_come(Syslog(self.folder, True, "other.log"))

    def test_disk(self) -> None:
        """What a full disk has no room for is lost, counted and told; it cuts one line at most."""
        self.private()
        column = self.overflow(Disk(self.folder, True, "other.log"), words=USUAL)
        self.assertLessEqual(len(column.account.torn), 1)

    def test_disk_of_two(self) -> None:
        """
        With two workers neither's half a line runs into a line of the other's; each cuts one at
        most.
        """
        self.private()
        file, disk = Destination(self.folder), Disk(self.folder, True, "other.log")
        server, clients = self.serve(file, disk, workers=2)
        for number in range(ROUNDS):
            if number:
                disk.fill()
            clients.run(120)
            disk.free()
            clients.run(TOGETHER)
        self.recover(clients, file, disk)
        server.stop()
        stamp = re.compile(r"[A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d \(\d+\.\d+\) sockd\[")
        lines = disk.out.read_text().splitlines()
        self.assertEqual([line for line in lines if len(stamp.findall(line)) > 1], [])
        cut = [line for line in lines if not stamp.match(line) or line.endswith("...")]
        self.assertLessEqual(len(cut), 3 * ROUNDS)

    def test_never_read(self) -> None:
        """If nobody reads until the end, the file is told what is lost, and the rest comes out."""
        file, pipe = Destination(self.folder), Pipe(self.folder, True, "other.log")
        server, clients = self.serve(file, pipe)
        clients.run(240)
        server.send(signal.SIGTERM)
        wait_until(lambda: "shutting down" in file.text(), "the last line")
        wait_until(lambda: 'could not write to logfile "stdout": ' in file.text(), "the loss")
        pipe.free()
        server.stop()
        first, second = self.judge(clients, file, pipe)
        self.whole([first])
        self.assertGreater(second.lost, 0)
        self.assertEqual(second.account.torn, [])

    def test_reload(self) -> None:
        """Lines that wait while the configuration is reloaded come before those that follow."""
        file, pipe = Destination(self.folder), Pipe(self.folder, True, "other.log")
        server, clients = self.serve(file, pipe)
        for number in (1, 2):
            clients.run(160)
            clients.begin()
            server.send(signal.SIGHUP)
            wait_until(lambda n=number: file.text().count("SIGHUP ]: ") == n, "reload")
            clients.finish()
        pipe.free()
        clients.run(80)
        server.stop()
        self.whole(self.judge(clients, file, pipe))


class AccountTests(SynchronousTestCase):
    """The account itself finds what is wrong."""

    client = "127.0.1.7.40000 127.0.0.1.1080"
    way = f"{client} -> 127.0.0.1.50000 127.0.0.1.80"
    messages = (
        f"pass(1): tcp/accept [: {client}",
        f"pass(1): tcp/connect [: {way}",
        f"pass(1): tcp/connect -: {way} (64): xyz",
        f"pass(1): tcp/connect ]: 1 -> {client} -> 1, 1 -> 127.0.0.1.50000 127.0.0.1.80 -> 1:"
        " local client closed.  Session duration: 0s",
        f"pass(1): tcp/accept ]: 1 -> {client} -> 1: local client closed.  Session duration: 0s",
    )

    def log(self, *messages: str) -> str:
        """A log of these messages."""
        stamp = "Nov 23 03:50:31 (1795405831.154986) sockd[22228]: info: "
        return "".join(f"{stamp}{message}\n" for message in messages)

    def test_right(self) -> None:
        """A session's lines in order are a session, and there may be several of one address."""
        found = account(self.log(*self.messages, "SIGHUP [: x", *self.messages))
        self.assertEqual(found.sessions, {"127.0.1.7.40000": 2})
        self.assertEqual((found.lines, found.faults, found.unfinished), (10, [], []))

    def test_missing(self) -> None:
        """A session whose end is missing is unfinished."""
        for count in range(1, 5):
            found = account(self.log(*self.messages[:count]))
            self.assertEqual((found.sessions.total(), len(found.unfinished)), (0, 1))

    def test_misplaced(self) -> None:
        """Two lines that have changed places are found."""
        for place in range(4):
            messages = list(self.messages)
            messages[place : place + 2] = reversed(messages[place : place + 2])
            self.assertNotEqual(account(self.log(*messages)).misplaced, [], place)

    def test_twice(self) -> None:
        """A line that is there twice is found, but for a transfer."""
        for place in (0, 1, 3, 4):
            messages = list(self.messages)
            messages.insert(place, messages[place])
            self.assertEqual(account(self.log(*messages)).duplicates, [messages[place]])

    def test_torn(self) -> None:
        """Parts of lines, and two lines in one, are found."""
        text = self.log(*self.messages)
        lines = text.splitlines()
        self.assertEqual(len(account(text[:-1]).torn), 1)
        self.assertEqual(len(account(text[9:]).torn), 1)
        for line in lines:
            for cut in (line[: len(line) // 3], line[: -len(line) // 4], line + line):
                self.assertEqual(account(cut + "\n").torn, [cut])

    def test_told(self) -> None:
        """Losses that the server tells are added up, for each destination."""
        found = account(
            self.log(
                'could not write to logfile "a": No space left on device',
                'can write again to logfile "a": 1 line was lost',
                'could not write to logfile "a": 20 lines were lost',
                'could not write to logfile "b": 300 lines were lost',
                "running",
            )
        )
        self.assertEqual((found.lost("a"), found.lost("b"), found.lost("c")), (21, 300, 0))
        self.assertEqual(len(found.without("a")), 2)
