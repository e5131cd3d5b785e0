"""Tests of a policy in words."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dantetw.config.description import describe
from tests.session.world import compiled

TEXT = """\
logoutput: stdout /var/log/sockd.log
errorlog: syslog/local2
internal: 127.0.0.1 port = 1080
external: eth0
external: 192.0.2.7
external.rotation: route
clientmethod: none
socksmethod: username none
user.privileged: root
user.unprivileged: nobody
timeout.io.tcp: 3600
external.tcp.tcp_nodelay: 1
external.log.err.error: ECONNREFUSED EAI_AGAIN
client pass { from: 10.0.0.0/8 port gt 1023 to: 0/0 log: connect }
socks block {
    from: 0/0 to: .example.org
    log: connect disconnect error ioop data tcpinfo
}
socks pass {
    from: 0/0 to: 0/0
    command: connect
    protocol: tcp
    user: bob
    timeout.connect: 5
}
"""


class DescribeTests(SynchronousTestCase):
    def test_whole(self) -> None:
        """All that a file says is told, and what it leaves open with the value that holds."""
        self.assertEqual(
            list(describe(compiled(TEXT))),
            [
                "config file: sockd.conf",
                "internal #1, line 3: 127.0.0.1: 127.0.0.1.1080",
                "external #1, line 4: eth0: interface, now 192.0.2.1",
                "external #2, line 5: 192.0.2.7: 192.0.2.7",
                "external: families: ipv4 ipv6, external.rotation: route",
                "clientmethod: none",
                "socksmethod: username none",
                "user.privileged: root, user.unprivileged: nobody",
                "timeouts: connect 30 s, negotiate 30 s, io.tcp 3600 s, io.udp 86400 s,"
                " tcp_fin_wait none",
                "logoutput: stdout /var/log/sockd.log",
                "errorlog: syslog/local2",
                "resolveprotocol: udp",
                "socket option, line 12: external.tcp.tcp_nodelay: 1",
                "external.log.err.error, line 13: EAI_AGAIN ECONNREFUSED",
                "client-rule #1, line 14: pass; from: 10.0.0.0/8 port gt 1023; to: 0/0;"
                " clientmethod: none; socksmethod: username none; log: connect",
                "socks-rule #1, line 15: block; from: 0/0; to: .example.org;"
                " command: bind bindreply connect udpassociate udpreply; protocol: tcp udp;"
                " proxyprotocol: socks_v4 socks_v5; clientmethod: none;"
                " socksmethod: username none; log: connect disconnect error ioop data tcpinfo",
                "socks-rule #2, line 19: pass; from: 0/0; to: 0/0; command: connect;"
                " protocol: tcp; proxyprotocol: socks_v4 socks_v5; clientmethod: none;"
                " socksmethod: username; user: bob; timeouts: connect 5 s, negotiate 30 s,"
                " io.tcp 3600 s, io.udp 86400 s, tcp_fin_wait none; log: nothing",
            ],
        )

    def test_little(self) -> None:
        """What is not set at all is told as such."""
        lines = list(describe(compiled("internal: 127.0.0.1 port = 1080\nexternal: eth0\n")))
        self.assertIn("socksmethod: (none is set)", lines)
        self.assertIn("logoutput: (none is set)", lines)
        self.assertIn("user.privileged: as started, user.unprivileged: as started", lines)
