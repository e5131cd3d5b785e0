"""
The root service: start, reload, stop.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.python.components import Componentized

from dantetw import __version__, catalogue
from dantetw.config import Parsed
from dantetw.config.problems import Problem
from dantetw.crew.errors import UnusableError
from dantetw.crew.factory import has_workers
from dantetw.crew.logs import LAST_FLUSH_SECONDS, Logs
from dantetw.handover.names import HandoverError
from dantetw.handover.succession import Succession
from dantetw.handover.systemd import from_systemd
from dantetw.net.errors import words_of_error
from dantetw.net.listening import ListeningSocket
from dantetw.observe.prefix import JsonPrefix, Prefix
from dantetw.observe.sinks.kind import Surroundings
from dantetw.observe.sinks.opening import open_sink
from dantetw.policy import Policy
from dantetw.privileged.helper import Reread
from dantetw.privileged.privileges import Privileges
from dantetw.process import signals
from dantetw.process.describing import environment, identity, usage
from dantetw.process.limits import raise_descriptors
from dantetw.process.notifying import Notifier
from dantetw.server.reload import Reload
from dantetw.server.running import RunningServer
from dantetw.server.startup import StartFailedError, Startup
from dantetw.values import Severity


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """
    The settings of the command line.

    :ivar program: the program's name in the log.
    :ivar config: the configuration file; empty: the built-in one.
    :ivar debug: ``-d``: overrides ``debug:``; None: it does not.
    :ivar keep_alive: False with ``-n``.
    :ivar pidfile: ``-p``: written at the start, emptied at the end; empty: none.
    :ivar notices: lines to log at the start, as information.
    :ivar take_over: process id, or the name of its file, of a server to replace; empty: none.
    :ivar workers: processes that serve clients; 1: this one does, and there are no others.
    :ivar twistd_log: twistd writes its own log, which gets Twisted's messages too.
    """

    program: str = "sockd"
    config: str = ""
    debug: int | None = None
    keep_alive: bool = True
    pidfile: str = ""
    notices: Sequence[str] = ()
    twistd_log: bool = False
    workers: int = 1
    take_over: str = ""


class SockdService(MultiService):
    """
    The root service.

    :param warnings: the warnings about the configuration.
    :param reread: for SIGHUP: reads the configuration again; without it there is nothing to reload.
    :param startup: reports it when the start fails.
    """

    def __init__(
        self,
        policy: Policy,
        options: ServiceOptions,
        warnings: Sequence[Problem] = (),
        reactor: Any = None,
        reread: Reread | None = None,
        startup: Startup | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.setName("sockd")  # type: ignore[no-untyped-call]
        if reactor is None:
            from twisted.internet import reactor
        self._reactor = reactor
        self._policy = policy
        self._options = options
        self._warnings = warnings
        self._reread = reread
        self._startup = startup
        self._privileges = Privileges(
            policy.users.privileged, policy.users.unprivileged, options.pidfile, options.config
        )
        self._logs = Logs(reactor, options.debug)
        self.observer, self.journal = self._logs.observer, self._logs.journal
        self._notifier = Notifier.of_environment()
        self._reload = Reload(reactor, self.journal, self._fetch, self._change, self._notifier)
        self._succession = Succession(reactor, self.journal)
        # From privilegedStartService on.
        self._server: RunningServer | None = None
        self._signal = 0
        self._ending = False

    def setServiceParent(self, parent: Any) -> None:
        """Make the server's observer twistd's, in place of its log file or beside it."""
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]
        if not isinstance(parent, Componentized):
            return
        if self._options.twistd_log:
            # twistd would prefer the component to its own options.
            globalLogPublisher.addObserver(self.observer)
        else:
            parent.setComponent(ILogObserver, self.observer)

    # Start.

    def privilegedStartService(self) -> None:
        """Open the logs and bind the addresses, with the privileges twistd was started with."""
        policy, options, journal = self._policy, self._options, self.journal
        if self._startup is not None:
            self._startup.begin()
        # Not earlier: in the background, standard output and error are others than before.
        surroundings = Surroundings(
            Prefix(options.program),
            self._reactor,
            open_log=self._privileges.open_log,
            prefixes={"json": JsonPrefix(options.program)},
        )
        self.observer.stand_by(open_sink("stderr", surroundings, catalogue.SINKS))
        self._privileges.tell(journal)
        workers = has_workers(policy, options.workers)
        try:
            self._privileges.start(policy, self._reread, workers)
        except OSError as failed:
            self._fail(f"could not start the privileged helper: {words_of_error(failed)}")
        try:
            key = self._logs.key_of(policy, self._privileges.open_file)
        except UnusableError as unusable:
            self._fail(str(unusable))
        self._logs.open(policy, key, surroundings)
        self._logs.describe(policy)
        for notice in options.notices:
            journal.message(Severity.INFO, "server.notice", notice)
        self._logs.warn(self._warnings)
        self._server = RunningServer(
            self._reactor,
            self._logs,
            surroundings,
            self._privileges,
            policy,
            key,
            options.keep_alive,
            options.workers,
            self._given(),
            self._succession,
            self._reload.stop,
            partial(self._stop, signal.SIGTERM),
            self._end,
        )
        try:
            self._server.bind()
        except UnusableError as unusable:
            self._fail(str(unusable))
        super().privilegedStartService()  # type: ignore[no-untyped-call]

    def _given(self) -> list[ListeningSocket]:
        """Listening sockets that another program has opened."""
        sockets = from_systemd()
        if self._options.take_over:
            try:
                sockets += self._succession.take(self._options.take_over)
            except HandoverError as failed:
                self._fail(str(failed))
        return sockets

    def startService(self) -> None:
        """Drop the privileges and accept clients."""
        super().startService()  # type: ignore[no-untyped-call]
        server = self._server
        assert server is not None
        most = raise_descriptors()
        limits = f"at most {most} files can be open, two for each session, more for UDP"
        self._debug(*environment(self._reactor), limits)
        # A program that knows the process id, or is notified that the server runs, may send a
        # signal at once.
        self._catch_signals()
        signals.keep(self._reactor, self._catch_signals)
        self._try_pidfile(self._privileges.open_pidfile)
        # Before the user changes: a successor checks the user that started the server.
        self._succession.open(server)
        self._drop_privileges()
        try:
            self._succession.check()
            server.start()
        except (HandoverError, UnusableError) as failed:
            self._fail(str(failed))
        # Not earlier: if the start fails, the file must still name the server that was to be
        # replaced.
        self._try_pidfile(self._privileges.write_pidfile)
        self._succession.start()
        server.follow()
        if self._startup is not None:
            self._startup.close()
        text = f"dantetw/server[1/1] v{__version__} running"
        self.journal.message(Severity.INFO, "server.running", text)
        self._notifier.ready()

    def _drop_privileges(self) -> None:
        try:
            self._privileges.drop()
        except OSError as failed:
            name = self._policy.users.unprivileged
            self._fail(f"could not become user {name}: {os.strerror(failed.errno or 0)}")
        self._privileges.watch(self._reactor)
        if self._privileges.lacking:
            text = (
                f"checkugid(): not started as user {self._policy.users.privileged}: work that needs"
                " its privileges will fail"
            )
            self.journal.message(Severity.WARNING, "server.privileges", text)
        self._debug(f"now {identity()}")

    def _debug(self, *texts: str) -> None:
        if self.journal.debug:
            self.journal.messages(Severity.DEBUG, "server.process", texts)

    def _try_pidfile(self, do: Callable[[], None]) -> None:
        try:
            do()
        except OSError as failed:
            text = f"could not open pidfile {self._options.pidfile} for writing"
            text = f"{text}: {words_of_error(failed)}"
            self.journal.message(Severity.WARNING, "server.pidfile", text)

    def _fail(self, text: str) -> NoReturn:
        self.journal.message(Severity.ERROR, "server.failed", text)
        self._end_log()
        if self._startup is not None:
            self._startup.fail(text)
        raise StartFailedError(text)

    # Signals, and the reload.

    def _catch_signals(self) -> None:
        assert self._server is not None
        status = self._server.reports.ask
        signals.install(self._reactor, self._stop, self._hang_up, status)

    def _hang_up(self) -> None:
        """SIGHUP."""
        if self._succession.successor:
            text = "SIGHUP: this server has been replaced, and only opens its logs again"
            self.journal.message(Severity.INFO, "server.reload", text)
            assert self._server is not None
            self._server.reopen()
        else:
            self._reload.ask()
        self._succession.reopen()

    def _stop(self, number: int) -> None:
        self._signal = self._signal or number
        self._end()

    def _end(self) -> None:
        if not self._ending:
            self._ending = True
            self._reload.stop()
            self._reactor.addSystemEventTrigger("after", "shutdown", signals.deafen)
            self._reactor.stop()

    def _fetch(self) -> Callable[[], Parsed]:
        """The function that reads the configuration again."""
        if self._reread is None:
            raise UnusableError("there is no config file to reload")
        return partial(self._reread, self._privileges.open_config)

    async def _change(self, parsed: Parsed) -> None:
        """Apply the new configuration; see :meth:`.RunningServer.change`."""
        assert self._server is not None
        await self._server.change(parsed)

    # Stop.

    def stopService(self) -> Deferred[Any] | None:
        """Accept no more clients, end the sessions, and write the last lines."""
        if self._signal:
            text = f"sigterm(): exiting on signal {self._signal}"
            self.journal.message(Severity.INFO, "server.stopping", text)
        if not self._succession.successor:  # else that is the service now
            self._notifier.stopping()
        self._reload.stop()
        self._succession.close()
        before = self._succession.stop()
        ended = succeed(None) if self._server is None else self._server.close()
        stopped: Deferred[Any] = maybeDeferred(super().stopService)
        stopped.addCallback(lambda _: ended).addCallback(lambda _: before)
        return stopped.addCallback(self._stopped)

    def _stopped(self, _: object) -> None:
        if not self._succession.successor:
            self._privileges.empty_pidfile()
        self._privileges.close()
        self._end_log()

    def _end_log(self) -> None:
        self.observer.conclude()
        self._debug(usage())
        self.journal.message(Severity.ALERT, "server.stopped", "mother[1/1]: shutting down")
        self.observer.close(LAST_FLUSH_SECONDS)
