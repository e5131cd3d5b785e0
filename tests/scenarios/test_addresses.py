"""Scenarios: names with several addresses, in a network where addresses are dead."""

from __future__ import annotations

import json
import time
from typing import Any, ClassVar

from tests.scenarios.network import ABSENT, HERE, NOWHERE, SILENT, NetworkScenario

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
