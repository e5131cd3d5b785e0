"""
One of the many peers of a port: its connection to the client, and the relay between the two.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from dantetw.net.dial import Connected, Dial, Failed
from dantetw.net.tcpinfo import read
from dantetw.net.zones import on_link_of
from dantetw.observe.events import Parted
from dantetw.policy import Edge, Rule
from dantetw.session.commands.relaycommand import RelayCommand
from dantetw.session.sensitive import sensitive_values
from dantetw.session.session import Session
from dantetw.values import (
    LOG_TCPINFO,
    NOWHERE,
    Cause,
    Command,
    Ending,
    Endpoint,
    Family,
    Path,
    Phase,
    Side,
)


class Forward(RelayCommand):
    """
    One peer that has connected.

    Its relay is that of a BIND, but over its own connection to the client.

    :ivar peer: its address; ``source``: our end of the connection to the client, once there is one.
    :ivar since: monotonic seconds when it has connected.

    :param rule: that of the request, as long as there is none about the peer.
    :param ended: called when the relay has ended.
    """

    __slots__ = ("_client", "_dial", "_ended", "_sock", "peer", "since", "source")

    command = Command.BINDREPLY

    def __init__(
        self,
        session: Session,
        rule: Rule,
        sock: socket.SocketType,
        peer: Endpoint,
        ended: Callable[[Forward], None],
    ) -> None:
        super().__init__(session, rule)
        self._ended = ended
        self._sock = sock
        self._client: socket.SocketType | None = None
        self._dial: Dial | None = None
        self.peer = peer
        self.source: Endpoint | None = None
        self.since = session.server.monotonic()

    def dial(self, rule: Rule, connected: Connected, failed: Failed) -> None:
        """
        Begin to connect to the client.

        :param rule: the one that passes the peer.
        :param connected: called when the client has accepted; ``failed``: when it has not.
        :raises DialError: if that fails at once.
        """
        self._rule = rule
        session = self._session
        record = session.record
        server, target = session.server, record.client
        options = record.policy.socket_options + rule.socket_options
        source = record.local.host
        if target.family is Family.IPV6 and session.sock is not None:
            source = on_link_of(source, session.sock)
            host = on_link_of(target.host, session.sock)
            target = Endpoint(host, target.port, Family.IPV6)
        wish = Endpoint(source, 0, target.family)
        self.since = server.monotonic()
        self._dial = Dial(
            server.poller, wish, target, options, server.keep_alive, edge=Edge.INTERNAL
        )
        server.report_refused(self._dial.refused)
        self.source = self._dial.source
        self._dial.then(connected, failed)

    def connected(self, client: socket.SocketType) -> None:
        """The client has accepted; what it sends there is not read until it queries the peer."""
        self._dial, self._client = None, client
        poller = self._session.server.poller
        poller.hand_over(client.fileno(), _ignore)
        poller.pause(client.fileno())

    def begin(self) -> None:
        """The client has queried the peer: relay."""
        client, peer, poller = self._client, self._sock, self._session.server.poller
        assert client is not None
        poller.watch(peer.fileno(), _ignore)
        relay = self._join(client, peer)
        self._log_connected()
        relay.start()
        poller.remind(client.fileno())  # of what it has sent behind its query

    @property
    def rule(self) -> Rule:
        """The rule that applies: of the request, until there is one about the peer."""
        return self._rule

    def late(self, now: float) -> bool:
        """Whether the client has not accepted in time."""
        limit = self._rule.timeouts.connect
        return self._dial is not None and 0 < limit < int(now) - int(self.since)

    def log_end(self, ending: Ending) -> None:
        """Log that it has ended."""
        session, rule = self._session, self._rule
        if rule.log:
            session.server.journal.record(
                Parted(
                    session.record.number,
                    rule,
                    self._path(),
                    ending,
                    self.since,
                    session.server.monotonic(),
                    self.counts,
                    tcpinfo=self._tcpinfo(),
                    named=(*sensitive_values(session.record), ("target", self.peer.host)),
                )
            )

    def block(self, rule: Rule) -> None:
        """A rule blocks it: log that, and close it."""
        self._rule = rule
        self.log_end(Ending(Side.RULE, Phase.AUTHORISE, Cause.BLOCKED))
        self.cancel()

    def end(self, ending: Ending) -> None:
        """End the relay."""
        if self._relay is not None:
            self._relay.end(ending)

    def cancel(self) -> None:
        """Release what is held, if there is no relay yet."""
        if self._relay is not None:
            return
        if self._dial is not None:
            self._dial.cancel()
        if self._client is not None:
            self._session.server.poller.forget(self._client.fileno())
            self._client.close()
        self._sock.close()

    def _relayed(self, ending: Ending) -> None:
        self.log_end(ending)
        self._ended(self)

    def _path(self) -> Path:
        session = self._session
        record = session.record
        local = self.source or NOWHERE
        return Path(record.client, local, record.user, record.source, self.peer)

    def _tcpinfo(self) -> tuple[bytes, bytes]:
        if not self._rule.log & LOG_TCPINFO or self._client is None:
            return b"", b""
        return read(self._client), read(self._sock)

    @property
    def _began(self) -> float:
        return self.since


def _ignore(mask: int) -> None:
    """Nothing is read yet: the poller reports it again when reading begins."""
