"""Tests of :mod:`dantetw.server.service`."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.application.service import Application
from twisted.internet.defer import Deferred, succeed
from twisted.logger import ILogObserver, Logger, globalLogPublisher
from twisted.python.components import Componentized
from twisted.trial.unittest import SynchronousTestCase

from dantetw import __version__
from dantetw.catalogue import PROGRAM
from dantetw.config import Parsed, parse
from dantetw.crew import socksserver
from dantetw.net.channel import Channel
from dantetw.net.listening import Port
from dantetw.net.poller import EpollPoller
from dantetw.net.resolving import Resolver
from dantetw.process import pidfile
from dantetw.server import internal, reload, service
from dantetw.server.service import ServiceOptions, SockdService
from dantetw.server.startup import StartFailedError
from dantetw.session.drain import HANDSHAKE_SECONDS
from dantetw.session.listener import Listener
from dantetw.threads import Threads
from dantetw.values import Method
from tests.held import HeldPool
from tests.quiet import quiet_port
from tests.session.world import GREETING, Machine, TurningReactor

CONFIG = """
logoutput: {log}
internal: 127.0.0.1 port = 1080
external: 127.0.0.1
clientmethod: none
socksmethod: {method}
{more}
client pass {{ from: 127.0.0.0/8 to: 0/0 log: connect disconnect error }}
socks pass {{ from: 127.0.0.0/8 to: 0/0 log: connect disconnect error }}
"""
RUNNING = f"info: dantetw/server[1/1] v{__version__} running"
OVER = "alert: mother[1/1]: shutting down"
BEGUN = "info: SIGHUP [: reloading config"
DONE = "info: SIGHUP ]: config reloaded.  Broadcasting to children to do the same"
NOT_USED = "warning: SIGHUP ]: the new config cannot be used; the old one stays in force"


class _Reactor(TurningReactor):
    """
    One that can be started and stopped.

    :ivar stops: how often it was told to stop.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stops = 0
        self.triggers: list[tuple[Any, ...]] = []

    def addSystemEventTrigger(self, *trigger: Any) -> None:  # noqa: N802 - Twisted's name
        self.triggers.append(trigger)

    def start(self) -> None:
        """Call what was to be called."""
        for _, event, call, *args in self.triggers:
            if event == "startup":
                call(*args)

    def stop(self) -> None:
        self.stops += 1


class _Startup:
    """Keeps what would be reported."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.closed = False

    def begin(self) -> None:
        self.begun = True

    def fail(self, text: str) -> None:
        self.reasons.append(text)

    def close(self) -> None:
        self.closed = True


class ServiceCase(SynchronousTestCase):
    """A service in this process that leaves the process as it is."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.log = self.folder / "sockd.log"
        self.reactor = _Reactor()
        self.handlers: dict[int, Callable[[int, Any], None]] = {}
        self.patch(signal, "signal", self.handlers.__setitem__)
        self.patch(socksserver, "garbage", SimpleNamespace(settle=lambda threshold: None))
        for module in (service, internal):
            self.patch(module, "raise_descriptors", lambda: 1024)
        self.pools: dict[str, HeldPool] = {}
        for module in (socksserver, reload):
            self.patch(module, "Threads", self.threads)

    def threads(self, reactor: Any, size: int, limit: int, name: str, **more: Any) -> Threads:
        """Threads whose jobs wait for the test."""
        pool = self.pools[name] = HeldPool()
        return Threads(reactor, size, limit, name, pool, **more)

    def service(
        self, port: int | None = None, method: str = "none", more: str = "", **settings: Any
    ) -> SockdService:
        """A service that has not been started; port 0, so that no other test is in its way."""
        text = CONFIG.format(log=self.log.absolute(), method=method, more=more)
        parsed = parse(text.encode(), "sockd.conf", Machine(), PROGRAM)
        policy = parsed.policy
        assert policy is not None, parsed.problems
        (line,) = policy.internal
        listens = tuple(replace(endpoint, port=port or 0) for endpoint in line.listens)
        policy = replace(policy, internal=(replace(line, listens=listens),))
        startup = settings.pop("startup", None)
        warnings = settings.pop("warnings", ())
        reread = settings.pop("reread", None)
        made = SockdService(
            policy, ServiceOptions(**settings), warnings, self.reactor, reread, startup
        )
        self.addCleanup(self.tidy, made)
        return made

    def tidy(self, made: SockdService) -> None:
        """Close what a test has left open."""
        for port in ports_of(made):
            port.close()
        if made._server is not None and not factory_of(made).poller._epoll.closed:
            factory_of(made).poller.stop()

    def start(self, port: int | None = None, **how: Any) -> SockdService:
        """A service that runs."""
        made = self.service(port, **how)
        made.privilegedStartService()
        made.startService()
        self.reactor.start()
        return made

    def lines(self) -> list[str]:
        """What stands in the log, without prefixes."""
        if not self.log.exists():
            return []
        return [re.sub(r"^.*?\[\d+\]: ", "", line) for line in self.log.read_text().splitlines()]


