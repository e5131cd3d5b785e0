"""Tests for :mod:`dantetw.plan.request`."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dantetw.plan.case import Traces
from dantetw.plan.outcome import BindPort, Plan, Refusal, Resolve
from dantetw.plan.request import authorise, plan_request, shuns_login
from dantetw.rules.addresses import Lookup, LookupKind
from dantetw.rules.authentication import IDENT, AuthCheck, AuthResult
from dantetw.rules.cache import DecisionCache
from dantetw.values import FAMILIES, NOWHERE, Command, Family, Method, ProxyProtocol, ReplyCode
from tests.plan.cases import ADMITTING, Net, answers, case, identity, planned, shown
from tests.rules.building import endpoint
from tests.session.world import CLIENT, HEAD, HERE, TARGET, compiled

OPEN = "socks pass { from: 0/0 to: 0/0 }\n"
BLOCKED = ("authorise", "blocked", "", 2)
IPV4, IPV6 = frozenset((Family.IPV4,)), frozenset((Family.IPV6,))
V4 = ProxyProtocol.SOCKS_V4
NAME = endpoint("www.example.org")
HERE6 = endpoint("::1", 1080)
OURS = "connection to the same address we listen to new clients on"


class TableCase(SynchronousTestCase):
    """Rows of a policy, a request and what comes of it."""

    def check(self, *rows: tuple[str, dict[str, Any], object]) -> None:
        """Each row: rules, arguments of :func:`tests.plan.cases.case`, what :func:`shown` says."""
        for rules, request, expected in rows:
            with self.subTest(rules=rules, **request):
                self.assertEqual(shown(planned(case(rules, **request))), expected)

    def refusal(self, rules: str, words: str, **request: Any) -> Refusal:
        """A request that is refused with these words in its text."""
        found = planned(case(rules, **request))
        assert isinstance(found, Refusal), found
        self.assertIn(words, found.ending.text)
        return found


class ConnectTests(TableCase):
    """CONNECT."""

    def test_addresses(self) -> None:
        """The first socks rule that matches decides; nothing need be known."""
        at = str(TARGET)
        self.check(
            (OPEN, {}, (1, at, at)),
            ("socks block { from: 0/0 to: 10.0.0.0/8 }\n" + OPEN, {}, (2, at, at)),
            ("socks block { from: 0/0 to: 198.51.100.0/24 }\n" + OPEN, {}, BLOCKED),
            ("", {}, BLOCKED),
            ("socks pass { from: 0/0 to: 0/0 command: bind }\n", {}, BLOCKED),
            ("socks pass { from: 0/0 to: 0/0\n user: joe }\n", {"user": "joe"}, (1, at, at)),
            ("socks pass { from: 0/0 to: 0/0\n user: joe }\n", {"user": "ann"}, BLOCKED),
        )

    def test_names(self) -> None:
        """The name is resolved, in the families that we go out by, before anything else."""
        self.check(
            (OPEN, {"target": NAME}, Resolve("www.example.org", IPV4)),
            ("", {"target": NAME}, Resolve("www.example.org", IPV4)),
            (
                OPEN,
                {"target": NAME, "addresses": ("203.0.113.5",)},
                (1, "www.example.org.80", "203.0.113.5.80"),
            ),
            (
                "socks pass { from: 0/0 to: 203.0.113.0/24 }\n",
                {"target": NAME, "addresses": ("203.0.113.5",)},
                (1, "203.0.113.5.80", "203.0.113.5.80"),
            ),
        )

    def test_unusable(self) -> None:
        """What nobody can connect to is refused before the rules are asked."""
        for host, port, words, reply in (
            ("198.51.100.7", 0, "unbound port (198.51.100.7.0)", 8),
            ("0.0.0.0", 80, "unbound ipaddress (0.0.0.0.80)", 8),
            ("127.0.0.1", 1080, OURS, 2),
            ("127.1", 1080, OURS, 2),
            ("2001:db8::1", 80, "no IPv6 address configured", 8),
        ):
            refused = self.refusal(OPEN, words, target=endpoint(host, port))
            self.assertEqual((refused.reply, refused.rule, refused.target), (reply, None, None))

    def test_several(self) -> None:
        """Of several addresses one that is usable will do; else the first says why not."""
        named = {"target": endpoint("www.example.org", 1080)}
        some = case(OPEN, **named, addresses=("127.0.0.1", "203.0.113.5"))  # type: ignore[arg-type]
        found = planned(some)
        assert isinstance(found, Plan)
        self.assertEqual(found.addresses, ("127.0.0.1", "203.0.113.5"))
        self.assertEqual(found.name, named["target"])
        self.refusal(OPEN, OURS, **named, addresses=("127.0.0.1", "0.0.0.0"))
        self.refusal(OPEN, "unbound ipaddress", **named, addresses=("0.0.0.0", "127.0.0.1"))

    def test_chosen(self) -> None:
        """By a rule for an address of the name's, that one is first; it may be any of several."""
        rules = "socks pass { from: 0/0 to: 127.0.0.0/8 }\n"
        found = planned(
            case(rules, endpoint("www.example.org", 1080), addresses=("203.0.113.5", "127.0.0.1"))
        )
        assert isinstance(found, Plan)
        self.assertEqual((found.name, str(found.address)), (None, "127.0.0.1.1080"))

    def test_interfaces(self) -> None:
        """While an external interface is missing the rules are asked all the same."""
        rules = ADMITTING.replace("192.0.2.1", "tun0") + OPEN
        net = Net()
        found = planned(case(compiled(rules), net=net))
        self.assertIsInstance(found, Plan)
        found = planned(case(compiled(rules), NAME, net=net))
        self.assertEqual(found, Resolve("www.example.org", FAMILIES))
        net.interfaces["tun0"] = ("2001:db8::7",)
        self.refusal(compiled(rules), "no IPv4 address", net=net)  # type: ignore[arg-type]
        found = planned(case(compiled(rules), NAME, net=net))
        self.assertEqual(found, Resolve("www.example.org", IPV6))

    def test_look_ups(self) -> None:
        """What a rule must look up is asked for; the rules are asked again with the answer."""
        rules = "socks block { from: .evil.example to: 0/0 }\n" + OPEN
        lookup = Lookup(LookupKind.REVERSE, CLIENT.host)
        asked = case(rules)
        self.assertEqual(planned(asked), lookup)
        for names, expected in (
            ((), (2, str(TARGET), str(TARGET))),
            (("pc.evil.example",), BLOCKED),
        ):
            found = planned(asked, answers(reverse={CLIENT.host: names}), authorise)
            self.assertEqual(shown(found), expected)

    def test_socks4(self) -> None:
        """SOCKS 4 is no way around a login."""
        policy = compiled(ADMITTING.replace("none username", "username") + OPEN)
        asked = case(policy, protocol=V4)
        self.assertTrue(shuns_login(asked))
        found = planned(asked)
        assert isinstance(found, Refusal) and found.rule is not None
        self.assertEqual(shown(found), BLOCKED)
        self.assertEqual((found.rule.number, found.question), (0, None))
        self.assertFalse(shuns_login(case(policy, user="joe")))

    def test_refused_by_rule(self) -> None:
        """A refusal has the rule, the target and the question that say why."""
        found = planned(case("socks block { from: 0/0 to: 0/0 }\n", user="joe"))
        assert isinstance(found, Refusal) and found.rule and found.question
        self.assertEqual((found.rule.number, found.target), (1, TARGET))
        self.assertIs(found.reply, ReplyCode.NOT_ALLOWED)
        assert found.question.user is not None
        self.assertEqual(found.question.user.name, "joe")
        self.assertFalse(found.delayed)

    def test_groups(self) -> None:
        """Groups are asked for of the user that has logged in."""
        net = Net()
        net.groups["joe"] = frozenset(("staff",))
        rules = "socks pass { from: 0/0 to: 0/0\n group: staff }\n"
        found = planned(case(rules, user="joe", net=net))
        self.assertIsInstance(found, Plan)
        self.assertEqual(shown(planned(case(rules, user="ann", net=net))), BLOCKED)

    def test_checks(self) -> None:
        """What a rule must ask about the client is asked for; a wrong password is refused late."""
        policy = compiled(
            f"{HEAD}socksmethod: username rfc931\nclient pass {{ from: 0/0 to: 0/0 }}\n{OPEN}"
        )
        self.assertEqual(planned(case(policy, auth={})), IDENT)
        found = planned(case(policy, auth={IDENT: AuthResult("joe")}))
        assert isinstance(found, Plan)
        self.assertEqual(found.identity, identity(Method.RFC931, "joe"))
        self.assertEqual(shown(planned(case(policy, auth={IDENT: AuthResult()}))), BLOCKED)
        password = AuthCheck(Method.USERNAME, named=True)
        self.assertEqual(planned(case(policy, user="ann", auth={})), password)
        wrong = {password: AuthResult(refusal="wrong password")}
        found = planned(case(policy, user="ann", auth=wrong))
        assert isinstance(found, Refusal) and found.rule
        self.assertEqual((found.delayed, found.rule.number), (True, 1))
        self.assertEqual(found.ending.text, "wrong password")
        self.assertEqual(found.identity, identity(Method.USERNAME, "ann", "wrong password"))

    def test_cache(self) -> None:
        """A decision on addresses alone is taken once."""
        policy = compiled(ADMITTING + OPEN)
        cache = DecisionCache(policy, False)
        first = plan_request(case(policy), answers(), cache)
        assert isinstance(first, Plan)
        question = case(policy).question()
        self.assertIs(cache.of_request(question), first.rule)
        self.assertEqual(plan_request(case(policy), answers(), cache), first)
        blocking = compiled(ADMITTING)
        cache = DecisionCache(blocking, False)
        plan_request(case(blocking), answers(), cache)
        self.assertIsNone(cache.of_request(case(blocking).question()))

    def test_traces(self) -> None:
        """On demand it says how each rule fared."""
        traces: Traces = []
        asked = case("socks block { from: 10.9.9.9/32 to: 0/0 }\n" + OPEN)
        plan_request(asked, answers(), traces=traces)
        ((question, tried),) = traces
        self.assertEqual(question, asked.question())
        self.assertEqual([each.failed for each in tried], ["from", ""])


