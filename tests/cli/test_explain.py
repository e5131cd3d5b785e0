"""Tests of :mod:`dantetw.cli.explain`."""

from __future__ import annotations

import io
import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.cli.explain import command
from dantetw.cli.explain.explanation import Explanation, explain
from dantetw.cli.explain.given import Client, GivenMachine, GivenNames, NameAnswer
from dantetw.policy import Policy
from dantetw.rules.addresses import Lookup, LookupKind
from dantetw.rules.decision import Decision, Question, decide_client, decide_socks
from dantetw.values import (
    Cause,
    Command,
    Endpoint,
    Family,
    Method,
    Phase,
    Protocol,
    ProxyProtocol,
    User,
    Verdict,
)
from tests.config.test_properties import QUICK
from tests.descriptors import descriptors
from tests.rules.building import endpoint
from tests.session.world import CLIENT, HEAD, HERE, LOG, TARGET, Machine, World, compiled

OPEN = f"{HEAD}socksmethod: none\nclient pass {{ from: 0/0 to: 0/0 {LOG} }}\n"
NAMES = {"www.example.org": ("203.0.113.5",), "two.example.org": ("203.0.113.5", "10.0.0.1")}
BACK = {
    "10.0.0.9": "pc.example.org",
    "203.0.113.5": "www.example.org",
    "10.0.0.1": "two.example.org",
}


def no_network(*_: Any) -> Any:
    """A look-up that no test may make."""
    raise AssertionError("the system was asked")


def nobody_knows(*_: Any) -> Any:
    """A system that knows no name."""
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def explained(
    policy: Policy,
    client: Client,
    names: GivenNames | None = None,
    groups: frozenset[str] | None = None,
) -> Explanation:
    """What comes of a client's visit."""
    names = names or GivenNames(NAMES, BACK, nobody_knows, nobody_knows)
    return explain(policy, client, GivenMachine(Machine(), names, {}), names, groups)


def visitor(target: Endpoint = TARGET, **others: Any) -> Client:
    """A client at the world's address."""
    return Client(CLIENT, HERE, target, **others)