def ports_of(made: SockdService) -> list[Port]:
    """The ports that are bound, those in use included."""
    server = made._server
    return [] if server is None else [*server.bound.values(), *server.ports.bound.values()]


def factory_of(made: SockdService) -> Any:
    """What makes its sessions."""
    assert made._server is not None
    return made._server._socks.factory


def listeners_of(made: SockdService) -> list[Listener]:
    """Who accepts clients."""
    assert made._server is not None
    return [one for some in made._server._socks._listeners._listeners.values() for one in some]


def accepts(made: SockdService, listener: Listener) -> bool:
    """Whether a listener hears of clients."""
    poller = factory_of(made).poller
    assert isinstance(poller, EpollPoller)
    return listener._sock.fileno() in poller._watchers


class StartTests(ServiceCase):
    """From nothing to a server that runs."""

    def test_running(self) -> None:
        """When it runs it says so, accepts clients and catches signals."""
        made = self.start()
        self.assertEqual(self.lines(), [RUNNING])
        (listener,) = listeners_of(made)
        self.assertTrue(accepts(made, listener))
        self.assertEqual(
            set(self.handlers) & {signal.SIGTERM, signal.SIGHUP}, {signal.SIGTERM, signal.SIGHUP}
        )
        made.stopService()

    def test_signals_before_the_word(self) -> None:
        """Signals are caught before anybody is told that it runs, or its process id."""
        made = self.service(pidfile=str(self.folder / "pid"))
        made.privilegedStartService()
        caught: list[bool] = []
        message = made.journal.message
        self.patch(
            made.journal,
            "message",
            lambda *what: (caught.append(signal.SIGTERM in self.handlers), message(*what)),
        )
        write = pidfile.write
        self.patch(
            pidfile,
            "write",
            lambda file: (caught.append(signal.SIGHUP in self.handlers), write(file)),
        )
        made.startService()
        self.assertEqual(caught[-2:], [True, True])
        made.stopService()

    def test_bound_first(self) -> None:
        """Addresses are bound with the rights it was started with, and served without."""
        made = self.service()
        made.privilegedStartService()
        (port,) = ports_of(made)
        self.assertEqual(listeners_of(made), [])
        made.startService()
        (listener,) = listeners_of(made)
        self.assertEqual(listener.endpoint, port.endpoint)
        self.assertTrue(accepts(made, listener))
        made.stopService()

    def test_notices_and_warnings(self) -> None:
        """What there is to say of the configuration is said first, each on one line."""
        parsed = parse(b"nonsense\n", "sockd.conf", Machine(), PROGRAM)
        made = self.start(notices=("first", "second"), warnings=parsed.problems[:1])
        lines = self.lines()
        self.assertEqual(lines[:2], ["info: first", "info: second"])
        self.assertIn("sockd.conf: problem on line 1", lines[2])
        self.assertEqual(lines[-1], RUNNING)
        made.stopService()

    def test_debug(self) -> None:
        """The command line's debug level shows debug lines."""
        made = self.start(debug=1)
        self.assertTrue(any(line.startswith("debug: ") for line in self.lines()))
        made.stopService()

    def test_program(self) -> None:
        """Lines bear the program's name."""
        made = self.start(program="danted")
        self.assertIn(f" danted[{os.getpid()}]: info: ", self.log.read_text())
        made.stopService()

    def test_nothing_to_report(self) -> None:
        """When it runs, what would have ended a failed start is let go."""
        startup = _Startup()
        made = self.start(startup=startup)
        self.assertEqual((startup.reasons, startup.closed), ([], True))
        made.stopService()

    def test_pidfile(self) -> None:
        """The pid file is written at the start and emptied at the end."""
        path = self.folder / "pid"
        made = self.start(pidfile=str(path))
        self.assertEqual(path.read_text(), f"{os.getpid()}\n")
        made.stopService()
        self.assertEqual(path.read_text(), "")

    def test_pidfile_of_another(self) -> None:
        """If the start fails, the file goes on naming the server that was to be replaced."""
        path = self.folder / "pid"
        path.write_text("12345\n")
        made = self.service(pidfile=str(path))

        def refuse() -> None:
            raise PermissionError(1, "no")

        made.privilegedStartService()
        self.patch(made._privileges, "drop", refuse)
        self.assertRaises(StartFailedError, made.startService)
        self.assertEqual(path.read_text(), "12345\n")
        made.stopService()

    def test_pidfile_unwritable(self) -> None:
        """One that cannot be written is a warning."""
        path = self.folder / "no" / "pid"
        made = self.start(pidfile=str(path))
        self.assertEqual(
            self.lines()[0],
            f"warning: could not open pidfile {path} for writing: No such file or directory",
        )
        made.stopService()

    def test_observer(self) -> None:
        """Its observer becomes that of twistd's application."""
        application = Application("sockd")
        assert isinstance(application, Componentized)
        made = self.service()
        made.setServiceParent(application)
        self.assertIs(application.getComponent(ILogObserver), made.observer)

    def test_twistd_log(self) -> None:
        """If twistd was asked for a log of its own it has that, and our observer hears as much."""
        application = Application("sockd")
        assert isinstance(application, Componentized)
        made = self.service(twistd_log=True)
        made.setServiceParent(application)
        self.addCleanup(globalLogPublisher.removeObserver, made.observer)
        self.assertIsNone(application.getComponent(ILogObserver, None))
        made.privilegedStartService()
        made.startService()
        self.addCleanup(made.stopService)
        Logger().warn("from a library")
        self.assertIn("warning: from a library", self.lines())


