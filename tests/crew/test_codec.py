"""Tests of :mod:`dantetw.crew.codec`."""

from __future__ import annotations

import json
import pickle
import socket
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.crew import codec, messages
from dantetw.crew.codec import MOST_CHARACTERS, pack, parse_order, parse_said
from dantetw.crew.messages import (
    Abandon,
    Change,
    Commit,
    Committed,
    Gather,
    Gathered,
    Latencies,
    Lend,
    Prepare,
    Prepared,
    Release,
    Released,
    Reopen,
    ReportSessions,
    Retire,
    Retired,
    Running,
    SessionsReported,
    Stop,
    Stopping,
    TakeBack,
)
from dantetw.net.channel import COUNT_LIMIT, LONGEST_SAID, Channel, Frame
from dantetw.relay.latency import HISTOGRAM_PLACES, LATEST_VALUES, Histogram, LatencySnapshot
from dantetw.session.totals import KINDS
from tests.observe.sinks.fakes import FakeReactor
from tests.session.world import HEAD, OPEN, compiled

COUNTS = st.integers(0, COUNT_LIMIT - 1)
SECONDS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(max_size=MOST_CHARACTERS)
NAMES = st.none() | st.lists(st.text(), max_size=5).map(tuple)

ORDERS = st.one_of(
    st.sampled_from([Stop(), Retire(), Abandon(), Gather()]),
    st.builds(Prepare, st.binary()),
    st.builds(Commit, NAMES),
    st.builds(Reopen, NAMES),
    st.builds(Release, st.booleans()),
    st.builds(ReportSessions, COUNTS, SECONDS),
    st.builds(Lend, COUNTS),
    st.builds(TakeBack, COUNTS),
)
SAID = st.one_of(
    st.sampled_from([Committed(), Released(), Running(), Retired(), Stopping(), Latencies({})]),
    st.builds(Prepared, TEXTS),
    st.builds(Gathered, st.none() | COUNTS),
    st.builds(SessionsReported, COUNTS, COUNTS),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def sent(frame: Frame) -> Frame:
    """A frame as it arrives."""
    return Frame(frame.word, json.loads(json.dumps(frame.said)), frame.payload)


class RoundTripTests(SynchronousTestCase):
    """What is sent arrives."""

    @given(ORDERS, COUNTS)
    def test_orders(self, order: Any, number: int) -> None:
        """Each order arrives as it was, with its number."""
        self.assertEqual(parse_order(sent(pack(order, number))), (number, order))

    @given(SAID, COUNTS)
    def test_said(self, said: Any, number: int) -> None:
        """So does all that a worker says."""
        self.assertEqual(parse_said(sent(pack(said, number))), (number, said))

    def test_all(self) -> None:
        """There is no message that is not sent by one side, and by one only."""
        classes = {
            each
            for each in vars(messages).values()
            if isinstance(each, type) and each.__module__ == messages.__name__
        }
        self.assertEqual(classes - {Change, Prepare}, set(codec._ORDERS) | set(codec._SAID))
        self.assertEqual(set(codec._ORDERS) & set(codec._SAID), set())

    def test_change(self) -> None:
        """A policy arrives whole."""
        change = Change(compiled(HEAD + OPEN), b"key", ())
        _, order = parse_order(sent(pack(Prepare.of(change), 3)))
        assert isinstance(order, Prepare)
        self.assertEqual(order.change, change)

    def test_longest(self) -> None:
        """The longest that a worker may say fits into a message: all latencies, all different."""
        histogram = Histogram()
        histogram.counts = [2**62] * HISTOGRAM_PLACES
        histogram.count = histogram.total = histogram.minimum = histogram.maximum = 2**63
        measured = LatencySnapshot(histogram, histogram, [2**62] * LATEST_VALUES)
        frame = pack(Latencies(dict.fromkeys(KINDS, measured)))
        self.assertLess(len(json.dumps([frame.word, frame.said])), LONGEST_SAID)
        self.assertEqual(pack(parse_said(sent(frame))[1]), frame)

    def test_refusal(self) -> None:
        """Of a long refusal the beginning arrives, whoever does not cut it."""
        frame = pack(Prepared("x" * 5000))
        self.assertEqual(parse_said(frame), (0, Prepared("x" * MOST_CHARACTERS)))
        self.assertEqual(parse_said(Frame("Prepared", [0, "x" * 5000])), parse_said(frame))


class HostileTests(SynchronousTestCase):
    """Whatever a worker sends is one of its messages, or refused."""

    def test_refused(self) -> None:
        """Fields of another type, out of range, too few and too many."""
        most = COUNT_LIMIT
        for word, said in (
            ("Committed", None),
            ("Committed", {}),
            ("Committed", "0"),
            ("Committed", []),
            ("Committed", [-1]),
            ("Committed", [most]),
            ("Committed", [True]),
            ("Committed", [0.0]),
            ("Committed", ["0"]),
            ("Committed", [0, 0]),
            ("Gathered", [0]),
            ("Gathered", [0, -1]),
            ("Gathered", [0, most]),
            ("Gathered", [0, False]),
            ("Gathered", [0, 1.0]),
            ("Gathered", [0, 10**400]),
            ("SessionsReported", [0, 1]),
            ("SessionsReported", [0, 1, -1]),
            ("SessionsReported", [0, "a", 1]),
            ("SessionsReported", [0, True, 1]),
            ("SessionsReported", [0, 1, 2, 3]),
            ("Prepared", [0, None]),
            ("Prepared", [0, ["x"]]),
            ("Prepared", [0, {"x": 1}]),
            ("Latencies", [0, []]),
            ("Latencies", [0, {"nonsense": []}]),
            ("Latencies", [0, {"i/o": None}]),
            ("Latencies", [0, {"i/o": [[], [], []]}]),
            ("committed", [0]),
            ("Object", [0]),
            ("", [0]),
        ):
            with self.assertRaises(ValueError, msg=f"{word} {said}"):
                parse_said(Frame(word, said))

    def test_orders(self) -> None:
        """No worker gives orders, least of all with a pickle."""
        bomb = pickle.dumps(SystemExit)
        for order in (Stop(), Retire(), Lend(1), Prepare(bomb)):
            self.assertRaises(ValueError, parse_said, pack(order))

    @given(st.sampled_from([each.__name__ for each in codec._SAID]) | st.text(), JSON)
    def test_fuzz(self, word: str, said: object) -> None:
        """Nothing else comes of anything."""
        try:
            number, message = parse_said(Frame(word, said))
        except ValueError:
            return
        self.assertEqual(parse_said(sent(pack(message, number))), (number, message))

    @given(st.sampled_from([each.__name__ for each in codec._ORDERS]) | st.text(), JSON)
    def test_fuzz_orders(self, word: str, said: object) -> None:
        """Likewise of orders, though those come from the supervisor only."""
        try:
            number, order = parse_order(Frame(word, said))
        except ValueError:
            return
        self.assertEqual(parse_order(sent(pack(order, number))), (number, order))

    @given(st.binary(max_size=64), st.binary(max_size=32))
    def test_bytes(self, text: bytes, payload: bytes) -> None:
        """Nor does anything but an end of the channel come of bytes that are no messages."""
        ours, theirs = socket.socketpair()
        lost: list[None] = []
        channel = Channel(
            ours,
            FakeReactor(),
            lambda frame: parse_said(frame) and None,
            lambda: lost.append(None),
            trusted=False,
        )
        with theirs:
            head = len(text).to_bytes(4, "big") + len(payload).to_bytes(4, "big") + b"\0"
            theirs.sendall(head + text + payload)
            channel.doRead()
            self.assertEqual(lost, [None])
        channel.close()
