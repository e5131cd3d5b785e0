"""
Places in a configuration file.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a configuration file.  Lines and columns count from 1; 0 means "nowhere"."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


#: The place of what is not written in any file: defaults, the built-in block rule.
BUILT_IN = Where("(built in)", 0, 0)
