"""
Concessions to old clients and old configurations: ``compatibility``, ``extension``.
"""

from __future__ import annotations

from typing import Final

from dantetw.config.arguments import Rest, Words
from dantetw.config.draft import Context, Draft
from dantetw.config.keyword import GLOBAL, ROUTE, Keyword, Repeat, Statement
from dantetw.config.report import ConfigError
from dantetw.policy import CompatibilityPolicy


class CompatibilityDraft(Draft):
    """The global settings."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._same_port = False
        self._bind_extension = False

    def add(self, statement: Statement) -> None:
        """``compatibility``."""
        self._same_port |= "sameport" in statement.words

    def set_extension(self, statement: Statement) -> None:
        """``extension``; as Dante does, it warns."""
        self._bind_extension = True
        self.report.warning(
            statement.token,
            "we are currently considering deprecating the Dante-specific SOCKS bind extension.  "
            "If you are using it, please let us know on the public dante-misc@inet.no mailinglist",
        )

    def refuse(self, statement: Statement) -> None:
        """``realm``.  :raises ConfigError: always."""
        raise ConfigError(statement.written, '"realm" is a keyword of another program')

    def finish(self) -> CompatibilityPolicy:
        """The part of the policy."""
        return CompatibilityPolicy(self._same_port, self._bind_extension)


KEYWORDS: Final[tuple[Keyword, ...]] = (
    Keyword(
        "compatibility",
        GLOBAL,
        Words(("sameport", "draft-5.05"), "option", owns_line=False),
        "sameport: connect from the client's port also below 1024; draft-5.05: as we do anyway",
        "none",
        Repeat.ADD,
        setting=CompatibilityDraft.add,
    ),
    Keyword(
        "extension",
        GLOBAL | ROUTE,
        Words(("bind",), "extension"),
        "Dante's bind extension",
        "none",
        setting=CompatibilityDraft.set_extension,
    ),
    Keyword("localdomain", GLOBAL, Rest("…", limit=4096), "ignored", ignored=True),
    Keyword(
        "realm",
        GLOBAL,
        Rest("…"),
        "an error: not for this program",
        setting=CompatibilityDraft.refuse,
    ),
)
