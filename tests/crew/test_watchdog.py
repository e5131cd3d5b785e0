"""Tests of :mod:`dantetw.crew.watchdog` and :mod:`dantetw.crew.loans`."""

from __future__ import annotations

import os
from dataclasses import replace

from twisted.internet.defer import Deferred

from dantetw.crew import loans
from dantetw.crew.messages import (
    Committed,
    Gathered,
    Lend,
    Order,
    Retired,
    SessionsReported,
    Stopping,
    TakeBack,
)
from dantetw.crew.pool import FIRST_RETRY_SECONDS, PROVEN_SECONDS
from dantetw.crew.scoreboard import BEAT
from dantetw.crew.watchdog import LATE_SECONDS, STALLED_SECONDS
from dantetw.net.listening import Port, open_port
from dantetw.policy import ProcessPolicy
from dantetw.values import Severity
from tests.crew.test_supervisor import HERE, ChangeCase, SupervisorCase

SILENT = "worker 1 (process 1000) has not responded for 2 seconds"
AGAIN = "worker 1 (process 1000) responds again"
KILLED = "worker 1 (process 1000) has not responded for 10 seconds, and is killed"


class BeatingCase(SupervisorCase):
    """
    Workers whose hearts beat.

    :ivar still: the process ids of those that stand still.
    """

    def setUp(self) -> None:
        super().setUp()
        self.still: set[int] = set()
        port, _ = open_port(HERE, number=self.number)
        self.addCleanup(port.close)
        self.port = port
        self.pool.context = replace(self.pool.context, ports={port.endpoint: port})
        self.pool._lending.ports = self.pool.context.ports

    def live(self, seconds: float) -> None:
        """Let time go by in which hearts beat."""
        for _ in range(round(seconds / BEAT)):
            for worker in self.pool.workers:
                if worker.pid not in self.still:
                    worker.scoreboard.beat()
            self.pass_(BEAT)

    def lent(self, worker: int) -> list[Order]:
        """What a worker has been lent and asked back."""
        return [
            order for order in self.workers[worker].orders if isinstance(order, Lend | TakeBack)
        ]


