"""
Problems of a configuration file, and how they are reported.

A :class:`Problem` is a value; :meth:`Problem.render` is for people at a terminal,
:meth:`Problem.one_line` for the log.  Both escape text of the file.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dantetw.policy import Where
from dantetw.values import Severity

#: Columns of an offending line that are shown; longer lines are cut around the caret.
SHOWN_COLUMNS: Final = 76

#: Characters of a text or a word that are shown.
LONGEST_TEXT: Final = 600

#: Words nearer than this (:meth:`difflib.SequenceMatcher.ratio`) are worth suggesting.
_NEAR: Final = 0.6

#: Longer words are not compared with anything: difflib takes quadratic time.
_LONGEST_WORD: Final = 64

_MANUAL: Final = ".  Please see the Dante manual for more information"


def nearest(word: str, known: Iterable[str]) -> str:
    """The one of ``known`` that ``word`` was probably meant to be, or an empty string."""
    if not word or len(word) > _LONGEST_WORD:
        return ""
    names = list(known)
    if word.lower() in names:
        return word.lower()
    found = difflib.get_close_matches(word, names, n=1, cutoff=_NEAR)
    return found[0] if found else ""


def visible(text: str) -> str:
    """
    ``text`` with everything that is not plainly printable written as an escape, and cut if it is
    longer than any message of ours.
    """
    if len(text) > LONGEST_TEXT:
        text = text[:LONGEST_TEXT] + "…"
    if text.isprintable():
        return text
    return "".join(_visible_character(character) for character in text)


def _visible_character(character: str) -> str:
    if character.isprintable():
        return character
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # a byte that is not UTF-8, as surrogateescape keeps it
        return f"\\x{number - 0xDC00:02x}"
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _width(text: str) -> int:
    """Columns a terminal needs for printable ``text``."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One error or warning about a configuration.

    :ivar severity: ``ERROR``: there is no policy; ``WARNING`` and ``NOTICE``: there is one all the
        same.
    :ivar where: the place; line 0 means the file as a whole.
    :ivar text: what is wrong, without a full stop.
    :ivar token: the words of the file it is about, empty if there are none.
    :ivar expected: what could have stood there, or empty.
    :ivar hint: the nearest known word, or empty.
    :ivar source_line: the line of the file, without its newline.
    :ivar ours: a warning or notice that Dante does not give; such a notice is only for those who
        ask (``sockd check``).
    :ivar unbuilt: an error only because dantetw does not support this yet; Dante does.
    """

    severity: Severity
    where: Where
    text: str
    token: str = ""
    expected: str = ""
    hint: str = ""
    source_line: str = ""
    ours: bool = False
    unbuilt: bool = False

    @property
    def is_error(self) -> bool:
        """Whether it prevents the start."""
        return self.severity <= Severity.ERROR

    def render(self) -> str:
        """Several lines for people, in the form compilers use; no newline at the end."""
        where = visible(self.where.file) + (
            f":{self.where.line}:{self.where.column}" if self.where.line else ""
        )
        lines = [f"{where}: {self.severity.name.lower()}: {visible(self.text)}"]
        if self.where.line and (self.source_line or self.where.column == 1):
            lines += self._excerpt()
        if self.expected:
            lines.append(f"  expected {visible(self.expected)}")
        if self.hint:
            lines.append(f'  did you mean "{visible(self.hint)}"?')
        return "\n".join(lines)

    def one_line(self) -> str:
        """One line for the log, without the severity; worded as Dante words its own."""
        text = visible(self.text)
        if not self.where.line:
            return text
        text = (
            f"{visible(self.where.file)}: problem on line {self.where.line} "
            f'near token "{visible(self.token)}": {text}'
        )
        if self.is_error or self.ours:
            if self.expected:
                text += f"; expected {visible(self.expected)}"
            if self.hint:
                text += f'; did you mean "{visible(self.hint)}"?'
            return text
        return text + _MANUAL

    def _excerpt(self) -> list[str]:
        """The offending line and the line with the caret under it."""
        at = self.where.column - 1
        line = self.source_line
        # Cut by characters first: a line may be a megabyte long.
        start = max(0, at - SHOWN_COLUMNS // 2) if len(line) > SHOWN_COLUMNS else 0
        end = start + SHOWN_COLUMNS
        before, after = line[start:at], line[at:end]
        first = self.token.split("\n", 1)[0]
        length = max(1, min(len(first), len(after))) if line.startswith(first, at) else 1
        under, rest = after[:length], after[length:]
        head = "... " if start else ""
        tail = " ..." if end < len(line) else ""
        shown = "    " + head + _keep_tabs(before) + _keep_tabs(under) + _keep_tabs(rest) + tail
        # Tabs stay tabs under themselves, so the caret is right whatever a tab is worth.
        blank = "".join(c if c == "\t" else " " * _width(visible(c)) for c in before)
        mark = "^" + "~" * (max(1, _width(visible(under))) - 1)
        return [shown.rstrip(), "    " + " " * len(head) + blank + mark]


def render_problems(problems: Iterable[Problem], file: str, remarks: bool = False) -> str:
    """
    All problems for people, and at the end how many there are; empty if there are none.

    Dante's notices are for the log only.

    :param file: the configuration's name, as given.
    :param remarks: with notices of our own.
    """
    shown = [
        problem
        for problem in problems
        if problem.severity <= Severity.WARNING or (remarks and problem.ours)
    ]
    if not shown:
        return ""
    errors = sum(problem.is_error for problem in shown)
    unbuilt = sum(problem.unbuilt for problem in shown)
    warnings = sum(problem.severity is Severity.WARNING for problem in shown)
    notices = len(shown) - errors - warnings
    counted = _plural(errors, "error") + (f" ({unbuilt} not supported yet)" if unbuilt else "")
    counts = (
        (errors, counted),
        (warnings, _plural(warnings, "warning")),
        (notices, _plural(notices, "notice")),
    )
    summary = ", ".join(text for number, text in counts if number)
    kind = "error" if errors else "warning" if warnings else "notice"
    return "\n".join((*(p.render() for p in shown), f"{kind}: {visible(file)}: {summary}", ""))


def _plural(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _keep_tabs(text: str) -> str:
    return "\t".join(visible(piece) for piece in text.split("\t"))
