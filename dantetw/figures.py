"""
Figures of many measured values, as a status report has them.
"""

from __future__ import annotations

from dantetw.values import value


@value
class Figures:
    """
    What there is to say of many values.  Microseconds.

    :ivar count: how many; the rest is 0 if there are none.
    """

    count: int = 0
    minimum: int = 0
    mean: float = 0.0
    maximum: int = 0
    deviation: float = 0.0
    p50: int = 0
    p95: int = 0
    p99: int = 0


@value
class Latest:
    """Dante's figures of the latest values, truncated and rounded as Dante does."""

    count: int
    minimum: int
    maximum: int
    median: int
    average: int
    last: int
    deviation: int
