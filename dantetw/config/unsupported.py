"""
What is understood but not supported yet.

A file that needs any of this is refused: to ignore it would be to do something other than the
operator asked for.  What it is, is in :data:`dantetw.config.keywords.table.UNSUPPORTED`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from dantetw.config.keyword import Place, Statement
from dantetw.config.keywords.authentication import (
    METHOD_KEYWORDS,
    METHODS,
    OLD_METHOD,
    PRESENT_METHOD,
)
from dantetw.config.lexer import Token
from dantetw.config.report import Report
from dantetw.config.tree import Tree
from dantetw.values import CLIENT_METHODS

_OBJECTS: Final = {
    Place.ROUTE: "route {}",
    Place.MONITOR: "monitor {}",
    Place.HOSTID: "hostid {}",
}


def check(tree: Tree, unsupported: Mapping[str, str], report: Report) -> None:
    """Report every use of what is not supported; of an object only its head."""
    for token, key, label in _uses(tree):
        reason = unsupported.get(key)
        if reason is not None:
            report.error(token, f'"{label}" is not supported yet ({reason})', unbuilt=True)


def _uses(tree: Tree) -> Iterator[tuple[Token, str, str]]:
    """Everything that might be listed: a token, its key, and what to call it."""
    for statement in tree.settings:
        yield from _keys(statement)
    for block in tree.blocks:
        if block.place in _OBJECTS:
            yield block.head, _OBJECTS[block.place], block.head.text
            continue
        for statement in block.statements:
            yield from _keys(statement)


def _keys(statement: Statement) -> Iterator[tuple[Token, str, str]]:
    row, values = statement.keyword.name, statement.values
    if statement.name in METHOD_KEYWORDS:
        for word in values.words:
            name = PRESENT_METHOD if word.text == OLD_METHOD else word.text
            if statement.name == "clientmethod" and METHODS.get(name) not in CLIENT_METHODS:
                continue  # an error of its own
            yield word, f"method: {name}", f"{statement.name}: {name}"
        return
    name = statement.written.text
    yield statement.written, row, name
    for word in values.words:
        yield word, f"{row}: {word.text}", f"{name}: {word.text}"
