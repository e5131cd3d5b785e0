"""
The fingerprint of a rule: what its counts are kept under over reloads.

It is made of what is written in the rule, and of nothing else: blanks, comments, the place in the
file and the global settings do not change it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

from dantetw.config.keyword import Statement
from dantetw.config.tree import Block

_DIGEST_BYTES: Final = 8


class Fingerprints:
    """
    Fingerprints of the rules of one kind, in file order.

    Rules with the same text get different ones, by their order among themselves.
    """

    def __init__(self) -> None:
        self._equals: Counter[str] = Counter()

    def of(self, block: Block) -> str:
        """The fingerprint of the next rule: 16 hexadecimal digits, and ``.2`` for a second one."""
        words = [block.verdict.word]
        for statement in block.statements:
            words += ("", statement.name, *_values(statement))
        text = "\0".join(words).encode("utf-8", "surrogateescape")
        digest = blake2b(text, digest_size=_DIGEST_BYTES).hexdigest()
        self._equals[digest] += 1
        number = self._equals[digest]
        return digest if number == 1 else f"{digest}.{number}"


def _values(statement: Statement) -> Iterator[str]:
    values = statement.values
    yield from (word.text for word in values.words)
    if values.address is not None:
        yield values.address.host.text
        yield "" if values.address.mask is None else values.address.mask.text
        yield "" if values.address.port is None else values.address.port.text
