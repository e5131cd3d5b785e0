"""
Addresses that replace others: ``redirect``, ``bounce``.

They are read and checked, but not supported yet.
"""

from __future__ import annotations

from typing import Final

from dantetw.config.addresses import single
from dantetw.config.arguments import AddressArgument
from dantetw.config.draft import BlockDraft, Context
from dantetw.config.keyword import CLIENT, ROUTE, SOCKS, Keyword, Statement
from dantetw.config.keywords.conditions import ConditionsDraft
from dantetw.config.report import ConfigError
from dantetw.config.tree import Block


class RedirectionDraft(BlockDraft):
    """A rule or route."""

    def __init__(self, context: Context, block: Block, conditions: ConditionsDraft) -> None:
        super().__init__(context, block)
        self._conditions = conditions

    def check_source(self, statement: Statement) -> None:
        """``redirect from``.  :raises ConfigError: it is no address of a rule."""
        self._conditions.address(statement)

    def check_target(self, statement: Statement) -> None:
        """``redirect to``.  :raises ConfigError: it is not one address."""
        text = statement.values.address
        assert text is not None
        single(text)

    def refuse(self, statement: Statement) -> None:
        """``bounce to``.  :raises ConfigError: always."""
        raise ConfigError(statement.written, "unsupported option")


KEYWORDS: Final[tuple[Keyword, ...]] = (
    Keyword(
        "redirect from",
        CLIENT | SOCKS | ROUTE,
        AddressArgument(mask=True),
        "replace the source address",
        in_block=RedirectionDraft.check_source,
    ),
    Keyword(
        "redirect to",
        CLIENT | SOCKS,
        AddressArgument(mask=False),
        "replace the target",
        in_block=RedirectionDraft.check_target,
    ),
    Keyword(
        "bounce to",
        CLIENT,
        AddressArgument(mask=False),
        "Barefoot's, never allowed here",
        in_block=RedirectionDraft.refuse,
    ),
)

UNSUPPORTED: Final = {"redirect from": "redirection", "redirect to": "redirection"}
