"""
Replaces deprecated keywords of a configuration file by the present ones, and changes nothing else.

=============================================  ==================================================
written                                        becomes
=============================================  ==================================================
``pass {``, ``block {``                        ``socks pass {``, ``socks block {``
``method`` (global, socks rule)                ``socksmethod``
``method`` (client rule)                       ``clientmethod``; in a route it is the right name
``connecttimeout``, ``iotimeout``              ``timeout.connect``, ``timeout.io``
``user.notprivileged``                         ``user.unprivileged``
``pamservicename``                             ``pam.servicename``
``pam`` (a method)                             ``pam.username``
``child.maxidle: …``, ``localdomain: …``       a comment, since they do nothing
=============================================  ==================================================

These are all that Dante 1.4.2 warns of as deprecated, and other spellings that it accepts without a
warning.
Comments, blanks, line ends and bytes that are no UTF-8 stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator

from dantetw.config.grammar import parse_tree
from dantetw.config.keyword import Statement
from dantetw.config.keywords.authentication import METHOD_KEYWORDS, OLD_METHOD, PRESENT_METHOD
from dantetw.config.lexer import Lexer, Source, Token
from dantetw.config.lookup import IGNORED, RENAMED
from dantetw.config.problems import Problem
from dantetw.config.program import Program
from dantetw.config.report import Report, TooManyError
from dantetw.config.tree import Block, Tree

_COMMENT = "# "

#: Line and column from 1, the text there, and its replacement.
_Edit = tuple[int, int, str, str]


class _Watching(Report):
    """A report that remembers keywords which are skipped, since they are not in the tree."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.ignored: list[Token] = []

    def warning(self, token: Token | None, text: str, expected: str = "", hint: str = "") -> None:
        if token is not None and token.text in IGNORED:
            self.ignored.append(token)
        super().warning(token, text, expected, hint)


def migrate(data: bytes, file: str, program: Program) -> bytes | tuple[Problem, ...]:
    """
    The file's bytes with the present keywords, or the errors in its syntax.

    Only the syntax counts: the machine need not have the interfaces and users that it names.

    :param file: its name, for the problems; ``program``: the names that it may refer to.
    """
    source = Source.of(data, file)
    report = _Watching(source)
    try:
        tree = parse_tree(source, report, program)
    except TooManyError:
        tree = Tree((), ())
    if report.failed:
        return tuple(problem for problem in report.problems if problem.is_error)
    # Columns count from behind a byte-order mark; line ends need not be the source's.
    text = data.decode("utf-8", "surrogateescape")
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    lines = text.removeprefix(mark).split("\n")
    # From the last one on, so that the places of those before stay right.
    for line, column, old, new in sorted(_edits(tree, report, source), reverse=True):
        before, after = lines[line - 1][: column - 1], lines[line - 1][column - 1 :]
        lines[line - 1] = before + new + after.removeprefix(old)
    return (mark + "\n".join(lines)).encode("utf-8", "surrogateescape")


def _edits(tree: Tree, report: _Watching, source: Source) -> Iterator[_Edit]:
    for token in report.ignored:
        yield from _commented(token, source)
    for block in tree.blocks:
        yield from _of_block(block)
    for statement in tree.settings:
        yield from _of_statement(statement)


def _of_block(block: Block) -> Iterator[_Edit]:
    if block.head.text in ("pass", "block"):
        yield _replaced(block.head, f"socks {block.head.text}")
    for statement in block.statements:
        yield from _of_statement(statement)


def _of_statement(statement: Statement) -> Iterator[_Edit]:
    written = statement.written
    if written.text in RENAMED and written.text != statement.name:
        yield _replaced(written, statement.name)
    if statement.name in METHOD_KEYWORDS:
        for word in statement.values.words:
            if word.text == OLD_METHOD:
                yield _replaced(word, PRESENT_METHOD)


def _replaced(token: Token, new: str) -> _Edit:
    return token.where.line, token.where.column, token.text, new


def _commented(keyword: Token, source: Source) -> Iterator[_Edit]:
    """A comment from the keyword on, also on the lines that continue its own."""
    lexer = Lexer(source)
    lexer.position = keyword.end
    lexer.blanks()
    lexer.position += 1  # the colon
    lexer.blanks()
    where = keyword.where
    yield where.line, where.column, "", _COMMENT
    for line in range(where.line + 1, source.where(lexer.position).line + 1):
        yield line, 1, "", _COMMENT
