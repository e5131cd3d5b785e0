"""Tests of the keywords in the global settings: :mod:`dantetw.config.keywords`."""

from __future__ import annotations

import errno

from twisted.trial.unittest import SynchronousTestCase

from dantetw.catalogue import PROGRAM
from dantetw.config import parse
from dantetw.config.keywords.sockets import OPTIONS
from dantetw.config.problems import render_problems
from dantetw.policy import Edge, ResolveProtocol, Rotation, SocketOption
from dantetw.values import LOG_CONNECT, LOG_ERROR, LOG_TCPINFO, Family, Method, Severity
from tests.config.fakes import (
    HEAD,
    RULES,
    FakeSystem,
    errors,
    policy_of,
    read,
    warnings,
    with_globals,
)

ADDRESSES = "internal: 127.0.0.1\nexternal: lo\n"


class AddressTests(SynchronousTestCase):
    """``internal`` and ``external``."""

    def listens(self, *lines: str) -> list[str]:
        """Where a file listens."""
        policy = policy_of(read("\n".join(lines) + "\nexternal: lo\n"))
        return [
            f"{endpoint.host}.{endpoint.port}"
            for internal in policy.internal
            for endpoint in internal.listens
        ]

    def test_internal(self) -> None:
        """Addresses, interfaces, names and wildcards are listened on; duplicates once."""
        for lines, expected in (
            (("internal: 127.0.0.1 port = 12",), ["127.0.0.1.12"]),
            (("internal:127.0.0.1 port: 12",), ["127.0.0.1.12"]),
            (("internal: 127.0.0.1",), ["127.0.0.1.1080"]),
            (("internal: 127.0.0.1 port = http",), ["127.0.0.1.80"]),
            (("internal: lo port = 5",), ["127.0.0.1.5", "::1.5"]),
            (("internal: eth0",), ["192.0.2.1.1080", "2001:db8::1.1080", "fe80::1%eth0.1080"]),
            (("internal: gate.example port = 5",), ["192.0.2.1.5"]),
            (("internal: 0.0.0.0 port = 5",), ["0.0.0.0.5"]),
            (("internal: ::0 port = 5",), ["::.5"]),
            (("internal: 127.0.0.1", "internal: lo"), ["127.0.0.1.1080", "::1.1080"]),
            (("internal.protocol: ipv6", "internal: lo"), ["::1.1080"]),
            (
                ("internal.protocol: ipv6", "internal.protocol: ipv4", "internal: lo port = 1"),
                ["127.0.0.1.1", "::1.1"],
            ),
            (("internal: 127.0.0.1 port 5 - 9",), ["127.0.0.1.5"]),
        ):
            self.assertEqual(self.listens(*lines), expected, lines)

    def test_external(self) -> None:
        """An interface is kept as a name; the families are those asked for."""
        policy = policy_of(read("internal: lo\nexternal.protocol: ipv6\nexternal: eth0\n"))
        (external,) = policy.external
        self.assertEqual(
            (external.interface, external.addresses), ("eth0", ("2001:db8::1", "fe80::1%eth0"))
        )
        self.assertEqual(policy.external_families, {Family.IPV6})
        (external,) = policy_of(read("internal: lo\nexternal: gate.example\n")).external
        self.assertEqual((external.interface, external.addresses), ("", ("192.0.2.1",)))

    def test_refused(self) -> None:
        """Each of Dante's errors is one error."""
        for line, expected in (
            ("internal: ::1 port = 0", "addinternal(): address ::1.0"),
            ("internal: nosuch.invalid", 'could not resolve hostname "nosuch.invalid"'),
            ("internal: 127.0.0.1/32", "A netmask has been specified for this IPv4"),
            ("internal: 0/0", "A netmask has been specified for this <IPvAny>"),
            ("internal: 127.0.0.1 port 9-5", "end port (5) can not be less"),
            ("internal: [::1] port = 3", '"[::1]" is not an address'),
            ("internal: a", '"a" is not an address'),
            ("internal: socks5://x", '"socks5://x" is not an address'),
            ("internal: ::ffff:1.2.3.4", "we do not use IPv4-mapped"),
            ("internal: {{ address }}", 'unexpected "{"'),
            ("internal: x${y}", "brace in the name"),
            ("internal.protocol: ipv4", "protocols and address-families on the internal"),
            ("external.protocol: ipv4", "protocols and address-families on the external"),
            ("external: 127.0.0.1 port = 3", "no port can be given here"),
            ("external: 0.0.0.0", "external address (0.0.0.0/32) to connect out from cannot"),
            ("external: ::", "external address (::/128) to connect out from cannot"),
            ("external: 198.51.100.1", "checkconfig(): cannot bind external address"),
            ("external: eth99", 'could not resolve hostname "eth99"'),
        ):
            found = errors(with_globals("interface.missing: fail", line))
            self.assertEqual(len(found), 1, (line, found))
            self.assertIn(expected, found[0])

    def test_missing(self) -> None:
        """Both are required, also where all addresses are of the wrong family."""
        none = "checkconfig(): no {} address"
        for text, side in (
            ("external: lo\n", "internal"),
            ("internal: lo\n", "external"),
            ("internal.protocol: ipv6\ninternal: 127.0.0.1\nexternal: lo\n", "internal"),
            ("internal: lo\nexternal.protocol: ipv6\nexternal: 127.0.0.1\n", "external"),
        ):
            found = errors(read(text))
            self.assertEqual(len(found), 1)
            self.assertIn(none.format(side), found[0])

    def test_nowhere(self) -> None:
        """An internal address on no interface is only warned of, a wildcard not even that."""
        for address, count in (("198.51.100.1", 1), ("127.0.0.1", 0), ("0.0.0.0", 0), ("::", 0)):
            parsed = with_globals(f"internal: {address} port = 5", "interface.missing: fail")
            policy_of(parsed)
            self.assertEqual(len(warnings(parsed)), count, address)


