"""Tests of :mod:`dantetw.net.naming`."""

from __future__ import annotations

import errno

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.naming import reply_of, symbol_of, words_of
from dantetw.wire.replies import ReplyCode

#: ``errno``, the reply's number on the wire, the words.
TABLE = [
    (errno.ECONNREFUSED, 5, "Connection refused"),
    (errno.ENETUNREACH, 3, "Network is unreachable"),
    (errno.ENETDOWN, 3, "Network is down"),
    (errno.EHOSTUNREACH, 4, "No route to host"),
    (errno.ETIMEDOUT, 6, "Connection timed out"),
    (errno.EAFNOSUPPORT, 8, "Address family not supported by protocol"),
    (errno.EADDRNOTAVAIL, 1, "Cannot assign requested address"),
    (errno.EACCES, 1, "Permission denied"),
    (errno.EMFILE, 1, "Too many open files"),
]


class NamingTests(SynchronousTestCase):
    """Errors have a symbol, words and a reply."""

    def test_table(self) -> None:
        """The common ones are as Dante has them."""
        for number, reply, words in TABLE:
            self.assertEqual((reply_of(number).value, words_of(number)), (reply, words))
            self.assertEqual(getattr(errno, symbol_of(number)), number)

    def test_unknown(self) -> None:
        """A number nobody has heard of is a general failure, and no error here."""
        for number in (0, 99999, -2):
            self.assertEqual(reply_of(number), ReplyCode.FAILURE)
            self.assertEqual(symbol_of(number), f"errno {number}")
            self.assertTrue(words_of(number))

    def test_no_success(self) -> None:
        """No error is told to a client as a success."""
        for number in errno.errorcode:
            self.assertNotEqual(reply_of(number), ReplyCode.SUCCEEDED)
