"""Tests of checks that rules ask for, and of delayed closes, in sessions."""

from __future__ import annotations

import errno

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from dantetw.auth.interfaces import IProver, Visitor
from dantetw.net.poller import FAILED
from dantetw.rules.authentication import IDENT, AuthCheck, AuthResult
from dantetw.session.delayedclose import FAILED_LOGIN_DELAY_SECONDS
from dantetw.values import Cause, Command, Endpoint, Family, Method, Phase
from dantetw.wire import socks4
from tests.session.world import (
    CLIENT,
    GREETING,
    HERE,
    LOG,
    LOGIN,
    NAMED,
    TARGET,
    Client,
    World,
    request,
)

DOOR = f"client pass {{ from: 0/0 to: 0/0 {LOG} }}\n"
IDENTS = f"""clientmethod: rfc931 none
socksmethod: none
client pass {{ from: 0/0 to: 0/0
  clientmethod: rfc931
  {LOG}
}}
client pass {{ from: 0/0 to: 0/0
  clientmethod: none
  {LOG}
}}
socks pass {{ from: 0/0 to: 0/0 {LOG} }}
"""
PAM = f"socksmethod: pam.username\n{DOOR}socks pass {{ from: 0/0 to: 0/0 {LOG} }}\n"
SEVERAL = f"""socksmethod: username pam.username
{DOOR}socks pass {{ from: 0/0 to: 0/0 port = 80
  socksmethod: pam.username
  pam.servicename: web
  {LOG}
}}
socks pass {{ from: 0/0 to: 0/0
  socksmethod: username
  {LOG}
}}
"""

WHO = "10.0.0.9.50000 127.0.0.1.1080"
WRONG = AuthResult(refusal="pam says no")


@implementer(IProver)
class Oracle:
    """
    Answers when the test says so.

    :ivar asked: what was asked about whom, and what the answers wait on.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[AuthCheck, Visitor, Deferred[AuthResult]]] = []
        self.cancelled = 0

    def prove(self, check: AuthCheck, visitor: Visitor) -> Deferred[AuthResult]:
        answer: Deferred[AuthResult] = Deferred(self._give_up)
        self.asked.append((check, visitor, answer))
        return answer

    def _give_up(self, _: Deferred[AuthResult]) -> None:
        self.cancelled += 1


class ProvingWorld(World):
    """A world with an oracle for all methods but ``username``."""

    def __init__(self, case: SynchronousTestCase, text: str) -> None:
        super().__init__(case, text)
        self.oracle = Oracle()
        provers = dict.fromkeys((Method.RFC931, Method.PAM_USERNAME), self.oracle)
        everybody = {Method.USERNAME: self.doorkeeper, **provers}
        self.factory.adopt(self.policy, everybody)

    @property
    def checks(self) -> list[AuthCheck]:
        """What was asked."""
        return [check for check, _, _ in self.oracle.asked]

    def answer(self, proof: AuthResult) -> None:
        """Answer what was asked last."""
        self.oracle.asked[-1][2].callback(proof)
        self.settle()


class ClientRuleTests(SynchronousTestCase):
    """Clients that are asked about before they may say anything."""

    def test_named(self) -> None:
        """A name from the client's host stands in the lines of the client rule, and only there."""
        world = ProvingWorld(self, IDENTS)
        client = world.client(GREETING + request())
        self.assertEqual((world.checks, client.hear(), world.lines()), ([IDENT], b"", []))
        self.assertEqual(world.oracle.asked[0][1], Visitor(CLIENT, HERE))
        world.answer(AuthResult("joe"))
        world.dials[0].decide()
        world.settle()
        client.close()
        world.dials[0].far.close()
        world.settle()
        accepted, connected, disconnected, over = world.lines()
        self.assertEqual(accepted, f"pass(1): tcp/accept [: rfc931%joe@{WHO}")
        self.assertTrue(connected.startswith(f"pass(1): tcp/connect [: {WHO} ->"), connected)
        self.assertNotIn("joe", disconnected)
        self.assertTrue(over.startswith(f"pass(1): tcp/accept ]: 0 -> rfc931%joe@{WHO}"), over)
        world.check_over()

    def test_unnamed(self) -> None:
        """Without a name the next rule is asked."""
        world = ProvingWorld(self, IDENTS)
        client = world.client(GREETING)
        world.answer(AuthResult())
        self.assertEqual(client.hear(), b"\x05\x00")
        self.assertEqual(world.lines(), [f"pass(2): tcp/accept [: {WHO}"])

    def test_refused(self) -> None:
        """Who is refused is closed, and the log says by whom."""
        world = ProvingWorld(self, IDENTS)
        client = world.client()
        world.answer(AuthResult("e\nve", "no such user"))
        client.hear()
        self.assertTrue(client.closed)
        line = f"block(1): tcp/accept ]: rfc931%e\\nve@{WHO}: no such user"
        self.assertEqual(world.lines(), [line])
        world.check_over()

    def test_gone(self) -> None:
        """Nobody asks on about a client that has reset its connection."""
        world = ProvingWorld(self, IDENTS)
        client = world.client()
        (session,) = world.sessions
        assert session.transport is not None
        session.transport._ready(FAILED)
        self.assertEqual((world.sessions, world.oracle.cancelled), (set(), 1))
        client.close()
        world.check_over()

    def test_slow(self) -> None:
        """Asking takes no longer than ``timeout.negotiate``."""
        world = ProvingWorld(self, f"timeout.negotiate: 3\n{IDENTS}")
        client = world.client()
        world.wait(4)
        client.hear()
        self.assertEqual((client.closed, world.oracle.cancelled), (True, 1))
        world.check_over()

    def test_no_methods_no_cost(self) -> None:
        """Where a policy has but ``none`` and ``username``, sessions have nothing to prove by."""
        world = World(self)
        world.client()
        (session,) = world.sessions
        self.assertIsNone(session.authentication)


