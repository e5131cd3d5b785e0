"""
Latency of relaying: how long data stays in this host.

Dante measures the time from a datagram's arrival in the kernel until the server has read it
("read-only"), and until it has sent it on ("i/o").  The network is not included.  Here the figures
are kept for the whole life of the server, in histograms of a fixed size: one since the start, and
one for each ten seconds of the last minute.

A histogram is exact to the microsecond below 256 us, and to a 32nd of the value above.
"""

from __future__ import annotations

import fcntl
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import time
from typing import Final

from dantetw.figures import Figures, Latest

#: Seconds in one of the parts of the last minute, and how many there are.
PART_SECONDS: Final = 10.0
PARTS: Final = 6
#: How many latest values Dante's figures are computed from.
LATEST_VALUES: Final = 128
#: Datagrams measured in a second before only each sixteenth is: measuring takes time itself.
SPARSE_ABOVE: Final = 1000
SPARSE_INTERVAL: Final = 16

_EXACT: Final = 256
_STEPS: Final = 32
_LARGEST: Final = 2**36  # us: 19 hours
# A value of the first octave, whose shift is 3, has leading bits of 32 to 63.
_OFFSET: Final = _EXACT - _STEPS * 4
#: Places of a histogram.
HISTOGRAM_PLACES: Final = _EXACT + _STEPS * 28
_MICRO: Final = 1_000_000
# Larger than any value.
_UNSEEN: Final = 2**63

# The time stamp of the datagram that was read last, as ``struct timespec`` (``socket(7)``).
_SIOCGSTAMPNS: Final = 0x8907


class Histogram:
    """Counts of values by size."""

    __slots__ = ("count", "counts", "maximum", "minimum", "total")

    def __init__(self) -> None:
        self.counts = [0] * HISTOGRAM_PLACES
        self.count = 0
        self.total = 0
        self.minimum = _UNSEEN
        self.maximum = 0

    def add(self, microseconds: int) -> None:
        """Count a value of 0 or more."""
        self.counts[microseconds if microseconds < _EXACT else _place(microseconds)] += 1
        self.count += 1
        self.total += microseconds
        if microseconds > self.maximum:
            self.maximum = microseconds
        if microseconds < self.minimum:
            self.minimum = microseconds

    def merge(self, other: Histogram) -> None:
        """Add the counts of another."""
        if other.count:
            self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
            self.count += other.count
            self.total += other.total
            self.minimum = min(self.minimum, other.minimum)
            self.maximum = max(self.maximum, other.maximum)

    def figures(self) -> Figures:
        """Its figures."""
        if not self.count:
            return Figures()
        mean = self.total / self.count
        found = [(_middle(place), number) for place, number in enumerate(self.counts) if number]
        # Around the mean of what has been counted, which is not exactly that of the values.
        middle = sum(value * number for value, number in found) / self.count
        squares = sum(number * (value - middle) ** 2 for value, number in found)
        p50, p95, p99 = (self._percentile(share) for share in (0.50, 0.95, 0.99))
        deviation = math.sqrt(squares / self.count)
        return Figures(self.count, self.minimum, mean, self.maximum, deviation, p50, p95, p99)

    def _percentile(self, share: float) -> int:
        """The value that the given share of all does not exceed."""
        wanted, seen = math.ceil(self.count * share), 0
        for place, number in enumerate(self.counts):
            seen += number
            if seen >= wanted:
                return max(self.minimum, min(self.maximum, _middle(place)))
        return self.maximum


def _place(microseconds: int) -> int:
    """Where a value of 256 or more is counted: its leading six bits say."""
    if microseconds >= _LARGEST:
        microseconds = _LARGEST - 1
    shift = microseconds.bit_length() - 6
    return _OFFSET + _STEPS * shift + (microseconds >> shift)


def _middle(place: int) -> int:
    """The value in the middle of those that are counted there."""
    if place < _EXACT:
        return place
    octave, step = divmod(place - _EXACT, _STEPS)
    shift = octave + 3
    return ((_STEPS + step) << shift) + (1 << shift >> 1)