class KeywordTests(SynchronousTestCase):
    """All other global keywords."""

    def test_values(self) -> None:
        """Each keyword ends up in its field; of single values the last counts."""
        policy = policy_of(
            with_globals(
                "logoutput: stdout syslog/daemon #not a file",
                "errorlog: /var/log/errors.log",
                "debug: 1",
                "external.rotation: same-same",
                "external.rotation: route",
                "clientmethod: none",
                "socksmethod: none",
                "socksmethod: username none",
                "username.file: /etc/users",
                "resolveprotocol: fake",
                "udp.connectdst: no",
                "timeout.connect: 1 timeout.negotiate: 2",
                "timeout.io: 3",
                "timeout.io.udp: 4 timeout.tcp_fin_wait: 2",
                "user.privileged: nobody",
                "user.notprivileged: root",
                "user.libwrap: nobody",
                "child.maxrequests: 0",
                "libwrap.hosts_access: no",
                "libwrap.allow: /etc/hosts.allow",
            )
        )
        self.assertEqual(
            [output.text for output in policy.logging.outputs],
            ["stderr", "stdout", "syslog/daemon"],
        )
        self.assertEqual([output.text for output in policy.logging.errors], ["/var/log/errors.log"])
        self.assertEqual(policy.logging.debug, 1)
        self.assertIs(policy.rotation, Rotation.ROUTE)
        self.assertEqual(policy.authentication.client_methods, (Method.NONE,))
        self.assertEqual(policy.authentication.socks_methods, (Method.USERNAME, Method.NONE))
        self.assertEqual(policy.authentication.username_file, "/etc/users")
        self.assertIs(policy.resolve_protocol, ResolveProtocol.FAKE)
        self.assertFalse(policy.udp.connectdst)
        times = policy.timeouts
        self.assertEqual(
            (times.connect, times.negotiate, times.io_tcp, times.io_udp, times.tcp_fin_wait),
            (1, 2, 3, 4, 2),
        )
        self.assertEqual((policy.users.privileged, policy.users.unprivileged), ("nobody", "root"))

    def test_workers(self) -> None:
        """How long workers live, and how long they may be silent."""
        policy = policy_of(read(ADDRESSES))
        self.assertEqual((policy.processes.max_lifetime, policy.processes.worker_timeout), (0, 10))
        self.assertFalse(policy.processes.replaces_workers)
        policy = policy_of(read(HEAD + "child.maxlifetime: 60\ntimeout.worker: 0\n"))
        self.assertEqual((policy.processes.max_lifetime, policy.processes.worker_timeout), (60, 0))
        self.assertTrue(policy.processes.replaces_workers)
        self.assertTrue(policy_of(read(HEAD + "child.maxrequests: 1\n")).processes.replaces_workers)
        self.assertEqual(len(errors(read(HEAD + "child.maxlifetime: soon\n"))), 1)

    def test_defaults(self) -> None:
        """What the file does not say is as Dante has it."""
        policy = policy_of(read(ADDRESSES))
        self.assertEqual(policy.authentication.client_methods, (Method.NONE,))
        self.assertEqual(policy.authentication.socks_methods, ())
        self.assertEqual((policy.timeouts.connect, policy.timeouts.io_udp), (30, 86400))
        self.assertEqual((policy.logging.debug, policy.default_log), (-1, 0))
        policy = policy_of(with_globals("log.unmatched: connect", "log.unmatched: error tcpinfo"))
        self.assertEqual(policy.default_log, LOG_CONNECT | LOG_ERROR | LOG_TCPINFO)

    def test_debug_of_the_command_line(self) -> None:
        """A debug level given to the parser wins, also for what rules log."""
        text = (HEAD + "debug: 1\n" + RULES).encode()
        for debug, expected, logs in ((None, 1, True), (0, 0, False), (2, 2, True)):
            policy = policy_of(parse(text, "f", FakeSystem(), PROGRAM, debug=debug))
            self.assertEqual(policy.logging.debug, expected)
            self.assertEqual(bool(policy.socks_rules[0].log), logs)
        alone = policy_of(parse((HEAD + RULES).encode(), "f", FakeSystem(), PROGRAM, debug=1))
        self.assertEqual((alone.logging.debug, alone.socks_rules[0].log), (-1, 0))

    def test_overridden(self) -> None:
        """That the command line overrides the file is a notice for the log, as Dante words it."""
        said = 'debug commandline value "{}" overrides config-file value "{}" set in file f'
        cases: list[tuple[str, int, list[str]]] = [
            ("debug: 1\n", 2, [f"configparsing(): {said.format(2, 1)}"]),
            ("debug: 2\n", 0, [f"configparsing(): {said.format(0, 2)}"]),
            ("", 1, [f"parseconfig(): {said.format(1, 0)}"]),
            ("debug: 1\n", 1, []),
            ("", 0, []),
        ]
        for text, level, expected in cases:
            parsed = parse((text + HEAD + RULES).encode(), "f", FakeSystem(), PROGRAM, debug=level)
            self.assertEqual([problem.one_line() for problem in parsed.problems], expected, text)
            self.assertEqual(render_problems(parsed.problems, "f"), "")

    def test_numbers(self) -> None:
        """Numbers are C's, without sign or unit."""
        for text, value in (("0x10", 16), ("010", 8), ("0", 0), ("2147483647", 2147483647)):
            policy = policy_of(with_globals(f"timeout.connect: {text}"))
            self.assertEqual(policy.timeouts.connect, value)
        for text in ("08", "-1", "1h", "0x", "five", "", "2147483648", "9" * 20, "1" * 9000):
            self.assertEqual(len(errors(with_globals(f"timeout.connect: {text}"))), 1, text)

    def test_refused(self) -> None:
        """Each of Dante's errors is one error."""
        for line in (
            "user.privileged: nemo",
            "user.privileged: 0",
            "user.privileged: root nobody",
            "user.privileged: root debug: 1",
            "user.privileged:",
            "clientmethod: username",
            "clientmethod: pam",
            "clientmethod: none debug: 1",
            "resolveprotocol: udp fake",
            "udp.connectdst: maybe",
            "realm: x",
            "realm x",
            "socket.recvbuf.tcp: 3",
            "singleauth: yes",
            "session.max: 4",
            "bandwidth: 4",
            "timeout.foo: 3",
            "libwrap.deny: a b",
            "cpu.schedule.io: foo/5",
            "cpu.schedule.foo: rr/5",
            "external.log.err.tcp.disabled: foo",
            "logoutput:",
            "route.maxfail: x",
            "srchost: nodnsmismatch debug: 1",
        ):
            found = errors(with_globals(line))
            self.assertEqual(len(found), 1, (line, found))

    def test_methods_warn(self) -> None:
        """Dante's warnings about methods are given in Dante's words."""
        parsed = with_globals("socksmethod: none none username")
        self.assertEqual(
            [text[:40] for text in warnings(parsed)],
            [
                "duplicate method: none.  Already set on ",
                'authentication method "none" is configur',
            ],
        )
        self.assertIn("no socks authentication methods enabled", "".join(warnings(read(ADDRESSES))))

    def test_facility(self) -> None:
        """An unknown facility is warned of; opening it is what fails."""
        parsed = with_globals("logoutput: syslog/kern syslog/local0 syslog")
        self.assertEqual(warnings(parsed), ['unknown syslog facility "kern"'])
        self.assertEqual(
            [output.text for output in policy_of(parsed).logging.outputs],
            ["stderr", "syslog/kern", "syslog/local0", "syslog"],
        )

    def test_remote_logs(self) -> None:
        """Daemons elsewhere are named by name or address, with a port and a facility if wanted."""
        words = [
            "syslog+udp://loghost",
            "syslog+tcp://log-1.example.org.:6514",
            "syslog+udp://192.0.2.1/local0",
            "syslog+tcp://[2001:db8::1]:65535/auth",
            "syslog+udp://[fe80::1%eth0]",
        ]
        parsed = with_globals(f"logoutput: {' '.join(words)} syslog", f"errorlog: {words[0]} # no")
        policy = policy_of(parsed)
        self.assertEqual([output.text for output in policy.logging.outputs][1:], [*words, "syslog"])
        self.assertEqual([output.text for output in policy.logging.errors], [words[0]])

    def test_remote_logs_refused(self) -> None:
        """What is wrong with a destination is told at its place: all of it, where words add up."""
        cases = {
            "syslog:local2": '18 unexpected ":" in "syslog:local2"',
            "/var/log/a:b": '22 unexpected ":" in "/var/log/a:b"',
            "SYSLOG+UDP://h": '22 unexpected ":" in "SYSLOG+UDP://h"',
            "syslog+tls://h": '22 unexpected ":" in "syslog+tls://h"',
            "syslog+udp:h": '22 unexpected ":" in "syslog+udp:h"',
            "syslog+udp://": "25 no host",
            "syslog+udp:///user": "25 no host",
            "syslog+tcp://:514": "25 no host",
            "syslog+tcp://u@h": '25 "u@h" is not a host',
            "syslog+tcp://::1": "25 no host",
            "syslog+tcp://[::1": '25 "[::1" is not a host',
            "syslog+tcp://[]": '26 "" is not an IPv6 address',
            "syslog+tcp://[192.0.2.1]": '26 "192.0.2.1" is not an IPv6 address',
            "syslog+tcp://[::1]x": '25 "[::1]x" is not a host',
            "syslog+udp://h:": '27 "" is not a port',
            "syslog+udp://h:0": '27 "0" is not a port',
            "syslog+udp://h:65536/user": '27 "65536" is not a port',
            "syslog+udp://h:-1": '27 "-1" is not a port',
            "syslog+udp://h:1:2": '27 "1:2" is not a port',
            "syslog+udp://h/": '27 unknown syslog facility ""',
            "syslog+udp://h:1/kern": '29 unknown syslog facility "kern"',
        }
        for word, expected in cases.items():
            found = errors(with_globals(f"logoutput: {word}"))
            self.assertEqual(found, [f"8:{expected}"], word)
        words = "stdout " + " ".join(cases)
        self.assertEqual(len(errors(with_globals(f"errorlog: {words}"))), len(cases))

    def test_remote_logs_hints(self) -> None:
        """A slip of the pen is told with what was probably meant."""
        for word, hint in (("syslog+upd://h", "syslog+udp"), ("syslog+udp://h/locl3", "local3")):
            (problem,) = [p for p in with_globals(f"errorlog: {word}").problems if p.is_error]
            self.assertEqual(problem.hint, hint)
            self.assertNotEqual(problem.expected, "")

    def test_root(self) -> None:
        """To run as root is warned of, but only who is root can."""
        for text, root, count in (
            (ADDRESSES, True, 1),
            (ADDRESSES, False, 0),
            (ADDRESSES + "user.unprivileged: root\n", True, 1),
            (ADDRESSES + "user.unprivileged: nobody\n", True, 0),
        ):
            system = FakeSystem()
            system.effective_root = root
            parsed = parse((text + "socksmethod: none").encode(), "f", system, PROGRAM)
            self.assertEqual(len(warnings(parsed)), count, text)

    def test_rotation(self) -> None:
        """Several addresses without rotation, and rotation of one, are warned of."""
        one, two = ADDRESSES, ADDRESSES + "external: 127.0.0.1\n"
        for text, dante, ours in (
            (one, 0, 0),
            (two, 0, 1),
            (two + "external.rotation: route\n", 0, 0),
            (one + "external.rotation: same-same\n", 1, 0),
            (two + "external.rotation: same-same\n", 0, 0),
        ):
            parsed = read(text + "socksmethod: none\nuser.unprivileged: nobody\n")
            found = (len(warnings(parsed)), len(warnings(parsed, ours=True)))
            self.assertEqual(found, (dante, ours), text)

    def test_same_port(self) -> None:
        """``compatibility: sameport`` counts, also among others; nothing else means it."""
        for line, same in (
            ("", False),
            ("compatibility: draft-5.05", False),
            ("compatibility: sameport", True),
            ("compatibility: sameport draft-5.05", True),
            ("compatibility: sameport\ncompatibility: draft-5.05", True),
        ):
            self.assertIs(policy_of(with_globals(line)).compatibility.same_port, same, line)

    def test_extension(self) -> None:
        """``extension: bind`` counts, with Dante's warning."""
        parsed = with_globals("extension: bind")
        self.assertIs(policy_of(parsed).compatibility.bind_extension, True)
        self.assertIs(policy_of(with_globals("")).compatibility.bind_extension, False)
        (warning,) = warnings(parsed)
        self.assertIn("deprecating the Dante-specific SOCKS bind extension", warning)

    def test_badexpire(self) -> None:
        """Dante's warning about ``route.maxfail: 0`` is given."""
        parsed = with_globals("route.maxfail: 0", unsupported={})
        self.assertIn("route.badexpire", warnings(parsed)[0])
        parsed = with_globals("route.maxfail: 0 route.badexpire: 0", unsupported={})
        self.assertEqual(warnings(parsed), [])