class ExplanationTests(SynchronousTestCase):
    """What the server would do."""

    def test_passed(self) -> None:
        """A request that passes: rules, the target and the address to go out from."""
        outcome = explained(compiled(OPEN + "socks pass { from: 0/0 to: 0/0 }"), visitor())
        self.assertTrue(outcome.passed)
        self.assertEqual((outcome.target, outcome.source), (TARGET, "192.0.2.1"))
        self.assertEqual((outcome.client_rule.number, outcome.method), (1, Method.NONE))
        assert outcome.socks_rule is not None
        self.assertEqual(outcome.socks_rule.number, 1)

    def test_not_admitted(self) -> None:
        """A client that no client rule lets in is not asked what it wants."""
        policy = compiled(OPEN.replace("from: 0/0", "from: 127.0.0.0/8"))
        outcome = explained(policy, visitor())
        assert outcome.ending is not None
        self.assertEqual(outcome.ending.phase, Phase.ACCEPT)
        self.assertEqual((outcome.client_rule.number, outcome.socks_rule), (0, None))
        ((fared,), socks) = (outcome.client, outcome.socks)
        self.assertEqual([each.what for each in fared.missed], ["from"])
        self.assertEqual(socks, ())

    def test_refused(self) -> None:
        """What is refused for other reasons than rules is refused in the server's words."""
        policy = compiled(OPEN + "socks pass { from: 0/0 to: 0/0 }")
        for asked, command_, words in (
            (endpoint("127.0.0.1", 1080), Command.CONNECT, "the same address we listen to"),
            (endpoint("127.1", 1080), Command.CONNECT, "the same address we listen to"),
            (endpoint("192.0.2.9", 0), Command.CONNECT, "unbound port"),
            (endpoint("0.0.0.0", 80), Command.CONNECT, "unbound ipaddress"),
            (endpoint("2001:db8::1", 80), Command.CONNECT, "no IPv6 address configured"),
            (endpoint("no.example.org"), Command.CONNECT, "could not resolve hostname"),
            (endpoint("255.255.255.255"), Command.BIND, "disabled Dante extension: bind"),
            (endpoint("2001:db8::1", 80), Command.BIND, "no IPv6 address configured"),
            (endpoint("no.example.org"), Command.BIND, "could not resolve hostname"),
        ):
            with self.subTest(words):
                outcome = explained(policy, visitor(asked, command=command_))
                assert outcome.ending is not None
                self.assertIn(words, outcome.ending.text)

    def test_extension(self) -> None:
        """With the extension a port for many is granted, as far as the rules say."""
        text = OPEN.replace("clientmethod", "extension: bind\nclientmethod")
        asked = endpoint("255.255.255.255")
        for verdict, passed in (("pass", True), ("block", False)):
            policy = compiled(text + f"socks {verdict} {{ from: 0/0 to: 0/0 }}")
            outcome = explained(policy, visitor(asked, command=Command.BIND))
            self.assertEqual(outcome.passed, passed)

    def test_no_source(self) -> None:
        """With ``same-same`` an address of ours that is no external one is told."""
        text = OPEN.replace("clientmethod", "external.rotation: same-same\nclientmethod")
        outcome = explained(compiled(text + "socks pass { from: 0/0 to: 0/0 }"), visitor())
        assert outcome.ending is not None
        self.assertIn("external.rotation = same-same", outcome.ending.text)

    def test_unusable(self) -> None:
        """A datagram that could go nowhere is refused, although a rule passes it."""
        text = OPEN + "socks pass { from: 0/0 to: 0/0 }"
        for host, port, what in (("198.51.100.7", 0, "port"), ("0.0.0.0", 53, "ipaddress")):
            client = visitor(target=endpoint(host, port), command=Command.UDPASSOCIATE)
            outcome = explained(compiled(text), client)
            assert outcome.ending is not None
            self.assertEqual(outcome.ending.text, f"unbound {what} ({host}.{port}) in request")

    def test_unoffered(self) -> None:
        """A client without a method that its client rule offers does not come to ask."""
        text = OPEN.replace("socksmethod: none", "socksmethod: username")
        outcome = explained(compiled(text + "socks pass { from: 0/0 to: 0/0 }"), visitor())
        assert outcome.ending is not None
        self.assertIn("no acceptable authentication method", outcome.ending.text)
        outcome = explained(
            compiled(text + "socks pass { from: 0/0 to: 0/0 }"),
            visitor(method=Method.USERNAME, user="joe"),
        )
        self.assertTrue(outcome.passed)
        self.assertEqual(outcome.user, User(Method.USERNAME, "joe"))

    def test_unnegotiated(self) -> None:
        """SOCKS 4 is no way around a login."""
        text = OPEN.replace("socksmethod: none", "socksmethod: username")
        policy = compiled(text + "socks pass { from: 0/0 to: 0/0 }")
        outcome = explained(policy, visitor(proxy_protocol=ProxyProtocol.SOCKS_V4))
        self.assertEqual((outcome.passed, outcome.unnegotiated, outcome.socks), (False, True, ()))

    def test_addresses(self) -> None:
        """Where a rule fits by one of a name's addresses, that one is the target."""
        policy = compiled(OPEN + "socks pass { from: 0/0 to: 10.0.0.0/8 }")
        outcome = explained(policy, visitor(endpoint("two.example.org")))
        self.assertEqual(outcome.target, endpoint("10.0.0.1"))
        self.assertEqual(
            outcome.answers,
            (NameAnswer("two.example.org", ("203.0.113.5", "10.0.0.1"), given=True),),
        )

    def test_given_names(self) -> None:
        """With all names given the system is not asked; what is not given is, once, and told."""
        policy = compiled(OPEN + "socks pass { from: .example.org to: www.example.org }")
        names = GivenNames(NAMES, BACK, no_network, no_network)
        self.assertTrue(explained(policy, visitor(endpoint("203.0.113.5")), names).passed)
        asked: list[str] = []

        def name_of(sockaddr: tuple[str, int], flags: int) -> tuple[str, str]:
            asked.append(sockaddr[0])
            return ("pc.example.org", "0")

        names = GivenNames(NAMES, {}, no_network, name_of)
        outcome = explained(policy, visitor(endpoint("203.0.113.5")), names)
        self.assertTrue(outcome.passed)
        self.assertEqual(asked, ["10.0.0.9"])
        self.assertIn(NameAnswer("10.0.0.9", ("pc.example.org",)), outcome.answers)

    def test_proven(self) -> None:
        """A method that is named counts as proven, and what was assumed is told."""
        policy = compiled(
            f"{HEAD.replace('none', 'rfc931')}socksmethod: pam.username\n"
            "client pass { from: 0/0 to: 0/0 }\n"
            "socks pass { from: 0/0 to: 0/0\n pam.servicename: web\n group: staff\n}"
        )
        client = visitor(client_method=Method.RFC931, method=Method.PAM_USERNAME, user="joe")
        outcome = explained(policy, client, groups=frozenset(("staff",)))
        self.assertTrue(outcome.passed, outcome.ending)
        self.assertEqual(outcome.user, User(Method.PAM_USERNAME, "joe"))
        self.assertEqual(
            [(check.method, proof.name) for check, proof in outcome.assumed.items()],
            [(Method.RFC931, "joe"), (Method.PAM_USERNAME, None)],
        )
        self.assertFalse(explained(policy, client, groups=frozenset()).passed)
        unnamed = visitor(method=Method.PAM_USERNAME, user="joe")
        outcome = explained(policy, unnamed)
        self.assertEqual(outcome.client_rule.number, 0)
        self.assertEqual([each.what for each in outcome.client[0].missed], ["clientmethod"])

    def test_missed(self) -> None:
        """All conditions that fail are found, and a port apart from its address."""
        policy = compiled(
            OPEN.replace("socksmethod: none", "socksmethod: none username")
            + """
socks pass { from: 0/0 port = 1 to: 10.0.0.0/8 port = 81
  command: bind
  proxyprotocol: socks_v4
  socksmethod: username
  user: joe
}
socks pass { from: 11.0.0.0/8 port = 1 to: 198.51.100.0/24 port = 81 }
"""
        )
        outcome = explained(policy, visitor())
        self.assertEqual(
            [[each.what for each in fared.missed] for fared in outcome.socks],
            [
                ["command", "proxyprotocol", "from port", "to", "to port", "socksmethod", "user"],
                ["from", "from port", "to port"],
            ],
        )

    def test_bind(self) -> None:
        """For BIND the rules are asked about the external address, with the port that is asked."""
        for rules, asked, passed in (
            ("socks pass { from: 0/0 to: 192.0.2.1/32 }", endpoint("203.0.113.5"), True),
            ("socks pass { from: 0/0 to: 203.0.113.5/32 }", endpoint("203.0.113.5"), False),
            ("socks pass { from: 0/0 to: 0/0 port = 2121 }", endpoint("0.0.0.0", 2121), True),
            ("socks pass { from: 0/0 to: 0/0 port = 2121 }", endpoint("203.0.113.5", 2121), False),
            ("socks pass { from: 0/0 to: 0/0 port gt 1023 }", endpoint("0.0.0.0", 0), True),
        ):
            with self.subTest(rules, asked=asked):
                client = visitor(asked, command=Command.BIND)
                outcome = explained(compiled(OPEN + rules), client)
                self.assertEqual(outcome.passed, passed)
                if passed:
                    self.assertEqual((outcome.target, outcome.source), (asked, "192.0.2.1"))

    def test_nothing_left(self) -> None:
        """Sockets are closed, and no time limit is left running."""
        policy = compiled(OPEN + "socks pass { from: 0/0 to: 0/0 }")
        names = GivenNames({}, {}, no_network, no_network)
        before = descriptors()
        for _ in range(3):
            explained(policy, visitor(), names)
        self.assertEqual(descriptors() - before, set())


