"""
Binds the addresses of the configuration, and follows interfaces that appear, disappear, and change
their addresses.

The kernel reports changes (:class:`~dantetw.net.interfaces.Monitor`), so following costs nothing
while nothing changes.  Where it cannot, the interfaces are checked once a second.  None of this is
done for a configuration that names no interface and whose addresses all exist.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from dantetw.crew.errors import UnusableError
from dantetw.crew.interfaces import ICrew
from dantetw.net.channel import MOST_DESCRIPTORS
from dantetw.net.interfaces import Interfaces, Monitor
from dantetw.net.listening import Port
from dantetw.observe.journal import Journal
from dantetw.policy import HostKind, Policy
from dantetw.process.limits import raise_descriptors
from dantetw.session.ports import BindError, ListeningPorts
from dantetw.values import Endpoint, Severity

#: Seconds between a report and the check that it causes: reports come in bursts.
SETTLE_SECONDS: Final = 0.1
#: Checks take at most this part of the time: there may be thousands of addresses, changing fast.
LOOK_SHARE: Final = 0.1
#: Seconds between checks without reports, and between attempts to bind.
RETRY_SECONDS: Final = 1.0
#: Addresses that no interface has and that are tried at each attempt, in turn.
MOST_TRIED: Final = 64
#: Addresses that a line in the log names.
MOST_NAMED: Final = 8

_log: Final = Logger()


class InternalAddresses:
    """
    The addresses that clients connect to, kept in line with the host's interfaces.

    Changes take turns with reloads: both hold :attr:`lock`.

    :param monitor: reports changes; for tests.
    :ivar lock: of the ports.
    """

    def __init__(
        self,
        reactor: Any,
        journal: Journal,
        ports: ListeningPorts,
        crew: ICrew,
        interfaces: Interfaces | None = None,
        monitor: Monitor | None = None,
    ) -> None:
        self.lock = DeferredLock()
        self._reactor = reactor
        self._journal = journal
        self._ports = ports
        self._crew = crew
        self._interfaces = interfaces or Interfaces()
        self._monitor = monitor or Monitor(reactor, self._reported)
        self._policy: Policy | None = None
        self._key = b""
        self._uses: dict[str, str] = {}
        self._seen: dict[str, tuple[str, ...]] = {}
        self._look: IDelayedCall | None = None
        self._looked = self._took = 0.0
        # Endpoints that could not be bound, with the errno, and where the next attempts begin.
        self._waiting: dict[Endpoint, int] = {}
        self._turn = 0
        self._stopped = False

    # At the start and at a reload.

    def bind(self, policy: Policy) -> Mapping[Endpoint, Port]:
        """
        Bind the addresses of a policy that are not bound yet.

        :returns: the ports, for :meth:`ListeningPorts.use` or :meth:`ListeningPorts.release`.
        :raises UnusableError: if that fails; the reason has been logged.
        """
        # Each address takes a descriptor for each worker.
        most = raise_descriptors()
        try:
            ports = self._ports.bind(policy, self._wanted(policy))
        except BindError as failed:
            if policy.waits and failed.endpoint not in self._wanted(policy):
                return self.bind(policy)  # an interface has lost it meanwhile
            reason = os.strerror(failed.errno)
            text = (
                f"bindinternal(): bind of address {failed.endpoint} (address #{failed.place}) for"
                f" server to listen on failed: {reason}"
            )
            if failed.exhausted:
                text += f" (at most {most} files can be open)"
            self._journal.message(Severity.WARNING, "internal.unbound", text)
            text = f"serverinit(): failed to bind internal addresses: {reason}"
            raise UnusableError(text) from None
        self._waiting = dict.fromkeys(self._ports.absent, errno.EADDRNOTAVAIL)
        return ports

    def follow(self, policy: Policy, key: bytes) -> None:
        """
        Follow the interfaces of the policy that is in force now.

        :param key: of pseudonyms in the log, for workers.
        """
        self._policy, self._key = policy, key
        self._uses = uses = _uses(policy)
        now = self._interfaces.now() if uses else {}
        self._seen = {name: self._seen.get(name, tuple(now.get(name, ()))) for name in uses}
        if uses or self._waiting:
            self._monitor.start()
            self._reported()
        else:
            self._monitor.stop()

    def stop(self) -> None:
        """Stop following."""
        self._stopped = True
        self._monitor.stop()
        self._interfaces.close()
        if self._look is not None:
            self._look.cancel()
            self._look = None

    # Changes.

    def _wanted(self, policy: Policy) -> dict[Endpoint, None]:
        """Where to listen now, each once, in the order of the configuration."""
        addresses_of = self._interfaces.addresses_of
        return dict.fromkeys(
            endpoint for line in policy.internal for endpoint in line.listens_now(addresses_of)
        )

    def _reported(self) -> None:
        """Something may have changed."""
        rest = self._looked + self._took / LOOK_SHARE - self._reactor.seconds()
        self._look_in(max(SETTLE_SECONDS, rest))

    def _look_in(self, seconds: float) -> None:
        if self._stopped:
            return
        if self._look is not None:
            if self._look.getTime() <= self._reactor.seconds() + seconds:
                return
            self._look.cancel()
        self._look = self._reactor.callLater(seconds, self._begin)

    def _begin(self) -> None:
        self._look = None
        self.lock.run(lambda: Deferred.fromCoroutine(self._keep_up())).addErrback(
            lambda failure: _log.failure("Failure in following interfaces", failure)
        )

    async def _keep_up(self) -> None:
        """Adapt to the current interfaces."""
        policy = self._policy
        if self._stopped or policy is None:
            return
        begun = self._reactor.seconds()
        self._report(self._interfaces.now())
        wanted = self._wanted(policy)
        bound = self._ports.bound
        # A port of a link that has gone must be closed before there can be a new one.
        stale = {each for each, port in bound.items() if port.is_stale}
        attempts = self._attempts([each for each in wanted if each not in bound])
        self._looked = self._reactor.seconds()
        self._took = self._looked - begun
        if attempts or stale or any(each not in wanted for each in bound):
            trying = {each: None for each in wanted if each in bound or each in attempts}
            await self._move(policy, {each: None for each in trying if each not in stale})
        if not self._monitor.reports:
            self._look_in(RETRY_SECONDS)
        elif len(self._ports.bound) < len(wanted):
            more = bool(stale) or len(self._ports.bound) > len(bound)
            self._look_in(SETTLE_SECONDS if more else RETRY_SECONDS)

    def _attempts(self, missing: Sequence[Endpoint]) -> frozenset[Endpoint]:
        """
        Which of the endpoints that are not bound to try now.

        All whose address an interface has, as many as workers take at once; and some of the others,
        which the kernel may know by a route.
        """
        there = self._interfaces.all_addresses()
        likely = [each for each in missing if each.host in there]
        others = [each for each in missing if each.host not in there]
        self._turn = (self._turn + MOST_TRIED) % max(1, len(others))
        others = [*others[self._turn :], *others[: self._turn]][:MOST_TRIED]
        return frozenset(islice([*likely, *others], MOST_DESCRIPTORS))

    async def _move(self, policy: Policy, wanted: Mapping[Endpoint, None]) -> None:
        """Listen at exactly these, as far as they can be bound."""
        old = self._ports.bound
        ports = self._ports.bind(policy, wanted, patient=True)
        self._report_bound(policy, ports)
        if ports.keys() == old.keys():
            return
        # The same way as a reload: all processes, or none.
        try:
            # No client can be on the way to an address that the machine has lost.
            await self._crew.prepare(policy, self._key, ports, grace=False)
        except UnusableError as refused:
            self._ports.release(ports)
            if self._stopped:
                return
            text = f"cannot change the addresses that clients come in by: {refused}"
            self._journal.message(Severity.WARNING, "internal.unbound", text)
            self._look_in(RETRY_SECONDS)
            return
        await self._crew.commit(False)
        if self._stopped:
            self._ports.release(ports)
            return
        self._ports.use(ports)
        await self._crew.release()

    # Logging.

    def _report(self, now: Mapping[str, Sequence[str]]) -> None:
        """Log which interfaces have appeared, disappeared or changed since the last check."""
        for name, use in self._uses.items():
            before, after = self._seen.get(name, ()), tuple(now.get(name, ()))
            if before == after:
                continue
            self._seen[name] = after
            journal, said = self._journal, f"interface {name} ({use})"
            if not before:
                text = f"{said} is there: {_few(after)}"
                journal.message(Severity.INFO, "interface.up", text)
            elif not after:
                text = f"{said} is gone or has no address: it had {_few(before)}"
                journal.message(Severity.WARNING, "interface.down", text)
            else:
                known, now_there = set(before), set(after)
                gained = [each for each in after if each not in known]
                lost = [each for each in before if each not in now_there]
                parts = [f"gained {_few(gained)}"] if gained else []
                parts += [f"lost {_few(lost)}"] if lost else []
                text = f"{said} has changed: {', '.join(parts) or 'another order'}"
                journal.message(Severity.INFO, "interface.changed", text)

    def _report_bound(self, policy: Policy, ports: Mapping[Endpoint, object]) -> None:
        for endpoint, number in self._ports.absent.items():
            if number != errno.EADDRNOTAVAIL and endpoint not in self._wanted(policy):
                # An interface has lost it meanwhile, so the privileged helper refuses to bind it.
                continue
            # That an address is not there, or not ready (RFC 4862, 5.4), is what we wait for.
            if number not in (errno.EADDRNOTAVAIL, self._waiting.get(endpoint)):
                text = (
                    f"bindinternal(): bind of address {endpoint} for server to listen on failed:"
                    f" {os.strerror(number)}; it is tried again"
                )
                self._journal.message(Severity.WARNING, "internal.unbound", text)
            self._waiting[endpoint] = number
        fixed = {e for line in policy.internal if not line.interface for e in line.listens}
        for endpoint in [each for each in self._waiting if each in ports]:
            number = self._waiting.pop(endpoint)
            # Of an interface's address it has been logged that it has come.
            if endpoint in fixed or number != errno.EADDRNOTAVAIL:
                text = f"listening on {endpoint}, which could not be bound before"
                self._journal.message(Severity.INFO, "internal.bound", text)


def _uses(policy: Policy) -> dict[str, str]:
    """The interfaces that a policy names, each with the keywords that name it."""
    uses: dict[str, dict[str, None]] = {}
    named = [(line.interface, "internal") for line in policy.internal]
    named += [
        (endpoint.host.partition("%")[2], "internal")
        for line in policy.internal
        for endpoint in line.listens
        if not line.interface
    ]
    named += [(line.interface, "external") for line in policy.external]
    for rule in (*policy.client_rules, *policy.socks_rules):
        for word, address in (("from", rule.source), ("to", rule.target)):
            name = address.name if address.kind is HostKind.INTERFACE else address.scope
            named.append((name, word))
    for name, word in named:
        if name:
            uses.setdefault(name, {})[word] = None
    return {name: ", ".join(words) for name, words in uses.items()}


def _few(addresses: Sequence[str]) -> str:
    """Addresses for a line in the log."""
    words = ", ".join(addresses[:MOST_NAMED])
    more = len(addresses) - MOST_NAMED
    return f"{words} and {more} more" if more > 0 else words
