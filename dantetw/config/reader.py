"""
Reading values: what every kind of argument needs, and numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from dantetw.config.lexer import Lexer, Token
from dantetw.config.program import Program
from dantetw.config.report import ConfigError, Report

_NUMBER: Final = re.compile(r"(?a)0[xX][0-9a-fA-F]+|[0-9]+")
_TRAIL: Final = re.compile(r"(?a)[\w.]+")
_OCTAL: Final = re.compile(r"(?a)0[0-7]*")

#: ``strtoll(3)`` is what Dante reads numbers with.
LARGEST_NUMBER: Final = 2**63 - 1


def number_of(token: Token) -> int:
    """
    The value of a number written as in C: decimal, ``0x…``, or octal with a leading 0.

    :raises ConfigError: it is not one, or does not fit 64 bits.
    """
    text = token.text
    # int() refuses thousands of digits with ValueError.
    if len(text.lstrip("0")) > 20:
        raise ConfigError(
            token, f"number {text[:20]}… is out of range", "a number of at most 64 bits"
        )
    if text[:2] in ("0x", "0X"):
        value = int(text, 16)
    elif text.startswith("0"):
        if not _OCTAL.fullmatch(text):
            raise ConfigError(
                token, f'"{text}" is not a number: a leading 0 means octal', "digits 0-7"
            )
        value = int(text, 8)
    else:
        value = int(text)
    if value > LARGEST_NUMBER:
        raise ConfigError(token, f"number {text} is out of range", "a number of at most 64 bits")
    return value


class Reader:
    """
    What an argument reads from.

    :ivar lexer: the cursor; ``report``: takes problems that do not stop the reading.
    :ivar in_rule: inside braces, so that ``}`` means something.
    :ivar swallowed: set when a brace was found that Dante would have taken for a part of a value.
    :ivar is_keyword: whether a word is a keyword, anywhere.
    :ivar program: what words can name of it.
    """

    def __init__(
        self,
        lexer: Lexer,
        report: Report,
        in_rule: bool,
        is_keyword: Callable[[str], bool],
        program: Program,
    ) -> None:
        self.lexer = lexer
        self.report = report
        self.in_rule = in_rule
        self.swallowed = False
        self.is_keyword = is_keyword
        self.program = program

    def at_end(self) -> bool:
        """Skip blanks; whether the line, or the rule, ends here."""
        self.lexer.blanks()
        character = self.lexer.peek()
        return character == "\n" or (self.in_rule and character == "}")

    def expect(self, pattern: re.Pattern[str], what: str) -> Token:
        """The token that ``pattern`` finds after blanks.  :raises ConfigError: there is none."""
        self.lexer.blanks()
        token = self.lexer.take(pattern)
        if token is None:
            raise self.missing(what)
        return token

    def missing(self, what: str) -> ConfigError:
        """The error that something other than ``what`` is here."""
        found = self.lexer.unexpected()
        return ConfigError(found, f'unexpected "{found.text}"' if found.text else "no value", what)

    def number(self, what: str = "a number") -> tuple[Token, int]:
        """A number.  :raises ConfigError: there is none, or it is out of range."""
        self.lexer.blanks()
        token = self.lexer.take(_NUMBER)
        if token is None:
            found = self.lexer.unexpected()
            text = f'"{found.text}" is not a number' if found.text else "no value"
            raise ConfigError(found, text, what)
        after = self.lexer.position
        trail = self.lexer.take(_TRAIL)
        if trail is not None:
            if not (trail.text.startswith(("port", "in")) or self.is_keyword(trail.text)):
                whole = self.lexer.token(token.offset, trail.end)
                raise ConfigError(
                    whole, f'"{whole.text}" is not a number', f"{what}, without a unit"
                )
            self.lexer.position = after
        return token, number_of(token)

    def keyword_follows(self, token: Token) -> bool:
        """Whether ``token`` is not a value but the next keyword with its colon."""
        name, colon, _ = token.text.partition(":")
        if not self.is_keyword(name):
            return False
        if colon:
            return True
        self.lexer.blanks()
        follows = self.lexer.peek() == ":"
        self.lexer.position = token.end
        return follows

    def end_of_line(self) -> None:
        """:raises ConfigError: something else follows on the line."""
        if not self.at_end():
            found = self.lexer.unexpected()
            raise ConfigError(found, f'unexpected "{found.text}"', "the end of the line")
