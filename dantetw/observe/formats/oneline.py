"""
Keeping a message on one line.

Dante escapes names from clients where it quotes them, and messages take that over; this is the net
below: whatever else found its way into a message (a path, a library's error) cannot start a new
line or move a cursor.  Backslashes stay, so text that was escaped before comes through unchanged.
"""

from __future__ import annotations

from dantetw.escaping import escape


def one_line(text: str) -> str:
    """``text`` with all that is not printable escaped as :func:`~dantetw.escaping.escape` does."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else escape(letter) for letter in text)
