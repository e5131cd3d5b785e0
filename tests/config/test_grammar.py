"""Tests for :mod:`dantetw.config.grammar`: the shape of a file, and what follows a mistake."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.config.fakes import (
    HEAD,
    RULES,
    errors,
    policy_of,
    read,
    warnings,
    with_globals,
    with_rules,
)

ALL = "from: 0/0 to: 0/0"


class ShapeTests(SynchronousTestCase):
    """What Dante accepts, and what it does not."""

    def test_accepted(self) -> None:
        """Braces, comments, newlines and continued lines may stand where Dante allows them."""
        for text in (
            f"client pass {{ {ALL} }}",
            f"client  pass {{ {ALL} }}",
            f" client pass {{ {ALL} }}",
            f"client pass\n{{ {ALL} }}",
            f"client pass # x\n\n{{ {ALL} }} # y",
            f"client pass{{{ALL} }}",
            "client pass { from: 0/0\n\n# x\n to: 0/0 }",
            "client pass { from: 0/0 \\\n to: 0/0 }",
            "client pass { from: 0/0 port = 80 to: 0/0 port=443 }",
            f"client pass {{ log: error\n{ALL} }}",
            f"client pass {{ {ALL} log: \\\n error connect }}",
            f"client pass {{ {ALL} timeout.io:5}}",
            f"client pass {{ {ALL} timeout.io: 3 timeout.connect: 4 log: error }}",
            f"socks pass {{ {ALL} timeout.io:5log:error}}",
            f"block{{ {ALL} }}",
            f"block {{ {ALL} }}",
        ):
            self.assertEqual(errors(with_rules(text)), [], text)

    def test_refused(self) -> None:
        """Each of Dante's syntax errors is one error, at the word that is wrong."""
        for text, expected in (
            (f"client deny {{ {ALL} }}", '8:8 unexpected "deny" after "client"'),
            (f"client pass {{ {ALL} }}}}", '8:34 unexpected "}": no rule is open'),
            (f"client pass {{ {ALL}", "8:1 the rule that begins here is not closed before line 9"),
            (f"socks: pass {{ {ALL} }}", '8:1 unknown keyword "socks"'),
            (f"client\npass {{ {ALL} }}", None),
            (f"Client pass {{ {ALL} }}", '8:1 unknown kind of rule "Client"'),
            (f"foo {{ {ALL} }}", '8:1 unknown kind of rule "foo"'),
            (f"client pass {{ {ALL} {ALL} }}", '8:33 "from" is there twice'),
            ("client pass { to: 0/0 from: 0/0 }", '8:15 "to" must follow directly after "from"'),
            ("client pass { }", '8:15 the client rule has no "from"'),
            ("client pass { from: 0/0 }", '8:25 the client rule has no "to"'),
            (
                "client pass { from: 0/0 log: error\n to: 0/0 }",
                '8:25 "log" between "from" and "to"',
            ),
            (
                f"client pass {{ {ALL} command: connect }}",
                '8:33 "command" cannot stand in a client rule',
            ),
            (f"client pass {{ {ALL} debug: 1 }}", '8:33 "debug" cannot stand in a client rule'),
            (
                f"client pass {{ {ALL} log: error log: data }}",
                '8:44 "log:" on the same line: a list owns the rest of its line',
            ),
            (
                f"client pass {{ {ALL} }} socks pass {{ {ALL} }}",
                '8:35 "socks" must be the first word of its line',
            ),
            ("user: bob", '8:1 "user" cannot stand among the global settings'),
            (";", '8:1 unknown keyword ";"'),
            ("debug 1", '8:1 no colon after "debug"'),
            ("debug: 1 2", '8:10 unknown keyword "2"'),
            ("internal:\n127.0.0.1", "8:10 no value"),
            ("inter\\\nnal: 127.0.0.1", None),
        ):
            found = errors(with_rules(text))
            if expected is None:
                self.assertTrue(found, text)
            else:
                self.assertEqual(found, [expected], text)

    def test_globals_first(self) -> None:
        """A global keyword after a rule is an error, and not another one for what it set."""
        text = HEAD.replace("internal", "#") + RULES + "internal: 127.0.0.1\n"
        self.assertEqual(
            errors(read(text)),
            [
                '10:1 "internal" after the first rule: global settings must come before the first '
                "rule"
            ],
        )

    def test_old_heads(self) -> None:
        """``pass`` alone is a socks rule, with Dante's warning."""
        parsed = with_rules(f"pass {{ {ALL} }}")
        self.assertEqual(len(policy_of(parsed).socks_rules), 1)
        self.assertIn('keyword "pass" is deprecated', warnings(parsed)[0])

    def test_old_keywords(self) -> None:
        """Old names mean new ones, or nothing, with Dante's warning."""
        parsed = with_globals(
            "connecttimeout: 7", "iotimeout: 8", "child.maxidle: yes", "localdomain: a b"
        )
        timeouts = policy_of(parsed).timeouts
        self.assertEqual((timeouts.connect, timeouts.io_tcp, timeouts.io_udp), (7, 8, 8))
        self.assertEqual(len(warnings(parsed)), 4)


