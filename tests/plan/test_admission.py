"""Tests for :mod:`dantetw.plan.admission`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dantetw.plan.admission import admit
from dantetw.plan.outcome import Admission, Refusal
from dantetw.rules.addresses import Lookup, LookupKind
from dantetw.rules.authentication import IDENT, AuthResult, AuthState
from dantetw.rules.decision import Tried
from dantetw.values import Cause, Ending, Method, Phase, Side
from tests.plan.cases import answers, identity
from tests.session.world import CLIENT, HEAD, HERE, compiled


class AdmitTests(SynchronousTestCase):
    """Clients that have just connected."""

    def test_rules(self) -> None:
        """The first client rule that matches decides; without one the client is refused."""
        policy = compiled(
            HEAD
            + "socksmethod: none\nclient block { from: 10.0.0.8/32 to: 0/0 }\n"
            + "client pass { from: 10.0.0.9/32 to: 0/0 }\n"
        )
        self.assertEqual(admit(policy, CLIENT, HERE, answers()), Admission(policy.client_rules[1]))
        for host, number in (("10.0.0.8", 1), ("10.0.0.7", 0)):
            client = type(CLIENT)(host, 5000, CLIENT.family)
            found = admit(policy, client, HERE, answers())
            assert isinstance(found, Refusal) and found.rule
            self.assertEqual(found.ending, Ending(Side.RULE, Phase.ACCEPT, Cause.BLOCKED))
            self.assertEqual(found.rule.number, number)

    def test_needed(self) -> None:
        """Names and checks that a rule needs are asked for."""
        policy = compiled(
            HEAD.replace("none", "rfc931")
            + "socksmethod: none\nclient pass { from: .example.org to: 0/0 }\n"
        )
        lookup = Lookup(LookupKind.REVERSE, CLIENT.host)

        def ask(names: bool, results: dict[object, AuthResult]) -> object:
            known = answers(reverse={CLIENT.host: ("pc.example.org",)} if names else {})
            auth = AuthState(results, lambda user: frozenset())  # type: ignore[arg-type]
            return admit(policy, CLIENT, HERE, known, auth)

        self.assertEqual(ask(False, {}), lookup)
        self.assertEqual(ask(True, {}), IDENT)
        admitted = ask(True, {IDENT: AuthResult("joe")})
        self.assertEqual(
            admitted, Admission(policy.client_rules[0], identity(Method.RFC931, "joe"))
        )
        self.assertIsInstance(ask(True, {IDENT: AuthResult()}), Refusal)

    def test_trace(self) -> None:
        """On demand it says how each rule fared."""
        policy = compiled(HEAD + "socksmethod: none\nclient pass { from: 0/0 to: 0/0 }\n")
        trace: list[Tried] = []
        admit(policy, CLIENT, HERE, answers(), trace=trace)
        self.assertEqual([each.failed for each in trace], [""])