class FailureTests(ServiceCase):
    """Starts that fail."""

    def test_port_taken(self) -> None:
        """A port that is taken is told in Dante's lines, and then the caller decides."""
        taken = socket.socket()
        self.addCleanup(taken.close)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        startup = _Startup()
        made = self.service(port, startup=startup)
        self.assertRaises(StartFailedError, made.privilegedStartService)
        in_use = "Address already in use"
        failed = f"serverinit(): failed to bind internal addresses: {in_use}"
        self.assertEqual((startup.reasons, startup.closed), ([failed], False))
        self.assertEqual(
            self.lines(),
            [
                f"warning: bindinternal(): bind of address 127.0.0.1.{port} (address #1/1) for"
                f" server to listen on failed: {in_use}",
                f"error: {failed}",
                OVER,
            ],
        )

    def test_fails_alone(self) -> None:
        """It is an exception, for twistd to pass on, also when there is nobody to report it to."""
        made = self.service(method="username", more=f"username.file: {self.folder / 'no'}")
        caught = self.assertRaises(StartFailedError, made.privilegedStartService)
        self.assertIn("No such file or directory", str(caught))
        self.assertEqual(self.lines()[-1], OVER)


class StopTests(ServiceCase):
    """From a server that runs to nothing."""

    def test_signal(self) -> None:
        """A signal stops the reactor once, and the log names it."""
        made = self.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            self.handlers[number](number, None)
        self.assertEqual(self.reactor.stops, 1)
        # A second signal after the reactor's end must not make the exit status another one.
        self.assertEqual(self.reactor.triggers[2:], [("after", "shutdown", service.signals.deafen)])
        made.stopService()
        self.assertEqual(self.lines(), [RUNNING, "info: sigterm(): exiting on signal 15", OVER])

    def test_no_signal(self) -> None:
        """Stopped otherwise it says only that it shuts down."""
        self.start().stopService()
        self.assertEqual(self.lines(), [RUNNING, OVER])

    def test_everything_stopped(self) -> None:
        """Afterwards nothing is left in the reactor, and the port is free."""
        made = self.start()
        (listener,) = listeners_of(made)
        where = (listener.endpoint.host, listener.endpoint.port)
        client = socket.create_connection(where, 30)
        self.addCleanup(client.close)
        client.sendall(GREETING)
        for _ in range(500):
            if self.lines()[-1] != RUNNING:
                break
            self.reactor.turn(0.01)
        made.stopService()
        self.assertEqual((self.reactor.readers, self.reactor.writers), ([], []))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        with socket.socket() as probe:
            self.assertNotEqual(probe.connect_ex(where), 0)
        self.assertEqual(
            [line.split(" ")[2] for line in self.lines()[1:3]], ["tcp/accept", "tcp/accept"]
        )
        self.assertEqual(self.lines()[-1], OVER)

    def test_other_signals(self) -> None:
        """SIGHUP and SIGUSR1 do not stop it."""
        made = self.start()
        for number in (signal.SIGHUP, signal.SIGUSR1):
            self.handlers[number](number, None)
        self.assertEqual(self.reactor.stops, 0)
        made.stopService()

    def test_status(self) -> None:
        """SIGUSR1 makes a report, but not when the server is stopping."""
        made = self.start()
        self.reactor.advance(0)
        self.handlers[signal.SIGUSR1](signal.SIGUSR1, None)
        self.reactor.settle()
        report = self.lines()[1:]
        self.assertEqual(len(report), 10)
        self.assertRegex(report[0], "^info: dantetw v.* up 0 days, 0:00, a: 0, h: 0 c: 0$")
        self.assertEqual(report[-1], "info: no i/o latency information available (yet)")
        made.stopService()
        self.handlers[signal.SIGUSR1](signal.SIGUSR1, None)
        self.reactor.settle()
        self.assertEqual(self.lines()[11:], [OVER])


