"""Tests for :mod:`dantetw.rules.cache`."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from dantetw.policy import Policy, PortSet, Rule, RuleKind
from dantetw.rules import cache as remembering
from dantetw.rules.cache import DecisionCache
from dantetw.rules.decision import Decision
from dantetw.values import Command, Endpoint, Method, ProxyProtocol, User, Verdict
from tests.rules.building import endpoint, policy, question, rule

CLIENT, LOCAL = endpoint("198.51.100.1", 5000), endpoint("192.0.2.1", 1080)


def client_policy(*rules: Rule) -> Policy:
    """A policy of client rules."""
    return replace(policy(), client_rules=rules)


class ClientTests(SynchronousTestCase):
    """What is remembered of clients."""

    def remembered(self, rule: Rule, checks: bool = False) -> Rule | None:
        """What is known of a client of whom this rule has said something."""
        memory = DecisionCache(client_policy(rule), checks)
        memory.remember_client(CLIENT, LOCAL, rule)
        return memory.of_client(endpoint(CLIENT.host, 5001), LOCAL)

    def test_passed(self) -> None:
        """A client that has passed does so again, from whichever port."""
        passed = rule(kind=RuleKind.CLIENT, source="198.51.100.0/24")
        self.assertEqual(self.remembered(passed), passed)

    def test_asked_anew(self) -> None:
        """What does not hang on addresses alone is not remembered."""
        for changes in (
            {"source": ".example.org"},
            {"source": "gate.example.org"},
            {"source": "%eth0"},
            {"target": "%eth0"},
            {"source_ports": PortSet(5000, 5000)},
        ):
            asked = rule(kind=RuleKind.CLIENT, **changes)  # type: ignore[arg-type]
            self.assertIsNone(self.remembered(asked), changes)

    def test_asks(self) -> None:
        """Nor is anything where clients must be asked who they are."""
        self.assertIsNone(self.remembered(rule(kind=RuleKind.CLIENT), checks=True))

    def test_others(self) -> None:
        """Another client, or another address of ours, is another question."""
        memory, passed = DecisionCache(client_policy(), False), rule(kind=RuleKind.CLIENT)
        memory.remember_client(CLIENT, LOCAL, passed)
        for client, local in (
            (endpoint("198.51.100.2", 5000), LOCAL),
            (CLIENT, endpoint("192.0.2.2", 1080)),
            (CLIENT, endpoint("192.0.2.1", 1081)),
        ):
            self.assertIsNone(memory.of_client(client, local))

    def test_most(self) -> None:
        """There is an end to what is remembered."""
        self.patch(remembering, "MOST", 2)
        memory, passed = DecisionCache(client_policy(), False), rule(kind=RuleKind.CLIENT)
        clients = [endpoint(f"198.51.100.{number}") for number in range(3)]
        for client in clients:
            memory.remember_client(client, LOCAL, passed)
        known = [memory.of_client(client, LOCAL) is not None for client in clients]
        self.assertEqual(known, [False, False, True])


class RequestTests(SynchronousTestCase):
    """What is remembered of requests."""

    def remembered(self, rule: Rule, target: Endpoint = LOCAL) -> Rule | None:
        """What is known of a request of which this rule has said something."""
        asked = question(target.host, target.port)
        assert asked.target is not None
        memory = DecisionCache(policy(rule), False)
        memory.remember_request(asked, Decision(rule, asked.target))
        return memory.of_request(question(target.host, target.port))

    def test_passed(self) -> None:
        """A request that has passed does so again."""
        passed = rule(target="192.0.2.0/24", target_ports=PortSet(1080, 1080))
        self.assertEqual(self.remembered(passed), passed)

    def test_asked_anew(self) -> None:
        """What does not hang on addresses alone, and what is blocked, is not remembered."""
        for asked in (
            rule(target=".example.org"),
            rule(source="%eth0"),
            rule(source_ports=PortSet(5000, 5000)),
            rule(verdict=Verdict.BLOCK),
        ):
            self.assertIsNone(self.remembered(asked))
        self.assertIsNone(self.remembered(rule(), endpoint("www.example.org")))

    def test_others(self) -> None:
        """Another question is asked."""
        memory, asked = DecisionCache(policy(rule()), False), question("192.0.2.1")
        assert asked.target is not None
        memory.remember_request(asked, Decision(rule(), asked.target))
        self.assertIsNotNone(memory.of_request(asked))
        for other in (
            replace(asked, source=endpoint("198.51.100.77")),
            replace(asked, target=endpoint("192.0.2.2")),
            replace(asked, target=endpoint("192.0.2.1", 81)),
            replace(asked, target=None),
            replace(asked, command=Command.BIND),
            replace(asked, proxy_protocol=ProxyProtocol.SOCKS_V4),
            replace(asked, client_method=Method.RFC931),
            replace(asked, method=Method.USERNAME),
            replace(asked, user=User(Method.USERNAME, "alice")),
        ):
            self.assertIsNone(memory.of_request(other))

    def test_users(self) -> None:
        """What somebody with a name may do is asked each time."""
        memory = DecisionCache(policy(rule()), False)
        asked = replace(question("192.0.2.1"), user=User(Method.USERNAME, "alice"))
        assert asked.target is not None
        memory.remember_request(asked, Decision(rule(), asked.target))
        self.assertIsNone(memory.of_request(asked))
        self.assertIsNone(memory.of_request(replace(asked, user=None)))

    def test_most(self) -> None:
        """There is an end to what is remembered."""
        self.patch(remembering, "MOST", 2)
        memory = DecisionCache(policy(rule()), False)
        questions = [question(f"192.0.2.{number}") for number in range(3)]
        for asked in questions:
            assert asked.target is not None
            memory.remember_request(asked, Decision(rule(), asked.target))
        known = [memory.of_request(asked) is not None for asked in questions]
        self.assertEqual(known, [False, False, True])
