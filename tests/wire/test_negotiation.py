"""Tests for :mod:`dantetw.wire.negotiation`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.values import Method
from dantetw.wire import socks4, socks5, userpass
from dantetw.wire.messages import Credentials, ProtocolError, Request
from dantetw.wire.negotiation import (
    EARLY_LIMIT,
    READERS,
    TRANSITIONS,
    Heard,
    Negotiation,
    State,
)
from tests.wire.dialogues import (
    BOTH,
    CONNECT,
    DIALOGUES,
    HERE,
    LOGIN,
    NONE,
    USERNAME,
    Dialogue,
    asked,
    converse,
)

#: The most that may be held of an incomplete message.
LIMITS = {
    State.AWAIT_GREETING: max(socks5.GREETING_LIMIT, socks4.REQUEST_LIMIT) - 1,
    State.AWAIT_LOGIN: userpass.LOGIN_LIMIT - 1,
    State.AWAIT_REQUEST: socks5.REQUEST_LIMIT - 1,
}


def single(data: bytes) -> Iterator[bytes]:
    """The bytes of ``data``, one by one."""
    return (data[at : at + 1] for at in range(len(data)))


def split(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """``data`` cut at the given places, taken modulo its length; repeated cuts make ``b""``."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


cut_places = st.lists(st.integers(0, 6000), max_size=12)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[Dialogue, bytes]:
    """A dialogue, and its bytes after some were changed, taken out or put in."""
    dialogue = draw(st.sampled_from(DIALOGUES))
    data = bytearray(dialogue.data[:700])
    for _ in range(draw(st.integers(1, 4))):
        # Most of what matters stands at the start.
        at = draw(st.integers(0, min(len(data), 40)))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return dialogue, bytes(data)


class DialogueTests(SynchronousTestCase):
    """Whole dialogues, however the network cuts them."""

    def test_whole(self) -> None:
        """An eager client's dialogue in one segment is understood, and nothing of it is lost."""
        for dialogue in DIALOGUES:
            with self.subTest(dialogue.name):
                self.assertEqual(dialogue.run([dialogue.data]), dialogue.outcome)

    def test_byte_by_byte(self) -> None:
        """The outcome is the same if bytes come one by one."""
        for dialogue in DIALOGUES:
            with self.subTest(dialogue.name):
                self.assertEqual(dialogue.run(single(dialogue.data)), dialogue.outcome)

    @given(st.sampled_from(DIALOGUES), cut_places)
    def test_splits(self, dialogue: Dialogue, cuts: list[int]) -> None:
        """The outcome is the same however the bytes are split, with empty pieces in between."""
        self.assertEqual(dialogue.run(split(dialogue.data, cuts)), dialogue.outcome)

    @given(mutated(), cut_places)
    def test_mutated(self, mutant: tuple[Dialogue, bytes], cuts: list[int]) -> None:
        """Spoilt dialogues raise nothing but ``ProtocolError``, and splits change nothing."""
        dialogue, data = mutant
        outcome = dialogue.run([data])
        self.assertEqual(dialogue.run(split(data, cuts)), outcome)
        self.assertEqual(dialogue.run(single(data)), outcome)

    @given(
        st.sampled_from([b"", b"\x05", b"\x05\x01\x00", b"\x05\x01\x02", b"\x04\x01"]),
        st.binary(max_size=700),
        cut_places,
    )
    def test_garbage(self, start: bytes, data: bytes, cuts: list[int]) -> None:
        """Neither does garbage; and each byte is either read or left over."""
        data = start + data
        outcome = converse([data], BOTH)
        self.assertEqual(converse(split(data, cuts), BOTH), outcome)
        if outcome.request is not None:
            self.assertEqual(data[outcome.read :], outcome.leftover)
        elif outcome.error is None:
            self.assertEqual(outcome.read, len(data))


