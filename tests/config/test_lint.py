"""Tests for :mod:`dantetw.config.lint`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dantetw.rules.decision import Decision, decide_socks
from dantetw.values import Verdict
from tests.config.fakes import HEAD, policy_of, remarks, warnings, with_rules
from tests.rules.building import question

OUTSIDE = HEAD.replace("internal: 127.0.0.1", "internal: 0.0.0.0")
CLIENTS = "client pass { from: 0/0 to: 0/0 }\n"


def advice(rules: str, head: str = HEAD) -> list[str]:
    """Our warnings about these rules."""
    parsed = with_rules(rules, head)
    policy_of(parsed)
    return warnings(parsed, ours=True)


class UnreachableTests(SynchronousTestCase):
    """Rules that can never match."""

    def pair(self, first: str, second: str) -> bool:
        """Whether the second of two rules is said to be out of reach."""
        head = HEAD.replace("socksmethod: none", "socksmethod: username none")
        return any("can never match" in text for text in advice(f"{first}\n{second}", head))

    def test_certain(self) -> None:
        """A rule all of whose conditions are covered by an earlier one is out of reach."""
        for first, second in (
            ("from: 0/0 to: 0/0", "from: 10.0.0.0/8 to: a.example"),
            ("from: 10.0.0.0/8 to: 0/0", "from: 10.1.0.0/16 to: ::/0"),
            ("from: 0/0 to: .example.com", "from: 0/0 to: .www.example.com"),
            ("from: 0/0 to: .", "from: 0/0 to: .example.com"),
            ("from: 0/0 to: a.example", "from: 0/0 to: A.example port = 80"),
            ("from: 0/0 to: lo", "from: 0/0 to: lo"),
            ("from: 0/0 to: 0/0 port ge 80", "from: 0/0 to: 0/0 port 80-90"),
            ("from: 0/0 to: 0/0 port ne 80", "from: 0/0 to: 0/0 port = 81"),
            ("from: 0/0 to: 0/0 port ne 80", "from: 0/0 to: 0/0 port ne 80"),
            ("from: 0/0 to: 0/0", "from: 0/0 to: 0/0 port gt 65535"),
            ("from: 0/0 to: 0/0", "from: 0/0 to: 0/0\nuser: bob\n"),
            ("from: 0/0 to: 0/0\nuser: bob eve\n", "from: 0/0 to: 0/0\nuser: bob\n"),
            ("from: 0/0 to: 0/0\nprotocol: tcp\n", "from: 0/0 to: 0/0\ncommand: bind\n"),
        ):
            self.assertTrue(
                self.pair(f"socks pass {{ {first} }}", f"socks block {{ {second} }}"), second
            )

    def test_uncertain(self) -> None:
        """Where the later rule may match something, nothing is said."""
        for first, second in (
            ("from: 10.0.0.0/8 to: 0/0", "from: 0/0 to: 0/0"),
            ("from: 0.0.0.0/0 to: 0/0", "from: 0/0 to: 0/0"),
            ("from: 0.0.0.0/0 to: 0/0", "from: ::/0 to: 0/0"),
            ("from: 0/0 to: 0.0.0.0/0", "from: 0/0 to: a.example"),
            ("from: 0/0 to: .example.com", "from: 0/0 to: www.example.com"),
            ("from: 0/0 to: 0/0 port = 80", "from: 0/0 to: 0/0 port ne 80"),
            ("from: 0/0 to: 0/0 port ne 80", "from: 0/0 to: 0/0 port 79-81"),
            ("from: 0/0 to: 0/0\nuser: bob\n", "from: 0/0 to: 0/0\nuser: eve\n"),
            ("from: 0/0 to: 0/0\nuser: bob\n", "from: 0/0 to: 0/0"),
            ("from: 0/0 to: 0/0\ncommand: connect\n", "from: 0/0 to: 0/0"),
            ("from: 0/0 to: 0/0\nsocksmethod: none\n", "from: 0/0 to: 0/0"),
            ("from: 0/0 to: 0/0\nproxyprotocol: socks_v4\n", "from: 0/0 to: 0/0"),
        ):
            self.assertFalse(
                self.pair(f"socks pass {{ {first} }}", f"socks block {{ {second} }}"), second
            )

    def test_kinds(self) -> None:
        """Client and socks rules have nothing to do with each other."""
        self.assertFalse(self.pair(CLIENTS, "socks pass { from: 10.0.0.0/8 to: 0/0 }"))
        self.assertTrue(self.pair(CLIENTS, "client block { from: 10.0.0.0/8 to: 0/0 }"))

    def test_udp_associate(self) -> None:
        """A block that is not to everywhere does not stop a UDP ASSOCIATE, which has no target."""
        block = "socks block { from: 0/0 to: 10.0.0.0/8 }"
        self.assertFalse(self.pair(block, "socks pass { from: 0/0 to: 10.0.0.0/8 }"))
        tcp = "socks pass { from: 0/0 to: 10.0.0.0/8\ncommand: connect\n}"
        self.assertTrue(self.pair(block, tcp))

    def test_offered_methods(self) -> None:
        """What a client rule offers is no condition."""
        second = "client pass { from: 0/0 to: 0/0\nsocksmethod: username\n}"
        first = "client pass { from: 0/0 to: 0/0\nsocksmethod: none\n}"
        self.assertTrue(self.pair(first, second))


class RemarkTests(SynchronousTestCase):
    """What is as in Dante, but surprises people: not a warning, only ``sockd check`` shows it."""

    def remarks(self, rules: str, *settings: str) -> list[str]:
        """The remarks about these rules, which are no warnings."""
        parsed = with_rules(rules, HEAD + "".join(f"{line}\n" for line in settings))
        policy_of(parsed)
        found = remarks(parsed)
        self.assertEqual([text for text in warnings(parsed, ours=True) if text in found], [])
        return found

    def test_suffix(self) -> None:
        """A domain's sibling fits it too: said once, not of subdomains only or of every name."""
        logged = "log.unmatched: disconnect"
        rule = "socks block { from: 0/0 to: %s log: connect }\n"
        for domain in (".example.org", ".a"):
            name = domain[1:]
            (said,) = self.remarks(CLIENTS + rule % domain + rule % ".other.example", logged)
            self.assertEqual(
                said, f'10:29 "{domain}" also matches "{name}" and "not{name}", as in Dante'
            )
        for domain in ("..example.org", ".", "example.org", "0/0"):
            self.assertEqual(self.remarks(CLIENTS + rule % domain, logged), [], domain)

    def test_suffix_fits(self) -> None:
        """What the remark says is so, and what it advises helps."""
        for written, name, fits in (
            (".example.org", "notexample.org", True),
            (".example.org", "www.example.org", True),
            (".example.org", "example.org", True),
            ("..example.org", "notexample.org", False),
            ("..example.org", "www.example.org", True),
            ("..example.org", "example.org", False),
        ):
            rules = CLIENTS + f"socks pass {{ from: 0/0 to: {written} }}"
            asked = question(target=name, addresses=("192.0.2.7",))
            decision = decide_socks(policy_of(with_rules(rules)), asked, {})
            assert isinstance(decision, Decision)
            self.assertIs(decision.rule.verdict is Verdict.PASS, fits, (written, name))

    def test_unlogged(self) -> None:
        """Refusals that leave no line are said once, where the rules end."""
        text = "rule matches is refused without a line in the log, as in Dante"
        some = "socks pass { from: 0/0 to: 10.0.0.0/8 }\n"
        few = "client pass { from: 10.0.0.0/8 to: 0/0 }\n"
        rest = "socks block { from: 0/0 to: 0/0 log: connect }\n"
        silent = rest.replace("connect", "error")
        for rules, settings, said in (
            (CLIENTS + some, (), [f"9:1 what no socks {text}"]),
            (few + some, (), [f"8:1 what no client {text}"]),
            (few + rest, (), [f"8:1 what no client {text}"]),
            (
                CLIENTS + rest.replace("log", "command: connect\nlog"),
                (),
                [f"9:1 what no socks {text}"],
            ),
            (CLIENTS + some + rest, (), []),
            (CLIENTS + some, ("log.unmatched: error",), [f"10:1 what no socks {text}"]),
            (CLIENTS + some, ("log.unmatched: ioop",), []),
            (
                CLIENTS + silent,
                (),
                ["9:1 what this rule blocks leaves no line in the log, as in Dante"],
            ),
            (CLIENTS + some, ("log.unmatched: connect",), []),
            (CLIENTS + some, ("debug: 1",), []),
        ):
            self.assertEqual(self.remarks(rules, *settings), said, (rules, settings))

    def test_unlogged_logins(self) -> None:
        """Failed logins that leave no line are said once, for the first such client rule."""
        said = ["8:1 failed logins under this rule leave no line in the log, as in Dante"]
        rest = "socks pass { from: 0/0 to: 0/0 }\n"
        for words, methods, expected in (
            ("", "username", said),
            ("log: connect", "username", said),
            ("log: error", "username", []),
            ("log: disconnect", "username", []),
            ("", "pam.username none", said),
            ("", "none", []),
            ("", "rfc931", []),
        ):
            rules = f"client pass {{ from: 0/0 to: 0/0 {words} }}\n" * 2 + rest
            head = HEAD.replace("socksmethod: none", f"socksmethod: {methods}")
            parsed = with_rules(rules, head)
            policy_of(parsed)
            self.assertEqual(remarks(parsed), expected, (words, methods))
        rules = "client pass { from: 127.0.0.1/32 to: 0/0 }\nclient block { from: 0/0 to: 0/0 "
        head = HEAD.replace("socksmethod: none", "socksmethod: username")
        self.assertEqual(remarks(with_rules(rules + "log: connect }\n" + rest, head)), [])


