"""
The server as a Twisted service: it owns the policy, the listeners, the sessions and the observer.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver
from twisted.python.components import Componentized

from dantetw import __version__, catalogue
from dantetw.auth.crypting import LibcryptMissingError
from dantetw.auth.interfaces import IAuthenticator
from dantetw.auth.usersfile import UsersFileError
from dantetw.auth.verifying import THREADS, WAITING
from dantetw.config import Parsed
from dantetw.config.policy import Policy
from dantetw.config.problems import Problem
from dantetw.net.host import Host
from dantetw.net.poller import make_poller
from dantetw.net.resolving import Resolver
from dantetw.observe.observer import Journal, Observer
from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks.kind import Surroundings
from dantetw.observe.sinks.opening import build_sinks, open_sink
from dantetw.process import pidfile, signals
from dantetw.process.limits import raise_descriptors
from dantetw.process.privileges import Privileges
from dantetw.session.listener import Listener
from dantetw.session.ports import BindError, Ports
from dantetw.session.protocol import SocksFactory
from dantetw.threads import Threads
from dantetw.values import Endpoint, Method, Severity

#: Seconds that destinations which are slow to take lines have at the end.
LAST_FLUSH = 2.0
#: Objects that may come to be before the garbage collector looks for cycles; Python's own figure,
#: 700, is a handful of sessions.
GARBAGE_THRESHOLD = 20_000


@dataclass(frozen=True, slots=True)
class Settings:
    """
    What the command line says beside the configuration.

    :ivar program: our name in the log.
    :ivar debug: ``-d``: overrides ``debug:``; None: it does not.
    :ivar keep_alive: False with ``-n``.
    :ivar pidfile: ``-p``: written at the start, emptied at the end; empty: none.
    :ivar notices: lines to log at the start, as information.
    """

    program: str = "sockd"
    debug: int | None = None
    keep_alive: bool = True
    pidfile: str = ""
    notices: Sequence[str] = ()


class StartFailedError(Exception):
    """The server cannot start; the reason has been logged."""


class UnusableError(Exception):
    """A configuration is right but cannot be used here and now; the text says why."""


class SockdService(MultiService):
    """
    The root service.

    :param warnings: what there is to say of the configuration.
    :param read: reads the configuration again, for SIGHUP; without it there is nothing to reload.
    :param give_up: how to end when the start fails: gets the reason; must raise.
    """

    def __init__(
        self,
        policy: Policy,
        settings: Settings,
        warnings: Sequence[Problem] = (),
        reactor: Any = None,
        read: Callable[[], Parsed] | None = None,
        give_up: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.setName("sockd")  # type: ignore[no-untyped-call]
        if reactor is None:
            from twisted.internet import reactor
        self._reactor = reactor
        self._policy = policy
        self._settings = settings
        self._warnings = warnings
        self._read = read
        self._give_up = give_up
        self._privileges = Privileges(policy.user_privileged, policy.user_unprivileged)
        self._prefix = Prefix(settings.program)
        self.observer = Observer(catalogue.FORMATS["dante"](), None, reactor.callFromThread)
        self.journal = Journal(self.observer)
        self._threads = Threads(reactor, THREADS, WAITING, "passwords")
        self._bound: dict[Endpoint, Listener] = {}
        self._factory: SocksFactory | None = None
        self._signal = 0

    def setServiceParent(self, parent: Any) -> None:
        """Make our observer twistd's, in place of its log file."""
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]
        if isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self.observer)

    # Starting.

    def privilegedStartService(self) -> None:
        """Open the logs and bind the addresses, with the rights we were started with."""
        policy, settings = self._policy, self._settings
        # Not earlier: in the background, standard output and error are others than before.
        self._surroundings = Surroundings(
            self._prefix, self._reactor, privileged=self._privileges.raised
        )
        self.observer.stand_by(open_sink("stderr", self._surroundings, catalogue.SINKS))
        self._open_logs(policy)
        for notice in settings.notices:
            self.journal.message(Severity.INFO, "server.notice", notice)
        self._warn(self._warnings)
        host = Host()
        factory = self._factory = SocksFactory(
            self._reactor,
            self.journal,
            Resolver(self._reactor),
            make_poller(self._reactor),
            catalogue.COMMANDS,
            host.addresses_of,
            host.all_addresses,
            settings.keep_alive,
        )
        self._ports = Ports(factory, self._reactor, self._privileges.raised)
        try:
            factory.adopt(policy, self._authenticators(policy))
            self._bound = self._bind(policy)
        except UnusableError as unusable:
            self._fail(str(unusable))
        super().privilegedStartService()  # type: ignore[no-untyped-call]

    def _open_logs(self, policy: Policy, reload: bool = False) -> None:
        level = self._settings.debug
        debug = level if level is not None else max(policy.debug, 0)
        outputs = build_sinks(policy, self._surroundings, catalogue.SINKS, reload)
        self.observer.configure(outputs, debug, catalogue.FORMATS["dante"](timing=debug > 0))

    def _warn(self, problems: Sequence[Problem]) -> None:
        for problem in problems:
            self.journal.message(problem.severity, "config.problem", problem.one_line())

    def _authenticators(self, policy: Policy) -> dict[Method, IAuthenticator]:
        """
        What checks logins, for each method of the policy that has something to check.

        :raises UnusableError: if one cannot be made.
        """
        rules = (*policy.client_rules, *policy.socks_rules)
        used = {method for rule in rules for method in rule.socks_methods}
        found = {}
        for method in used.union(policy.socks_methods):
            make = catalogue.METHODS[method]
            if make is None:
                continue
            try:
                found[method] = make(
                    policy, self._reactor, self._threads, self._privileges.raised, self._report
                )
            except (UsersFileError, LibcryptMissingError) as failed:
                raise UnusableError(f"method {method.value}: {failed}") from None
        return found

    def _report(self, text: str) -> None:
        self.journal.message(Severity.WARNING, "auth.users-file", text)

    def _bind(self, policy: Policy) -> dict[Endpoint, Listener]:
        """
        Bind what the policy listens on and we do not yet.

        :raises UnusableError: if that cannot be done.
        """
        try:
            return self._ports.bind(policy)
        except BindError as failed:
            reason = os.strerror(failed.errno)
            text = (
                f"bindinternal(): bind of address {failed.endpoint} (address #{failed.place}) for"
                f" server to listen on failed: {reason}"
            )
            self.journal.message(Severity.WARNING, "internal.unbound", text)
            text = f"serverinit(): failed to bind internal addresses: {reason}"
            raise UnusableError(text) from None

    def startService(self) -> None:
        """Give the rights up and begin to work."""
        super().startService()  # type: ignore[no-untyped-call]
        factory = self._factory
        assert factory is not None
        text = f"at most {raise_descriptors()} files can be open, two for each session"
        self.journal.message(Severity.DEBUG, "server.limits", text)
        if self._settings.pidfile:
            self._write_pidfile()
        try:
            self._privileges.drop()
        except OSError as failed:
            name = self._policy.user_unprivileged
            self._fail(f"could not become user {name}: {os.strerror(failed.errno or 0)}")
        if self._privileges.lacking:
            text = (
                f"checkugid(): not started as user {self._policy.user_privileged}: work that needs"
                " its privileges will fail"
            )
            self.journal.message(Severity.WARNING, "server.privileges", text)
        factory.poller.start()
        self._ports.use(self._bound)
        self._bound = {}
        factory.sweep.start()
        # Who is told that we run may send a signal at once.  The reactor sets handlers of its own
        # when it starts, so ours come once more after them.
        self._catch_signals()
        self._reactor.callWhenRunning(self._catch_signals)
        # What is there now stays: let the garbage collector look at what sessions make only, and at
        # that rarely, since they make no cycles.  A tenth of a short session's cost.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE_THRESHOLD)
        text = f"dantetw/server[1/1] v{__version__} running"
        self.journal.message(Severity.INFO, "server.running", text)

    def _write_pidfile(self) -> None:
        try:
            pidfile.write(self._settings.pidfile)
        except OSError as failed:
            text = f"could not open pidfile {self._settings.pidfile} for writing"
            text = f"{text}: {os.strerror(failed.errno or 0)}"
            self.journal.message(Severity.WARNING, "server.pidfile", text)

    def _fail(self, text: str) -> NoReturn:
        self.journal.message(Severity.ERROR, "server.failed", text)
        self._end_log()
        if self._give_up is not None:
            self._give_up(text)
        raise StartFailedError(text)

    # Signals.

    def _catch_signals(self) -> None:
        signals.install(self._reactor, self._stop, self._reload, self._status)

    def _stop(self, number: int) -> None:
        if not self._signal:
            self._signal = number
            self._reactor.addSystemEventTrigger("after", "shutdown", signals.deafen)
            self._reactor.stop()

    def _reload(self) -> None:
        """Read the configuration again; unless all of it can be used, all stays as it is."""
        self.journal.message(Severity.INFO, "server.reload", "SIGHUP [: reloading config")
        try:
            text = self._change()
        except UnusableError as unusable:
            self.journal.message(Severity.ERROR, "server.reload", str(unusable))
            text = "SIGHUP ]: the new config cannot be used; the old one stays in force"
            self.journal.message(Severity.WARNING, "server.reload", text)
        else:
            self.journal.message(Severity.INFO, "server.reload", text)

    def _change(self) -> str:
        factory = self._factory
        if factory is None or self._read is None:
            raise UnusableError("there is no config file to reload")
        with self._privileges.raised():
            parsed = self._read()
        policy = parsed.policy
        self._warn(parsed.problems)
        if policy is None:
            raise UnusableError("the config file is wrong")
        authenticators = self._authenticators(policy)
        listeners = self._bind(policy)
        # From here on nothing fails.
        if _users(policy) != _users(self._policy):
            text = "user.privileged and user.unprivileged change when the server is started anew"
            self.journal.message(Severity.WARNING, "server.privileges", text)
        self._open_logs(policy, reload=True)
        factory.resolver.forget()
        factory.adopt(policy, authenticators)
        self._ports.use(listeners, policy)
        self._policy = policy
        return "SIGHUP ]: config reloaded.  Broadcasting to children to do the same"

    def _status(self) -> None:
        """The status report is not built yet; the signal must not end the server."""

    # Ending.

    def stopService(self) -> Deferred[Any] | None:
        """Take no more clients, end the sessions, write the last lines."""
        if self._signal:
            text = f"sigterm(): exiting on signal {self._signal}"
            self.journal.message(Severity.INFO, "server.stopping", text)
        factory = self._factory
        if factory is not None:
            self._ports.release(self._bound)
            self._ports.stop()
            factory.stop()
            factory.sweep.stop()
            factory.resolver.stop()
            factory.poller.stop()
        self._threads.stop()
        if self._settings.pidfile:
            with self._privileges.raised():
                pidfile.empty(self._settings.pidfile)
        stopped: Deferred[Any] | None = super().stopService()  # type: ignore[no-untyped-call]
        self._end_log()
        return stopped

    def _end_log(self) -> None:
        self.journal.message(Severity.ALERT, "server.stopped", "mother[1/1]: shutting down")
        self.observer.close(LAST_FLUSH)


def _users(policy: Policy) -> tuple[str | None, str | None]:
    return policy.user_privileged, policy.user_unprivileged
