"""
The facts of a session: who the client is, what it asked for, and how far that has come.

A record waits for nothing and holds no resource.  Events, the status report and the crash record
are made from it; the machine that changes it is :class:`~dantetw.session.session.Session`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from dantetw.observe.facts import SessionFacts, Times
from dantetw.policy import Policy, Rule
from dantetw.rules.authentication import Identity
from dantetw.values import (
    PHASE_ACCEPT,
    PHASE_AUTHENTICATE,
    PHASE_NEGOTIATE,
    PHASE_RELAY,
    PHASE_RESOLVE,
    PROTOCOL_OF,
    PROTOCOL_TCP,
    Endpoint,
    Method,
    Path,
    Phase,
    User,
)
from dantetw.wire.dialects import Request

_Facts = TypeVar("_Facts", bound=SessionFacts)


class SessionRecord:
    """
    The facts of one session.

    :ivar number: from 1, in order of arrival.
    :ivar policy: the configuration that the session began with.
    :ivar client: the client's address; ``local``: the address of this host that it connected to.
    :ivar client_rule: the client rule that matched, number 0 before that; ``socks_rule``: the socks
        rule, None before that; ``reply_rule``: the one about the peer of a BIND.
    :ivar identity: the identity that the client rule matched, if its methods needed checks.
    :ivar user: the user that the client has authenticated as; ``method``: how; ``claimed``: the
        name it gave with a password, right or wrong; hostile.
    :ivar other_names: names that others have given for the client; hostile.
    :ivar request: what the client asks for; ``asked``: its target, with an address in place of a
        name that spells one; ``addresses``: of the name in it, None if it has none.
    :ivar target: where the session goes, once the rules have been asked; ``source``: our end of
        that connection.
    :ivar tried: the result of each rule, if one blocked the session and an output logs that.
    :ivar phase: how far the session has come.
    :ivar accepted_at: monotonic seconds, as all times here, which are 0.0 before the session comes
        to them: see :class:`~dantetw.observe.facts.Times`.
    """

    __slots__ = (
        "accepted_at",
        "addresses",
        "asked",
        "claimed",
        "client",
        "client_rule",
        "connected_at",
        "connecting_at",
        "identity",
        "local",
        "logged_in_at",
        "logging_in_at",
        "method",
        "negotiating_at",
        "number",
        "other_names",
        "phase",
        "policy",
        "reply_rule",
        "request",
        "requested_at",
        "resolved_at",
        "socks_rule",
        "source",
        "target",
        "tried",
        "user",
    )

    def __init__(
        self,
        number: int,
        policy: Policy,
        client: Endpoint,
        local: Endpoint,
        client_rule: Rule,
        accepted_at: float,
    ) -> None:
        self.number = number
        self.policy = policy
        self.client = client
        self.local = local
        self.client_rule = client_rule
        self.socks_rule: Rule | None = None
        self.reply_rule: Rule | None = None
        self.identity: Identity | None = None
        self.user: User | None = None
        self.method: Method | None = None
        self.claimed = ""
        self.other_names: tuple[str, ...] = ()
        self.request: Request | None = None
        self.asked: Endpoint | None = None
        self.addresses: tuple[str, ...] | None = None
        self.target: Endpoint | None = None
        self.source: Endpoint | None = None
        self.tried: tuple[str, ...] = ()
        self.phase = PHASE_ACCEPT
        self.accepted_at = accepted_at
        self.negotiating_at = self.logging_in_at = self.logged_in_at = self.requested_at = 0.0
        self.resolved_at = self.connecting_at = self.connected_at = 0.0

    # Progress: only these set the phase and the times.

    def enter(self, phase: Phase) -> None:
        """A phase begins."""
        self.phase = phase

    def hear_client(self, now: float) -> None:
        """The first bytes of the client have come."""
        self.negotiating_at = now

    def begin_login(self, name: str, now: float) -> None:
        """The client has given a name and a password."""
        self.phase = PHASE_AUTHENTICATE
        self.claimed = name
        self.logging_in_at = now

    def end_login(self, now: float) -> None:
        """The name and the password are right, or kept for the socks rules."""
        self.phase = PHASE_NEGOTIATE
        self.logged_in_at = now

    def take_request(self, request: Request, asked: Endpoint, now: float) -> None:
        """
        The request is complete.

        :param asked: its target, with an address in place of a name that is one in disguise.
        """
        self.request = request
        self.method = request.method
        self.asked = asked
        self.phase = PHASE_RESOLVE
        self.requested_at = now

    def resolve(self, now: float) -> None:
        """The look-up of the target's name has ended."""
        self.resolved_at = now

    def begin_connecting(self, now: float) -> None:
        """The first connection attempt begins, or the port for a peer is open."""
        self.connecting_at = now

    def connect(self, now: float) -> None:
        """The target is connected: the relay begins."""
        self.phase = PHASE_RELAY
        self.connected_at = now

    def restore(self, phase: Phase, connected_at: float) -> None:
        """Restore the progress of a session whose process has died."""
        self.phase = phase
        self.connected_at = connected_at

    # Derived from the facts.

    @property
    def path(self) -> Path:
        """The endpoints of the session, as far as they are known."""
        identity = self.identity
        return Path(
            self.client,
            self.local,
            self.user,
            self.source,
            self.target,
            None if identity is None else identity.user,
        )

    @property
    def log(self) -> int:
        """The ``LOG_…`` bits of all rules that apply to the session."""
        log = self.client_rule.log
        if self.socks_rule is not None:
            log |= self.socks_rule.log
        if self.reply_rule is not None:
            log |= self.reply_rule.log
        return log

    def snapshot(
        self,
        make: Callable[..., _Facts],
        now: float,
        path: Path | None = None,
        first_io: float = 0.0,
        **more: Any,
    ) -> _Facts:
        """
        The facts at this moment.  This is the only place that lists them.

        :param make: a subclass of :class:`~dantetw.observe.facts.SessionFacts`, which gets ``more``
            besides the facts.
        :param now: monotonic seconds.
        :param path: whose facts these are, if not the session's own.
        :param first_io: when the first bytes were relayed, or 0.0.
        """
        request, user = self.request, self.user
        return make(
            self.number,
            self.client_rule,
            self.socks_rule,
            self.reply_rule,
            path or self.path,
            Times(
                self.accepted_at,
                now,
                self.negotiating_at,
                self.requested_at,
                self.connected_at,
                first_io,
                self.logging_in_at,
                self.logged_in_at,
                self.resolved_at,
                self.connecting_at,
            ),
            self.phase,
            None if request is None else request.command,
            PROTOCOL_TCP if request is None else PROTOCOL_OF[request.command],
            None if request is None else request.proxy_protocol,
            self.asked,
            self.addresses or (),
            self.method if user is None else user.method,
            self.claimed,
            self.tried,
            **more,
        )
