"""
Logging: where, in which form, and how much.

``log.format``, ``log.omit`` and ``log.hash`` name destinations of ``logoutput`` and ``errorlog``,
before them or after; so they are gathered first and matched when the whole file has been read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from dantetw.config.arguments import FILE, FreeWords, Number, Words
from dantetw.config.draft import BlockDraft, Context, Draft
from dantetw.config.keyword import GLOBAL, RULES, Keyword, Repeat, Statement, Values
from dantetw.config.lexer import Token
from dantetw.config.problems import nearest
from dantetw.config.program import Program
from dantetw.config.reader import Reader
from dantetw.config.report import ConfigError, Report
from dantetw.config.tree import Block
from dantetw.policy import DEBUG_LOG, ErrorFilter, Form, LoggingPolicy, Output
from dantetw.values import LOG_CONNECT, LOG_DATA, LOG_DISCONNECT, LOG_ERROR, LOG_IOOP, LOG_TCPINFO

#: The words of the keyword ``log`` and their bits.
LOG_WORDS: Final = {
    "connect": LOG_CONNECT,
    "disconnect": LOG_DISCONNECT,
    "error": LOG_ERROR,
    "iooperation": LOG_IOOP,
    "ioop": LOG_IOOP,
    "data": LOG_DATA,
    "tcpinfo": LOG_TCPINFO,
}

#: What ``log.omit.FIELD`` and ``log.hash.FIELD`` know.
FIELDS: Final = ("client", "user", "target")


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where lines go: what the program's kinds of destinations claim."""

    @property
    def form(self) -> str:
        return "DESTINATION …"

    def read(self, reader: Reader) -> Values:
        if reader.at_end():
            raise reader.missing(reader.program.form)
        values = FreeWords("destination").read(reader)
        for word in values.words:
            try:
                reader.program.check_destination(word)
            except ConfigError as error:
                reader.report.add_error(error)
        return values


class LoggingDraft(Draft):
    """The global settings."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.outputs: list[Output] = []
        self.errors: list[Output] = []
        self.forms = FormsDraft(context.program)
        self.debug = -1
        self.unmatched = 0
        self.hash_key_file: str | None = None

    def add_outputs(self, statement: Statement) -> None:
        """``logoutput``."""
        self.outputs += map(self._output, statement.values.words)

    def add_errors(self, statement: Statement) -> None:
        """``errorlog``."""
        self.errors += map(self._output, statement.values.words)

    def _output(self, word: Token) -> Output:
        kind = self.context.program.spelling_of(word.text)
        wrong = kind.check(word.text) if kind is not None else None
        if wrong is not None:
            near = nearest(word.text[wrong.start :], wrong.known)
            self.report.warning(word, wrong.text + (f' - did you mean "{near}"?' if near else ""))
        return Output(word.text, word.where, is_file=kind is not None and kind.is_file)

    def add_form(self, statement: Statement) -> None:
        """``log.format``, ``log.omit``, ``log.hash``."""
        self.forms.add(statement)

    def set_debug(self, statement: Statement) -> None:
        """``debug``."""
        self.debug = statement.values.numbers[0]

    def set_hash_key(self, statement: Statement) -> None:
        """``log.hashkey``."""
        self.hash_key_file = statement.token.text

    def add_unmatched(self, statement: Statement) -> None:
        """``log.unmatched``."""
        self.unmatched |= log_bits(statement)

    def check_forms(self) -> None:
        """Report what does not fit, when all settings have been read."""
        self.forms.check([*self.outputs, *self.errors], self.report)

    def finish(self, error_filters: Iterable[ErrorFilter]) -> LoggingPolicy:
        """The part of the policy."""
        return LoggingPolicy(
            outputs=self.forms.applied(self.outputs),
            errors=self.forms.applied(self.errors),
            debug=self.debug,
            error_filters=tuple(error_filters),
            unmatched=self.unmatched,
            hash_key_file=self.hash_key_file,
        )


class FormsDraft:
    """The forms of destinations."""

    def __init__(self, program: Program) -> None:
        self._formats = program.formats
        self._wishes: list[tuple[str, str, Token]] = []

    def add(self, statement: Statement) -> None:
        """
        A line ``log.format.FORMAT``, ``log.omit.FIELD`` or ``log.hash.FIELD``.

        :raises ConfigError: there is no such format or field.
        """
        what, name = statement.parts
        known, kind = (self._formats, "format") if what == "format" else (FIELDS, "field")
        if known is not None and name not in known:
            near = nearest(name, known)
            raise ConfigError(
                statement.written,
                f'unknown log {kind} "{name}"',
                f"one of: {' '.join(f'log.{what}.{word}' for word in known)}",
                near and f"log.{what}.{near}",
            )
        self._wishes += [(what, name, word) for word in statement.values.words]

    def check(self, outputs: Sequence[Output], report: Report) -> None:
        """Report names that are no destinations, and contradictions."""
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


class RuleLoggingDraft(BlockDraft):
    """
    A rule.

    :ivar log: ``LOG_…`` bits.
    """

    def __init__(self, context: Context, block: Block, settings: LoggingDraft) -> None:
        super().__init__(context, block)
        self.log = DEBUG_LOG if settings.debug > 0 else 0

    def add(self, statement: Statement) -> None:
        """``log``."""
        self.log |= log_bits(statement)


def log_bits(statement: Statement) -> int:
    """The ``LOG_…`` bits of a statement's words."""
    bits = 0
    for word in statement.words:
        bits |= LOG_WORDS.get(word, 0)
    return bits


