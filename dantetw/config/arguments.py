"""
The kinds of values a keyword can have, and how each is read.

An argument reads its values through a :class:`~dantetw.config.reader.Reader` into
:class:`~dantetw.config.tree.Values`.  It raises :class:`~dantetw.config.report.Mistake` where it
cannot go on; a wrong word in a list is noted, and the next one read.

Dante has two kinds of values: after an address or a number another keyword may follow on the line,
while a list owns the rest of its line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from dantetw.config.lexer import Token
from dantetw.config.problems import nearest
from dantetw.config.reader import LARGEST_NUMBER, Reader
from dantetw.config.report import Mistake
from dantetw.config.tree import Values

_WORD: Final = re.compile(r"(?a)[^\s#{}]+")
_FREE: Final = re.compile(r"(?a)[^\s#]\S*")
_SYMBOL: Final = re.compile(r"(?a)[A-Za-z][^\s{}#]*")
_OPTION_VALUE: Final = re.compile(r"(?a)[A-Za-z_][\w.]*")
HOST: Final = re.compile(r"(?a)[^\s/#{}]+")
_REST: Final = re.compile(r"(?a)[^\n]*")


class Argument(Protocol):
    """What stands after a keyword's colon."""

    @property
    def form(self) -> str:
        """How to write it, for documentation."""

    def read(self, reader: Reader) -> Values:
        """Read it.  :raises Mistake: it cannot be understood."""


@dataclass(frozen=True, slots=True)
class Words:
    """
    Words of a closed set.

    :ivar known: the set; ``what``: what its members are.
    :ivar many: a list; otherwise one word.
    :ivar owns_line: nothing else may follow on the line.
    :ivar fitting: those that this keyword takes, for documentation; None: all.  The others are
        read like them, and told later as what does not fit.
    """

    known: Collection[str]
    what: str
    many: bool = True
    owns_line: bool = True
    fitting: Collection[str] | None = None

    @property
    def form(self) -> str:
        words = self.known if self.fitting is None else self.fitting
        return (" " if self.many else " | ").join(words)

    def read(self, reader: Reader) -> Values:
        words: list[Token] = []
        while not reader.at_end():
            token = reader.expect(_WORD, self._expected())
            if reader.keyword_follows(token):
                if self.owns_line:
                    raise Mistake(
                        token,
                        f'"{token.text}" on the same line: a list owns the rest of its line',
                        "keywords after a list on a new line",
                    )
                reader.lexer.position = token.offset
                break
            if token.text not in self.known:
                commas = "," in token.text or ";" in token.text
                reader.report.error(
                    token,
                    f'unknown {self.what} "{token.text}"',
                    "values separated by blanks" if commas else self._expected(),
                    "" if commas else nearest(token.text, self.known),
                )
            words.append(token)
            if not self.many:
                break
        if not words:
            raise reader.missing(self._expected())
        if self.owns_line:
            reader.end_of_line()
        return Values(tuple(words))

    def _expected(self) -> str:
        names = list(self.known)
        if len(names) == 1:
            return f'"{names[0]}"'
        return f"{'one or more' if self.many else 'one'} of: {' '.join(names)}"


@dataclass(frozen=True, slots=True)
class Names:
    """
    Free words: names of users, groups, files.

    Any word will do, so in Dante a brace is one too; here it closes the rule.

    :ivar limit: characters a word may have.
    """

    what: str
    many: bool = True
    limit: int = 4096

    @property
    def form(self) -> str:
        return f"{self.what} …" if self.many else self.what

    def read(self, reader: Reader) -> Values:
        words: list[Token] = []
        while not reader.at_end():
            token = reader.expect(_FREE, self.what)
            if reader.in_rule and token.text.endswith("}") and "{" not in token.text:
                reader.lexer.position = token.end - 1
                token = reader.lexer.token(token.offset, token.end - 1)
                reader.swallowed = True
            if len(token.text) > self.limit:
                raise Mistake(
                    token,
                    f"{self.what} has {len(token.text)} characters",
                    f"at most {self.limit}",
                )
            if words and reader.keyword_follows(token):
                reader.report.advice(
                    token,
                    f'"{token.text}" looks like a keyword, but is a {self.what} here: a list '
                    "owns the rest of its line",
                )
            words.append(token)
            if not self.many:
                break
        if not words:
            raise reader.missing(self.what)
        if reader.in_rule and reader.lexer.peek() == "}":
            reader.swallowed = True
        reader.end_of_line()
        return Values(tuple(words))


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where lines go: what the program's kinds of destinations claim."""

    @property
    def form(self) -> str:
        return "DESTINATION …"

    def read(self, reader: Reader) -> Values:
        if reader.at_end():
            raise reader.missing(reader.program.form)
        values = Names("destination").read(reader)
        for word in values.words:
            try:
                reader.program.check_destination(word)
            except Mistake as mistake:
                reader.report.mistake(mistake)
        return values


