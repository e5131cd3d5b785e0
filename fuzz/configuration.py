"""
Configuration files: any bytes give a policy or errors, and an error's place is inside the file.
"""

from __future__ import annotations

from fuzz.driver import run
from tests.config.fakes import read

NAME = "configuration"


def one_input(data: bytes) -> None:
    """A policy or errors, each of which can be shown."""
    parsed = read(data, {})
    failed = any(problem.is_error for problem in parsed.problems)
    assert failed == (parsed.policy is None)
    lines = data.decode("utf-8", "surrogateescape").replace("\r\n", "\n").split("\n")
    for problem in parsed.problems:
        assert problem.one_line().isprintable()
        problem.render()
        if problem.where.line:
            assert problem.where.line <= len(lines)
            assert problem.where.column <= len(lines[problem.where.line - 1]) + 1


if __name__ == "__main__":
    run(NAME, one_input)
