"""
What the program can do, as far as a configuration names it.

The parts of the program are listed in :mod:`dantetw.catalogue`, a layer above; so what the
configuration must know of them is an argument of :func:`dantetw.config.load.parse`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dantetw.config.lexer import Token
from dantetw.config.problems import nearest
from dantetw.config.report import ConfigError
from dantetw.policy import Misspelling, Spelling, Where


@dataclass(frozen=True, slots=True)
class Program:
    """
    The parts of the program that a configuration names.

    :ivar destinations: the kinds of log destinations; the first that claims a word has it.
    :ivar formats: what ``log.format.FORMAT`` knows; None: this is not checked.
    """

    destinations: Sequence[Spelling]
    formats: Sequence[str] | None

    @property
    def form(self) -> str:
        """How ``logoutput`` is written."""
        return " | ".join(kind.form for kind in self.destinations) + " …"

    def spelling_of(self, word: str) -> Spelling | None:
        """The kind of destination that a word names, if there is one."""
        return next((kind for kind in self.destinations if kind.claims(word)), None)

    def misspelling_of(self, word: str) -> Misspelling | None:
        """What is wrong with the name of a destination; None: nothing that its kind knows of."""
        kind = self.spelling_of(word)
        return None if kind is None else kind.check(word)

    def check_destination(self, word: Token) -> None:
        """
        Refuse what cannot be meant as a destination.

        :raises ConfigError: with the part of the word that is wrong.
        """
        if not self.destinations:
            return
        text = word.text
        scheme, separator, _ = text.partition("://")
        schemes = [each for kind in self.destinations for each in kind.schemes]
        if ":" in text and not (separator and scheme in schemes):
            # In Dante a colon is a syntax error in any destination, so nothing else is meant by it.
            hint = nearest(scheme, schemes) if separator else ""
            colon = _part(word, text.index(":"), 1)
            raise ConfigError(colon, f'unexpected ":" in "{text}"', self.form, hint)
        wrong = self.misspelling_of(text)
        if wrong is not None and wrong.is_fatal:
            part = _part(word, wrong.start, wrong.length)
            raise ConfigError(part, wrong.text, wrong.expected, nearest(part.text, wrong.known))


#: For commands that need only where a server listens, and not the import of all its parts: every
#: destination and every format is taken.
UNCHECKED: Final = Program((), None)


def _part(word: Token, start: int, length: int | None) -> Token:
    """A part of a word; without ``length`` all from ``start`` on."""
    where = Where(word.where.file, word.where.line, word.where.column + start)
    return Token(word.text[start:][:length], where, word.offset + start)
