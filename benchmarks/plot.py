"""
Costs of several servers as bars: an SVG file made by hand, which needs nothing to draw it.

One group of bars for each figure, one bar for each server, as long as its cost in multiples of the
first server's; figures in words beside them.  Colours suit a light page and a dark one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from benchmarks.figures import Figures, shown
from benchmarks.measures import ROWS

WIDTH: Final = 860
_LEFT, _RIGHT, _TOP = 250, 150, 62
_BAR, _GAP, _BETWEEN = 15, 3, 16
#: Multiples of the first server's cost that fit in; longer bars are cut off, and look so.
MOST: Final = 4.0
_UNIT: Final = (WIDTH - _LEFT - _RIGHT) / MOST

_STYLE: Final = """\
text { font: 13px system-ui, sans-serif; fill: #24292f }
.small { font-size: 11px; fill: #57606a }
.title { font-size: 15px; font-weight: 600 }
.line { stroke: #57606a; stroke-width: 1 }
.s0 { fill: #2f6fde } .s1 { fill: #d9822b } .s2 { fill: #3f9c59 } .s3 { fill: #9a5fb5 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .small { fill: #9da7b3 } .line { stroke: #9da7b3 }
}"""
_COLOURS: Final = 4


def plot(servers: Sequence[Figures], title: str, notes: Sequence[str]) -> str:
    """
    An SVG image.

    :param notes: lines of small print: when, on what machine.
    """
    names = [name for name, row in ROWS.items() if row.plotted and servers[0].median(name)]
    group = len(servers) * (_BAR + _GAP) + _BETWEEN
    bottom = _TOP + len(names) * group
    height = bottom + 16 * len(notes) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        f' width="{WIDTH}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        _text(12, 22, title, "title"),
        *_legend(servers),
    ]
    for place, name in enumerate(names):
        parts += _group(name, servers, _TOP + place * group)
    x = _LEFT + _UNIT
    parts.append(f'<line class="line" x1="{x}" y1="{_TOP - 6}" x2="{x}" y2="{bottom - 8}"/>')
    parts += [
        _text(12, bottom + 14 + 16 * number, note, "small") for number, note in enumerate(notes)
    ]
    return "\n".join((*parts, "</svg>", ""))


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    word = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{word}>{escape(text)}</text>'


def _legend(servers: Sequence[Figures]) -> list[str]:
    parts, x = [], 12.0
    for number, one in enumerate(servers):
        parts.append(_bar(x, 34, 12, 12, number))
        parts.append(_text(x + 18, 45, one.name))
        x += 18 + 8 * len(one.name) + 24
    return parts


def _bar(x: float, y: float, width: float, height: float, number: int, about: str = "") -> str:
    kind = f"s{number % _COLOURS}"
    place = f'x="{x:g}" y="{y:g}" width="{width:.1f}" height="{height:g}"'
    return f'<rect class="{kind}" {place}><title>{escape(about)}</title></rect>'


def _group(name: str, servers: Sequence[Figures], top: float) -> list[str]:
    """The bars of one figure."""
    row = ROWS[name]
    parts = [
        _text(_LEFT - 10, top + 12, row.work.partition(":")[0], anchor="end"),
        _text(_LEFT - 10, top + 27, row.unit, "small", "end"),
    ]
    for number, one in enumerate(servers):
        value, ratio = one.median(name), one.ratio(name, servers[0])
        y = top + number * (_BAR + _GAP)
        if value is None or ratio is None:
            parts.append(_text(_LEFT + 6, y + 12, "cannot", "small"))
            continue
        words = shown(value, row.digits)
        if number:
            words = f"{words} ({shown(ratio, 2)} times)"
        width = min(ratio, MOST) * _UNIT
        parts.append(_bar(_LEFT, y, width, _BAR, number, f"{one.name}: {words} {row.unit}"))
        if ratio > MOST:  # cut off: an arrow's head
            tip = _LEFT + width
            head = f"{tip:g},{y:g} {tip + 9:g},{y + _BAR / 2:g} {tip:g},{y + _BAR:g}"
            parts.append(f'<polygon class="s{number % _COLOURS}" points="{head}"/>')
            width += 9
        # Not across the line that marks the first server's.
        parts.append(_text(_LEFT + max(width, _UNIT) + 6, y + 12, words, "small"))
    return parts