class WatchdogTests(BeatingCase):
    """Workers that do not respond."""

    def test_alive(self) -> None:
        """Of workers whose hearts beat nothing is said."""
        self.live(60)
        self.assertEqual((self.messages, self.killed), ([], []))

    def test_killed(self) -> None:
        """One that stands still is reported, then killed, once each, and replaced."""
        self.live(1)
        self.still = {1000}
        self.live(STALLED_SECONDS + BEAT)
        self.assertEqual(self.messages, [SILENT])
        self.live(10 - STALLED_SECONDS - 2 * BEAT)
        self.assertEqual(self.killed, [])
        self.live(2)
        self.assertEqual((self.messages, self.killed), ([SILENT, KILLED], [1000]))
        self.workers[0].die(9)
        self.live(BEAT)
        self.assertEqual(self.pids, [1001, 1002])
        self.assertEqual({event.severity for event in self.events}, {Severity.WARNING})

    def test_responds_again(self) -> None:
        """One that goes on is left alone, and may stand still again."""
        for number in (1, 2):
            self.still = {1000}
            self.live(8)
            self.still = set()
            self.live(8)
            self.assertEqual(self.messages, [SILENT, AGAIN] * number)
        self.assertEqual(self.killed, [])

    def test_never(self) -> None:
        """``timeout.worker: 0`` kills none."""
        policy = replace(self.policy, processes=ProcessPolicy(worker_timeout=0))
        self.pool.context = replace(self.pool.context, policy=policy)
        self.still = {1000}
        self.live(120)
        self.assertEqual((self.messages, self.killed), ([SILENT], []))

    def test_soon(self) -> None:
        """A limit below the time of the report is kept too."""
        policy = replace(self.policy, processes=ProcessPolicy(worker_timeout=1))
        self.pool.context = replace(self.pool.context, policy=policy)
        self.still = {1000}
        self.live(STALLED_SECONDS + 2 * BEAT)
        self.assertEqual(self.killed, [1000])

    def test_supervisor_stands_still(self) -> None:
        """Time in which the supervisor itself did not run is no silence of workers."""
        self.live(1)
        for _ in range(20):
            self.pass_(3600)
            self.live(BEAT)
        self.assertEqual((self.messages, self.killed), ([], []))
        self.assertEqual(self.lent(1), [])

    def test_never_began(self) -> None:
        """One that stands still before it accepts clients is killed too."""
        self.pass_(PROVEN_SECONDS)
        self.workers[0].die(9)
        self.pass_(0)
        self.pool.workers[1].running = False
        self.still = {1002}
        self.live(11)
        self.assertEqual(self.killed, [1002])

    def test_leaving(self) -> None:
        """One that writes its last lines is not called silent; it is killed when it takes long."""
        self.still = {1000}
        self.workers[0].say(Stopping())
        self.live(9)
        self.assertEqual((self.messages, self.killed), ([], []))
        self.live(2)
        self.assertEqual((self.messages, set(self.killed)), ([], {1000}))

    def test_stop(self) -> None:
        """A stop does not wait for one that stands still."""
        self.still = {1000, 1001}
        self.live(1)
        self.supervisor.stop()
        self.assertEqual(self.killed, [])
        self.live(STALLED_SECONDS)
        self.assertEqual(self.killed, [1000, 1001])

    def test_stop_after_report(self) -> None:
        """Nor for one that is known to."""
        self.still = {1000}
        self.live(3)
        self.supervisor.stop()
        self.assertEqual(self.killed, [1000])

    def test_report(self) -> None:
        """A status report does not wait for it either."""
        self.still = {1000}
        self.live(3)
        done = Deferred.fromCoroutine(self.supervisor.gather())
        self.turn()
        self.workers[1].answer(Gathered(5))
        figures = self.successResultOf(done)
        self.assertEqual([each.free_files for each in figures.processes], [None, 5])
        reported = Deferred.fromCoroutine(self.supervisor.report_sessions(1, 1.0))
        self.turn()
        self.workers[1].answer(SessionsReported(2, 1))
        self.assertEqual(self.successResultOf(reported), (2, 1))
        self.assertNotIn("reportsessions", self.workers[0].words)


class LendingTests(BeatingCase):
    """Who accepts for whom."""

    def test_silent(self) -> None:
        """Sockets of one that stands still are served by the other, until it goes on."""
        self.live(1)
        self.still = {1000}
        self.live(LATE_SECONDS + 2 * BEAT)
        self.assertEqual(self.lent(1), [Lend(0)])
        (frame,) = self.workers[1].frames
        self.assertTrue(
            os.path.sameopenfile(frame.descriptors[0], self.port.sockets[0].fileno()),
        )
        self.live(5)
        self.still = set()
        self.live(2 * BEAT)
        self.assertEqual(self.lent(1), [Lend(0), TakeBack(0)])
        self.assertEqual(self.lent(0), [])

    def test_dead(self) -> None:
        """So are those of a dead one, at once, until there is another that accepts clients."""
        self.workers[0].die(9)
        self.assertEqual(self.lent(1), [Lend(0)])
        self.live(FIRST_RETRY_SECONDS + 2 * BEAT)
        self.assertEqual(self.lent(1), [Lend(0), TakeBack(0)])

    def test_closed(self) -> None:
        """So are those of one that has closed its end, or says that it stops."""
        self.workers[0].say(Stopping())
        self.assertEqual(self.lent(1), [Lend(0)])
        self.workers[0].channel.close()
        self.live(1)
        self.assertEqual(self.lent(1), [Lend(0)])

    def test_retired(self) -> None:
        """Until the one that follows accepts clients, others do."""
        self.able = False
        self.workers[0].say(Retired())
        self.assertEqual(self.lent(1), [Lend(0)])

    def test_both(self) -> None:
        """When the other dies as well, whoever comes first accepts for both."""
        self.workers[0].die(9)
        self.workers[1].die(9)
        self.refusals = [1]
        self.live(FIRST_RETRY_SECONDS + 2 * BEAT)
        self.assertEqual(len(self.workers), 3)
        self.assertEqual(len(self.lent(2)), 1)

    def test_no_descriptors(self) -> None:
        """Where there are no descriptors for it, it is tried again."""

        def none(descriptor: int) -> int:
            raise OSError(24, "none")

        patched = self.patch(os, "dup", none)
        self.still = {1000}
        self.live(2)
        self.assertEqual(self.lent(1), [])
        patched.restore()
        self.live(BEAT)
        self.assertEqual(self.lent(1), [Lend(0)])

    def test_many(self) -> None:
        """More sockets than a message can bring take several."""
        self.patch(loans, "MOST_DESCRIPTORS", 1)
        port, _ = open_port(HERE, number=2)
        self.addCleanup(port.close)
        self.pool._lending.ports = {**self.pool._lending.ports, port.endpoint: port}
        self.workers[0].die(9)
        self.assertEqual(self.lent(1), [Lend(0), Lend(0)])

    def test_common(self) -> None:
        """A socket that all have in common is lent to none."""
        one = Port(self.port.sockets[:1], False)
        self.pool._lending.ports = {one.endpoint: one}
        self.workers[0].die(9)
        self.assertEqual(self.lent(1), [])

    def test_retire(self) -> None:
        """When the server takes no more clients, nobody does."""
        self.supervisor.retire()
        self.still = {1000}
        self.live(5)
        self.assertEqual(self.lent(1), [])