class ReloadTests(ServiceCase):
    """SIGHUP."""

    def reloading(self, text: str | None = None, port: int = 0) -> SockdService:
        """A service that runs and whose configuration has become ``text``."""
        return self.start(reread=lambda opener: self.parsed(text, port))

    def parsed(self, text: str | None, port: int) -> Parsed:
        """What reading the configuration again brings."""
        if text is None:
            text = CONFIG.format(log=self.log.absolute(), method="none", more="")
        found = parse(text.encode(), "sockd.conf", Machine(), PROGRAM)
        if found.policy is None:
            return found
        lines = tuple(
            replace(line, listens=tuple(replace(e, port=port) for e in line.listens))
            for line in found.policy.internal
        )
        return replace(found, policy=replace(found.policy, internal=lines))

    def hang_up(self) -> None:
        """SIGHUP arrives, and the configuration is parsed."""
        self.handlers[signal.SIGHUP](signal.SIGHUP, None)
        self.pools["reload"].run_all()

    def test_reloaded(self) -> None:
        """New sessions get the new rules and the new log; the listener stays."""
        other = self.folder / "other.log"
        text = CONFIG.format(log=other.absolute(), method="username", more="")
        made = self.reloading(text)
        before = listeners_of(made)
        self.hang_up()
        self.assertEqual(self.lines(), [RUNNING, BEGUN])
        self.assertIn("SIGHUP ]: config reloaded.", other.read_text())
        self.assertEqual(listeners_of(made), before)
        self.assertEqual(factory_of(made).policy.authentication.socks_methods, (Method.USERNAME,))
        made.stopService()

    def test_names_in_rules(self) -> None:
        """Names in rules are looked up at the start and after a reload, before clients ask."""
        asked: list[str] = []

        class Known(Resolver):
            def resolve(self, name: str, *more: Any, **others: Any) -> Deferred[tuple[str, ...]]:
                asked.append(name)
                return succeed(("192.0.2.1",))

        self.patch(socksserver, "Resolver", Known)
        rule = "socks block {{ from: 0/0 to: {}.example }}"
        text = CONFIG.format(log=self.log.absolute(), method="none", more=rule.format("new"))
        made = self.start(more=rule.format("old"), reread=lambda opener: self.parsed(text, 0))
        self.assertEqual(asked, ["old.example"])
        self.hang_up()
        self.assertEqual(asked, ["old.example", "new.example"])
        made.stopService()

    def test_workers(self) -> None:
        """How many processes there are does not change at a reload, which is said."""
        for more in ("workers: 3", "child.maxrequests: 5"):
            text = CONFIG.format(log=self.log.absolute(), method="none", more=more)
            made = self.reloading(text)
            self.hang_up()
            self.assertIn("change when the server is started anew", self.lines()[-2])
            made.stopService()

    def test_retired(self) -> None:
        """Who takes our place has our ports; requests that would come back to them still do."""
        made = self.start()
        (port,) = ports_of(made)
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        made._succession._replaced(1, Channel(ours, self.reactor, lambda _: None, lambda: None))
        self.assertEqual(factory_of(made).listening, {port.endpoint})
        self.assertEqual(listeners_of(made), [])
        self.assertIn("process 1 has taken our place", self.lines()[-1])
        self.reactor.advance(1)
        self.assertEqual(self.reactor.stops, 1)
        made.stopService()

    def test_wrong(self) -> None:
        """A wrong configuration is told, and changes nothing."""
        made = self.reloading("nonsense\n")
        policy, before = factory_of(made).policy, listeners_of(made)
        self.hang_up()
        self.assertEqual(self.lines()[1], BEGUN)
        self.assertIn("error: sockd.conf: problem on line 1", self.lines()[2])
        self.assertIn("the old one stays in force", self.lines()[-1])
        self.assertIs(factory_of(made).policy, policy)
        self.assertEqual(listeners_of(made), before)
        made.stopService()

    def test_address_moved(self) -> None:
        """A new address is listened on, one that is gone is let go."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        made = self.reloading(port=port)
        (before,) = listeners_of(made)
        self.hang_up()
        (after,) = listeners_of(made)
        self.assertGreaterEqual(before._sock.fileno(), 0)
        self.assertNotEqual(self.lines()[-1], DONE)
        self.reactor.advance(HANDSHAKE_SECONDS)
        self.assertEqual(self.lines()[-1], DONE)
        self.assertEqual(after.endpoint.port, port)
        self.assertEqual(before._sock.fileno(), -1)
        self.assertTrue(accepts(made, after))
        made.stopService()

    def test_stopped_while_leaving(self) -> None:
        """A stop while an address is being let go waits for nothing."""
        made = self.reloading(port=quiet_port())
        (before,) = listeners_of(made)
        self.hang_up()
        made.stopService()
        self.assertEqual(before._sock.fileno(), -1)
        self.assertEqual(self.lines()[-1], OVER)

    def test_address_taken(self) -> None:
        """An address that cannot be bound is told, and changes nothing."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            made = self.reloading(port=taken.getsockname()[1])
            before = listeners_of(made)
            self.hang_up()
            self.assertEqual(listeners_of(made), before)
        self.assertIn("Address already in use", self.lines()[2])
        self.assertIn("the old one stays in force", self.lines()[-1])
        made.stopService()

    def test_unopenable_log(self) -> None:
        """A log that cannot be opened leaves the old one in use."""
        text = CONFIG.format(log=self.folder / "none" / "x.log", method="none", more="")
        made = self.reloading(text)
        self.hang_up()
        self.assertIn("Will continue using old logfiles", self.lines()[2])
        self.assertIn("SIGHUP ]: config reloaded.", self.lines()[3])
        made.stopService()

    def test_in_a_thread(self) -> None:
        """Parsing is for a thread: nobody waits for it, and all stays as it is meanwhile."""
        made = self.reloading("nonsense\n")
        self.handlers[signal.SIGHUP](signal.SIGHUP, None)
        self.assertEqual(self.lines()[1:], [BEGUN])
        self.assertEqual(len(self.pools["reload"].jobs), 1)
        made.stopService()

    def test_one_at_a_time(self) -> None:
        """Signals that come during a reload cause exactly one more, which reads the file anew."""
        texts = ["nonsense\n", None, "never read\n"]
        made = self.start(reread=lambda opener: self.parsed(texts.pop(0), 0))
        for _ in range(3):
            self.handlers[signal.SIGHUP](signal.SIGHUP, None)
        self.pools["reload"].run()
        self.assertEqual(len(self.pools["reload"].jobs), 1)
        self.pools["reload"].run_all()
        said = [line for line in self.lines() if "SIGHUP" in line]
        self.assertEqual(said, [BEGUN, NOT_USED, BEGUN, DONE])
        self.assertEqual(texts, ["never read\n"])
        made.stopService()

    def test_again_after_an_error(self) -> None:
        """A reload that breaks by a mistake of ours is told, and the next one works."""

        def thd_break() -> Parsed:
            raise ZeroDivisionError("told to")

        calls = [thd_break, partial(self.parsed, None, 0)]
        made = self.start(reread=lambda opener: calls.pop(0)())
        self.hang_up()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.lines()[-1], NOT_USED)
        self.assertIn("error: internal error", self.lines())
        self.hang_up()
        self.assertEqual(self.lines()[-1], DONE)
        made.stopService()

    def test_stopped(self) -> None:
        """A signal that comes behind the one to stop begins nothing."""
        made = self.reloading()
        for number in (signal.SIGTERM, signal.SIGHUP):
            self.handlers[number](number, None)
        self.assertEqual(self.lines(), [RUNNING])
        made.stopService()

    def test_stopped_meanwhile(self) -> None:
        """A stop during a reload waits for nothing; what is parsed later is not used."""
        made = self.reloading()
        self.handlers[signal.SIGHUP](signal.SIGHUP, None)
        self.handlers[signal.SIGTERM](signal.SIGTERM, None)
        made.stopService()
        self.pools["reload"].run_all()
        self.assertEqual(
            self.lines(), [RUNNING, BEGUN, "info: sigterm(): exiting on signal 15", OVER]
        )

    def test_users_in_a_fifo(self) -> None:
        """A users file whose bytes would have to be waited for cannot be used."""
        users = self.folder / "users"
        os.mkfifo(users)
        more = f"username.file: {users}"
        made = self.reloading(CONFIG.format(log=self.log.absolute(), method="username", more=more))
        self.hang_up()
        self.assertEqual(
            self.lines()[2:], [f"error: method username: {users}: not a regular file", NOT_USED]
        )
        made.stopService()

    def test_wildcard(self) -> None:
        """An address can become the wildcard on the same port, and the other way round."""
        made = self.start(quiet_port(), reread=lambda opener: self.moved(made, hosts.pop(0)))
        hosts = ["0.0.0.0", "127.0.0.1"]
        for host in tuple(hosts):
            (before,) = listeners_of(made)
            self.hang_up()
            self.reactor.advance(HANDSHAKE_SECONDS)
            self.assertEqual(self.lines()[-1], DONE)
            (after,) = listeners_of(made)
            self.assertEqual(after.endpoint, replace(before.endpoint, host=host))
            self.assertEqual(before._sock.fileno(), -1)
        made.stopService()

    def moved(self, made: SockdService, host: str) -> Parsed:
        """A configuration that listens on the same port of another address."""
        (listener,) = listeners_of(made)
        found = self.parsed(None, listener.endpoint.port)
        assert found.policy is not None
        (line,) = found.policy.internal
        line = replace(line, listens=tuple(replace(e, host=host) for e in line.listens))
        return replace(found, policy=replace(found.policy, internal=(line,)))

    def test_nothing_to_read(self) -> None:
        """A server that was given no file says so."""
        made = self.start()
        self.hang_up()
        self.assertIn("there is no config file to reload", self.lines()[2])
        made.stopService()
