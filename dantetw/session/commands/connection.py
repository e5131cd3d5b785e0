"""
A connection to a target with one address, and its relay.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from errno import ETIMEDOUT

from twisted.python.failure import Failure

from dantetw.net.dial import DialError, IAttempt
from dantetw.net.errors import reply_of, words_of
from dantetw.net.queues import unread
from dantetw.observe.status import Buffered, TrafficSnapshot
from dantetw.plan.outcome import Plan
from dantetw.session import tracing
from dantetw.session.commands.relaycommand import RelayCommand
from dantetw.session.session import Session
from dantetw.values import (
    NOWHERE,
    Cause,
    Counts,
    Ending,
    Endpoint,
    Operation,
    Path,
    Phase,
    Side,
)


class Connect(RelayCommand):
    """
    A connection to a target, and its relay.

    :ivar named: the target's name, if a rule passes it by that.
    """

    __slots__ = ("_attempt", "_upstream", "named")

    def __init__(self, session: Session, plan: Plan) -> None:
        super().__init__(session, plan.rule)
        self._attempt: IAttempt | None = None
        self._upstream = session.context.upstreams[plan.upstream]
        self.named = plan.name

    def dial(self, target: Endpoint) -> None:
        """
        Begin to connect.

        :param target: numeric.
        :raises NoSource, DialError: see :meth:`~dantetw.upstream.interfaces.IUpstream.connect`.
        """
        session = self._session
        attempt = self._attempt = self._open(target)
        server = session.server
        server.charging.perform()
        now = session.since = server.monotonic()
        session.record.begin_connecting(now)
        attempt.then(self.connected, self.unreached)

    def _open(self, target: Endpoint) -> IAttempt:
        """
        Begin an attempt under the present rule, and store its source and target in the session's
        record.

        :raises NoSource, DialError: as above.
        """
        session = self._session
        record = session.record
        server, rule = session.server, self._rule
        options = record.policy.socket_options + rule.socket_options
        attempt = self._upstream.connect(target, record.client, record.local, options)
        record.target, record.source = target, attempt.source
        if server.journal.debug:
            tracing.step(session, f"connecting to {target} from {record.source}")
        if options:
            if server.journal.debug > 1:
                tracing.options(session, options)
            server.report_refused(attempt.refused)
            if session.sock is not None:
                server.set_options(session.sock, rule.socket_options)
        return attempt

    def unreached(self, failed: DialError) -> None:
        """The connection attempt has failed."""
        try:
            self.failed(failed)
        except Exception:
            self._session.broken(Failure())

    def failed(self, failed: DialError) -> None:
        """The target cannot be reached: refuse the request, with the reason."""
        session = self._session
        record = session.record
        record.source, number = failed.source, failed.number
        text = ""
        if failed.immediate:
            words = words_of(number)
            text = f"connect(2) to {record.target} from {failed.source} failed: {words}"
        ending = Ending(Side.TARGET, Phase.CONNECT, Cause.ERROR, number, text, Operation.CONNECT)
        session.refuse(ending, reply_of(number), failed.source)

    def late(self) -> None:
        """The target has not answered in time."""
        connecting = Operation.CONNECT
        ending = Ending(Side.TARGET, Phase.CONNECT, Cause.TIMEOUT, operation=connecting)
        self._session.refuse(ending, reply_of(ETIMEDOUT), NOWHERE)

    def connected(self, target: socket.SocketType) -> None:
        """The connection is established."""
        session = self._session
        source, attempt = session.record.source, self._attempt
        assert source is not None and attempt is not None
        self._attempt = None
        try:
            self.relay(target, source, attempt.leftover)
        except Exception:
            session.broken(Failure())

    def check(self, now: float) -> None:
        limit = self._rule.timeouts.connect
        if self._relay is not None:
            super().check(now)
        elif limit and int(now) - int(self._session.since) > limit:
            self.late()

    def cancel(self) -> None:
        if self._attempt is not None:
            self._attempt.cancel()
        super().cancel()

    @property
    def is_active(self) -> bool:
        return self._attempt is not None or super().is_active

    def traffic_snapshots(self) -> Iterator[tuple[Path, TrafficSnapshot]]:
        session = self._session
        record = session.record
        if self._relay is not None:
            yield from super().traffic_snapshots()
            return
        unseen = 0 if session.sock is None else unread(session.sock)
        early = Buffered(unseen, len(session.leftover))
        yield (
            session.record.path,
            TrafficSnapshot(
                record.accepted_at,
                record.connecting_at,
                Counts(),
                early,
                Buffered(),
                connecting=True,
            ),
        )
