"""
Finding a keyword's row by the word in the file, its present-day name, and names to suggest.
"""

from __future__ import annotations

import re
from typing import Final

from dantetw.config.keyword import Keyword, Place
from dantetw.config.keywords.table import KEYWORDS
from dantetw.config.program import Program

_BY_NAME: Final = {row.name: row for row in KEYWORDS if not row.pattern}
_BY_PATTERN: Final = tuple((re.compile(row.pattern), row) for row in KEYWORDS if row.pattern)

#: Keywords that have another name today, also those that Dante takes without a warning.
RENAMED: Final = frozenset(row.name for row in KEYWORDS if row.present or row.present_in)
#: Of these, those that it warns of.
DEPRECATED: Final = frozenset(row.name for row in KEYWORDS if row.deprecated)
#: Keywords that are skipped, with a warning.
IGNORED: Final = frozenset(row.name for row in KEYWORDS if row.ignored)


def find(word: str) -> tuple[Keyword, tuple[str, ...]] | None:
    """The row for a word of the file and the placeholders' values, or None."""
    row = _BY_NAME.get(word)
    if row is not None:
        return row, ()
    for pattern, row in _BY_PATTERN:
        match = pattern.fullmatch(word)
        if match is not None:
            return row, tuple(group or "" for group in match.groups())
    return None


def is_keyword(word: str) -> bool:
    """Whether a word of the file is a keyword, in whatever place."""
    return find(word) is not None


def present_name(word: str, place: Place) -> str:
    """What a keyword is called today."""
    row = _BY_NAME.get(word)
    if row is None:
        return word
    return (row.present_in or {}).get(place, row.present) or word


def names_for(place: Place, program: Program) -> list[str]:
    """Names that are worth suggesting in a place; those with placeholders spelt out in part."""
    names = [row.name for row in _BY_NAME.values() if place in row.places]
    for _, row in _BY_PATTERN:
        if place in row.places:
            names += row.examples(program)
    return [name for name in names if name not in DEPRECATED and name not in IGNORED]
