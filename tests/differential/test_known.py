"""Tests of the table of known differences."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

from twisted.trial.unittest import SynchronousTestCase

import dantetw
from tests.differential import rules
from tests.differential.comparing import Difference
from tests.differential.known import ROWS, why
from tests.differential.requests import ASSOCIATE, CONNECT, Asking, request

DOCS = Path(dantetw.__file__).resolve().parents[1] / "docs"


def asking(command: int = ASSOCIATE) -> Asking:
    """Some request."""
    return Asking(0, "10.0.0.1", "10.0.0.100", 5, command, "0.0.0.0", 0)


TEXT = "external: 192.0.2.1\nexternal: 2001:db8::1\n"


class KnownTests(SynchronousTestCase):
    """What is taken for known."""

    def test_rows(self) -> None:
        """Each points to a row of the documentation."""
        text = re.sub(r"\s+", " ", (DOCS / "differences.rst").read_text())
        missing = [row.title for row in ROWS if f"* - {row.title} - " not in text]
        self.assertEqual(missing, [])

    def test_explained(self) -> None:
        """A difference is known if rows explain all of its lines."""
        danted = "info: pass(1): tcp/accept ]: 0 -> a.1 b.2 -> 5: local client closed."
        ours = "info: pass(1): tcp/accept ]: 5 -> a.1 b.2 -> 10: local client closed."
        titles = why(Difference(asking(), (danted,), (ours,), TEXT))
        self.assertEqual(titles, ["UDP: the counts in ``tcp/accept ]``"])

    def test_unexplained(self) -> None:
        """If a line is left, it is not; nor is another decision."""
        counts = "info: pass(1): tcp/accept ]: {} -> a.1 b.2 -> 5: local client closed."
        lines = (counts.format(0), "info: block(2): x"), (counts.format(5),)
        self.assertEqual(why(Difference(asking(), *lines, TEXT)), [])
        replies = ("client: method 0, reply 2 refused, eof",), ("client: method 0, reply 0",)
        self.assertEqual(why(Difference(asking(), *replies, TEXT)), [])
        self.assertEqual(why(Difference(asking(CONNECT), *replies, TEXT)), [])


class RandomTests(SynchronousTestCase):
    """What is invented."""

    def test_repeated(self) -> None:
        """The same seed gives the same rules and requests."""
        for _ in range(2):
            first, second = Random("7"), Random("7")
            self.assertEqual(
                rules.configuration(first, "log", 9), rules.configuration(second, "log", 9)
            )
            self.assertEqual(request(first, 3), request(second, 3))

    def test_plain(self) -> None:
        """A request comes back from what JSON has of it."""
        for number in range(50):
            made = request(Random(number), number)
            self.assertEqual(Asking.of(made.plain()), made)