class OpenTests(SynchronousTestCase):
    """Doors left open."""

    def said(self, rules: str, words: str, head: str = OUTSIDE) -> int:
        """How often our warnings say these words."""
        return len([text for text in advice(rules, head) if words in text])

    def test_open_proxy(self) -> None:
        """Everything from everywhere without authentication is warned of, outside."""
        everything = CLIENTS + "socks pass { from: 0.0.0.0/0 to: 0/0 }\n"
        for rules, head, count in (
            (everything, OUTSIDE, 1),
            (everything, HEAD, 0),
            ("socks block { from: 0/0 to: lo }\n" + everything, OUTSIDE, 1),
            ("socks block { from: 0/0 to: 0/0 }\n" + everything, OUTSIDE, 0),
            ("client block { from: 0/0 to: 0/0 }\n" + everything, OUTSIDE, 0),
            (
                "client pass { from: 10.0.0.0/8 to: 0/0 }\nsocks pass { from: 0/0 to: 0/0 }",
                OUTSIDE,
                0,
            ),
            (CLIENTS + "socks pass { from: 0/0 to: 0/0 port = 443 }", OUTSIDE, 0),
            (everything, OUTSIDE.replace("socksmethod: none", "socksmethod: username"), 0),
        ):
            self.assertEqual(self.said(rules, "without authentication", head), count, rules)

    def test_inward(self) -> None:
        """Loopback and the clouds' address that can be reached are said once, with the rest."""
        passing = "socks pass { from: 0/0 to: 0.0.0.0/0 }\n"
        for rules, expected in (
            (passing, "127.0.0.1 169.254.169.254"),
            (passing + "socks pass { from: 10.0.0.0/8 to: lo }", "127.0.0.1 169.254.169.254"),
            ("socks block { from: 0/0 to: lo }\n" + passing, "169.254.169.254"),
            ("socks block { from: 0/0 to: 127.0.0.0/8 }\n" + passing, "169.254.169.254"),
            ("socks pass { from: 0/0 to: 0/0 }", "127.0.0.1 ::1 169.254.169.254"),
            ("socks pass { from: 127.0.0.0/8 to: 0/0 }", None),
            ("socks pass { from: 0/0 to: 10.0.0.0/8 }", None),
            ("socks pass { from: 0/0 to: 0/0\ncommand: bindreply udpreply\n}", None),
        ):
            found = [text for text in advice(rules, OUTSIDE) if "can reach" in text]
            self.assertEqual(len(found), 1 if expected else 0, rules)
            if expected:
                self.assertIn(f"can reach {expected} through", found[0])
