"""
UDP ASSOCIATE (:rfc:`1928` section 7): a port for a client's datagrams, as long as its connection is
open.  The relaying there is done by an :class:`~.association.Association`.
"""

from __future__ import annotations

import socket

from dantetw.net.datagrams import bind_internal
from dantetw.net.errors import words_of
from dantetw.net.zones import on_link_of, sockaddr_of
from dantetw.plan.announced import is_complete
from dantetw.plan.case import Case
from dantetw.plan.outcome import Plan
from dantetw.policy import Rule
from dantetw.session.commands.association import OUTSIDE, Association
from dantetw.session.session import Session
from dantetw.values import UNSPECIFIED, Cause, Ending, Endpoint, Family, Phase, ReplyCode, Side


def associate(session: Session, case: Case, plan: Plan) -> None:
    """Open a port for a client's datagrams."""
    record, rule = session.record, plan.rule
    where, host = plan.address, plan.receiving_host
    record.begin_connecting(session.server.monotonic())
    family = Family.IPV6 if ":" in host else Family.IPV4
    sock = _bind(session, rule, host, family)
    if sock is None:
        return
    expected = Endpoint(record.client.host, where.port, record.client.family)
    if where.host not in UNSPECIFIED:
        expected = where
    connected = is_complete(where) and not rule.udp.from_connected
    if connected and not _connect(session, sock, where):
        return
    association = Association(session, case, rule, sock, expected, connected)
    session.activity = association
    session.server.descriptors.hold(record.number, OUTSIDE)
    association.begin()


def _bind(session: Session, rule: Rule, host: str, family: Family) -> socket.socket | None:
    """A socket for the client's datagrams; None if that failed and the client was refused."""
    options = session.record.policy.socket_options + rule.socket_options
    try:
        if family is Family.IPV6 and session.sock is not None:
            host = on_link_of(host, session.sock)
        sock, refused = bind_internal(host, family, rule.udp.portrange, options)
    except OSError as failed:
        number = failed.errno or 0
        text = f"could not bind local address {Endpoint(host, 0, family)}: {words_of(number)}"
        ending = Ending(Side.US, Phase.CONNECT, Cause.ERROR, number, text)
        session.refuse(ending, ReplyCode.FAILURE)
        return None
    session.server.report_refused(refused)
    return sock


def _connect(session: Session, sock: socket.socket, announced: Endpoint) -> bool:
    """Accept no other address; False if that is impossible: then the client is refused."""
    host = announced.host
    if announced.family is Family.IPV6 and session.sock is not None:
        host = on_link_of(host, session.sock)
    try:
        sock.connect(sockaddr_of(host, announced.port))
    except OSError as failed:
        number = failed.errno or 0
        ours = Endpoint.of(sock.getsockname())
        text = f"connect(2) to {announced} from {ours} failed: {words_of(number)}"
        sock.close()
        ending = Ending(Side.CLIENT, Phase.CONNECT, Cause.ERROR, number, text)
        session.refuse(ending, ReplyCode.HOST_UNREACHABLE)
        return False
    return True
