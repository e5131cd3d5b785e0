"""Tests for :mod:`dantetw.rules.index`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.policy import ALL_PORTS, Policy, PortSet, Rule, RuleKind
from dantetw.rules.addresses import Lookup, LookupKind, Subject
from dantetw.rules.authentication import AuthCheck, AuthResult, AuthState
from dantetw.rules.decision import Decision, Question, decide_client, decide_socks
from dantetw.rules.index import FEW, Index, index_of
from dantetw.values import Command, Method, Verdict
from tests.rules.building import REQUESTS, endpoint, policy, question, rule

#: Rules of nobody here: enough that an index is made.
MANY = tuple(rule(number, source="203.0.113.0/28") for number in range(1, FEW + 2))

HOSTS = ("10.0.0.1", "10.0.1.1", "192.0.2.1", "2001:db8::1", "::ffff:10.0.0.1")
NETS = (
    "0/0",
    "0.0.0.0/0",
    "::/0",
    "10.0.0.0/8",
    "10.0.0.0/24",
    "10.0.0.1/32",
    "192.0.2.0/24",
    "2001:db8::/32",
    "2001:db8::1/128",
)
OTHERS = ("www.example.org", ".example.org", ".", "%eth0")
ADDRESSES = st.sampled_from(NETS * 2 + OTHERS)
PORTS = st.sampled_from((ALL_PORTS, ALL_PORTS, PortSet(80, 80), PortSet(80, 80, outside=True)))
VERDICTS = st.sampled_from(Verdict)

RULES = st.builds(
    rule,
    verdict=VERDICTS,
    source=ADDRESSES,
    target=ADDRESSES,
    source_ports=PORTS,
    target_ports=PORTS,
    commands=st.sampled_from((REQUESTS, REQUESTS, frozenset((Command.CONNECT,)))),
    socks_methods=st.sampled_from(((Method.NONE,), (Method.USERNAME,), (Method.RFC931,))),
    users=st.sampled_from((frozenset(), frozenset(("bob",)))),
)
QUESTIONS = st.builds(
    question,
    target=st.sampled_from((*HOSTS, "www.example.org", "other.example", None)),
    source=st.sampled_from(HOSTS),
    port=st.sampled_from((80, 443)),
    command=st.sampled_from((Command.CONNECT, Command.UDPASSOCIATE, Command.UDPREPLY)),
    user=st.sampled_from((None, "bob")),
    addresses=st.sampled_from((None, (), HOSTS[:1], HOSTS[:2], HOSTS[::-1])),
)
ANSWERS = {
    Lookup(LookupKind.FORWARD, "www.example.org"): HOSTS[1:4],
    Lookup(LookupKind.FORWARD, "other.example"): (),
    Lookup(LookupKind.INTERFACE, "eth0"): HOSTS[:1],
    **{Lookup(LookupKind.REVERSE, host): ("www.example.org",) for host in HOSTS[::2]},
    **{Lookup(LookupKind.REVERSE, host): () for host in HOSTS[1::2]},
}
KNOWN = st.dictionaries(st.sampled_from(list(ANSWERS)), st.none()).map(
    lambda chosen: {lookup: ANSWERS[lookup] for lookup in chosen}
)
CLAIMS = st.sampled_from((None, {}, {AuthCheck(Method.RFC931): AuthResult("bob")}))


def _nobody(name: str) -> frozenset[str]:
    return frozenset()


class DecideTests(SynchronousTestCase):
    """Decisions of many rules are those of the same rules tried one by one."""

    def compare(
        self,
        rules: Policy,
        asked: Question,
        known: Mapping[Lookup, tuple[str, ...]],
        proofs: Mapping[AuthCheck, AuthResult] | None = None,
    ) -> None:
        """Whoever wants a trace has all rules tried."""
        answers = []
        for trace in (None, []):
            claim = None if proofs is None else AuthState(proofs, _nobody)
            answers.append(decide_socks(rules, asked, dict(known), trace, claim))
        self.assertEqual(*answers)
        answers = []
        target = asked.target or asked.source
        for trace in (None, []):
            claim = None if proofs is None else AuthState(proofs, _nobody)
            answers.append(decide_client(rules, asked.source, target, dict(known), trace, claim))
        self.assertEqual(*answers)

    @given(st.lists(RULES, min_size=1, max_size=12), QUESTIONS, KNOWN, CLAIMS, st.booleans())
    def test_same_as_linear(
        self,
        chosen: list[Rule],
        asked: Question,
        known: dict[Lookup, tuple[str, ...]],
        proofs: dict[AuthCheck, AuthResult] | None,
        fake: bool,
    ) -> None:
        """The decision, the address used, and what is asked for are the same."""
        socks = tuple(
            replace(one, number=number) for number, one in enumerate((*MANY, *chosen), start=1)
        )
        clients = tuple(replace(one, kind=RuleKind.CLIENT) for one in socks)
        self.compare(policy(*socks, client_rules=clients, fake=fake), asked, known, proofs)

    def test_address_of_a_name(self) -> None:
        """A rule found through one address of a name makes that the one to use."""
        asked = question("www.example.org", addresses=("198.51.100.1", "192.0.2.1"))
        rules = policy(*MANY, rule(50, target="192.0.2.0/24"), rule(51))
        decision = decide_socks(rules, asked, {})
        assert isinstance(decision, Decision)
        self.assertEqual(decision.rule.number, 50)
        self.assertEqual(decision.target, endpoint("192.0.2.1"))

    def test_lookup_before_a_net(self) -> None:
        """A rule whose ``from`` asks for a look-up does so although its ``to`` cannot fit."""
        rules = policy(*MANY, rule(50, source=".example.org", target="192.0.2.0/24"))
        reverse = Lookup(LookupKind.REVERSE, "127.0.0.1")
        self.assertEqual(decide_socks(rules, question("10.0.0.1"), {}), reverse)


class IndexTests(SynchronousTestCase):
    """Tests for :class:`Index`."""

    def found(
        self,
        rules: tuple[Rule, ...],
        target: str | None,
        addresses: tuple[str, ...] | None = None,
        fake: bool = False,
    ) -> list[int]:
        """Numbers of the rules that are worth trying for a client from 10.0.0.1."""
        source = Subject(endpoint("10.0.0.1"))
        subject = None if target is None else Subject(endpoint(target), addresses)
        found = Index(rules).candidates(source, subject, addresses is not None, fake)
        return [one.number for one in found]

    def test_finds_only_what_may_fit(self) -> None:
        """Nets of others are left out; what may ask for a look-up never is."""
        sources = ("10.0.0.0/8", "10.0.0.2/32", "0/0", "::/0", ".example.org", "10.0.0.1/32")
        rules = tuple(rule(number, source=source) for number, source in enumerate(sources))
        self.assertEqual(self.found(rules, "192.0.2.1"), [0, 2, 4, 5])
        self.assertEqual(self.found(rules, None), [0, 2, 4, 5])

    def test_targets(self) -> None:
        """Nets of other targets are left out, for names those of all their addresses."""
        targets = ("192.0.2.0/24", "10.0.0.0/8", "0/0", "2001:db8::/32", "example.org")
        rules = tuple(rule(number, target=target) for number, target in enumerate(targets))
        self.assertEqual(self.found(rules, "192.0.2.1"), [0, 2, 4])
        self.assertEqual(self.found(rules, "2001:db8::1"), [2, 3, 4])
        self.assertEqual(self.found(rules, "example.com"), [0, 1, 2, 3, 4])
        self.assertEqual(self.found(rules, None), [0, 1, 2, 3, 4])
        both = ("10.0.0.1", "10.0.0.2", "2001:db8::1")
        self.assertEqual(self.found(rules, "example.com", both), [1, 2, 3, 4])
        self.assertEqual(self.found(rules, "example.com", both, fake=True), [2, 4])

    def test_no_address(self) -> None:
        """What is no address at all fits no net: all rules are tried for such a client."""
        rules = tuple(rule(number, source="10.0.0.0/8", target="10.0.0.0/8") for number in range(3))
        found = Index(rules).candidates(Subject(endpoint("nonsense")), None, False, False)
        self.assertEqual([one.number for one in found], [0, 1, 2])
        self.assertEqual(self.found(rules, "example.com", ("nonsense",)), [])

    def test_thousands(self) -> None:
        """Of thousands of rules only the few that may fit are tried."""
        rules = tuple(
            rule(number, source=f"10.{number >> 8}.{number & 255}.1/32", target="192.0.2.0/24")
            for number in range(5000)
        )
        self.assertEqual(self.found(rules, "192.0.2.1"), [0])
        self.assertEqual(self.found(rules, "198.51.100.1"), [])

    def test_made_once(self) -> None:
        """A policy's index is made once; a policy made from it has its own."""
        rules = policy(*MANY)
        index = index_of(rules, RuleKind.SOCKS)
        self.assertIs(index_of(rules, RuleKind.SOCKS), index)
        other = replace(rules, socks_rules=MANY[:1])
        self.assertIsNot(index_of(other, RuleKind.SOCKS), index)
        self.assertEqual(rules, policy(*MANY))
