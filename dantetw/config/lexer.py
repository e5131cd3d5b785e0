"""
Text into tokens: the lowest level of the configuration language.

Dante's scanner has a mode per kind of value, since a word means different things in different
places: ``lo#x`` may be a name or a name and a comment, ``0/0`` one value or three.  So there is no
one list of tokens here either: code that knows what may come next asks a :class:`Lexer` for it with
a pattern, and gets a :class:`Token` that knows its place.

Blanks, comments and continued lines (a backslash before the newline) are skipped here and nowhere
else.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from dantetw.policy import Where

#: Bytes a configuration file may have.  The longest real one seen has 13 KB; a thousand rules have
#: 100 KB; a larger one is no configuration file, but a log or an image.
LARGEST_FILE: Final = 1024 * 1024

_BLANKS: Final = re.compile(r"(?a)(?:[ \t]|\\\n)*(?:#[^\n]*)?")
_LINES: Final = re.compile(r"(?a)(?:[ \t\n]|\\\n|#[^\n]*)*")
_NEXT: Final = re.compile(r"(?as)[^\s{}#]+|.")


@dataclass(frozen=True, slots=True)
class Token:
    """
    Some words of the file.

    :ivar text: as written.
    :ivar where: line and column of the first character, both from 1.
    :ivar offset: the first character's index in the text.
    """

    text: str
    where: Where
    offset: int

    @property
    def end(self) -> int:
        """Index of the first character after it."""
        return self.offset + len(self.text)


class Source:
    """
    A file's text, and where its lines are.

    :ivar text: decoded; a byte-order mark is gone, line ends are newlines only.
    """

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self._shown = (0, "")  # the line asked for last, since problems come in swarms
        self._starts = [0] + [match.end() for match in re.finditer("\n", text)]

    @classmethod
    def of(cls, data: bytes, file: str) -> Source:
        """
        Decode a file.

        UTF-8, and bytes that are not UTF-8 are kept as they are (:pep:`383`): the language has
        only ASCII words, so the encoding matters in names and comments alone, and for those any
        will do.  Line ends may be Windows's.
        """
        text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
        return cls(text.replace("\r\n", "\n").removesuffix("\r"), file)

    def where(self, offset: int) -> Where:
        """The place of a character."""
        line = bisect_right(self._starts, offset)
        return Where(self.file, line, offset - self._starts[line - 1] + 1)

    def line(self, number: int) -> str:
        """The text of a line, without its newline; empty if there is no such line."""
        if number == self._shown[0]:
            return self._shown[1]
        if not 1 <= number <= len(self._starts):
            return ""
        start = self._starts[number - 1]
        end = self._starts[number] - 1 if number < len(self._starts) else len(self.text)
        self._shown = (number, self.text[start:end])
        return self._shown[1]


class Lexer:
    """
    A cursor over a :class:`Source`.

    :ivar position: index of the next character.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.position = 0

    def blanks(self) -> None:
        """Skip blanks, continued line ends and a comment; stay on the (logical) line."""
        match = _BLANKS.match(self.source.text, self.position)
        assert match is not None  # it matches the empty string
        self.position = match.end()

    def lines(self) -> None:
        """Skip blanks, comments and newlines."""
        match = _LINES.match(self.source.text, self.position)
        assert match is not None
        self.position = match.end()

    def take(self, pattern: re.Pattern[str]) -> Token | None:
        """The token that ``pattern`` finds right here, or None; the cursor moves behind it."""
        match = pattern.match(self.source.text, self.position)
        if match is None:
            return None
        token = self.token(self.position, match.end())
        self.position = match.end()
        return token

    def token(self, start: int, end: int) -> Token:
        """The token from ``start`` to before ``end``."""
        return Token(self.source.text[start:end], self.source.where(start), start)

    def peek(self) -> str:
        """The next character; a newline at the end of the file."""
        text = self.source.text
        return text[self.position] if self.position < len(text) else "\n"

    @property
    def finished(self) -> bool:
        """Whether the end of the file is reached."""
        return self.position >= len(self.source.text)

    def unexpected(self) -> Token:
        """What is here, for an error message; empty at the end of a line."""
        if self.peek() == "\n":
            return self.token(self.position, self.position)
        match = _NEXT.match(self.source.text, self.position)
        assert match is not None
        return self.token(self.position, match.end())

    def skip_line(self, *, in_rule: bool) -> None:
        """
        Recover from an error: go to the end of the line or, ``in_rule``, before the brace that
        closes the rule, whichever is first.  Braces in pairs are passed over.
        """
        text = self.source.text
        depth = 0
        while True:
            self.blanks()
            character = self.peek()
            if character == "\n":
                return
            if in_rule and character == "{":
                depth += 1
            elif in_rule and character == "}":
                if depth == 0:
                    return
                depth -= 1
            if character in "{}":
                self.position += 1
                continue
            match = _NEXT.match(text, self.position)
            assert match is not None
            self.position = match.end()
