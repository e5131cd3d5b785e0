"""
The server as a Twisted service: it owns the policy, the ports and the log, and what serves clients:
this process, or workers.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.python.components import Componentized

from dantetw import __version__, catalogue
from dantetw.config import Parsed
from dantetw.config.problems import Problem
from dantetw.crew.combining import Combined
from dantetw.crew.errors import UnusableError
from dantetw.crew.logs import LAST_FLUSH, Logs
from dantetw.crew.socksserver import SocksServer
from dantetw.crew.supervisor import Supervisor
from dantetw.crew.worker import WorkerContext
from dantetw.handover.names import HandoverError
from dantetw.handover.succession import ReplaceableServer, Succession
from dantetw.handover.systemd import from_systemd
from dantetw.net.errors import words_of_error
from dantetw.net.listening import ListeningSocket, Port
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
from dantetw.server.internal import InternalAddresses
from dantetw.server.reload import Reload
from dantetw.server.startup import StartFailedError, Startup
from dantetw.session.ports import Ports
from dantetw.session.reporting import Reporting
from dantetw.values import Endpoint, Severity


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """
    What the command line says beside the configuration.

    :ivar program: our name in the log.
    :ivar config: the configuration file; empty: the built-in one.
    :ivar debug: ``-d``: overrides ``debug:``; None: it does not.
    :ivar keep_alive: False with ``-n``.
    :ivar pidfile: ``-p``: written at the start, emptied at the end; empty: none.
    :ivar notices: lines to log at the start, as information.
    :ivar take_over: process id, or the name of its file, of a server whose place we take; empty:
        there is none.
    :ivar workers: processes that serve clients; 1: this one does, and there are no others.
    :ivar twistd_log: twistd was asked for a log of its own, which Twisted's messages go to as well.
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

    :param warnings: what there is to say of the configuration.
    :param reread: for SIGHUP: reads the configuration again; without it there is nothing to reload.
    :param startup: reports it when the start fails.
    """

    def __init__(
        self,
        policy: Policy,
        settings: ServiceOptions,
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
        self._settings = settings
        self._warnings = warnings
        self._reread = reread
        self._startup = startup
        self._privileges = Privileges(
            policy.users.privileged, policy.users.unprivileged, settings.pidfile, settings.config
        )
        self._prefix = Prefix(settings.program)
        self._logs = Logs(reactor, settings.debug)
        self.observer, self.journal = self._logs.observer, self._logs.journal
        self._notifier = Notifier.of_environment()
        self._reload = Reload(reactor, self.journal, self._fetch, self._change, self._notifier)
        self._bound: Mapping[Endpoint, Port] = {}
        self._serving: SocksServer | None = None
        self._mother: Supervisor | None = None
        self._succession = Succession(
            reactor,
            self.journal,
            ReplaceableServer(
                self._listening,
                self._retire,
                self._busy,
                lambda: self._policy.processes.handover,
                self._reopen,
                lambda: self._status,
                self._current,
                partial(self._stop, signal.SIGTERM),
                self._end,
            ),
        )
        self._signal = 0
        self._ending = False

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
        has_workers = settings.workers > 1 or policy.processes.replaces_workers
        if self._startup is not None:
            self._startup.begin()
        # Not earlier: in the background, standard output and error are others than before.
        self._surroundings = Surroundings(
            self._prefix,
            self._reactor,
            open_log=self._privileges.open_log,
            prefixes={"json": JsonPrefix(self._settings.program)},
        )
        self.observer.stand_by(open_sink("stderr", self._surroundings, catalogue.SINKS))
        self._privileges.tell(self.journal)
        try:
            self._privileges.start(policy, self._reread, has_workers)
        except OSError as failed:
            self._fail(f"could not start the privileged helper: {words_of_error(failed)}")
        try:
            key = self._key = self._logs.key_of(policy, self._privileges.open_file)
        except UnusableError as unusable:
            self._fail(str(unusable))
        self._logs.open(policy, key, self._surroundings)
        self._logs.describe(policy)
        for notice in settings.notices:
            self.journal.message(Severity.INFO, "server.notice", notice)
        self._logs.warn(self._warnings)
        serving = self._serving = SocksServer(
            self._reactor,
            self.journal,
            self._privileges,
            settings.keep_alive,
            self._logs.turn,
        )
        self._status: Reporting | Combined
        self._status = Reporting(serving.factory, lambda: self.observer.waiting)
        self._ports = Ports(
            self._privileges.bind,
            serving.factory.report_refused,
            settings.keep_alive,
            settings.workers,
            self._given(),
        )
        self._following = InternalAddresses(self._reactor, self.journal, self._ports, serving)
        try:
            serving.adopt(policy, serving.authenticators(policy))
            self._bound = self._following.bind(policy)
        except UnusableError as unusable:
            self._fail(str(unusable))
        if has_workers:
            estate = WorkerContext(
                policy,
                self._bound,
                self._logs,
                key,
                self._surroundings,
                {},
                self._privileges,
                settings.keep_alive,
            )
            number = settings.workers
            self._mother = Supervisor(self._reactor, self.journal, self.observer, estate, number)
            self._following.mother = self._mother
            self._status = Combined(self.journal, self._mother)
        self._status.replaced = self._succession
        super().privilegedStartService()  # type: ignore[no-untyped-call]

    def _given(self) -> list[ListeningSocket]:
        """Listening sockets that somebody else has opened."""
        sockets = from_systemd()
        if self._settings.take_over:
            try:
                sockets += self._succession.take(self._settings.take_over)
            except HandoverError as failed:
                self._fail(str(failed))
        return sockets

    def startService(self) -> None:
        """Give the rights up and begin to work."""
        super().startService()  # type: ignore[no-untyped-call]
        serving = self._serving
        assert serving is not None
        most = raise_descriptors()
        limits = f"at most {most} files can be open, two for each session, more for UDP"
        if self.journal.debug:
            self.journal.messages(
                Severity.DEBUG, "server.process", (*environment(self._reactor), limits)
            )
        # Who knows our process id, or is told that we run, may send a signal at once.
        self._catch_signals()
        signals.keep(self._reactor, self._catch_signals)
        self._try_pidfile(self._privileges.open_pidfile)
        # While we are who started us, which a successor checks.
        self._succession.open()
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
        if self.journal.debug:
            self.journal.messages(Severity.DEBUG, "server.process", (f"now {identity()}",))
        try:
            self._succession.check()
        except HandoverError as failed:
            self._fail(str(failed))
        bound, self._bound = self._bound, {}
        self._ports.use(bound)
        if self._mother is None:
            serving.start(bound)
        elif not self._mother.start():
            self._fail("no worker has begun to serve clients")
        # Not earlier: if we fail, the file goes on naming the server that we were to replace.
        self._try_pidfile(self._privileges.write_pidfile)
        self._succession.start()
        self._following.follow(self._policy, self._key)
        if self._startup is not None:
            self._startup.close()
        text = f"dantetw/server[1/1] v{__version__} running"
        self.journal.message(Severity.INFO, "server.running", text)
        self._notifier.ready()

    def _try_pidfile(self, do: Callable[[], None]) -> None:
        try:
            do()
        except OSError as failed:
            text = f"could not open pidfile {self._settings.pidfile} for writing"
            text = f"{text}: {words_of_error(failed)}"
            self.journal.message(Severity.WARNING, "server.pidfile", text)

    def _fail(self, text: str) -> NoReturn:
        self.journal.message(Severity.ERROR, "server.failed", text)
        self._end_log()
        if self._startup is not None:
            self._startup.fail(text)
        raise StartFailedError(text)

    # Another takes our place.

    def _listening(self) -> list[ListeningSocket]:
        return [sock for port in self._ports.bound.values() for sock in port.sockets]

    def _retire(self) -> None:
        """Another server serves clients: accept no more."""
        assert self._serving is not None
        self._reload.stop()
        self._following.stop()
        if self._mother is not None:
            self._mother.retire()
        self._serving.retire()
        self._ports.use({})

    def _busy(self) -> bool:
        assert self._serving is not None
        return bool(self._serving.factory.sessions or (self._mother and self._mother.children))

    def _current(self) -> int:
        """Sessions that are alive."""
        assert self._serving is not None
        children = () if self._mother is None else self._mother.children
        current = sum(child.ledger.tally().current for child in children)
        return current + len(self._serving.factory.sessions)

    def _reopen(self) -> None:
        """Open the logs again, and change nothing else."""
        policy, key = self._policy, self._key
        reopened = self._logs.open(policy, key, self._surroundings, reload=True)
        if reopened and self._mother is not None:
            self._mother.reopen()

    # Signals.

    def _catch_signals(self) -> None:
        signals.install(self._reactor, self._stop, self._hang_up, self._status.ask)

    def _hang_up(self) -> None:
        """SIGHUP."""
        if self._succession.successor:
            text = "SIGHUP: this server has been replaced, and only opens its logs again"
            self.journal.message(Severity.INFO, "server.reload", text)
            self._reopen()
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
        if self._reread is None:
            raise UnusableError("there is no config file to reload")
        return partial(self._reread, self._privileges.open_config)

    async def _change(self, parsed: Parsed) -> None:
        """Use what the configuration says now; see :meth:`_adopt`."""
        async with self._following.lock:
            await self._adopt(parsed)

    async def _adopt(self, parsed: Parsed) -> None:
        """
        Use what the configuration says now.

        :raises UnusableError: if not all of it can be used; nothing has changed then.
        """
        serving = self._serving
        assert serving is not None
        self._logs.warn(parsed.problems)
        if parsed.policy is None:
            raise UnusableError("the config file is wrong")
        policy = replace(parsed.policy, generation=self._policy.generation + 1)
        authenticators = serving.authenticators(policy)
        key = self._logs.key_of(policy, self._privileges.open_file)
        ports = self._following.bind(policy)
        mother = self._mother
        if mother is not None:
            refusal = await mother.prepare(policy, key, ports)
            if refusal:
                mother.abandon()
                self._ports.release(ports)
                raise UnusableError(refusal)
        # From here on nothing fails.
        if _users(policy) != _users(self._policy):
            text = "user.privileged and user.unprivileged change when the server is started anew"
            self.journal.message(Severity.WARNING, "server.privileges", text)
        if policy.processes.workers != self._policy.processes.workers or (
            policy.processes.replaces_workers and mother is None
        ):
            text = (
                "workers, and child.maxrequests and child.maxlifetime without workers, change when"
                " the server is started anew"
            )
            self.journal.message(Severity.WARNING, "server.worker", text)
        reopened = self._logs.open(policy, key, self._surroundings, reload=True)
        self._logs.describe(policy)
        serving.adopt(policy, authenticators)
        if mother is not None:
            await mother.commit(reopened)
        else:
            await serving.listen(ports)
        self._ports.use(ports, policy)
        if mother is not None:
            await mother.release()
        self._policy, self._key = policy, key
        self._following.follow(policy, key)

    # Ending.

    def stopService(self) -> Deferred[Any] | None:
        """Take no more clients, end the sessions, write the last lines."""
        if self._signal:
            text = f"sigterm(): exiting on signal {self._signal}"
            self.journal.message(Severity.INFO, "server.stopping", text)
        if not self._succession.successor:  # which is the service now
            self._notifier.stopping()
        self._reload.stop()
        self._succession.close()
        before = self._succession.stop()
        if self._serving is not None:
            self._following.stop()
            self._status.stop()
            self._serving.stop()
            self._ports.release(self._bound)
            self._ports.use({})
        stopped: Deferred[Any] = maybeDeferred(super().stopService)
        if self._mother is not None:
            mother = self._mother
            stopped.addCallback(lambda _: mother.stop())
        stopped.addCallback(lambda _: before)
        return stopped.addCallback(self._stopped)

    def _stopped(self, _: object) -> None:
        if not self._succession.successor:
            self._privileges.empty_pidfile()
        self._privileges.close()
        self._end_log()

    def _end_log(self) -> None:
        self.observer.conclude()
        if self.journal.debug:
            self.journal.messages(Severity.DEBUG, "server.process", (usage(),))
        self.journal.message(Severity.ALERT, "server.stopped", "mother[1/1]: shutting down")
        self.observer.close(LAST_FLUSH)


def _users(policy: Policy) -> tuple[str | None, str | None]:
    return policy.users.privileged, policy.users.unprivileged
