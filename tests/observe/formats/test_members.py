"""Tests for :mod:`dantetw.observe.formats.members`; whole records are compared elsewhere."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe.formats.members import plain
from dantetw.values import Counts, Endpoint, Family, Side

#: Values of events' fields, and what stands for them in a record.
PLAIN = [
    (None, None),
    (True, True),
    (7, 7),
    (1.5, 1.5),
    ("a", "a"),
    (b"\x00a", "\\0a"),
    (Side.CLIENT, "client"),
    ((1, b"b"), [1, "b"]),
    ([Side.US], ["us"]),
    (frozenset({2}), [2]),
    (Endpoint("192.0.2.1", 80, Family.IPV4), {"host": "192.0.2.1", "port": 80}),
    (Counts(1, 2, 3, 4), {"to_client": 1, "from_client": 2, "to_target": 3, "from_target": 4}),
    (PurePosixPath("/x"), "/x"),
]


class PlainTests(SynchronousTestCase):
    """Whatever an event has for a field."""

    def test_plain(self) -> None:
        """Each kind of value has its form; one that nobody thought of is shown as text."""
        for value, form in PLAIN:
            with self.subTest(value):
                self.assertEqual(plain(value), form)
                json.dumps(plain(value))
