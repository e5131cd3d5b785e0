"""Tests of :mod:`dantetw.handover.messages`."""

from __future__ import annotations

import socket
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.handover import messages
from dantetw.handover.messages import (
    Busy,
    CountSessions,
    Give,
    Given,
    HandedOn,
    ReopenLogs,
    SessionCount,
    SessionsWritten,
    Staying,
    StopServing,
    Taken,
    TooLate,
    WriteSessions,
    pack,
    parse,
    send,
)
from dantetw.net.channel import COUNT_LIMIT, Channel, Frame
from tests.observe.sinks.fakes import FakeReactor

#: Each message as other versions send it: head, text, payload.
WIRE: list[tuple[Any, bytes]] = [
    (Give(), b'\0\0\0\x0e\0\0\0\0\0["give", null]'),
    (Taken(7), b'\0\0\0\x0c\0\0\0\0\0["taken", 7]'),
    (Given(1), b'\0\0\0\x0c\0\0\0\0\0["given", 1]'),
    (Busy(9), b'\0\0\0\x0b\0\0\0\0\0["busy", 9]'),
    (TooLate(), b'\0\0\0\x0e\0\0\0\0\0["late", null]'),
    (Staying(), b'\0\0\0\x11\0\0\0\0\0["staying", null]'),
    (HandedOn(8, b"xy"), b'\0\0\0\x12\0\0\0\x02\0["predecessor", 8]xy'),
    (ReopenLogs(), b'\0\0\0\x10\0\0\0\0\0["reopen", null]'),
    (StopServing(), b'\0\0\0\x0e\0\0\0\0\0["stop", null]'),
    (CountSessions(3), b'\0\0\0\x0e\0\0\0\0\0["measure", 3]'),
    (WriteSessions(3), b'\0\0\0\x0b\0\0\0\0\0["tell", 3]'),
    (SessionCount(3, 5), b'\0\0\0\x11\0\0\0\0\0["measured 3", 5]'),
    (SessionsWritten(3, 5, 1), b'\0\0\0\x12\0\0\0\0\0["told 3", [5, 1]]'),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


class WireTests(SynchronousTestCase):
    """The bytes, which other versions know."""

    def test_bytes(self) -> None:
        """Each message is sent, and understood, as it always was."""
        for message, data in WIRE:
            ours, theirs = socket.socketpair()
            heard: list[Frame] = []
            channel = Channel(ours, FakeReactor(), heard.append, lambda: None)
            with theirs:
                send(channel, message)
                self.assertEqual(theirs.recv(1000), data)
                theirs.sendall(data)
                channel.doRead()
            channel.close()
            self.assertEqual([parse(frame) for frame in heard], [message])

    def test_all(self) -> None:
        """The table has them all."""
        there = {
            each
            for each in vars(messages).values()
            if isinstance(each, type) and each.__module__ == messages.__name__
        }
        self.assertEqual({type(message) for message, _ in WIRE}, there)

    def test_oldest(self) -> None:
        """Versions up to 0.1 send all sockets in one message, and do not say so."""
        self.assertEqual(parse(Frame("given")), Given(0))


class OtherTests(SynchronousTestCase):
    """What is none of them."""

    def test_unknown(self) -> None:
        """What a newer version may have more is ignored."""
        for frame in (Frame("news"), Frame(""), Frame("measure", "x"), Frame("tell", -1)):
            self.assertIsNone(parse(frame))
        for word in ("measured", "measured x", "measured -1", "told ", "told 9" + "9" * 20):
            self.assertIsNone(parse(Frame(word, 1)))

    def test_nonsense(self) -> None:
        """An answer that makes no sense is one all the same: nothing is waited for."""
        for said in (None, "x", -1, True, COUNT_LIMIT, [1], [1, -1], [1, 2, 3], {}):
            self.assertEqual(parse(Frame("measured 4", said)), SessionCount(4, None))
            self.assertEqual(parse(Frame("told 4", said)), SessionsWritten(4, 0, 0))

    @given(
        st.sampled_from([pack(message).word for message, _ in WIRE]) | st.text(),
        JSON,
        st.binary(max_size=9),
    )
    def test_fuzz(self, word: str, said: object, payload: bytes) -> None:
        """Nothing else comes of anything."""
        message = parse(Frame(word, said, payload))
        if message is not None:
            self.assertEqual(parse(pack(message)), message)
