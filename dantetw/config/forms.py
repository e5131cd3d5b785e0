"""
How each destination of the log is told: our keywords ``log.format``, ``log.omit``, ``log.hash``.

They name destinations as ``logoutput`` and ``errorlog`` do, and may stand before or behind these;
so they are gathered first and matched when the whole file has been read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from dantetw.config.lexer import Token
from dantetw.config.problems import nearest
from dantetw.config.report import Mistake, Report
from dantetw.config.tree import Statement
from dantetw.policy import Form, Output

#: What ``log.omit.FIELD`` and ``log.hash.FIELD`` know.
FIELDS: Final = ("client", "user", "target")


class Forms:
    """
    What a file says of its destinations' forms.

    :param formats: what ``log.format.FORMAT`` knows.
    """

    def __init__(self, formats: Sequence[str] | None) -> None:
        self._formats = formats
        self._wishes: list[tuple[str, str, Token]] = []

    def take(self, statement: Statement) -> None:
        """
        A line ``log.format.FORMAT``, ``log.omit.FIELD`` or ``log.hash.FIELD``.

        :raises Mistake: there is no such format or field.
        """
        what, name = statement.parts
        known, kind = (self._formats, "format") if what == "format" else (FIELDS, "field")
        if known is not None and name not in known:
            raise Mistake(
                statement.written,
                f'unknown log {kind} "{name}"',
                f"one of: {' '.join(f'log.{what}.{word}' for word in known)}",
                nearest(name, known) and f"log.{what}.{nearest(name, known)}",
            )
        self._wishes += [(what, name, word) for word in statement.values.words]

    def check(self, outputs: Sequence[Output], report: Report) -> None:
        """Note what is named that is no destination, and what contradicts itself."""
        names = list(dict.fromkeys(output.text for output in outputs))
        seen: dict[tuple[str, str], str] = {}
        for what, name, word in self._wishes:
            if word.text not in names:
                report.error(
                    word,
                    f'"{word.text}" is not a destination of logoutput or errorlog',
                    f"one of: {' '.join(names)}" if names else "logoutput or errorlog to name one",
                    nearest(word.text, names),
                )
            key = (word.text, "format" if what == "format" else name)
            this = f"log.{what}.{name}"
            before = seen.setdefault(key, this)
            if before != this:
                report.error(word, f'"{word.text}" has {before} already', "one of the two")

    def applied(self, outputs: Iterable[Output]) -> tuple[Output, ...]:
        """The destinations with their forms."""
        return tuple(replace(output, form=self._form(output.text)) for output in outputs)

    def _form(self, destination: str) -> Form:
        wishes: dict[str, set[str]] = {"format": set(), "omit": set(), "hash": set()}
        for what, name, word in self._wishes:
            if word.text == destination:
                wishes[what].add(name)
        formats = wishes["format"] or {"dante"}
        return Form(formats.pop(), frozenset(wishes["omit"]), frozenset(wishes["hash"]))
