"""Tests of the keywords in rules: :mod:`dantetw.config.keywords`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dantetw.policy import Policy, Rule
from dantetw.values import (
    LOG_CONNECT,
    LOG_DATA,
    LOG_DISCONNECT,
    LOG_ERROR,
    LOG_IOOP,
    LOG_TCPINFO,
    Command,
    Method,
    Protocol,
    ProxyProtocol,
    Verdict,
)
from tests.config.fakes import HEAD, errors, policy_of, read, warnings, with_rules

ALL = "from: 0/0 to: 0/0"
BOTH = HEAD.replace("socksmethod: none", "socksmethod: username none")
C, B, BR = Command.CONNECT, Command.BIND, Command.BINDREPLY
UA, UR = Command.UDPASSOCIATE, Command.UDPREPLY
TCP, UDP = Protocol.TCP, Protocol.UDP


def socks(body: str, head: str = HEAD) -> Rule:
    """A socks rule from everywhere to everywhere with these options."""
    return policy_of(with_rules(f"socks pass {{ {ALL}\n{body}\n}}", head)).socks_rules[0]


def policy_with(unsupported_free: str) -> Policy:
    """A policy in which nothing is unsupported."""
    return policy_of(read(HEAD + unsupported_free + "\n", {}))


class FingerprintTests(SynchronousTestCase):
    """What identifies a rule over reloads."""

    def fingerprints(self, *rules: str, head: str = HEAD) -> list[str]:
        """The fingerprints of socks rules."""
        text = "\n".join(f"socks {rule}" for rule in rules)
        return [rule.fingerprint for rule in policy_of(with_rules(text, head)).socks_rules]

    def test_text(self) -> None:
        """Each value of a rule counts, and its verdict; two rules are never taken for one."""
        rules = (
            f"pass {{ {ALL} }}",
            f"block {{ {ALL} }}",
            "pass { from: 10.0.0.0/8 to: 0/0 }",
            "pass { from: 0/0 to: 10.0.0.0/8 }",
            "pass { from: 10.0.0.0/9 to: 0/0 }",
            "pass { from: 0/0 to: 0/0 port = 80 }",
            "pass { from: 0/0 to: 0/0 port gt 80 }",
            f"pass {{ {ALL}\nlog: connect }}",
            f"pass {{ {ALL}\nlog: connect error }}",
            f"pass {{ {ALL}\ntimeout.connect: 5 }}",
        )
        found = self.fingerprints(*rules)
        self.assertEqual(len(set(found)), len(rules))
        for fingerprint in found:
            self.assertRegex(fingerprint, "^[0-9a-f]{16}$")

    def test_position(self) -> None:
        """Neither other rules, nor blanks and comments, nor global settings change it."""
        rule, other = f"pass {{ {ALL}\nlog: connect }}", f"block {{ {ALL} }}"
        spaced = f"pass {{ # nothing\n\n  {ALL.replace(': ', ':  ')} # all\n log:  connect\n}}"
        head = f"{HEAD}timeout.connect: 9\n"
        (expected,) = self.fingerprints(rule)
        self.assertEqual(self.fingerprints(other, spaced, head=head)[1], expected)

    def test_equals(self) -> None:
        """Rules with the same text differ, by their order; those of other kinds do not count."""
        rule = f"pass {{ {ALL} }}"
        client = policy_of(with_rules(f"client {rule}\nsocks {rule}")).client_rules[0]
        first, second, third = self.fingerprints(rule, rule, rule)
        self.assertEqual((second, third), (f"{first}.2", f"{first}.3"))
        self.assertEqual(client.fingerprint, first)


class RuleTests(SynchronousTestCase):
    """What a rule's statements become."""

    def test_numbers_and_verdicts(self) -> None:
        """Rules are numbered per kind in file order and know where they begin."""
        policy = policy_of(
            with_rules(
                f"client block {{ {ALL} }}\nsocks pass {{ {ALL} }}\n"
                f"client pass {{ {ALL} }}\n  block {{ {ALL} }}"
            )
        )
        self.assertEqual(
            [(r.kind.value, r.number, r.verdict, str(r.where)) for r in policy.client_rules],
            [
                ("client", 1, Verdict.BLOCK, "sockd.conf:8:1"),
                ("client", 2, Verdict.PASS, "sockd.conf:10:1"),
            ],
        )
        self.assertEqual(
            [(r.kind.value, r.number, r.verdict, str(r.where)) for r in policy.socks_rules],
            [
                ("socks", 1, Verdict.PASS, "sockd.conf:9:1"),
                ("socks", 2, Verdict.BLOCK, "sockd.conf:11:3"),
            ],
        )

    def test_commands_and_protocols(self) -> None:
        """``command`` and ``protocol`` fill each other in."""
        for body, commands, protocols in (
            ("", {C, B, BR, UA, UR}, {TCP, UDP}),
            ("protocol: tcp", {C, B, BR}, {TCP}),
            ("protocol: udp", {UA, UR}, {UDP}),
            ("protocol: tcp udp", {C, B, BR, UA, UR}, {TCP, UDP}),
            ("command: connect", {C}, {TCP, UDP}),
            ("command: bind bindreply", {B, BR}, {TCP}),
            ("command: udpreply", {UR}, {UDP}),
            ("command: bind\ncommand: udpassociate", {B, UA}, {TCP, UDP}),
            ("command: connect\nprotocol: tcp", {C}, {TCP}),
        ):
            rule = socks(body)
            self.assertEqual((rule.commands, rule.protocols), (commands, protocols), body)

    def test_commands_that_do_not_meet(self) -> None:
        """A command without its protocol is warned of, in Dante's words."""
        for body, name in (
            ("command: connect\nprotocol: udp", "TCP"),
            ("command: udpreply\nprotocol: tcp", "UDP"),
        ):
            found = warnings(with_rules(f"socks pass {{ {ALL}\n{body}\n}}"))
            self.assertEqual(
                found,
                [
                    f"socks-rule specifies {name}-based commands, but does not enable the {name} "
                    "protocol.  This is probably not what was intended"
                ],
            )

    def test_client_rule(self) -> None:
        """A client rule is about accepting only."""
        rule = policy_of(with_rules(f"client pass {{ {ALL} }}")).client_rules[0]
        self.assertEqual(rule.commands, {Command.ACCEPT})
        self.assertEqual((rule.client_methods, rule.socks_methods), ((Method.NONE,),) * 2)

    def test_proxy_protocols(self) -> None:
        """Both versions of SOCKS unless the rule says otherwise."""
        v4, v5 = ProxyProtocol.SOCKS_V4, ProxyProtocol.SOCKS_V5
        for body, expected in (
            ("", {v4, v5}),
            ("proxyprotocol: socks_v5", {v5}),
            ("proxyprotocol: socks_v4\nproxyprotocol: http_v1.0", {v4, ProxyProtocol.HTTP}),
        ):
            self.assertEqual(socks(body).proxy_protocols, expected)

    def test_log(self) -> None:
        """Words add up; ``ioop`` has two spellings."""
        for body, expected in (
            ("", 0),
            ("log: connect\nlog: error", LOG_CONNECT | LOG_ERROR),
            ("log: iooperation ioop", LOG_IOOP),
            ("log: data tcpinfo disconnect", LOG_DATA | LOG_TCPINFO | LOG_DISCONNECT),
        ):
            self.assertEqual(socks(body).log, expected, body)

    def test_debug(self) -> None:
        """``debug`` turns logging on in every rule."""
        rule = socks("log: data", HEAD + "debug: 1\n")
        self.assertEqual(rule.log, LOG_CONNECT | LOG_DISCONNECT | LOG_ERROR | LOG_IOOP | LOG_DATA)

    def test_timeouts(self) -> None:
        """A rule begins with the global timeouts; fin-wait is reduced with a warning."""
        head = HEAD + "timeout.io: 7\ntimeout.connect: 5\n"
        times = socks("timeout.io.tcp: 9", head).timeouts
        self.assertEqual((times.connect, times.io_tcp, times.io_udp), (5, 9, 7))
        parsed = with_rules(f"socks pass {{ {ALL}\ntimeout.tcp_fin_wait: 9 }}", head)
        self.assertEqual(policy_of(parsed).socks_rules[0].timeouts.tcp_fin_wait, 7)
        self.assertIn("reducing tcp-fin-wait for this rule from 9 to 7", warnings(parsed)[0])

    def test_places(self) -> None:
        """Every keyword that is there remembers where its last value is; others are absent."""
        rule = policy_of(
            with_rules(f"socks pass {{\n  {ALL}\n  log: connect\n  log: error data\n}}")
        ).socks_rules[0]
        self.assertEqual(
            {name: f"{where.line}:{where.column}" for name, where in rule.places.items()},
            {"from": "9:9", "to": "9:17", "log": "11:14"},
        )

    def test_portrange(self) -> None:
        """``udp.portrange`` is two ports, the first not above the last."""
        for body, expected in (("1-2", (1, 2)), ("1 - 2 log: error", (1, 2)), ("5-5", (5, 5))):
            self.assertEqual(socks(f"udp.portrange: {body}").udp.portrange, expected)
        for body in ("3-2", "0-70000", "5", "x-y", ""):
            parsed = with_rules(f"socks pass {{ {ALL}\nudp.portrange: {body}\n}}")
            self.assertEqual(len(errors(parsed)), 1, body)

    def test_socket_options(self) -> None:
        """Options stay with the rule; those that come too late, or make no sense, are told of."""
        (option,) = socks("external.socket.so_rcvbuf: 100").socket_options
        self.assertEqual((option.option, option.value), (8, 100))
        for head, line, count in (
            ("socks pass", "internal.socket.so_rcvbuf: 1", 1),
            ("socks pass", "internal.ip.ip_tos: 1", 0),
            ("client pass", "internal.ip.ip_ttl: 1", 1),
        ):
            parsed = with_rules(f"{head} {{ {ALL}\n{line}\n}}")
            policy_of(parsed)
            self.assertEqual(len(warnings(parsed)), count, line)
        for head in ("client pass", "client block", "socks block"):
            parsed = with_rules(f"{head} {{ {ALL}\nexternal.ip.ip_ttl: 1\n}}")
            self.assertEqual(len(errors(parsed)), 1, head)

    def test_refused(self) -> None:
        """Keywords of other kinds of rules, and values of none, are one error each."""
        for head, line in (
            ("client pass", "protocol: tcp"),
            ("client pass", "proxyprotocol: socks_v4"),
            ("client pass", "udp.portrange: 1-2"),
            ("client pass", "bsdauth.stylename: x"),
            ("client pass", "bounce to: 1.2.3.4 port = 3"),
            ("client pass", "redirect from: 1.2.3.4"),
            ("client pass", "alarm.mtu-error"),
            ("socks pass", "bounce to: 1.2.3.4 port = 3"),
            ("socks pass", "session.inheritable: no"),
            ("socks pass", "clientcompatibility: necgssapi"),
            ("socks pass", "extension: bind"),
            ("socks pass", "srchost: nodnsmismatch"),
            ("socks pass", "via: direct"),
            ("socks pass", "session.max: 0"),
            ("socks pass", "session.throttle: 5"),
            ("socks pass", "session.throttle: 0/5"),
            ("socks pass", "session.state.key: foo"),
            ("socks pass", "external.log.warn.error: ENOENT"),
        ):
            parsed = read(HEAD + f"{head} {{ {ALL}\n{line}\n}}\n", {})
            found = errors(parsed)
            self.assertEqual(len(found), 1, (line, found))
            self.assertTrue(found[0].startswith("9:"), found)


