"""
The facts of a session at one moment, which the events about a whole session have in common.
"""

from __future__ import annotations

from dantetw.policy import Rule
from dantetw.values import (
    Command,
    Endpoint,
    Method,
    Path,
    Phase,
    Protocol,
    ProxyProtocol,
    value,
)


@value
class Times:
    """
    Seconds of the monotonic clock at which a session reached a stage; 0.0 if it never did.

    ``now`` is the moment of the facts, which of a session that has ended is its end.
    ``negotiating`` is the client's first byte, ``requested`` the end of its request, ``connected``
    when the way to the target was open, ``first_io`` the first bytes relayed.  ``logging_in`` is
    when a name and a password had come, ``logged_in`` when they had been checked; ``resolved`` when
    a look-up that had to be waited for had come back; ``connecting`` when the attempt began.
    """

    accepted: float
    now: float
    negotiating: float = 0.0
    requested: float = 0.0
    connected: float = 0.0
    first_io: float = 0.0
    logging_in: float = 0.0
    logged_in: float = 0.0
    resolved: float = 0.0
    connecting: float = 0.0


@value
class SessionFacts:
    """
    The facts of a session, as :meth:`dantetw.session.record.SessionRecord.snapshot` lists them.

    :ivar session: its number.
    :ivar client_rule: the client rule that matched (number 0: none did); ``socks_rule``: the socks
        rule, None before one was looked for; ``reply_rule``: of a BIND whose peer has come, the
        socks rule about that peer, which is the target in ``path``; number 0 also if it was not the
        one expected.
    :ivar path: who talks to whom, as far as that is known.
    :ivar phase: how far the session has come.
    :ivar command: what was asked for, None before that is known.
    :ivar asked: the target as the client named it, before any resolution; ``addresses``: what the
        name in it resolved to, in the order of preference.
    :ivar method: by which the client has shown who it is; None before that.
    :ivar claimed: the name that the client gave with a password, right or wrong; hostile.
    :ivar tried: of a session that a rule blocked, how each rule fared
        (:func:`~dantetw.rules.words.told`), if an output wants it; hostile.
    """

    session: int
    client_rule: Rule
    socks_rule: Rule | None
    reply_rule: Rule | None
    path: Path
    times: Times
    phase: Phase
    command: Command | None
    protocol: Protocol
    proxy_protocol: ProxyProtocol | None
    asked: Endpoint | None
    addresses: tuple[str, ...]
    method: Method | None
    claimed: str
    tried: tuple[str, ...]