# Rules and questions for the property.

CLIENT_RULES = st.lists(
    st.builds(
        "client {} {{ from: {} to: {} }}\n".format,
        st.sampled_from(("pass", "pass", "block")),
        st.sampled_from(("0/0", "10.0.0.0/8", "10.0.0.9/32 port = 50000", "::/0", ".example.org")),
        st.sampled_from(("0/0", "127.0.0.1/32", "0/0 port = 1080", "10.0.0.0/8")),
    ),
    max_size=3,
)
SOCKS_RULES = st.lists(
    st.builds(
        "socks {} {{ from: {} to: {}\n{}{}{} }}\n".format,
        st.sampled_from(("pass", "pass", "block")),
        st.sampled_from(("0/0", "10.0.0.0/8", "10.0.0.9/32 port 1-49999", ".example.org", "lo")),
        st.sampled_from(
            (
                "0/0",
                "0/0 port = 80",
                "203.0.113.0/24 port ne 80",
                ".example.org",
                "www.example.org",
                "no.example.org",
                "10.0.0.0/8",
                "lo",
            )
        ),
        st.sampled_from(("", "", "command: bind\n", "command: connect udpassociate\n")),
        st.sampled_from(("", "", "proxyprotocol: socks_v4\n", "protocol: udp\n")),
        st.sampled_from(("", "", "socksmethod: username\n", "socksmethod: username\nuser: joe\n")),
    ),
    max_size=5,
)
TARGETS = st.builds(
    endpoint,
    st.sampled_from(
        ("203.0.113.5", "10.0.0.1", "127.0.0.1", "www.example.org", "two.example.org", "x.org")
    ),
    st.sampled_from((80, 81, 1080)),
)
CLIENTS = st.builds(
    lambda who, target, command, version: Client(
        CLIENT,
        HERE,
        target,
        Command.CONNECT if version is ProxyProtocol.SOCKS_V4 else command,
        version,
        Method.USERNAME if who else Method.NONE,
        user=who,
    ),
    st.sampled_from(("", "", "joe", "ann")),
    TARGETS,
    st.sampled_from((Command.CONNECT, Command.CONNECT, Command.BIND, Command.UDPASSOCIATE)),
    st.sampled_from((ProxyProtocol.SOCKS_V5, ProxyProtocol.SOCKS_V5, ProxyProtocol.SOCKS_V4)),
)
POLICIES = st.builds(
    lambda client, socks, methods: compiled(
        f"{HEAD}debug: 1\nsocksmethod: {methods}\n{''.join(client)}{''.join(socks)}"
    ),
    CLIENT_RULES,
    SOCKS_RULES,
    st.sampled_from(("none username", "username none")),
)


