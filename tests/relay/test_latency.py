"""Tests of :mod:`dantetw.relay.latency`."""

from __future__ import annotations

import fcntl
import math
import socket
import statistics
import struct
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dantetw.figures import Figures
from dantetw.relay import latency as module
from dantetw.relay.latency import (
    PART_SECONDS,
    PARTS,
    SPARSE_ABOVE,
    SPARSE_INTERVAL,
    Histogram,
    LatencyStatistics,
    Stopwatch,
    latest_figures,
)

VALUES = st.lists(
    st.one_of(st.integers(0, 300), st.integers(0, 100_000), st.integers(0, 2**40)),
    min_size=1,
    max_size=200,
)


def ranked(values: list[int], percent: int) -> int:
    """The value of nearest rank, of which this many per cent are no larger."""
    return sorted(values)[-(-len(values) * percent // 100) - 1]


class HistogramTests(SynchronousTestCase):
    """Counts of values by size."""

    def filled(self, values: list[int]) -> Histogram:
        """A histogram with values."""
        histogram = Histogram()
        for value in values:
            histogram.add(value)
        return histogram

    def test_empty(self) -> None:
        """Without values there is nothing to say."""
        self.assertEqual(Histogram().figures(), Figures())

    @given(VALUES)
    def test_exact(self, values: list[int]) -> None:
        """Count, smallest, mean and largest are exact, whatever the values."""
        figures = self.filled(values).figures()
        self.assertEqual(
            (figures.count, figures.minimum, figures.maximum),
            (len(values), min(values), max(values)),
        )
        self.assertEqual(figures.mean, sum(values) / len(values))

    @given(VALUES)
    def test_percentiles(self, values: list[int]) -> None:
        """Percentiles are those of the sorted values: exact when small, else to a 32nd."""
        figures = self.filled([min(value, 2**36 - 1) for value in values]).figures()
        for percent, found in ((50, figures.p50), (95, figures.p95), (99, figures.p99)):
            exact = min(ranked(values, percent), 2**36 - 1)
            allowed = 0 if exact < 256 else exact / 32
            self.assertLessEqual(abs(found - exact), allowed, percent)

    @given(st.lists(st.integers(0, 255), min_size=1))
    def test_small(self, values: list[int]) -> None:
        """Of small values the deviation is exact too."""
        figures = self.filled(values).figures()
        self.assertAlmostEqual(figures.deviation, statistics.pstdev(values), places=6)

    @given(st.lists(st.integers(0, 2**30), min_size=1))
    def test_deviation(self, values: list[int]) -> None:
        """Of others it is as good as the values are kept."""
        figures = self.filled(values).figures()
        away = abs(figures.deviation - statistics.pstdev(values))
        self.assertLessEqual(away, max(values) / 32)

    @given(VALUES, VALUES)
    def test_merged(self, one: list[int], other: list[int]) -> None:
        """Two that are merged are one with the values of both."""
        merged = self.filled(one)
        merged.merge(self.filled(other))
        merged.merge(Histogram())
        self.assertEqual(merged.figures(), self.filled(one + other).figures())

    @given(st.integers(0, 2**36 - 1))
    def test_places(self, value: int) -> None:
        """Where a value is counted is never further from it than its 64th."""
        place = value if value < 256 else module._place(value)
        self.assertLessEqual(abs(module._middle(place) - value), value / 64)

    def test_size(self) -> None:
        """Its size does not depend on the values."""
        histogram = self.filled([2**exponent for exponent in range(60)])
        self.assertEqual(len(histogram.counts), len(Histogram().counts))


class LatencyTests(SynchronousTestCase):
    """One kind of figures."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.latency = LatencyStatistics(self.clock.seconds)

    def wait(self, seconds: float) -> None:
        """Let time go by, a second at a time."""
        while seconds > 0:
            self.clock.advance(min(1.0, seconds))
            self.latency.tick()
            seconds -= 1.0

    def test_last_minute(self) -> None:
        """What is older than a minute does not count there, and what is 50 seconds old does."""
        for number in range(300):
            self.latency.add(number % 200)
            self.wait(1)
            seen = self.latency.snapshot().last_minute.figures().count
            self.assertLessEqual(seen, PART_SECONDS * PARTS)
            self.assertGreaterEqual(seen, min(number + 1, PART_SECONDS * (PARTS - 1)))
        self.assertEqual(self.latency.snapshot().since_start.figures().count, 300)

    def test_quiet(self) -> None:
        """After a quiet minute nothing is left of it, but since the start nothing is lost."""
        for _ in range(7):
            self.latency.add(7)
        self.wait(61)
        self.assertEqual(self.latency.snapshot().last_minute.figures(), Figures())
        self.assertEqual(self.latency.snapshot().since_start.figures().count, 7)

    def test_not_called(self) -> None:
        """So it is if nobody has told it of time going by, for however long."""
        for pause in (59.0, 61.0, 100.0, 1e6):
            self.latency.add(7)
            self.clock.advance(pause)
            self.latency.tick()
            self.latency.add(8)
            self.assertEqual(
                self.latency.snapshot().last_minute.figures().count, 2 if pause < 60 else 1, pause
            )
            self.wait(61)
        self.assertEqual(self.latency.snapshot().since_start.figures().count, 8)

    def test_dante(self) -> None:
        """Dante's figures are of the last 128, and rounded as it does."""
        self.assertIsNone(latest_figures(self.latency.snapshot().latest))
        self.latency.add(9)
        latest = latest_figures(self.latency.snapshot().latest)
        assert latest is not None
        self.assertEqual((latest.count, latest.median, latest.deviation), (1, 9, 0))
        for value in (1000, *range(1, 128)):
            self.latency.add(value)
        latest = latest_figures(self.latency.snapshot().latest)
        assert latest is not None
        self.assertEqual((latest.count, latest.minimum, latest.maximum), (128, 1, 1000))
        self.assertEqual(latest.median, (64 + 65) // 2)
        self.assertEqual(latest.average, 9128 // 128)
        self.assertEqual(latest.last, 127)
        self.assertEqual(latest.deviation, round(statistics.pstdev((1000, *range(1, 128)))))

    @given(st.lists(st.integers(0, 10**6), min_size=1, max_size=300))
    def test_dante_always(self, values: list[int]) -> None:
        """Whatever the values; and asking changes nothing."""
        latency = LatencyStatistics(self.clock.seconds)
        for value in values:
            latency.add(value)
        latest = latest_figures(latency.snapshot().latest)
        assert latest is not None
        last = values[-128:]
        self.assertEqual(
            (latest.minimum, latest.maximum, latest.last), (min(last), max(last), values[-1])
        )
        self.assertEqual(latest.median, math.floor(statistics.median(last)))
        self.assertEqual(latest.average, math.floor(sum(last) / len(last)))
        self.assertEqual(latest_figures(latency.snapshot().latest), latest)


class StopwatchTests(SynchronousTestCase):
    """Measuring datagrams."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.stopwatch = Stopwatch(self.clock.seconds)
        self.near, self.far = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
        for sock in (self.near, self.far):
            self.addCleanup(sock.close)
            sock.bind(("127.0.0.1", 0))
        self.stopwatch.prepare(self.near.fileno())

    def read(self) -> float:
        """A datagram is sent and read; when it came, by the kernel's stamp."""
        self.far.sendto(b"x", self.near.getsockname())
        self.near.recv(9)
        # Exactly as it is measured: any other way would be rounded otherwise.
        stamp = fcntl.ioctl(self.near.fileno(), module._SIOCGSTAMPNS, bytes(16))
        seconds, nanoseconds = struct.unpack("qq", stamp)
        return float(seconds + nanoseconds * 1e-9)

    def at(self, sent: float) -> Callable[[], float]:
        """Make it that time when datagrams have been sent on."""
        self.patch(module, "time", lambda: sent)
        return module.time

    def test_measured(self) -> None:
        """From its arrival until it has been read, and until it has been sent on."""
        came = self.read()
        self.at(came + 0.0025)
        self.stopwatch.measure(self.near.fileno(), came + 0.001, self.stopwatch.to_target)
        for kind, expected in (("reading", 1000), ("relaying", 2500), ("to_target", 2500)):
            figures = getattr(self.stopwatch, kind).snapshot().since_start.figures()
            self.assertEqual(figures.count, 1)
            self.assertLess(abs(figures.maximum - expected), 5)
        self.assertEqual(self.stopwatch.to_client.snapshot().since_start.figures().count, 0)

    def test_clock_back(self) -> None:
        """If the clock has gone back meanwhile, no figure is made of it."""
        came = self.read()
        for read, sent in ((came - 5, came + 1), (came - 5, came - 4), (came + 1, came - 1)):
            self.at(sent)
            self.stopwatch.measure(self.near.fileno(), read, self.stopwatch.to_target)
        for kind in ("reading", "relaying", "to_target"):
            self.assertEqual(
                getattr(self.stopwatch, kind).snapshot().since_start.figures(), Figures()
            )

    def test_no_stamp(self) -> None:
        """Where the system has no time of arrival nothing is measured."""
        self.stopwatch.measure(self.far.fileno(), 0.0, self.stopwatch.to_target)
        self.assertEqual(self.stopwatch.reading.snapshot().since_start.figures(), Figures())
        self.near.close()
        self.stopwatch.prepare(self.far.fileno())

    def test_sparse(self) -> None:
        """Of the first so many in a second all are measured, of those behind each sixteenth."""
        came = self.read()
        self.at(came)

        def second(number: int) -> int:
            """So many datagrams in a second; how many of them were measured."""
            before = self.stopwatch.relaying.snapshot().since_start.figures().count
            for _ in range(number):
                if self.stopwatch.wait:
                    self.stopwatch.wait -= 1
                else:
                    self.stopwatch.measure(self.near.fileno(), came, self.stopwatch.to_target)
            self.clock.advance(1)
            self.stopwatch.check(self.clock.seconds())
            return self.stopwatch.relaying.snapshot().since_start.figures().count - before

        self.assertEqual(second(SPARSE_ABOVE), SPARSE_ABOVE)
        sparse = (SPARSE_ABOVE - 1) // SPARSE_INTERVAL
        self.assertEqual(second(2 * SPARSE_ABOVE), SPARSE_ABOVE + 1 + sparse)
        self.assertEqual(second(2 * SPARSE_ABOVE), 2 * SPARSE_ABOVE / SPARSE_INTERVAL)
        self.assertEqual(second(2 * SPARSE_ABOVE), 2 * SPARSE_ABOVE / SPARSE_INTERVAL)
        self.assertLess(second(SPARSE_INTERVAL), 2)
        self.assertGreaterEqual(second(10 * SPARSE_INTERVAL), 9 * SPARSE_INTERVAL)