class LoginTests(SynchronousTestCase):
    """Names and passwords."""

    def test_at_once(self) -> None:
        """The only password that can be meant is checked in the negotiation, and not again."""
        world = ProvingWorld(self, PAM)
        client = world.client(LOGIN)
        ((check, visitor, _),) = world.oracle.asked
        self.assertEqual(check, AuthCheck(Method.PAM_USERNAME, "sockd", named=True))
        assert visitor.credentials is not None
        self.assertEqual(visitor.credentials.password, b"secret")
        self.assertEqual(client.hear(), b"\x05\x02")
        world.answer(AuthResult())
        self.assertEqual(client.hear(), b"\x05\x02\x01\x00")
        client.send(request())
        world.dials[0].decide()
        world.settle()
        self.assertIn(f"tcp/connect [: pam.username%joe@{WHO}", world.lines()[1])
        self.assertEqual(len(world.checks), 1)

    def test_wrong_at_once(self) -> None:
        """A wrong one is told at once and answered late."""
        world = ProvingWorld(self, PAM)
        client = world.client(LOGIN)
        world.answer(WRONG)
        told = f"error after reading {len(LOGIN)} bytes in 0 seconds: pam says no"
        self.assertEqual(world.lines()[1], f"block(1): tcp/accept ]: {WHO}: {told}")
        world.wait(FAILED_LOGIN_DELAY_SECONDS - 0.5)
        self.assertFalse(client.closed)
        world.wait(0.5)
        self.assertEqual((client.hear(), client.closed), (b"\x05\x02\x01\x01", True))
        world.check_over()

    def ask_late(self, target: Endpoint = TARGET) -> tuple[ProvingWorld, Client]:
        """A client that was let in by what the rules must check."""
        world = ProvingWorld(self, SEVERAL)
        client = world.client(LOGIN)
        self.assertEqual((client.hear(), world.checks), (b"\x05\x02\x01\x00", []))
        client.send(request(target))
        return world, client

    def test_late(self) -> None:
        """Where several could be meant, the rule for the request says which."""
        world, client = self.ask_late()
        self.assertEqual(world.checks, [AuthCheck(Method.PAM_USERNAME, "web", named=True)])
        world.answer(AuthResult())
        world.dials[0].decide()
        world.settle()
        self.assertIn(f"tcp/connect [: pam.username%joe@{WHO}", world.lines()[1])
        self.assertEqual(client.hear()[4:6], b"\x05\x00")
        (session,) = world.sessions
        assert session.authentication is not None
        self.assertIsNone(session.authentication._credentials)
        self.assertEqual(world.doorkeeper.asked, [])

    def test_late_other(self) -> None:
        """Another rule asks another password file."""
        world, client = self.ask_late(Endpoint("198.51.100.7", 81, Family.IPV4))
        self.assertEqual((world.checks, len(world.doorkeeper.asked)), ([], 1))
        world.doorkeeper.answer(False)
        world.settle()
        failed = 'system password authentication failed for user "joe"'
        self.assertEqual(
            world.lines()[1:],
            [
                f"block(2): tcp/connect ]: username%joe@{WHO} -> 0.0.0.0.0 198.51.100.7.81:"
                f" {failed}",
                f"block(1): tcp/accept ]: {WHO}: blocked by higher-level socks-rule #2: {failed}",
            ],
        )
        world.wait(FAILED_LOGIN_DELAY_SECONDS)
        client.hear()
        world.check_over()

    def test_late_wrong(self) -> None:
        """A wrong password that shows late is told at once, and its request refused late."""
        world, client = self.ask_late()
        world.answer(WRONG)
        self.assertEqual((len(world.lines()), world.sessions), (3, set()))
        world.wait(FAILED_LOGIN_DELAY_SECONDS - 0.5)
        client.hear()
        self.assertEqual((len(client.received), client.closed), (4, False))
        world.wait(0.5)
        self.assertEqual(client.hear()[4:], b"\x05\x02\x00\x01\xc6\x33\x64\x07\x00\x50")
        self.assertEqual((client.closed, client.reset), (True, False))
        world.check_over()

    def test_late_wrong_after_a_while(self) -> None:
        """The answer comes at a fixed time after the request, however long the check took."""
        for took in (0.25, 1.75):
            world, client = self.ask_late()
            world.wait(took)
            world.answer(WRONG)
            world.wait(FAILED_LOGIN_DELAY_SECONDS - took - 0.125)
            client.hear()
            self.assertFalse(client.closed)
            world.wait(0.125)
            client.hear()
            self.assertTrue(client.closed)
            world.check_over()

    def test_late_client_is_named(self) -> None:
        """A password that is checked late is checked on behalf of its client."""
        world, _ = self.ask_late(Endpoint("198.51.100.7", 81, Family.IPV4))
        self.assertEqual(world.doorkeeper.clients, [CLIENT.host])

    def test_late_wrong_gone(self) -> None:
        """A client that leaves, or goes on sending, before its refusal changes nothing."""
        for more in (b"", b"x" * 5000):
            world, client = self.ask_late()
            world.answer(WRONG)
            client.send(more)
            client.close()
            world.wait(FAILED_LOGIN_DELAY_SECONDS)
            self.assertEqual(len(world.ended), 1)
            world.check_over()

    def test_late_wrong_stop(self) -> None:
        """Nor does it hold up the server's stop."""
        world, client = self.ask_late()
        world.answer(WRONG)
        world.factory.stop()
        client.hear()
        self.assertTrue(client.closed)
        world.wait(FAILED_LOGIN_DELAY_SECONDS)
        world.check_over()

    def test_late_slow(self) -> None:
        """A password that is checked late has the time of a negotiation."""
        world, client = self.ask_late()
        world.wait(31)
        client.hear()
        self.assertEqual((client.closed, world.oracle.cancelled), (True, 1))
        self.assertEqual(world.ending.cause, Cause.TIMEOUT)
        world.check_over()

    def test_late_reset(self) -> None:
        """Nobody asks on for a client that has reset its connection."""
        world, client = self.ask_late()
        (session,) = world.sessions
        session._stirs(FAILED)
        self.assertEqual((world.sessions, world.oracle.cancelled), (set(), 1))
        self.assertEqual(world.ending.errno, errno.EPIPE)
        self.assertEqual(world.ending.phase, Phase.AUTHENTICATE)
        client.close()
        world.check_over()

    def test_name(self) -> None:
        """A request for a host name, which is looked up first, is no other."""
        world, _client = self.ask_late(NAMED)
        world.look_up()
        self.assertEqual(world.checks, [AuthCheck(Method.PAM_USERNAME, "web", named=True)])
        world.answer(AuthResult())
        self.assertEqual(len(world.dials), 1)

    def test_broken(self) -> None:
        """A mistake of ours in a check costs one session."""
        world, client = self.ask_late()
        world.oracle.asked[0][2].errback(ZeroDivisionError())
        world.settle()
        client.hear()
        self.assertTrue(client.closed)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        world.check_over()


class Socks4Tests(SynchronousTestCase):
    """SOCKS 4 has no logins."""

    def test_address(self) -> None:
        """It is served where the address is enough, and not where a name is needed."""
        asks = socks4.build_request(Command.CONNECT, TARGET, b"joe")
        text = PAM.replace("pam.username", "pam.any")
        world = ProvingWorld(self, text)
        world.client(asks)
        self.assertEqual(world.checks, [AuthCheck(Method.PAM_USERNAME, "sockd")])
        world.answer(AuthResult())
        self.assertEqual(len(world.dials), 1)
        world = ProvingWorld(self, PAM)
        client = world.client(asks)
        self.assertEqual((client.hear()[1], world.checks), (91, []))
