"""Tests of :mod:`dantetw.tap`."""

from __future__ import annotations

import errno
import io
import os
import socket
import sys
from pathlib import Path

from twisted.application.service import IService, IServiceMaker
from twisted.plugin import IPlugin
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from dantetw import catalogue, tap
from dantetw.catalogue import PROGRAM
from dantetw.config import parse
from dantetw.process import pidfile
from dantetw.process.regular import open_regular
from dantetw.server.service import SockdService
from dantetw.values import LOG_CONNECT, LOG_DISCONNECT, LOG_ERROR, Command, Endpoint, Family
from tests.session.world import Machine

CONFIG = """
internal: 127.0.0.1 port = 1080
external: 127.0.0.1
clientmethod: none
socksmethod: none
client pass { from: 127.0.0.0/8 to: 0/0 }
socks pass { from: 127.0.0.0/8 to: 0/0 }
"""


class OptionsTests(SynchronousTestCase):
    """The command line of ``twistd sockd``."""

    def test_defaults(self) -> None:
        """Without options: the built-in configuration, its own debug level, keep-alive."""
        options = tap.Options()
        options.parseOptions([])
        self.assertEqual(
            (options["config"], options["debug"], options["pid"], options["program"]),
            (None, None, "", "sockd"),
        )
        self.assertFalse(options["no-keepalive"])

    def test_given(self) -> None:
        """Each option is read."""
        options = tap.Options()
        options.parseOptions(["-f", "x", "-d", "2", "--pid", "p", "--no-keepalive"])
        self.assertEqual((options["config"], options["debug"], options["pid"]), ("x", 2, "p"))
        self.assertTrue(options["no-keepalive"])

    def test_wrong(self) -> None:
        """A debug level that is no number, or below 0, is an error of usage."""
        for arguments in (["-d", "x"], ["-d", "-1"], ["--nonsense"], ["argument"]):
            self.assertRaises(UsageError, tap.Options().parseOptions, arguments)

    def twistd(self, path: Path) -> tap.Options:
        """Options behind those of twistd, with this pid file."""
        options = tap.Options()
        options.parent = {"pidfile": str(path)}
        return options

    def test_stale_pidfile(self) -> None:
        """A pid file of a server that has ended is removed before twistd looks at it."""
        path = Path(self.mktemp())
        path.write_text(str(os.getpid()))
        self.twistd(path).parseOptions([])
        self.assertFalse(path.exists())
        self.twistd(path).parseOptions([])

    def test_used_pidfile(self) -> None:
        """One that is not stale stays, for twistd to refuse."""
        path = Path(self.mktemp())
        path.write_text("nonsense")
        self.twistd(path).parseOptions([])
        self.assertTrue(path.exists())

    def test_unusable_pidfile(self) -> None:
        """One that can be neither read nor removed is an error, in words."""
        path = Path(self.mktemp())
        path.mkdir()
        err = io.StringIO()
        self.patch(sys, "stderr", err)
        caught = self.assertRaises(SystemExit, self.twistd(path).parseOptions, [])
        self.assertEqual(caught.code, 1)
        said = f"sockd: error: twistd's --pidfile {path}: not a regular file\n"
        self.assertEqual(err.getvalue(), said)

    def test_forbidden_pidfile(self) -> None:
        """Of one that belongs to another user, as root leaves it, the error says what to do."""
        path = Path(self.mktemp())
        path.touch()
        err = io.StringIO()
        self.patch(sys, "stderr", err)

        def refuse(_: str) -> bool:
            raise PermissionError(errno.EACCES, "Permission denied")

        self.patch(pidfile, "is_stale", refuse)
        self.assertRaises(SystemExit, self.twistd(path).parseOptions, [])
        words = "Permission denied; with --pidfile= there is none"
        self.assertEqual(err.getvalue(), f"sockd: error: twistd's --pidfile {path}: {words}\n")


class DefaultTests(SynchronousTestCase):
    """What is done without a configuration."""

    def test_compiles(self) -> None:
        """The built-in configuration has no error on any machine, and no warning."""
        text = tap.default_configuration(Machine())
        parsed = parse(text, tap.BUILT_IN, Machine(), PROGRAM)
        policy = parsed.policy
        assert policy is not None, parsed.problems
        self.assertEqual(parsed.problems, ())
        self.assertEqual(policy.default_log, LOG_CONNECT | LOG_DISCONNECT | LOG_ERROR)
        (internal,) = policy.internal
        self.assertEqual(internal.listens, (Endpoint("127.0.0.1", 1080, Family.IPV4),))
        (client,), (socks, replies) = policy.client_rules, policy.socks_rules
        self.assertEqual(
            {rule.log for rule in (client, socks, replies)},
            {LOG_CONNECT | LOG_DISCONNECT | LOG_ERROR},
        )
        self.assertEqual(socks.commands, set(catalogue.commands()))
        self.assertEqual(replies.commands, {Command.BINDREPLY, Command.UDPREPLY})
        ours = (client.source, socks.source, replies.target)
        self.assertEqual({address.text for address in ours}, {"127.0.0.0/8"})

    def test_externals(self) -> None:
        """It goes out by each interface that has an address."""
        self.patch(socket, "if_nameindex", lambda: [(1, "lo"), (2, "down0"), (3, "eth0")])
        text = tap.default_configuration(Machine()).decode()
        self.assertIn("external: lo\nexternal: eth0\n", text)
        self.assertNotIn("down0", text)