class BindTests(TableCase):
    """BIND."""

    def test_port(self) -> None:
        """A port is bound first: the one asked for if no peer in particular is expected."""
        bind = {"command": Command.BIND}
        nobody = endpoint("0.0.0.0", 2121)
        self.check(
            (OPEN, {**bind, "target": TARGET}, BindPort(TARGET, 0)),
            (OPEN, {**bind, "target": nobody}, BindPort(nobody, 2121)),
            ("", {**bind, "target": TARGET}, BindPort(TARGET, 0)),
            (OPEN, {**bind, "target": NAME}, Resolve("www.example.org", IPV4)),
            (
                OPEN,
                {**bind, "target": NAME, "addresses": ("203.0.113.5", "203.0.113.6")},
                BindPort(endpoint("203.0.113.5"), 0),
            ),
        )

    def test_rules(self) -> None:
        """The rules are asked about what was bound; the peer stays the target."""
        bound = {"command": Command.BIND, "bound": endpoint("192.0.2.1", 4000)}
        rule = "socks pass { from: 0/0 to: 192.0.2.1/32 port = 4000 }\n"
        self.check(
            (rule, bound, (1, str(TARGET), "192.0.2.1.4000")),
            (rule, {**bound, "bound": endpoint("192.0.2.1", 4001)}, BLOCKED),
            (
                rule,
                {**bound, "target": NAME, "addresses": ("203.0.113.5",)},
                (1, "www.example.org.80", "192.0.2.1.4000"),
            ),
        )

    def test_families(self) -> None:
        """A port of a family that we lack is refused; SOCKS 4 could not name one of IPv6."""
        bind = {"command": Command.BIND}
        self.refusal(OPEN, "no IPv6 address", target=endpoint("2001:db8::1"), **bind)
        both = compiled(ADMITTING.replace("clientmethod", "external: 2001:db8::7\nclientmethod"))
        found = planned(case(both, NAME, Command.BIND, V4))
        self.assertEqual(found, Resolve("www.example.org", IPV4))
        found = planned(case(both, NAME, Command.BIND))
        self.assertEqual(found, Resolve("www.example.org", FAMILIES))

    def test_extension(self) -> None:
        """By the extension it is the port that the client has itself; else that is refused."""
        asked = endpoint("255.255.255.255", 5)
        bind = {"command": Command.BIND, "target": asked}
        refused = self.refusal(OPEN, "disabled Dante extension: bind", **bind)
        assert refused.rule is not None
        self.assertEqual((refused.rule.number, refused.question), (0, None))
        extended = ADMITTING.replace("clientmethod", "extension: bind\nclientmethod")
        found = planned(case(compiled(extended + OPEN), **bind))  # type: ignore[arg-type]
        self.assertEqual(found, BindPort(NOWHERE, CLIENT.port))
        six = compiled(extended.replace("192.0.2.1", "2001:db8::7"))
        found = planned(case(six, **bind))  # type: ignore[arg-type]
        self.assertEqual(found, BindPort(endpoint("::", 0), CLIENT.port))


