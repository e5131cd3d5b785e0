"""
Figures of several servers made into a table, and put where documents have room for them.

Pure: nothing here measures.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.measures import ROWS

_BEGIN = ".. Figures, written by ``python -m benchmarks``:"
_END = ".. End of the figures."


@dataclass
class Figures:
    """
    What was measured of one server.

    :ivar name: its name in tables; ``values``: of each round, by the names of :data:`ROWS`.
    :ivar failed: sessions that failed, in all rounds.
    """

    name: str
    values: dict[str, list[float]] = field(default_factory=dict)
    failed: int = 0

    def add(self, figures: Mapping[str, float]) -> None:
        """Those of a round."""
        for name, value in figures.items():
            self.values.setdefault(name, []).append(value)

    def median(self, name: str) -> float | None:
        """Of all rounds; None if it was never measured."""
        values = self.values.get(name)
        return statistics.median(values) if values else None

    def ratio(self, name: str, other: Figures) -> float | None:
        """
        The median of this server's figure as a multiple of the other's in the same round.

        Within a round, since machines change their pace.
        """
        pairs = zip(self.values.get(name, ()), other.values.get(name, ()), strict=False)
        ratios = [mine / its for mine, its in pairs if its > 0]
        return statistics.median(ratios) if ratios else None


def shown(value: float | None, digits: int) -> str:
    """A figure as tables have it: ``-`` for none, no more digits than it is worth."""
    if value is None:
        return "-"
    if value >= 100:
        digits = 0
    return f"{value:,.{digits}f}"


def table(servers: Sequence[Figures]) -> str:
    """
    All figures as a reStructuredText table, with ratios to the first server's in brackets.

    Rows that nobody has a figure for are left out.
    """
    lines = [["", "", *(one.name for one in servers)]]
    for name, row in ROWS.items():
        if all(one.median(name) is None for one in servers):
            continue
        cells = []
        for one in servers:
            cell = shown(one.median(name), row.digits)
            ratio = None if one is servers[0] else one.ratio(name, servers[0])
            cells.append(cell if ratio is None else f"{cell} ({shown(ratio, 2)})")
        lines.append([row.work, row.unit, *cells])
    lines[0][0], lines[0][1] = "Work", "Unit"
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join((rule, text[0], rule, *text[1:], rule))


def inserted(document: str, text: str) -> str:
    """
    A document with other text between its marks.

    :raises ValueError: if it has none.
    """
    pattern = re.compile(f"({re.escape(_BEGIN)}\n).*?({re.escape(_END)}\n)", re.DOTALL)
    found = pattern.search(document)
    if found is None:
        raise ValueError(f"no line {_BEGIN!r} and, behind it, {_END!r}")
    return f"{document[: found.end(1)]}\n{text.strip()}\n\n{document[found.start(2) :]}"
