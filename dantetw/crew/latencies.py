"""
Packs the latencies that a worker reports to the supervisor process.
"""

from __future__ import annotations

from typing import Any, Final

from dantetw.relay.latency import HISTOGRAM_PLACES, LATEST_VALUES, Histogram, LatencySnapshot

# The largest number that a list from a worker may hold.
_LARGEST: Final = 2**63


def pack(measured: LatencySnapshot) -> list[Any]:
    """As lists of numbers, for JSON."""
    return [
        _histogram(measured.since_start),
        _histogram(measured.last_minute),
        list(measured.latest),
    ]


def parse(packed: Any) -> LatencySnapshot:
    """
    What :func:`pack` has packed.

    :raises ValueError: if it is something else.
    """
    match packed:
        case [since_start, last_minute, [*latest]] if len(latest) <= LATEST_VALUES:
            return LatencySnapshot(_parsed(since_start), _parsed(last_minute), _numbers(latest))
    raise ValueError("not what was measured")


def _histogram(histogram: Histogram) -> list[Any]:
    counts = [place for pair in enumerate(histogram.counts) if pair[1] for place in pair]
    return [histogram.count, histogram.total, histogram.minimum, histogram.maximum, counts]


def _parsed(packed: Any) -> Histogram:
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
