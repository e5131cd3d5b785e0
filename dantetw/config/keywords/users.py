"""
The system users that the server runs as: ``user.…``.
"""

from __future__ import annotations

from typing import Final

from dantetw.config.arguments import USER
from dantetw.config.draft import Context, Draft
from dantetw.config.keyword import GLOBAL, Keyword, Statement
from dantetw.config.report import ConfigError
from dantetw.policy import UserPolicy


class UserDraft(Draft):
    """The global settings."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._privileged: str | None = None
        self._unprivileged: str | None = None

    def set_privileged(self, statement: Statement) -> None:
        """``user.privileged``.  :raises ConfigError: there is no such user."""
        self._privileged = self._existing(statement)

    def set_unprivileged(self, statement: Statement) -> None:
        """``user.unprivileged``.  :raises ConfigError: there is no such user."""
        self._unprivileged = self._existing(statement)

    def check_user(self, statement: Statement) -> None:
        """``user.libwrap``.  :raises ConfigError: there is no such user."""
        self._existing(statement)

    def _existing(self, statement: Statement) -> str:
        word = statement.token
        if not self.machine.user_exists(word.text):
            raise ConfigError(
                word,
                f'getpwnam(3) says no such user "{word.text}"',
                "the login name of a user of this system",
            )
        return word.text

    def check(self) -> None:
        """Warn if clients would be served as root, as Dante does."""
        if not self.machine.effective_root or "user.unprivileged" in self.report.attempted:
            return
        if self._unprivileged in (None, "root"):
            self.report.warning(
                None,
                "checkconfig(): setting the unprivileged uid to 0 is not recommended for security "
                "reasons",
            )

    def finish(self) -> UserPolicy:
        """The part of the policy."""
        return UserPolicy(self._privileged, self._unprivileged)


KEYWORDS: Final[tuple[Keyword, ...]] = (
    Keyword(
        "user.privileged",
        GLOBAL,
        USER,
        "who to be for privileged work",
        "as started",
        setting=UserDraft.set_privileged,
    ),
    Keyword(
        "user.unprivileged",
        GLOBAL,
        USER,
        "who to be for all the rest",
        "as started",
        setting=UserDraft.set_unprivileged,
    ),
    Keyword(
        "user.notprivileged",
        GLOBAL,
        USER,
        "another spelling of user.unprivileged",
        setting=UserDraft.set_unprivileged,
        present="user.unprivileged",
    ),
    Keyword(
        "user.libwrap",
        GLOBAL,
        USER,
        "who to be for libwrap; without effect",
        "unprivileged",
        setting=UserDraft.check_user,
    ),
)
