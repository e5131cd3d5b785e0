"""Tests of :mod:`dantetw.accounts.keys`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.accounts.keys import NAME_BYTES, account_name, decoded, encoded

#: Names as they come: bytes that should be UTF-8.
names = st.binary(max_size=400).map(decoded) | st.text(st.characters(exclude_categories=["Cs"]))


class NameTests(SynchronousTestCase):
    """Names of accounts."""

    @given(names)
    def test_bounded(self, text: str) -> None:
        """A name fits into a slot, comes back from there, and is its own name."""
        name = account_name(text)
        self.assertLessEqual(len(encoded(name)), NAME_BYTES)
        self.assertEqual(decoded(encoded(name)), name)
        self.assertEqual(account_name(name), name)

    @given(names)
    def test_short(self, text: str) -> None:
        """What fits is its own name."""
        if len(encoded(text)) <= NAME_BYTES:
            self.assertEqual(account_name(text), text)

    def test_longer_than_short(self) -> None:
        """That holds up to the very longest that fits."""
        self.assertEqual(account_name("x" * NAME_BYTES), "x" * NAME_BYTES)

    def test_long(self) -> None:
        """Texts that are too long have different names, which begin as they do."""
        for letter in ("x", "\u2603", "\udcff"):
            with self.subTest(letter):
                found = {account_name(letter * 400 + end) for end in ("", "a", "b")}
                self.assertEqual(len(found), 3)
        self.assertTrue(account_name("x" * 400).startswith("x" * 200))
