"""Tests of what the server imports, and when."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parents[1]

#: Does what a server does that has become another user and cannot read its library any more.
LATE = """
import sys
import dantetw.server.service
from dantetw.net import host, listening
for name in ("session.commands.bind", "upstream.direct", "auth.ident", "auth.pam"):
    assert "dantetw." + name in sys.modules, name
sys.path.clear()
sys.path_importer_cache.clear()
assert host.Host().resolve("127.0.0.1") == ["127.0.0.1"]
for name in ("localhost", "x\\u00fc\\u00df.invalid", "\\udcff"):
    host.Host().resolve(name)
import socket
with socket.socket() as sock:
    sock.bind(("127.0.0.1", 0))
"""

#: Asks what a configuration may be, as ``sockd check`` does.
CHECK = """
import sys
from dantetw.cli import check
needless = ("dantetw.session", "dantetw.upstream", "dantetw.auth", "twisted.internet.defer")
print(*(name for name in needless if name in sys.modules))
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), *sys.path))}
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


class ImportTests(SynchronousTestCase):
    """A server may lose its library: by its rights, a changed root, or an upgrade in place."""

    def test_names(self) -> None:
        """Names and addresses can be used all the same."""
        done = run(LATE)
        self.assertEqual((done.stderr, done.returncode), ("", 0))

    def test_check(self) -> None:
        """To check a configuration, what only a server needs is not imported."""
        self.assertEqual(run(CHECK).stdout.strip(), "")
