"""Tests for :mod:`dantetw.config.unsupported`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dantetw.config import UNSUPPORTED
from dantetw.config.keywords.table import KEYWORDS
from tests.config.fakes import HEAD, errors, policy_of, read

ALL = "from: 0/0 to: 0/0"

#: For every row, a piece of a file that uses it: a global line, or a rule's.
SAMPLES = {
    "route {}": f"route {{ {ALL} via: direct }}",
    "monitor {}": f"monitor {{ {ALL} alarm.mtu-error }}",
    "hostid {}": f"hostid pass {{ {ALL} }}",
    "hostid": f"client pass {{ {ALL}\nhostid: 10.0.0.1\n}}",
    "hostindex": f"client pass {{ {ALL}\nhostindex: 1\n}}",
    "bandwidth": f"socks pass {{ {ALL}\nbandwidth: 1\n}}",
    "redirect from": f"socks pass {{ {ALL}\nredirect from: 10.0.0.1/32\n}}",
    "redirect to": f"client pass {{ {ALL}\nredirect  to: 10.0.0.1 port = 80\n}}",
    "session.max": f"client pass {{ {ALL}\nsession.max: 1\n}}",
    "session.throttle": f"socks pass {{ {ALL}\nsession.throttle: 1/2\n}}",
    "session.inheritable": f"client pass {{ {ALL}\nsession.inheritable: no\n}}",
    "gssapi.servicename": f"client pass {{ {ALL}\ngssapi.servicename: x\n}}",
    "gssapi.keytab": f"client pass {{ {ALL}\ngssapi.keytab: x\n}}",
    "gssapi.enctype": f"client pass {{ {ALL}\ngssapi.enctype: clear\n}}",
    "clientcompatibility": f"client pass {{ {ALL}\nclientcompatibility: necgssapi\n}}",
    "bsdauth.stylename": f"socks pass {{ {ALL}\nbsdauth.stylename: x\n}}",
    "pac.sid": f"socks pass {{ {ALL}\npac.sid: S-1-5-21-1-2-3-4\n}}",
    "pac.sid.b64": f"client pass {{ {ALL}\npac.sid.b64: AQUAAAAA\n}}",
    "pac.off": f"socks pass {{ {ALL}\npac.off: yes\n}}",
    "ldap.NAME": f"socks pass {{ {ALL}\nldap.domain: x\n}}",
    "libwrap": f"socks pass {{ {ALL}\nlibwrap: ALL: ALL\n}}",
    "libwrap.hosts_access: yes": "libwrap.hosts_access: yes",
    "srchost": "srchost: nodnsunknown",
    "resolveprotocol: tcp": "resolveprotocol: tcp",
    "cpu.schedule.PROC": "cpu.schedule.io: rr/5",
    "cpu.mask.PROC": "cpu.mask.mother: any",
    "SIDE.log.LEVEL.tcp.enabled": "internal.log.err.tcp.enabled: ecn",
    "SIDE.log.LEVEL.tcp.disabled": "external.log.err.tcp.disabled: sack wscale",
    "route.maxfail": "route.maxfail: 2",
    "route.badexpire": "route.badexpire: 2",
} | {
    f"method: {name}": f"socksmethod: {name}"
    for name in (
        "gssapi",
        "bsdauth",
        "ldapauth",
    )
}
#: These cannot stand alone.
PAIRS = {
    "session.state.key": "session.state.max: 1 session.state.key: from",
    "session.state.max": "session.state.max: 1 session.state.key: from",
    "session.state.throttle": "session.state.throttle: 1/2 session.state.key: from",
}


class UnsupportedTests(SynchronousTestCase):
    """What is understood, but refused."""

    def test_complete(self) -> None:
        """There is a sample of every row, so that all are tested."""
        self.assertEqual(set(SAMPLES) | set(PAIRS), set(UNSUPPORTED))

    def test_refused(self) -> None:
        """Each is refused with one error, on its line, and taken once it is built."""
        for key, text in SAMPLES.items():
            with self.subTest(key=key):
                parsed = read(HEAD + text + "\n")
                (error,) = [problem for problem in parsed.problems if problem.is_error]
                self.assertTrue(error.unbuilt)
                self.assertIn("not supported yet", error.text)
                self.assertIn(error.where.line, (8, 9))
                rest = {other: why for other, why in UNSUPPORTED.items() if other != key}
                policy_of(read(HEAD + text + "\n", rest))

    def test_pairs(self) -> None:
        """The same for keywords that need another."""
        for key, text in PAIRS.items():
            parsed = read(f"{HEAD}client pass {{ {ALL} {text} }}\n", {key: "x"})
            self.assertEqual(len(errors(parsed)), 1, key)

    def test_names_the_keyword(self) -> None:
        """The error names the keyword and the method."""
        self.assertEqual(
            errors(read(HEAD + "socksmethod: bsdauth\n")),
            ['8:14 "socksmethod: bsdauth" is not supported yet (BSD authentication)'],
        )

    def test_rows_are_keywords(self) -> None:
        """No row outlives its keyword."""
        names = {keyword.name for keyword in KEYWORDS}
        for key in UNSUPPORTED:
            if not key.endswith("{}"):
                self.assertIn(key.partition(": ")[0], names)

    def test_supported(self) -> None:
        """What needs no effect, or has it by default, is taken."""
        for line in (
            "child.maxrequests: 0",
            "libwrap.hosts_access: no",
            "user.libwrap: nobody",
            "resolveprotocol: fake",
            "compatibility: draft-5.05 sameport",
            "udp.connectdst: yes",
            "extension: bind",
            "timeout.io.udp: 5",
        ):
            policy_of(read(HEAD + line + "\n"))
        for line in ("command: bind udpassociate bindreply udpreply", "udp.portrange: 5-6"):
            policy_of(read(f"{HEAD}socks pass {{ {ALL}\n{line}\n}}\n"))
