"""
A session's request, from its last byte to the command that performs it.

:mod:`dantetw.plan` decides; this module carries the decision out: it looks names up, waits for what
rules need, binds ports, sends refusals, and starts the command of a plan.  Each step calls the next
one directly: a coroutine would be easier to read, but costs 5 % of a short session.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.python.failure import Failure

from dantetw.net.errors import reply_of, words_of
from dantetw.net.lookups import ResolveError, with_family
from dantetw.plan.case import Case, Traces
from dantetw.plan.outcome import (
    NO_SOURCE_TO_BIND,
    BindPort,
    Plan,
    Refusal,
    Resolve,
    unbound,
    unresolved,
)
from dantetw.plan.request import authorise, plan_request
from dantetw.rules.addresses import Known, Lookup
from dantetw.rules.authentication import AuthCheck, Identity
from dantetw.rules.cache import DecisionCache
from dantetw.session import tracing
from dantetw.session.authentication import Authentication
from dantetw.session.failures import log_unresolved
from dantetw.session.login import refuse_late
from dantetw.session.session import Session
from dantetw.session.source import low_binder, source_for
from dantetw.values import (
    COMMAND_UDPASSOCIATE,
    METHOD_NONE,
    PHASE_AUTHORISE,
    Cause,
    Ending,
    Endpoint,
    Phase,
    ReplyCode,
    Side,
)
from dantetw.wire.dialects import Request

#: What comes of asking, and how it is asked: :func:`plan_request`, or :func:`authorise`.
_Found = Plan | Refusal | Resolve | BindPort | Lookup | AuthCheck
_Ask = Callable[[Case, Known, DecisionCache | None, Traces | None], _Found]


def perform(session: Session, request: Request, asked: Endpoint) -> None:
    """
    Perform a request.

    :param asked: its target, with an address in place of a name that spells one.
    """
    record, context, authentication = session.record, session.context, session.authentication
    identity = record.identity
    case = Case(
        context.premises,
        record.client,
        record.local,
        record.client_rule,
        request,
        asked,
        METHOD_NONE if identity is None else identity.method,
        record.user,
        None if authentication is None else authentication.state(),
    )
    _act(session, case, _ask(session, case, plan_request, session.server.known))


def _ask(session: Session, case: Case, ask: _Ask, known: Known) -> _Found:
    """Plan with what is known now, and keep or report how the rules fared if that is wanted."""
    if session.server.journal.debug:
        traces: Traces = []
        found = ask(case, known, None, traces)
        tracing.planned(session, case, found, known, traces)
        return found
    found = ask(case, known, session.context.decisions, None)
    if type(found) is Refusal:
        tracing.planned(session, case, found, known, None)
    return found


def _act(session: Session, case: Case, found: _Found) -> None:
    """Carry a plan out, refuse the request, or find out what is needed."""
    if isinstance(found, Plan):
        _carry_out(session, case, found)
    elif isinstance(found, Refusal):
        _refuse(session, case, found)
    elif isinstance(found, Resolve):
        _resolve(session, case, found)
    elif isinstance(found, BindPort):
        _bind(session, case, found)
    else:
        session.record.enter(PHASE_AUTHORISE)
        waiting = session.decide_waiting(partial(_ask, session, case, authorise))
        session.when(waiting, partial(_act, session, case))


# What is needed.


def _resolve(session: Session, case: Case, needed: Resolve) -> None:
    server = session.server
    found = server.resolver.cached(needed.name, needed.families)
    if found is not None:
        _resolved(session, case, found)
        return
    session.when(
        server.resolver.resolve(needed.name, needed.families, session.record.client.host),
        partial(_looked_up, session, case),
        partial(_unresolved, session, case),
    )


def _looked_up(session: Session, case: Case, addresses: tuple[str, ...]) -> None:
    session.record.resolve(session.server.monotonic())
    _resolved(session, case, addresses)


def _resolved(session: Session, case: Case, addresses: tuple[str, ...]) -> None:
    case.addresses = session.record.addresses = addresses
    if session.server.journal.debug:
        tracing.resolved(session, case.asked.host, addresses)
    _act(session, case, _ask(session, case, plan_request, session.server.known))


def _unresolved(session: Session, case: Case, failure: Failure) -> None:
    failed = failure.value
    if not isinstance(failed, ResolveError):
        failure.raiseException()
    asked = None
    if case.request.command is COMMAND_UDPASSOCIATE:
        asked = case.client  # what an association names is on the client's side
    else:
        failed = with_family(failed, case.around.sources.families())
    log_unresolved(session, failed, asked)
    refuse_name(session, Cause.UNRESOLVED, failed.name, failed.reason)


def refuse_name(session: Session, cause: Cause, name: str, reason: str) -> None:
    """Refuse a request whose target has no address, or none in time."""
    refusal = unresolved(session.record.phase, cause, name, reason)
    session.refuse(refusal.ending, refusal.reply)


def _bind(session: Session, case: Case, needed: BindPort) -> None:
    record, server, target = session.record, session.server, needed.target
    record.enter(Phase.CONNECT)
    source = source_for(session, target, NO_SOURCE_TO_BIND)
    if not source:
        return
    wanted = Endpoint(source, needed.port, target.family)
    options = record.policy.socket_options
    try:
        awaited = server.wait_on(wanted, options, server.keep_alive, low_binder(session))
    except OSError as failed:
        number = failed.errno or 0
        refusal = unbound(number, words_of(number), reply_of(number))
        session.refuse(refusal.ending, refusal.reply)
        return
    session.awaited, case.bound = awaited, awaited.bound
    _act(session, case, _ask(session, case, plan_request, server.known))


# Results.


def _carry_out(session: Session, case: Case, plan: Plan) -> None:
    record = session.record
    record.enter(PHASE_AUTHORISE)
    record.socks_rule, record.target = plan.rule, plan.target
    if session.authentication is not None:
        _identify(session, session.authentication, case, plan.identity)
    command = session.server.commands.get(case.request.command)
    if command is not None:
        command(session, case, plan)
        return
    text = f"command {case.request.command.word} is not supported yet"
    ending = Ending(Side.US, PHASE_AUTHORISE, Cause.UNSUPPORTED, text=text)
    session.refuse(ending, ReplyCode.COMMAND_NOT_SUPPORTED)


def _refuse(session: Session, case: Case, refusal: Refusal) -> None:
    record = session.record
    record.socks_rule, record.target = refusal.rule, refusal.target
    if session.authentication is not None:
        _identify(session, session.authentication, case, refusal.identity)
    if refusal.delayed:
        refuse_late(session, refusal.ending.text)
    else:
        session.refuse(refusal.ending, refusal.reply)


def _identify(
    session: Session, authentication: Authentication, case: Case, identity: Identity | None
) -> None:
    """The rules have decided: keep the identity they matched, and drop the password."""
    record = session.record
    authentication.forget()
    if identity is not None:
        record.user = case.user = identity.user
        record.method = identity.method
