"""Tests of :mod:`dantetw.net.errors`."""

from __future__ import annotations

import errno
import socket

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.errors import (
    EAI_WORDS,
    UNRESOLVED_REPLY,
    eai_symbol_of,
    failure_text,
    lookup_text,
    reply_of,
    symbol_of,
    words_of,
)
from dantetw.values import NOWHERE, Operation, ReplyCode
from dantetw.wire import socks4, socks5

#: ``errno``, the replies' numbers on the wire by SOCKS 5 and 4, the words.
TABLE = [
    (errno.ECONNREFUSED, 5, 91, "Connection refused"),
    (errno.ENETUNREACH, 3, 91, "Network is unreachable"),
    (errno.ENETDOWN, 3, 91, "Network is down"),
    (errno.EHOSTUNREACH, 4, 91, "No route to host"),
    (errno.EHOSTDOWN, 4, 91, "Host is down"),
    (errno.ETIMEDOUT, 6, 91, "Connection timed out"),
    (errno.EAFNOSUPPORT, 8, 91, "Address family not supported by protocol"),
    (errno.ECONNRESET, 1, 91, "Connection reset by peer"),
    (errno.EADDRNOTAVAIL, 1, 91, "Cannot assign requested address"),
    (errno.EACCES, 1, 91, "Permission denied"),
    (errno.EMFILE, 1, 91, "Too many open files"),
]
UNROUTED = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)


class NamingTests(SynchronousTestCase):
    """Errors have a symbol, words and a reply."""

    def test_table(self) -> None:
        """The common ones are as Dante has them."""
        for number, code5, code4, words in TABLE:
            code = reply_of(number)
            self.assertEqual(socks5.DIALECT.reply(code, NOWHERE)[1], code5)
            self.assertEqual(socks4.DIALECT.reply(code, NOWHERE)[1], code4)
            self.assertEqual(words_of(number), words)
            self.assertEqual(getattr(errno, symbol_of(number)), number)

    def test_texts(self) -> None:
        """Each operation has its sentence, but three errors have one of their own."""
        for operation, sentence in (
            (Operation.CONNECT, "connect to host 10.0.0.1.80 failed: "),
            (Operation.SEND, "send to host 10.0.0.1.80 failed: "),
            (Operation.RECEIVE, "receive from host 10.0.0.1.80 failed: "),
            (Operation.ACCEPT, "accept of client on 10.0.0.1.80 failed: "),
        ):
            for number, _, _, words in TABLE:
                expected = sentence
                if number in UNROUTED and operation is not Operation.ACCEPT:
                    expected = "no route to 10.0.0.1.80: "
                text = failure_text(operation, "10.0.0.1.80", number)
                self.assertEqual(text, expected + words)

    def test_lookups(self) -> None:
        """Names and addresses that cannot be looked up; the client hears "host unreachable"."""
        self.assertEqual(
            lookup_text("a.example", "no", False), 'could not DNS-resolve "a.example": no'
        )
        self.assertEqual(
            lookup_text("10.0.0.1", "no", True), "could not DNS reversemap address 10.0.0.1: no"
        )
        self.assertEqual(socks5.DIALECT.reply(UNRESOLVED_REPLY, NOWHERE)[1], 4)

    def test_eai_words(self) -> None:
        """The words of failures that we find ourselves are the C library's."""
        for symbol, words in EAI_WORDS.items():
            number = getattr(socket, symbol)
            self.assertEqual(eai_symbol_of(number), symbol)
            if symbol == "EAI_NONAME":
                with self.assertRaises(socket.gaierror) as caught:
                    socket.getaddrinfo("not numeric", None, flags=socket.AI_NUMERICHOST)
                self.assertEqual(caught.exception.errno, number)
                self.assertEqual(caught.exception.strerror, words)

    def test_unknown(self) -> None:
        """A number nobody has heard of is a general failure, and no error here."""
        for number in (0, 99999, -2):
            self.assertEqual(reply_of(number), ReplyCode.FAILURE)
            self.assertEqual(symbol_of(number), f"errno {number}")
            self.assertTrue(words_of(number))
        self.assertEqual(eai_symbol_of(12345), "EAI 12345")

    def test_no_success(self) -> None:
        """No error is told to a client as a success."""
        for number in errno.errorcode:
            self.assertNotEqual(reply_of(number), ReplyCode.SUCCEEDED)
