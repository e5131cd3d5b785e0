"""Tests of configurations that are rarely written: what the other tests of this package leave."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dantetw.catalogue import PROGRAM
from dantetw.config import parse
from dantetw.config.description import describe
from dantetw.config.lexer import Source, Token
from dantetw.config.lint import address_covers
from dantetw.config.machine import Snapshot
from dantetw.config.missing import Missing
from dantetw.config.program import Program
from dantetw.config.report import Report
from dantetw.policy import Where
from dantetw.values import Family
from tests.config.fakes import (
    HEAD,
    RULES,
    SYSTEM,
    FakeSystem,
    errors,
    policy_of,
    read,
    warnings,
    with_globals,
    with_rules,
)

PASSES = "client pass { from: 0/0 to: 0/0 }\n"


class WordTests(SynchronousTestCase):
    """Words and lines."""

    def test_long_word(self) -> None:
        """A word has a longest length, also one that the end of its rule is written to."""
        parsed = with_rules(f"{PASSES}socks pass {{ from: 0/0 to: 0/0 user: {'a' * 4097}}}")
        self.assertEqual(len(errors(parsed)), 1)
        self.assertIn("4097 characters", errors(parsed)[0])

    def test_long_line(self) -> None:
        """A line for libwrap has one too."""
        parsed = with_rules(f"{PASSES}socks pass {{\nfrom: 0/0 to: 0/0\nlibwrap: {'a' * 200}\n}}")
        self.assertIn("line has 200 characters", "".join(errors(parsed)))

    def test_colon(self) -> None:
        """A lone colon is no destination, and the error is where it is."""
        parsed = read(HEAD.replace("stderr", ":") + RULES)
        self.assertEqual(errors(parsed), ['1:12 unexpected ":" in ":"'])

    def test_no_destinations(self) -> None:
        """A program that has no destinations refuses no word for one."""
        program = Program((), PROGRAM.formats)
        parsed = parse((HEAD.replace("stderr", "syslog") + RULES).encode(), "f", SYSTEM, program)
        self.assertEqual(errors(parsed), [])


class EndTests(SynchronousTestCase):
    """Files that end too early."""

    def test_no_contents(self) -> None:
        """A rule that ends with its head has no contents."""
        self.assertIn("the rule has no contents", "".join(errors(with_rules("client pass"))))

    def test_error_at_the_end(self) -> None:
        """An error in the last, open rule is reported, and the missing end."""
        parsed = with_rules("client pass { from: 0/0 to: 0/0 nonsense: 1\nclient pass {")
        self.assertIn("nonsense", "".join(errors(parsed)))

    def test_unknown_kind(self) -> None:
        """Behind a rule of an unknown kind reading goes on with the next rule."""
        parsed = with_rules("sock pass { from: 0/0\nclient pass { from: 0/0 to: 0/0 nonsense: 1 }")
        self.assertEqual([each.partition(" ")[0] for each in errors(parsed)], ["8:1", "9:33"])


class KeywordTests(SynchronousTestCase):
    """Keywords of which other tests have the usual values."""

    def test_hash_key(self) -> None:
        """The key of pseudonyms is read from a file."""
        policy = policy_of(with_globals("log.hashkey: /etc/sockd.key"))
        self.assertEqual(policy.logging.hash_key_file, "/etc/sockd.key")

    def test_processors(self) -> None:
        """A process may be bound to processors by their numbers, several on a line."""
        parsed = with_globals("cpu.mask.io: 0 1", unsupported={})
        self.assertEqual(errors(parsed), [])

    def test_announced(self) -> None:
        """Only an address that clients can send to can be announced."""
        for word in ("0.0.0.0", "::", "nonsense", "192.0.2.\u0661"):
            with self.subTest(word):
                said = errors(with_globals(f"udp.announce: {word}"))
                self.assertIn("no address that clients", "".join(said))

    def test_link_local(self) -> None:
        """A numeric zone is kept with the address it is of."""
        policy = policy_of(read(HEAD.replace("127.0.0.1 ", "fe80::1%eth0 ") + RULES))
        self.assertEqual(policy.internal[0].listens[0].host, "fe80::1%eth0")

    def test_redirected_to_upnp(self) -> None:
        """What is redirected to need not be an address."""
        text = f"{PASSES}socks pass {{ from: 0/0 to: 0/0 redirect to: upnp://192.0.2.1 }}"
        self.assertNotIn("internal error", "".join(errors(with_rules(text))))

    def test_route_without_gateway(self) -> None:
        """A route needs a gateway."""
        text = f"{PASSES}route {{ from: 0/0 to: 0/0 }}"
        self.assertIn("via", "".join(errors(with_rules(text))))

    def test_unknown_method(self) -> None:
        """A method that does not exist is reported once."""
        said = errors(with_globals("socksmethod: nonsense"))
        self.assertEqual(len([each for each in said if "nonsense" in each]), 1)

    def test_external_name(self) -> None:
        """A name outside whose address is another machine's is no address to go out from."""

        class Elsewhere(FakeSystem):
            names = {"far.example": ("198.51.100.1",)}  # noqa: RUF012

        parsed = read(
            HEAD.replace("external: lo", "external: far.example") + RULES, {}, Elsewhere()
        )
        self.assertIn("cannot bind external address: 198.51.100.1", "".join(errors(parsed)))

    def test_session_limits(self) -> None:
        """A limit for each state must not be above that for all, if there are both."""
        for limits, wrong in (
            ("session.max: 5 session.state.max: 5 session.state.key: from", 0),
            ("session.max: 5 session.state.max: 6 session.state.key: from", 1),
            ("session.throttle: 5/1 session.state.throttle: 5/1 session.state.key: from", 0),
            ("session.throttle: 5/1 session.state.throttle: 6/1 session.state.key: from", 1),
        ):
            with self.subTest(limits):
                parsed = read(f"{HEAD}client pass {{ from: 0/0 to: 0/0 {limits} }}\n{RULES}", {})
                self.assertEqual(len(errors(parsed)), wrong)


