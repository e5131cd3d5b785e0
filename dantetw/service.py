"""
The server as a Twisted service: it owns the policy, the listeners, the sessions and the observer.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, Protocol

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.python.components import Componentized

from dantetw import __version__, catalogue
from dantetw.auth.crypting import LibcryptMissingError
from dantetw.auth.usersfile import UsersFileError
from dantetw.auth.verifying import THREADS, WAITING
from dantetw.config import Parsed
from dantetw.config.describing import describe
from dantetw.config.policy import PLAIN_FORM, Form, Policy
from dantetw.config.problems import Problem
from dantetw.config.vocabulary import PAM_METHODS
from dantetw.net.host import Host
from dantetw.net.naming import words_of_error
from dantetw.net.poller import INPUT, make_poller
from dantetw.net.resolving import Resolver
from dantetw.observe.observer import Journal, Observer
from dantetw.observe.prefix import JsonPrefix, Prefix
from dantetw.observe.privacy import Private
from dantetw.observe.sinks.kind import Surroundings
from dantetw.observe.sinks.opening import build_sinks, open_sink
from dantetw.process import pidfile, signals
from dantetw.process.describing import environment, identity, usage
from dantetw.process.helper import Reread
from dantetw.process.limits import raise_descriptors
from dantetw.process.privileges import Privileges
from dantetw.reloading import Reload, UnusableError
from dantetw.session.listener import Listener
from dantetw.session.ports import BindError, Ports
from dantetw.session.protocol import SocksFactory
from dantetw.session.reporting import Reporting
from dantetw.threads import Threads
from dantetw.values import Endpoint, Method, Severity

#: Seconds that destinations which are slow to take lines have at the end.
LAST_FLUSH = 2.0
#: Bytes of the key of pseudonyms: of one from a file at least and at most, and of one we make.
SHORTEST_KEY, LONGEST_KEY, OWN_KEY = 16, 4096, 32
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
    :ivar twistd_log: twistd was asked for a log of its own, which Twisted's messages go to as well.
    """

    program: str = "sockd"
    debug: int | None = None
    keep_alive: bool = True
    pidfile: str = ""
    notices: Sequence[str] = ()
    twistd_log: bool = False


class StartFailedError(Exception):
    """The server cannot start; the reason has been logged."""


class IGiveUp(Protocol):
    """How to end when the start fails; :class:`dantetw.tap.GivingUp`."""

    def __call__(self, text: str) -> None:
        """End, for this reason.  May raise; if not, :exc:`StartFailedError` is."""

    def close(self) -> None:
        """The start has succeeded: it will not be needed."""