class LimitTests(SynchronousTestCase):
    """Nothing is held without a limit."""

    @given(
        st.sampled_from([b"", b"\x05\xff", b"\x05\x01\x00", b"\x05\x01\x02", b"\x04\x01"]),
        st.binary(max_size=64),
        st.integers(1, 255),
    )
    def test_incomplete(self, start: bytes, data: bytes, filling: int) -> None:
        """An incomplete message is never longer than its format allows."""
        negotiation = Negotiation(BOTH)
        for piece in single(start + data + bytes((filling,)) * 1700):
            try:
                while (step := negotiation.feed(piece)) is not None:
                    piece = b""
                    if isinstance(step, Credentials):
                        negotiation.accepted()
                    elif isinstance(step, Request):
                        return
            except ProtocolError:
                return
            self.assertLessEqual(len(negotiation.leftover), LIMITS[negotiation._state])
        self.fail("endless negotiation")

    def test_ahead_of_the_verdict(self) -> None:
        """What comes while credentials are checked is kept, up to a limit, and not counted."""
        negotiation = Negotiation(USERNAME)
        negotiation.feed(b"\x05\x01\x02")
        self.assertIsInstance(negotiation.feed(LOGIN), Credentials)
        self.assertIsNone(negotiation.feed(CONNECT))
        self.assertIsNone(negotiation.feed(b"x" * (EARLY_LIMIT - len(CONNECT))))
        self.assertEqual(negotiation.read, 3 + len(LOGIN))
        self.assertEqual(len(negotiation.leftover), EARLY_LIMIT)
        error = self.assertRaises(ProtocolError, negotiation.feed, b"x")
        self.assertEqual((error.reply, negotiation.leftover), (b"", b""))
        self.assertEqual(negotiation.read, 3 + len(LOGIN))

    def test_after_the_verdict(self) -> None:
        """What came while credentials were checked is read when they have been accepted."""
        negotiation = Negotiation(USERNAME)
        negotiation.feed(b"\x05\x01\x02")
        negotiation.feed(LOGIN)
        negotiation.feed(CONNECT[:4])
        negotiation.feed(CONNECT[4:] + b"data")
        self.assertEqual(negotiation.accepted(), b"\x01\x00")
        self.assertEqual(negotiation.feed(b""), asked(HERE, method=Method.USERNAME))
        self.assertEqual(negotiation.leftover, b"data")


class TransitionsTests(SynchronousTestCase):
    """The tables agree with each other."""

    def test_states(self) -> None:
        """Each state has a row, and each but the last is read in, can fail, and can be reached."""
        self.assertEqual(set(TRANSITIONS), set(State))
        self.assertEqual(set(READERS), set(State) - {State.OVER})
        self.assertEqual(TRANSITIONS[State.OVER], {})
        for state in READERS:
            self.assertIs(TRANSITIONS[state][Heard.NONSENSE], State.OVER)
        reached = {state for row in TRANSITIONS.values() for state in row.values()}
        self.assertEqual(reached, set(State) - {State.AWAIT_GREETING})

    def test_not_without_verdict(self) -> None:
        """No way leads past the verdict once a login was demanded."""
        self.assertEqual(
            set(TRANSITIONS[State.AWAIT_LOGIN].values()), {State.AWAIT_VERDICT, State.OVER}
        )
        self.assertEqual(
            [h for h, s in TRANSITIONS[State.AWAIT_VERDICT].items() if s is not State.OVER],
            [Heard.ACCEPTED],
        )

    def test_verdict_without_login(self) -> None:
        """A verdict nobody waits for is our own mistake and does not go unnoticed."""
        self.assertRaises(KeyError, Negotiation(NONE).accepted)
        self.assertRaises(KeyError, Negotiation(NONE).refused)

    def test_over(self) -> None:
        """Nor do bytes that are fed when it is over."""
        negotiation = Negotiation(NONE)
        self.assertRaises(ProtocolError, negotiation.feed, b"\x09")
        self.assertRaises(KeyError, negotiation.feed, b"")
