"""
Dante's bind extension (``extension: bind``): a port of ours for many peers.

A BIND for 255.255.255.255 asks for it.  The client is told of the port, which has the number of the
client's own, and its connection stands as long as the port.  Each peer that comes is held against
the socks rules (``bindreply``); then we connect to the client, at the address and port that it has
asked from, where it must listen.  It asks on its first connection who that is: with a request that
names our end of the new one.  We answer with the peer's address, and the relay begins.

One peer at a time is looked at and connected for, as in Dante; the others wait in the kernel.
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
from dantetw.observe.status import Standing
from dantetw.policy import Edge, Rule
from dantetw.rules.decision import Decision, decide_socks
from dantetw.session import tracing
from dantetw.session.commands.forward import Forward
from dantetw.session.commands.waiting import Waiting
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

#: Most peers of a port, those included whom the client has not asked about yet.  Each takes two
#: descriptors, of which a process often has 1024.
MOST: Final = 256
_EACH: Final = 2
#: Bytes of the client's that are read in one turn; a query has 10.
_READ: Final = 4096
#: What says nothing of the client: there may be more of it for the next peer.
_SCARCE: Final = frozenset((EMFILE, ENFILE, ENOBUFS, ENOMEM))


class Forwarding(Waiting):
    """A port, and all who have come to it."""

    __slots__ = ("_closed", "_coming", "_held", "_past", "_queued", "_relays", "_unasked", "_used")

    backlog: ClassVar[int] = 64

    def __init__(self, session: Session, rule: Rule, awaited: PeerPort) -> None:
        super().__init__(session, rule, awaited)
        self._coming: Forward | None = None
        self._unasked: dict[tuple[str, int], Forward] = {}
        self._relays: dict[Forward, None] = {}
        self._past = Counts()
        self._used = False
        self._queued = self._held = False
        self._closed = Ending(Side.US, Phase.RELAY, Cause.SHUTDOWN)

    def wait(self) -> None:
        """Let peers come, and tell the client where to."""
        super().wait()
        if not self._session.ended:
            self._heed()
            self._client_stirs(0)

    # The client.

    def _client_stirs(self, mask: int) -> None:
        if not (self._queued or self._held):
            self._hear()

    def _hear(self) -> None:
        self._queued = False
        session = self._session
        if session.ended:
            return
        assert session.sock is not None
        try:
            data = session.sock.recv(_READ)
        except BlockingIOError:
            return
        except OSError as lost:
            number = lost.errno or 0
            text = f"receiving request from client failed ({words_of(number)})"
            self._client_failed(number, Operation.RECEIVE, text)
            return
        if not data:
            # Even if only this direction is over: a client that has gone looks the same.
            self._end(Ending(Side.CLIENT, Phase.CONNECT, Cause.CLOSED))
            return
        session.leftover += data
        self._heed()
        if not (session.ended or self._held):
            # Others have their turn before there is more of this.
            self._queued = True
            session.server.poller.again(self._hear)

    def _heed(self) -> None:
        """Answer the questions that are complete."""
        session = self._session
        try:
            while not session.ended and (asked := _question(session.leftover)) is not None:
                request, size = asked
                if self._early(request):
                    return
                session.leftover = session.leftover[size:]
                self._answer(request)
        except ProtocolError as wrong:
            # Dante's words, which have no better ones.
            text = "receiving request from client failed (no system error)"
            self._end(Ending(Side.CLIENT, Phase.CONNECT, wrong.cause, text=text))

    def _early(self, request: Request) -> bool:
        """
        Whether it is about a connection that stands, as the client knows before we do.

        Then all that the client says waits until we know.
        """
        session, coming = self._session, self._coming
        if coming is None or coming.source is None or _key(coming.source) != _key(request.target):
            return False
        assert session.sock is not None
        self._held = True
        session.server.poller.pause(session.sock.fileno())
        return True

    def _release(self) -> None:
        session = self._session
        if self._held:
            assert session.sock is not None
            self._held = False
            session.server.poller.resume(session.sock.fileno())
            self._heed()
            self._client_stirs(0)

    def _answer(self, request: Request) -> None:
        """Say who it is that comes from there; nobody, if none of ours does."""
        session, server = self._session, self._session.server
        assert session.sock is not None
        key = _key(request.target)
        forward = self._unasked.get(key)
        told = NOWHERE if forward is None else forward.peer
        try:
            session.sock.send(request.dialect.reply(ReplyCode.SUCCEEDED, told))
        except OSError as unsent:
            number = unsent.errno or 0
            text = f"sending bind-response to client failed: {words_of(number)}"
            self._client_failed(number, Operation.SEND, text)
            return
        session.since = server.monotonic()
        if forward is None:
            return
        del self._unasked[key]
        self._relays[forward] = None
        if not self._used:
            self._used = True
            server.charging.perform()
        if server.journal.debug:
            self._step(f"{forward.peer} is relayed from {forward.source}", forward)
        forward.begin()

    # The peers.

    def _comes(self, mask: int) -> None:
        session = self._session
        if session.ended or self._coming is not None or self._number >= MOST:
            return
        self._unaccepted = False
        room = session.server.descriptors
        try:
            if not room.has(_EACH) and self._awaited.waits():
                raise OSError(EMFILE, "no room for another peer")
            sock, peer = self._awaited.accept()
        except BlockingIOError:
            return
        except OSError as unaccepted:
            self._cannot_accept(unaccepted)
            return
        self._awaited.pause()
        forward = self._coming = Forward(session, self._rule, sock, peer, self._gone)
        room.hold(session.record.number, _EACH * (self._number + 1))
        if session.server.journal.debug:
            self._step(f"{peer} has come to {self._awaited.bound}", forward)
        try:
            self._judge(peer)
        except Exception:
            session.broken(Failure())

    def _go_on(self) -> None:
        """The next may come."""
        self._coming = None
        self._session.server.poller.again(self._look)

    def _look(self) -> None:
        session = self._session
        if session.ended or self._coming is not None:
            return
        session.server.descriptors.hold(session.record.number, _EACH * self._number)
        if self._number < MOST:
            self._awaited.resume()
            self._comes(0)

    @property
    def _number(self) -> int:
        return len(self._unasked) + len(self._relays)

    def _judge(self, peer: Endpoint) -> None:
        """Ask the socks rules about a peer."""
        session = self._session
        record = session.record
        server, question = session.server, self._about(peer)
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
        session, forward = self._session, self._coming
        assert forward is not None
        if decision.rule.verdict is Verdict.BLOCK:
            forward.block(decision.rule)
            self._go_on()
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
            self._unasked[_key(forward.source)] = forward
            self._session.since = self._session.server.monotonic()
            self._go_on()
            self._release()
        except Exception:
            self._session.broken(Failure())

    def _failed(self, forward: Forward, wrong: DialError) -> None:
        try:
            self._unreached(forward, wrong)
        except Exception:
            self._session.broken(Failure())

    def _unreached(self, forward: Forward, wrong: DialError) -> None:
        """The client does not listen where it should: then the port is of no use to anybody."""
        session, number, source = self._session, wrong.number, wrong.source
        record = session.record
        forward.source = source
        client, more = record.client, (forward.rule,)
        log_failure(session, Edge.INTERNAL, Operation.CONNECT, client, number, more)
        text = f"connect(2) to {record.client} from {source} failed: {words_of(number)}"
        ending = Ending(Side.CLIENT, Phase.CONNECT, Cause.ERROR, number, text)
        forward.part(ending)
        forward.cancel()
        self._go_on()
        if number in _SCARCE:
            self._release()
        else:
            self._end(ending)

    def _gone(self, forward: Forward) -> None:
        """A relay is over."""
        session = self._session
        self._past += forward.counts
        del self._relays[forward]
        session.since = session.server.monotonic()
        session.server.poller.again(self._look)

    def _step(self, text: str, forward: Forward) -> None:
        tracing.step(self._session, text, (("target", forward.peer.host),))

    # The end.

    def check(self, now: float) -> None:
        session, coming = self._session, self._coming
        for forward in tuple(self._relays):
            forward.check(now)
        if coming is not None:
            limit = session.record.policy.timeouts.connect
            if coming.late(now):
                assert coming.source is not None
                self._unreached(coming, DialError(ETIMEDOUT, False, coming.source))
            elif session.waiting is not None and 0 < limit < int(now) - int(coming.since):
                # Names that the rules about the peer ask for.
                self._end(Ending(Side.US, Phase.CONNECT, Cause.TIMEOUT))
            return
        if self._unaccepted:
            self._look()
        limit = self._rule.timeouts.io_tcp
        if not self._number and 0 < limit < int(now) - int(session.since):
            self._end(Ending(Side.US, Phase.CONNECT, Cause.TIMEOUT))

    def _client_failed(self, number: int, operation: Operation, text: str) -> None:
        self._closed = Ending(Side.CLIENT, Phase.RELAY, Cause.CLOSED)
        super()._client_failed(number, operation, text)

    def _end(self, ending: Ending) -> None:
        # To who is relayed it makes no difference why the client has gone.
        side = Side.CLIENT if ending.side is Side.CLIENT else Side.US
        self._closed = Ending(side, Phase.RELAY, Cause.CLOSED)
        self._session.end(ending)

    def closing(self) -> None:
        for forward in tuple(self._relays):
            forward.end(self._closed)

    def cancel(self) -> None:
        coming, self._coming = self._coming, None
        unasked, self._unasked = self._unasked, {}
        for forward in unasked.values():
            forward.cancel()
        if coming is not None:
            coming.cancel()

    # What is reported.

    @property
    def under_way(self) -> bool:
        return self._used

    def standing(self) -> Iterator[tuple[Path, Standing]]:
        session = self._session
        for forward in self._relays:
            yield from forward.standing()
        if not self._relays:
            yield session.record.path, Standing(session.record.accepted_at, session.since, Counts())

    @property
    def stirred(self) -> float:
        return max((self._session.since, *(forward.stirred for forward in self._relays)))

    @property
    def counts(self) -> Counts:
        return sum((forward.counts for forward in self._relays), self._past)


def _question(data: bytes) -> tuple[Request, int] | None:
    """The next question in what a client has said, and its length; None: not complete yet."""
    return socks4.parse_request(data) if data[:1] == b"\x04" else socks5.parse_request(data)


def _key(endpoint: Endpoint) -> tuple[str, int]:
    """An address as a request can name it: without a zone."""
    return endpoint.host.partition("%")[0], endpoint.port
