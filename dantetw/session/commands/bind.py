"""
BIND (:rfc:`1928` section 4): a port of ours for one peer, then a relay with that peer.

The port was bound before the socks rules were asked (:mod:`dantetw.session.request`).  The client
is told of it, and waits.  It may be gone before anybody comes, so its connection is read
meanwhile; what it sends is kept for the peer, up to :data:`EARLY`.  Whoever comes first must be
whom the client has named, if it has named anybody, and is then held against the socks rules again,
as a ``bindreply``.  Nobody else can come, but by Dante's extension (:mod:`.forwarding`).
"""

from __future__ import annotations

import socket
from dataclasses import replace
from functools import partial
from typing import Final

from twisted.python.failure import Failure

from dantetw.addresses import without_zone
from dantetw.escaping import escape
from dantetw.net.errors import words_of
from dantetw.net.peerport import PeerPort
from dantetw.net.poller import FAILED, HANGUP
from dantetw.plan.case import Case
from dantetw.plan.outcome import Plan
from dantetw.policy import Rule
from dantetw.rules.decision import Decision, decide_socks
from dantetw.session import tracing
from dantetw.session.commands.forwarding import Forwarding
from dantetw.session.commands.waiting import Waiting
from dantetw.session.session import Session
from dantetw.values import (
    EXTENSION,
    NOWHERE,
    UNSPECIFIED,
    Cause,
    Ending,
    Endpoint,
    Family,
    Operation,
    Phase,
    ReplyCode,
    Side,
    Verdict,
)

#: Most bytes of a client's that are kept while nobody has come for them.
EARLY: Final = 65536


class Bind(Waiting):
    """
    A port that waits, and the relay with whoever has come.

    The rule is that of the request as long as the port waits, then that of the reply.
    """

    __slots__ = ("_peer",)

    def __init__(self, session: Session, rule: Rule, awaited: PeerPort) -> None:
        super().__init__(session, rule, awaited)
        self._peer: socket.SocketType | None = None

    # The client, while it waits.

    def _client_stirs(self, mask: int) -> None:
        session = self._session
        session.hints |= mask
        client = session.sock
        assert client is not None
        room = EARLY - len(session.leftover)
        while room > 0:
            try:
                data = client.recv(room)
            except BlockingIOError:
                return
            except OSError as failed:
                number = failed.errno or 0
                text = f"receiving request from client failed ({words_of(number)})"
                self._client_failed(number, Operation.RECEIVE, text)
                return
            if not data:
                break
            session.leftover += data
            room -= len(data)
        else:
            # The relay reads on, unless the client has gone behind all that.
            session.server.poller.pause(client.fileno())
            if not mask & (HANGUP | FAILED):
                return
        # Even if only this direction is over: a client that has gone looks the same.
        session.end(Ending(Side.CLIENT, Phase.CONNECT, Cause.CLOSED))

    # The peer.

    def _comes(self, mask: int) -> None:
        session, bound = self._session, self._awaited.bound
        self._unaccepted = False
        try:
            self._peer, peer = self._awaited.accept()
        except BlockingIOError:
            return  # it has gone again
        except OSError as failed:
            self._cannot_accept(failed)
            return
        self._awaited.close()
        session.record.target, session.since = peer, session.server.monotonic()
        if session.server.journal.debug:
            tracing.step(session, f"{peer} has come to {bound}")
        try:
            if self._expects(peer):
                self._judge(peer)
            else:
                self._refuse_other(peer)
        except Exception:
            session.broken(Failure())

    def _expects(self, peer: Endpoint) -> bool:
        session, asked = self._session, self._session.record.asked
        assert asked is not None
        if asked.host in UNSPECIFIED:
            return True
        host = without_zone(peer.host)
        if asked.family is Family.NAME:
            return host in map(without_zone, session.record.addresses or ())
        return host == asked.host

    def _refuse_other(self, peer: Endpoint) -> None:
        session = self._session
        record = session.record
        assert record.asked is not None
        # Dante has no rule for this: it is told under the request's, as number 0.
        record.reply_rule = replace(self._rule, number=0, verdict=Verdict.BLOCK)
        expected = f"{escape(record.asked.host)}.0"
        text = f"expected bindreply from {expected}, but got it from {peer}"
        ending = Ending(Side.RULE, Phase.AUTHORISE, Cause.BLOCKED, text=text)
        session.refuse(ending, ReplyCode.NOT_ALLOWED, peer)

    def _judge(self, peer: Endpoint) -> None:
        """Ask the socks rules about the peer."""
        session = self._session
        server, question = session.server, self._about(peer)
        ask = partial(decide_socks, session.record.policy, question)
        decide = partial(tracing.judged, session, ask, None)
        decision = decide(server.known)
        if isinstance(decision, Decision):
            self._judged(decision)
        else:
            session.when(session.decide_waiting(decide), self._judged)

    def _judged(self, decision: Decision) -> None:
        session, rule, peer = self._session, decision.rule, self._peer
        record = session.record
        server = session.server
        assert peer is not None and record.target is not None
        record.reply_rule = self._rule = rule
        if rule.verdict is Verdict.BLOCK:
            ending = Ending(Side.RULE, Phase.AUTHORISE, Cause.BLOCKED)
            session.refuse(ending, ReplyCode.NOT_ALLOWED, record.target)
            return
        server.poller.watch(peer.fileno(), _unheard)
        self._peer = None
        server.charging.perform()
        self.relay(peer, record.target)

    def check(self, now: float) -> None:
        session = self._session
        if self._relay is not None:
            super().check(now)
            return
        if self._peer is not None:
            # Names that the rules about the peer ask for.
            limit, code = session.record.policy.timeouts.connect, ReplyCode.HOST_UNREACHABLE
        else:
            if self._unaccepted:
                self._awaited.resume()
                self._comes(0)
            limit, code = self._rule.timeouts.io_tcp, ReplyCode.TTL_EXPIRED
        if limit and int(now) - int(session.since) > limit and not session.ended:
            ending = Ending(Side.US, Phase.CONNECT, Cause.TIMEOUT)
            session.refuse(ending, code, NOWHERE)

    def cancel(self) -> None:
        if self._peer is not None:
            self._peer.close()
        super().cancel()


def _unheard(mask: int) -> None:
    """The relay watches at once."""


def bind(session: Session, case: Case, plan: Plan) -> None:
    """Wait for the peer of a session, or for many, and relay."""
    record = session.record
    assert session.awaited is not None and record.asked is not None
    record.phase = Phase.CONNECT
    record.source = plan.address
    if record.asked.host == EXTENSION:
        record.target = NOWHERE
        kind: type[Waiting] = Forwarding
    else:
        kind = Bind
    activity = session.activity = kind(session, plan.rule, session.awaited)
    activity.wait()
