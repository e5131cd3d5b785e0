"""Tests for :mod:`dantetw.observe.formats.reasons`; whole lines are compared elsewhere."""

from __future__ import annotations

import errno

from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe.formats.reasons import complaint, given_up
from dantetw.values import Cause, Ending, Phase, Side

#: Endings before there is a session, and what is logged of each.
COMPLAINTS = [
    (Ending(Side.CLIENT, Phase.NEGOTIATE, Cause.CLOSED), "eof from local client"),
    (Ending(Side.TARGET, Phase.CONNECT, Cause.CLOSED), "eof from remote peer"),
    (Ending(Side.CLIENT, Phase.NEGOTIATE, Cause.ERROR, errno.EPIPE), "Broken pipe"),
    (Ending(Side.CLIENT, Phase.NEGOTIATE, Cause.PROTOCOL), "local client protocol error"),
    (Ending(Side.CLIENT, Phase.NEGOTIATE, Cause.PROTOCOL, text="as it says"), "as it says"),
    (Ending(Side.US, Phase.NEGOTIATE, Cause.SHUTDOWN), "administrative termination"),
]
#: Endings of a BIND whose peer has not come.
GIVEN_UP = [
    (Ending(Side.CLIENT, Phase.CONNECT, Cause.CLOSED), "eof from client"),
    (Ending(Side.TARGET, Phase.CONNECT, Cause.TIMEOUT), "i/o timeout"),
    (Ending(Side.US, Phase.CONNECT, Cause.SHUTDOWN), "administrative termination"),
]


class ReasonTests(SynchronousTestCase):
    """Why something ended, in words."""

    def test_complaint(self) -> None:
        """Each ending before a session has its words, its own text first."""
        for ending, words in COMPLAINTS:
            with self.subTest(ending):
                self.assertEqual(complaint(ending), words)

    def test_given_up(self) -> None:
        """A client that waits no longer for a peer has left, was too late, or lost the server."""
        for ending, words in GIVEN_UP:
            with self.subTest(ending):
                self.assertEqual(given_up(ending), words)
