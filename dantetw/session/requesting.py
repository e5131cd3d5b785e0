"""
A session's request, from its last byte to the command that performs it.

The target's name is resolved, what nobody can serve is refused, the socks rules are asked, and the
command is called.  Each step goes on to the next, at once where nothing must be waited for: in a
short session a coroutine, which would read more like a story, costs one part in twenty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from twisted.python.failure import Failure

from dantetw.escaping import escape
from dantetw.net.errors import UNRESOLVED_REPLY
from dantetw.net.lookups import ResolveError
from dantetw.net.sources import no_address_text
from dantetw.policy import RuleKind
from dantetw.rules.decision import Decision, Question, block_rule, decide_socks
from dantetw.session import tracing
from dantetw.session.announcing import is_complete, numeric, unreceivable_text
from dantetw.session.failures import log_unresolved, with_families
from dantetw.session.login import refuse_late
from dantetw.session.outgoing import anywhere, bind
from dantetw.session.session import Session
from dantetw.values import (
    CLIENT_METHODS,
    EXTENSION,
    FAMILIES,
    PROTOCOL_OF,
    UNSPECIFIED,
    Cause,
    Command,
    Ending,
    Endpoint,
    Family,
    Method,
    Phase,
    ReplyCode,
    Side,
    Verdict,
)
from dantetw.wire.dialects import Request

# Looked up once: in Python 3.11 finding a member of an Enum takes 0.2 us, and each session does.
_BIND: Final = Command.BIND
_CONNECT: Final = Command.CONNECT
_ASSOCIATE: Final = Command.UDPASSOCIATE
_NAME: Final = Family.NAME
_NONE: Final = Method.NONE
_AUTHORISE: Final = Phase.AUTHORISE
_BLOCK: Final = Verdict.BLOCK
_UNUSABLE_FAMILY: Final = ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED
_OWN_ADDRESS: Final = (
    "client is requesting a connection to the same address we listen to new clients on: {}."
    "  Very suspicious.   For security reasons that is not allowed, as otherwise one client could"
    " trivially use up all our resources by going into a loop sending a stream of requests that all"
    " asked us to connect to ourselves"
)


def perform(session: Session, request: Request, asked: Endpoint) -> None:
    """
    See to a request.

    :param asked: its target, with an address in place of a name that is one in disguise.
    """
    if asked.family is not _NAME:
        _resolved(session, request, asked, None)
    else:
        server = session.server
        # Without any the refusal says so, not that the name has no address.
        families = session.context.sources.families() or FAMILIES
        if request.command is _ASSOCIATE:
            families = FAMILIES  # it is not where we go
        elif request.command is _BIND:
            families &= request.dialect.families  # it could not be told of a port on another
        found = server.resolver.cached(asked.host, families)
        if found is not None:
            _resolved(session, request, asked, found)
            return
        session.when(
            server.resolver.resolve(asked.host, families, session.record.client.host),
            lambda found: _looked_up(session, request, asked, found),
            lambda failure: _unresolved(session, failure),
        )


def _looked_up(
    session: Session, request: Request, asked: Endpoint, addresses: tuple[str, ...]
) -> None:
    session.record.resolved_at = session.server.monotonic()
    _resolved(session, request, asked, addresses)


def _unresolved(session: Session, failure: Failure) -> None:
    record = session.record
    failed = failure.value
    if not isinstance(failed, ResolveError):
        failure.raiseException()
    # What an association names is on the client's side.
    associates = record.request is not None and record.request.command is _ASSOCIATE
    if not associates:
        failed = with_families(session, failed)
    log_unresolved(session, failed, record.client if associates else None)
    refuse_name(session, Cause.UNRESOLVED, failed.name, failed.reason)


def refuse_name(session: Session, cause: Cause, name: str, reason: str) -> None:
    """Refuse a request whose target has no address, or none in time."""
    text = f'could not resolve hostname "{escape(name)}": {reason}'
    ending = Ending(Side.TARGET, session.record.phase, cause, text=text)
    session.refuse(ending, UNRESOLVED_REPLY)


def _resolved(
    session: Session, request: Request, asked: Endpoint, addresses: tuple[str, ...] | None
) -> None:
    session.record.addresses = addresses
    if addresses is not None and session.server.journal.debug:
        tracing.resolved(session, asked.host, addresses)
    if request.command is _ASSOCIATE:
        if text := unreceivable_text(session, asked):
            refuse_unusable(session, _UNUSABLE_FAMILY, text)
        else:
            _authorise(session, request, asked)
        return
    target = _numeric(session, asked)
    if request.command is Command.BIND and asked.host == EXTENSION:
        target = anywhere(session, request)
    if addresses is not None and len(addresses) > 1 and request.command is _CONNECT:
        target = _first_usable(session, target, addresses)
    if (wrong := unusable(session, target, request.command is _CONNECT)) is not None:
        refuse_unusable(session, *wrong)
        return
    if request.command is not _BIND:
        _authorise(session, request, asked)
    elif (bound := bind(session, asked, target)) is not None:
        _authorise(session, request, bound)


def _numeric(session: Session, target: Endpoint) -> Endpoint:
    """The address to go to: the first of a name's."""
    record = session.record
    if target.family is not _NAME or not record.addresses:
        return target
    return Endpoint.of((record.addresses[0], target.port))


def _first_usable(session: Session, target: Endpoint, addresses: tuple[str, ...]) -> Endpoint:
    """The first of a name's addresses that can be connected to; the very first if none can."""
    for address in addresses:
        candidate = Endpoint.of((address, target.port))
        if unusable(session, candidate) is None:
            return candidate
    return target