class LatencyStatistics:
    """
    One kind of figures.

    :param monotonic: a clock.
    """

    __slots__ = ("_latest", "_monotonic", "_part_ends", "_parts", "_since_start", "now")

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since_start = Histogram()
        self._parts: deque[Histogram] = deque(maxlen=PARTS - 1)
        self._part_ends = monotonic() + PART_SECONDS
        self._latest: deque[int] = deque(maxlen=LATEST_VALUES)
        self.now = Histogram()

    def add(self, microseconds: int) -> None:
        """Count a value of 0 or more."""
        self.now.add(microseconds)
        self._latest.append(microseconds)

    def tick(self) -> None:
        """Advance the clock; called about once a second, and before figures are read."""
        now = self._monotonic()
        while now >= self._part_ends:
            self._since_start.merge(self.now)
            self._parts.append(self.now)
            self.now = Histogram()
            self._part_ends += PART_SECONDS
            if now - self._part_ends > PART_SECONDS * PARTS:
                self._parts.clear()
                self._part_ends = now + PART_SECONDS

    def snapshot(self) -> LatencySnapshot:
        """The figures up to now."""
        self.tick()
        whole, minute = Histogram(), Histogram()
        whole.merge(self._since_start)
        whole.merge(self.now)
        for part in (*self._parts, self.now):
            minute.merge(part)
        return LatencySnapshot(whole, minute, list(self._latest))


@dataclass(frozen=True, slots=True)
class LatencySnapshot:
    """
    The measurements of one kind.

    :ivar since_start: all values ever; ``last_minute``: those of the last 50 to 60 seconds.
    :ivar latest: the latest 128, oldest first.
    """

    since_start: Histogram
    last_minute: Histogram
    latest: list[int]

    @classmethod
    def nothing(cls) -> LatencySnapshot:
        """Of nothing."""
        return cls(Histogram(), Histogram(), [])


def latest_figures(latest: Sequence[int]) -> Latest | None:
    """Dante's figures of the latest values, oldest first; None if there are none."""
    values = sorted(latest)
    count = len(values)
    if not count:
        return None
    half = count // 2
    median = values[half] if count % 2 else (values[half - 1] + values[half]) // 2
    mean = sum(values) / count
    deviation = math.sqrt(sum((each - mean) ** 2 for each in values) / count)
    return Latest(count, values[0], values[-1], median, int(mean), latest[-1], round(deviation))


class Stopwatch:
    """
    Measures datagrams: all of them, or if there are many each sixteenth; and relays of connections.

    :ivar reading: of datagrams, from their arrival in the kernel until we have read them;
        ``relaying``: until we have sent them on.
    :ivar to_target: the latter for those of clients; ``to_client``: for those of targets.
    :ivar batches: of connections: from when the kernel reports events until all of that batch have
        been served.
    :ivar wait: how many datagrams to let pass before the next is measured.
    """

    __slots__ = (
        "_due",
        "_every",
        "_measured",
        "_stamp",
        "_stamp_parts",
        "batches",
        "reading",
        "relaying",
        "to_client",
        "to_target",
        "wait",
    )

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.reading = LatencyStatistics(monotonic)
        self.relaying = LatencyStatistics(monotonic)
        self.to_target = LatencyStatistics(monotonic)
        self.to_client = LatencyStatistics(monotonic)
        self.batches = LatencyStatistics(monotonic)
        self.wait = 0
        self._every = 1
        self._measured = 0
        self._due = 0.0
        self._stamp = bytearray(16)
        self._stamp_parts = memoryview(self._stamp).cast("q")

    def prepare(self, fd: int) -> None:
        """Have the kernel stamp what arrives on a socket from now on."""
        try:
            fcntl.ioctl(fd, _SIOCGSTAMPNS, self._stamp, True)
        except OSError:
            pass  # "nothing was stamped yet"; asking starts the stamping

    def measure(self, fd: int, read_at: float, way: LatencyStatistics) -> None:
        """
        Measure the datagram that was read last from a socket and has been sent on.

        :param read_at: seconds since the epoch when it had been read.
        :param way: ``to_target`` or ``to_client``.
        """
        try:
            fcntl.ioctl(fd, _SIOCGSTAMPNS, self._stamp, True)
        except OSError:
            return
        seconds, nanoseconds = self._stamp_parts
        arrived = seconds + nanoseconds * 1e-9
        sent = int((time() - arrived) * _MICRO)
        read = int((read_at - arrived) * _MICRO)
        self._measured += 1
        if self._measured > SPARSE_ABOVE:
            self._every = SPARSE_INTERVAL  # not only from the next second on
        self.wait = self._every - 1
        if read < 0 or sent < 0:
            return  # the clock has gone back meanwhile
        self.reading.add(read)
        self.relaying.add(sent)
        way.add(sent)

    def check(self, now: float) -> None:
        """Advance the clock, about once a second; ``now`` is monotonic seconds."""
        if now < self._due:
            return
        self._due = now + 0.9
        self._every = SPARSE_INTERVAL if self._measured * self._every > SPARSE_ABOVE else 1
        self._measured = 0
        for latency in (self.reading, self.relaying, self.to_target, self.to_client, self.batches):
            latency.tick()
