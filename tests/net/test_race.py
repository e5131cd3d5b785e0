"""Tests of :mod:`dantetw.net.race`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.race import HEAD_START_SECONDS, MAX_ATTEMPTS, Race, arrange

FOURS = tuple(f"192.0.2.{number}" for number in range(1, 9))
SIXES = tuple(f"2001:db8::{number}" for number in range(1, 9))

addresses = st.lists(st.sampled_from(FOURS + SIXES), max_size=16)


def nothing_failed(address: str) -> bool:
    """No address has failed lately."""
    return False


class ArrangeTests(SynchronousTestCase):
    """The order of addresses."""

    def test_families(self) -> None:
        """Families take turns, beginning with that of the most preferred address."""
        found = arrange((*SIXES[:3], *FOURS[:2]), "", nothing_failed)
        self.assertEqual(found, (SIXES[0], FOURS[0], SIXES[1], FOURS[1], SIXES[2]))
        found = arrange((FOURS[0], *SIXES[:2]), "", nothing_failed)
        self.assertEqual(found, (FOURS[0], SIXES[0], SIXES[1]))

    def test_one_family(self) -> None:
        """Within a family the order of preference stays."""
        self.assertEqual(arrange(FOURS, "", nothing_failed), FOURS)

    def test_first(self) -> None:
        """An address that a rule has chosen comes first, and once only."""
        found = arrange(FOURS[:3], FOURS[2], nothing_failed)
        self.assertEqual(found, (FOURS[2], FOURS[0], FOURS[1]))

    def test_failed(self) -> None:
        """Addresses that have failed come last, also the one that comes first else."""
        found = arrange(FOURS[:4], FOURS[0], {FOURS[0], FOURS[2]}.__contains__)
        self.assertEqual(found, (FOURS[1], FOURS[3], FOURS[0], FOURS[2]))

    def test_none(self) -> None:
        """Of no addresses there is no order."""
        self.assertEqual(arrange((), "", nothing_failed), ())

    @given(addresses, st.sampled_from(("", *FOURS, *SIXES)), st.sets(st.sampled_from(FOURS)))
    def test_each_once(self, given: list[str], first: str, failed: set[str]) -> None:
        """Each address is there once, and none that was not given."""
        found = arrange(given, first, failed.__contains__)
        self.assertEqual(len(found), len(set(found)))
        self.assertEqual(set(found), {*given, first} - {""})
        late = [address in failed for address in found]
        self.assertEqual(late, sorted(late))


class RaceTests(SynchronousTestCase):
    """When attempts begin."""

    def test_head_start(self) -> None:
        """The next attempt begins when the head start is over, not before."""
        race = Race(FOURS[:2])
        self.assertEqual(race.begin(10.0), FOURS[0])
        self.assertEqual(race.due, 10.0 + HEAD_START_SECONDS)
        self.assertIsNone(race.begin(10.2))
        self.assertEqual(race.begin(10.25), FOURS[1])
        self.assertEqual(race.running, [FOURS[0], FOURS[1]])
        self.assertIsNone(race.due)

    def test_failure(self) -> None:
        """It begins at once when one has failed."""
        race = Race(FOURS[:2])
        race.begin(10.0)
        race.fail(FOURS[0], 10.01)
        self.assertFalse(race.lost)
        self.assertEqual(race.begin(10.01), FOURS[1])
        race.fail(FOURS[1], 10.02)
        self.assertTrue(race.lost)

    def test_win(self) -> None:
        """Who wins ends it: the others have lost, and none begins any more."""
        race = Race(FOURS[:3])
        race.begin(10.0)
        race.begin(10.25)
        self.assertEqual(race.win(FOURS[1]), (FOURS[0],))
        self.assertEqual((race.winner, race.running, race.due), (FOURS[1], [], None))
        self.assertIsNone(race.begin(99.0))
        self.assertFalse(race.lost)

    def test_late(self) -> None:
        """However late, what is left is tried."""
        race = Race(FOURS[:2])
        race.begin(10.0)
        race.fail(FOURS[0], 1000.0)
        self.assertFalse(race.lost)
        self.assertEqual(race.begin(1000.0), FOURS[1])

    def test_most(self) -> None:
        """So many run at once and no more; one that has failed makes room."""
        race = Race(FOURS)
        for number in range(MAX_ATTEMPTS):
            self.assertEqual(race.begin(10.0 + number), FOURS[number])
        self.assertIsNone(race.due)
        self.assertIsNone(race.begin(99.0))
        race.fail(FOURS[0], 99.0)
        self.assertEqual(race.begin(99.0), FOURS[MAX_ATTEMPTS])

    def test_finish(self) -> None:
        """After the end of it none begins, but those that run may win."""
        race = Race(FOURS)
        race.begin(10.0)
        race.finish()
        self.assertIsNone(race.due)
        self.assertIsNone(race.begin(11.0))
        self.assertFalse(race.lost)
        race.fail(FOURS[0], 12.0)
        self.assertTrue(race.lost)

    def test_empty(self) -> None:
        """A race without addresses is lost."""
        race = Race(())
        self.assertIsNone(race.begin(1.0))
        self.assertTrue(race.lost)


class RaceMachine(RuleBasedStateMachine):
    """Any course of events: what must hold all the time."""

    def __init__(self) -> None:
        super().__init__()
        self.race = Race(FOURS + SIXES)
        self.now = 100.0
        self.begun: list[str] = []
        self.times: list[float] = []
        self.over: set[str] = set()
        self.failed_at = 0.0

    @rule(seconds=st.sampled_from((0.0, 0.1, HEAD_START_SECONDS, 1.0)))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule()
    def begin(self) -> None:
        """The next may begin."""
        address = self.race.begin(self.now)
        if address is None:
            return
        assert address not in self.begun
        assert self.race.winner is None
        if self.times:
            early = self.now - self.times[-1] < HEAD_START_SECONDS
            assert not early or self.failed_at >= self.times[-1]
        self.begun.append(address)
        self.times.append(self.now)

    @precondition(lambda self: self.race.running)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        """One of those that run fails."""
        address = data.draw(st.sampled_from(self.race.running))
        self.race.fail(address, self.now)
        self.over.add(address)
        self.failed_at = self.now

    @precondition(lambda self: self.race.running)
    @rule(data=st.data())
    def win(self, data: st.DataObject) -> None:
        """One of those that run connects."""
        address = data.draw(st.sampled_from(self.race.running))
        before = set(self.race.running)
        losers = self.race.win(address)
        assert set(losers) == before - {address}
        assert self.race.winner == address
        self.over |= before

    @invariant()
    def accounted(self) -> None:
        """Each that has begun runs or is over, and not too many run."""
        running = set(self.race.running)
        assert len(running) == len(self.race.running) <= MAX_ATTEMPTS
        assert running | self.over == set(self.begun)
        assert not running & self.over
        assert not (self.race.winner and running)
        assert not (self.race.lost and (running or self.race.due is not None))
        assert not self.race.lost or set(self.begun) == set(FOURS + SIXES)


class CourseTests(SynchronousTestCase):
    """Races of any course."""

    def test_any(self) -> None:
        """Each address begins once unless one wins, whose rivals are named."""
        run_state_machine_as_test(RaceMachine)  # type: ignore[no-untyped-call]
