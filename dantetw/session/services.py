"""
What all sessions of a process share.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import count
from typing import Any

from dantetw.accounts.charging import Charging
from dantetw.accounts.counts import AccountCounts
from dantetw.accounts.table import Table
from dantetw.net.errors import words_of
from dantetw.net.peerport import PeerPort
from dantetw.net.poller import IPoller
from dantetw.net.resolving import Resolver
from dantetw.net.sockopts import LowBinder, set_options
from dantetw.net.sources import Sources
from dantetw.net.unreached import Unreached
from dantetw.net.zones import kernel_choice
from dantetw.observe.journal import Journal
from dantetw.plan.listening import Listening
from dantetw.policy import Edge, Policy, Rule, SocketOption
from dantetw.relay.latency import Stopwatch
from dantetw.relay.shaping import Shaping
from dantetw.relay.timeouts import TimeoutSweep
from dantetw.session.context import PolicyContext
from dantetw.session.delayedclose import DelayedCloses
from dantetw.session.descriptors import DescriptorBudget
from dantetw.session.rulefacts import RuleFacts
from dantetw.session.subscribers import Subscribers
from dantetw.upstream.interfaces import MakeUpstream
from dantetw.values import AccountKind, Command, Endpoint, Method, Severity, Work
from dantetw.wire.dialects import Dialects


class SessionServices:
    """
    What all sessions of a process share.

    :ivar policy: the policy of new sessions; ``context``: the objects built for it.
    :ivar sessions: all that are alive, by number, and so in order of arrival.
    :ivar unreached: addresses of targets that could not be reached lately.
    :ivar dialects: the protocols that clients may use.
    :ivar commands: the function that performs each command; others are not supported.
    :ivar keep_alive: whether connections get TCP keep-alive.
    :ivar delayed_closes: connections to close after a delay; their sessions have ended.
    :ivar descriptors: how many descriptors are left for clients.
    :ivar bind_low: binds ports below 1024, for ``compatibility: sameport``; set before the first
        policy is adopted.
    :ivar subscribers: observers of all sessions; ``next_number``: returns the next session's
        number.
    :ivar charging: counts sessions; ``accounts``: those that each session is charged to.
    :ivar stopwatch: measures how long datagrams stay here.
    :ivar shape: returns the limits and the codec for a session whose relay is about to begin, from
        the rule that passed it; None: there are none.

    :param upstreams: the functions that build a policy's upstreams, by name.
    :param addresses_of: the addresses an interface has now; ``all_addresses``: all of this host.
    :param table: the table where sessions are counted; None: one that no other process reads.
    """

    policy: Policy
    context: PolicyContext
    unreached: Unreached
    shape: Callable[[Any, Rule], Shaping | None] | None = None
    #: Binds the port of a BIND.
    wait_on: Callable[..., PeerPort] = PeerPort
    bind_low: LowBinder = staticmethod(socket.socket.bind)

    def __init__(
        self,
        reactor: Any,
        journal: Journal,
        resolver: Resolver,
        poller: IPoller,
        dialects: Dialects,
        commands: Mapping[Command, Callable[..., None]],
        upstreams: Mapping[str, MakeUpstream],
        addresses_of: Callable[[str], Sequence[str]],
        all_addresses: Callable[[], Collection[str]],
        keep_alive: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
        table: Table | None = None,
    ) -> None:
        self.reactor = reactor
        self.journal = journal
        self.resolver = resolver
        self.poller = poller
        self.dialects = dialects
        self.commands = commands
        self._upstreams = upstreams
        self.keep_alive = keep_alive
        self.monotonic = monotonic
        self.stopwatch = Stopwatch(monotonic)
        self.sweep = TimeoutSweep(reactor, monotonic)
        poller.turned = self.stopwatch.batches.add
        self.sessions: dict[int, Any] = {}
        self._listening = Listening((), all_addresses)
        self.subscribers = Subscribers()
        self.next_number: Callable[[], int] = count(1).__next__
        self.known = RuleFacts(resolver, addresses_of)
        self._addresses_of = addresses_of
        self._table = Table() if table is None else table
        self._counts_before = self._table.total(AccountKind.SERVER)
        self.charging = Charging(self._table)
        self.accounts = (self.charging.server,)
        self._refused: set[SocketOption] = set()
        self.delayed_closes = DelayedCloses(reactor)
        self.descriptors = DescriptorBudget(
            reactor, poller, self.sessions, self.delayed_closes.pending, self._early
        )

    def adopt(self, policy: Policy, authenticators: Mapping[Method, Any]) -> None:
        """
        Use this policy for new sessions.

        :param authenticators: the checker of each method that has something to check: an
            :class:`~dantetw.auth.interfaces.IAuthenticator` for ``username``, else an
            :class:`~dantetw.auth.interfaces.IProver`.
        """
        self.policy = policy
        sources = Sources(policy, self._addresses_of, self.monotonic, kernel_choice)
        low = self.bind_low if policy.compatibility.same_port else None
        upstreams = {
            name: make(self.poller, sources, self.keep_alive, low)
            for name, make in self._upstreams.items()
        }
        is_ours = self._listening.is_ours
        self.context = PolicyContext(
            policy, authenticators, sources, upstreams, is_ours, self.reactor
        )
        self.unreached = Unreached(self.monotonic)

    def _early(self) -> int:
        """How many sessions may still need more descriptors, since their requests are not known."""
        counts = self.counts
        return counts.open - (counts.performed - counts.ended(Work.IO))

    @property
    def counts(self) -> AccountCounts:
        """The counts of all sessions of this process."""
        return self._table.total(AccountKind.SERVER) - self._counts_before

    @property
    def listening(self) -> frozenset[Endpoint]:
        """The endpoints that clients connect to."""
        return self._listening.endpoints

    @listening.setter
    def listening(self, endpoints: frozenset[Endpoint]) -> None:
        self._listening.change(endpoints)

    def set_options(self, sock: socket.SocketType, options: Sequence[SocketOption]) -> None:
        """Set the ``internal`` ones of a rule's socket options on a client's socket."""
        self.report_refused(set_options(sock, options, Edge.INTERNAL))

    def report_refused(self, refused: Sequence[tuple[SocketOption, int]]) -> None:
        """Log each socket option that the system refused, once."""
        for option, number in refused:
            if option not in self._refused:
                self._refused.add(option)
                text = f"{option.where}: could not set {option.text}: {words_of(number)}"
                self.journal.message(Severity.WARNING, "socket.option", text)
