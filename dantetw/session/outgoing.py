"""
Our end of a session's way out: the address we go out from, or wait on.
"""

from __future__ import annotations

from dantetw.net.errors import reply_of, words_of
from dantetw.net.sockopts import LowBinder
from dantetw.net.sources import NoSource
from dantetw.policy import RuleKind
from dantetw.rules.decision import block_rule
from dantetw.session.sensitive import sensitive_values
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
    Severity,
    Side,
)
from dantetw.wire.dialects import Request


def low_binder(session: Session) -> LowBinder | None:
    """What binds ports below 1024 for a session, if anything may (``compatibility: sameport``)."""
    return session.server.bind_low if session.record.policy.compatibility.same_port else None


def source_for(session: Session, target: Endpoint, failing: str) -> str:
    """
    The address to go to ``target`` from; empty if there is none and the request was refused.

    :param target: numeric.
    :param failing: what fails without an address, in Dante's words.
    """
    record = session.record
    try:
        return session.context.sources.choose(target, record.client, record.local)
    except NoSource as none:
        warn_misrouted(session, target, none)
        refuse_sourceless(session, none, failing)
        return ""


def warn_misrouted(session: Session, target: Endpoint, none: NoSource) -> None:
    """Log a warning if there is no address to go out from because of the configuration."""
    if none.misrouted:
        text = f"getoutaddr(): {none.text}"
        named = (*sensitive_values(session.record), ("target", target.host))
        session.server.journal.message(Severity.WARNING, "external.misrouted", text, named=named)


def refuse_sourceless(session: Session, none: NoSource, failing: str) -> None:
    """
    Refuse a request for which there is no address to go out from.

    :param failing: what fails without, in Dante's words.
    """
    text = f"{failing} on external side: {none.text}"
    session.refuse(Ending(Side.US, Phase.CONNECT, Cause.UNUSABLE, text=text), none.reply)


def anywhere(session: Session, request: Request) -> Endpoint:
    """Where the peers of a port that takes many come from: of a family that we have outside."""
    families = request.dialect.families
    if Family.IPV6 in families and not session.context.sources.addresses(Family.IPV4):
        return Endpoint("::", 0, Family.IPV6)
    return NOWHERE


def bind(session: Session, asked: Endpoint, target: Endpoint) -> Endpoint | None:
    """
    Bind what a BIND asks for; None if the request was refused.

    :param asked: what the client named.  It asks for a port if it expects nobody in particular; by
        the extension it asks for the one that it has itself.
    :param target: the same as an address, whose family is that of the port.
    :returns: what was bound, which is what the socks rules are asked about.
    """
    record = session.record
    server = session.server
    extended = asked.host == EXTENSION
    if extended and not record.policy.compatibility.bind_extension:
        # Dante too says it in the name of the built-in rule.
        record.socks_rule = block_rule(RuleKind.SOCKS, record.policy.default_log)
        text = "client requested disabled Dante extension: bind"
        ending = Ending(Side.RULE, Phase.AUTHORISE, Cause.BLOCKED, text=text)
        session.refuse(ending, ReplyCode.NOT_ALLOWED)
        return None
    record.phase = Phase.CONNECT
    failing = "could not get address to use"
    source = source_for(session, target, failing)
    if not source:
        return None
    port = asked.port if asked.host in UNSPECIFIED else 0
    if extended:
        port = record.client.port
    options = record.policy.socket_options
    try:
        session.awaited = server.wait_on(
            Endpoint(source, port, target.family), options, server.keep_alive, low_binder(session)
        )
    except OSError as failed:
        number = failed.errno or 0
        text = f"{failing} on external side: {words_of(number)}"
        ending = Ending(Side.US, Phase.CONNECT, Cause.ERROR, number, text)
        session.refuse(ending, reply_of(number))
        return None
    return session.awaited.bound
