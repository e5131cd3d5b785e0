"""
Failures of the network: told to whoever asked for it by ``SIDE.log.LEVEL.error``.

A session's failure is told once, before its end.  The client's connection is on the internal side,
the target's on the external one.  What counts is what the lines of the session's policy and of its
rules say; nothing here is done for a session that does not fail.  A failure that nobody has asked
for is of severity debug, and told only with ``debug``.
"""

from __future__ import annotations

from errno import ETIMEDOUT
from typing import Final

from dantetw.addresses import literal
from dantetw.net.errors import symbol_of
from dantetw.net.lookups import ResolveError
from dantetw.observe.events import AcceptFailed, ConnectFailed, ResolveFailed, TrafficFailed
from dantetw.policy import Edge, Rule
from dantetw.session.view import SessionView
from dantetw.values import FAMILY_NAMES, Cause, Ending, Endpoint, Operation, Severity, Side

# What may be so for one family and not for the other.
_FAMILY_MATTERS: Final = frozenset(("EAI_FAMILY", "EAI_FAIL", "EAI_NONAME"))


def tell(session: SessionView, ending: Ending, named: Endpoint | None) -> None:
    """
    Tell of the failure that ends a session, if its connections have failed.

    :param named: the target's name, if a rule passes it by that.
    """
    record = session.record
    operation = ending.operation
    if operation is None:
        return
    edge, endpoint = Edge.INTERNAL, record.client
    if ending.side is Side.TARGET:
        assert record.target is not None
        edge, endpoint = Edge.EXTERNAL, record.target
    # Our own time limit has no errno: it is told as the system's.
    number = ETIMEDOUT if ending.cause is Cause.TIMEOUT else ending.errno
    # What ``connect`` itself has said, Dante reports of the address, and has words for.
    asked = None if ending.text else named
    failed(session, edge, operation, endpoint, number, asked=asked)


def failed(
    session: SessionView,
    edge: Edge,
    operation: Operation,
    endpoint: Endpoint,
    number: int,
    more: tuple[Rule, ...] = (),
    asked: Endpoint | None = None,
) -> None:
    """
    Tell of a failure on the way to ``endpoint``, or from it.

    :param number: the ``errno``.
    :param more: rules it comes under besides the session's.
    :param asked: the target's name, where Dante's line has that.
    """
    symbol, journal = symbol_of(number), session.server.journal
    severity = _severity(session, edge, symbol, more)
    if not journal.wants(severity):
        return
    record, client, user = journal.record, session.record.client, session.record.user
    if operation is Operation.CONNECT:
        record(
            ConnectFailed(
                severity, edge, endpoint, symbol, number, session.record.number, asked, client, user
            )
        )
    else:
        record(
            TrafficFailed(
                severity,
                edge,
                operation,
                endpoint,
                symbol,
                number,
                session.record.number,
                client,
                user,
            )
        )


def unresolved(session: SessionView, failed: ResolveError, asked: Endpoint | None = None) -> None:
    """
    Tell of a name that did not resolve: of a target, or in a rule; or of an address of either end
    whose name nobody could tell.

    :param asked: the target; None: the session's.
    """
    record = session.record
    asked = asked or record.asked
    theirs = () if asked is None else (asked.host, *(record.addresses or ()))
    if record.target is not None:
        theirs += (record.target.host,)  # of a BIND, who has come
    # Names in rules are internal in Dante, whatever they are compared with.
    edge = Edge.EXTERNAL if failed.name in theirs else Edge.INTERNAL
    severity, journal = _severity(session, edge, failed.symbol), session.server.journal
    if journal.wants(severity):
        name, symbol, reason = failed.name, failed.symbol, failed.reason
        reverse = literal(name) is not None
        client, user = record.client, record.user
        journal.record(
            ResolveFailed(
                severity, edge, name, symbol, reason, record.number, reverse, client, user
            )
        )


def limited(session: SessionView, failed: ResolveError) -> ResolveError:
    """
    A failed look-up in the families that we go out by, with them in its reason, as Dante has it.
    """
    families = session.context.sources.families()
    if len(families) != 1 or failed.symbol not in _FAMILY_MATTERS:
        return failed
    (family,) = families
    reason = f"{failed.reason} for {FAMILY_NAMES[family]} address"
    return ResolveError(failed.symbol, reason, failed.name)


def unaccepted(session: SessionView, bound: Endpoint, number: int) -> None:
    """Tell of a BIND's peer that could not be accepted."""
    record = session.record
    symbol, journal = symbol_of(number), session.server.journal
    severity = _severity(session, Edge.EXTERNAL, symbol)
    if journal.wants(severity):
        client, user = record.client, record.user
        journal.record(
            AcceptFailed(
                severity, Edge.EXTERNAL, bound, symbol, number, record.number, client, user
            )
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
