"""Tests for :mod:`benchmarks.figures` and :mod:`benchmarks.plot`."""

from __future__ import annotations

import io
from xml.etree import ElementTree

from docutils.core import publish_doctree
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.churn import growth_of
from benchmarks.figures import Figures, inserted, shown, table
from benchmarks.plot import MOST, WIDTH, plot

SVG = "{http://www.w3.org/2000/svg}"


def servers() -> list[Figures]:
    """Ours, one that costs more or cannot, and one that costs very much more."""
    ours, other, third = Figures("ours"), Figures("a & b"), Figures("third")
    for cost in (200.0, 100.0, 400.0):
        ours.add({"rate.cost": cost, "hold.cost": 2.0, "udp.cost": 20.0, "rate.flow": 4321.0})
        other.add({"rate.cost": 1.5 * cost, "hold.cost": 250.0, "rate.flow": 1000.0})
        third.add({"rate.cost": 0.5 * cost})
    return [ours, other, third]


class FiguresTests(SynchronousTestCase):
    """Tests for :class:`Figures`."""

    def test_median(self) -> None:
        """The median of all rounds counts; what was not measured has none."""
        ours, other, _ = servers()
        self.assertEqual(ours.median("rate.cost"), 200.0)
        self.assertIsNone(other.median("udp.cost"))

    def test_ratio(self) -> None:
        """Ratios are taken within rounds, so that a machine's pace does not count."""
        ours, other, _ = servers()
        self.assertEqual(other.ratio("rate.cost", ours), 1.5)
        self.assertIsNone(other.ratio("udp.cost", ours))
        nothing = Figures("nothing")
        nothing.add({"rate.cost": 0.0})
        self.assertIsNone(ours.ratio("rate.cost", nothing))

    def test_shown(self) -> None:
        """Figures have no more digits than they are worth."""
        for value, text in ((None, "-"), (1234.56, "1,235"), (99.96, "100.0"), (2.25, "2.2")):
            self.assertEqual(shown(value, 1), text)


class TableTests(SynchronousTestCase):
    """Tests for :func:`table` and :func:`inserted`."""

    def test_table(self) -> None:
        """It has a row for each figure there is, and ratios to the first."""
        text = table(servers())
        rows = [line.split() for line in text.splitlines()]
        self.assertIn(
            ["CPU", "us", "200", "300", "(1.50)", "100", "(0.50)"], [r[-7:] for r in rows]
        )
        self.assertIn(["20.0", "-", "-"], [row[-3:] for row in rows])
        self.assertNotIn("round trip", text)

    def test_restructured_text(self) -> None:
        """It is a table without complaints."""
        complaints = io.StringIO()
        tree = publish_doctree(table(servers()), settings_overrides={"warning_stream": complaints})
        self.assertEqual(complaints.getvalue(), "")
        (found,) = tree.findall(lambda node: node.tagname == "table")
        self.assertEqual(len(list(found.findall(lambda node: node.tagname == "row"))), 5)

    def test_inserted(self) -> None:
        """Text takes the place of what stood between the marks, and nothing else changes."""
        begin, end = ".. Figures, written by ``python -m benchmarks``:", ".. End of the figures."
        document = f"before\n\n{begin}\n\nold\n\n{end}\n\nbehind\n"
        changed = inserted(document, "new\n")
        self.assertEqual(changed, f"before\n\n{begin}\n\nnew\n\n{end}\n\nbehind\n")
        self.assertEqual(inserted(changed, "new"), changed)
        self.assertRaises(ValueError, inserted, "no marks", "new")


class PlotTests(SynchronousTestCase):
    """Tests for :func:`plot`."""

    def setUp(self) -> None:
        self.root = ElementTree.fromstring(plot(servers(), "a < b", ["today", "here & now"]))

    def texts(self) -> list[str]:
        """All words in it."""
        return [text.text or "" for text in self.root.iter(f"{SVG}text")]

    def test_words(self) -> None:
        """Figures, names and notes are there; what a server cannot do is said."""
        words = self.texts()
        for text in ("a < b", "here & now", "a & b", "200", "300 (1.50 times)", "cannot"):
            self.assertIn(text, words)

    def test_bars(self) -> None:
        """Bars are as long as ratios say, those too long are cut off, and all are within."""
        by_words = {
            bar.findtext(f"{SVG}title"): float(bar.attrib["width"])
            for bar in self.root.iter(f"{SVG}rect")
        }
        one = by_words["ours: 200 CPU us"]
        self.assertAlmostEqual(by_words["a & b: 300 (1.50 times) CPU us"], 1.5 * one, delta=0.2)
        cut = by_words["a & b: 250 (125 times) KB"]
        self.assertAlmostEqual(cut, MOST * one, delta=0.5)
        self.assertEqual(len(list(self.root.iter(f"{SVG}polygon"))), 1)
        for bar in self.root.iter(f"{SVG}rect"):
            self.assertLess(float(bar.attrib["x"]) + float(bar.attrib["width"]), WIDTH)


class GrowthTests(SynchronousTestCase):
    """Tests for :func:`benchmarks.churn.growth_of`."""

    def test_growth(self) -> None:
        """It is what an hour adds; a single peak does not count."""
        curve = [(60.0 * minute, 1000.0 + 2 * minute) for minute in range(30)]
        curve[7] = (420.0, 5000.0)
        self.assertAlmostEqual(growth_of(curve), 120.0)
        self.assertEqual(growth_of([(0.0, 1.0)]), 0.0)