class MethodTests(SynchronousTestCase):
    """Methods, users and groups."""

    def test_inherited(self) -> None:
        """A rule that names no methods has the global ones, for users those that give a name."""
        for body, expected in (
            ("", (Method.USERNAME, Method.NONE)),
            ("socksmethod: none", (Method.NONE,)),
            ("socksmethod: none\nsocksmethod: username", (Method.USERNAME,)),
            ("method: username", (Method.USERNAME,)),
            ("user: bob", (Method.USERNAME,)),
            ("group: staff", (Method.USERNAME,)),
            ("command: udpreply", (Method.USERNAME, Method.NONE)),
        ):
            self.assertEqual(socks(body, BOTH).socks_methods, expected, body)

    def test_users(self) -> None:
        """Names add up."""
        rule = socks("user: bob alice\nuser: carol\ngroup: staff", BOTH)
        self.assertEqual((rule.users, rule.groups), ({"bob", "alice", "carol"}, {"staff"}))

    def test_offered(self) -> None:
        """In a client rule ``socksmethod`` is what is offered, in the rule's order."""
        policy = policy_of(
            with_rules(
                f"client pass {{ {ALL}\nsocksmethod: none username\n}}\nclient pass {{ {ALL} }}",
                BOTH,
            )
        )
        self.assertEqual(
            [rule.socks_methods for rule in policy.client_rules],
            [(Method.NONE, Method.USERNAME), (Method.USERNAME, Method.NONE)],
        )

    def test_no_method(self) -> None:
        """A rule that can have no method is warned of."""
        for head, body in (
            (HEAD.replace("socksmethod: none\n", ""), ""),
            (HEAD, "user: bob"),
        ):
            parsed = with_rules(f"socks pass {{ {ALL}\n{body}\n}}", head)
            self.assertEqual(policy_of(parsed).socks_rules[0].socks_methods, ())
            self.assertIn("socks-rule #1 sets no socks authentication methods", warnings(parsed)[0])

    def test_refused(self) -> None:
        """Methods must be global, and give the name that the rule asks for."""
        for head, kind, body, expected in (
            (HEAD, "socks", "socksmethod: username", 'method "username" is set in the rule'),
            (HEAD, "client", "socksmethod: username", 'method "username" is set in the rule'),
            (HEAD, "client", "clientmethod: pam.any", 'clientmethod "pam.any" is set in the rule'),
            (BOTH, "socks", "socksmethod: username none\nuser: b", "the socksmethod none"),
            (HEAD, "client", "user: bob", "the clientmethod none"),
            (BOTH, "client", "socksmethod: username\ngroup: b", "the clientmethod none"),
            (BOTH, "socks", "command: udpreply\nuser: b", "UDP replies cannot provide"),
            (BOTH, "socks", "command: bindreply\nuser: b", "to be used for replies"),
        ):
            text = f"{kind} pass {{ {ALL}\n{body}\n}}\n"
            found = errors(read(head + text, {}))
            self.assertEqual(len(found), 1, (body, found))
            self.assertIn(expected, found[0])

    def test_follow_up(self) -> None:
        """A mistake in the global methods is not repeated by every rule."""
        head = HEAD.replace("socksmethod: none", "socksmethod: usernam")
        parsed = with_rules(f"socks pass {{ {ALL}\nsocksmethod: username\n}}", head)
        self.assertEqual(len(errors(parsed)), 1)


