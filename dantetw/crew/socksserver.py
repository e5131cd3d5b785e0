"""
Serves clients, in a single process or in each worker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.defer import Deferred

from dantetw import catalogue
from dantetw.accounts.table import Table
from dantetw.auth.crypting import LibcryptMissingError
from dantetw.auth.usersfile import UsersFileError
from dantetw.auth.verifying import THREADS, WAITING, is_refusal
from dantetw.crew.errors import UnusableError
from dantetw.crew.processreport import ProcessReport
from dantetw.net.batch import Batch
from dantetw.net.interfaces import Interfaces
from dantetw.net.listening import Port
from dantetw.net.poller import make_poller
from dantetw.net.resolving import Resolver
from dantetw.observe.journal import Journal
from dantetw.policy import Policy
from dantetw.privileged.privileges import Privileges
from dantetw.process import garbage
from dantetw.process.limits import limits
from dantetw.rules.decision import names_to_look_up
from dantetw.session.ports import Listeners
from dantetw.session.protocol import SocksFactory
from dantetw.threads import Threads
from dantetw.values import PAM_METHODS, Endpoint, Method, Severity
from dantetw.wire.dialects import Dialects

#: Objects that may be allocated before the garbage collector runs; Python's own figure, 700, is a
#: handful of sessions.
GARBAGE_THRESHOLD: Final = 20_000

# Listed when this module is imported: later the process may no longer be able to read the library.
_COMMANDS: Final = catalogue.commands()
_UPSTREAMS: Final = catalogue.upstreams()
_METHODS: Final = catalogue.methods()


class SocksServer:
    """
    The sessions of this process, and their shared services.

    :param turn: defers work to the end of the events in which clients are served.
    :param waiting: returns how many messages wait at the log's destination that is furthest behind.
    :param table: where sessions are counted, if other processes read it.
    :ivar report: this process's part of status reports.
    """

    def __init__(
        self,
        reactor: Any,
        journal: Journal,
        privileges: Privileges,
        keep_alive: bool = True,
        turn: Batch | None = None,
        waiting: Callable[[], int] = lambda: 0,
        table: Table | None = None,
    ) -> None:
        self._reactor = reactor
        self._journal = journal
        self._privileges = privileges
        self._known = False
        self._started = False
        self._threads = Threads(reactor, THREADS, WAITING, "passwords", fault=is_refusal)
        self._interfaces = Interfaces()
        self.factory = factory = SocksFactory(
            reactor,
            journal,
            Resolver(reactor),
            make_poller(reactor, turn),
            Dialects(catalogue.DIALECTS),
            _COMMANDS,
            _UPSTREAMS,
            self._interfaces.addresses_of,
            self._interfaces.all_addresses,
            keep_alive,
            table=table,
        )
        factory.bind_low = privileges.bind
        self._listeners = Listeners(factory, reactor)
        self.report = ProcessReport(factory, waiting)

    def authenticators(self, policy: Policy, known: bool = False) -> dict[Method, Any]:
        """
        The authenticators of a policy, for each method that has something to check.

        :param known: the supervisor has made the same ones, and logged their warnings.
        :raises UnusableError: if one cannot be made.
        """
        used = set(policy.methods)
        if not PAM_METHODS.isdisjoint(used):
            used.add(Method.PAM_USERNAME)  # under which all that PAM is asked goes
        made: dict[Any, Any] = {None: None}  # one for all methods that have it in common
        for method in used:
            make = _METHODS[method]
            if make is None or make in made:
                continue
            self._known = known
            try:
                made[make] = make(
                    policy, self._reactor, self._threads, self._privileges, self._report
                )
            except (UsersFileError, LibcryptMissingError) as failed:
                raise UnusableError(f"method {method.value}: {failed}") from None
            finally:
                self._known = False
        return {method: made[_METHODS[method]] for method in used}

    def _report(self, text: str) -> None:
        if not self._known:
            self._journal.message(Severity.WARNING, "auth.users-file", text)

    def adopt(self, policy: Policy, authenticators: Mapping[Method, Any]) -> None:
        """Use this policy for new sessions."""
        self.factory.resolver.forget()
        self.factory.adopt(policy, authenticators)
        if self._started:
            self._look_up_names()

    def _look_up_names(self) -> None:
        """Look up the names in rules before clients wait for them."""
        factory = self.factory
        factory.known.prepare(names_to_look_up(factory.policy))

    def listen(self, ports: Mapping[Endpoint, Port], grace: bool = True) -> Deferred[None]:
        """
        Accept clients at these ports; fires when the others are closed.

        :param grace: wait for clients that are in the midst of connecting to those.
        """
        return self._listeners.use(ports, grace)

    def retire(self) -> None:
        """Accept no more clients; other processes do so at the same ports."""
        # What would come back to us still would.
        self._listeners.hand_over()

    def start(self, ports: Mapping[Endpoint, Port]) -> None:
        """Begin to serve."""
        factory = self.factory
        factory.poller.start()
        factory.descriptors.measure()
        factory.resolver.fit(limits()[1])
        self._started = True
        self._look_up_names()
        self.listen(ports)
        factory.sweep.add(factory.stopwatch)
        factory.sweep.start()
        # What is there now stays: let the garbage collector look at what sessions make only, and at
        # that rarely, since they make no cycles.  A tenth of a short session's cost.
        garbage.settle(GARBAGE_THRESHOLD)

    def stop(self) -> None:
        """Accept no more clients, and end the sessions."""
        factory = self.factory
        self.report.stop()
        self._listeners.stop()
        factory.stop()
        factory.descriptors.stop()
        factory.sweep.stop()
        factory.resolver.stop()
        factory.poller.stop()
        self._threads.stop()
        self._interfaces.close()
