"""Tests for :mod:`dantetw.config.problems`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dantetw.config.problems import Problem, nearest, visible
from dantetw.policy import Where
from dantetw.values import Severity
from tests.config.fakes import with_globals, with_rules


def problem(line: str, column: int, token: str, ours: bool = False) -> Problem:
    """An error at a place of a line."""
    return Problem(
        Severity.ERROR, Where("s.conf", 3, column), "wrong", token, source_line=line, ours=ours
    )


class ProblemTests(SynchronousTestCase):
    """Rendering."""

    def test_render(self) -> None:
        """The offending word is underlined; what was expected and the nearest keyword follow."""
        parsed = with_globals("intenal: ::1", "debug: on")
        self.assertEqual(
            [found.render() for found in parsed.problems],
            [
                'sockd.conf:8:1: error: unknown keyword "intenal"\n'
                "    intenal: ::1\n"
                "    ^~~~~~~\n"
                '  did you mean "internal"?',
                'sockd.conf:9:8: error: "on" is not a number\n'
                "    debug: on\n"
                "           ^~\n"
                "  expected a number",
            ],
        )

    def test_caret(self) -> None:
        """The caret stands under the word, whatever stands before it."""
        for line, column, token, shown, under in (
            ("a bb", 3, "bb", "    a bb", "      ^~"),
            ("\tbb", 2, "bb", "    \tbb", "    \t^~"),
            ("\x07 bb", 3, "bb", "    \\x07 bb", "         ^~"),
            ("日 bb", 3, "bb", "    日 bb", "       ^~"),
            ("e\u0301 b", 4, "b", "    e\u0301 b", "      ^"),
            ("a", 2, "", "    a", "     ^"),
        ):
            lines = problem(line, column, token).render().split("\n")
            self.assertEqual(lines[1:3], [shown, under])

    def test_long_line(self) -> None:
        """A long line is cut around the caret, and both ends say so."""
        line = "x" * 500 + " bad " + "y" * 500
        lines = problem(line, 502, "bad").render().split("\n")
        self.assertLess(len(lines[1]), 100)
        self.assertTrue(lines[1].startswith("    ... ") and lines[1].endswith(" ..."))
        self.assertEqual(lines[1][lines[2].index("^") :][:3], "bad")

    def test_long_word(self) -> None:
        """A word of a megabyte does not fill the terminal."""
        for text in (problem("x" * 10**6, 1, "x" * 10**6), with_globals("x" * 900000).problems[0]):
            self.assertLess(len(text.render()), 1500)
            self.assertLess(len(text.one_line()), 1500)

    def test_one_line(self) -> None:
        """Dante's form for the log: the manual is named where the warning is Dante's."""
        warning = with_rules("pass { from: 0/0 to: 0/0 }").problems[0]
        self.assertEqual(
            warning.one_line(),
            'sockd.conf: problem on line 8 near token "pass": keyword "pass" is deprecated - '
            'assuming the new keyword "socks pass" was meant.  Please update Dante\'s config file '
            "(sockd.conf) to use the new keyword as appropriate.  Please see the Dante manual for "
            "more information",
        )
        self.assertEqual(
            with_globals("intenal: ::1").problems[0].one_line(),
            'sockd.conf: problem on line 8 near token "intenal": unknown keyword "intenal"; did '
            'you mean "internal"?',
        )

    def test_one_line_is_one_line(self) -> None:
        """Nothing in a file can begin a new line of the log, or colour it."""
        found = with_globals("debug\x1b[31m\x0b: 1").problems[0]
        self.assertTrue(found.one_line().isprintable())

    def test_visible(self) -> None:
        """Controls, blanks in disguise and bytes that are no characters are escaped."""
        self.assertEqual(
            visible("a\r\x1b\xa0\u202e\udcff\U000e0001é"),
            "a\\r".replace("\\r", "\\x0d") + "\\x1b\\xa0\\u202e\\xff\\U000e0001é",
        )

    def test_nearest(self) -> None:
        """A near word is suggested, a far or absurd one not."""
        known = ("internal", "external")
        for word, expected in (
            ("intenal", "internal"),
            ("INTERNAL", "internal"),
            ("foo", ""),
            ("", ""),
            ("x" * 100000, ""),
        ):
            self.assertEqual(nearest(word, known), expected)