class SockdService(MultiService):
    """
    The root service.

    :param warnings: what there is to say of the configuration.
    :param reread: for SIGHUP: reads the configuration again; without it there is nothing to reload.
    :param give_up: how to end when the start fails.
    """

    def __init__(
        self,
        policy: Policy,
        settings: Settings,
        warnings: Sequence[Problem] = (),
        reactor: Any = None,
        reread: Reread | None = None,
        give_up: IGiveUp | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.setName("sockd")  # type: ignore[no-untyped-call]
        if reactor is None:
            from twisted.internet import reactor
        self._reactor = reactor
        self._policy = policy
        self._settings = settings
        self._warnings = warnings
        self._reread = reread
        self._give_up = give_up
        self._privileges = Privileges(
            policy.user_privileged, policy.user_unprivileged, settings.pidfile
        )
        self._prefix = Prefix(settings.program)
        self._started = int(time.time() * 1000)
        self._own_key = os.urandom(OWN_KEY)
        self.observer = Observer(
            catalogue.FORMATS["dante"](False, ""), None, reactor.callFromThread, reactor.callLater
        )
        self.journal = Journal(self.observer)
        self._threads = Threads(reactor, THREADS, WAITING, "passwords")
        self._reload = Reload(reactor, self.journal, self._fetch, self._change)
        self._bound: dict[Endpoint, Listener] = {}
        self._factory: SocksFactory | None = None
        self._signal = 0

    def setServiceParent(self, parent: Any) -> None:
        """Make our observer twistd's, in place of its log file or beside it."""
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]
        if not isinstance(parent, Componentized):
            return
        if self._settings.twistd_log:
            # twistd would prefer the component to what it was asked for.
            globalLogPublisher.addObserver(self.observer)
        else:
            parent.setComponent(ILogObserver, self.observer)

    # Starting.

    def privilegedStartService(self) -> None:
        """Open the logs and bind the addresses, with the rights we were started with."""
        policy, settings = self._policy, self._settings
        # Not earlier: in the background, standard output and error are others than before.
        self._surroundings = Surroundings(
            self._prefix,
            self._reactor,
            open_log=self._privileges.open_log,
            prefixes={"json": JsonPrefix(self._settings.program)},
        )
        self.observer.stand_by(open_sink("stderr", self._surroundings, catalogue.SINKS))
        self._privileges.report = self._report_privileges
        try:
            self._privileges.start(policy, self._reread)
        except OSError as failed:
            self._fail(f"could not start the privileged helper: {words_of_error(failed)}")
        try:
            key = self._hash_key(policy)
        except UnusableError as unusable:
            self._fail(str(unusable))
        self._open_logs(policy, key)
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
            datagrams=make_poller(self._reactor, INPUT),
        )
        self._status = Reporting(factory, lambda: self.observer.waiting)
        factory.bind_low = self._privileges.bind
        self._ports = Ports(factory, self._reactor, self._privileges.bind)
        try:
            factory.adopt(policy, self._authenticators(policy))
            self._bound = self._bind(policy)
        except UnusableError as unusable:
            self._fail(str(unusable))
        super().privilegedStartService()  # type: ignore[no-untyped-call]

    def _hash_key(self, policy: Policy) -> bytes:
        """
        The key of pseudonyms in the log.

        :raises UnusableError: if its file cannot be used.
        """
        if policy.hash_key_file is None:
            return self._own_key
        try:
            with open(policy.hash_key_file, "rb", opener=self._privileges.open_file) as file:
                key = file.read(LONGEST_KEY).strip()
        except OSError as failed:
            reason = words_of_error(failed)
            raise UnusableError(f"log.hashkey: {policy.hash_key_file}: {reason}") from None
        if len(key) < SHORTEST_KEY:
            text = f"log.hashkey: {policy.hash_key_file}: less than {SHORTEST_KEY} bytes"
            raise UnusableError(text)
        return key

    def _format(self, form: Form, debug: int, key: bytes) -> Any:
        """What makes the lines for destinations of a form."""
        run = f"{self._started:x}-{os.getpid():x}-"
        format = catalogue.FORMATS[form.format](debug > 0, run)
        return Private(format, form, key) if form.omit or form.hash else format

    def _open_logs(self, policy: Policy, key: bytes, reload: bool = False) -> None:
        level = self._settings.debug
        debug = level if level is not None else max(policy.debug, 0)
        forms = {output.form for output in (*policy.logoutput, *policy.errorlog)}
        formats = {form: self._format(form, debug, key) for form in {PLAIN_FORM, *forms}}
        outputs = build_sinks(policy, self._surroundings, catalogue.SINKS, reload)
        self.observer.configure(outputs, debug, formats)
        self.journal.debug = debug
        self.journal.explains = any(form.format != PLAIN_FORM.format for form in forms)
        if debug:
            self.journal.messages(Severity.DEBUG, "config.understood", describe(policy))

    def _warn(self, problems: Sequence[Problem]) -> None:
        for problem in problems:
            text, where = problem.one_line(), problem.where
            place = where if where.line else None
            self.journal.message(problem.severity, "config.problem", text, where=place)

    def _authenticators(self, policy: Policy) -> dict[Method, Any]:
        """
        What checks logins, for each method of the policy that has something to check.

        :raises UnusableError: if one cannot be made.
        """
        used = set(policy.methods)
        if not PAM_METHODS.isdisjoint(used):
            used.add(Method.PAM_USERNAME)  # under which all that PAM is asked goes
        made: dict[Any, Any] = {None: None}  # one for all methods that have it in common
        for method in used:
            make = catalogue.METHODS[method]
            if make is None or make in made:
                continue
            try:
                made[make] = make(
                    policy, self._reactor, self._threads, self._privileges, self._report
                )
            except (UsersFileError, LibcryptMissingError) as failed:
                raise UnusableError(f"method {method.value}: {failed}") from None
        return {method: made[catalogue.METHODS[method]] for method in used}

    def _report(self, text: str) -> None:
        self.journal.message(Severity.WARNING, "auth.users-file", text)

    def _report_privileges(self, text: str) -> None:
        self.journal.message(Severity.ERROR, "server.privileges", text)

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
        most = raise_descriptors()
        limits = f"at most {most} files can be open, two for each session, more for UDP"
        if self.journal.debug:
            self.journal.messages(
                Severity.DEBUG, "server.process", (*environment(self._reactor), limits)
            )
        # Who knows our process id, or is told that we run, may send a signal at once.
        self._catch_signals()
        signals.keep(self._reactor, self._catch_signals)
        if self._settings.pidfile:
            self._write_pidfile()
        try:
            self._privileges.drop()
        except OSError as failed:
            name = self._policy.user_unprivileged
            self._fail(f"could not become user {name}: {os.strerror(failed.errno or 0)}")
        self._privileges.watch(self._reactor)
        if self._privileges.lacking:
            text = (
                f"checkugid(): not started as user {self._policy.user_privileged}: work that needs"
                " its privileges will fail"
            )
            self.journal.message(Severity.WARNING, "server.privileges", text)
        if self.journal.debug:
            self.journal.messages(Severity.DEBUG, "server.process", (f"now {identity()}",))
        factory.poller.start()
        factory.datagrams.start()
        self._ports.use(self._bound)
        self._bound = {}
        factory.sweep.add(factory.stopwatch)
        factory.sweep.start()
        # What is there now stays: let the garbage collector look at what sessions make only, and at
        # that rarely, since they make no cycles.  A tenth of a short session's cost.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE_THRESHOLD)
        if self._give_up is not None:
            self._give_up.close()
        text = f"dantetw/server[1/1] v{__version__} running"
        self.journal.message(Severity.INFO, "server.running", text)

    def _write_pidfile(self) -> None:
        try:
            pidfile.write(self._settings.pidfile, self._privileges.owner)
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
        signals.install(self._reactor, self._stop, self._reload.ask, self._status.ask)

    def _stop(self, number: int) -> None:
        if not self._signal:
            self._signal = number
            self._reload.stop()
            self._reactor.addSystemEventTrigger("after", "shutdown", signals.deafen)
            self._reactor.stop()

    def _fetch(self) -> Callable[[], Parsed]:
        if self._reread is None:
            raise UnusableError("there is no config file to reload")
        return partial(self._reread, self._privileges.open_config)

    def _change(self, parsed: Parsed) -> None:
        """
        Use what the configuration says now.

        :raises UnusableError: if not all of it can be used; nothing has changed then.
        """
        factory, policy = self._factory, parsed.policy
        assert factory is not None
        self._warn(parsed.problems)
        if policy is None:
            raise UnusableError("the config file is wrong")
        authenticators = self._authenticators(policy)
        key = self._hash_key(policy)
        listeners = self._bind(policy)
        # From here on nothing fails.
        if _users(policy) != _users(self._policy):
            text = "user.privileged and user.unprivileged change when the server is started anew"
            self.journal.message(Severity.WARNING, "server.privileges", text)
        self._open_logs(policy, key, reload=True)
        factory.resolver.forget()
        factory.adopt(policy, authenticators)
        self._ports.use(listeners, policy)
        self._policy = policy

    # Ending.

    def stopService(self) -> Deferred[Any] | None:
        """Take no more clients, end the sessions, write the last lines."""
        if self._signal:
            text = f"sigterm(): exiting on signal {self._signal}"
            self.journal.message(Severity.INFO, "server.stopping", text)
        factory = self._factory
        if factory is not None:
            self._status.stop()
            self._ports.release(self._bound)
            self._ports.stop()
            factory.stop()
            factory.sweep.stop()
            factory.resolver.stop()
            factory.poller.stop()
            factory.datagrams.stop()
        self._threads.stop()
        self._reload.stop()
        if self._settings.pidfile:
            self._privileges.empty_pidfile()
        self._privileges.close()
        stopped: Deferred[Any] | None = super().stopService()  # type: ignore[no-untyped-call]
        self._end_log()
        return stopped

    def _end_log(self) -> None:
        self.observer.conclude()
        if self.journal.debug:
            self.journal.messages(Severity.DEBUG, "server.process", (usage(),))
        self.journal.message(Severity.ALERT, "server.stopped", "mother[1/1]: shutting down")
        self.observer.close(LAST_FLUSH)


def _users(policy: Policy) -> tuple[str | None, str | None]:
    return policy.user_privileged, policy.user_unprivileged
