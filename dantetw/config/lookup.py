"""
Finding a keyword's row by the word in the file, its present-day name, and names to suggest.
"""

from __future__ import annotations

import re
from typing import Final

from dantetw.config import vocabulary
from dantetw.config.forms import FIELDS
from dantetw.config.keywords import KEYWORDS, Keyword
from dantetw.config.program import Program
from dantetw.config.tree import Place

_BY_NAME: Final = {row.name: row for row in KEYWORDS if row.pattern is None}
_BY_PATTERN: Final = tuple(row for row in KEYWORDS if row.pattern is not None)

#: Names that came to be spelt otherwise; with a warning where :data:`DEPRECATED` says so.
_PRESENT_NAMES: Final = {
    "connecttimeout": "timeout.connect",
    "iotimeout": "timeout.io",
    "user.notprivileged": "user.unprivileged",
    "pamservicename": "pam.servicename",
}
DEPRECATED: Final = frozenset(("connecttimeout", "iotimeout", "method"))
#: Keywords that have another name today, also those that Dante takes without a warning.
RENAMED: Final = DEPRECATED | _PRESENT_NAMES.keys()
#: Keywords that are read over, with a warning.
IGNORED: Final = frozenset(("child.maxidle", "localdomain"))

_METHOD_NAMES: Final = {
    Place.GLOBAL: "socksmethod",
    Place.SOCKS: "socksmethod",
    Place.CLIENT: "clientmethod",
    Place.HOSTID: "clientmethod",
}


def find(word: str) -> tuple[Keyword, tuple[str, ...]] | None:
    """The row for a word of the file and the placeholders' values, or None."""
    row = _BY_NAME.get(word)
    if row is not None:
        return row, ()
    for row in _BY_PATTERN:
        assert row.pattern is not None
        match = row.pattern.fullmatch(word)
        if match is not None:
            return row, tuple(group or "" for group in match.groups())
    return None


def is_keyword(word: str) -> bool:
    """Whether a word of the file is a keyword, in whatever place."""
    return find(word) is not None


def present_name(word: str, place: Place) -> str:
    """What a keyword is called today."""
    if word == "method":
        return _METHOD_NAMES.get(place, word)
    return _PRESENT_NAMES.get(word, word)


def names_for(place: Place, program: Program) -> list[str]:
    """Names that are worth suggesting in a place; those with placeholders spelt out in part."""
    names = [row.name for row in _BY_NAME.values() if place in row.places]
    for row in _BY_PATTERN:
        if place not in row.places:
            continue
        if "SIDE.log" in row.name:
            names += [row.name.replace("SIDE", side) for side in ("internal", "external")]
        elif "SIDE.]" in row.name:
            names.append(re.sub(r"\[.*?\]", "", row.name))
        elif row.name.startswith("log."):
            head, _, what = row.name.rpartition(".")
            words = (program.formats or ()) if what == "FORMAT" else FIELDS
            names += [f"{head}.{word}" for word in words]
        elif "PROC" in row.name and "cpu" in row.name:
            names += [row.name.replace("PROC", process) for process in vocabulary.PROCESSES]
    return [name for name in names if name not in DEPRECATED and name not in IGNORED]
