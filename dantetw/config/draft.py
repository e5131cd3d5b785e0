"""
Drafts: what has been read of a file so far, concern by concern.

Each concern of :mod:`dantetw.config.keywords` has a draft for the global settings, or for rules, or
for both; the effects of its keywords change it, and at the end it becomes a part of the policy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Generic, TypeVar

from dantetw.config.keyword import Effect, Statement
from dantetw.config.machine import Snapshot
from dantetw.config.missing import Missing
from dantetw.config.program import Program
from dantetw.config.report import Report
from dantetw.config.tree import Block


class Context:
    """
    What all drafts of a file share.

    :ivar machine, program: what the file can name.
    :ivar report: takes problems; ``missing``: interfaces and addresses that are not there.
    """

    def __init__(self, machine: Snapshot, program: Program, report: Report) -> None:
        self.machine = machine
        self.program = program
        self.report = report
        self.missing = Missing()


class Draft:
    """What a concern has read of the global settings."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.machine = context.machine
        self.report = context.report


class BlockDraft(Draft):
    """What a concern has read of a rule, route or monitor."""

    def __init__(self, context: Context, block: Block) -> None:
        super().__init__(context)
        self.block = block


Part = TypeVar("Part")


class PartDraft(Generic[Part]):
    """
    A part of the policy whose keywords each set a field, by :func:`number`.

    :ivar part: the part so far.
    """

    def __init__(self, part: Part) -> None:
        self.part = part


def number(*fields: str) -> Effect:
    """The effect of a keyword that sets fields of a :class:`PartDraft` to its number."""

    def effect(draft: PartDraft[Any], statement: Statement) -> None:
        values = dict.fromkeys(fields, statement.values.numbers[0])
        draft.part = replace(draft.part, **values)

    return effect