def unusable_text(target: Endpoint) -> str:
    """Why nobody can send anything to a numeric target, in Dante's words; empty: somebody may."""
    if target.host in UNSPECIFIED:
        return f"unbound ipaddress ({target}) in request"
    return "" if target.port else f"unbound port ({target}) in request"


def unusable(
    session: Session, target: Endpoint, connects: bool = True
) -> tuple[ReplyCode, str] | None:
    """
    Why nobody can connect to a numeric target, in Dante's words, and the reply for that.

    :param connects: it is not just the peer of a BIND.
    :returns: None: there is nothing in the way, or it is a missing interface, which is reported
        when a source address is chosen.
    """
    if not (session.context.sources.addresses(target.family) or session.context.sources.missing()):
        return _UNUSABLE_FAMILY, no_address_text(target.family)
    if connects and (text := unusable_text(target)):
        return _UNUSABLE_FAMILY, text
    if connects and session.server.is_ours(target):
        return ReplyCode.NOT_ALLOWED, _OWN_ADDRESS.format(target)
    return None


def refuse_unusable(session: Session, code: ReplyCode, text: str) -> None:
    """Refuse a request for what :func:`unusable` has found."""
    session.refuse(Ending(Side.CLIENT, Phase.RESOLVE, Cause.UNUSABLE, text=text), code)


def _authorise(session: Session, request: Request, asked: Endpoint) -> None:
    """Ask the socks rules about ``asked``, or what was bound for it."""
    record = session.record
    record.phase = _AUTHORISE
    if shuns_login(session, request):
        block = block_rule(RuleKind.SOCKS, record.policy.default_log)
        _authorised(session, request, asked, Decision(block, asked))
        return
    question = question_of(session, request, asked)
    known = None if session.server.journal.debug else session.context.decisions.of_request(question)
    if known is not None:
        _authorised(session, request, asked, Decision(known, asked))
    elif request.command is _ASSOCIATE and is_complete(asked):
        _ask(session, question, partial(_authorised_client, session, request, asked, question))
    else:
        _ask(session, question, partial(_authorised, session, request, asked))


def _ask(session: Session, question: Question, decided: Callable[[Decision], None]) -> None:
    """Ask the socks rules; the decision comes now or later."""
    server, authentication = session.server, session.authentication
    state = None if authentication is None else authentication.state()
    decide = partial(
        tracing.judged, session, partial(decide_socks, session.record.policy, question), state
    )
    decision = decide(server.known)
    if isinstance(decision, Decision):
        session.context.decisions.remember_request(question, decision)
        decided(decision)
    else:
        session.when(session.decide_waiting(decide), decided)


def _authorised_client(
    session: Session, request: Request, asked: Endpoint, question: Question, decision: Decision
) -> None:
    """The client itself may have an association or not: now for the address that it announces."""
    if not decision.blocks and decision.rule.udp.from_connected:
        _authorised(session, request, asked, decision)
        return

    def decided(announced: Decision) -> None:
        why = ""
        if announced.blocks and not decision.blocks:
            why = f"announced address {escape(asked.host)}.{asked.port}"
        _authorised(session, request, asked, announced if announced.blocks else decision, why)

    _ask(session, replace(question, source=numeric(session, asked)), decided)


def shuns_login(session: Session, request: Request) -> bool:
    """
    Whether a request is blocked before any socks rule: SOCKS 4 has no negotiation of methods, and
    must not be a way around it.
    """
    methods = session.record.client_rule.socks_methods
    return request.method not in methods and CLIENT_METHODS.isdisjoint(methods)


def question_of(session: Session, request: Request, asked: Endpoint) -> Question:
    """What the socks rules are asked about a request."""
    record = session.record
    identity, user = record.identity, record.user
    return Question(
        source=record.client,
        target=asked if request.command is not _ASSOCIATE else None,
        command=request.command,
        protocol=PROTOCOL_OF[request.command],
        proxy_protocol=request.proxy_protocol,
        client_method=_NONE if identity is None else identity.method,
        method=request.method,
        user=user,
        groups=session.context.groups.of(user.name) if user is not None else None,
        addresses=record.addresses if asked.family is _NAME else None,
    )


def _authorised(
    session: Session, request: Request, asked: Endpoint, decision: Decision, why: str = ""
) -> None:
    record = session.record
    record.socks_rule = decision.rule
    if session.awaited is not None:
        record.target = record.asked  # the peer of a BIND is not there yet
    elif request.command is not _ASSOCIATE:
        record.target = decision.target
    if session.authentication is not None:
        session.authentication.forget()
        if decision.shown is not None:
            record.user, record.method = decision.shown.user, decision.shown.method
        if decision.refusal:
            refuse_late(session, decision.refusal)
            return
    if decision.rule.verdict is _BLOCK:
        blocked = Ending(Side.RULE, _AUTHORISE, Cause.BLOCKED, text=why)
        session.refuse(blocked, ReplyCode.NOT_ALLOWED)
        return
    target = asked
    if request.command is not _ASSOCIATE:
        target = _numeric(session, decision.target)
        connects = request.command is _CONNECT
        # The rule may have chosen another of the name's addresses; of several each is looked at.
        if decision.target is not asked and not (connects and len(record.addresses or ()) > 1):
            wrong = unusable(session, target, connects)
            if wrong is not None:
                refuse_unusable(session, *wrong)
                return
    command = session.server.commands.get(request.command)
    if command is None:
        text = f"command {request.command.word} is not supported yet"
        ending = Ending(Side.US, _AUTHORISE, Cause.UNSUPPORTED, text=text)
        session.refuse(ending, ReplyCode.COMMAND_NOT_SUPPORTED)
        return
    command(session, decision.rule, target)
