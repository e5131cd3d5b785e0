"""
Dante's bind extension (``extension: bind``): a listening port for many peers.

A BIND for 255.255.255.255 asks for it.  The client gets the address of the port, which has the
number of the client's own, and the port is open as long as the client's connection.  The rules are
asked about each peer (``bindreply``); then we connect to the client, at the address and port that
its request came from, where it must listen.  On its first connection it queries which peer that is,
with a request that names our end of the new connection.  We reply with the peer's address, and the
relay begins.

Peers are decided about and connected one at a time, as in Dante; the others wait in the kernel.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from errno import EMFILE, ENFILE, ENOBUFS, ENOMEM, ETIMEDOUT
from functools import partial
from typing import ClassVar, Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from dantetw.net.dial import DialError
from dantetw.net.errors import words_of
from dantetw.net.peerport import PeerPort
from dantetw.observe.status import TrafficSnapshot
from dantetw.policy import Edge, Rule
from dantetw.rules.decision import Decision, decide_socks
from dantetw.session import tracing
from dantetw.session.commands.forward import Forward
from dantetw.session.commands.peerwait import PeerWait
from dantetw.session.failures import log_failure, log_unresolved
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
    ReplyCode,
    Side,
    Verdict,
)
from dantetw.wire import socks4, socks5
from dantetw.wire.dialects import Request
from dantetw.wire.messages import ProtocolError

#: Peers of a port at a time, including those that the client has not queried yet.  Each takes two
#: descriptors, of which a process often has 1024.
MAX_PEERS: Final = 256
_DESCRIPTORS_PER_PEER: Final = 2
#: Bytes to read from the client at a time; a query has 10.
_READ_BYTES: Final = 4096
#: Errors that are not the client's: the next peer may succeed.
_SCARCE: Final = frozenset((EMFILE, ENFILE, ENOBUFS, ENOMEM))


class BindExtension(PeerWait):
    """A port, and all its peers."""

    __slots__ = (
        "_closed",
        "_has_relayed",
        "_held",
        "_next",
        "_past",
        "_queued",
        "_relays",
        "_unqueried",
    )

    backlog: ClassVar[int] = 64

    def __init__(self, session: Session, rule: Rule, awaited: PeerPort) -> None:
        super().__init__(session, rule, awaited)
        self._next: Forward | None = None
        self._unqueried: dict[tuple[str, int], Forward] = {}
        self._relays: dict[Forward, None] = {}
        self._past = Counts()
        self._has_relayed = False
        self._queued = self._held = False
        self._closed = Ending(Side.US, Phase.RELAY, Cause.SHUTDOWN)

    def wait(self) -> None:
        """Listen, and reply with the address of the port."""
        super().wait()
        if not self._session.ended:
            self._answer_queries()
            self._client_ready(0)

    # The client.

    def _client_ready(self, mask: int) -> None:
        if not (self._queued or self._held):
            self._read_client()

    def _read_client(self) -> None:
        self._queued = False
        session = self._session
        if session.ended:
            return
        if not self._receive(_READ_BYTES):
            return
        self._answer_queries()
        if not (session.ended or self._held):
            # Serve other sockets before reading more.
            self._queued = True
            session.server.poller.again(self._read_client)

    def _answer_queries(self) -> None:
        """Answer the queries that are complete."""
        session = self._session
        try:
            while not session.ended and (asked := _parse_query(session.leftover)) is not None:
                request, size = asked
                if self._is_premature(request):
                    return
                session.leftover = session.leftover[size:]
                self._answer(request)
        except ProtocolError as wrong:
            # Dante's words.
            text = "receiving request from client failed (no system error)"
            self._end(Ending(Side.CLIENT, Phase.CONNECT, wrong.cause, text=text))

    def _is_premature(self, request: Request) -> bool:
        """
        Whether it queries a connection that the client knows to be established before the server
        does.  Then all that the client sends waits until the server knows.
        """
        session, newest = self._session, self._next
        if newest is None or newest.source is None or _key(newest.source) != _key(request.target):
            return False
        assert session.sock is not None
        self._held = True
        session.server.poller.pause(session.sock.fileno())
        return True

    def _resume_client(self) -> None:
        session = self._session
        if self._held:
            assert session.sock is not None
            self._held = False
            session.server.poller.resume(session.sock.fileno())
            self._answer_queries()
            self._client_ready(0)

    def _answer(self, request: Request) -> None:
        """Reply with the peer's address, or none if the query names no known connection."""
        session, server = self._session, self._session.server
        assert session.sock is not None
        key = _key(request.target)
        forward = self._unqueried.get(key)
        peer = NOWHERE if forward is None else forward.peer
        try:
            session.sock.send(request.dialect.reply(ReplyCode.SUCCEEDED, peer))
        except OSError as unsent:
            number = unsent.errno or 0
            text = f"sending bind-response to client failed: {words_of(number)}"
            self._client_failed(number, Operation.SEND, text)
            return
        session.since = server.monotonic()
        if forward is None:
            return
        del self._unqueried[key]
        self._relays[forward] = None
        if not self._has_relayed:
            self._has_relayed = True
            server.charging.perform()
        if server.journal.debug:
            self._step(f"{forward.peer} is relayed from {forward.source}", forward)
        forward.begin()

    # The peers.

    def _peer_ready(self, mask: int) -> None:
        session = self._session
        if session.ended or self._next is not None or self._number >= MAX_PEERS:
            return
        self._accept_again = False
        room = session.server.descriptors
        try:
            if not room.has(_DESCRIPTORS_PER_PEER) and self._awaited.waits():
                raise OSError(EMFILE, "no room for another peer")
            sock, peer = self._awaited.accept()
        except BlockingIOError:
            return
        except OSError as failed:
            self._accept_failed(failed)
            return
        self._awaited.pause()
        forward = self._next = Forward(session, self._rule, sock, peer, self._relay_ended)
        room.hold(session.record.number, _DESCRIPTORS_PER_PEER * (self._number + 1))
        if session.server.journal.debug:
            self._step(f"{peer} has come to {self._awaited.bound}", forward)
        try:
            self._judge(peer)
        except Exception:
            session.broken(Failure())

    def _accept_next(self) -> None:
        """Accept the next peer."""
        self._next = None
        self._session.server.poller.again(self._accept_more)

    def _accept_more(self) -> None:
        session = self._session
        if session.ended or self._next is not None:
            return
        session.server.descriptors.hold(session.record.number, _DESCRIPTORS_PER_PEER * self._number)
        if self._number < MAX_PEERS:
            self._awaited.resume()
            self._peer_ready(0)

    @property
    def _number(self) -> int:
        return len(self._unqueried) + len(self._relays)

    def _judge(self, peer: Endpoint) -> None:
        """Ask the socks rules about a peer."""
        session = self._session
        record = session.record
        server, question = session.server, self._question_about(peer)
        ask = partial(decide_socks, record.policy, question)
        decide = partial(tracing.judged, session, ask, None, datagram=question)
        decision = decide(server.known)
        if isinstance(decision, Decision):
            self._judged(decision)
            return
        tell = partial(log_unresolved, session, asked=peer)
        waiting = server.known.decide_waiting(decide, tell, record.client.host)
        session.when(Deferred.fromCoroutine(waiting), self._judged)

    def _judged(self, decision: Decision) -> None:
        session, forward = self._session, self._next
        assert forward is not None
        if decision.rule.verdict is Verdict.BLOCK:
            forward.block(decision.rule)
            self._accept_next()
            return
        reached, failed = partial(self._reached, forward), partial(self._failed, forward)
        try:
            forward.dial(decision.rule, reached, failed)
        except DialError as wrong:
            self._unreached(forward, wrong)
            return
        if session.server.journal.debug:
            self._step(f"connecting to {session.record.client} from {forward.source}", forward)

    def _reached(self, forward: Forward, client: socket.SocketType) -> None:
        try:
            forward.connected(client)
            assert forward.source is not None
            self._unqueried[_key(forward.source)] = forward
            self._session.since = self._session.server.monotonic()
            self._accept_next()
            self._resume_client()
        except Exception:
            self._session.broken(Failure())

    def _failed(self, forward: Forward, wrong: DialError) -> None:
        try:
            self._unreached(forward, wrong)
        except Exception:
            self._session.broken(Failure())

    def _unreached(self, forward: Forward, wrong: DialError) -> None:
        """The client does not listen where it should: then the port is useless."""
        session, number, source = self._session, wrong.number, wrong.source
        record = session.record
        forward.source = source
        client, more = record.client, (forward.rule,)
        log_failure(session, Edge.INTERNAL, Operation.CONNECT, client, number, more)
        text = f"connect(2) to {record.client} from {source} failed: {words_of(number)}"
        ending = Ending(Side.CLIENT, Phase.CONNECT, Cause.ERROR, number, text)
        forward.log_end(ending)
        forward.cancel()
        self._accept_next()
        if number in _SCARCE:
            self._resume_client()
        else:
            self._end(ending)

    def _relay_ended(self, forward: Forward) -> None:
        """A relay has ended."""
        session = self._session
        self._past += forward.counts
        del self._relays[forward]
        session.since = session.server.monotonic()
        session.server.poller.again(self._accept_more)

    def _step(self, text: str, forward: Forward) -> None:
        tracing.step(self._session, text, (("target", forward.peer.host),))

    # The end.

    def check(self, now: float) -> None:
        session, newest = self._session, self._next
        for forward in tuple(self._relays):
            forward.check(now)
        if newest is not None:
            limit = session.record.policy.timeouts.connect
            if newest.late(now):
                assert newest.source is not None
                self._unreached(newest, DialError(ETIMEDOUT, False, newest.source))
            elif session.waiting is not None and 0 < limit < int(now) - int(newest.since):
                # Names in the rules about the peer are being looked up.
                self._end(Ending(Side.US, Phase.CONNECT, Cause.TIMEOUT))
            return
        if self._accept_again:
            self._accept_more()
        limit = self._rule.timeouts.io_tcp
        if not self._number and 0 < limit < int(now) - int(session.since):
            self._end(Ending(Side.US, Phase.CONNECT, Cause.TIMEOUT))

    def _end(self, ending: Ending) -> None:
        # For the peers it makes no difference why the client has closed its connection.
        side = Side.CLIENT if ending.side is Side.CLIENT else Side.US
        self._closed = Ending(side, Phase.RELAY, Cause.CLOSED)
        super()._end(ending)

    def closing(self) -> None:
        for forward in tuple(self._relays):
            forward.end(self._closed)

    def cancel(self) -> None:
        newest, self._next = self._next, None
        unqueried, self._unqueried = self._unqueried, {}
        for forward in unqueried.values():
            forward.cancel()
        if newest is not None:
            newest.cancel()

    # What is reported.

    @property
    def is_active(self) -> bool:
        return self._has_relayed

    def traffic_snapshots(self) -> Iterator[tuple[Path, TrafficSnapshot]]:
        session = self._session
        for forward in self._relays:
            yield from forward.traffic_snapshots()
        if not self._relays:
            yield (
                session.record.path,
                TrafficSnapshot(session.record.accepted_at, session.since, Counts()),
            )

    @property
    def last_activity(self) -> float:
        return max((self._session.since, *(forward.last_activity for forward in self._relays)))

    @property
    def counts(self) -> Counts:
        return sum((forward.counts for forward in self._relays), self._past)


def _parse_query(data: bytes) -> tuple[Request, int] | None:
    """The next query in what a client has sent, and its length; None: not complete yet."""
    return socks4.parse_request(data) if data[:1] == b"\x04" else socks5.parse_request(data)


def _key(endpoint: Endpoint) -> tuple[str, int]:
    """An address as a request can contain it: without a zone."""
    return endpoint.host.partition("%")[0], endpoint.port