class MachineTests(SynchronousTestCase):
    """What is known of the machine."""

    def test_cached(self) -> None:
        """It is asked once, and answers as the machine does."""
        cached = Snapshot(SYSTEM)
        for interface in ("lo", "eth0", "none"):
            self.assertEqual(cached.addresses_of(interface), SYSTEM.addresses_of(interface))

        self.assertEqual(set(cached.all_addresses()), {*SYSTEM.all_addresses(), "fe80::1"})

    def test_nothing_to_say(self) -> None:
        """What is missing without an error or a warning of Dante's is none."""
        missing, report = Missing(), Report(Source.of(b"", "f"))
        missing.waits = False
        missing.add(Token("x", Where("f", 1, 1), 0), "from")
        missing.report_to(report, ())
        self.assertEqual(report.problems, [])

    def test_many_missing(self) -> None:
        """Of many interfaces that are not there the warning names some, and counts the rest."""
        lines = [f"internal: vlan{number} port = 1080" for number in range(12)]
        said = warnings(with_globals(*lines), ours=True)
        self.assertIn(" and 2 more; dantetw waits for them", "".join(said))

    def test_warning_fails(self) -> None:
        """With ``interface.missing: fail`` a missing interface of a rule gets Dante's warning."""
        parsed = with_globals("interface.missing: fail", "external: eth0")
        self.assertEqual(errors(parsed), [])

    def test_interface_changes(self) -> None:
        """The addresses to listen on are the interface's present ones, of the wanted families."""
        policy = policy_of(read(HEAD.replace("127.0.0.1 ", "eth0 ") + RULES))
        (internal,) = policy.internal
        found = internal.listens_now(lambda interface: ("198.51.100.1", "2001:db8::5"))
        self.assertEqual([str(each) for each in found], ["198.51.100.1.1080", "2001:db8::5.1080"])
        (fixed,) = policy_of(read(HEAD + RULES)).internal
        self.assertEqual(fixed.listens_now(FakeSystem().addresses_of), fixed.listens)
        policy = policy_of(
            read("internal.protocol: ipv6\n" + HEAD.replace("127.0.0.1 ", "eth0 ") + RULES)
        )
        found = policy.internal[0].listens_now(lambda interface: ("198.51.100.1", "2001:db8::5"))
        self.assertEqual([each.family for each in found], [Family.IPV6])


class CoverTests(SynchronousTestCase):
    """Rules that cover others."""

    def test_kinds(self) -> None:
        """A net covers no name."""
        policy = policy_of(
            with_rules(PASSES + "socks pass { from: 10.0.0.0/8 to: www.example.org }", HEAD)
        )
        (rule,) = policy.socks_rules
        self.assertFalse(address_covers(rule.source, rule.target))

    def test_many_alike(self) -> None:
        """Of very many rules for the same addresses only the first ones are compared."""
        rules = "".join(
            f"socks pass {{ from: 10.0.0.0/8 to: 10.0.0.0/8\nuser: user{number}\n}}\n"
            for number in range(40)
        )
        self.assertEqual(errors(with_rules(PASSES + rules)), [])


class WordsTests(SynchronousTestCase):
    """The policy in words."""

    def test_users(self) -> None:
        """Users, groups, the users file and the PAM service are shown."""
        text = (
            HEAD.replace("socksmethod: none", "socksmethod: username pam.username")
            + "username.file: /etc/sockd.users\n"
            + PASSES
            + "socks pass { from: 0/0 to: 0/0\nuser: bob alice\ngroup: staff\n}\n"
            + "socks pass { from: 0/0 to: 0/0\nsocksmethod: pam.username\npam.servicename: x\n}\n"
            + "socks pass { from: 0/0 to: 0/0\ncommand: udpassociate\nudp.portrange: 5-9\n}\n"
        )
        said = "\n".join(describe(policy_of(read(text, {}))))
        for words in (
            "username.file: /etc/sockd.users",
            "user: alice bob",
            "group: staff",
            "pam.servicename: x",
            "udp.portrange: 5-9",
        ):
            self.assertIn(words, said)