def log_words(bits: int) -> list[str]:
    """The words for ``LOG_…`` bits, each bit by one."""
    return [word for word, bit in LOG_WORDS.items() if bits & bit and word != "iooperation"]


def _fields(what: str) -> tuple[str, ...]:
    return tuple(f"log.{what}.{field}" for field in FIELDS)


_LOG_WORDS: Final = Words(
    ("connect", "disconnect", "data", "error", "iooperation", "ioop", "tcpinfo"), "log word"
)

KEYWORDS: Final[tuple[Keyword, ...]] = (
    Keyword(
        "logoutput",
        GLOBAL,
        Destinations(),
        "where to log",
        "nowhere",
        Repeat.ADD,
        setting=LoggingDraft.add_outputs,
    ),
    Keyword(
        "errorlog",
        GLOBAL,
        Destinations(),
        "where to log warnings and worse, too",
        "",
        Repeat.ADD,
        setting=LoggingDraft.add_errors,
    ),
    Keyword(
        "debug",
        GLOBAL,
        Number(),
        "not 0: debug lines, and connect, disconnect, error and ioop in every rule; -d wins, but"
        " alone adds nothing to rules",
        "0",
        setting=LoggingDraft.set_debug,
    ),
    Keyword(
        "log.format.FORMAT",
        GLOBAL,
        Destinations(),
        "the log format of these destinations, dante or json (dantetw's own)",
        "log.format.dante",
        Repeat.ADD,
        r"log\.(format)\.([^.\s]*)",
        setting=LoggingDraft.add_form,
        examples=lambda program: [f"log.format.{word}" for word in program.formats or ()],
    ),
    Keyword(
        "log.omit.FIELD",
        GLOBAL,
        Destinations(),
        "leave client, user or target out there (dantetw's own)",
        "",
        Repeat.ADD,
        r"log\.(omit)\.([^.\s]*)",
        setting=LoggingDraft.add_form,
        examples=lambda program: _fields("omit"),
    ),
    Keyword(
        "log.hash.FIELD",
        GLOBAL,
        Destinations(),
        "have a pseudonym for client, user or target there (dantetw's own)",
        "",
        Repeat.ADD,
        r"log\.(hash)\.([^.\s]*)",
        setting=LoggingDraft.add_form,
        examples=lambda program: _fields("hash"),
    ),
    Keyword(
        "log.hashkey",
        GLOBAL,
        FILE,
        "key of the pseudonyms",
        "another at each start",
        setting=LoggingDraft.set_hash_key,
    ),
    Keyword(
        "log.unmatched",
        GLOBAL,
        _LOG_WORDS,
        "what is logged of clients and requests that no rule matches (dantetw's own)",
        "nothing",
        Repeat.ADD,
        setting=LoggingDraft.add_unmatched,
    ),
    Keyword(
        "log",
        RULES,
        _LOG_WORDS,
        "what of the rule's sessions is logged",
        "nothing",
        Repeat.ADD,
        in_block=RuleLoggingDraft.add,
    ),
)
