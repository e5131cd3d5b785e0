"""Scenarios: the recipes of ``docs/logging.rst`` print what the page shows."""

from __future__ import annotations

import re
import signal
import socket
import textwrap
from pathlib import Path

import bcrypt

from tests.scenarios.running import ROOT, Running, Scenario

PAGE = ROOT / "docs" / "logging.rst"
CONFIG = """\
logoutput: {folder}/sockd.log {folder}/sockd.json
log.format.json: {folder}/sockd.json
internal: 127.0.0.1 port = {port}
external: 127.0.0.1
clientmethod: none
socksmethod: username
username.file: {folder}/users
workers: 1
client pass {{ from: 127.0.0.0/8 to: 0/0 log: error }}
socks pass {{ from: 127.0.0.0/8 to: 127.0.0.1/32 log: connect disconnect error }}
socks block {{ from: 0/0 to: 0/0 log: connect }}
"""


def recipes() -> dict[str, tuple[str, str]]:
    """Command and output of each recipe, by the title above it."""
    text = PAGE.read_text(encoding="utf-8").partition("\nRecipes\n===")[2].partition("\n===")[0]
    found = {}
    for part in re.split(r"\n(?=.+\n-{3,}\n)", text)[1:]:
        title = part.partition("\n")[0]
        (block,) = re.findall(r"::\n\n((?:    .*\n|\n)+)", part)
        lines = textwrap.dedent(block).strip("\n").split("\n")
        count = 1
        while "\n".join(lines[:count]).count("'") % 2 or lines[count - 1].endswith("\\"):
            count += 1
        found[title] = "\n".join(lines[:count]).removeprefix("$ "), "\n".join(lines[count:])
    return found


def drain(sock: socket.socket, left: int = 1 << 20) -> None:
    """Receive so many bytes, or all up to the end of file."""
    while left and (piece := sock.recv(left)):
        left -= len(piece)


class RecipeScenarios(Scenario):
    """Every recipe is run on the log of a real server."""

    def configure(
        self, port: int, method: str = "none", more: str = "", log: str | None = None
    ) -> Path:
        """With logins and a JSON log."""
        path = self.folder / "sockd.conf"
        path.write_text(CONFIG.format(folder=self.folder, port=port))
        for name in ("alice", "bob"):
            stored = bcrypt.hashpw(name.encode(), bcrypt.gensalt(4)).decode()
            with (self.folder / "users").open("a") as file:
                file.write(f"{name}:{stored}\n")
        (self.folder / "users").chmod(0o600)
        return path

    def ask(self, server: Running, name: str, password: str, host: str, port: int) -> socket.socket:
        """A client that has logged in and asked for a connection."""
        client = socket.create_connection(("127.0.0.1", server.port), 60)
        self.addCleanup(client.close)
        client.sendall(b"\x05\x01\x02")
        login = bytes([1, len(name)]) + name.encode() + bytes([len(password)]) + password.encode()
        client.sendall(login)
        request = b"\x05\x01\x00\x01" + socket.inet_aton(host) + port.to_bytes(2, "big")
        client.sendall(request)
        heard = b""
        while piece := client.recv(100):
            heard += piece
            if len(heard) >= 14 or heard[2:4] == b"\x01\x01":
                break
        return client

    def test_recipes(self) -> None:
        """Two users, a blocked target, one that is down, a wrong password, a session still open."""
        self.program("jq")
        server = self.start()
        target = self.listening()
        port = target.getsockname()[1]
        for name, sent, answered in (("alice", 100, 5000), ("bob", 10, 20), ("alice", 50, 2000)):
            client = self.ask(server, name, name, "127.0.0.1", port)
            far, _ = target.accept()
            client.sendall(bytes(sent))
            far.sendall(bytes(answered))
            drain(client, answered)
            client.close()
            drain(far)
            far.close()
        self.ask(server, "alice", "alice", "192.0.2.80", 80).close()
        with socket.socket() as down:
            down.bind(("127.0.0.1", 0))
            unused = down.getsockname()[1]
        self.ask(server, "bob", "bob", "127.0.0.1", unused).close()
        self.ask(server, "bob", "secret", "127.0.0.1", port).close()
        server.wait_for(3, "tcp/connect ]: ")
        server.wait_for(1, "authentication failed")
        still = self.ask(server, "bob", "bob", "127.0.0.1", port)
        far, _ = target.accept()
        self.addCleanup(far.close)
        still.sendall(b"x" * 30)
        self.assertEqual(far.recv(30), b"x" * 30)
        names = {port: 443, unused: 8443}
        shown, wanted = {}, {}
        for title, (command, output) in recipes().items():
            if "kill -USR1" in command:
                command = command.partition("; ")[2].partition("; ")[2]
                server.send(signal.SIGUSR1)
                server.wait_for(1, "info: tcp: ")
            command = command.replace("/var/log/sockd", str(self.folder / "sockd"))
            done = self.run_program(["sh", "-c", command])
            self.assertEqual(done.stderr, b"", title)
            told = done.stdout.decode().rstrip("\n")
            for number, name in names.items():
                told = re.sub(rf"\b{number}\b", str(name), told)
            shown[title] = [line.split() for line in told.splitlines()]
            wanted[title] = [line.split() for line in output.splitlines()]
        self.assertEqual(shown, wanted)
        self.assertEqual(len(shown), 5)
        self.assertEqual(server.stop(), 0)
