"""Tests that the text of the source and the documents is plain English."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.test_layering import MODULES, ROOT

#: Words to avoid, and what to write instead.
AVOIDED = {
    r"mothers?|she|her": "supervisor process",
    r"anew": "again",
    r"whoever|somebody|everybody|anybody": "the client, the process or the function that does it",
    r"nobody": "no client, no process",
    r"tells?|told|untold": "log, report, return",
    r"mistakes?": "bug, error",
    r"farewell|patience|penalty": "grace, limit, delay",
    r"veil(s|ed)?": "redact",
    r"stirr(s|ed)?": "last activity",
    r"estates?|bequests?|funnels?": "context, inherited logs, forwarder",
    r"punish(es|ed)?": "delay the close",
    r"believers?": "accept all",
    r"of its own accord": "automatically",
    r"under way": "active, in progress",
}
_AVOIDED = {re.compile(rf"\b({words})\b", re.IGNORECASE): use for words, use in AVOIDED.items()}
# Code, quotations and literal blocks are not prose: a line of Dante's, the user ``nobody``.
_QUOTED = re.compile(r"``[^`]*``|`[^`]*`|\"[^\"]*\"|:\w+:`[^`]*`")


def prose_of(source: str) -> Iterator[tuple[int, str]]:
    """The comments and docstrings of a module, with their lines."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node, clean=False)
            if text is not None:
                for number, line in enumerate(text.split("\n")):
                    yield node.body[0].lineno + number, line


def paragraphs_of(document: str) -> Iterator[tuple[int, str]]:
    """The lines of a document outside of literal blocks, with their numbers."""
    literal: int | None = None
    for number, line in enumerate(document.split("\n"), 1):
        indent = len(line) - len(line.lstrip())
        if line.strip() and literal is not None and indent <= literal:
            literal = None
        if literal is None:
            yield number, line
            text = line.strip()
            if (text.endswith("::") and not text.startswith("..")) or text.startswith(".. code"):
                literal = indent


def found_in(place: Path, lines: Iterator[tuple[int, str]]) -> Iterator[str]:
    """The words to avoid in some lines of a place."""
    for number, line in lines:
        prose = _QUOTED.sub("", line)
        for pattern, use in _AVOIDED.items():
            if (match := pattern.search(prose)) is not None:
                yield f'{place.relative_to(ROOT)}:{number}: "{match[0]}": write {use}'


class WordTests(SynchronousTestCase):
    """Which words are used."""

    def test_source(self) -> None:
        """Comments and docstrings use the field's terms."""
        found = [
            each
            for path in MODULES.values()
            for each in found_in(path, prose_of(path.read_text(encoding="utf-8")))
        ]
        self.assertEqual(found, [], "\n".join(found))

    def test_documents(self) -> None:
        """So do the documents."""
        found = [
            each
            for path in (ROOT / "README.rst", *sorted((ROOT / "docs").rglob("*.rst")))
            for each in found_in(path, paragraphs_of(path.read_text(encoding="utf-8")))
        ]
        self.assertEqual(found, [], "\n".join(found))
