"""What shapes the relays of a test: budgets that are granted as the reactor turns, and codecs."""

from __future__ import annotations

from typing import Protocol

from dantetw.relay.codec import CodecError, EncodedEnd
from dantetw.relay.shaping import Budget, Shaping
from tests.net.reactors import TurningReactor

_KEY = bytes(range(1, 252))


class Mirrored(Protocol):
    """A codec, and what its far end does."""

    def decode(self, data: bytes) -> bytes:
        """As a relay calls it."""

    def decode_end(self) -> bytes:
        """Likewise."""

    def encode(self, data: bytes) -> bytes:
        """Likewise."""

    def encode_end(self) -> bytes:
        """Likewise."""


class Plain:
    """No codec."""

    def decode(self, data: bytes) -> bytes:
        return data

    def decode_end(self) -> bytes:
        return b""

    def encode(self, data: bytes) -> bytes:
        return data

    def encode_end(self) -> bytes:
        return b""


class Masked:
    """Each byte is masked by a key that depends on its place, so that no other order will do."""

    def __init__(self) -> None:
        self._decoded = self._encoded = 0

    def decode(self, data: bytes) -> bytes:
        self._decoded, start = self._decoded + len(data), self._decoded
        return _masked(data, start)

    def decode_end(self) -> bytes:
        return b""

    def encode(self, data: bytes) -> bytes:
        self._encoded, start = self._encoded + len(data), self._encoded
        return _masked(data, start)

    def encode_end(self) -> bytes:
        return b""


class Framed:
    """
    Chunks have their length in front of them, and one of no length is the end; what comes in waits
    until its frame is complete.
    """

    def __init__(self) -> None:
        self._waiting = b""
        self._ended = False

    def decode(self, data: bytes) -> bytes:
        self._waiting += data
        found = []
        while len(self._waiting) >= 4:
            size = int.from_bytes(self._waiting[:4], "big")
            if size > 1 << 24:
                raise CodecError
            if not size:
                self._ended = True
                raise EncodedEnd(b"".join(found))
            if len(self._waiting) < 4 + size:
                break
            found.append(self._waiting[4 : 4 + size])
            self._waiting = self._waiting[4 + size :]
        return b"".join(found)

    def decode_end(self) -> bytes:
        raise CodecError

    def encode(self, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + data if data else b""

    def encode_end(self) -> bytes:
        return bytes(4)


def _masked(data: bytes, start: int) -> bytes:
    start %= len(_KEY)
    key = (_KEY * (len(data) // len(_KEY) + 2))[start : start + len(data)]
    both = int.from_bytes(data, "big") ^ int.from_bytes(key, "big")
    return both.to_bytes(len(data), "big")


class GrantingReactor(TurningReactor):
    """
    Grants an allowance with each turn, to what waits for one.

    :ivar budgets: those that get it; ``allowance``: how many bytes it has.
    """

    def __init__(self) -> None:
        super().__init__()
        self.budgets: list[Budget] = []
        self.allowance = 0

    def turn(self, wait: int = 0) -> int:
        granted = 0
        for budget in self.budgets:
            if budget.waited_for:
                budget.grant(self.allowance - budget.left)
                granted += 1
        return super().turn(0 if granted else wait) + granted


class Shape:
    """
    How the relays of a suite are shaped.

    :param allowance: bytes that each direction may move in a turn; 0: it has no budget.
    :param shared: both directions have one budget.
    """

    def __init__(
        self, name: str, allowance: int = 0, codec: type[Mirrored] = Plain, shared: bool = False
    ) -> None:
        self.name = name
        self.allowance = allowance
        self.codec = codec
        self.shared = shared

    def make(self, reactor: GrantingReactor) -> Shaping | None:
        """The shaping of one relay."""
        codec = None if self.codec is Plain else self.codec()
        if not self.allowance:
            return None if codec is None else Shaping(codec=codec)
        up = Budget()
        down = up if self.shared else Budget()
        reactor.allowance = self.allowance
        reactor.budgets += [up] if self.shared else [up, down]
        return Shaping(up, down, codec)


UNSHAPED = Shape("")
FAST = Shape("Fast", 900_000, shared=True)
MASKED = Shape("Masked", codec=Masked)
#: Less than a chunk, more than one, and so much that a flow may become bulky.
SHAPES = (
    UNSHAPED,
    Shape("Slow", 20_000),
    FAST,
    MASKED,
)
