"""Tests for :mod:`dantetw.escaping`."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.escaping import escape

CASES: list[tuple[str | bytes, str]] = [
    (b"", ""),
    (b"hello, world ~", "hello, world ~"),
    (b"a\\b", r"a\\b"),
    (b"\n\r\t\b\a\v\f", r"\n\r\t\b\a\v\f"),
    (b"\x00", r"\0"),
    (b"\x00a\x008\x009", r"\0a\08\09"),
    (b"\x000\x007\x00\x001", r"\0000\0007\0\0001"),
    (b"\x1b[1m\x7f\x80\xff", r"\033[1m\177\200\377"),
    ("plain", "plain"),
    ("back\\slash", r"back\\slash"),
    ("ev\nil \x1b[1m", r"ev\nil \033[1m"),
    ("é", r"\303\251"),
    ("\udcff", r"\377"),
    ("\ud800", r"\\ud800"),
]


def unescape(text: str) -> bytes:
    """The bytes that ``text`` was made of, by the rules of C."""
    short = {"n": 10, "r": 13, "t": 9, "b": 8, "a": 7, "v": 11, "f": 12, "\\": 92}

    def one(match: re.Match[str]) -> str:
        code = match[1]
        return chr(short[code] if code in short else int(code, 8))

    return re.sub(r"\\([0-7]{1,3}|.)", one, text).encode("latin-1")


class EscapeTests(SynchronousTestCase):
    """Tests for :func:`escape`."""

    def test_table(self) -> None:
        """Bytes and text are escaped as Dante does."""
        for text, expected in CASES:
            self.assertEqual(escape(text), expected, repr(text))

    @given(st.binary())
    def test_reversible(self, data: bytes) -> None:
        """The result is one line of printable ASCII that means the same bytes, and no others."""
        escaped = escape(data)
        self.assertTrue((escaped.isascii() and escaped.isprintable()) or not escaped)
        self.assertEqual(unescape(escaped), data)

    @given(st.text(st.characters()))
    def test_any_text(self, text: str) -> None:
        """Any text at all comes out as printable ASCII; text and its UTF-8 bytes are the same."""
        escaped = escape(text)
        self.assertTrue((escaped.isascii() and escaped.isprintable()) or not escaped)
        if not any("\ud800" <= letter <= "\udfff" for letter in text):
            self.assertEqual(escaped, escape(text.encode()))