class LimitTests(SynchronousTestCase):
    """Checks of what is not built yet."""

    def test_sessions(self) -> None:
        """Session limits must fit together as in Dante."""
        for body, expected in (
            ("session.max: 5 session.throttle: 5/6", ""),
            ("session.state.key: from session.state.max: 3", ""),
            ("session.state.key: from session.state.throttle: 3/4", ""),
            ("session.state.key: from", "state key is set"),
            ("session.state.max: 3", "session.state.key is not"),
            ("session.state.key: from session.state.max: 5 session.max: 3", "larger value"),
            (
                "session.state.key: from session.state.throttle: 9/1 session.throttle: 2/1",
                "more strict",
            ),
        ):
            self.check(f"client pass {{ {ALL} {body} }}", expected)

    def test_monitors(self) -> None:
        """Alarms must not overlap; a monitor without any is warned of."""
        for body, expected in (
            ("alarm.data: 3 in 5", ""),
            ("internal.alarm.data.recv: 3 in 5 internal.alarm.data.send: 3 in 5", ""),
            ("alarm.data.recv: 3 in 5 internal.alarm.data.send: 4 in 5", "aggregated"),
            ("alarm.disconnect: 3/5", ""),
            ("alarm.disconnect: 3/5 in 10", ""),
            ("alarm.disconnect: 5/3", "cannot be lower"),
            ("external.alarm.mtu-error", ""),
            ("alarm.mtu-error: 3", "unexpected"),
            ("log: error", "cannot stand in a monitor"),
        ):
            self.check(f"monitor {{ {ALL} {body} }}", expected)
        self.assertIn("no alarms", warnings(read(HEAD + f"monitor {{ {ALL} }}", {}))[0])

    def test_routes(self) -> None:
        """Routes are checked as in Dante."""
        via = "via: 127.0.0.1 port = 1080"
        for body, expected in (
            (via, ""),
            ("via: direct command: connect bind", ""),
            ("via: 127.0.0.1 port: 1080", "not a number"),
            ("via: 127.0.0.1 port = 1-3", "after the port"),
            ("via: 127.0.0.1/32 port = 1080", "no netmask should be"),
            ("via: broadcast", "upnp"),
            ("via: http://foo/ ", "upnp"),
            (f"{via}\ncommand: bind", "only supported for the connect command"),
            (f"{via}\ncommand: connect\nprotocol: tcp udp", "only supported for the connect"),
            (f"{via}\nsocksmethod: none", "cannot stand in a route"),
            (f"{via}\nproxyprotocol: socks_v4 http", "cannot combine"),
            (f"{via}\nproxyprotocol: direct", "unknown proxy protocol"),
            (f"{via}\nlog: error", "cannot stand in a route"),
            ("", 'has no "via"'),
        ):
            self.check(f"route {{ {ALL} {body}\n}}", expected)
        self.check("route { from: lo to: 0/0 via: direct }", "interface names not supported")

    def check(self, text: str, expected: str) -> None:
        """One error that says what is ``expected``, or none."""
        found = errors(read(f"{HEAD}{text}\n", {}))
        self.assertEqual(len(found), 1 if expected else 0, (text, found))
        if expected:
            self.assertIn(expected, found[0])