class RecoveryTests(SynchronousTestCase):
    """All errors of a file in one run, and no others."""

    def test_all_errors(self) -> None:
        """One mistake is one error, also several on neighbouring lines."""
        text = (
            "intenal: 127.0.0.1\n"  # 1
            "external: nowhere.example\n"
            "socksmetod: none\n"
            "debug: on\n"
            "user.privileged: nemo\n"  # 5
            "client pass {\n"
            "  from: 10/8 to: 0/0\n"
            "  log: conect eror\n"
            "  sesion.max: 4\n"
            "}\n"  # 10
            "socks pas {\n"
            "  form: 0/0 to: 0/0\n"
            "}\n"
            "sock pass { from: 0/0 to: 0/0 }\n"
            "socks pass { from: 0/0 to: 0/0 command: conect }\n"  # 15
        )
        self.assertEqual(
            errors(read(text)),
            [
                '1:1 unknown keyword "intenal"',
                '2:11 could not resolve hostname "nowhere.example"',
                '3:1 unknown keyword "socksmetod"',
                '4:8 "on" is not a number',
                '5:18 getpwnam(3) says no such user "nemo"',
                '7:9 "10" is not an address',
                '8:8 unknown log word "conect"',
                '8:15 unknown log word "eror"',
                '9:3 unknown keyword "sesion.max"',
                '11:7 unexpected "pas" after "socks"',
                '12:3 unknown keyword "form"',
                '14:1 unknown kind of rule "sock"',
                '15:41 unknown command "conect"',
            ],
        )

    def test_one_line_rule(self) -> None:
        """After a mistake on the line of its closing brace the rule is closed all the same."""
        parsed = with_rules("client pass { from: 0/0 to: 0/0 foo: 1 }\n" + RULES)
        self.assertEqual(errors(parsed), ['8:33 unknown keyword "foo"'])

    def test_unclosed(self) -> None:
        """A rule that is not closed ends where the next begins."""
        parsed = with_rules("client pass { from: 0/0 to: 0/0\n" + RULES)
        self.assertEqual(
            errors(parsed), ["8:1 the rule that begins here is not closed before line 9"]
        )

    def test_template(self) -> None:
        """A template that has not been filled in is refused, with one error per value."""
        parsed = with_rules("client pass { from: {{ net }}/8 to: 0/0 }\n" + RULES)
        self.assertEqual(errors(parsed), ['8:21 unexpected "{"'])

    def test_too_many(self) -> None:
        """A file that is not a configuration file at all gets a hundred errors, not a million."""
        parsed = read("a\n" * 100000)
        self.assertEqual(len(parsed.problems), 101)
        self.assertIn("too many errors", parsed.problems[-1].text)

    def test_hints(self) -> None:
        """Values get hints too, and keywords the places where they may stand."""
        for line, hint in (
            ("socksmethod: usrname", "username"),
            ("external.rotation: same", "same-same"),
            ("external.log.warn.error: no-route", "warning"),
            ("external.tcp.tcp_nodely: 1", "tcp_nodelay"),
            ("Internal: ::1", "internal"),
        ):
            self.assertEqual(with_globals(line).problems[0].hint, hint)
        self.assertIn("client rule", with_globals("user: bob").problems[0].expected)


class BraceTests(SynchronousTestCase):
    """Braces that Dante takes for values."""

    def test_closes(self) -> None:
        """The brace closes the rule; there is a warning where Dante would have swallowed it."""
        head = HEAD.replace("socksmethod: none", "socksmethod: username")
        for option in ("user: bob }", "user: bob}", "group: bob }", "\n}"):
            parsed = with_rules(f"socks pass {{ {ALL} {option}", head)
            policy = policy_of(parsed)
            names = policy.socks_rules[0].users | policy.socks_rules[0].groups
            self.assertEqual(names, {"bob"} if "bob" in option else set(), option)
            found = [text for text in warnings(parsed, ours=True) if "swallowed" in text]
            self.assertEqual(len(found), 1 if "bob" in option else 0, option)

    def test_glued_to_name(self) -> None:
        """The same behind a host name, but not behind a net, where Dante sees the brace."""
        for address, swallowed in (
            ("lo}", 1),
            (".example.com}", 1),
            ("0/0}", 0),
            ("10.0.0.0/8}", 0),
        ):
            parsed = with_rules(f"socks pass {{ from: 0/0 to: {address}")
            policy_of(parsed)
            found = [text for text in warnings(parsed, ours=True) if "swallowed" in text]
            self.assertEqual(len(found), swallowed, address)

    def test_second_brace(self) -> None:
        """A file made to please Dante, with a second brace, is accepted."""
        head = HEAD.replace("socksmethod: none", "socksmethod: username")
        policy_of(with_rules(f"socks pass {{ {ALL} user: bob }}\n}}\n" + RULES, head))

    def test_keyword_as_name(self) -> None:
        """A keyword on the line of a list of names is a name, with a warning."""
        head = HEAD.replace("socksmethod: none", "socksmethod: username")
        parsed = with_rules(f"socks pass {{ {ALL} user: bob log: error\n}}", head)
        self.assertEqual(policy_of(parsed).socks_rules[0].users, {"bob", "log:", "error"})
        self.assertIn("looks like a keyword", warnings(parsed, ours=True)[0])
