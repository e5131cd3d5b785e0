"""
BIND (:rfc:`1928` section 4): a listening port for one peer, then a relay with that peer.

The port was bound before the socks rules were asked (:mod:`dantetw.session.request`).  The client
gets its address, and waits.  It may close its connection before a peer connects, so its connection
is read meanwhile; what the client sends is kept for the peer, up to :data:`MAX_EARLY_BYTES`.  The
first peer must be the one that the client has named, if it has named one, and the socks rules are
asked about it, as a ``bindreply``.  There are no further peers, except with Dante's extension
(:mod:`.forwarding`).
"""

from __future__ import annotations

import socket
from dataclasses import replace
from functools import partial
from typing import Final

from twisted.python.failure import Failure

from dantetw.addresses import without_zone
from dantetw.escaping import escape
from dantetw.net.peerport import PeerPort
from dantetw.net.poller import FAILED, HANGUP
from dantetw.plan.case import Case
from dantetw.plan.outcome import Plan
from dantetw.policy import Rule
from dantetw.rules.decision import Decision, decide_socks
from dantetw.session import tracing
from dantetw.session.commands.bindextension import BindExtension
from dantetw.session.commands.peerwait import PeerWait
from dantetw.session.session import Session
from dantetw.values import (
    EXTENSION,
    NOWHERE,
    UNSPECIFIED,
    Cause,
    Ending,
    Endpoint,
    Family,
    Phase,
    ReplyCode,
    Side,
    Verdict,
)

#: Bytes of a client that are kept until its peer connects.
MAX_EARLY_BYTES: Final = 65536


class Bind(PeerWait):
    """
    A port, and the relay with its one peer.

    The rule of the request applies until a peer has connected, then the rule of the reply.
    """

    __slots__ = ("_peer",)

    def __init__(self, session: Session, rule: Rule, awaited: PeerPort) -> None:
        super().__init__(session, rule, awaited)
        self._peer: socket.SocketType | None = None

    # The client, while it waits.

    def _client_ready(self, mask: int) -> None:
        session = self._session
        session.hints |= mask
        while (room := MAX_EARLY_BYTES - len(session.leftover)) > 0:
            if not self._receive(room):
                return
        # The relay reads on, unless the client has closed its connection behind all that.
        assert session.sock is not None
        session.server.poller.pause(session.sock.fileno())
        if mask & (HANGUP | FAILED):
            self._client_closed()

    # The peer.

    def _peer_ready(self, mask: int) -> None:
        session, bound = self._session, self._awaited.bound
        self._accept_again = False
        try:
            self._peer, peer = self._awaited.accept()
        except BlockingIOError:
            return  # it has closed the connection again
        except OSError as failed:
            self._accept_failed(failed)
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
        # Dante has no rule for this: it is logged under the request's, as number 0.
        record.reply_rule = replace(self._rule, number=0, verdict=Verdict.BLOCK)
        expected = f"{escape(record.asked.host)}.0"
        text = f"expected bindreply from {expected}, but got it from {peer}"
        ending = Ending(Side.RULE, Phase.AUTHORISE, Cause.BLOCKED, text=text)
        session.refuse(ending, ReplyCode.NOT_ALLOWED, peer)

    def _judge(self, peer: Endpoint) -> None:
        """Ask the socks rules about the peer."""
        session = self._session
        server, question = session.server, self._question_about(peer)
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
        server.poller.watch(peer.fileno(), _ignore)
        self._peer = None
        server.charging.perform()
        self.relay(peer, record.target)

    def check(self, now: float) -> None:
        session = self._session
        if self._relay is not None:
            super().check(now)
            return
        if self._peer is not None:
            # Names in the rules about the peer are being looked up.
            limit, code = session.record.policy.timeouts.connect, ReplyCode.HOST_UNREACHABLE
        else:
            if self._accept_again:
                self._awaited.resume()
                self._peer_ready(0)
            limit, code = self._rule.timeouts.io_tcp, ReplyCode.TTL_EXPIRED
        if limit and int(now) - int(session.since) > limit and not session.ended:
            ending = Ending(Side.US, Phase.CONNECT, Cause.TIMEOUT)
            session.refuse(ending, code, NOWHERE)

    def cancel(self) -> None:
        if self._peer is not None:
            self._peer.close()
        super().cancel()


def _ignore(mask: int) -> None:
    """The relay takes over at once."""


def bind(session: Session, case: Case, plan: Plan) -> None:
    """Wait for the peer of a session, or for many, and relay."""
    record = session.record
    assert session.awaited is not None and record.asked is not None
    record.enter(Phase.CONNECT)
    record.source = plan.address
    if record.asked.host == EXTENSION:
        record.target = NOWHERE
        kind: type[PeerWait] = BindExtension
    else:
        kind = Bind
    activity = session.activity = kind(session, plan.rule, session.awaited)
    activity.wait()