class ErrorFilterTests(SynchronousTestCase):
    """``SIDE.log.LEVEL.error``."""

    def test_symbols(self) -> None:
        """Symbols are expanded, in any case."""
        policy = policy_of(
            with_globals(
                "external.log.err.error: no-Route econnrefused",
                "internal.log.info.error: dns-any",
            )
        )
        external, internal = policy.logging.error_filters
        self.assertEqual((external.edge, external.severity), (Edge.EXTERNAL, Severity.ERROR))
        self.assertEqual(
            external.symbols,
            {"ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "ETIMEDOUT", "ECONNREFUSED"},
        )
        self.assertLessEqual({"EAI_NODATA", "EAI_ADDRFAMILY", "EAI_NONAME"}, internal.symbols)
        self.assertEqual(len(internal.symbols), 12)

    def test_system_any(self) -> None:
        """``system-any`` is every errno, but no resolver's error."""
        (found,) = policy_of(
            with_globals("external.log.err.error: system-any")
        ).logging.error_filters
        self.assertEqual(found.symbols, set(errno.errorcode.values()))

    def test_second_names(self) -> None:
        """Of two names of one number either will do."""
        for first, second in (
            ("EAGAIN", "EWOULDBLOCK"),
            ("ENOTSUP", "EOPNOTSUPP"),
            ("EDEADLK", "EDEADLOCK"),
        ):
            for name in (first, second):
                line = f"external.log.err.error: {name}"
                (found,) = policy_of(with_globals(line)).logging.error_filters
                self.assertEqual(found.symbols, {errno.errorcode[getattr(errno, name)]})

    def test_unknown(self) -> None:
        """Unknown symbols warn, unknown levels and numbers are errors."""
        parsed = with_globals("external.log.warning.error: EFOO no-route EBAR,")
        self.assertEqual(warnings(parsed), ["unknown error symbol specified"] * 2)
        policy_of(parsed)
        for wrong, hint in (
            ("ECONREFUSED", "ECONNREFUSED"),
            ("etimeout", "ETIMEDOUT"),
            ("noroute", "NO-ROUTE"),
            ("EAI_NONAM", "EAI_NONAME"),
            ("EQQQQQQ", ""),
        ):
            (problem,) = with_globals(f"external.log.warning.error: {wrong}").problems
            self.assertEqual(problem.hint, hint)
        for line in (
            "external.log.warn.error: no-route",
            "external.log.err.error: 111",
            "external.log.err.error:",
            "external.log.err: ENOENT",
            "external.log.err.error: ENOENT debug: 1",
        ):
            self.assertEqual(len(errors(with_globals(line))), 1, line)


class SocketOptionTests(SynchronousTestCase):
    """``SIDE.LEVEL.OPTION``."""

    def option(self, line: str) -> SocketOption:
        """The option that a line sets."""
        (found,) = policy_of(with_globals(line)).socket_options
        return found

    def test_options(self) -> None:
        """Level, number and value are the kernel's; sub-fields are shifted into place."""
        for line, expected in (
            ("external.tcp.tcp_nodelay: 1", (6, 1, 1)),
            ("internal.socket.so_rcvbuf:0x1000", (1, 8, 4096)),
            ("external.udp.so_rcvbuf: 5", (1, 8, 5)),
            ("external.ip.ip_tos: 16", (0, 1, 16)),
            ("external.ip.ip_tos.dscp: af11", (0, 1, 10 << 2)),
            ("external.ip.ip_tos.dscp: af43", (0, 1, 38 << 2)),
            ("external.ip.ip_tos.dscp: cs7", (0, 1, 56 << 2)),
            ("external.ip.ip_tos.dscp: ef", (0, 1, 46 << 2)),
            ("external.ip.ip_tos.dscp: 3", (0, 1, 12)),
            ("external.ip.ip_tos.prec: flash", (0, 1, 0x60)),
            ("external.ip.ip_tos.tos: lowdelay", (0, 1, 0x10)),
            ("external.ip.ip_tos.tos: throughput", (0, 1, 0x08)),
            ("external.ip.ip_tos.tos: reliability", (0, 1, 0x04)),
            ("external.udp.99: 3", (17, 99, 3)),
        ):
            found = self.option(line)
            self.assertEqual((found.level, found.option, found.value), expected, line)
        self.assertEqual(found.text, "external.udp.99")

    def test_all_names(self) -> None:
        """Every name that Dante knows on Linux is taken on either side."""
        self.assertEqual(len(OPTIONS), 35)
        for name in OPTIONS:
            for side in Edge:
                self.assertIs(self.option(f"{side.value}.socket.{name}: 1").edge, side)

    def test_refused(self) -> None:
        """Unknown names, levels and symbols, and numbers that do not fit, are errors."""
        for line in (
            "external.foo.ip_ttl: 3",
            "external.ip.foo: 3",
            "external.ip.IP_TTL: 3",
            "external.ipv6.ip_ttl: 3",
            "external.ip.ip_ttl:",
            "external.ip.ip_ttl: 1 debug: 1",
            "external.tcp.tcp_nodelay: yes",
            "external.ip.ip_tos: lowdelay",
            "external.ip.ip_tos.dscp: 64",
            "external.ip.ip_tos.dscp: foo",
            "external.ip.ip_ttl: 99999999999",
            "external.ip.99999999999: 1",
        ):
            found = errors(with_globals(line))
            self.assertEqual(len(found), 1, (line, found))
