"""
The command ``sockd check``: checks a configuration, for people and for CI.

It does what ``sockd -V`` does and opens nothing.  ``--json`` prints one object::

    {"version": 1,
     "files": [{"file": "sockd.conf", "errors": 0, "unbuilt": 0, "warnings": 1, "notices": 0,
                "problems": [{"severity": "warning", "file": "sockd.conf", "line": 3, "column": 1,
                              "token": "iotimeout", "text": "…", "expected": "", "hint": "",
                              "ours": false, "unbuilt": false}]}]}

``line`` and ``column`` are null where the file as a whole is meant.  ``version`` changes if
a key is removed or changes its meaning; keys may be added.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TextIO

from dantetw.catalogue import PROGRAM
from dantetw.cli.arguments import read_arguments
from dantetw.cli.migrate import migrate
from dantetw.config.lexer import LARGEST_FILE
from dantetw.config.load import fetch, parse
from dantetw.config.machine import Machine
from dantetw.config.problems import Problem, render_problems, visible
from dantetw.values import CONFIG_FILE, Severity

#: Of what ``--json`` prints.
SCHEMA: Final = 1

STDIN: Final = "(standard input)"


@dataclass(frozen=True, slots=True)
class Checked:
    """A file's name and its problems."""

    file: str
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> int:
        """How many problems would prevent a start."""
        return sum(problem.is_error for problem in self.problems)

    def count(self, severity: Severity) -> int:
        """How many problems have exactly this severity."""
        return sum(problem.severity is severity for problem in self.problems)


def main(
    argv: Sequence[str], system: Machine, stdin: TextIO, stdout: TextIO, stderr: TextIO
) -> int:
    """
    Carry out the command.

    :param argv: the arguments after ``sockd check``.
    :returns: the exit status: 0 if there are no errors, 1 if there are warnings and they count
        (``--strict``), 2 if there are errors or the arguments are wrong.
    """
    options = read_arguments(parser(), argv, stdout, stderr)
    if isinstance(options, int):
        return options
    files: list[str] = options.file or [CONFIG_FILE]
    if options.migrate:
        if len(files) > 1 or options.json or options.strict:
            print("sockd check: --migrate takes one file and no other option", file=stderr)
            return 2
        return _migrate(files[0], system, stdin, stdout, stderr)
    checked = [_check(file, system, stdin) for file in files]
    if options.json:
        told = {"version": SCHEMA, "files": [_object(each) for each in checked]}
        print(json.dumps(told, indent=2), file=stdout)
    else:
        for each in checked:
            say(
                render_problems(each.problems, each.file, remarks=True)
                or f"{visible(each.file)}: no faults\n",
                stdout,
            )
    if any(each.errors for each in checked):
        return 2
    warned = any(each.count(Severity.WARNING) for each in checked)
    return 1 if options.strict and warned else 0


def parser() -> argparse.ArgumentParser:
    """The parser of the command's options."""
    made = argparse.ArgumentParser(
        prog="sockd check", description="Say what is wrong with configuration files."
    )
    made.add_argument(
        "-f",
        dest="file",
        metavar="FILE",
        action="append",
        help=f"a configuration, - for standard input; may be repeated (default: {CONFIG_FILE})",
    )
    made.add_argument("--json", action="store_true", help="one JSON object instead of text")
    made.add_argument("--strict", action="store_true", help="exit with status 1 if it only warns")
    made.add_argument(
        "--migrate",
        action="store_true",
        help="print the file with deprecated keywords replaced, comments and blanks kept",
    )
    return made


def read(file: str, stdin: TextIO) -> tuple[bytes | Problem, str]:
    """A file's bytes, or the error in reading it; and its name for messages."""
    if file == "-":
        return stdin.buffer.read(LARGEST_FILE + 1), STDIN
    return fetch(file), file


def _check(file: str, system: Machine, stdin: TextIO) -> Checked:
    data, name = read(file, stdin)
    return Checked(name, parse(data, name, system, PROGRAM).problems)


def _migrate(file: str, system: Machine, stdin: TextIO, stdout: TextIO, stderr: TextIO) -> int:
    data, name = read(file, stdin)
    found = (data,) if isinstance(data, Problem) else migrate(data, name, PROGRAM)
    if isinstance(found, bytes):
        # Bytes, since text would change line ends and could not hold what is not UTF-8.
        stdout.flush()
        stdout.buffer.write(found)
        stdout.buffer.flush()
        # Remaining errors must be corrected by hand: the exit status shows them.
        found = tuple(
            each for each in parse(found, name, system, PROGRAM).problems if each.is_error
        )
    if not found:
        return 0
    say(render_problems(found, name), stderr)
    return 2


def _object(checked: Checked) -> dict[str, Any]:
    return {
        "file": text_of(checked.file),
        "errors": checked.errors,
        "unbuilt": sum(problem.unbuilt for problem in checked.problems),
        "warnings": checked.count(Severity.WARNING),
        "notices": checked.count(Severity.NOTICE),
        "problems": [_problem(problem) for problem in checked.problems],
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "severity": "error" if problem.is_error else problem.severity.name.lower(),
        "file": text_of(problem.where.file),
        "line": problem.where.line or None,
        "column": problem.where.column or None,
        "token": text_of(problem.token),
        "text": text_of(problem.text),
        "expected": text_of(problem.expected),
        "hint": text_of(problem.hint),
        "ours": problem.ours,
        "unbuilt": problem.unbuilt,
    }


def say(text: str, stdout: TextIO) -> None:
    """Write text for people, with escapes for characters that the terminal cannot show."""
    encoding = stdout.encoding or "utf-8"
    stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def text_of(text: str) -> str:
    r"""Text that JSON can hold: bytes of a file that are no UTF-8 become ``\xNN``."""
    data = text.encode("utf-8", "surrogateescape")
    return data.decode("utf-8", "backslashreplace")
