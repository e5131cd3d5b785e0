"""Tests for :mod:`dantetw.plan.address`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dantetw.plan.address import Candidate, judge_address, order_of
from dantetw.plan.case import Case, Traces
from dantetw.plan.outcome import Plan
from dantetw.rules.addresses import Lookup, LookupKind
from dantetw.rules.authentication import IDENT, AuthCheck, AuthResult
from dantetw.values import Method, Outcome
from tests.plan.cases import answers, case, planned
from tests.rules.building import endpoint
from tests.session.world import HEAD, compiled

RULES = """
socks pass { from: 0/0 to: 203.0.113.1/32 }
socks block { from: 0/0 to: 203.0.113.2/32 }
socks pass { from: 0/0 to: 127.0.0.1/32 }
socks pass { from: 0/0 to: 203.0.113.3/32 }
"""
HOSTS = ("127.0.0.1", "203.0.113.2", "203.0.113.1", "203.0.113.3", "203.0.113.4")
NAME = endpoint("www.example.org", 1080)


class AddressTests(SynchronousTestCase):
    """The several addresses of a name."""

    def planned(self, rules: str, hosts: tuple[str, ...] = HOSTS) -> tuple[Case, Plan]:
        """A request for a name with several addresses."""
        asked = case(rules, NAME, addresses=hosts)
        plan = planned(asked)
        assert isinstance(plan, Plan)
        return asked, plan

    def test_judged(self) -> None:
        """Each is judged as if the name had no other."""
        asked, plan = self.planned(RULES)
        self.assertEqual((plan.rule.number, plan.address.host), (1, "203.0.113.1"))
        found = {}
        for host in plan.addresses:
            candidate = judge_address(asked, plan, endpoint(host, 1080), answers())
            assert isinstance(candidate, Candidate)
            rule = candidate.rule
            found[host] = (None if rule is None else rule.number, candidate.refused)
            self.assertEqual(bool(candidate.text), candidate.refused is not None)
        self.assertEqual(
            found,
            {
                "127.0.0.1": (None, Outcome.UNUSABLE),  # ours, whatever rule passes it
                "203.0.113.2": (2, Outcome.BLOCKED),
                "203.0.113.1": (1, None),
                "203.0.113.3": (4, None),
                "203.0.113.4": (0, Outcome.BLOCKED),
            },
        )

    def test_named(self) -> None:
        """A rule may pass them all by the name."""
        asked, plan = self.planned("socks pass { from: 0/0 to: .example.org }\n")
        for host in HOSTS[1:]:
            candidate = judge_address(asked, plan, endpoint(host, 1080), answers())
            self.assertEqual(candidate, Candidate(endpoint(host, 1080), plan.rule, NAME), host)

    def test_order(self) -> None:
        """The address that the rule is about is first, if it is about no other; failures last."""
        _, plan = self.planned(RULES)
        order = order_of(plan, lambda host, port: host == "127.0.0.1")
        self.assertEqual((order[0], order[-1]), ("203.0.113.1", "127.0.0.1"))
        _, plan = self.planned("socks pass { from: 0/0 to: .example.org }\n")
        self.assertEqual(order_of(plan, lambda host, port: False), HOSTS)
        ports: list[int] = []
        order_of(plan, lambda host, port: bool(ports.append(port)))
        self.assertEqual(set(ports), {1080})

    def test_look_up(self) -> None:
        """A look-up that a rule needs is asked for."""
        rules = "socks pass { from: 0/0 to: 203.0.113.1/32 }\n"
        rules += "socks pass { from: 0/0 to: other.example }\n"
        asked, plan = self.planned(rules)
        there = endpoint("203.0.113.4", 1080)
        lookup = Lookup(LookupKind.FORWARD, "other.example")
        self.assertEqual(judge_address(asked, plan, there, answers()), lookup)
        traces: Traces = []
        known = answers({"other.example": ("203.0.113.4",)})
        candidate = judge_address(asked, plan, there, known, traces)
        self.assertEqual(candidate, Candidate(there, traces[0][1][-1].rule))

    def test_identity(self) -> None:
        """An address is only for what the client has shown to the rule of its request."""
        policy = compiled(
            f"{HEAD}socksmethod: rfc931 none\nclient pass {{ from: 0/0 to: 0/0 }}\n"
            "socks pass { from: 0/0 to: 203.0.113.1/32\n socksmethod: none }\n"
            "socks pass { from: 0/0 to: 203.0.113.2/32\n socksmethod: rfc931 }\n"
            "socks pass { from: 0/0 to: 203.0.113.3/32\n socksmethod: none }\n"
        )
        results: dict[AuthCheck, AuthResult] = {}
        asked = case(policy, NAME, addresses=HOSTS[1:4], auth=results)
        plan = planned(asked)
        assert isinstance(plan, Plan) and plan.identity is not None
        self.assertIs(plan.identity.method, Method.NONE)
        for named in (False, True):
            candidate = judge_address(asked, plan, endpoint("203.0.113.2", 1080), answers())
            assert isinstance(candidate, Candidate)
            self.assertIs(candidate.refused, Outcome.BLOCKED)
            self.assertEqual(candidate.rule is not None, named)
            results[IDENT] = AuthResult("joe")
        candidate = judge_address(asked, plan, endpoint("203.0.113.3", 1080), answers())
        assert isinstance(candidate, Candidate)
        self.assertIsNone(candidate.refused)
