"""
CONNECT (:rfc:`1928` section 4): a TCP connection to the target, then a relay.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from errno import ETIMEDOUT
from typing import Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from dantetw.config.policy import Rule
from dantetw.net.dialling import Dial, DialError
from dantetw.net.naming import reply_of, words_of
from dantetw.net.queues import unread, unsent
from dantetw.net.sources import NoSource
from dantetw.observe.events import Connected, Counts, Path, Transferred
from dantetw.observe.status import Buffered, Standing
from dantetw.relay.copying import CopyingRelay, Flow
from dantetw.relay.splicing import relay_class
from dantetw.session import tracing
from dantetw.session.accounting import path_of, tcpinfo_of
from dantetw.session.named import named_of
from dantetw.session.performing import Performing
from dantetw.session.session import Session
from dantetw.values import (
    LOG_CONNECT,
    LOG_DATA,
    LOG_IOOP,
    LOG_TCPINFO,
    NOWHERE,
    Cause,
    Ending,
    Endpoint,
    Operation,
    Phase,
    Severity,
    Side,
)
from dantetw.wire.replies import ReplyCode, reply

_TAPPED: Final = LOG_IOOP | LOG_DATA


class Connect(Performing):
    """
    A connection to ``target``, being made and then relayed.
    """

    __slots__ = ("_dial", "_relay", "_rule", "_session")

    def __init__(self, session: Session, rule: Rule) -> None:
        self._session = session
        self._rule = rule
        self._dial: Dial | None = None
        self._relay: CopyingRelay | None = None

    def dial(self, source: Endpoint, target: Endpoint) -> Deferred[socket.socket]:
        """
        Begin to connect.

        :raises DialError: if that fails at once.
        """
        session = self._session
        server, rule = session.server, self._rule
        options = session.policy.socket_options + rule.socket_options
        self._dial = Dial(server.poller, source, target, options, server.keep_alive)
        session.source = self._dial.source
        server.performed += 1
        if server.journal.debug:
            tracing.step(session, f"connecting to {target} from {session.source}")
        if options:
            if server.journal.debug > 1:
                tracing.options(session, options)
            server.report_refused(self._dial.refused)
            if session.sock is not None:
                server.set_options(session.sock, rule.socket_options)
        session.connecting_at = session.since = server.monotonic()
        server.sweep.add(session)
        return self._dial.done

    def unreached(self, failure: Failure) -> None:
        """The target cannot be reached, as it turned out in the end."""
        self.failed(failure.value)

    def failed(self, failed: BaseException | None) -> None:
        """The target cannot be reached: say why."""
        assert isinstance(failed, DialError), failed
        session = self._session
        session.source, number = failed.source, failed.number
        text = ""
        if failed.immediate:
            words = words_of(number)
            text = f"connect(2) to {session.target} from {failed.source} failed: {words}"
        ending = Ending(Side.TARGET, Phase.CONNECT, Cause.ERROR, number, text, Operation.CONNECT)
        session.refuse(ending, reply_of(number), failed.source)

    def relay(self, target: socket.socket) -> None:
        """The connection stands: tell the client, and relay."""
        session, rule = self._session, self._rule
        server, client = session.server, session.sock
        assert session.request is not None and session.source is not None and client is not None
        session.phase = Phase.RELAY
        session.connected_at = server.monotonic()
        tap = self._saw if rule.log & _TAPPED or server.journal.debug > 1 else None
        if server.journal.debug:
            tracing.connected(session)
        self._relay = relay_class(tap is not None)(
            server.poller, client, target, self._relayed, tap
        )
        self._dial = None
        answer = reply(session.request.proxy_protocol, ReplyCode.SUCCEEDED, session.source)
        try:
            # A few bytes always fit into a buffer nothing was ever written to.
            client.send(answer)
        except OSError as failed:
            number = failed.errno or 0
            self._relay.end(
                Ending(Side.CLIENT, Phase.RELAY, Cause.ERROR, number, operation=Operation.SEND)
            )
            return
        if rule.log & LOG_CONNECT:
            server.journal.record(
                Connected(session.number, rule, path_of(self._session), tcpinfo=tcpinfo_of(session))
            )
        timeouts = rule.timeouts
        if not (timeouts.io_tcp or timeouts.tcp_fin_wait):
            server.sweep.discard(session)
        early, session.leftover = session.leftover, b""
        self._relay.start(early, session.hints)

    def _saw(self, origin: Side, data: bytes) -> None:
        session, rule = self._session, self._rule
        if session.server.journal.debug > 1:
            tracing.moved(session, origin, len(data))
        if not rule.log & _TAPPED:
            return
        shown = data if rule.log & LOG_DATA else None
        tcpinfo = tcpinfo_of(session) if rule.log & LOG_TCPINFO else (b"", b"")
        session.server.journal.record(
            Transferred(
                session.number,
                rule,
                path_of(self._session),
                origin,
                len(data),
                shown,
                tcpinfo=tcpinfo,
            )
        )

    def _relayed(self, ending: Ending) -> None:
        self._session.end(ending)

    def check(self, now: float) -> None:
        session, timeouts, relay = self._session, self._rule.timeouts, self._relay
        if relay is None:
            if timeouts.connect and int(now) - int(session.since) > timeouts.connect:
                connecting = Operation.CONNECT
                ending = Ending(Side.TARGET, Phase.CONNECT, Cause.TIMEOUT, operation=connecting)
                session.refuse(ending, reply_of(ETIMEDOUT), NOWHERE)
            return
        limit, cause, side = timeouts.io_tcp, Cause.TIMEOUT, Side.US
        fin_wait = timeouts.tcp_fin_wait if relay.first_closed is not None else 0
        # The i/o limit, if it is shorter, still holds.
        if fin_wait and (not limit or fin_wait < limit):
            limit, cause = fin_wait, Cause.FIN_WAIT
            side = Side.TARGET if relay.first_closed is Side.CLIENT else Side.CLIENT
        if limit and int(now) - int(relay.stamp) > limit:
            relay.end(Ending(side, Phase.RELAY, cause))

    def cancel(self) -> None:
        if self._dial is not None:
            self._dial.cancel()
        if self._relay is not None:
            # The relay closes both sockets, unless it is what has ended the session.
            self._session.sock = None
            relay, self._relay = self._relay, None
            relay.end(Ending(Side.US, Phase.RELAY, Cause.SHUTDOWN))

    @property
    def under_way(self) -> bool:
        return self._dial is not None or self._relay is not None

    def standing(self) -> Iterator[tuple[Path, Standing]]:
        session, relay = self._session, self._relay
        began = session.accepted_at
        if relay is None:
            early = Buffered(
                0 if session.sock is None else unread(session.sock), len(session.leftover)
            )
            way = Standing(
                began, session.connecting_at, Counts(), early, Buffered(), connecting=True
            )
        else:
            up, down = _buffered(relay.up), _buffered(relay.down)
            way = Standing(began, relay.stamp, self.counts, up, down)
        yield path_of(session), way

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
    def target_socket(self) -> socket.socket | None:
        return self._relay.down.source if self._relay is not None else None


def _buffered(flow: Flow) -> Buffered:
    held = len(flow.pending) + flow.waiting
    return Buffered(unread(flow.source), held, unsent(flow.sink))


def connect(session: Session, rule: Rule, target: Endpoint) -> None:
    """
    Connect to ``target`` for a session, and relay.

    :param target: a numeric endpoint.
    """
    server = session.server
    session.phase = Phase.CONNECT
    try:
        source = session.sources.choose(target, session.client, session.local)
    except NoSource as none:
        if none.misrouted:
            text = f"getoutaddr(): {none.text}"
            named = named_of(session)
            server.journal.message(Severity.WARNING, "external.misrouted", text, named=named)
        text = f"could not bind address to use on external side: {none.text}"
        session.refuse(Ending(Side.US, Phase.CONNECT, Cause.UNUSABLE, text=text), none.reply)
        return
    session.target = target
    performing = session.performing = Connect(session, rule)
    # On loopback the client's port is taken, by the client, and nobody looks at ours.
    port = 0 if source.startswith("127.") or source == "::1" else session.client.port
    wish = Endpoint(source, port, target.family)
    try:
        connected = performing.dial(wish, target)
    except DialError as failed:
        performing.failed(failed)
    else:
        # Not by session.when: the session's end cancels the attempt itself.
        connected.addCallbacks(performing.relay, performing.unreached).addErrback(session.broken)
