"""Tests of :mod:`dantetw.crew.latencies`."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.crew.latencies import pack, parse
from dantetw.relay.latency import LatencyStatistics

VALUES = st.lists(st.integers(0, 2**40), max_size=200)


class LatencyTests(SynchronousTestCase):
    """Latencies on their way."""

    @given(VALUES, VALUES)
    def test_round_trip(self, early: list[int], late: list[int]) -> None:
        """What arrives says what was sent."""
        now = 0.0
        latency = LatencyStatistics(lambda: now)
        for value in early:
            latency.add(value)
        now = 1000.0
        latency.tick()
        for value in late:
            latency.add(value)
        sent = latency.snapshot()
        heard = parse(json.loads(json.dumps(pack(sent))))
        for one, other in (
            (sent.since_start, heard.since_start),
            (sent.last_minute, heard.last_minute),
        ):
            self.assertEqual(one.figures(), other.figures())
            self.assertEqual(one.counts, other.counts)
        self.assertEqual(heard.latest, sent.latest)

    @given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x, max_size=5)))
    def test_nonsense(self, said: object) -> None:
        """Whatever else comes from a worker is refused."""
        self.assertRaises(ValueError, parse, said)

    def test_out_of_range(self) -> None:
        """So are places there are not, and numbers that are none."""
        good = [1, 5, 5, 5, [5, 1]]
        parse([good, good, [5]])
        for wrong in (
            [1, 5, 5, 5, [10**6, 1]],
            [1, 5, 5, 5, [5]],
            [1, 5, 5, 5, [5, -1]],
            [True, 5, 5, 5, [5, 1]],
            [1, 5, 5, 2**70, [5, 1]],
        ):
            self.assertRaises(ValueError, parse, [good, wrong, [5]])
        self.assertRaises(ValueError, parse, [good, good, list(range(1000))])