class Everything(dict[Lookup, tuple[str, ...]]):
    """What the names and the machine of these tests would answer."""

    def get(self, lookup: Lookup, default: Any = None) -> tuple[str, ...]:
        """Never None."""
        if lookup.kind is LookupKind.INTERFACE:
            return tuple(Machine().addresses_of(lookup.name))
        if lookup.kind is LookupKind.FORWARD:
            return NAMES.get(lookup.name, ())
        return (BACK[lookup.name],) if lookup.name in BACK else ()


class SameTests(SynchronousTestCase):
    """The explanation is the decision."""

    @settings(QUICK, max_examples=250)
    @given(POLICIES, CLIENTS)
    def test_same_decision(self, policy: Policy, client: Client) -> None:
        """For any rules and any request the rules named are those that decide."""
        outcome = explained(policy, client)
        known = Everything()
        decision = decide_client(policy, CLIENT, HERE, known)
        assert isinstance(decision, Decision)
        self.assertIs(outcome.client_rule, decision.rule)
        self.check_fates(outcome.client, decision)
        if outcome.socks_rule is None or outcome.unnegotiated:
            return
        # A port that is not really bound is thought to be the first of the free ones.
        binds, bound = client.command is Command.BIND, endpoint("192.0.2.1", 49152)
        named = client.target.family is Family.NAME and not binds
        addresses = tuple(
            address for address in NAMES.get(client.target.host, ()) if ":" not in address
        )
        udp = client.command is Command.UDPASSOCIATE
        logged_in = client.user and client.proxy_protocol is ProxyProtocol.SOCKS_V5
        question = Question(
            CLIENT,
            None if udp else bound if binds else client.target,
            client.command,
            Protocol.UDP if udp else Protocol.TCP,
            client.proxy_protocol,
            method=Method.USERNAME if logged_in else Method.NONE,
            user=User(Method.USERNAME, client.user) if logged_in else None,
            addresses=addresses if named and not udp else None,
        )
        decision = decide_socks(policy, question, known)
        assert isinstance(decision, Decision)
        if udp and not decision.blocks and (addresses or not named):
            # The client has its association: now its datagram is judged.
            question = replace(
                question, target=client.target, addresses=addresses if named else None
            )
            decision = decide_socks(policy, question, known)
            assert isinstance(decision, Decision)
        self.assertIs(outcome.socks_rule, decision.rule)
        self.check_fates(outcome.socks, decision)
        if outcome.passed:
            self.assertIs(decision.rule.verdict, Verdict.PASS)
            if binds:
                self.assertEqual((outcome.target, outcome.source), (client.target, "192.0.2.1"))
                return
            self.assertEqual(
                outcome.target,
                endpoint(addresses[0], client.target.port)
                if decision.target.family is Family.NAME
                else decision.target,
            )

    def check_fates(self, fates: Any, decision: Decision) -> None:
        """Each rule before the one that decided has failed, with the first condition first."""
        for fared in fates:
            decided = fared.tried.rule is decision.rule
            self.assertEqual(not fared.tried.failed, decided)
            self.assertEqual(not fared.missed, decided)
            if fared.missed:
                self.assertEqual(fared.missed[0].what.split()[0], fared.tried.failed)
        self.assertEqual(bool(fates) and not fates[-1].missed, bool(decision.rule.number))

    @settings(QUICK, max_examples=60)
    @given(POLICIES, CLIENTS)
    def test_same_server(self, policy: Policy, client: Client) -> None:
        """A server with the same rules ends the same session in the same way."""
        # What is explained of UDP is a datagram, which this client does not send.
        assume(client.command is not Command.UDPASSOCIATE)
        outcome = explained(policy, client)
        world = World(self)
        try:
            world.factory.adopt(policy, {Method.USERNAME: world.doorkeeper})
            world.hosts = {name: list(addresses) for name, addresses in NAMES.items()}
            world.hosts["pc.example.org"] = ["10.0.0.9"]
            world.factory.listening = frozenset(e for i in policy.internal for e in i.listens)
            world.client(client.bytes_sent())
            world.look_up()
            world.doorkeeper.answer(True)
            world.settle()
            world.look_up()
            if outcome.passed:
                (session,) = world.sessions
                if client.command is Command.BIND:
                    self.assertEqual([x.bound.host for x in world.awaits], [outcome.source])
                    self.assertEqual(session.record.target, outcome.target)
                else:
                    self.assertEqual([dial.target for dial in world.dials], [outcome.target])
                rules = (session.record.client_rule, session.record.socks_rule)
            else:
                self.assertEqual(world.dials, [])
                (ended,) = world.ended
                self.assertEqual(ended.ending, outcome.ending)
                rules = (ended.client_rule, ended.socks_rule)
            self.assertEqual(rules, (outcome.client_rule, outcome.socks_rule))
        finally:
            world.factory.stop()
            world.close()


