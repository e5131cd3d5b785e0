"""Tests of :mod:`dantetw.privileged.requests`."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.privileged import requests
from dantetw.privileged.requests import (
    LARGEST,
    MOST_DESCRIPTORS,
    SIGNATURES,
    HelperAnswer,
    HelperOutcome,
    HelperRequest,
    HelperTask,
    MalformedError,
    pack_answer,
    pack_request,
    parse_answer,
    parse_request,
)

EXAMPLES = [
    (HelperRequest(HelperTask.DOOR), 1),
    (HelperRequest(HelperTask.CHANNEL), 1),
    (HelperRequest(HelperTask.OPEN_LOG, ("/var/log/sockd.log",)), 0),
    (HelperRequest(HelperTask.OPEN_LOG, ("odd \udcff\n\u2028 name",)), 0),
    (HelperRequest(HelperTask.OPEN_FILE, ("users",)), 0),
    (HelperRequest(HelperTask.OPEN_CONFIG), 0),
    (HelperRequest(HelperTask.STAMP, ("/etc/shadow",)), 0),
    (HelperRequest(HelperTask.BIND, ("192.0.2.1", 1080, 0)), 1),
    (HelperRequest(HelperTask.CHECK_PASSWORD, ("joe", "\x00\xff" * 128, "192.0.2.1")), 0),
    (HelperRequest(HelperTask.START_PAM), 0),
    (HelperRequest(HelperTask.EMPTY_PIDFILE), 0),
]


def packet(*fields: Any) -> bytes:
    """A packet of any fields."""
    return json.dumps(fields).encode()


class OrderTests(SynchronousTestCase):
    """Orders as packets."""

    def test_both_ways(self) -> None:
        """Each order comes out as it went in, and all orders are tried."""
        for order, descriptors in EXAMPLES:
            self.assertEqual(parse_request(pack_request(order), descriptors), order)
        self.assertEqual({order.what for order, _ in EXAMPLES}, set(SIGNATURES))
        self.assertEqual(set(SIGNATURES), set(HelperTask))

    def test_fits(self) -> None:
        """The longest path and the longest password fit into a packet."""
        for order in (
            HelperRequest(HelperTask.OPEN_LOG, ("\udcff" * 4096,)),
            HelperRequest(
                HelperTask.CHECK_PASSWORD, ("\ud800" * 255, "\xff" * 255, "2001:db8::/64")
            ),
        ):
            self.assertLessEqual(len(pack_request(order)), LARGEST)

    def test_malformed(self) -> None:
        """What is no order is told from one, and nothing else is raised."""
        for data in (
            b"",
            b"\xff",
            b"null",
            b"{}",
            b"[]",
            b"[[]]",
            b"[null]",
            b'["open log"',
            b"[" * 10_000,
            b"1" * 10_000,
            packet("open"),
            packet("open log"),
            packet("open log", 1),
            packet("open log", "a", "b"),
            packet("open log", ["a"]),
            packet("check password", "joe"),
            packet("start pam", "login"),
            pack_request(HelperRequest(HelperTask.CHANNEL)),
            pack_request(HelperRequest(HelperTask.BIND, ("192.0.2.1", 80, 0))),
        ):
            self.assertRaises(MalformedError, parse_request, data, 0)
        for fields in (("bind", "h", True, 0), ("bind", "h", 1.0, 0), ("bind", "h", "1", 0)):
            self.assertRaises(MalformedError, parse_request, packet(*fields), 1)
        self.assertRaises(MalformedError, parse_request, packet("open log", "a"), 1)

    @given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda text: text.encode())))
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes are an order or malformed; answers likewise."""
        for parse in (lambda: parse_request(data, 0), lambda: parse_answer(data)):
            try:
                parse()
            except MalformedError:
                pass

    def test_no_secret_in_repr(self) -> None:
        """A password does not show."""
        self.assertNotIn(
            "secret", repr(HelperRequest(HelperTask.CHECK_PASSWORD, ("joe", "secret", "192.0.2.1")))
        )


class AnswerTests(SynchronousTestCase):
    """Answers as packets."""

    def test_both_ways(self) -> None:
        """Each answer comes out as it went in."""
        for answer in (
            HelperAnswer(HelperOutcome.DONE),
            HelperAnswer(HelperOutcome.DONE, found=("wrong",)),
            HelperAnswer(HelperOutcome.DONE, found=(1 << 62, 0, 7)),
            HelperAnswer(HelperOutcome.FAILED, "No such file or directory", 2),
            HelperAnswer(HelperOutcome.REFUSED, "/etc/passwd is no log of the configuration"),
        ):
            self.assertEqual(parse_answer(pack_answer(answer)), answer)

    def test_malformed(self) -> None:
        """What is none is told from one."""
        for data in (b"", b"[]", packet("done"), packet("maybe", "", 0), packet("done", 0, "")):
            self.assertRaises(MalformedError, parse_answer, data)


class SocketTests(SynchronousTestCase):
    """Packets between sockets."""

    def setUp(self) -> None:
        self.ours, self.theirs = requests.pair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)

    def test_packets(self) -> None:
        """Packets stay apart, and descriptors come with theirs; they are nobody's to inherit."""
        reading, writing = os.pipe()
        requests.send(self.ours, b"one", [writing])
        requests.send(self.ours, b"two")
        os.close(writing)
        data, (descriptor,) = requests.receive(self.theirs)
        self.assertEqual(data, b"one")
        self.assertFalse(os.get_inheritable(descriptor))
        os.write(descriptor, b"through")
        os.close(descriptor)
        self.assertEqual(os.read(reading, 10), b"through")
        os.close(reading)
        self.assertEqual(requests.receive(self.theirs), (b"two", []))

    def test_not_inherited(self) -> None:
        """Neither are they where the system cannot be told so as they come."""
        self.patch(requests, "_CLOSE_ON_EXEC", 0)
        requests.send(self.ours, b"one", [0])
        _, (descriptor,) = requests.receive(self.theirs)
        self.addCleanup(os.close, descriptor)
        self.assertFalse(os.get_inheritable(descriptor))

    def test_end(self) -> None:
        """The end is an empty packet."""
        self.ours.close()
        self.assertEqual(requests.receive(self.theirs), (b"", []))

    def test_too_much(self) -> None:
        """What is too large is malformed, and its descriptors are closed."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        requests.send(self.ours, b"x" * (LARGEST + 1), [writing])
        requests.send(self.ours, b"x", [writing] * (MOST_DESCRIPTORS + 1))
        os.close(writing)
        for _ in range(2):
            self.assertRaises(MalformedError, requests.receive, self.theirs)
        # Nobody has it open any more.
        self.assertEqual(os.read(reading, 1), b"")

    def test_kind(self) -> None:
        """Several processes can send to one socket without their packets getting mixed."""
        self.assertEqual(self.ours.type, socket.SOCK_SEQPACKET)