class RereadTests(SynchronousTestCase):
    """What a reload reads."""

    def test_rights_of_the_start(self) -> None:
        """What it means is judged by the rights of the start, which are gone by now."""
        path = Path(self.mktemp())
        path.write_text("debug: 1\n" + CONFIG)
        self.patch(os, "geteuid", lambda: 0)
        system = tap.Here()
        self.patch(os, "geteuid", lambda: 1)
        parsed = tap.reread(str(path), 3, system, open_regular)
        policy, problems = parsed.policy, parsed.problems
        assert policy is not None, problems
        self.assertEqual((policy.file, policy.logging.debug), (str(path), 3))
        texts = "\n".join(problem.text for problem in problems)
        self.assertIn("setting the unprivileged uid to 0", texts)

    def test_fifo(self) -> None:
        """A FIFO is no configuration then: its writer is not waited for."""
        path = self.mktemp()
        os.mkfifo(path)
        (problem,) = tap.reread(path, None, tap.Here(), open_regular).problems
        text = f"parseconfig(): could not open config file {path}: not a regular file"
        self.assertEqual(problem.text, text)

    def test_built_in(self) -> None:
        """Without a file it is the built-in configuration again."""
        policy = tap.reread(None, None, tap.Here(), open_regular).policy
        assert policy is not None
        self.assertEqual(policy.file, tap.BUILT_IN)


class ServiceMakerTests(SynchronousTestCase):
    """From options to a service."""

    def options(self, text: str | None) -> tap.Options:
        """Options with a configuration of this text, or one that does not exist."""
        path = Path(self.mktemp())
        if text is not None:
            path.write_text(text)
        options = tap.Options()
        options.parseOptions(["--config", str(path)])
        return options

    def make(self, options: tap.Options) -> SockdService:
        """The service, whose hooks are taken away at the end."""
        made = tap.makeService(options)
        assert isinstance(made, SockdService)
        assert made._startup is not None
        self.addCleanup(made._startup.close)
        return made

    def test_made(self) -> None:
        """A right configuration makes a service, which opens nothing yet."""
        made = self.make(self.options(CONFIG))
        self.assertTrue(IService.providedBy(made))
        self.assertIsNone(made._server)

    def test_twistd_log(self) -> None:
        """twistd's flags for a log of its own are heeded; without them, or without twistd, not."""
        options = self.options(CONFIG)
        for parent, keeps in (
            (None, False),
            ({"logfile": None, "syslog": 0, "logger": None}, False),
            ({"logfile": "x.log", "syslog": 0, "logger": None}, True),
            ({"logfile": None, "syslog": 1, "logger": None}, True),
            ({"logfile": None, "syslog": 0, "logger": "a.b"}, True),
        ):
            with self.subTest(str(parent)):
                options.parent = parent
                made = self.make(options)
                self.assertEqual(made._options.twistd_log, keeps)

    def test_logged_here(self) -> None:
        """It knows whether what is logged is seen where it was started."""
        for output, seen in (("syslog", False), ("stdout", True), ("syslog stderr", True)):
            with self.subTest(output):
                made = self.make(self.options(f"logoutput: {output}\n{CONFIG}"))
                assert made._startup is not None
                self.assertEqual(made._startup.logged_here, seen)

    def test_refused(self) -> None:
        """A wrong one is told on standard error, place and all, and ends the program with 1."""
        for text, said in (
            (CONFIG + "nonsense\n", ":8:1: error: "),
            (None, "No such file or directory"),
            ("", "is empty"),
        ):
            with self.subTest(said):
                err = io.StringIO()
                self.patch(sys, "stderr", err)
                caught = self.assertRaises(SystemExit, tap.makeService, self.options(text))
                self.assertEqual(caught.code, 1)
                self.assertIn(said, err.getvalue())

    def test_plugin(self) -> None:
        """The plugin is what twistd looks for, and makes these options and this service."""
        from twisted.plugins import dantetw_sockd

        plugin = dantetw_sockd.sockd
        self.assertTrue(IPlugin.providedBy(plugin) and IServiceMaker.providedBy(plugin))
        self.assertEqual(plugin.tapname, "sockd")
        self.assertIs(plugin.options, tap.Options)
        self.assertIs(plugin.makeService, tap.makeService)