CONFIG = f"""{HEAD}socksmethod: none username
client pass {{ from: 10.0.0.0/8 to: 0/0 log: error }}
socks block {{ from: 0/0 to: 127.0.0.0/8 }}
socks pass {{
    from: 10.0.0.0/8 to: .example.org port = 80
    log: connect
    timeout.connect: 7
}}
socks pass {{ from: 10.0.0.0/8 to: 0/0 port = 443
    socksmethod: username  # nobody else
    user: joe
}}
"""
KEYS = {
    "addresses",
    "association",
    "version",
    "passed",
    "result",
    "ending",
    "asked",
    "rule",
    "client_rules",
    "socks_rules",
    "lookups",
    "assumed",
    "method",
    "user",
    "target",
    "source",
    "log",
    "limits",
}


class ExplainTests(SynchronousTestCase):
    """``sockd explain``."""

    def setUp(self) -> None:
        path = Path(self.mktemp())
        path.write_text(CONFIG)
        self.path = str(path)

    def run_explain(
        self, *arguments: str, who: str = "10.0.0.9", config: str = ""
    ) -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        out, err = io.StringIO(), io.StringIO()
        given = io.TextIOWrapper(io.BytesIO(config.encode()))
        all_ = ["-f", "-" if config else self.path, "--from", who, *arguments]
        status = command.main(all_, Machine(), given, out, err)
        return status, out.getvalue(), err.getvalue()

    def test_passed(self) -> None:
        """A request that passes: status 0, the rule with its text, the way out, log and limits."""
        status, out, err = self.run_explain(
            "--to", "www.example.org:80", "--resolve", "www.example.org=203.0.113.5"
        )
        self.assertEqual((status, err), (0, ""))
        lines = out.splitlines()
        self.assertEqual(lines[0], f"passed by socks-rule #2 ({self.path}:8)")
        for line in (
            "      from: 10.0.0.0/8 to: .example.org port = 80",
            "  www.example.org: 203.0.113.5 (given)",
            "goes to 203.0.113.5.80 from 192.0.2.1",
            "logged by client-rule #1: error",
            "logged by socks-rule #2: connect",
            "time limits in seconds: timeout.negotiate 30, timeout.connect 7, timeout.io.tcp none,"
            " timeout.tcp_fin_wait none",
        ):
            self.assertIn(line, lines)

    def test_addresses(self) -> None:
        """Of a name with several addresses it says how the rules judge each."""
        config = (
            f"{HEAD}socksmethod: none\nclient pass {{ from: 0/0 to: 0/0 }}\n"
            "socks pass { from: 0/0 to: 203.0.113.1/32 }\n"
            "socks block { from: 0/0 to: 203.0.113.2/32 }\n"
            "socks pass { from: 0/0 to: 127.0.0.1/32 }\n"
            "socks pass { from: 0/0 to: 203.0.113.3/32 }\n"
        )
        hosts = "127.0.0.1,203.0.113.2,203.0.113.1,203.0.113.3,203.0.113.4"
        arguments = ("--to", "www.example.org:1080", "--resolve", f"www.example.org={hosts}")
        status, out, _ = self.run_explain(*arguments, config=config)
        self.assertEqual(status, 0)
        lines = out.splitlines()
        at = lines.index("addresses, in the order in which they are tried until one answers:")
        self.assertEqual(
            [line.split(" client is")[0] for line in lines[at + 1 : at + 7]],
            [
                "  203.0.113.1.1080 from 192.0.2.1: passed by socks-rule #1 ((standard input):7)",
                "  127.0.0.1.1080 is not tried:",
                "  203.0.113.2.1080 is not tried: blocked by socks-rule #2 ((standard input):8)",
                "  203.0.113.3.1080 from 192.0.2.1: passed by socks-rule #4 ((standard input):10)",
                "  203.0.113.4.1080 is not tried: blocked by the built-in rule 0",
                "goes to 203.0.113.1.1080 from 192.0.2.1",
            ],
        )
        told = json.loads(self.run_explain(*arguments, "--json", config=config)[1])
        self.assertEqual(
            [(each["target"], each["tried"]) for each in told["addresses"]],
            [
                ("203.0.113.1.1080", True),
                ("127.0.0.1.1080", False),
                ("203.0.113.2.1080", False),
                ("203.0.113.3.1080", True),
                ("203.0.113.4.1080", False),
            ],
        )

    def test_no_usable_address(self) -> None:
        """If none of them can be connected to the request is refused, as by the server."""
        config = f"{OPEN}socks pass {{ from: 0/0 to: 0/0 }}\n"
        arguments = ("--to", "www.example.org:1080", "--resolve")
        status, out, _ = self.run_explain(
            *arguments, "www.example.org=127.0.0.1,0.0.0.0", config=config
        )
        self.assertEqual(status, 1)
        self.assertIn("to the same address we listen to", out.splitlines()[0])
        _, out, _ = self.run_explain(
            *arguments, "www.example.org=127.0.0.1,203.0.113.1", config=config
        )
        self.assertIn("goes to 203.0.113.1.1080 from 192.0.2.1", out.splitlines())

    def test_datagram(self) -> None:
        """Of UDP both are told: who grants the association, and what becomes of a datagram."""
        status, out, _ = self.run_explain(
            *("--to", "www.example.org:80", "--resolve", "www.example.org=203.0.113.5"),
            *("--command", "udpassociate"),
        )
        self.assertEqual(status, 0)
        where, lines = self.path, out.splitlines()
        self.assertEqual(lines[0], f"passed by socks-rule #2 ({where}:8)")
        self.assertEqual(
            lines[4:7],
            [
                f"its association is granted by socks-rule #2 ({where}:8)",
                "socks rules, for a datagram:",
                f"  socks-rule #1 ({where}:7) does not match: to: 127.0.0.0/8, but it is"
                " www.example.org.80 (203.0.113.5)",
            ],
        )
        self.assertEqual(
            lines[-1], "time limits in seconds: timeout.negotiate 30, timeout.io.udp 86400"
        )

    def test_datagram_blocked(self) -> None:
        """A datagram that no rule passes is blocked, although there would be an association."""
        status, out, _ = self.run_explain("--to", "127.0.0.1:53", "--command", "udpassociate")
        lines = out.splitlines()
        self.assertEqual((status, lines[0]), (1, f"blocked by socks-rule #1 ({self.path}:7)"))
        self.assertIn(f"its association is granted by socks-rule #2 ({self.path}:8)", lines)

    def test_blocked(self) -> None:
        """A request that no rule matches: status 1, each rule's fate, near misses marked."""
        status, out, _ = self.run_explain(
            "--to", "www.example.org:443", "--resolve", "www.example.org=203.0.113.5"
        )
        self.assertEqual(status, 1)
        where, name = self.path, "www.example.org.443 (203.0.113.5)"
        expected = f"""\
blocked by the built-in rule 0: no socks rule matches
asked: socks_v5 connect to www.example.org.443, client 10.0.0.9.50000 at 127.0.0.1.1080
client rules:
  client-rule #1 ({where}:6) matches: pass
socks rules:
  socks-rule #1 ({where}:7) does not match: to: 127.0.0.0/8, but it is {name}
  socks-rule #2 ({where}:8) does not match: to: .example.org port = 80 (line 9), but it is {name}
    near miss: the address fits, the port does not; all else fits
  socks-rule #3 ({where}:13) does not match: socksmethod: username (line 14), but it is none
    near miss: besides, user: joe, but it is nobody in particular
looked up:
  www.example.org: 203.0.113.5 (given)
logged by client-rule #1: error
logged by the built-in socks rule: nothing
time limits in seconds: timeout.negotiate 30
"""
        self.assertEqual(out, expected)

    def test_nearest(self) -> None:
        """Where no rule is near, the nearest are told with all that keeps them from matching."""
        config = OPEN + "socks pass { from: 11.0.0.0/8 to: 0/0 port = 1 }\n"
        _, out, _ = self.run_explain("--to", "1.2.3.4:80", config=config)
        self.assertIn(
            "nearest:\n  socks-rule #1 ((standard input):7): from: 11.0.0.0/8, but it is"
            " 10.0.0.9.50000; to port: 0/0 port = 1, but it is 1.2.3.4.80\n",
            out,
        )

    def test_near_block(self) -> None:
        """A block rule with another address is no near miss of a request that passed."""
        config = OPEN + (
            "socks block { from: 0/0 to: 10.0.0.0/8 }\nsocks pass { from: 0/0 to: 0/0 }\n"
        )
        status, out, _ = self.run_explain("--to", "1.2.3.4:80", config=config)
        self.assertEqual(status, 0)
        self.assertNotIn("near", out)

    def test_json(self) -> None:
        """The object has the documented keys and tells the same."""
        arguments = ["--to", "1.2.3.4:443", "--json"]
        told = json.loads(self.run_explain(*arguments)[1])
        self.assertEqual(set(told), KEYS)
        self.assertEqual((told["version"], told["passed"]), (1, False))
        self.assertEqual(told["ending"]["cause"], Cause.BLOCKED.word)
        fates = [(each["number"], each["matches"], each["near"]) for each in told["socks_rules"]]
        self.assertEqual(fates, [(1, False, False), (2, False, False), (3, False, True)])
        self.assertEqual(
            told["socks_rules"][2]["failed"],
            [
                {"condition": "socksmethod", "line": 14, "wanted": "username", "got": "none"},
                {
                    "condition": "user",
                    "line": 15,
                    "wanted": "joe",
                    "got": "nobody in particular",
                },
            ],
        )
        self.assertIn("user: joe", told["socks_rules"][2]["text"])
        passed = json.loads(self.run_explain(*arguments, "--user", "joe")[1])
        self.assertEqual(set(passed), KEYS)
        self.assertEqual((passed["passed"], passed["rule"]["number"]), (True, 3))
        self.assertEqual((passed["method"], passed["user"]), ("username", "joe"))

    def test_machine(self) -> None:
        """Interfaces can be given, and users that this machine lacks do not matter."""
        config = OPEN.replace("192.0.2.1", "tun7") + "socks pass { from: 0/0 to: 0/0 }\n"
        status, out, _ = self.run_explain("--to", "1.2.3.4:80", config=config)
        self.assertEqual(status, 1)
        self.assertIn("tun7 is missing or without an address", out)
        status, out, _ = self.run_explain(
            "--to", "1.2.3.4:80", "--interface", "tun7=198.51.100.1,2001:db8::1", config=config
        )
        self.assertEqual(status, 0)
        self.assertIn("goes to 1.2.3.4.80 from 198.51.100.1\n", out)
        status, out, _ = self.run_explain(
            *("--to", "[2001:db8::2]:80"),
            *("--interface", "tun7=198.51.100.1,2001:db8::1"),
            config=config,
        )
        self.assertIn("goes to 2001:db8::2.80 from 2001:db8::1\n", out)

    def test_endpoints(self) -> None:
        """Addresses are read in their usual forms, and our own may be named."""
        config = OPEN + "socks pass { from: 0/0 to: 0/0 }\n"
        for who, local, told in (
            ("10.0.0.9:99", "10.0.0.1:1080", "10.0.0.9.99 at 10.0.0.1.1080"),
            ("::1", "[::1]:1080", "::1.50000 at ::1.1080"),
            ("[2001:DB8:0::1]:7", "[::1]:1080", "2001:db8::1.7 at ::1.1080"),
            ("::ffff:10.0.0.9", "127.0.0.1:1080", "10.0.0.9.50000 at 127.0.0.1.1080"),
        ):
            _, out, err = self.run_explain(
                "--to", "1.2.3.4:80", "--internal", local, who=who, config=config
            )
            self.assertIn(f"client {told}\n", out, err)

    def test_wildcard(self) -> None:
        """A client comes to the address that leads back to it, where we listen on all."""
        config = OPEN.replace("127.0.0.1 port", "0.0.0.0 port") + "socks pass { from: 0/0 to: 0/0 }"
        self.patch(command, "kernel_choice", lambda client: "192.0.2.1")
        _, out, _ = self.run_explain("--to", "1.2.3.4:80", config=config)
        self.assertIn("client 10.0.0.9.50000 at 192.0.2.1.1080\n", out)

        def unreachable(client: Endpoint) -> str:
            raise OSError

        self.patch(command, "kernel_choice", unreachable)
        _, out, _ = self.run_explain("--to", "1.2.3.4:80", config=config)
        self.assertIn("client 10.0.0.9.50000 at 127.0.0.1.1080\n", out)

    def test_hostile(self) -> None:
        """What would move a terminal's cursor is escaped."""
        arguments = ("--to", "1.2.3.4:443", "--user", "a\x1b[2J\nb")
        _, out, _ = self.run_explain(*arguments)
        self.assertIn("a\\x1b[2J\\x0ab", out)
        self.assertNotIn("\x1b", out)
        json.loads(self.run_explain("--json", *arguments)[1])

    def test_usage(self) -> None:
        """What makes no sense: status 2, a word on standard error, nothing else."""
        to = ["--to", "1.2.3.4:80"]
        for arguments in (
            [],
            ["--to", "example.org"],
            ["--to", "1.2.3.4:65536"],
            ["--to", "[::1:80"],
            ["--to", ":80"],
            ["--to", "späm.example.org:80"],
            [*to, "--resolve", "x"],
            [*to, "--resolve", "x=y"],
            [*to, "--reverse", "x=y"],
            [*to, "--command", "accept"],
            [*to, "--method", "username"],
            [*to, "--clientmethod", "rfc931"],
            [*to, "--clientmethod", "username", "--user", "joe"],
            [*to, "--user", "x" * 256],
            [*to, "--proxyprotocol", "socks_v4", "--command", "udpassociate"],
            ["--to", "[::1]:80", "--proxyprotocol", "socks_v4"],
        ):
            with self.subTest(arguments):
                status, out, err = self.run_explain(*arguments)
                self.assertEqual((status, out), (2, ""))
                self.assertNotEqual(err, "")
        self.assertEqual(self.run_explain(*to, who="::1")[0], 2)
        self.assertEqual(self.run_explain(*to, who="example.org")[0], 2)
        self.assertEqual(self.run_explain(*to, config="nonsense\n")[0], 2)
