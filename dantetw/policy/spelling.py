"""
How log destinations are written: what the configuration asks of each kind that there is.

The kinds themselves are at the edge (:mod:`dantetw.observe.sinks`), so they are handed to the
configuration as an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Misspelling:
    """
    What is wrong with a word that names a log destination.

    :ivar text: the error, without a full stop.
    :ivar start, length: the part of the word that it is about; without ``length`` up to the end.
    :ivar expected: what could stand there instead, or empty.
    :ivar known: words one of which may have been meant.
    :ivar is_fatal: the configuration is refused; otherwise it is a warning, as in Dante, and the
        destination is not opened.
    """

    text: str
    start: int = 0
    length: int | None = None
    expected: str = ""
    known: tuple[str, ...] = ()
    is_fatal: bool = True


class Spelling(Protocol):
    """How one kind of log destination is written."""

    @property
    def form(self) -> str:
        """The form of its words, for messages and documents: ``syslog[/FACILITY]``."""

    @property
    def schemes(self) -> tuple[str, ...]:
        """What precedes ``://`` in its words.  In other words a colon is an error, as in Dante."""

    @property
    def is_file(self) -> bool:
        """Whether its words are names of files."""

    @property
    def claims(self) -> Callable[[str], bool]:
        """Whether a word is one of its words, rightly spelled or not."""

    @property
    def check(self) -> Callable[[str], Misspelling | None]:
        """What is wrong with one of its words; None: nothing."""
