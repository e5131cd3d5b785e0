"""Scenarios: names with several addresses, in a network where addresses are dead."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any, ClassVar

from twisted.trial.unittest import SkipTest

from tests.scenarios.network import ABSENT, HERE, NOWHERE, SILENT, NetworkScenario

#: A neighbour by its address on the link.
LINKED = "fe80::77%silent"
LOGGED = "log: connect disconnect error"
#: Seconds in which a connection stands although an address is dead.
SOON = 5.0


class AddressTests(NetworkScenario):
    """Whichever address is dead, the client is served by one that is not."""

    workers = 1
    hosts: ClassVar[dict[str, list[str]]] = {
        "silent.example": [SILENT, HERE],
        "absent.example": [ABSENT, HERE],
        "nowhere.example": [NOWHERE, HERE],
        "dead.example": [SILENT, ABSENT, NOWHERE],
    }

    def ended(self) -> list[dict[str, Any]]:
        """The ends of sessions, in order, when the server has stopped."""
        self.assertEqual(self.server.stop(), 0)
        self.assertNotIn("Traceback", self.server.raw())
        lines = (self.folder / "json.log").read_text().splitlines()
        return [told for line in lines if (told := json.loads(line))["kind"] == "session"]

    def run_logged(self, rules: str) -> None:
        """Start a server that logs in JSON."""
        path = self.folder / "json.log"
        path.touch(0o666)
        path.chmod(0o666)
        self.run_server(
            f"logoutput: {path}\nlog.format.json: {path}\n"
            "external.log.warning.error: system-any\n"
            "timeout.connect: 30\n"
            f"client pass {{ from: 0/0 to: 0/0 {LOGGED} }}\n{rules}"
        )

    def test_served(self) -> None:
        """Silence, a neighbour who is not there, no route: the next address is connected to."""
        self.run_logged(f"socks pass {{ from: 0/0 to: 0/0 {LOGGED} }}")
        target = self.serving()
        port = target.getsockname()[1]
        for name in ("silent.example", "absent.example", "nowhere.example"):
            began = time.monotonic()
            client = self.asking(name, port)
            far, _ = target.accept()
            self.assertEqual(self.reply(client), 0)
            # Well before the silent address's 30 seconds.
            self.assertLess(time.monotonic() - began, SOON)
            far.sendall(b"hello")
            self.assertEqual(client.recv(5), b"hello")
            far.close()
            client.close()
        self.server.wait_for(3, "tcp/accept ]")
        silent, absent, _ = self.ended()
        self.assertEqual(
            [(each["target"]["host"], each["outcome"]) for each in silent["attempts"]],
            [(HERE, "connected"), (SILENT, "overtaken")],
        )
        self.assertEqual({each["target"]["host"] for each in absent["attempts"]}, {ABSENT, HERE})

    def test_only_first(self) -> None:
        """A rule that passes the first address only never lets the second be reached."""
        self.run_logged(
            f"socks pass {{ from: 0/0 to: {ABSENT}/32 {LOGGED} }}\n"
            f"socks block {{ from: 0/0 to: 0/0 {LOGGED} }}"
        )
        target = self.serving()
        target.settimeout(0.2)
        self.assertEqual(self.reply(self.asking("absent.example", target.getsockname()[1])), 4)
        self.assertRaises(TimeoutError, target.accept)
        (session,) = self.ended()
        outcomes = {each["target"]["host"]: each["outcome"] for each in session["attempts"]}
        self.assertEqual(outcomes, {ABSENT: "failed", HERE: "blocked"})

    def test_all_dead(self) -> None:
        """If all are dead each is tried, and each failure is told."""
        self.run_logged(f"socks pass {{ from: 0/0 to: 0/0 timeout.connect: 3 {LOGGED} }}")
        self.reply(self.asking("dead.example"))
        (session,) = self.ended()
        self.assertEqual(
            {each["target"]["host"]: each["errno"] for each in session["attempts"]},
            {SILENT: "ETIMEDOUT", ABSENT: "EHOSTUNREACH", NOWHERE: "ENETUNREACH"},
        )
        failed = ("warning: no route to ", "warning: connect to host ")
        warnings = [line for line in self.server.lines() if line.startswith(failed)]
        self.assertEqual(len(warnings), 3, warnings)


class LinkTests(NetworkScenario):
    """Link-local targets, with their zone, as names."""

    workers = 1

    def linked(self) -> tuple[socket.socket, int]:
        """A target on the link, and its port."""
        table = Path(f"/proc/{self.server.pid}/net/if_inet6")
        if not table.exists() or " silent\n" not in table.read_text():
            raise SkipTest("no IPv6 here")
        (number,) = {
            int(line.split()[1], 16)
            for line in table.read_text().splitlines()
            if line.split()[-1] == "silent"
        }
        sock = self.socket(family=socket.AF_INET6)
        sock.bind(("fe80::77", 0, 0, number))
        sock.listen()
        return sock, sock.getsockname()[1]

    def test_served(self) -> None:
        """It is reached; lines have the address or the name, where Dante's have it."""
        self.run_server(
            "external: silent\n"
            f"client pass {{ from: 0/0 to: 0/0 {LOGGED} }}\n"
            f"socks block {{ from: 0/0 to: fe80::77/128 port = 7 {LOGGED} }}\n"
            f"socks pass {{ from: 0/0 to: 0/0 {LOGGED} }}"
        )
        target, port = self.linked()
        client = self.asking(LINKED, port)
        far, _ = target.accept()
        self.addCleanup(far.close)
        self.assertEqual(self.reply(client), 0)
        far.sendall(b"hello")
        heard = b""
        while not heard.endswith(b"hello"):
            heard += client.recv(99)
        far.close()
        client.close()
        self.server.wait_for(1, "tcp/connect ]")
        for host, code in ((LINKED, 2), ("fe80::77%nowhere", 4), ("fe80::77%no\nwhere", 4)):
            self.assertEqual(self.reply(self.asking(host, 7)), code)
        lines = "\n".join(self.failures())
        self.assertIn(f" fe80::77.{port}", lines)
        self.assertIn(f"-> 0.0.0.0.0 {LINKED}.7", lines)
        self.assertIn('could not resolve hostname "fe80::77%nowhere"', lines)
        self.assertIn('could not resolve hostname "fe80::77%no\\nwhere"', lines)
