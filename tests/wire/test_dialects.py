"""Tests for :mod:`dantetw.wire.dialects`, and for each dialect there is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from dantetw.catalogue import DIALECTS
from dantetw.values import Endpoint, Family, Method, ReplyCode
from dantetw.wire import socks4, socks5, userpass
from dantetw.wire.dialects import EARLY_LIMIT, Dialects, IDialect, Negotiation, Request
from dantetw.wire.messages import Credentials, ProtocolError
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

#: The most that may be held of an incomplete message, by what reads it.
LIMITS = {
    socks4._read_request: socks4.REQUEST_LIMIT - 1,
    socks5._read_greeting: socks5.GREETING_LIMIT - 1,
    socks5._read_login: userpass.LOGIN_LIMIT - 1,
    socks5._read_request: socks5.REQUEST_LIMIT - 1,
}


def negotiate(first: int = socks5.VERSION, methods: tuple[Method, ...] = NONE) -> Negotiation:
    """A negotiation with a client whose first byte is ``first``."""
    return Dialects(DIALECTS).negotiate(first, methods)


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

    def test_nothing_yet(self) -> None:
        """A negotiation whose first byte no dialect knows goes on until there is a byte."""
        negotiation = negotiate(0x47)
        self.assertIsNone(negotiation.feed(b""))
        self.assertRaises(ProtocolError, negotiation.feed, b"G")

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
        data = start + data + bytes((filling,)) * 1700
        negotiation = negotiate(data[0], BOTH)
        for piece in single(data):
            try:
                while (step := negotiation.feed(piece)) is not None:
                    piece = b""
                    if isinstance(step, Credentials):
                        negotiation.accepted()
                    elif isinstance(step, Request):
                        return
            except ProtocolError:
                return
            self.assertLessEqual(len(negotiation.leftover), LIMITS[negotiation._reader])
        self.fail("endless negotiation")

    def test_ahead_of_the_verdict(self) -> None:
        """What comes while credentials are checked is kept, up to a limit, and not counted."""
        negotiation = negotiate(methods=USERNAME)
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
        negotiation = negotiate(methods=USERNAME)
        negotiation.feed(b"\x05\x01\x02")
        negotiation.feed(LOGIN)
        negotiation.feed(CONNECT[:4])
        negotiation.feed(CONNECT[4:] + b"data")
        self.assertEqual(negotiation.accepted(), b"\x01\x00")
        self.assertEqual(negotiation.feed(b""), asked(HERE, method=Method.USERNAME))
        self.assertEqual(negotiation.leftover, b"data")


class MisuseTests(SynchronousTestCase):
    """Calls that nothing allows are bugs, and do not go unnoticed."""

    def test_over(self) -> None:
        """Bytes are not taken when it is over."""
        negotiation = negotiate(9)
        self.assertRaises(ProtocolError, negotiation.feed, b"\x09")
        self.assertRaises(RuntimeError, negotiation.feed, b"")

    def test_same_first_byte(self) -> None:
        """A first byte belongs to one dialect."""
        self.assertRaises(ValueError, Dialects, [socks5.DIALECT, socks5.Socks5()])


endpoints = st.one_of(
    st.builds(Endpoint, st.ip_addresses(v=4).map(str), st.integers(0, 65535), st.just(Family.IPV4)),
    st.builds(Endpoint, st.ip_addresses(v=6).map(str), st.integers(0, 65535), st.just(Family.IPV6)),
    st.builds(Endpoint, st.text(max_size=300), st.integers(0, 65535), st.just(Family.NAME)),
)


class CatalogueTests(SynchronousTestCase):
    """What holds for each dialect of the catalogue."""

    def test_interface(self) -> None:
        """Each is an ``IDialect``, with a protocol and first bytes of its own."""
        for dialect in DIALECTS:
            with self.subTest(dialect):
                verifyObject(IDialect, dialect)
                self.assertTrue(dialect.first_bytes)
                self.assertTrue(dialect.families)
        protocols = {dialect.proxy_protocol for dialect in DIALECTS}
        self.assertEqual(len(protocols), len(DIALECTS))
        Dialects(DIALECTS)

    def test_dialogues(self) -> None:
        """Each has dialogues that lead to a request and to an error."""
        for dialect in DIALECTS:
            with self.subTest(dialect):
                own = [d.outcome for d in DIALOGUES if d.data and d.data[0] in dialect.first_bytes]
                self.assertTrue(any(outcome.error for outcome in own))
                requests = {outcome.request for outcome in own if outcome.request is not None}
                self.assertEqual({request.dialect for request in requests}, {dialect})
                for request in requests:
                    self.assertIs(request.proxy_protocol, dialect.proxy_protocol)

    @given(st.sampled_from(DIALECTS), st.sampled_from(list(ReplyCode)), endpoints)
    def test_reply(self, dialect: IDialect, code: ReplyCode, bound: Endpoint) -> None:
        """A reply can be written to whatever has come of a request."""
        self.assertTrue(dialect.reply(code, bound))

    def test_no_login(self) -> None:
        """Nobody is logged in, or refused, whose credentials were not asked for."""
        for dialect in DIALECTS:
            with self.subTest(dialect):
                for methods in (NONE, USERNAME):
                    negotiation = dialect.negotiate(methods)
                    self.assertRaises(RuntimeError, negotiation.accepted)
                    self.assertRaises(RuntimeError, negotiation.refused)

    @given(st.data(), st.sampled_from(DIALECTS), st.binary(max_size=700), cut_places)
    def test_garbage(
        self, data: st.DataObject, dialect: IDialect, behind: bytes, cuts: list[int]
    ) -> None:
        """Garbage in a dialect raises nothing but ``ProtocolError``, and splits change nothing."""
        said = bytes((data.draw(st.sampled_from(dialect.first_bytes)),)) + behind
        for methods in (NONE, USERNAME, BOTH):
            outcome = converse([said], methods)
            self.assertEqual(converse(split(said, cuts), methods), outcome)
            if outcome.request is not None:
                self.assertIs(outcome.request.dialect, dialect)

    @given(st.sampled_from([d for d in DIALOGUES if d.methods == USERNAME]), st.binary(max_size=40))
    def test_not_without_verdict(self, dialogue: Dialogue, behind: bytes) -> None:
        """No bytes lead past the check of credentials that a client has given."""
        negotiation = negotiate(dialogue.data[0], dialogue.methods)
        data, checking = dialogue.data + behind, False
        try:
            while (step := negotiation.feed(data)) is not None:
                self.assertFalse(checking)
                data, checking = b"", isinstance(step, Credentials)
                if isinstance(step, Request):
                    self.assertEqual(step.method, Method.NONE)
                    self.assertIs(step.dialect, socks4.DIALECT)
                    return
        except ProtocolError:
            return
        self.assertTrue(checking)
        self.assertEqual(negotiation.refused(), userpass.REFUSED)
        self.assertRaises(RuntimeError, negotiation.feed, CONNECT)
