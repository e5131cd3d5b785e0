"""Scenarios: what the command ``sockd`` prints and returns."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket

from dantetw import __version__
from tests.scenarios.running import SOCKD, Scenario


class CommandScenarios(Scenario):
    """``sockd`` as a shell sees it."""

    def run_sockd(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        done = self.run_program([*SOCKD, *arguments])
        self.assertNotIn(b"Traceback", done.stdout + done.stderr)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def test_help(self) -> None:
        """``-h`` is usage on standard output."""
        status, out, err = self.run_sockd("-h")
        self.assertEqual((status, err), (0, ""))
        self.assertTrue(out.startswith("usage: sockd [-DLNVdfhnpv]\n"))

    def test_version(self) -> None:
        """``-v`` is one line, ``-vv`` and ``-v -v`` say more."""
        self.assertEqual(self.run_sockd("-v"), (0, f"sockd: dantetw v{__version__}\n", ""))
        status, out, _ = self.run_sockd("-vv")
        self.assertEqual(status, 0)
        self.assertIn("methods:  none pam.address pam.any pam.username rfc931 username\n", out)
        self.assertEqual(self.run_sockd("-v", "-v")[1], out)

    def test_enough(self) -> None:
        """A reader of ``check`` that goes away ends it without a word."""
        path = self.folder / "long.conf"
        path.write_text("nonsense: 1\n" * 5000)
        command = " ".join(map(shlex.quote, [*SOCKD, "check", "-f", str(path)]))
        done = self.run_program(["sh", "-c", f"{command} | sed q"])
        self.assertEqual(len(done.stdout.splitlines()), 1)
        self.assertEqual(done.stderr, b"")

    def test_full(self) -> None:
        """Standard output that is full is a line on standard error; one without a reader none."""
        path = self.folder / "wrong.conf"
        path.write_text("nonsense: 1\n")
        check = f"check -f {shlex.quote(str(path))}"
        for arguments in ("-h", "-v", "-L", check):
            command = " ".join((*map(shlex.quote, SOCKD), arguments))
            full = self.run_program(["sh", "-c", f"{command} >/dev/full"])
            self.assertEqual(full.returncode, 1)
            line = b"sockd: error: standard output: No space left on device\n"
            self.assertEqual(full.stderr, line)
            gone = self.run_program(["sh", "-c", f"{command} | true"])
            self.assertEqual(gone.stderr, b"")
        command = " ".join((*map(shlex.quote, SOCKD), "-V", "-f", str(path)))
        self.assertEqual(self.run_program(["sh", "-c", f"{command} 2>/dev/full"]).returncode, 1)

    def test_licence(self) -> None:
        """``-L`` is the licence."""
        status, out, err = self.run_sockd("-L")
        self.assertEqual((status, err), (0, ""))
        self.assertIn("MIT", out)

    def test_wrong(self) -> None:
        """A wrong option is usage on standard error, a wrong value a line; exit status 1."""
        for arguments in (["-z"], ["-f"], ["--config", "x"]):
            with self.subTest(arguments):
                status, out, err = self.run_sockd(*arguments)
                self.assertEqual((status, out), (1, ""))
                self.assertIn("usage: sockd", err)
        for arguments in (["-d", "x"], ["-N", "0"], ["-N", "x"], ["-d", "-1"], ["-d", "²"], ["x"]):
            with self.subTest(arguments):
                status, out, err = self.run_sockd(*arguments)
                self.assertEqual((status, out), (1, ""))
                self.assertTrue(err.startswith("sockd: error: "), err)

    def test_verify(self) -> None:
        """``-V`` is silent and 0 if a server could start, else says why and is 1."""
        path = self.configure(1080)
        before = sorted(os.listdir(self.folder))
        status, out, _ = self.run_sockd("-V", "-f", str(path))
        self.assertEqual((status, out), (0, ""))
        self.assertEqual(sorted(os.listdir(self.folder)), before)
        path.write_text(path.read_text() + "socks pass {\n")
        status, out, err = self.run_sockd("-V", "-f", str(path))
        self.assertEqual((status, out), (1, ""))
        self.assertIn(f"{path}:", err)
        self.assertIn("error: ", err)

    def test_users(self) -> None:
        """``sockd users`` keeps a users file that ``-V`` and the server can use."""
        path = str(self.folder / "users")
        add = self.run_program([*SOCKD, "users", "add", path, "joe"], b"secret\n")
        self.assertEqual(add.returncode, 0, add.stderr)
        self.assertEqual(self.run_sockd("users", "list", path)[:2], (0, "joe\n"))
        right = self.run_program([*SOCKD, "users", "check", path, "joe"], b"secret\n")
        wrong = self.run_program([*SOCKD, "users", "check", path, "joe"], b"guess\n")
        self.assertEqual(right.returncode, 0, right.stderr)
        self.assertNotEqual(wrong.returncode, 0)

    def test_check(self) -> None:
        """``check`` reads standard input, prints JSON, and tells by its exit status."""
        path = self.configure(1080, more="iotimeout: 5\nuser.unprivileged: nobody")
        given = path.read_bytes()
        done = self.run_program([*SOCKD, "check", "-f", "-", "--json", "--strict"], given)
        self.assertEqual((done.returncode, done.stderr), (1, b""))
        (file,) = json.loads(done.stdout)["files"]
        self.assertEqual((file["errors"], file["problems"][0]["token"]), (0, "iotimeout"))
        self.assertEqual(self.run_sockd("check", "-f", str(path))[0], 0)
        self.assertEqual(self.run_sockd("check", "-f", str(path / "no"))[0], 2)

    def test_migrate(self) -> None:
        """What ``check --migrate`` prints is accepted by Dante without a word of old names."""
        danted = self.program("danted")
        path = self.configure(1080, more="user.privileged: root\nuser.unprivileged: nobody")
        own = f"workers: {self.workers}\n"
        old = (
            path.read_text()
            .replace(own, "")
            .replace("socks pass", "pass")
            .replace("socksmethod", "method")
        )
        path.write_text(re.sub("logoutput: .*", "logoutput: stderr\niotimeout: 5", old))
        before = self.run_program([danted, "-V", "-f", str(path)])
        self.assertEqual((before.stdout + before.stderr).count(b"deprecated"), 3)
        path.write_text(self.run_sockd("check", "--migrate", "-f", str(path))[1])
        after = self.run_program([danted, "-V", "-f", str(path)])
        self.assertEqual(after.returncode, 0)
        self.assertNotIn(b"deprecated", after.stdout + after.stderr)
        self.assertNotIn("deprecated", self.run_sockd("check", "-f", str(path))[1])

    def test_explain(self) -> None:
        """``explain`` tells what the server then does."""
        target = self.listening()
        port = target.getsockname()[1]
        server = self.start(more="socks block { from: 0/0 to: 127.0.0.2/32 }")
        path = str(self.folder / "sockd.conf")
        for host, status, code in (("127.0.0.1", 0, 0), ("127.0.0.2", 1, 2)):
            arguments = ("explain", "-f", path, "--from", "127.0.0.1", "--to", f"{host}:{port}")
            self.assertEqual(self.run_sockd(*arguments)[0], status)
            with socket.create_connection(("127.0.0.1", server.port), 60) as client:
                client.sendall(b"\x05\x01\x00\x05\x01\x00\x01" + socket.inet_aton(host))
                client.sendall(port.to_bytes(2, "big"))
                heard = b""
                while len(heard) < 4:
                    heard += client.recv(4 - len(heard))
                self.assertEqual(heard[3], code)
        self.assertEqual(server.stop(), 0)
