"""Tests for :mod:`dantetw.session.rulefacts`."""

from __future__ import annotations

import socket

from twisted.internet.defer import CancelledError, ensureDeferred

from dantetw.net.lookups import ResolveError
from dantetw.net.resolving import Resolver
from dantetw.rules.addresses import Known, Lookup, LookupKind
from dantetw.rules.decision import Decision, decide_socks
from dantetw.session.rulefacts import PREPARED, RuleFacts
from dantetw.values import Verdict
from tests.held import held
from tests.net.names import ResolvingTestCase
from tests.rules.building import policy, question, rule


class AnswersTests(ResolvingTestCase):
    """Tests for :class:`RuleFacts`."""

    def setUp(self) -> None:
        """Make answers over the resolver."""
        super().setUp()
        self.answers = RuleFacts(self.resolver, {"eth0": ("10.0.0.1",)}.__getitem__)
        self.failures: list[ResolveError] = []

    def test_known(self) -> None:
        """Interfaces and literal names are known at once, others when they are in the cache."""
        forward = Lookup(LookupKind.FORWARD, "host.test")
        reverse = Lookup(LookupKind.REVERSE, "192.0.2.1")
        self.assertEqual(self.answers.get(Lookup(LookupKind.INTERFACE, "eth0")), ("10.0.0.1",))
        self.assertEqual(self.answers.get(Lookup(LookupKind.FORWARD, "127.1")), ("127.0.0.1",))
        self.assertIsNone(self.answers.get(forward))
        self.assertIsNone(self.answers.get(reverse))
        self.names.forward["host.test"] = ["192.0.2.1"]
        self.answer(self.resolver.resolve("host.test"))
        self.answer(self.resolver.reverse("192.0.2.1"))
        self.assertEqual(self.answers.get(forward), ("192.0.2.1",))
        self.assertEqual(self.answers.get(reverse), ())

    def decide(self, known: Known) -> Decision | Lookup:
        """Take a decision that hangs on two forward look-ups and one reverse one."""
        rules = (
            rule(1, Verdict.BLOCK, target="one.test"),
            rule(2, Verdict.BLOCK, source=".evil.test"),
            rule(3, Verdict.BLOCK, target="two.test"),
            rule(4),
        )
        return decide_socks(policy(*rules), question("192.0.2.1"), known)

    def decided(self) -> int:
        """The number of the rule that decides in the end."""
        waited = ensureDeferred(self.answers.decide_waiting(self.decide, self.failures.append))
        self.pool.run_all()
        decision = self.successResultOf(waited)
        assert isinstance(decision, Decision)
        return decision.rule.number

    def test_decide_waiting(self) -> None:
        """Look-ups are made until the rules decide, and no more than that."""
        self.names.forward["one.test"] = ["192.0.2.7"]
        self.names.backward["127.0.0.1"] = "client.evil.test"
        self.assertEqual(self.decided(), 2)
        self.assertEqual([asked for asked, _ in self.names.asked], ["one.test", "127.0.0.1"])
        self.assertEqual(self.failures, [])
        decision = self.decide(self.answers)
        assert isinstance(decision, Decision)
        self.assertEqual(decision.rule.number, 2)

    def test_failures_do_not_match(self) -> None:
        """A look-up that fails is told, and its rule does not match."""
        self.names.backward["127.0.0.1"] = socket.gaierror(socket.EAI_AGAIN, "try again")
        self.names.forward["two.test"] = ["192.0.2.1"]
        self.assertEqual(self.decided(), 3)
        self.assertEqual(
            [(error.name, error.symbol) for error in self.failures],
            [("one.test", "EAI_NONAME"), ("127.0.0.1", "EAI_AGAIN")],
        )

    def test_prepare(self) -> None:
        """Names are looked up ahead, whatever comes of it, and not too many."""
        self.names.forward["one.test"] = ["192.0.2.7"]
        self.answers.prepare({"one.test", "two.test"})
        self.pool.run_all()
        self.assertEqual(self.resolver.cached("one.test"), ("192.0.2.7",))
        self.assertEqual([asked for asked, _ in self.names.asked], ["one.test", "two.test"])
        threads, pool = held(self.clock, 1000, 1000)
        resolver = Resolver(self.clock, threads, self.names.getaddrinfo)
        RuleFacts(resolver, {}.__getitem__).prepare(f"h{number}.test" for number in range(500))
        self.assertEqual(len(pool.jobs), PREPARED)

    def test_survives_a_full_cache(self) -> None:
        """A decision does not start over because an answer has left the cache."""
        self.names.forward["one.test"] = ["192.0.2.7"]
        self.names.forward["two.test"] = ["192.0.2.8"]
        waited = ensureDeferred(self.answers.decide_waiting(self.decide, self.failures.append))
        while self.pool.jobs:
            self.pool.run()
            self.resolver.forget()
        self.assertIsInstance(self.successResultOf(waited), Decision)

    def test_cancel(self) -> None:
        """Cancelling a decision gives up its look-up."""
        waited = ensureDeferred(self.answers.decide_waiting(self.decide, self.failures.append))
        waited.cancel()
        self.failureResultOf(waited, CancelledError)
        self.pool.run_all()
        self.assertEqual(len(self.names.asked), 1)
        self.assertEqual(self.failures, [])
