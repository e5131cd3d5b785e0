"""Scenarios: what other people's clients get, and what the log says of it."""

from __future__ import annotations

import io

from dantetw.cli import users as useradmin
from tests.scenarios.running import BODY, Running, Scenario, Target, mask

HEAD = len(b"HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n")
ANSWER = HEAD + len(BODY)


class ClientScenarios(Scenario):
    """Clients that fetch a page through the server."""

    def expect_session(self, server: Running, target: Target, user: str = "") -> None:
        """The log tells one whole session, and its counts are what the target has seen."""
        server.wait_for(1, "tcp/accept ]")
        (request,) = target.requests
        sent = len(request)
        peer = f"{user}PEER"
        lines = [line for line in server.lines() if line.startswith("info: pass")]
        tail = "local client closed.  Session duration: Ns"
        self.assertEqual(
            mask(server, target.port, lines),
            [
                "info: pass(1): tcp/accept [: PEER SERVER",
                f"info: pass(1): tcp/connect [: {peer} SERVER -> PEER TARGET",
                f"info: pass(1): tcp/connect ]: {ANSWER} -> {peer} SERVER -> {sent}, {sent} ->"
                f" PEER TARGET -> {ANSWER}: {tail}",
                f"info: pass(1): tcp/accept ]: {ANSWER} -> PEER SERVER -> {sent}: {tail}",
            ],
        )
        self.assertEqual(server.stop(), 0)
        self.assertNotIn("Traceback", server.raw())

    def curl(self, server: Running, target: Target, *arguments: str, host: str = "") -> bytes:
        """What curl prints."""
        url = f"http://{host or '127.0.0.1'}:{target.port}/"
        done = self.run_program(
            [self.program("curl"), "-q", "-sS", "--max-time", "60", *arguments, url], no_proxy=""
        )
        return done.stdout or done.stderr

    def expect_curl(self, *arguments: str, host: str = "") -> None:
        """Curl fetches the page with these arguments, before the proxy's address."""
        self.program("curl")
        server, target = self.start(), self.target()
        proxy = f"127.0.0.1:{server.port}"
        self.assertEqual(self.curl(server, target, *arguments, proxy, host=host), BODY)
        self.expect_session(server, target)

    def test_curl_socks4(self) -> None:
        """Curl with SOCKS 4."""
        self.expect_curl("--socks4")

    def test_curl_socks4a(self) -> None:
        """Curl with SOCKS 4a, which sends the name."""
        self.expect_curl("--ipv4", "--socks4a")

    def test_curl_socks5(self) -> None:
        """Curl with SOCKS 5."""
        self.expect_curl("--socks5")

    def test_curl_socks5_hostname(self) -> None:
        """Curl with SOCKS 5 and the name left to us, which is what the log names."""
        self.program("curl")
        # Without IPv6 outside, localhost is 127.0.0.1 only.
        server, target = self.start(), self.target()
        proxy = f"127.0.0.1:{server.port}"
        printed = self.curl(server, target, "--socks5-hostname", proxy, host="localhost")
        self.assertEqual(printed, BODY)
        lines = server.wait_for(1, "tcp/accept ]")
        self.assertIn("-> PEER TARGET", mask(server, target.port, lines)[-2])

    def users(self) -> str:
        """A users file with one user."""
        path = self.folder / "users"
        said = io.StringIO()
        status = useradmin.main(["add", str(path), "joe"], io.StringIO("secret\n"), said, said)
        self.assertEqual(status, 0, said.getvalue())
        return f"username.file: {path}"

    def test_curl_login(self) -> None:
        """Curl with a user name and a password, right and wrong."""
        self.program("curl")
        server, target = self.start(method="username", more=self.users()), self.target()
        proxy = f"127.0.0.1:{server.port}"
        wrong = self.curl(server, target, "--proxy-user", "joe:guess", "--socks5", proxy)
        self.assertIn(b"rejected by the SOCKS5 server", wrong)
        lines = server.wait_for(1, "error after reading")
        self.assertTrue(
            lines[-1].endswith('password authentication failed for user "joe"'), lines[-1]
        )
        self.assertEqual(target.requests, [])
        right = self.curl(server, target, "--proxy-user", "joe:secret", "--socks5", proxy)
        self.assertEqual(right, BODY)
        lines = server.wait_for(1, "tcp/connect ]")
        self.assertTrue(any("username%joe@127.0.0.1" in line for line in lines), lines)
        self.assertNotIn("secret", server.raw())
        self.assertNotIn("guess", server.raw())

    def test_curl_unlogged_in(self) -> None:
        """Curl without a user name where one is wanted."""
        self.program("curl")
        server, target = self.start(method="username", more=self.users()), self.target()
        self.curl(server, target, "--socks5", f"127.0.0.1:{server.port}")
        server.wait_for(1, "client offered no acceptable authentication method")
        self.assertEqual(target.requests, [])

    def test_curl_blocked(self) -> None:
        """Curl asking for what a rule blocks."""
        self.program("curl")
        target = self.target()
        rule = f"socks block {{ from: 0/0 to: 127.0.0.1/32 port = {target.port} log: connect }}"
        server = self.start(more=rule)
        printed = self.curl(server, target, "--socks5", f"127.0.0.1:{server.port}")
        self.assertTrue(printed.startswith(b"curl: (97)"), printed)
        lines = server.wait_for(1, "blocked by higher-level socks-rule #1")
        self.assertEqual(
            mask(server, target.port, lines)[-2:],
            [
                "info: block(1): tcp/connect ]: PEER SERVER -> 0.0.0.0.0 TARGET",
                "info: block(1): tcp/accept ]: PEER SERVER: blocked by higher-level socks-rule #1",
            ],
        )
        self.assertEqual(target.requests, [])

    def test_curl_refused(self) -> None:
        """Curl asking for a port that nobody listens on."""
        self.program("curl")
        server, target = self.start(), self.target()
        closed = self.listening()
        target.port = closed.getsockname()[1]
        closed.close()
        printed = self.curl(server, target, "--socks5", f"127.0.0.1:{server.port}")
        self.assertIn(b"curl: (97)", printed)
        server.wait_for(2, "remote peer error (Connection refused)")

    ASKING = b"GET / HTTP/1.1\r\nHost: target\r\n\r\n"

    def expect_ncat(self, kind: str, *arguments: str, user: str = "", **how: str) -> None:
        """Ncat sends its input through the server and prints the answer."""
        ncat = self.program("ncat")
        server, target = self.start(**how), self.target()  # type: ignore[arg-type]
        done = self.run_program(
            [
                ncat,
                *("--proxy", f"127.0.0.1:{server.port}", "--proxy-type", kind),
                *arguments,
                *("127.0.0.1", str(target.port)),
            ],
            self.ASKING,
        )
        self.assertTrue(done.stdout.endswith(BODY), done.stderr)
        self.expect_session(server, target, user)

    def test_ncat_socks4(self) -> None:
        """Ncat with SOCKS 4."""
        self.expect_ncat("socks4")

    def test_ncat_socks5(self) -> None:
        """Ncat with SOCKS 5."""
        self.expect_ncat("socks5")

    def test_ncat_login(self) -> None:
        """Ncat with SOCKS 5 and a password."""
        self.expect_ncat(
            "socks5",
            *("--proxy-auth", "joe:secret"),
            user="username%joe@",
            method="username",
            more=self.users(),
        )

    def test_socksify(self) -> None:
        """Dante's own client library."""
        socksify, curl = self.program("socksify"), self.program("curl")
        server, target = self.start(), self.target()
        path = self.folder / "socks.conf"
        path.write_text(
            f"route {{ from: 0.0.0.0/0 to: 127.0.0.1/32 via: 127.0.0.1 port = {server.port}\n"
            "  proxyprotocol: socks_v5\n  method: none\n}\n"
        )
        done = self.run_program(
            [socksify, curl, "-q", "-sS", "--noproxy", "*", "--max-time", "60", target.url],
            SOCKS_CONF=str(path),
            # Otherwise it goes to the loopback interface by itself.
            SOCKS_AUTOADD_LANROUTES="no",
        )
        self.assertEqual(done.stdout, BODY, done.stderr)
        self.expect_session(server, target)

    def test_proxychains(self) -> None:
        """Proxychains."""
        proxychains, curl = self.program("proxychains4"), self.program("curl")
        server, target = self.start(), self.target()
        path = self.folder / "proxychains.conf"
        path.write_text(f"strict_chain\n[ProxyList]\nsocks5 127.0.0.1 {server.port}\n")
        done = self.run_program(
            [proxychains, "-q", "-f", str(path), curl, "-q", "-sS", "--noproxy", "*", target.url]
        )
        self.assertEqual(done.stdout, BODY, done.stderr)
        self.expect_session(server, target)
