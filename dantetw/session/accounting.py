"""
The event of a session's end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dantetw.net.tcpinfo import read
from dantetw.observe.events import Ended
from dantetw.session.performing import Performing
from dantetw.session.sensitive import sensitive_values
from dantetw.values import LOG_TCPINFO, Ending

if TYPE_CHECKING:
    from dantetw.session.session import Session

# What is performed before it has come to a command.
_NOTHING: Final = Performing()


def account(session: Session, ending: Ending) -> Ended:
    """Build the event of a session that ends now; its sockets must still be open."""
    record, performing = session.record, session.performing or _NOTHING
    negotiation = session.negotiation
    return record.snapshot(
        Ended,
        session.server.monotonic(),
        first_io=performing.first_io,
        ending=ending,
        counts=performing.counts,
        read=0 if negotiation is None else negotiation.read,
        tcpinfo=tcpinfo_of(session),
        traffic=performing.traffic,
        packets=performing.packets,
        drops=performing.drops,
        named=sensitive_values(record) if ending.text or record.tried else (),
        attempts=performing.attempts,
    )


def tcpinfo_of(session: Session) -> tuple[bytes, bytes]:
    """What the kernel says of the client's and the target's connection, if a rule wants it."""
    if not session.record.log & LOG_TCPINFO:
        return b"", b""
    client = session.sock
    if client is None and session.transport is not None:
        client = session.transport.socket
    target = session.performing.target_socket if session.performing is not None else None
    return (
        read(client) if client is not None else b"",
        read(target) if target is not None else b"",
    )
