"""Tests for :mod:`dantetw.plan.datagram`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dantetw.plan.datagram import (
    DatagramPlan,
    blocked,
    plan_datagram,
    plan_reply,
    reply_question,
    resolve_target,
)
from dantetw.plan.outcome import Resolve
from dantetw.rules.addresses import Lookup, LookupKind
from dantetw.values import NOWHERE, Command, Drop, Endpoint, Family
from tests.plan.cases import answers, case
from tests.rules.building import endpoint
from tests.session.world import CLIENT, HEAD, compiled

RULES = "socks block { from: 0/0 to: 198.51.100.0/24 }\nsocks pass { from: 0/0 to: 0/0 }\n"


class DatagramTests(SynchronousTestCase):
    """Datagrams of an association."""

    def planned(
        self, target: Endpoint, addresses: tuple[str, ...] | None = None, rules: str = RULES
    ) -> DatagramPlan | Lookup:
        """What becomes of a datagram."""
        asked = case(rules, NOWHERE, Command.UDPASSOCIATE)
        return plan_datagram(asked, asked.datagram_question(CLIENT, target, addresses), answers())

    def test_table(self) -> None:
        """Where it goes, or why not."""
        name = endpoint("www.example.org", 53)
        by_address = "socks pass { from: 0/0 to: 203.0.113.6/32 }\n"
        for target, addresses, rules, number, where, dropped in (
            (endpoint("203.0.113.5", 53), None, RULES, 2, "203.0.113.5.53", None),
            (endpoint("198.51.100.5", 53), None, RULES, 1, "198.51.100.5.53", Drop.BLOCKED),
            (endpoint("203.0.113.5", 53), None, "", 0, "203.0.113.5.53", Drop.BLOCKED),
            (endpoint("203.0.113.5", 0), None, RULES, 2, "203.0.113.5.0", Drop.UNUSABLE),
            (endpoint("0.0.0.0", 53), None, RULES, 2, "0.0.0.0.53", Drop.UNUSABLE),
            (name, ("203.0.113.5", "203.0.113.6"), RULES, 1 + 1, "203.0.113.5.53", None),
            (name, ("203.0.113.5", "203.0.113.6"), by_address, 1, "203.0.113.6.53", None),
        ):
            with self.subTest(target=target, rules=rules):
                plan = self.planned(target, addresses, rules)
                assert isinstance(plan, DatagramPlan)
                self.assertEqual(
                    (plan.rule.number, str(plan.target), plan.dropped), (number, where, dropped)
                )
                self.assertEqual(bool(plan.text), dropped is Drop.UNUSABLE)

    def test_names(self) -> None:
        """A name is resolved in the families that we go out by."""
        asked = case(RULES, NOWHERE, Command.UDPASSOCIATE)
        needed = resolve_target(asked, endpoint("www.example.org", 53))
        self.assertEqual(needed, Resolve("www.example.org", frozenset((Family.IPV4,))))
        self.assertIsNone(resolve_target(asked, endpoint("203.0.113.5", 53)))

    def test_look_up(self) -> None:
        """A look-up that a rule needs is asked for."""
        rules = "socks pass { from: .example.org to: 0/0 }\n"
        found = self.planned(endpoint("203.0.113.5", 53), rules=rules)
        self.assertEqual(found, Lookup(LookupKind.REVERSE, CLIENT.host))

    def test_checks(self) -> None:
        """What only a check of the client could tell is blocked: the password is gone."""
        policy = compiled(
            f"{HEAD}socksmethod: rfc931\nclient pass {{ from: 0/0 to: 0/0 }}\n{RULES}"
        )
        asked = case(policy, NOWHERE, Command.UDPASSOCIATE, auth={})
        question = asked.datagram_question(CLIENT, endpoint("203.0.113.5", 53), None)
        plan = plan_datagram(asked, question, answers())
        self.assertEqual(plan, blocked(asked, question))
        assert isinstance(plan, DatagramPlan)
        self.assertEqual((plan.rule.number, plan.dropped), (0, Drop.BLOCKED))

    def test_replies(self) -> None:
        """The rules are asked about whoever answers as ``udpreply``."""
        sender = endpoint("203.0.113.5", 53)
        for rules, number, dropped in (
            (RULES, 2, None),
            ("socks pass { from: 203.0.113.0/24 to: 0/0 command: udpreply }\n", 1, None),
            ("socks block { from: 203.0.113.0/24 to: 0/0 }\n", 1, Drop.BLOCKED),
            ("socks pass { from: 0/0 to: 0/0 command: udpassociate }\n", 0, Drop.BLOCKED),
        ):
            asked = case(rules, NOWHERE, Command.UDPASSOCIATE)
            plan = plan_reply(asked, reply_question(asked, sender, CLIENT), answers())
            assert isinstance(plan, DatagramPlan)
            self.assertEqual(
                (plan.rule.number, plan.target, plan.dropped), (number, sender, dropped)
            )
