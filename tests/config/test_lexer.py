"""Tests for :mod:`dantetw.config.lexer`."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from dantetw.config.lexer import Lexer, Source

WORD = re.compile(r"(?a)[^\s#]+")


class SourceTests(SynchronousTestCase):
    """Places in a text."""

    def test_where(self) -> None:
        """Lines and columns count characters from 1."""
        source = Source("ab\nécd\n\nx", "f")
        for offset, expected in ((0, "f:1:1"), (1, "f:1:2"), (4, "f:2:2"), (7, "f:3:1")):
            self.assertEqual(str(source.where(offset)), expected)

    def test_line(self) -> None:
        """A line comes without its newline, and one that is not there is empty."""
        source = Source("ab\ncd\n", "f")
        found = [source.line(number) for number in (0, 1, 2, 3, 4)]
        self.assertEqual(found, ["", "ab", "cd", "", ""])

    def test_decode(self) -> None:
        """A byte-order mark is gone, Windows's line ends are newlines, odd bytes are kept."""
        source = Source.of(b"\xef\xbb\xbfa\r\nb\xff\r\n\r", "f")
        self.assertEqual(source.text, "a\nb\udcff\n")


class LexerTests(SynchronousTestCase):
    """The cursor."""

    def test_tokens_know_their_place(self) -> None:
        """Tokens are found behind blanks, comments and continued lines, with their places."""
        lexer = Lexer(Source("a \\\n\tb # c\n  d#e\\\nf", "f"))
        found = []
        while not lexer.finished:
            lexer.lines()
            token = lexer.take(WORD)
            assert token is not None
            found.append((token.text, token.where.line, token.where.column))
        self.assertEqual(found, [("a", 1, 1), ("b", 2, 2), ("d", 3, 3), ("f", 4, 1)])

    def test_blanks_stay_on_the_line(self) -> None:
        """A comment ends before its newline."""
        lexer = Lexer(Source("  # x\ny", "f"))
        lexer.blanks()
        self.assertEqual(lexer.peek(), "\n")

    def test_skip_line(self) -> None:
        """Recovery stops at the newline, in a rule before the brace that closes it."""
        for text, in_rule, rest in (
            ("x } y\nz", False, "\nz"),
            ("x } y\nz", True, "} y\nz"),
            ("x { a } b } y\nz", True, "} y\nz"),
            ("x # } y\nz", True, "\nz"),
            ("x", True, ""),
        ):
            lexer = Lexer(Source(text, "f"))
            lexer.skip_line(in_rule=in_rule)
            self.assertEqual(text[lexer.position :], rest, text)
