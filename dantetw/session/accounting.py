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
    record = session.record
    request, performing = record.request, session.performing or _NOTHING
    times = Times(
        record.accepted_at,
        session.server.monotonic(),
        record.negotiating_at,
        record.requested_at,
        record.connected_at,
        performing.first_io,
        record.logging_in_at,
        record.logged_in_at,
        record.resolved_at,
        record.connecting_at,
    )
    return Ended(
        record.number,
        record.client_rule,
        record.socks_rule,
        path_of(session),
        ending,
        times,
        performing.counts,
        command=request.command if request is not None else None,
        protocol=PROTOCOL_OF[request.command] if request is not None else Protocol.TCP,
        proxy_protocol=request.proxy_protocol if request is not None else None,
        asked=record.asked,
        read=session.negotiation.read if session.negotiation is not None else 0,
        tcpinfo=tcpinfo_of(session),
        method=record.method if record.user is None else record.user.method,
        claimed=record.claimed,
        addresses=record.addresses or (),
        traffic=performing.traffic,
        packets=performing.packets,
        drops=performing.drops,
        tried=record.tried,
        reply_rule=record.reply_rule,
        named=named_of(session) if ending.text or record.tried else (),
        attempts=performing.attempts,
    )


def path_of(session: Session) -> Path:
    """Who talks to whom, as far as it has come."""
    record = session.record
    identity = record.identity
    return Path(
        record.client,
        record.local,
        record.user,
        record.source,
        record.target,
        None if identity is None else identity.user,
    )


def rules_log(session: Session) -> int:
    """The ``LOG_…`` bits of all the rules that the session has come under."""
    record = session.record
    log = record.client_rule.log
    if record.socks_rule is not None:
        log |= record.socks_rule.log
    if record.reply_rule is not None:
        log |= record.reply_rule.log
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
