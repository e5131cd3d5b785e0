"""Tests of :mod:`dantetw.cli`; what a shell sees is in :mod:`tests.scenarios.test_commands`."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from twisted.scripts import twistd
from twisted.trial.unittest import SynchronousTestCase

from dantetw import __version__
from dantetw.cli import main as cli
from dantetw.values import CONFIG_FILE
from tests.test_tap import CONFIG


class CommandTests(SynchronousTestCase):
    """The flags of ``sockd``."""

    def setUp(self) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", self.out)
        self.patch(sys, "stderr", self.err)
        self.patch(sys, "argv", [])
        self.ran: list[list[str]] = []
        self.patch(twistd, "run", lambda: self.ran.append(sys.argv))

    def call(self, *arguments: str, program: str = "/usr/sbin/sockd") -> object:
        """Run the command; its exit status."""
        return self.assertRaises(SystemExit, cli.main, [program, *arguments]).code

    def twistd(self, *arguments: str, program: str = "/usr/sbin/sockd") -> list[str]:
        """What twistd gets to see."""
        self.assertEqual(self.call(*arguments, program=program), 0)
        return self.ran.pop()

    def test_becomes_twistd(self) -> None:
        """Without flags: Dante's files, the foreground, and no pid file of twistd's."""
        argv = self.twistd()
        self.assertEqual(argv[0], "sockd")
        self.assertIn("--nodaemon", argv)
        self.assertIn("--pidfile=", argv)
        sub = argv[argv.index("sockd", 1) :]
        self.assertEqual(
            sub,
            ["sockd", "--config", CONFIG_FILE, "--program", "sockd", "--pid", cli.PID_FILE],
        )

    def test_daemon(self) -> None:
        """``-D`` goes to the background, with an umask that leaves logs readable as Dante's."""
        argv = self.twistd("-D")
        self.assertNotIn("--nodaemon", argv)
        self.assertIn("--umask=022", argv)

    def test_flags(self) -> None:
        """Each flag reaches the service."""
        argv = self.twistd("-f", "a", "-p", "b", "-d", "2", "-n", "-N", "3")
        sub = argv[argv.index("sockd", 1) :]
        self.assertEqual(
            sub,
            [
                *("sockd", "--config", "a", "--program", "sockd", "--pid", "b"),
                *("--debug", "2", "--workers", "3", "--no-keepalive"),
            ],
        )

    def test_joined(self) -> None:
        """Flags may be joined, as getopt has it."""
        argv = self.twistd("-Dnfx")
        self.assertNotIn("--nodaemon", argv)
        self.assertIn("--no-keepalive", argv)
        self.assertEqual(argv[argv.index("--config") + 1], "x")

    def test_program(self) -> None:
        """Called by another name it logs under that."""
        argv = self.twistd(program="/usr/sbin/danted")
        self.assertEqual(argv[argv.index("--program") + 1], "danted")

    def test_told(self) -> None:
        """``-h``, ``-v`` and ``-L`` print to standard output, start nothing and are no failure."""
        for flag, said in (
            ("-h", "usage: sockd"),
            ("-v", f"sockd: dantetw v{__version__}\n"),
            ("-vv", "methods:"),
            ("-L", "MIT"),
        ):
            with self.subTest(flag):
                self.assertEqual(self.call(flag), 0)
                self.assertIn(said, self.out.getvalue())
        self.assertEqual((self.ran, self.err.getvalue()), ([], ""))

    def test_wrong(self) -> None:
        """What is wrong is told on standard error, under our name; exit status 1."""
        for arguments, said in (
            (["-z"], "sockd: option -z not recognized\nusage:"),
            (["-f"], "sockd: option -f requires argument\nusage:"),
            (["more"], "sockd: error: unknown argument: more\n"),
            (["-d", "-1"], "sockd: error: illegal value for -d option: -1"),
            (["-d", ""], "sockd: error: illegal value for -d option: ."),
            (["-N", "0"], "sockd: error: illegal value for -N option: 0"),
        ):
            with self.subTest(said):
                self.err.truncate(0)
                self.err.seek(0)
                self.assertEqual(self.call(*arguments), 1)
                self.assertTrue(self.err.getvalue().startswith(said), self.err.getvalue())
        self.assertEqual((self.ran, self.out.getvalue()), ([], ""))

    def test_verify(self) -> None:
        """``-V`` checks and starts nothing."""
        path = Path(self.mktemp())
        path.write_text(CONFIG)
        self.assertEqual(self.call("-V", "-f", str(path)), 0)
        path.write_text(CONFIG + "nonsense\n")
        self.assertEqual(self.call("-V", "-f", str(path)), 1)
        self.assertIn(":8:1: error: ", self.err.getvalue())
        self.assertEqual((self.ran, self.out.getvalue()), ([], ""))

    def test_users(self) -> None:
        """``users`` is a command of its own, with its own flags and exit status."""
        path = self.mktemp()
        self.patch(sys, "stdin", io.StringIO("secret\n"))
        self.assertEqual(self.call("users", "add", path, "joe"), 0)
        self.assertEqual(self.call("users", "list", path), 0)
        self.assertEqual(self.out.getvalue().splitlines()[-1], "joe")
        self.assertNotEqual(self.call("users", "list", path + "-no"), 0)
