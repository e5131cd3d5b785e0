"""
What is recorded of a session at its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dantetw.net.tcpinfo import read
from dantetw.observe.events import Ended, Times
from dantetw.session.named import named_of
from dantetw.session.performing import Performing
from dantetw.session.requesting import PROTOCOL_OF
from dantetw.values import LOG_TCPINFO, Ending, Path, Protocol

if TYPE_CHECKING:
    from dantetw.session.session import Session

# What is performed before it has come to a command.
_NOTHING: Final = Performing()


def account(session: Session, ending: Ending) -> Ended:
    """All there is to say of a session that ends now; its sockets must still be open."""
    request, performing = session.request, session.performing or _NOTHING
    times = Times(
        session.accepted_at,
        session.server.monotonic(),
        session.negotiating_at,
        session.requested_at,
        session.connected_at,
        performing.first_io,
        session.logging_in_at,
        session.logged_in_at,
        session.resolved_at,
        session.connecting_at,
    )
    return Ended(
        session.number,
        session.client_rule,
        session.socks_rule,
        path_of(session),
        ending,
        times,
        performing.counts,
        command=request.command if request is not None else None,
        protocol=PROTOCOL_OF[request.command] if request is not None else Protocol.TCP,
        proxy_protocol=request.proxy_protocol if request is not None else None,
        asked=session.asked,
        read=session.negotiation.read if session.negotiation is not None else 0,
        tcpinfo=tcpinfo_of(session),
        method=session.method if session.user is None else session.user.method,
        claimed=session.claimed,
        addresses=session.addresses or (),
        traffic=performing.traffic,
        packets=performing.packets,
        drops=performing.drops,
        tried=session.tried,
        reply_rule=session.reply_rule,
        named=named_of(session) if ending.text or session.tried else (),
        attempts=performing.attempts,
    )


def path_of(session: Session) -> Path:
    """Who talks to whom, as far as it has come."""
    shown = None if session.proving is None else session.proving.client
    return Path(
        session.client,
        session.local,
        session.user,
        session.source,
        session.target,
        None if shown is None else shown.user,
    )


def rules_log(session: Session) -> int:
    """The ``LOG_…`` bits of all the rules that the session has come under."""
    log = session.client_rule.log
    if session.socks_rule is not None:
        log |= session.socks_rule.log
    if session.reply_rule is not None:
        log |= session.reply_rule.log
    return log


def tcpinfo_of(session: Session) -> tuple[bytes, bytes]:
    """What the kernel says of the client's and the target's connection, if a rule wants it."""
    if not rules_log(session) & LOG_TCPINFO:
        return b"", b""
    client = session.sock
    if client is None and session.transport is not None:
        client = session.transport.socket
    target = session.performing.target_socket if session.performing is not None else None
    return (
        read(client) if client is not None else b"",
        read(target) if target is not None else b"",
    )
