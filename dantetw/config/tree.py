"""
The tree of a configuration file: what is written, before its meaning is known.
"""

from __future__ import annotations

from dataclasses import dataclass

from dantetw.config.keyword import Place, Statement
from dantetw.config.lexer import Token
from dantetw.values import Verdict


@dataclass(frozen=True, slots=True)
class Block:
    """
    A rule, route or monitor.

    :ivar head: its first word; ``close``: the closing brace, or the last thing read.
    :ivar intact: whether all of it was understood; if not, checks about what is missing would only
        repeat it.
    """

    place: Place
    verdict: Verdict
    head: Token
    statements: tuple[Statement, ...]
    close: Token
    intact: bool


@dataclass(frozen=True, slots=True)
class Tree:
    """A whole file."""

    settings: tuple[Statement, ...]
    blocks: tuple[Block, ...]
