"""Scenarios: PAM and ident, with real ones."""

from __future__ import annotations

import importlib.util
import secrets
import socket
import threading
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.scenarios.rights import DROP, RootScenario, children, effective, helper_of, is_gone
from tests.scenarios.running import BODY, Running, Target, wait_until

SERVICES = Path("/etc/pam.d")


class PamScenarios(RootScenario):
    """A server that root starts, that becomes nobody, and asks PAM."""

    workers = 1

    def setUp(self) -> None:
        super().setUp()
        if importlib.util.find_spec("pamela") is None or not SERVICES.is_dir():
            raise SkipTest("this system has no PAM, or we lack pamela")

    def service(self, module: str) -> str:
        """A PAM service with one module; its name."""
        name = f"dtw-{secrets.token_hex(4)}"
        path = SERVICES / name
        self.addCleanup(path.unlink)
        path.write_text(f"auth required {module}\naccount required {module}\n")
        return name

    def rule(self, service: str) -> str:
        """A rule that passes everything by a service, before the others."""
        return (
            f"{DROP}\nsocks pass {{ from: 0/0 to: 0/0 log: connect error\n"
            f"  pam.servicename: {service}\n}}"
        )

    def curl(self, server: Running, target: Target, user: str, password: str) -> tuple[int, bytes]:
        """What curl gets through a server with a name and a password."""
        ran = self.run_program(
            [
                *(self.program("curl"), "--silent", "--max-time", "30"),
                *("--proxy", f"socks5h://{user}:{password}@127.0.0.1:{server.port}", target.url),
            ]
        )
        return ran.returncode, ran.stdout

    def test_system_login(self) -> None:
        """By ``pam_unix`` the system's users log in, at a server that is nobody."""
        name, password = self.system_user()
        more = self.rule(self.service("pam_unix.so"))
        server, target = self.start(method="pam.username", more=more), self.target()
        self.assertEqual(self.curl(server, target, name, password), (0, BODY))
        server.wait_for(1, f"tcp/connect [: pam.username%{name}@")
        status, body = self.curl(server, target, name, password + "x")
        self.assertEqual((status, body), (97, b""))
        server.wait_for(1, f'pam_authenticate() for user "{name}" failed: Authentication failure')
        self.assertEqual(effective(server.pid)[1], self.nobody.pw_uid)
        self.assertEqual(server.stop(), 0)
        self.assertNotIn(password, server.raw())
        self.assertNotIn("Traceback", server.raw())

    def test_late(self) -> None:
        """Where the system's password and PAM's could be meant, the request's rule decides."""
        name, password = self.system_user()
        more = self.rule(self.service("pam_deny.so")) + "\n"
        more = more.replace("to: 0/0 log", "to: 0/0 port = 1 log")
        more = more.replace("  pam", "  socksmethod: pam.username\n  pam")
        server = self.start(method="username pam.username", more=more)
        target = self.target()
        self.assertEqual(self.log_in(server, name, password, 1)[:6], b"\x05\x02\x01\x00\x05\x02")
        server.wait_for(2, f'pam_authenticate() for user "{name}" failed: Authentication failure')
        heard = self.log_in(server, name, password, target.port)
        self.assertEqual(heard[:6], b"\x05\x02\x01\x00\x05\x00")
        server.wait_for(1, f"tcp/connect [: username%{name}@")
        self.assertEqual(server.stop(), 0)

    def test_ends_with_the_server(self) -> None:
        """The processes that ask PAM end with the server, even one that is killed."""
        more = self.rule(self.service("pam_permit.so"))
        server, target = self.start(method="pam.username", more=more), self.target()
        heard = self.log_in(server, "anybody", "any", target.port)
        self.assertEqual(heard[:6], b"\x05\x02\x01\x00\x05\x00")
        helper = helper_of(server.pid)
        (child,) = children(helper)
        self.assertEqual(effective(child)[:2], (0, 0))
        server.process.kill()
        server.wait()
        for pid in (helper, child):
            wait_until(lambda pid=pid: is_gone(pid), f"the end of process {pid}")


class IdentScenarios(RootScenario):
    """Clients whose own host is asked."""

    HOST = "127.0.0.113"

    def setUp(self) -> None:
        super().setUp()
        self.ident = socket.socket()
        self.addCleanup(self.ident.close)
        try:
            self.ident.bind((self.HOST, 113))
        except OSError as failed:
            raise SkipTest(f"no ident server can be had: {failed}") from None
        self.ident.listen()

    def serve(self, name: str) -> None:
        """Answer one question."""
        with self.ident.accept()[0] as conn:
            asked = conn.recv(100).strip()
            conn.sendall(asked + b" : USERID : UNIX : " + name.encode() + b"\r\n")

    def test_name(self) -> None:
        """The name that the client's host gives stands in the log."""
        rules = "client pass { from: 127.0.0.113/32 to: 0/0 log: connect\n  clientmethod: rfc931\n}"
        server = self.start(more=f"clientmethod: rfc931 none\n{DROP}\n{rules}")
        for name, line in (
            ("root", "pass(1): tcp/accept [: rfc931%root@127.0.0.113."),
            ("no-such-user", "block(1): tcp/accept ]: rfc931%no-such-user@127.0.0.113."),
        ):
            answering = threading.Thread(target=self.serve, args=(name,), daemon=True)
            answering.start()
            with socket.create_connection(
                ("127.0.0.1", server.port), 60, source_address=(self.HOST, 0)
            ):
                server.wait_for(1, line)
            answering.join(60)
        # Others are none of its business.
        self.live(server, self.listening())
        self.assertEqual(server.stop(), 0)
