"""
Text that clients, resolvers and files gave us, made fit to stand in a log line.

The escapes are Dante's, which it uses for relayed data and for host names; here they also serve
for user names, which Dante writes raw, so that a client can neither break a line nor move the
operator's cursor.
"""

from __future__ import annotations

import re
from typing import Final

_SHORT: Final = {
    0x07: "\\a",
    0x08: "\\b",
    0x09: "\\t",
    0x0A: "\\n",
    0x0B: "\\v",
    0x0C: "\\f",
    0x0D: "\\r",
    0x5C: "\\\\",
}
_OCTAL_DIGITS: Final = frozenset(b"01234567")


def _spell(byte: int) -> str:
    if byte in _SHORT:
        return _SHORT[byte]
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}"


# Bytes map one to one onto latin-1, so that one ``str.translate`` does a whole message.
_SPELLING: Final = {byte: _spell(byte) for byte in range(256)} | {0: "\\0"}

# A NUL is "\0", unless what follows would then be read as part of the number.
_NUL_BEFORE_DIGIT: Final = re.compile("\x00(?=[0-7])")

_PLAIN: Final = re.compile(r"[ -\[\]-~]*")


def escape(text: str | bytes) -> str:
    r"""
    ``text`` with everything escaped that is not printable ASCII, and backslashes.

    Newline and the like become ``\n``, ``\r``, ``\t``, ``\b``, ``\a``, ``\v``, ``\f``; NUL becomes
    ``\0`` (``\000`` before an octal digit), all other bytes three octal digits.  Blanks stay.  The
    result has only bytes 32-126 and can be turned back into the bytes it was made of.

    :param text: bytes, or text that stands for its UTF-8 bytes; surrogate escapes
        (:pep:`383`) stand for the single bytes they came from.
    """
    if isinstance(text, str):
        if _PLAIN.fullmatch(text):
            return text
        letters = _bytes_of(text).decode("latin-1")
    else:
        letters = text.decode("latin-1")
    if "\x00" in letters:
        letters = _NUL_BEFORE_DIGIT.sub("\x00" + "00", letters)
    return letters.translate(_SPELLING)


def _bytes_of(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # A surrogate that no decoder made: no bytes stand for it, so its number is spelled out.
        return text.encode("utf-8", "backslashreplace")
