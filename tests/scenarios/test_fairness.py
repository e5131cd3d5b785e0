"""Scenarios: clients that want more than their share of what takes time."""

from __future__ import annotations

import select
import socket

from twisted.trial.unittest import SkipTest

from tests.scenarios.network import NetworkScenario
from tests.scenarios.rights import DROP, RootScenario
from tests.scenarios.running import DEADLINE, Running

#: Connections of a client that guesses, and how many of its guesses may be checked before another
#: client's login is.  One after the other it would be all of them.
GUESSES, AHEAD = 100, 30
REFUSED = "system password authentication failed"


class GuessingScenarios(RootScenario):
    """One client guesses passwords, another logs in."""

    def guess(self, server: Running, name: str) -> list[socket.socket]:
        """Send guesses."""
        guesses = []
        for number in range(GUESSES):
            client = socket.create_connection(
                ("127.0.0.1", server.port), DEADLINE, source_address=("127.0.0.66", 0)
            )
            self.addCleanup(client.close)
            who, what = name.encode(), b"%d" % number
            login = bytes((1, len(who))) + who + bytes((len(what),)) + what
            client.sendall(b"\x05\x01\x02" + login)
            guesses.append(client)
        return guesses

    def try_it(self, server: Running, name: str, password: str) -> None:
        """Log in while another client guesses: it comes before the guesses."""
        target = self.target()
        guesses = self.guess(server, name)
        heard = self.log_in(server, name, password, target.port)
        checked = server.raw().count(REFUSED)
        self.assertEqual(heard[:6], b"\x05\x02\x01\x00\x05\x00", heard)
        self.assertLess(checked, AHEAD)
        for client in guesses:
            client.close()
        self.assertEqual(server.stop(), 0)

    def test_users_file(self) -> None:
        """It holds for the users of a file."""
        try:
            import bcrypt
        except ImportError as missing:
            raise SkipTest(str(missing)) from None
        users = self.folder / "users"
        users.write_bytes(b"joe:" + bcrypt.hashpw(b"secret", bcrypt.gensalt(10)) + b"\n")
        users.chmod(0o600)
        self.workers = 1
        server = self.start(method="username", more=f"username.file: {users}")
        self.try_it(server, "joe", "secret")

    def test_system(self) -> None:
        """It holds for those of the system, whose passwords the helper checks for all workers."""
        name, password = self.system_user()
        self.workers = 2
        server = self.start(method="username", more=DROP)
        self.try_it(server, name, password)


class NameScenarios(NetworkScenario):
    """Clients ask for names that nobody answers for, another for one that is known."""

    def test_dead_names(self) -> None:
        """The known name is had while all the others are waited for."""
        # As long as the C library allows, so that none is given up before the other is had.
        (self.folder / "resolv.conf").write_text(
            "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n"
        )
        self.run_server("timeout.connect: 0\ntimeout.negotiate: 0\n")
        self.name_server()
        waiting = []
        for number in range(200):
            client = self.socket()
            client.bind((f"127.0.1.{number % 20 + 1}", 0))
            client.connect(("127.0.0.1", self.server.port))
            host = b"silent.n%d" % number
            request = b"\x05\x01\x00\x03" + bytes((len(host),)) + host + b"\x00\x50"
            client.sendall(b"\x05\x01\x00" + request)
            self.assertEqual(client.recv(2), b"\x05\x00")
            waiting.append(client)
        # Nobody listens there: what counts is that it is not 4, an address that is not known.
        self.assertEqual(self.reply(self.asking("localhost", 9)), 5)
        self.assertEqual(select.select(waiting, [], [], 0)[0], [])
