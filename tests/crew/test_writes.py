"""Tests of :mod:`dantetw.crew.writes`: workers that are killed while they log ends."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

from twisted.trial.unittest import SkipTest

import dantetw
from dantetw.crew import scoreboard as scoreboards
from dantetw.crew import writes
from dantetw.crew.scoreboard import Scoreboard
from dantetw.crew.writes import SIZE, Written
from dantetw.net.batch import Batch
from dantetw.observe.formats.dante import Dante
from dantetw.observe.journal import Journal
from dantetw.observe.observer import Observer
from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks.file import File
from dantetw.observe.sinks.opening import Outputs
from dantetw.process.appending import open_appending
from dantetw.session.subscribers import Subscribers
from dantetw.values import Cause, Ending, Phase, Severity, Side
from tests.crew.test_scoreboard import ScoreboardCase
from tests.observe.sinks.fakes import FakeReactor, make_disks_quick
from tests.session.world import CLIENT

OVER = Ending(Side.US, Phase.NEGOTIATE, Cause.SHUTDOWN)
#: Sessions that end together, and more that end behind them.
TOGETHER = 2
#: Code in which the worker is killed, line by line.
TRACED = (
    "crew/scoreboard.py",
    "crew/writes.py",
    "observe/observer.py",
    "observe/sinks/file.py",
    "net/batch.py",
    "session/session.py",
)


class KillingCase(ScoreboardCase):
    """A worker with sessions, whose log goes to files."""

    files = 2

    def setUp(self) -> None:
        super().setUp()
        if not hasattr(os, "fork"):
            raise SkipTest("this system has no fork")
        make_disks_quick(self)
        folder = Path(self.mktemp())
        folder.mkdir()
        self.paths = [folder / f"log.{number}" for number in range(self.files)]
        self.reactor = FakeReactor()

    def observer(self, turn: Batch | None = None) -> Observer:
        """An observer that writes to the files."""
        made = Observer(Dante(), None, lambda *_: None, self.reactor.callLater, turn)
        prefix = Prefix("sockd")
        sinks = [
            File(str(path), prefix, lambda path=path: open_appending(str(path)))  # type: ignore[misc]
            for path in self.paths
        ]
        for sink in sinks:
            self.addCleanup(sink.close)
        made.configure(Outputs(logoutput=tuple(sinks)))
        return made

    def work(self, number: int) -> None:
        """
        Be a worker whose sessions end, which is killed at a line of :data:`TRACED`.

        :param number: which line, of those that are reached.
        """
        turn = Batch()
        observer = self.observer(turn)
        factory, scoreboard = self.world.factory, self.scoreboard
        factory.journal = Journal(observer)
        scoreboard.turn = turn
        scoreboard.writes.watch(observer.sinks)
        left = [number]

        def trace(frame: FrameType, event: str, argument: Any) -> Any:
            if not frame.f_code.co_filename.endswith(TRACED):
                return None
            if event == "line":
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
            return trace

        sessions = list(factory.sessions.values())
        sys.settrace(trace)
        turn.begin()
        for session in sessions[:TOGETHER]:
            session.end(OVER)
        turn.end()
        for session in sessions[TOGETHER:]:
            session.end(OVER)
        sys.settrace(None)

    def killed_at(self, number: int) -> bool:
        """Whether a worker was killed at a line; False if it has come to its end before."""
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                self.work(number)
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(pid, 0)
        self.assertIn(status, (0, signal.SIGKILL))
        return status != 0

    def begin(self) -> None:
        """Begin with a new scoreboard, empty files and clients."""
        for path in self.paths:
            path.write_bytes(b"")
        factory = self.world.factory
        factory.subscribers = Subscribers()
        for session in list(factory.sessions.values()):
            session.end(OVER)
        self.scoreboard.close()
        self.scoreboard = Scoreboard(2, 3)
        self.scoreboard.follow(factory)
        self.addCleanup(self.scoreboard.close)
        for number in range(TOGETHER + 1):
            self.world.client(peer=replace(CLIENT, port=CLIENT.port + number))

    def settle_in_files(self) -> None:
        """Do what the supervisor process does when the worker has died."""
        observer = self.observer()
        policies = {0: self.world.policy}
        now = self.world.reactor.seconds()
        ends = self.scoreboard.crashed(policies, now, observer.sinks)
        for end, lacking in ends:
            observer.record_in(lacking, end)

    def ends(self, path: Path) -> Counter[str]:
        """How often each client has its end in a file."""
        lines = path.read_text().splitlines()
        return Counter(
            line.split("]: ", 2)[2].split()[0] for line in lines if "tcp/accept ]" in line
        )


class KilledTests(KillingCase):
    """Each session has one end in each file, whenever the worker is killed."""

    def test_every_line(self) -> None:
        """At every line of the code that ends sessions and logs that."""
        package = Path(dantetw.__file__).parent
        self.assertEqual([name for name in TRACED if not (package / name).is_file()], [])
        number, crashes = 0, 0
        while True:
            self.begin()
            clients = {
                str(session.record.client) for session in self.world.factory.sessions.values()
            }
            self.assertEqual(len(clients), TOGETHER + 1)
            killed = self.killed_at(number)
            self.settle_in_files()
            for path in self.paths:
                self.assertEqual(self.ends(path), Counter(clients), f"line {number} of {path}")
            crashes += "server process died" in self.paths[0].read_text()
            if not killed:
                break
            number += 1
        self.assertGreater(number, 100)
        self.assertGreater(crashes, 50)


class NoteTests(KillingCase):
    """What the notes of a worker that has died say of destinations."""

    files = 3

    def setUp(self) -> None:
        super().setUp()
        self.sinks = self.observer().sinks

    def lacking(self, ended: int, *sinks: Any) -> list[int]:
        """Which destinations lack the end of a session, by their places."""
        among = sinks or self.sinks
        written = Written(self.scoreboard._memory, scoreboards._WRITES_AT, among)
        found = written.lacking(ended)
        return [place for place, sink in enumerate(among) if sink in found]

    def write(self, *places: int) -> None:
        """Write a line to some files."""
        for place in places:
            self.sinks[place].write(Severity.INFO, 1.5, f"line {self.scoreboard.writes.ended}")

    def test_nothing_ended(self) -> None:
        """A session that has not ended has its end nowhere."""
        self.scoreboard.writes.watch(self.sinks)
        self.write(0, 1, 2)
        self.assertEqual(self.lacking(0), [0, 1, 2])
        self.assertEqual(self.lacking(1), [0, 1, 2])

    def test_order(self) -> None:
        """What was written is known of each file."""
        self.scoreboard.writes.watch(self.sinks)
        self.scoreboard.writes.ended = 1
        for place in range(3):
            self.assertEqual(self.lacking(1), list(range(place, 3)))
            self.write(place)
        self.assertEqual(self.lacking(1), [])
        self.scoreboard.writes.ended = 2
        self.assertEqual((self.lacking(1), self.lacking(2)), ([], [0, 1, 2]))

    def test_begun_only(self) -> None:
        """A write that was noted and never made has not been made, and those before it have."""
        self.scoreboard.writes.watch(self.sinks)
        self.scoreboard.writes.ended = 1
        self.write(0)
        before_write = self.sinks[1].before_write  # type: ignore[attr-defined]
        before_write(b"one\nnever written\n")
        self.assertEqual(self.lacking(1), [1, 2])

    def test_others(self) -> None:
        """Of a log daemon in front of a file it is known when the file's turn has come."""
        daemon = SimpleNamespace(name="syslog")
        self.scoreboard.writes.watch(self.sinks)
        self.scoreboard.writes.ended = 1
        self.assertEqual(self.lacking(1, daemon, self.sinks[0]), [0, 1])
        self.write(0)
        self.assertEqual(self.lacking(1, daemon, self.sinks[0]), [])
        self.assertEqual(self.lacking(1, self.sinks[0], daemon), [1])

    def test_opened_again(self) -> None:
        """Behind a reload of other destinations the notes are of those."""
        self.scoreboard.writes.watch(self.sinks)
        self.scoreboard.writes.ended = 1
        self.write(0, 1, 2)
        self.scoreboard.writes.watch(self.sinks[2:])
        self.assertEqual(self.lacking(1, self.sinks[2]), [])
        self.scoreboard.writes.ended = 2
        self.assertEqual(self.lacking(2, self.sinks[2]), [0])
        self.write(2)
        self.assertEqual(self.lacking(2, self.sinks[2]), [])

    def test_not_readable(self) -> None:
        """Of a file that may not be read the last write is not known: rather twice than never."""
        self.scoreboard.writes.watch(self.sinks)
        for ended in (1, 2):
            self.scoreboard.writes.ended = ended
            self.write(0)
        descriptor = os.open(self.paths[0], os.O_WRONLY | os.O_APPEND)
        os.dup2(descriptor, self.sinks[0].descriptor)  # type: ignore[attr-defined]
        os.close(descriptor)
        self.assertEqual(self.lacking(1, self.sinks[0]), [])
        self.assertEqual(self.lacking(2, self.sinks[0]), [0])

    def test_many(self) -> None:
        """Of files beyond those that there is room for nothing is known."""
        self.patch(writes, "MOST_FILES", 2)
        self.scoreboard.writes.watch(self.sinks)
        self.scoreboard.writes.ended = 1
        self.write(0, 1, 2)
        self.assertEqual(self.lacking(1), [2])

    def test_hostile(self) -> None:
        """Whatever a worker has left there, the supervisor process goes on."""
        for data in (b"\xff", b"\0", b"\x01", b"\x7f"):
            begin = scoreboards._WRITES_AT
            self.scoreboard._memory[begin:8192] = data * (8192 - begin)
            self.lacking(1)
            self.lacking(2**63)
        self.assertLessEqual(SIZE, 4096)
