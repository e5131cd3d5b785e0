"""
Logs failures of the network as ``SIDE.log.LEVEL.error`` configures.

A session's failure is logged once, before its end.  The client's connection is on the internal
side, the target's on the external one.  The lines of the session's policy and of its rules decide;
a session without failures costs nothing here.  A failure that no line selects has severity debug,
and is logged only with ``debug``.
"""

from __future__ import annotations

from errno import ETIMEDOUT

from dantetw.addresses import literal
from dantetw.net.errors import symbol_of
from dantetw.net.lookups import ResolveError
from dantetw.observe.events import AcceptFailed, ConnectFailed, ResolveFailed, TrafficFailed
from dantetw.policy import Edge, Rule
from dantetw.session.view import SessionView
from dantetw.values import Cause, Ending, Endpoint, Operation, Severity, Side


def log_ending(session: SessionView, ending: Ending, named: Endpoint | None) -> None:
    """
    Log the failure that ends a session, if one of its connections has failed.

    :param named: the target's name, if a rule passes it by that.
    """
    record, operation = session.record, ending.operation
    if operation is None:
        return
    edge, endpoint = Edge.INTERNAL, record.client
    if ending.side is Side.TARGET:
        assert record.target is not None
        edge, endpoint = Edge.EXTERNAL, record.target
    # Our own time limit has no errno: it is logged as the system's.
    number = ETIMEDOUT if ending.cause is Cause.TIMEOUT else ending.errno
    # A failure of ``connect(2)`` itself has a text of Dante's, which is about the address.
    asked = None if ending.text else named
    log_failure(session, edge, operation, endpoint, number, asked=asked)


def log_failure(
    session: SessionView,
    edge: Edge,
    operation: Operation,
    endpoint: Endpoint,
    number: int,
    more: tuple[Rule, ...] = (),
    asked: Endpoint | None = None,
) -> None:
    """
    Log a failure on the way to ``endpoint``, or from it.

    :param number: the ``errno``.
    :param more: rules it comes under besides the session's.
    :param asked: the target's name, where Dante's line has that.
    """
    record, journal, symbol = session.record, session.server.journal, symbol_of(number)
    severity = _severity(session, edge, symbol, more)
    if not journal.wants(severity):
        return
    session_number, client, user = record.number, record.client, record.user
    if operation is Operation.CONNECT:
        journal.record(
            ConnectFailed(
                severity, edge, endpoint, symbol, number, session_number, asked, client, user
            )
        )
    else:
        journal.record(
            TrafficFailed(
                severity, edge, operation, endpoint, symbol, number, session_number, client, user
            )
        )


def log_unresolved(
    session: SessionView, error: ResolveError, asked: Endpoint | None = None
) -> None:
    """
    Log a name that did not resolve, of a target or in a rule, or an address without a name.

    :param asked: the target; None: the session's.
    """
    record = session.record
    asked = asked or record.asked
    theirs = () if asked is None else (asked.host, *(record.addresses or ()))
    if record.target is not None:
        theirs += (record.target.host,)  # of a BIND, the peer that has come
    # Names in rules are internal in Dante, whatever they are compared with.
    edge = Edge.EXTERNAL if error.name in theirs else Edge.INTERNAL
    severity, journal = _severity(session, edge, error.symbol), session.server.journal
    if journal.wants(severity):
        name, symbol, reason = error.name, error.symbol, error.reason
        reverse = literal(name) is not None
        number, client, user = record.number, record.client, record.user
        journal.record(
            ResolveFailed(severity, edge, name, symbol, reason, number, reverse, client, user)
        )


def log_unaccepted(session: SessionView, bound: Endpoint, number: int) -> None:
    """
    Log that the peer of a BIND could not be accepted.

    :param bound: our port; ``number``: the ``errno``.
    """
    record, journal, symbol = session.record, session.server.journal, symbol_of(number)
    edge = Edge.EXTERNAL
    severity = _severity(session, edge, symbol)
    if journal.wants(severity):
        session_number, client, user = record.number, record.client, record.user
        journal.record(
            AcceptFailed(severity, edge, bound, symbol, number, session_number, client, user)
        )


def _severity(
    session: SessionView, edge: Edge, symbol: str, more: tuple[Rule, ...] = ()
) -> Severity:
    record = session.record
    rules = (record.client_rule, *more)
    for rule in (record.socks_rule, record.reply_rule):
        if rule is not None:
            rules += (rule,)
    return session.context.filters.severity(edge, symbol, rules)
