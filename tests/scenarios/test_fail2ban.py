"""Scenarios: fail2ban reads what the server logs of failed logins."""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.auth.test_fail2ban import PAGE
from tests.scenarios.rights import DROP, RootScenario
from tests.scenarios.running import SOCKD, TWISTD, Running, free_port, wait_until

FILTERS = Path("/etc/fail2ban/filter.d")
#: The filter that comes with fail2ban, from 1.1 on.
SHIPPED = FILTERS / "dante.conf"
#: What it looks for, for versions that come without it: the daemon's name and lines of logins.
LIKE_SHIPPED = r"""
[INCLUDES]
before = common.conf

[Definition]
_daemon = danted
failregex = ^%(__prefix_line)sinfo: block\(\d\): tcp/accept \]: <ADDR>\.\d+ \S+: error .* user "
"""

_RSYSLOG = """\
global(workDirectory="{folder}")
module(load="imudp")
input(type="imudp" port="{port}" address="127.0.0.1")
action(type="omfile" file="{received}" template="RSYSLOG_TraditionalFileFormat")
"""

#: How a line of a failed login ends, whatever the method.
FAILED = re.compile(
    r'tcp/accept \]: .*(password authentication failed for user "|could not access user "'
    r'|pam_authenticate\(\) for user "|no user ".*" found in system password file)'
)
#: What the filter of fail2ban does not look for: names that ident gave, and late decisions.
UNSHIPPED = re.compile(r"rfc931%|blocked by higher-level|no user ")


