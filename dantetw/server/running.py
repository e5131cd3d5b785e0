"""
A running server: its policy, its ports, the processes that serve clients, and its reports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from dantetw.config import Parsed
from dantetw.crew.errors import UnusableError
from dantetw.crew.factory import make_crew
from dantetw.crew.logs import Logs
from dantetw.crew.report import IReplaced, StatusReports
from dantetw.crew.socksserver import SocksServer
from dantetw.net.listening import ListeningSocket, Port
from dantetw.observe.sinks.kind import Surroundings
from dantetw.policy import Policy
from dantetw.privileged.privileges import Privileges
from dantetw.server.internal import InternalAddresses
from dantetw.session.ports import ListeningPorts
from dantetw.values import Endpoint, Severity


class RunningServer:
    """
    The server from its start to its stop; an :class:`~dantetw.handover.succession.IReplaceable`.

    :param key: of pseudonyms in the log.
    :param keep_alive: use TCP keep-alive.
    :param number: of processes that serve clients.
    :param given: listening sockets that another program has opened.
    :param replaced: servers that this one replaces.
    :param retired: called when another server has replaced this one.
    :param stop: stops the server, as by a signal; ``end``: called when nothing is left to do.
    :ivar policy: the one in force.
    :ivar bound: ports that are bound and not yet in use.
    """

    def __init__(
        self,
        reactor: Any,
        logs: Logs,
        surroundings: Surroundings,
        privileges: Privileges,
        policy: Policy,
        key: bytes,
        keep_alive: bool,
        number: int,
        given: Iterable[ListeningSocket],
        replaced: IReplaced,
        retired: Callable[[], None],
        stop: Callable[[], None],
        end: Callable[[], None],
    ) -> None:
        self.policy = policy
        self.stop, self.end = stop, end
        self.bound: Mapping[Endpoint, Port] = {}
        self._key = key
        self._logs = logs
        self._surroundings = surroundings
        self._privileges = privileges
        self._retired = retired
        journal = logs.journal
        server = SocksServer(
            reactor, journal, privileges, keep_alive, logs.turn, lambda: logs.observer.waiting
        )
        self._socks = server
        self.crew = make_crew(
            reactor, server, policy, key, logs, surroundings, privileges, keep_alive, number
        )
        self.ports = ListeningPorts(
            privileges.bind, server.factory.report_refused, keep_alive, number, given
        )
        self.reports = StatusReports(self.crew, journal, server.factory.monotonic, replaced)
        self._addresses = InternalAddresses(reactor, journal, self.ports, self.crew)

    def bind(self) -> None:
        """
        Bind the addresses of the policy.

        :raises UnusableError: if the policy cannot be used.
        """
        self.crew.adopt(self.policy, self.crew.authenticators(self.policy))
        self.bound = self._addresses.bind(self.policy)

    def start(self) -> None:
        """
        Accept clients.

        :raises UnusableError: if no process can.
        """
        bound, self.bound = self.bound, {}
        self.ports.use(bound)
        self.crew.start(bound)

    def follow(self) -> None:
        """Follow the interfaces that the policy names."""
        self._addresses.follow(self.policy, self._key)

    async def change(self, parsed: Parsed) -> None:
        """
        Apply the configuration read now.

        :raises UnusableError: if not all of it can be used; nothing has changed then.
        """
        async with self._addresses.lock:
            await self._change(parsed)

    async def _change(self, parsed: Parsed) -> None:
        crew, logs = self.crew, self._logs
        logs.warn(parsed.problems)
        if parsed.policy is None:
            raise UnusableError("the config file is wrong")
        policy = replace(parsed.policy, generation=self.policy.generation + 1)
        authenticators = crew.authenticators(policy)
        key = logs.key_of(policy, self._privileges.open_file)
        ports = self._addresses.bind(policy)
        try:
            await crew.prepare(policy, key, ports, authenticators)
        except UnusableError:
            self.ports.release(ports)
            raise
        # From here on nothing fails.
        self._warn_of_restart(policy)
        reopened = logs.open(policy, key, self._surroundings, reload=True)
        logs.describe(policy)
        await crew.commit(reopened)
        self.ports.use(ports, policy)
        await crew.release()
        self.policy, self._key = policy, key
        self.follow()

    def _warn_of_restart(self, policy: Policy) -> None:
        """Log the settings of a new policy that a reload does not change."""
        journal = self._logs.journal
        if _users(policy) != _users(self.policy):
            text = "user.privileged and user.unprivileged change when the server is started anew"
            journal.message(Severity.WARNING, "server.privileges", text)
        if self.crew.needs_restart(policy):
            text = (
                "workers, and child.maxrequests and child.maxlifetime without workers, change when"
                " the server is started anew"
            )
            journal.message(Severity.WARNING, "server.worker", text)

    def close(self) -> Deferred[None]:
        """Accept no more clients, and end all sessions; fires when no other process is left."""
        self._addresses.stop()
        self.reports.stop()
        stopped = self.crew.stop()
        self.ports.release(self.bound)
        self.ports.use({})
        return stopped

    # What a server that is replaced does.

    def sockets(self) -> list[ListeningSocket]:
        return [sock for port in self.ports.bound.values() for sock in port.sockets]

    def retire(self) -> None:
        self._retired()
        self._addresses.stop()
        self.crew.retire()
        self.ports.use({})

    @property
    def busy(self) -> bool:
        return self.crew.busy

    @property
    def sessions(self) -> int:
        return self.crew.sessions

    @property
    def seconds_left(self) -> float:
        return self.policy.processes.handover

    def reopen(self) -> None:
        reopened = self._logs.open(self.policy, self._key, self._surroundings, reload=True)
        if reopened:
            self.crew.reopen()

    def report_sessions(self, report: int) -> Deferred[tuple[int, int]]:
        return self.reports.report_sessions(report)


def _users(policy: Policy) -> tuple[str | None, str | None]:
    return policy.users.privileged, policy.users.unprivileged
