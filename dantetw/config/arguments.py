"""
The kinds of values a keyword can have, and how each is read.

An argument reads its values through a :class:`~dantetw.config.reader.Reader` into
:class:`~dantetw.config.keyword.Values`.  It raises
:exc:`~dantetw.config.report.ConfigError` where it cannot go on; a wrong word in a list is reported,
and the next one read.  Kinds that only one concern has are defined there.  What an address means is
decided in :mod:`dantetw.config.addresses`.

Dante has two kinds of values: after an address or a number another keyword may follow on the line,
while a list takes the rest of its line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from dantetw.config.keyword import AddressText, PortText, Values
from dantetw.config.lexer import Token
from dantetw.config.problems import nearest
from dantetw.config.reader import LARGEST_NUMBER, Reader
from dantetw.config.report import ConfigError

_WORD: Final = re.compile(r"(?a)[^\s#{}]+")
_FREE: Final = re.compile(r"(?a)[^\s#]\S*")
HOST: Final = re.compile(r"(?a)[^\s/#{}]+")
_REST: Final = re.compile(r"(?a)[^\n]*")

_URL: Final = re.compile(r"(?a)(?:http|ftp)://[^\s{}]+")
_PORT: Final = re.compile(r"(?a)port(?:(?![A-Za-z_.-])|(?=eq|ne|ge|gt|le|lt))")
_OPERATOR: Final = re.compile(r"(?a)!=|>=|<=|=|<|>|eq|ne|ge|gt|le|lt")
#: What other languages have; "neq" is in the manual.
_NOT_OPERATOR: Final = re.compile(r"(?a)==|=>|=<|<>|neq\b")
_SERVICE: Final = re.compile(r"(?a)[A-Za-z][\w.+-]*")
_REST_OF_WORD: Final = re.compile(r"(?a)[^\s#{}]+")
_SLASH: Final = re.compile("/")
_COLON: Final = re.compile(":")
_DASH: Final = re.compile("-")
_DOTTED: Final = re.compile(r"(?a)[0-9]+(?:\.[0-9]+){3}(?![\w.])")

_LARGEST_PORT: Final = 65535

#: What ``yes`` and ``no`` mean.
YES_NO: Final = {"yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class Words:
    """
    Words of a closed set.

    :ivar known: the set; ``what``: what its members are.
    :ivar many: a list; otherwise one word.
    :ivar owns_line: nothing else may follow on the line.
    :ivar fitting: those that this keyword takes, for documentation; None: all.  The others are
        read like them, and reported later as not fitting.
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
                    raise ConfigError(
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
class FreeWords:
    """
    Free words: names of users, groups, files.

    In Dante a brace is such a word too; here it closes the rule.

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
                raise ConfigError(
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

    :ivar separators: what is between them; ``optional``: how many of them may be missing, from the
        end on, with the numbers behind them.
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
class Rest:
    """The rest of the line, whatever it is."""

    form: str
    limit: int = 199

    def read(self, reader: Reader) -> Values:
        reader.lexer.blanks()
        token = reader.expect(_REST, self.form)
        if len(token.text) > self.limit:
            raise ConfigError(
                token, f"line has {len(token.text)} characters", f"at most {self.limit}"
            )
        return Values((token,))


@dataclass(frozen=True, slots=True)
class Nothing:
    """No value; such a keyword has no colon either."""

    @property
    def form(self) -> str:
        return "(nothing)"

    def read(self, reader: Reader) -> Values:
        return Values()


@dataclass(frozen=True, slots=True)
class AddressArgument:
    """
    An address.

    :ivar mask: nets are meant, so that numeric addresses need a mask; otherwise none may have one.
    :ivar ports: ``True``: a port may follow in any form; ``False``: none.
    :ivar gateway: the forms of ``via``: a url, and only ``port OP N``.
    """

    mask: bool
    ports: bool = True
    gateway: bool = False

    @property
    def form(self) -> str:
        if self.gateway:
            return "ADDRESS [port = N] | direct"
        return ("NET" if self.mask else "ADDRESS") + (" [port …]" if self.ports else "")

    def read(self, reader: Reader) -> Values:
        lexer = reader.lexer
        lexer.blanks()
        host = lexer.take(_URL) if self.gateway else None
        if host is not None:
            return Values((host,), address=AddressText(host))
        host = reader.expect(HOST, "an address")
        if reader.keyword_follows(host):
            raise ConfigError(host, "no value", "an address")
        if lexer.peek() == "{" or (lexer.peek() == "}" and not reader.in_rule):
            raise ConfigError(
                lexer.token(host.offset, lexer.position + 1),
                f'brace in the name "{host.text}{lexer.peek()}"',
                "an address",
            )
        # A brace behind a name is part of it in Dante; behind a numeric address it is not.
        glued = lexer.peek() == "}" and not host.text.replace(".", "").isdigit()
        if len(host.text) > 255:
            raise ConfigError(
                host, f"host name has {len(host.text)} characters", "at most 255 characters"
            )
        mask = self._mask(reader, host)
        reader.swallowed = glued and mask is None and ":" not in host.text
        reader.lexer.blanks()
        port = None
        at = lexer.position
        word = lexer.take(_PORT)
        if word is not None:
            if not self.ports:
                raise ConfigError(word, "no port can be given here", "an address without a port")
            port = self._port(reader, at)
        return Values((host,), address=AddressText(host, mask, port))

    def _mask(self, reader: Reader, host: Token) -> Token | None:
        lexer = reader.lexer
        at = lexer.position
        lexer.blanks()
        if lexer.take(_SLASH) is None:
            lexer.position = at
            return None
        lexer.blanks()
        if not lexer.peek().isdigit():
            written = lexer.take(_REST_OF_WORD)
            text = host.text + "/" + (written.text if written is not None else "")
            raise ConfigError(
                lexer.token(host.offset, lexer.position),
                f'"{text}" is not an address',
                "a netmask after /, such as /24 or /255.255.255.0",
            )
        dotted = lexer.take(_DOTTED)
        if dotted is not None:
            return dotted
        return reader.number("a netmask, such as /24 or /255.255.255.0")[0]

    def _port(self, reader: Reader, start: int) -> PortText:
        lexer = reader.lexer
        lexer.blanks()
        last: Token | None = None
        if not self.gateway and lexer.take(_COLON) is not None:
            operator = ":"
            first, value = reader.number("a port number")
            _check_port(first, value)
        else:
            unknown = lexer.take(_NOT_OPERATOR)
            if unknown is not None:
                raise ConfigError(
                    unknown,
                    f'unknown operator "{unknown.text}"',
                    "one of: eq = ne != ge >= gt > le <= lt <",
                )
            operator_token = lexer.take(_OPERATOR)
            if operator_token is not None:
                operator = operator_token.text
                lexer.blanks()
                service = lexer.take(_SERVICE)
                if service is None:
                    first, value = reader.number("a port number or a service name")
                    _check_port(first, value)
                else:
                    first = service
            else:
                operator = "-"
                first, value = reader.number("an operator such as =, or a range of ports")
                _check_port(first, value)
                lexer.blanks()
                if self.gateway or lexer.take(_DASH) is None:
                    raise ConfigError(
                        first, "no operator before the port", f'"port = {first.text}" or a range'
                    )
                last, end = reader.number("a port number")
                _check_port(last, end)
                if end < value:
                    raise ConfigError(
                        last, f"end port ({end}) can not be less than start port ({value})"
                    )
        lexer.blanks()
        if lexer.peek() in "-,":
            raise ConfigError(
                lexer.unexpected(),
                f'unexpected "{lexer.peek()}" after the port',
                'a range as in "port 80 - 90"; lists of ports do not exist',
            )
        text = lexer.source.text[start : (last or first).end]
        return PortText(operator, first, last, " ".join(text.replace("\\\n", " ").split()))


def _check_port(token: Token, value: int) -> None:
    if value > _LARGEST_PORT:
        raise ConfigError(token, f"number {value} is too large", f"a port, 0-{_LARGEST_PORT}")


def _check_range(token: Token, value: int, low: int, high: int) -> None:
    if value < low:
        raise ConfigError(token, f"number ({value}) must be at least {low}")
    if value > high:
        raise ConfigError(token, f"number {value} is too large", f"at most {high}")


#: Seconds are kept in what the kernel and the reactor can wait for: 68 years.
SECONDS: Final = Number("SECONDS", high=2**31 - 1)
YES_OR_NO: Final = Words(YES_NO, "value", many=False, owns_line=False)
USER: Final = FreeWords("USER", many=False)
FILE: Final = FreeWords("FILE", many=False)
NAME: Final = FreeWords("NAME", many=False)
