"""
Interfaces and addresses that a configuration names and that are not there when it is read.

By default the server waits for them, and one warning lists them all.  With ``interface.missing:
fail`` each is an error, as in Dante.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dantetw.config.lexer import Token
from dantetw.config.problems import nearest
from dantetw.config.report import ConfigError, Report

#: How many the warning names.
MOST_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class MissingName:
    """
    Something that is not there.

    :ivar token: its name, where it was written.
    :ivar use: the keyword that it was written for.
    :ivar lacks: what it lacks, if it is there: ``no IPv4 address``; else empty.
    :ivar error: Dante's error about it; None: none.
    :ivar warning: or Dante's warning; empty: none.
    """

    token: Token
    use: str
    lacks: str = ""
    error: ConfigError | None = None
    warning: str = ""


class Missing:
    """
    What is missing.

    :ivar waits: ``interface.missing: wait``; otherwise the errors are reported.
    """

    def __init__(self) -> None:
        self.waits = True
        self._names: list[MissingName] = []

    def add(
        self,
        token: Token,
        use: str,
        lacks: str = "",
        error: ConfigError | None = None,
        warning: str = "",
    ) -> None:
        """Remember a name; see :class:`MissingName`."""
        self._names.append(MissingName(token, use, lacks, error, warning))

    def report_to(self, report: Report, interfaces: Sequence[str]) -> None:
        """
        Report what is missing.

        :param interfaces: names of those there are, one of which may have been meant.
        """
        if not self.waits:
            self._fail(report)
            return
        if not self._names:
            return
        # In the order of the file: rules are read after the settings.
        ordered = sorted(
            self._names, key=lambda each: (each.token.where.line, each.token.where.column)
        )
        named = dict.fromkeys(_words(each, interfaces) for each in ordered)
        words = ", ".join(list(named)[:MOST_NAMED])
        if len(named) > MOST_NAMED:
            words += f" and {len(named) - MOST_NAMED} more"
        them = "it" if len(named) == 1 else "them"
        text = f"not there yet: {words}; dantetw waits for {them}"
        report.advice(ordered[0].token, text)

    def _fail(self, report: Report) -> None:
        for each in self._names:
            if each.error is not None:
                report.attempted.add(each.use)
                report.add_error(each.error)
            elif each.warning:
                report.warning(each.token, each.warning)


def _words(missing: MissingName, interfaces: Sequence[str]) -> str:
    name = missing.token.text
    words = f'"{name}" ({missing.use}, line {missing.token.where.line}'
    if missing.lacks:
        words += f", {missing.lacks}"
    near = nearest(name, [each for each in interfaces if _number(each) == _number(name)])
    if near and not missing.lacks and near != name:
        words += f', did you mean "{near}"?'
    return f"{words})"


def _number(name: str) -> str:
    """The digits a name ends in: tun1 is no misspelling of tun0."""
    return name[len(name.rstrip("0123456789")) :]