@dataclass(frozen=True, slots=True)
class Symbols:
    """Error symbols; which of them are known is asked later, since unknown ones only warn."""

    @property
    def form(self) -> str:
        return "SYMBOL …"

    def read(self, reader: Reader) -> Values:
        words = [reader.expect(_SYMBOL, "error symbols such as ECONNREFUSED or no-route")]
        while not reader.at_end():
            token = reader.expect(_SYMBOL, "error symbols such as ECONNREFUSED or no-route")
            if reader.keyword_follows(token):
                raise Mistake(
                    token,
                    f'"{token.text}" on the same line: a list owns the rest of its line',
                    "keywords after a list on a new line",
                )
            words.append(token)
        return Values(tuple(words))


@dataclass(frozen=True, slots=True)
class Number:
    """One number from ``low`` to ``high``."""

    what: str = "NUMBER"
    low: int = 0
    high: int = LARGEST_NUMBER

    @property
    def form(self) -> str:
        return self.what

    def read(self, reader: Reader) -> Values:
        token, value = reader.number()
        _check_range(token, value, self.low, self.high)
        return Values((token,), (value,))


@dataclass(frozen=True, slots=True)
class Pair:
    """
    Two numbers: ``N/M``, ``A - B``, ``N in S``, ``N/M in S``.

    :ivar separators: what stands between them; a separator in brackets begins an optional rest.
    """

    form: str
    separators: Sequence[str]
    optional: int = 0
    low: int = 0
    high: int = LARGEST_NUMBER

    def read(self, reader: Reader) -> Values:
        tokens: list[Token] = []
        numbers: list[int] = []

        def one() -> None:
            token, value = reader.number(f"{self.form}, numbers")
            _check_range(token, value, self.low, self.high)
            tokens.append(token)
            numbers.append(value)

        one()
        for index, separator in enumerate(self.separators):
            reader.lexer.blanks()
            if reader.lexer.take(re.compile(re.escape(separator))) is None:
                if index >= len(self.separators) - self.optional:
                    break
                raise reader.missing(f'"{separator}", as in {self.form}')
            one()
        return Values(tuple(tokens), tuple(numbers))


@dataclass(frozen=True, slots=True)
class OptionValue:
    """A socket option's value: a number or a symbol."""

    @property
    def form(self) -> str:
        return "NUMBER | SYMBOL"

    def read(self, reader: Reader) -> Values:
        reader.lexer.blanks()
        symbol = reader.lexer.take(_OPTION_VALUE)
        if symbol is not None:
            values = Values((symbol,))
        else:
            token, number = reader.number("a number or a symbol")
            values = Values((token,), (number,))
        reader.end_of_line()
        return values


@dataclass(frozen=True, slots=True)
class Schedule:
    """``POLICY/PRIORITY`` of ``cpu.schedule``."""

    policies: Collection[str]

    @property
    def form(self) -> str:
        return "POLICY/PRIORITY"

    def read(self, reader: Reader) -> Values:
        policy = reader.expect(HOST, self.form)
        if policy.text not in self.policies:
            raise Mistake(
                policy,
                f'unknown scheduling policy "{policy.text}"',
                " ".join(self.policies),
                nearest(policy.text, self.policies),
            )
        reader.expect(re.compile("/"), f'"/", as in {self.form}')
        token, number = reader.number()
        return Values((policy, token), (number,))


@dataclass(frozen=True, slots=True)
class CpuMask:
    """Numbers of processors, or ``any``."""

    @property
    def form(self) -> str:
        return "NUMBER … | any"

    def read(self, reader: Reader) -> Values:
        reader.lexer.blanks()
        token = reader.lexer.take(re.compile(r"(?a)any\b"))
        if token is not None:
            return Values((token,))
        tokens: list[Token] = []
        numbers: list[int] = []
        while not tokens or (not reader.at_end() and reader.lexer.peek().isdigit()):
            token, number = reader.number('processor numbers or "any"')
            tokens.append(token)
            numbers.append(number)
        return Values(tuple(tokens), tuple(numbers))


@dataclass(frozen=True, slots=True)
class Rest:
    """The rest of the line, whatever it is."""

    form: str
    limit: int = 199

    def read(self, reader: Reader) -> Values:
        reader.lexer.blanks()
        token = reader.expect(_REST, self.form)
        if len(token.text) > self.limit:
            raise Mistake(token, f"line has {len(token.text)} characters", f"at most {self.limit}")
        return Values((token,))


@dataclass(frozen=True, slots=True)
class Nothing:
    """No value; such a keyword has no colon either."""

    @property
    def form(self) -> str:
        return "(nothing)"

    def read(self, reader: Reader) -> Values:
        return Values()


def _check_range(token: Token, value: int, low: int, high: int) -> None:
    if value < low:
        raise Mistake(token, f"number ({value}) must be at least {low}")
    if value > high:
        raise Mistake(token, f"number {value} is too large", f"at most {high}")
