"""
From a file, or its bytes, to a :class:`~dantetw.policy.Policy`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dantetw.config import unsupported as unsupported_
from dantetw.config.compiler import RulesDraft, SettingsDraft
from dantetw.config.draft import Context
from dantetw.config.grammar import parse_tree
from dantetw.config.keywords.logging import LoggingDraft
from dantetw.config.keywords.table import UNSUPPORTED
from dantetw.config.lexer import LARGEST_FILE, Source
from dantetw.config.lint import lint
from dantetw.config.machine import Machine, Snapshot
from dantetw.config.problems import Problem
from dantetw.config.program import Program
from dantetw.config.report import Report, TooManyError
from dantetw.policy import Policy, Where
from dantetw.values import Severity


@dataclass(frozen=True, slots=True)
class Parsed:
    """
    What came of reading a configuration.

    :ivar policy: None if, and only if, there is a problem of severity error.
    :ivar problems: in the order of their places; those about the whole file are last.
    """

    policy: Policy | None
    problems: tuple[Problem, ...]


def parse(
    text: bytes | Problem,
    file: str,
    machine: Machine,
    program: Program,
    unsupported: Mapping[str, str] = UNSUPPORTED,
    debug: int | None = None,
) -> Parsed:
    """
    Read a configuration.

    Never raises, whatever the bytes.

    :param text: the bytes, or what kept :func:`fetch` from reading them.
    :param file: its name, for messages and :attr:`Policy.file`.
    :param machine: facts about this machine; ``program``: what the program can do.
    :param unsupported: what is understood but refused.
    :param debug: the command line's debug level, which wins over the file's; None: there is none.
    """
    if isinstance(text, Problem):
        return Parsed(None, (text,))
    fatal = _unreadable(text, file)
    if fatal is not None:
        return Parsed(None, (fatal,))
    source = Source.of(text, file)
    report = Report(source)
    try:
        policy = _compile(source, machine, program, unsupported, debug, report)
    except TooManyError:
        policy = None
        report.problems.append(
            Problem(
                Severity.ERROR,
                Where(file, 0, 0),
                f"config file {file} has too many errors.  Parsing no further",
            )
        )
    problems = sorted(report.problems, key=_position)
    return Parsed(None if report.failed else policy, tuple(problems))


def _compile(
    source: Source,
    machine: Machine,
    program: Program,
    unsupported: Mapping[str, str],
    debug: int | None,
    report: Report,
) -> Policy:
    """The policy of a file; if the report has errors it is not to be used."""
    tree = parse_tree(source, report, program)
    context = Context(Snapshot(machine), program, report)
    settings = SettingsDraft(context)
    settings.read(tree.settings)
    if debug is not None:
        _override(settings.logging, debug, source.file, report)
    rules = RulesDraft(context, settings)
    rules.read(tree.blocks)
    context.missing.report_to(report, list(context.machine.interfaces))
    unsupported_.check(tree, unsupported, report)
    policy = settings.finish(source.file, rules)
    settings.check()
    if not report.failed:
        lint(policy, report)
    return policy


def _override(logging: LoggingDraft, debug: int, file: str, report: Report) -> None:
    """The command line's debug level wins over the file's."""
    named = logging.debug >= 0
    if debug != max(logging.debug, 0):
        text = (
            f"{'configparsing' if named else 'parseconfig'}(): debug commandline value"
            f' "{debug}" overrides config-file value "{max(logging.debug, 0)}" set in file {file}'
        )
        report.problems.append(Problem(Severity.NOTICE, Where(file, 0, 0), text))
    if named:
        # As in Dante, a level on the command line alone adds no ``log`` words to rules.
        logging.debug = debug


def load(
    path: str,
    machine: Machine,
    program: Program,
    unsupported: Mapping[str, str] = UNSUPPORTED,
    debug: int | None = None,
) -> Parsed:
    """
    Read a configuration file.

    Never raises: a file that cannot be read is a problem of severity error.
    """
    return parse(fetch(path), path, machine, program, unsupported, debug)


def fetch(path: str, opener: Callable[[str, int], int] | None = None) -> bytes | Problem:
    """
    The bytes of a configuration file, one more than may be parsed at most; or why there are none.

    :param opener: opens it, as :func:`open` takes one; by default pipes are waited for.
    """
    try:
        with open(path, "rb", opener=opener) as file:
            return file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        text = f"parseconfig(): could not open config file {path}: {reason}"
        return Problem(Severity.ERROR, Where(path, 0, 0), text)


def _unreadable(text: bytes, file: str) -> Problem | None:
    """Why there is no point in reading it at all."""
    whole = Where(file, 0, 0)
    if not text:
        return Problem(
            Severity.ERROR, whole, f"parseconfig(): config file {file} is empty.  Not parsing"
        )
    if len(text) > LARGEST_FILE:
        return Problem(
            Severity.ERROR,
            whole,
            f"config file {file} is larger than {LARGEST_FILE} bytes.  Not parsing",
            expected="a configuration file; this looks like something else",
        )
    nul = text.find(b"\0")
    if nul < 0:
        return None
    # A file with NULs is UTF-16 or not a text at all: everything in it would be an error.
    source = Source.of(text[: nul + 1], file)
    where = source.where(len(source.text) - 1)
    return Problem(
        Severity.ERROR,
        where,
        "NUL byte in the configuration file",
        "\0",
        "a text file, in ASCII or UTF-8",
        source_line=source.line(where.line),
    )


def _position(problem: Problem) -> tuple[int, int]:
    return (problem.where.line or 1 << 30, problem.where.column)
