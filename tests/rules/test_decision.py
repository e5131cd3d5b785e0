"""Tests for :mod:`dantetw.rules.decision`."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.policy import BUILT_IN, Policy, PortSet, Rule, RuleKind, Where
from dantetw.rules.addresses import Lookup, LookupKind
from dantetw.rules.decision import (
    Decision,
    Question,
    Tried,
    asks_for_groups,
    decide_client,
    decide_socks,
    names_to_look_up,
)
from dantetw.values import (
    NOWHERE,
    Command,
    Family,
    Method,
    Protocol,
    ProxyProtocol,
    Verdict,
)
from tests.rules.building import endpoint, policy, question, rule

BLOCK = Verdict.BLOCK


def decided(policy: Policy, question: Question) -> Decision:
    """The decision of a case that needs no look-up."""
    decision = decide_socks(policy, question, {})
    assert isinstance(decision, Decision)
    return decision


class DecideSocksTests(SynchronousTestCase):
    """Tests for :func:`decide_socks`."""

    def test_first_match_decides(self) -> None:
        """The first rule that fits decides, though later ones would fit too."""
        rules = (
            rule(1, BLOCK, target="10.0.0.0/8"),
            rule(2, BLOCK, target="192.0.2.0/24"),
            rule(3),
        )
        self.assertEqual(decided(policy(*rules), question("192.0.2.1")).rule.number, 2)
        self.assertEqual(decided(policy(*rules), question("198.51.100.1")).rule.number, 3)

    def test_nothing_matches(self) -> None:
        """If no rule fits, the built-in rule 0 blocks, and logs only with ``debug`` in the file."""
        for debug, logs in ((-1, False), (0, False), (1, True)):
            decision = decided(policy(rule(target="10.0.0.0/8"), debug=debug), question())
            self.assertEqual(decision.rule.number, 0)
            self.assertEqual(decision.rule.verdict, BLOCK)
            self.assertEqual(decision.rule.kind, RuleKind.SOCKS)
            self.assertEqual(decision.rule.where, BUILT_IN)
            self.assertEqual(bool(decision.rule.log), logs)
            self.assertEqual(decision.target, endpoint("192.0.2.1"))

    def test_each_condition_counts(self) -> None:
        """A rule that differs from the question in one condition does not fit."""
        asked = question(method=Method.USERNAME, user="bob", groups=frozenset(("staff",)), port=443)
        fitting = rule(
            source="127.0.0.0/8",
            target="192.0.2.0/24",
            target_ports=PortSet(443, 443),
            commands=frozenset((Command.CONNECT,)),
            protocols=frozenset((Protocol.TCP,)),
            proxy_protocols=frozenset((ProxyProtocol.SOCKS_V5,)),
            socks_methods=(Method.USERNAME,),
            users=frozenset(("alice", "bob")),
            groups=frozenset(("staff", "wheel")),
        )
        self.assertEqual(decided(policy(fitting), asked).rule, fitting)
        for change in (
            {"protocols": frozenset((Protocol.UDP,))},
            {"commands": frozenset((Command.BIND,))},
            {"proxy_protocols": frozenset((ProxyProtocol.SOCKS_V4,))},
            {"source": rule(source="10.0.0.0/8").source},
            {"target": rule(target="10.0.0.0/8").target},
            {"target": rule(target_ports=PortSet(80, 80)).target},
            {"client_methods": (Method.RFC931,)},
            {"socks_methods": (Method.NONE,)},
            {"socks_methods": ()},
            {"users": frozenset(("Bob",))},
            {"groups": frozenset(("wheel",))},
        ):
            changed: Rule = replace(fitting, **change)
            self.assertEqual(decided(policy(changed), asked).rule.number, 0, change)

    def test_nobody_is_not_a_listed_user(self) -> None:
        """A rule that lists users or groups fits nobody who has no name or no known groups."""
        self.assertEqual(decided(policy(rule(users=frozenset("b"))), question()).rule.number, 0)
        self.assertEqual(decided(policy(rule(groups=frozenset("b"))), question()).rule.number, 0)

    def test_replies_need_no_method(self) -> None:
        """Methods, users and groups of a rule do not count for replies."""
        strict = rule(
            client_methods=(Method.RFC931,),
            socks_methods=(Method.USERNAME,),
            users=frozenset(("bob",)),
            groups=frozenset(("staff",)),
        )
        for command in (Command.BINDREPLY, Command.UDPREPLY):
            self.assertEqual(decided(policy(strict), question(command=command)).rule, strict)
        for command in (Command.CONNECT, Command.BIND, Command.UDPASSOCIATE):
            self.assertEqual(decided(policy(strict), question(command=command)).rule.number, 0)

    def test_substitution(self) -> None:
        """A rule that fits through one address of a name makes that address the target."""
        rules = (rule(1, target="198.51.100.0/24"), rule(2))
        asked = question("www.example.org", addresses=("192.0.2.1", "198.51.100.1"))
        self.assertEqual(decided(policy(*rules), asked).target, endpoint("198.51.100.1"))
        self.assertEqual(decided(policy(rules[1]), asked).target, endpoint("www.example.org"))

    def test_no_substitution_by_a_rule_that_fails_later(self) -> None:
        """The address that fitted a rule which then failed by its user is forgotten."""
        asked = question("www.example.org", addresses=("192.0.2.1",))
        failing = rule(1, target="192.0.2.0/24", users=frozenset(("bob",)))
        self.assertEqual(
            decided(policy(failing, rule(2)), asked).target, endpoint("www.example.org")
        )
        self.assertEqual(decided(policy(failing), asked).target, endpoint("www.example.org"))

    def test_blocked_through_any_address(self) -> None:
        """A name is blocked if any of its addresses is, not only the first."""
        rules = (rule(1, BLOCK, target="127.0.0.0/8"), rule(2))
        asked = question("rebound.example.org", addresses=("192.0.2.1", "::ffff:127.0.0.1"))
        self.assertEqual(decided(policy(*rules), asked).rule.number, 1)

    def test_number_in_disguise(self) -> None:
        """A name that is a number is judged, and passed on, as the address it is."""
        rules = (rule(1, BLOCK, target="127.0.0.0/8"), rule(2))
        self.assertEqual(decided(policy(*rules), question("0x7f.1")).rule.number, 1)
        self.assertEqual(decided(policy(*rules), question("0x0a.1")).target, endpoint("10.0.0.1"))

    def test_lookups(self) -> None:
        """A decision that hangs on a look-up asks for it, and is taken when it is answered."""
        rules = (rule(1, BLOCK, target="bad.example.org"), rule(2, BLOCK, source=".evil"), rule(3))
        asked = question("192.0.2.1")
        forward = Lookup(LookupKind.FORWARD, "bad.example.org")
        reverse = Lookup(LookupKind.REVERSE, "127.0.0.1")
        known: dict[Lookup, tuple[str, ...]] = {}
        self.assertEqual(decide_socks(policy(*rules), asked, known), forward)
        known[forward] = ("192.0.2.7",)
        self.assertEqual(decide_socks(policy(*rules), asked, known), reverse)
        known[reverse] = ()
        decision = decide_socks(policy(*rules), asked, known)
        assert isinstance(decision, Decision)
        self.assertEqual(decision.rule.number, 3)
        known[forward] = ("192.0.2.7", "192.0.2.1")
        decision = decide_socks(policy(*rules), asked, known)
        assert isinstance(decision, Decision)
        self.assertEqual(decision.rule.number, 1)

    def test_fake_needs_no_lookups(self) -> None:
        """With ``resolveprotocol: fake`` a decision is taken at once."""
        rules = (rule(1, BLOCK, target="bad.example.org"), rule(2, BLOCK, source=".evil"), rule(3))
        self.assertEqual(decided(policy(*rules, fake=True), question()).rule.number, 3)

    def test_associate_without_target(self) -> None:
        """Before any packet, pass rules fit whatever their ``to``, block rules if it is all."""
        asked = question(None, command=Command.UDPASSOCIATE, protocol=Protocol.UDP)
        both = frozenset((Family.IPV4, Family.IPV6))
        only4 = frozenset((Family.IPV4,))
        for families, target, ports, blocked in (
            (both, "0/0", PortSet(), True),
            (both, "0/0", PortSet(53, 53), False),
            (both, "0/0", PortSet(53, 53, outside=True), False),
            (both, "0.0.0.0/0", PortSet(), False),
            (only4, "0.0.0.0/0", PortSet(), True),
            (only4, "::/0", PortSet(), False),
            (only4, "10.0.0.0/8", PortSet(), False),
            (both, ".", PortSet(), False),
        ):
            rules = (rule(1, BLOCK, target=target, target_ports=ports), rule(2, target=".x"))
            decision = decided(policy(*rules, families=families), asked)
            self.assertEqual(decision.rule.number, 1 if blocked else 2, (families, target, ports))
            self.assertEqual(decision.target, NOWHERE)


class DecideClientTests(SynchronousTestCase):
    """Tests for :func:`decide_client`."""

    def test_first_match_decides(self) -> None:
        """A client is judged by its address and the one it came in on."""
        accept = frozenset((Command.ACCEPT,))
        rules = (
            rule(1, BLOCK, source="127.0.0.9/32", kind=RuleKind.CLIENT, commands=accept),
            rule(2, target_ports=PortSet(1080, 1080), kind=RuleKind.CLIENT, commands=accept),
        )
        compiled = policy(client_rules=rules)
        for client, port, number in (("127.0.0.9", 1080, 1), ("::1", 1080, 2), ("::1", 1, 0)):
            local = endpoint("127.0.0.1", port)
            decision = decide_client(compiled, endpoint(client), local, {})
            assert isinstance(decision, Decision)
            self.assertEqual((decision.rule.number, decision.rule.kind), (number, RuleKind.CLIENT))
            self.assertEqual(decision.target, local)

    def test_socks_conditions_do_not_count(self) -> None:
        """What a client rule says of ``socksmethod`` is an offer, not a condition."""
        offering = rule(1, kind=RuleKind.CLIENT, socks_methods=(Method.USERNAME,))
        compiled = policy(client_rules=(offering,))
        decision = decide_client(compiled, endpoint("::1"), endpoint("::1"), {})
        self.assertEqual(decision, Decision(offering, endpoint("::1")))

    def test_client_method(self) -> None:
        """A client rule that wants a method at accept does not fit those without."""
        compiled = policy(client_rules=(rule(kind=RuleKind.CLIENT, client_methods=()),))
        decision = decide_client(compiled, endpoint("::1"), endpoint("::1"), {})
        assert isinstance(decision, Decision)
        self.assertEqual(decision.rule.number, 0)


class TraceTests(SynchronousTestCase):
    """Tests for the trace of a decision."""

    def test_first_failed_condition(self) -> None:
        """The trace names the first condition that failed, in Dante's order, wanted and got."""
        place = Where("sockd.conf", 7, 3)
        all_wrong = rule(
            1,
            protocols=frozenset((Protocol.UDP,)),
            commands=frozenset((Command.BIND,)),
            proxy_protocols=frozenset((ProxyProtocol.SOCKS_V4,)),
            source="10.0.0.0/8",
            target="172.16.0.0/12",
            target_ports=PortSet(80, 80, text="port = http"),
            client_methods=(Method.RFC931,),
            socks_methods=(Method.PAM_USERNAME, Method.USERNAME),
            users=frozenset(("bob", "alice")),
            groups=frozenset(("staff",)),
            places={"user": place},
        )
        right = rule(2)
        steps: list[tuple[str, str, str, dict[str, object]]] = [
            ("protocol", "udp", "tcp", {"protocols": right.protocols}),
            ("command", "bind", "connect", {"commands": right.commands}),
            (
                "proxyprotocol",
                "socks_v4",
                "socks_v5",
                {"proxy_protocols": right.proxy_protocols},
            ),
            ("from", "10.0.0.0/8", "127.0.0.1.50000", {"source": right.source}),
            (
                "to",
                "172.16.0.0/12 port = http",
                "www.test.443 (192.0.2.1, ::1)",
                {"target": right.target},
            ),
            ("clientmethod", "rfc931", "none", {"client_methods": (Method.NONE,)}),
            (
                "socksmethod",
                "pam.username username",
                "none",
                {"socks_methods": (Method.NONE,)},
            ),
            ("user", "alice bob", "eve", {"users": frozenset()}),
            ("group", "staff", "unknown", {"groups": frozenset()}),
        ]
        asked = question("www.test", 443, user="eve", addresses=("192.0.2.1", "::1"))
        first = all_wrong
        for keyword, wanted, got, cure in steps:
            trace: list[Tried] = []
            decide_socks(policy(first, right), asked, {}, trace)
            where = {"user": place, "from": first.source.where, "to": first.target.where}
            self.assertEqual(
                trace,
                [
                    Tried(first, keyword, where.get(keyword, first.where), wanted, got),
                    Tried(right, "", right.where, "", ""),
                ],
            )
            first = replace(first, **cure)  # type: ignore[arg-type]
        trace = []
        decide_socks(policy(first, right), asked, {}, trace)
        self.assertEqual(trace, [Tried(first, "", first.where, "", "")])

    def test_no_rule_twice(self) -> None:
        """A decision interrupted by a look-up leaves nothing in the trace."""
        earlier = Tried(rule(9), "", rule(9).where, "", "")
        trace = [earlier]
        compiled = policy(rule(1, target="10.0.0.0/8"), rule(2, target="host.example"))
        answer = decide_socks(compiled, question(), {}, trace)
        self.assertIsInstance(answer, Lookup)
        self.assertEqual(trace, [earlier])

    def test_associate_without_target(self) -> None:
        """The trace has words for a target that is not known yet."""
        trace: list[Tried] = []
        decide_socks(policy(rule(1, BLOCK, target=".")), question(None), {}, trace)
        self.assertEqual((trace[0].failed, trace[0].got), ("to", "any target of UDP"))

    @given(st.lists(st.sampled_from(["10.0.0.0/8", "0/0", "::/0", ".test", "192.0.2.0/24"])))
    def test_trace_changes_nothing(self, targets: list[str]) -> None:
        """A traced decision is the same decision, and the trace ends with the rule that decided."""
        compiled = policy(*(rule(i + 1, target=text) for i, text in enumerate(targets)))
        asked = question("www.test", addresses=("192.0.2.1",))
        trace: list[Tried] = []
        plain = decide_socks(compiled, asked, {})
        traced = decide_socks(compiled, asked, {}, trace)
        self.assertEqual(plain, traced)
        assert isinstance(traced, Decision)
        matched = [tried.rule for tried in trace if not tried.failed]
        self.assertEqual(matched, [traced.rule] if traced.rule.number else [])
        self.assertEqual(len(trace), traced.rule.number or len(targets))


class GroupsTests(SynchronousTestCase):
    """Tests for :func:`asks_for_groups`."""

    def test_all_kinds_of_rules(self) -> None:
        """The groups of client and socks rules are asked for."""
        compiled = policy(
            rule(groups=frozenset(("a",))),
            rule(),
            client_rules=(rule(kind=RuleKind.CLIENT, groups=frozenset(("b", "c"))),),
        )
        self.assertEqual(asks_for_groups(compiled), {"a", "b", "c"})
        self.assertEqual(asks_for_groups(policy(rule())), frozenset())


class NamesTests(SynchronousTestCase):
    """Tests for :func:`names_to_look_up`."""

    def test_names(self) -> None:
        """Host names of all rules, not domains, unless nothing is to be looked up."""
        rules = (
            rule(source="one.test", target="two.test"),
            rule(source=".three.test", target="192.0.2.1/32"),
        )
        client_rules = (rule(kind=RuleKind.CLIENT, source="four.test"),)
        names = names_to_look_up(policy(*rules, client_rules=client_rules))
        self.assertEqual(names, {"one.test", "two.test", "four.test"})
        self.assertEqual(names_to_look_up(policy(*rules, fake=True)), frozenset())