class Fail2banScenarios(RootScenario):
    """A server that is called ``danted`` in the log, which goes to a file and to rsyslogd."""

    workers = 1
    HOST = "127.0.0.113"

    def setUp(self) -> None:
        super().setUp()
        self.regex = self.program("fail2ban-regex")
        self.received = self.folder / "received"
        self.everything = self.folder / "everything"
        self.port = free_port()

    def start_daemon(self) -> None:
        """Start rsyslogd, which writes as Debian's does."""
        rsyslogd = self.program("rsyslogd")
        path = self.folder / "rsyslog.conf"
        text = _RSYSLOG.format(folder=self.folder, port=self.port, received=self.received)
        path.write_text(text)
        pidfile = self.folder / "rsyslog.pid"
        with (self.folder / "rsyslog.output").open("ab") as output:
            command = [rsyslogd, "-n", "-f", str(path), "-i", str(pidfile)]
            daemon = subprocess.Popen(command, stdout=output, stderr=output)
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.kill)
        wait_until(lambda: f":{self.port:04X} " in Path("/proc/net/udp").read_text(), "rsyslogd")

    def danted(self, method: str, more: str) -> Running:
        """A server by that name."""

        def command(path: Path) -> Sequence[str]:
            flags = ["--config", str(path), "--program", "danted"]
            return [*TWISTD, "-n", "--pidfile=", "sockd", *flags]

        log = f"{self.folder / 'sockd.log'} syslog+udp://127.0.0.1:{self.port}/auth"
        return self.start(command, method=method, more=more, log=log)

    def end_of(self, server: Running) -> None:
        """Stop a server, and put its log behind those of the others."""
        self.assertEqual(server.stop(), 0)
        with self.everything.open("a") as file:
            file.write(server.log.read_text())
        server.log.unlink()

    def fail_by_file(self) -> None:
        """Unknown users and wrong passwords, with a users file, by IPv4 and IPv6."""
        users = self.folder / "users"
        done = self.run_program([*SOCKD, "users", "add", "--stdin", str(users), "bob"], b"secret\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        users.chmod(0o644)
        six = free_port()
        more = f"username.file: {users}\n{DROP}"
        if has_ipv6():
            more += f"\ninternal: ::1 port = {six}"
            more += "\nclient pass { from: ::1/128 to: ::/0 log: error }"
        server = self.danted("username", more)
        for name in ("bob", "eve", "al smith", "x.y@z", "\x1b[1m"):
            self.assertEqual(self.log_in(server, name, "wrong", 1), b"\x05\x02\x01\x01")
        if has_ipv6():
            with socket.create_connection(("::1", six), 60) as client:
                client.sendall(b"\x05\x01\x02\x01\x03bob\x05wrong")
                while client.recv(100):
                    pass
        self.end_of(server)

    def fail_by_system(self) -> None:
        """The same with the system's users."""
        name, password = self.system_user()
        server = self.danted("username", DROP)
        self.log_in(server, name, password + "x", 1)
        self.log_in(server, "no-" + name, password, 1)
        self.end_of(server)

    def fail_by_ident(self) -> None:
        """A name that ident gave and nobody has; a wrong password behind one that somebody has."""
        ident = socket.socket()
        self.addCleanup(ident.close)
        try:
            ident.bind((self.HOST, 113))
        except OSError as failed:
            raise SkipTest(f"no ident server can be had: {failed}") from None
        ident.listen()

        def answer() -> None:
            for name in (b"no-such-user", b"root"):
                with ident.accept()[0] as conn:
                    conn.sendall(conn.recv(100).strip() + b" : USERID : UNIX : " + name + b"\r\n")

        answering = threading.Thread(target=answer, daemon=True)
        answering.start()
        rule = f"client pass {{ from: {self.HOST}/32 to: 0/0 log: connect error\n"
        rule += "  clientmethod: rfc931\n}"
        server = self.danted("username", f"clientmethod: rfc931 none\n{DROP}\n{rule}")
        for _ in range(2):
            address = ("127.0.0.1", server.port)
            with socket.create_connection(address, 60, source_address=(self.HOST, 0)) as client:
                client.sendall(b"\x05\x01\x02\x01\x03bob\x05wrong")
                try:
                    while client.recv(100):
                        pass
                except ConnectionError:
                    pass
        answering.join(60)
        self.end_of(server)

    def fail_by_pam(self) -> None:
        """Logins that PAM refuses, at once and when the request is known."""
        services = Path("/etc/pam.d")
        if importlib.util.find_spec("pamela") is None or not services.is_dir():
            raise SkipTest("this system has no PAM, or we lack pamela")
        service = f"dtw-{secrets.token_hex(4)}"
        path = services / service
        self.addCleanup(path.unlink)
        path.write_text("auth required pam_deny.so\naccount required pam_deny.so\n")
        rule = "socks pass { from: 0/0 to: 0/0 port = 1 log: connect error\n"
        rule += f"  socksmethod: pam.username\n  pam.servicename: {service}\n}}"
        name, password = self.system_user()
        for method in ("pam.username", "username pam.username"):
            server = self.danted(method, f"{DROP}\n{rule}")
            self.log_in(server, name, password, 1)
            self.end_of(server)

    def filter(self, name: str, text: str) -> Path:
        """A filter in a folder where what it includes is found."""
        path = self.folder / name
        path.write_text(text)
        common = self.folder / "common.conf"
        if not common.exists():
            common.write_text((FILTERS / "common.conf").read_text())
        return path

    def matched(self, log: Path, filter: Path) -> list[str]:
        """The lines that fail2ban takes for failed logins."""
        flags = ["--print-all-matched", "--print-no-missed"]
        done = self.run_program([self.regex, *flags, str(log), str(filter)])
        said = done.stdout.decode()
        self.assertIn("Results", said)
        lines = [line[3:] for line in said.splitlines() if line.startswith("|  ")]
        return [line for line in lines if "danted[" in line]

    def test_filters(self) -> None:
        """
        Its own filter matches every failed login of Dante's kind, ours matches all, and neither
        anything else; in a log file and in what a log daemon writes.
        """
        self.start_daemon()
        for fail in (self.fail_by_file, self.fail_by_system, self.fail_by_ident, self.fail_by_pam):
            try:
                fail()
            except SkipTest:
                continue  # the others are worth a look all the same
        page = PAGE.read_text()
        found = re.search(r"(?<=    )\[Definition\]\n(?:    .*\n)+", page)
        assert found is not None
        ours = self.filter("ours.conf", re.sub("(?m)^    ", "", found[0]))
        theirs = self.filter("dante.conf", LIKE_SHIPPED)
        if SHIPPED.exists():
            theirs = SHIPPED
        wait_until(lambda: "shutting down" in self.received.read_text(), "the last lines")
        wait_until(lambda: self.count(self.received) == self.count(self.everything), "all lines")
        for log in (self.everything, self.received):
            with self.subTest(log.name):
                failed = [line for line in log.read_text().splitlines() if FAILED.search(line)]
                self.assertGreater(len(failed), 8)
                self.assertEqual(self.matched(log, ours), failed)
                shipped = [line for line in failed if not UNSHIPPED.search(line)]
                self.assertEqual(self.matched(log, theirs), shipped)

    def count(self, log: Path) -> int:
        """How many lines a log has."""
        return len(log.read_text().splitlines())

    def test_name(self) -> None:
        """The name in the log is that of the command, so a link called ``danted`` keeps it."""
        if len(SOCKD) > 1:
            raise SkipTest("the command is not installed")
        link = self.folder / "danted"
        os.symlink(SOCKD[0], link)
        server = self.start(lambda path: [str(link), "-f", str(path), "-p", ""])
        self.assertIn(f" danted[{server.pid}]: info: dantetw/server", server.log.read_text())
        self.assertEqual(server.stop(), 0)


def has_ipv6() -> bool:
    """Whether this host has a loopback address of IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
