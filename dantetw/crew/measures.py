"""
Latencies that were measured, on their way from a worker to the mother.
"""

from __future__ import annotations

from typing import Any, Final

from dantetw.relay.latency import HISTOGRAM_PLACES, Histogram, LatencySnapshot
from dantetw.relay.latency import LATEST_VALUES as MOST

# What a list may hold that comes from a worker.
_LARGEST: Final = 2**63


def pack(measured: LatencySnapshot) -> list[Any]:
    """As it can be sent."""
    return [
        _histogram(measured.since_start),
        _histogram(measured.last_minute),
        list(measured.latest),
    ]


def unpack(packed: Any) -> LatencySnapshot:
    """
    As it was.

    :raises ValueError: if it makes no sense.
    """
    match packed:
        case [since_start, last_minute, [*latest]] if len(latest) <= MOST:
            return LatencySnapshot(_unpacked(since_start), _unpacked(last_minute), _numbers(latest))
    raise ValueError("not what was measured")


def _histogram(histogram: Histogram) -> list[Any]:
    counts = [place for pair in enumerate(histogram.counts) if pair[1] for place in pair]
    return [histogram.count, histogram.total, histogram.minimum, histogram.maximum, counts]


def _unpacked(packed: Any) -> Histogram:
    histogram = Histogram()
    match packed:
        case [count, total, minimum, maximum, [*counts]]:
            histogram.count, histogram.total, histogram.minimum, histogram.maximum = _numbers(
                [count, total, minimum, maximum]
            )
            places, numbers = _numbers(counts[::2]), _numbers(counts[1::2])
            for place, number in zip(places, numbers, strict=True):
                if place >= HISTOGRAM_PLACES:
                    raise ValueError("no such place")
                histogram.counts[place] = number
            return histogram
    raise ValueError("not a histogram")


def _numbers(values: list[Any]) -> list[int]:
    if not all(type(each) is int and 0 <= each <= _LARGEST for each in values):
        raise ValueError("not a number")
    return values
