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
sys.path.clear()
sys.path_importer_cache.clear()
assert host.Host().resolve("127.0.0.1") == ["127.0.0.1"]
for name in ("localhost", "x\\u00fc\\u00df.invalid", "\\udcff"):
    host.Host().resolve(name)
import socket
with socket.socket() as sock:
    sock.bind(("127.0.0.1", 0))
"""


class ImportTests(SynchronousTestCase):
    """A server may lose its library: by its rights, a changed root, or an upgrade in place."""

    def test_names(self) -> None:
        """Names and addresses can be used all the same."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), *sys.path))}
        command = [sys.executable, "-W", "error", "-c", LATE]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        self.assertEqual((done.stderr, done.returncode), ("", 0))