class AssociateTests(TableCase):
    """UDP ASSOCIATE."""

    def test_granted(self) -> None:
        """The rules are asked about the client; datagrams come in where the client did."""
        for announced in (NOWHERE, endpoint("0.0.0.0", 5000), endpoint("10.0.0.9", 0)):
            found = planned(case(OPEN, announced, Command.UDPASSOCIATE))
            assert isinstance(found, Plan)
            self.assertEqual(
                (found.target, found.address, found.receiving_host), (None, announced, "127.0.0.1")
            )

    def test_announced(self) -> None:
        """A complete announced address must pass too, and says so if it does not."""
        rules = "socks pass { from: 10.0.0.9/32 to: 0/0 }\n"
        there = endpoint("10.0.0.8", 5000)
        found = planned(case(rules, there, Command.UDPASSOCIATE))
        text = "announced address 10.0.0.8.5000"
        self.assertEqual(shown(found), ("authorise", "blocked", text, 2))
        assert isinstance(found, Refusal) and found.question
        self.assertEqual(found.question.source, there)
        both = "socks pass { from: 10.0.0.8/31 to: 0/0 }\n"
        self.assertIsInstance(planned(case(both, there, Command.UDPASSOCIATE)), Plan)
        found = planned(case("", there, Command.UDPASSOCIATE))
        self.assertEqual(shown(found), BLOCKED)
        connected = rules.replace("0/0 }", "0/0\n udp.source: connected }")
        self.assertIsInstance(planned(case(connected, there, Command.UDPASSOCIATE)), Plan)

    def test_mapped(self) -> None:
        """One of our addresses in another notation is refused once a rule has chosen it."""
        rules = "socks pass { from: 0/0 to: 127.0.0.0/8 }\n"
        asked = case(rules, endpoint("www.example.org", HERE.port), addresses=("::ffff:127.0.0.1",))
        found = planned(asked)
        assert isinstance(found, Refusal), found
        self.assertIn(OURS, found.ending.text)

    def test_announced_lookup(self) -> None:
        """A rule about the announced address may need a look-up first, which traces leave out."""
        rules = "socks pass { from: 10.0.0.9/32 to: 0/0 }\nsocks pass { from: .example to: 0/0 }\n"
        asked = case(rules, endpoint("10.0.0.8", 5000), Command.UDPASSOCIATE)
        traces: Traces = []
        found = plan_request(asked, {}, None, traces)
        self.assertEqual(found, Lookup(LookupKind.REVERSE, "10.0.0.8"))
        self.assertEqual(len(traces), 1)

    def test_first_blocked(self) -> None:
        """If only the client itself may not, that decides."""
        rules = "socks block { from: 10.0.0.9/32 to: 0/0 }\n" + OPEN
        traces: Traces = []
        found = plan_request(
            case(rules, endpoint("10.0.0.8", 5000), Command.UDPASSOCIATE), answers(), None, traces
        )
        self.assertEqual(shown(found), BLOCKED)
        assert isinstance(found, Refusal) and found.question
        self.assertEqual(found.question.source, CLIENT)
        self.assertEqual(len(traces), 2)

    def test_names(self) -> None:
        """An announced name may have addresses of either family; that of the client's is taken."""
        asked = case(OPEN, endpoint("pc.example.org", 5000), Command.UDPASSOCIATE)
        self.assertEqual(planned(asked), Resolve("pc.example.org", FAMILIES))
        asked.addresses = ("2001:db8::5", "10.0.0.8")
        found = planned(asked)
        assert isinstance(found, Plan)
        self.assertEqual(str(found.address), "10.0.0.8.5000")

    def test_unreceivable(self) -> None:
        """Datagrams of a family in which we do not listen are refused."""
        six = endpoint("2001:db8::5", 5000)
        refused = self.refusal(
            OPEN,
            "client wants to send us UDP packets from IPv6",
            target=six,
            command=Command.UDPASSOCIATE,
        )
        self.assertEqual(refused.reply, ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED)
        asked = case(
            OPEN, endpoint("pc.example.org", 0), Command.UDPASSOCIATE, addresses=("2001:db8::5",)
        )
        found = planned(asked)
        assert isinstance(found, Refusal) and found.rule
        self.assertIn("no IPv6 address found amongst the internal", found.ending.text)
        wild = ADMITTING.replace("clientmethod", "internal: :: port = 1080\nclientmethod")
        found = planned(case(compiled(wild + OPEN), six, Command.UDPASSOCIATE))
        assert isinstance(found, Refusal)
        self.assertIn("only an unbound wildcard address found", found.ending.text)
        inside = ADMITTING.replace("clientmethod", "internal: ::1 port = 1080\nclientmethod")
        found = planned(case(compiled(inside + OPEN), six, Command.UDPASSOCIATE))
        assert isinstance(found, Plan)
        self.assertEqual(found.receiving_host, "::1")
