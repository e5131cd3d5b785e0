"""Tests for :mod:`dantetw.auth.ident`."""

from __future__ import annotations

from typing import Any

from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.testing import MemoryReactorClock, StringTransportWithDisconnection
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from dantetw.auth.ident import ANSWER_LIMIT, NAME_LIMIT, SECONDS, Ident, name_in
from dantetw.auth.interfaces import IProver, Visitor
from dantetw.rules.authentication import IDENT, AuthResult
from dantetw.values import Endpoint, Family

PORTS = (6193, 23)
CLIENT = Endpoint("192.0.2.7", 6193, Family.IPV4)
HERE = Endpoint("192.0.2.1", 23, Family.IPV4)


def getpwnam(name: str) -> object:
    """A password database with bob in it."""
    if "\0" in name:
        raise ValueError("embedded null byte")
    if name != "bob":
        raise KeyError(name)
    return name


class NameTests(SynchronousTestCase):
    """What stands in an answer."""

    def test_names(self) -> None:
        """The first word behind the third colon, whatever is around it."""
        for answer, name in (
            (b"6193, 23 : USERID : UNIX :stjohns\r", "stjohns"),
            (b"6193,23:USERID:OTHER,US-ASCII:a:b", "a:b"),
            (b" 6193 , 23 : USERID : UNIX :  bob and more", "bob"),
            (b"6193, 23 : USERID : UNIX : \xff\x1b[1m", "\udcff\x1b[1m"),
        ):
            self.assertEqual(name_in(answer, PORTS), name, answer)

    def test_no_names(self) -> None:
        """Errors, answers to other questions, and nonsense are no names."""
        for answer in (
            b"",
            b"6193, 23 : ERROR : NO-USER",
            b"6193, 24 : USERID : UNIX : bob",
            b"23, 6193 : USERID : UNIX : bob",
            b"6193, 23 : USERID : UNIX : ",
            b"6193, 23 : USERID : bob",
            b"9" * 500 + b", 23 : USERID : UNIX : bob",
            b"6193, 23 : USERID : UNIX : " + b"x" * (NAME_LIMIT + 1),
        ):
            self.assertIsNone(name_in(answer, PORTS), answer)


class IdentTests(SynchronousTestCase):
    """Asking."""

    def setUp(self) -> None:
        """A host that is asked."""
        self.reactor = MemoryReactorClock()
        self.ident = Ident(self.reactor, 1113, getpwnam)
        self.results: list[Any] = []

    def ask(self, client: Endpoint = CLIENT, local: Endpoint = HERE) -> Deferred[AuthResult]:
        """Ask about a client."""
        asked = self.ident.prove(IDENT, Visitor(client, local))
        asked.addBoth(self.results.append)
        return asked

    def connect(self) -> tuple[Any, StringTransportWithDisconnection]:
        """Let the connection come about."""
        factory = self.reactor.tcpClients[-1][2]
        protocol = factory.buildProtocol(None)
        transport = StringTransportWithDisconnection()
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return protocol, transport

    def test_interface(self) -> None:
        """It is a prover."""
        self.assertTrue(verifyObject(IProver, self.ident))

    def test_question(self) -> None:
        """The client's host is asked about both ports, from the address the client connected to."""
        self.ask()
        host, port, _, timeout, bound = self.reactor.tcpClients[0]
        self.assertEqual(
            (host, port, timeout, bound), ("192.0.2.7", 1113, SECONDS, ("192.0.2.1", 0))
        )
        self.assertEqual(self.connect()[1].value(), b"6193,23\r\n")

    def test_ipv6(self) -> None:
        """A client that came by IPv6 is asked by IPv6."""
        self.ask(Endpoint("::7", 6193, Family.IPV6), Endpoint("::1", 23, Family.IPV6))
        self.assertEqual(self.reactor.tcpClients[0][0], "::7")
        self.connect()[0].dataReceived(b"6193, 23 : USERID : UNIX : bob\r\n")
        self.assertEqual(self.results, [AuthResult("bob")])

    def test_answer(self) -> None:
        """An answer may come in pieces; then the connection is closed."""
        self.ask()
        protocol, transport = self.connect()
        for piece in (b"6193, 23 : USERID ", b": UNIX : bob", b"\r\nand more"):
            self.assertEqual(self.results, [])
            protocol.dataReceived(piece)
        self.assertEqual(self.results, [AuthResult("bob")])
        self.assertFalse(transport.connected)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_unknown_user(self) -> None:
        """A name that the password database lacks is refused, and escaped for the log."""
        for sent, told in ((b"eve", "eve"), (b"e\x1b[1m\x00", "e\\033[1m\\0")):
            self.results.clear()
            self.ask()
            self.connect()[0].dataReceived(b"6193, 23 : USERID : UNIX : " + sent + b"\r\n")
            refusal = f'no user "{told}" found in system password file'
            self.assertEqual(self.results, [AuthResult(sent.decode(), refusal)])

    def test_closed(self) -> None:
        """A host that closes without an answer knows nobody; a last line needs no end."""
        for said, proof in ((b"", AuthResult()), (b"6193,23:USERID:UNIX:bob", AuthResult("bob"))):
            self.results.clear()
            self.ask()
            protocol, transport = self.connect()
            protocol.dataReceived(said)
            transport.loseConnection()
            self.assertEqual(self.results, [proof])

    def test_refused(self) -> None:
        """Nor does a host that refuses the connection."""
        self.ask()
        factory = self.reactor.tcpClients[0][2]
        factory.clientConnectionFailed(None, Failure(error.ConnectionRefusedError()))
        self.assertEqual(self.results, [AuthResult()])

    def test_flood(self) -> None:
        """A host that sends without end is heard so far and no further."""
        self.ask()
        protocol, transport = self.connect()
        protocol.dataReceived(b"x" * (ANSWER_LIMIT + 1))
        self.assertEqual(self.results, [AuthResult()])
        self.assertFalse(transport.connected)

    def test_silent(self) -> None:
        """A host that says nothing is waited for ten seconds, connecting included."""
        self.ask()
        self.reactor.advance(SECONDS - 1)
        transport = self.connect()[1]
        self.assertEqual(self.results, [])
        self.reactor.advance(1)
        self.assertEqual(self.results, [AuthResult()])
        self.assertFalse(transport.connected)

    def test_cancelled(self) -> None:
        """Nobody is asked any more once nobody wants to know."""
        asked = self.ask()
        transport = self.connect()[1]
        asked.cancel()
        self.assertFalse(transport.connected)
        (failure,) = self.results
        self.assertIsNotNone(failure.check(CancelledError))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
