"""
The common part of commands that relay a TCP connection.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Final

from dantetw.net.queues import unread, unsent
from dantetw.observe.events import Connected, Transferred
from dantetw.observe.status import Buffered, TrafficSnapshot
from dantetw.policy import Rule
from dantetw.relay.copying import CopyingRelay
from dantetw.relay.flow import Flow
from dantetw.relay.splicing import relay_class
from dantetw.session import tracing
from dantetw.session.activity import Activity
from dantetw.session.session import Session
from dantetw.values import (
    LOG_CONNECT,
    LOG_DATA,
    LOG_IOOP,
    LOG_TCPINFO,
    Cause,
    Command,
    Counts,
    Ending,
    Endpoint,
    Path,
    Phase,
    Protocol,
    Side,
)

#: Log bits that each need all relayed data.
TAPPED: Final = LOG_IOOP | LOG_DATA


class RelayCommand(Activity):
    """
    A command that ends in a relay.

    :ivar command: the one in the relay's log lines.
    """

    __slots__ = ("_relay", "_rule", "_session")

    command = Command.CONNECT
    #: Whether the target's name has further addresses, which were not tried.
    others_left = False

    def __init__(self, session: Session, rule: Rule) -> None:
        self._session = session
        self._rule = rule
        self._relay: CopyingRelay | None = None

    def relay(self, target: socket.SocketType, address: Endpoint, leftover: bytes = b"") -> None:
        """
        The connection to the target is open: reply to the client, and relay.

        :param target: a connected socket that the poller watches.
        :param address: the one in the reply.
        :param leftover: bytes of the target that were read already.
        """
        session = self._session
        record = session.record
        server, client = session.server, session.sock
        assert client is not None
        record.connect(server.monotonic())
        if server.journal.debug:
            tracing.connected(session)
        relay = self._join(client, target)
        session.advanced()
        unanswered = session.grant(address)
        if unanswered is not None:
            relay.end(unanswered)
            return
        self._log_connected()
        timeouts = self._rule.timeouts
        if not (timeouts.io_tcp or timeouts.tcp_fin_wait):
            server.sweep.discard(session)
        early, session.leftover = session.leftover, b""
        relay.start(early, session.hints, leftover)

    def _join(self, client: socket.SocketType, target: socket.SocketType) -> CopyingRelay:
        """Make the relay between two sockets, which is not started yet."""
        server = self._session.server
        tap = self._log_chunk if self._rule.log & TAPPED or server.journal.debug > 1 else None
        shaping = None if server.shape is None else server.shape(self._session, self._rule)
        make = relay_class(tap is not None or (shaping is not None and shaping.codec is not None))
        relay = self._relay = make(server.poller, client, target, self._relayed, tap, shaping)
        return relay

    def _log_connected(self) -> None:
        session, rule = self._session, self._rule
        record = session.record
        if rule.log & LOG_CONNECT:
            path, tcpinfo = self._path(), self._tcpinfo()
            session.server.journal.record(
                Connected(
                    record.number,
                    rule,
                    path,
                    Protocol.TCP,
                    self.command,
                    tcpinfo,
                    record.asked,
                    self.others_left,
                )
            )

    def _path(self) -> Path:
        """The addresses of both connections."""
        return self._session.record.path

    def _tcpinfo(self) -> tuple[bytes, bytes]:
        """The kernel's information on both connections, if the rule logs it."""
        return self._session.tcpinfo()

    def _log_chunk(self, origin: Side, data: bytes) -> None:
        session, rule = self._session, self._rule
        if session.server.journal.debug > 1:
            tracing.moved(session, origin, len(data))
        if not rule.log & TAPPED:
            return
        shown = data if rule.log & LOG_DATA else None
        tcpinfo = self._tcpinfo() if rule.log & LOG_TCPINFO else (b"", b"")
        session.server.journal.record(
            Transferred(
                session.record.number,
                rule,
                self._path(),
                origin,
                len(data),
                shown,
                command=self.command,
                tcpinfo=tcpinfo,
            )
        )

    def _relayed(self, ending: Ending) -> None:
        self._session.end(ending)

    def check(self, now: float) -> None:
        timeouts, relay = self._rule.timeouts, self._relay
        if relay is None:
            return
        limit, cause, side = timeouts.io_tcp, Cause.TIMEOUT, Side.US
        fin_wait = timeouts.tcp_fin_wait if relay.first_closed is not None else 0
        # The i/o limit still applies if it is shorter.
        if fin_wait and (not limit or fin_wait < limit):
            limit, cause = fin_wait, Cause.FIN_WAIT
            side = Side.TARGET if relay.first_closed is Side.CLIENT else Side.CLIENT
        if limit and int(now) - int(relay.last_activity) > limit:
            relay.end(Ending(side, Phase.RELAY, cause))

    def cancel(self) -> None:
        if self._relay is not None:
            # The relay closes both sockets, unless it has itself ended the session.
            self._session.sock = None
            relay, self._relay = self._relay, None
            relay.end(Ending(Side.US, Phase.RELAY, Cause.SHUTDOWN))

    @property
    def is_active(self) -> bool:
        return self._relay is not None

    def traffic_snapshots(self) -> Iterator[tuple[Path, TrafficSnapshot]]:
        relay = self._relay
        if relay is not None:
            up, down = _buffered(relay.up), _buffered(relay.down)
            yield (
                self._path(),
                TrafficSnapshot(self._began, relay.last_activity, self.counts, up, down),
            )

    @property
    def _began(self) -> float:
        """The beginning of the relay in the status report, in monotonic seconds."""
        return self._session.record.accepted_at

    @property
    def last_activity(self) -> float:
        return self._relay.last_activity if self._relay is not None else 0.0

    @property
    def counts(self) -> Counts:
        relay = self._relay
        if relay is None:
            return Counts()
        up, down = relay.up, relay.down
        return Counts(down.written, up.read, up.written, down.read)

    @property
    def first_io(self) -> float:
        return self._relay.first_io if self._relay is not None else 0.0

    @property
    def target_socket(self) -> socket.SocketType | None:
        return self._relay.down.source if self._relay is not None else None


def _buffered(flow: Flow) -> Buffered:
    held = len(flow.pending) + flow.waiting
    return Buffered(unread(flow.source), held, unsent(flow.sink))
