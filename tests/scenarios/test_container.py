"""Scenarios: the server as the container image runs it, without a container."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.scenarios.rights import DROP, RootScenario, status
from tests.scenarios.running import SOCKD, Scenario, wait_until

ALL_CAPABILITIES = "-all"
HELPERS = "-all,+setuid,+setgid,+dac_read_search"


class ContainerScenarios(Scenario):
    """Nobody from the beginning."""

    def test_users_file(self) -> None:
        """
        A users file of mode 0600 is read if it was made as the same user; one of somebody else's is
        an error that says whose it is.
        """
        # Trial's own folders are for root alone.
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.folder.chmod(0o777)
        users = self.folder / "users"
        add = self.as_user([*SOCKD, "users", "add", "--stdin", str(users), "joe"])
        done = self.run_program(add, b"secret\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(users.stat().st_mode & 0o777, 0o600)
        more = f"username.file: {users}"

        def command(path: Path) -> Sequence[str]:
            return self.as_user([*SOCKD, "-p", "", "-f", str(path)])

        server = self.start(command, method="username", more=more)
        self.assertEqual(server.stop(), 0)
        self.needs_root()
        # A user that is neither root nor the one who runs it, whom a namespace may not know.
        os.chown(users, 1, 1)
        owner, we = (
            self.run_program(self.as_user(look)).stdout.decode().strip()
            for look in (["stat", "-c", "%u", str(users)], ["id", "-u"])
        )
        server = self.spawn(command(self.configure(server.port, "username", more)))
        self.assertEqual(server.wait(), 1)
        said = f"{users}: Permission denied (mode 0600, user {owner}; we are {we})"
        self.assertIn(f"sockd: error: method username: {said}\n", server.raw())

    def test_health(self) -> None:
        """``sockd health`` tells a server that answers from one that is stopped, or has ended."""
        self.workers = 1
        server = self.start()
        path = str(self.folder / "sockd.conf")
        check = [*SOCKD, "health", "-f", path, "-t", "1"]
        done = self.run_program(check)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        server.send(signal.SIGSTOP)
        wait_until(lambda: status(server.pid, "State")[0] == "T", "its stop")
        done = self.run_program(check)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"no answer within 1 seconds", done.stderr)
        server.send(signal.SIGCONT)
        self.assertEqual(self.run_program([*check[:-1], "30"]).returncode, 0)
        self.assertEqual(server.stop(), 0)
        done = self.run_program(check)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"Connection refused", done.stderr)


class CapabilityScenarios(RootScenario):
    """Root with next to no capabilities."""

    def test_helper(self) -> None:
        """
        With SETUID, SETGID and DAC_READ_SEARCH the helper reads a users file of mode 0600 that
        belongs to root, also when it has changed.
        """
        self.program("setpriv")
        limit = ["setpriv", f"--bounding-set={HELPERS}", f"--inh-caps={ALL_CAPABILITIES}"]
        if subprocess.run([*limit, "true"], capture_output=True, check=False).returncode:
            raise SkipTest("capabilities cannot be taken away here")
        users = self.folder / "users"
        add = [*SOCKD, "users", "add", "--stdin", str(users)]
        self.assertEqual(self.run_program([*add, "joe"], b"secret\n").returncode, 0)
        self.assertEqual(users.stat().st_mode & 0o777, 0o600)

        def command(path: Path) -> Sequence[str]:
            return [*limit, *SOCKD, "-p", "", "-f", str(path)]

        more = f"{DROP}\nusername.file: {users}"
        server, target = self.start(command, method="username", more=more), self.listening()
        port = target.getsockname()[1]
        heard = self.log_in(server, "joe", "secret", port)
        self.assertEqual(heard[:6], b"\x05\x02\x01\x00\x05\x00")
        self.assertEqual(self.run_program([*add, "ann"], b"secret\n").returncode, 0)
        wait_until(
            lambda: self.log_in(server, "ann", "secret", port)[:4] == b"\x05\x02\x01\x00", "a login"
        )
        self.assertEqual(server.stop(), 0)
