"""Tests of :mod:`dantetw.observe.formats.oneline`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.escaping import escape
from dantetw.observe.formats.oneline import one_line


class OneLineTests(SynchronousTestCase):
    """Messages stay on one line."""

    def test_plain(self) -> None:
        """What is printable stays as it is, backslashes and other scripts included."""
        for text in ("", "a  b ", r"odd\nname", 'say "x"', "Grüße, 世界"):
            self.assertEqual(one_line(text), text)

    def test_controls(self) -> None:
        """What moves a cursor or starts a line is escaped."""
        cases = {
            "a\nb": r"a\nb",
            "\x1b[1m": r"\033[1m",
            "\x9b": r"\302\233",
            "\u2028": r"\342\200\250",
            "\u202e": r"\342\200\256",
            "\udcff": r"\377",
        }
        for text, expected in cases.items():
            self.assertEqual(one_line(text), expected)

    @given(st.text(alphabet=st.characters(exclude_categories=())))
    def test_any_text(self, text: str) -> None:
        """The result is one printable line, and what was escaped before is left alone."""
        self.assertTrue(one_line(text).isprintable())
        escaped = escape(text)
        self.assertEqual(one_line(escaped), escaped)
