"""Tests for :mod:`dantetw.fairness`."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dantetw.fairness import (
    CROWD,
    FORGIVE_SECONDS,
    MOST_FAULTS,
    REMEMBERED,
    BusyError,
    FairQueue,
    Ticket,
    client_of,
)


class ClientOfTests(SynchronousTestCase):
    """Tests for :func:`client_of`."""

    def test_clients(self) -> None:
        """An IPv4 address is a client, of IPv6 addresses a /64 unless many clients share it."""
        for address, client in (
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
            ("2001:db8:0:1:ffff::", "2001:db8:0:1::/64"),
            ("2001:db8:0:2::1", "2001:db8:0:2::/64"),
            ("::1", "::/64"),
            ("fe80::1%eth0", "fe80::1%eth0"),
            ("fe80::2", "fe80::2"),
            ("64:ff9b::192.0.2.1", "64:ff9b::192.0.2.1"),
            ("", ""),
            ("not:an:address", "not:an:address"),
        ):
            self.assertEqual(client_of(address), client)

    def test_once(self) -> None:
        """A client's name is a client's name."""
        for address in ("192.0.2.1", "2001:db8::1", "fe80::1%eth0"):
            self.assertEqual(client_of(client_of(address)), client_of(address))

    @given(st.text(max_size=1000))
    def test_anything(self, text: str) -> None:
        """Whatever the text, the name is short enough to be kept, and no error."""
        self.assertLessEqual(len(client_of(text)), 80)


class FairQueueTests(SynchronousTestCase):
    """Tests for :class:`FairQueue`."""

    def setUp(self) -> None:
        self.clock = Clock()

    def queue(self, slots: int = 2, places: int = 64, **more: Any) -> FairQueue[Ticket]:
        """A queue over the test's clock."""
        return FairQueue(slots, places, self.clock.seconds, **more)

    def submit(self, queue: FairQueue[Ticket], owner: str) -> Ticket:
        """Begin a job or let it wait."""
        job = Ticket(owner)
        if not queue.start(job):
            queue.add(job)
        return job

    def order(self, queue: FairQueue[Ticket], *running: Ticket, fault: str = "") -> str:
        """The owners of jobs that wait, in the order in which they begin."""
        begun, order = list(running), ""
        while begun:
            job = begun.pop(0)
            queue.finish(job, job.owner in fault if fault else False)
            while (following := queue.take()) is not None:
                begun.append(following)
                order += following.owner
        return order

    def test_turns(self) -> None:
        """Clients take turns; every fourth is who has waited longest."""
        queue = self.queue(1)
        first = self.submit(queue, "a")
        for owner in "aaabbcd":
            self.submit(queue, owner)
        self.assertEqual(self.order(queue, first), "abcadba")

    def test_crowd(self) -> None:
        """Where many wait, the last to come is the first to go."""
        queue = self.queue(1)
        first = self.submit(queue, "-")
        crowd = "abcdefghijklmnop"
        self.assertEqual(len(crowd), CROWD)
        for owner in f"{crowd}xyz":
            self.submit(queue, owner)
        self.assertEqual(self.order(queue, first), "zyxabcdefghijklmnop")

    def test_blamed_last(self) -> None:
        """Clients with the fewest faults go first, but every fourth is who has waited longest."""
        queue = self.queue(1)
        for _ in range(2):
            queue.blame("x")
        queue.blame("y")
        first = self.submit(queue, "a")
        for owner in "xxyyabbc":
            self.submit(queue, owner)
        self.assertEqual(self.order(queue, first), "abcxbyyx")

    def test_forgiven(self) -> None:
        """One fault is forgiven every ten seconds, and no more than six count."""
        queue = self.queue()
        for _ in range(20):
            queue.blame("x")
        for left in range(MOST_FAULTS, -1, -1):
            self.assertEqual(queue.faults("x"), left)
            self.clock.advance(FORGIVE_SECONDS)
        queue.blame("x")
        self.assertEqual(queue.faults("x"), 1)
        self.assertEqual(queue.faults(""), 0)

    def test_half_for_the_blamed(self) -> None:
        """Clients with faults, however many, leave half of the slots to others."""
        queue = self.queue(8)
        for number in range(20):
            queue.blame(f"x{number}")
            self.submit(queue, f"x{number}")
        self.assertEqual(queue.running, 4)
        for number in range(4):
            self.submit(queue, f"a{number}")
        self.assertEqual((queue.running, queue.waiting), (8, 16))

    def test_places(self) -> None:
        """Each fault halves the places of a client, down to a few."""
        for faults, places in enumerate((16, 8, 4, 4, 4)):
            queue = self.queue(1, 64)
            self.submit(queue, "")
            for _ in range(faults):
                queue.blame("x")
            for _ in range(places):
                queue.add(Ticket("x"))
            self.assertRaises(BusyError, queue.add, Ticket("x"))

    def test_share_of_what_is_free(self) -> None:
        """The fewer slots are free, the fewer one client gets; no number of them gets all."""
        queue = self.queue(256, 512, share=16)
        counts = []
        for owner in range(40):
            before = queue.running
            for _ in range(20):
                self.submit(queue, str(owner)) if queue.waiting < 512 else None
            counts.append(queue.running - before)
        self.assertEqual(counts[:3], [16, 15, 14])
        self.assertEqual(counts, sorted(counts, reverse=True))
        self.assertLess(queue.running, 256)

    def test_slow(self) -> None:
        """A job that takes too long is a fault while it runs and when it has ended."""
        queue = self.queue(slow=1.0)
        job = self.submit(queue, "a")
        self.clock.advance(1.0)
        self.assertEqual(queue.faults("a"), 0)
        self.clock.advance(0.5)
        self.assertEqual(queue.faults("a"), 1)
        queue.finish(job)
        self.assertEqual(queue.faults("a"), 1)
        self.clock.advance(FORGIVE_SECONDS)
        self.assertEqual(queue.faults("a"), 0)

    def test_full(self) -> None:
        """A full queue drops the last job of the worst client for a better one's."""
        queue = self.queue(1, 8)
        self.submit(queue, "")
        queue.blame("x")
        first, *others = (Ticket("x"), *(Ticket(owner) for owner in "aabbcdd"))
        for job in (first, *others):
            queue.add(job)
        self.assertIs(queue.add(Ticket("e")), first)
        self.assertIs(queue.add(Ticket("f")), others[6])
        self.assertRaises(BusyError, queue.add, Ticket("x"))
        self.assertEqual(queue.waiting, 8)

    def test_full_of_equals(self) -> None:
        """Of equals that is dropped whose turn is last, never for a client that is worse."""
        queue = self.queue(1, 4)
        self.submit(queue, "")
        jobs = [Ticket(owner) for owner in "abcd"]
        for job in jobs:
            queue.add(job)
        self.assertIs(queue.add(Ticket("e")), jobs[-1])
        self.assertRaises(BusyError, queue.add, Ticket("b"))
        queue.blame("x")
        self.assertRaises(BusyError, queue.add, Ticket("x"))

    def test_our_own(self) -> None:
        """Jobs on our own behalf may have all slots and places."""
        queue = self.queue(4, 4)
        for _ in range(8):
            self.submit(queue, "")
        self.assertRaises(BusyError, queue.add, Ticket(""))
        queue.blame("")
        self.assertEqual(queue._faults, {})

    def test_remove(self) -> None:
        """A job that waits can be taken back, once; one that runs cannot."""
        queue = self.queue(1)
        running, waiting = self.submit(queue, "a"), self.submit(queue, "a")
        self.assertTrue(queue.remove(waiting))
        self.assertFalse(queue.remove(waiting))
        self.assertFalse(queue.remove(running))
        queue.finish(running)
        self.assertIsNone(queue.take())

    def test_reassign_running(self) -> None:
        """A job that runs stays its client's."""
        queue = self.queue(1)
        running = self.submit(queue, "a")
        queue.reassign(running, "b")
        self.assertEqual(running.owner, "a")

    def test_bounded_memory(self) -> None:
        """The faults of so many clients are remembered; the oldest are forgotten."""
        queue = self.queue()
        for number in range(REMEMBERED + 1):
            queue.blame(str(number))
        self.assertEqual(len(queue._faults), REMEMBERED)
        self.assertEqual((queue.faults("0"), queue.faults("1")), (0, 1))

    @given(st.data())
    def test_properties(self, data: st.DataObject) -> None:
        """
        Whatever happens, no more runs or waits than may, no client without faults and without a job
        waits while a slot is free, and in the end each job has run, or was refused or dropped.
        """
        clock = Clock()
        slots = data.draw(st.integers(1, 9))
        queue: FairQueue[Ticket] = FairQueue(slots, 12, clock.seconds, share=4, slow=1.0)
        owners = st.sampled_from(["", "a", "b", "c", "d", "e"])
        running: list[Ticket] = []
        waiting: list[Ticket] = []

        def take() -> None:
            while (job := queue.take()) is not None:
                waiting.remove(job)
                running.append(job)

        for step in data.draw(st.lists(st.sampled_from("ssssfffrpt"), max_size=80)):
            if step == "s":
                job = Ticket(data.draw(owners))
                if queue.start(job):
                    running.append(job)
                    continue
                try:
                    dropped = queue.add(job)
                except BusyError:
                    continue
                waiting.append(job)
                if dropped is not None:
                    waiting.remove(dropped)
            elif step == "f" and running:
                job = running.pop(data.draw(st.integers(0, len(running) - 1)))
                queue.finish(job, data.draw(st.booleans()))
                take()
            elif step == "r" and waiting:
                job = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
                assert queue.remove(job)
            elif step == "p" and waiting:
                queue.reassign(data.draw(st.sampled_from(waiting)), data.draw(owners))
                take()
            elif step == "t":
                clock.advance(data.draw(st.floats(0, 20)))
            assert queue.running == len(running) <= slots
            assert queue.waiting == len(waiting) <= 12
            busy = {job.owner for job in running}
            if len(running) < slots:
                idle = {job.owner for job in waiting if not queue.faults(job.owner)} - busy
                assert not idle or step == "t", idle
        rounds = 0
        while running:
            queue.finish(running.pop(0))
            take()
            rounds += 1
            assert rounds < 200
        assert not waiting
