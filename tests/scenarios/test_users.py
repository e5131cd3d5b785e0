"""Scenarios: logins against the system, and whose rights the server works with."""

from __future__ import annotations

import grp
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.scenarios.rights import DROP, NOBODY, RootScenario, effective, status
from tests.scenarios.running import mask


class UserScenarios(RootScenario):
    """A server that root starts, and that becomes somebody else."""

    def test_unprivileged(self) -> None:
        """After the start it is ``user.unprivileged``, for good."""
        server = self.start(more=DROP)
        real, user, group, groups = effective(server.pid)
        uid, gid = self.nobody.pw_uid, self.nobody.pw_gid
        self.assertEqual((real, user, group), (uid, uid, gid))
        self.assertEqual(status(server.pid, "Uid"), [str(uid)] * 4)
        self.assertEqual(status(server.pid, "Gid"), [str(gid)] * 4)
        self.assertEqual(status(server.pid, "NoNewPrivs"), ["1"])
        self.assertNotIn(0, groups)
        self.live(server, self.listening())
        self.assertEqual(server.stop(), 0)
        # Root's own file: to empty it takes root's rights.
        self.assertEqual((self.folder / "sockd.pid").read_text(), "")

    def test_rotation(self) -> None:
        """
        Where ``user.privileged`` is not root, it can open anew a log that root created, and empty
        the file of the process id.
        """
        # Trial's own folders are for root alone.
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        os.chown(self.folder, self.nobody.pw_uid, self.nobody.pw_gid)
        server = self.start(more=f"user.privileged: {NOBODY}\nuser.unprivileged: {NOBODY}")
        old = self.folder / "old.log"
        server.log.rename(old)
        server.send(signal.SIGHUP)
        server.wait_for(1, "config reloaded")
        self.assertEqual(server.stop(), 0)
        self.assertIn("SIGHUP [", old.read_text())
        self.assertIn("config reloaded", server.log.read_text())
        self.assertEqual(server.log.stat().st_uid, self.nobody.pw_uid)
        self.assertEqual((self.folder / "sockd.pid").read_text(), "")

    def test_privileged_port(self) -> None:
        """Ports below 1024 are bound before the rights are given up."""
        for port in range(1023, 900, -7):
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            path = self.configure(port, more=DROP)
            server = self.spawn(self.foreground(path), port)
            try:
                server.wait_for(1, "running")
            except AssertionError:
                if "Address already in use" in server.raw():
                    continue
                raise
            self.assertEqual(effective(server.pid)[1], self.nobody.pw_uid)
            self.assertEqual(server.stop(), 0)
            return
        raise SkipTest("no port below 1024 is free")

    def test_system_login(self) -> None:
        """Logins are checked against the system's shadow file also by a server that is nobody."""
        name, password = self.system_user()
        server, target = self.start(method="username", more=DROP), self.listening()
        port = target.getsockname()[1]
        heard = self.log_in(server, name, password, port)
        self.assertEqual(heard[:6], b"\x05\x02\x01\x00\x05\x00")
        server.wait_for(1, "tcp/connect [")
        self.assertIn(
            f"info: pass(1): tcp/connect [: username%{name}@PEER SERVER -> PEER TARGET",
            mask(server, port, server.lines()),
        )
        self.assertEqual(self.log_in(server, name, password + "x", port), b"\x05\x02\x01\x01")
        server.wait_for(1, f'system password authentication failed for user "{name}"')
        self.assertEqual(self.log_in(server, "no-" + name, password, port), b"\x05\x02\x01\x01")
        server.wait_for(1, f'could not access user "no-{name}"')
        self.assertEqual(effective(server.pid)[1], self.nobody.pw_uid)
        self.assertEqual(server.stop(), 0)
        self.assertNotIn(password, server.raw())
        self.assertNotIn("Traceback", server.raw())

    def test_group(self) -> None:
        """The groups of a system user count in rules."""
        name, password = self.system_user()
        group = f"g{name}"
        for program in ("groupadd", "groupdel"):
            self.program(program)
        subprocess.run(["groupadd", "-U", name, group], check=False, capture_output=True)
        if not any(entry.gr_name == group for entry in grp.getgrall()):
            raise SkipTest("groupadd of this system cannot name members")
        self.addCleanup(subprocess.run, ["groupdel", group], check=False, capture_output=True)
        rule = f"{DROP}\nsocks block {{ from: 0/0 to: 0/0 log: connect\n  group: {group}\n}}"
        server, target = self.start(method="username", more=rule), self.listening()
        heard = self.log_in(server, name, password, target.getsockname()[1])
        self.assertEqual(heard[:6], b"\x05\x02\x01\x00\x05\x02")
        self.assertEqual(server.stop(), 0)