class ChangeTests(ChangeCase, BeatingCase):
    """Reloads while a worker stands still."""

    def change(self) -> None:
        """Make a change, of which the first worker hears nothing yet."""
        answer = self.prepare(self.pool.context.ports)
        self.workers[1].prepared()
        self.live(STALLED_SECONDS + BEAT)
        self.assertEqual(self.successResultOf(answer), "")
        done = self.commit()
        self.workers[1].answer(Committed())
        self.successResultOf(done)

    def test_made(self) -> None:
        """The change is made by the others; it makes it when it goes on."""
        self.still = {1000}
        self.change()
        self.assertEqual(self.pool.context.policy, self.new)
        self.assertEqual(self.workers[0].words, ["prepare", "commit"])
        self.still = set()
        self.workers[0].prepared()
        self.live(1)
        self.assertEqual(self.workers[0].words, ["prepare", "commit"])

    def test_not_waited_for(self) -> None:
        """One that is known to stand still is not waited for at all."""
        self.still = {1000}
        self.live(3)
        answer = self.prepare()
        self.workers[1].prepared()
        self.assertEqual(self.successResultOf(answer), "")

    def test_refused_later(self) -> None:
        """If it cannot, it takes no more clients: it would serve them by the old policy."""
        self.still = {1000}
        self.change()
        self.still = set()
        self.workers[0].prepared("no")
        self.assertEqual(self.workers[0].words, ["prepare", "commit", "retire"])

    def test_refused_meanwhile(self) -> None:
        """If it goes on and says so before all have answered, nothing changes."""
        self.still = {1000}
        answer = self.prepare()
        self.live(3)
        self.workers[0].prepared("no")
        self.workers[1].prepared()
        self.assertEqual(self.successResultOf(answer), "worker 1: no")

    def test_ports(self) -> None:
        """Ports that come are lent where others are."""
        self.still = {1000}
        self.live(1)
        port, _ = open_port(HERE, number=2)
        self.addCleanup(port.close)
        answer = self.prepare({**self.pool.context.ports, port.endpoint: port})
        for worker in self.workers:
            worker.prepared()
        self.successResultOf(answer)
        self.assertEqual(self.lent(1), [Lend(0)])
        self.commit()
        self.assertEqual(self.lent(1), [Lend(0)] * 2)
        self.assertEqual(len(self.workers[1].frames[-1].descriptors), 2)
