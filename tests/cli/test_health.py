"""Tests of :mod:`dantetw.cli.health`."""

from __future__ import annotations

import io
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from dantetw.cli import health
from dantetw.cli import main as cli
from dantetw.net.host import Host

CONFIG = """
{internals}
external: 127.0.0.1
clientmethod: none
socksmethod: none
client pass {{ from: 0/0 to: 0/0 }}
socks pass {{ from: 0/0 to: 0/0 }}
"""


class HealthTests(SynchronousTestCase):
    """Whether a server answers."""

    def listening(self, host: str = "127.0.0.1") -> socket.socket:
        """A socket to which nobody answers by himself."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family)
        self.addCleanup(sock.close)
        try:
            sock.bind((host, 0))
        except OSError as failed:
            raise SkipTest(f"no {host} here: {failed}") from None
        sock.listen()
        return sock

    def serve(self, sock: socket.socket, answer: Callable[[socket.socket], object]) -> None:
        """Answer one client."""

        def run() -> None:
            with sock.accept()[0] as client:
                answer(client)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.addCleanup(thread.join, 60)

    def health(self, *internals: tuple[str, int], more: str = "") -> tuple[int, str]:
        """What the command ends with for these addresses, and its words."""
        lines = [f"internal: {host} port = {port}" for host, port in internals]
        path = Path(self.mktemp())
        path.write_text(CONFIG.format(internals="\n".join(lines)) + more)
        out, err = io.StringIO(), io.StringIO()
        status = health.main(["-f", str(path), "-t", "0.2"], Host(), out, err)
        self.assertEqual(out.getvalue(), "")
        return status, err.getvalue()

    def test_answers(self) -> None:
        """Any answer is one: a method, none that fits, and a closed connection."""
        for answer in (
            lambda client: (client.recv(3), client.sendall(b"\x05\x00")),
            lambda client: (client.recv(3), client.sendall(b"\x05\xff")),
            lambda client: client.recv(3),
            lambda client: None,
        ):
            sock = self.listening()
            self.serve(sock, answer)
            self.assertEqual(self.health(sock.getsockname()), (0, ""))

    def test_wildcards(self) -> None:
        """A wildcard is asked at the loopback address of its family."""
        for host, written in (("127.0.0.1", "0.0.0.0"), ("::1", "::")):
            with self.subTest(host):
                sock = self.listening(host)
                self.serve(sock, lambda client: client.sendall(b"\x05\x00"))
                self.assertEqual(self.health((written, sock.getsockname()[1])), (0, ""))

    def test_silent(self) -> None:
        """A server that stands still does not answer, though its kernel does."""
        port = self.listening().getsockname()[1]
        said = f"sockd health: 127.0.0.1.{port}: no answer within 0.2 seconds\n"
        self.assertEqual(self.health(("127.0.0.1", port)), (1, said))

    def test_absent(self) -> None:
        """Nobody there is no answer; one of several addresses is enough."""
        sock, other = self.listening(), self.listening()
        port = other.getsockname()[1]
        other.close()
        said = f"sockd health: 127.0.0.1.{port}: Connection refused\n"
        self.assertEqual(self.health(("127.0.0.1", port)), (1, said))
        self.serve(sock, lambda client: client.sendall(b"\x05\x00"))
        self.assertEqual(self.health(("127.0.0.1", port), sock.getsockname()), (0, said))

    def test_wrong(self) -> None:
        """A wrong configuration and wrong options have a status of their own, and words."""
        status, said = self.health(("127.0.0.1", 1080), more="nonsense\n")
        self.assertEqual(status, 2)
        self.assertIn("nonsense", said)
        for arguments in (["--nonsense"], ["-t", "x"], ["-t", "0"]):
            err = io.StringIO()
            self.assertEqual(health.main(arguments, Host(), io.StringIO(), err), 2)
            self.assertIn("error: argument" if "-t" in arguments else "error: ", err.getvalue())

    def test_command(self) -> None:
        """It is ``sockd health``."""
        err = io.StringIO()
        self.patch(sys, "stderr", err)
        caught = self.assertRaises(SystemExit, cli.main, ["sockd", "health", "-f", "/no/file"])
        self.assertEqual(caught.code, 2)
        self.assertIn("No such file or directory", err.getvalue())
