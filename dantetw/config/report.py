"""
Gathers the problems of a file: all of them, not only the first.
"""

from __future__ import annotations

from typing import Final

from dantetw.config.lexer import Source, Token
from dantetw.config.problems import Problem
from dantetw.policy import Where
from dantetw.values import Severity


class ConfigError(Exception):
    """
    An error in the file, after which the rest of the line cannot be understood.

    Raised where a value is read or used; the grammar or the compiler reports it and goes on.
    """

    def __init__(self, token: Token, text: str, expected: str = "", hint: str = "") -> None:
        super().__init__(text)
        self.token = token
        self.text = text
        self.expected = expected
        self.hint = hint


class TooManyError(Exception):
    """There are too many errors to go on."""


#: Errors after which reading ends: a file with more is not a configuration file.
MOST_ERRORS: Final = 100
#: Warnings of one file that are kept.
MOST_WARNINGS: Final = 200


class Report:
    """
    The problems of one file.

    :ivar problems: in the order they were reported.
    :ivar errors: how many of them are errors.
    :ivar attempted: names of keywords whose line was not understood: that they are missing is not
        reported as well.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.attempted: set[str] = set()
        self.errors = 0
        self._warnings = 0

    def error(
        self,
        token: Token | None,
        text: str,
        expected: str = "",
        hint: str = "",
        *,
        unbuilt: bool = False,
    ) -> None:
        """Report an error, which prevents the start; ``token`` None: in the file as a whole."""
        self._note(Severity.ERROR, token, text, expected, hint, unbuilt=unbuilt)

    def add_error(self, error: ConfigError) -> None:
        """Report an error that was raised."""
        self.error(error.token, error.text, error.expected, error.hint)

    def warning(self, token: Token | None, text: str, expected: str = "", hint: str = "") -> None:
        """Report a warning that Dante gives too, in Dante's words."""
        self._note(Severity.WARNING, token, text, expected, hint)

    def advice(self, token: Token | None, text: str) -> None:
        """Report a warning that Dante does not give."""
        self._note(Severity.WARNING, token, text, ours=True)

    def advice_at(self, where: Where, text: str) -> None:
        """The same, for what has become part of the policy and has a place but no token."""
        self._at(Severity.WARNING, where, text)

    def remark_at(self, where: Where, text: str, expected: str = "") -> None:
        """
        Report something that is as in Dante, but surprises people: only ``sockd check`` shows it.

        :param expected: what to write instead, if that is worth a try.
        """
        self._at(Severity.NOTICE, where, text, expected)

    def _at(self, severity: Severity, where: Where, text: str, expected: str = "") -> None:
        line = self.source.line(where.line)
        word = line[where.column - 1 :].split(maxsplit=1)[:1]
        token = word[0] if word else ""
        self._add(Problem(severity, where, text, token, expected, source_line=line, ours=True))

    @property
    def failed(self) -> bool:
        """Whether an error has been reported."""
        return self.errors > 0

    def _add(self, problem: Problem) -> None:
        if not problem.is_error:
            self._warnings += 1
            if self._warnings <= MOST_WARNINGS:
                self.problems.append(problem)
            return
        self.problems.append(problem)
        self.errors += 1
        if self.errors == MOST_ERRORS:
            raise TooManyError

    def _note(
        self,
        severity: Severity,
        token: Token | None,
        text: str,
        expected: str = "",
        hint: str = "",
        *,
        ours: bool = False,
        unbuilt: bool = False,
    ) -> None:
        where = token.where if token is not None else Where(self.source.file, 0, 0)
        self._add(
            Problem(
                severity,
                where,
                text,
                token.text if token is not None else "",
                expected,
                hint,
                self.source.line(where.line),
                ours,
                unbuilt,
            )
        )
