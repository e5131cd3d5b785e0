"""
Debug lines of a session (``debug``): one for each step.

Callers check ``journal.debug`` first, so that a server that logs no debug lines pays for that check
only.  Passwords and other payload are never logged; ``log: data`` is for payload.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dantetw.net.errors import words_of
from dantetw.observe.events import Named, Step
from dantetw.observe.formats.reasons import REFUSALS, UNASKED, blocked_by
from dantetw.plan.case import Case, Traces
from dantetw.plan.outcome import Admission, Plan, Refusal
from dantetw.policy import SocketOption
from dantetw.rules.addresses import Known, Lookup
from dantetw.rules.authentication import AuthCheck, AuthState
from dantetw.rules.decision import Decision, Question, Tried, decide_client, decide_socks
from dantetw.rules.words import told
from dantetw.session.sensitive import sensitive_values
from dantetw.session.view import SessionView
from dantetw.values import Cause, Command, Ending, ReplyCode, Side, User

# RFC 1928, section 3.
_METHODS = {0: "none", 1: "gssapi", 2: "username"}
_FIRST = {Side.CLIENT: "the client closed first", Side.TARGET: "the target closed first"}


def step(session: SessionView, text: str, more: Named = ()) -> None:
    """Log one step; ``more``: further values that may occur in its text."""
    record = session.record
    named = sensitive_values(session.record) + more
    session.server.journal.record(Step(record.number, record.client, text, named))


def judged(
    session: SessionView,
    ask: Callable[[Known, list[Tried] | None, AuthState | None], Decision | Lookup | AuthCheck],
    auth: AuthState | None,
    known: Known,
    datagram: Question | None = None,
) -> Decision | Lookup | AuthCheck:
    """
    Ask the rules, and log how each fared; if one blocks, keep that in the session's record.

    :param ask: asks them; called again if only the decision shows that an output needs the trace.
    :param datagram: what is asked about one of its datagrams, or one of many peers; None: it is
        about the session.
    """
    journal = session.server.journal
    trace: list[Tried] = []
    decision = ask(known, trace if journal.debug else None, auth)
    if isinstance(decision, Decision):
        if datagram is None and decision.blocks and journal.explains:
            if not journal.debug:
                ask(known, trace, auth)
            session.record.tried = tuple(told(trace))
        if journal.debug:
            named = () if datagram is None else _named_in(datagram)
            for line in told(trace):
                step(session, line, named)
    return decision


def admitted(
    session: SessionView,
    found: object,
    known: Known,
    auth: AuthState | None,
    trace: list[Tried] | None,
) -> None:
    """
    Log how the client rules fared; of a refusal, keep it for the session's record if an output
    wants to know.

    :param found: what came of asking; unless it is an admission or a refusal, the rules are asked
        again.
    :param trace: how each fared; None: ``debug`` is off.
    """
    record = session.record
    if isinstance(found, Refusal) and session.server.journal.explains:
        why: list[Tried] = []
        decide_client(record.policy, record.client, record.local, known, why, auth)
        record.tried = tuple(told(why))
    if trace is not None and isinstance(found, Admission | Refusal):
        for line in told(trace):
            step(session, line)


def planned(
    session: SessionView, case: Case, plan: object, known: Known, traces: Traces | None
) -> None:
    """
    Log how the rules fared in a plan for a request; of a refusal, keep it for the session's record
    if an output wants to know.

    :param plan: what came of asking; unless it is a plan or a refusal, the rules are asked again.
    :param traces: those that were made; None: ``debug`` is off.
    """
    if isinstance(plan, Refusal) and plan.question is not None and session.server.journal.explains:
        trace: list[Tried] = []
        decide_socks(case.policy, plan.question, known, trace, case.auth)
        session.record.tried = tuple(told(trace))
    if traces is not None and isinstance(plan, Plan | Refusal):
        for _, trace in traces:
            for line in told(trace):
                step(session, line)


def fared(session: SessionView, traces: Traces) -> None:
    """Log how the rules fared for a datagram, or for one of several addresses."""
    for question, trace in traces:
        named = _named_in(question)
        for line in told(trace):
            step(session, line, named)


def _named_in(datagram: Question) -> Named:
    ends = ("client", "target")
    if datagram.command in (Command.UDPREPLY, Command.BINDREPLY):
        ends = ("target", "client")
    found = tuple(
        (field, endpoint.host)
        for field, endpoint in zip(ends, (datagram.source, datagram.target), strict=True)
        if endpoint is not None
    )
    return found + tuple(("target", address) for address in datagram.addresses or ())


def offered(session: SessionView, codes: bytes) -> None:
    """The client has listed the methods it supports; in SOCKS 4 it lists none."""
    if codes:
        names = ", ".join(f"0x{code:02x} ({_METHODS.get(code, 'unknown')})" for code in codes)
        step(session, f"offers authentication methods: {names}")


def logged_in(session: SessionView, user: User) -> None:
    """The client has authenticated."""
    step(session, f'method {user.method.word}: logged in as "{user.name}"')


def requested(session: SessionView, extra: int) -> None:
    """The request is complete; ``extra`` bytes came behind it."""
    request = session.record.request
    assert request is not None
    step(
        session,
        f"asks by {request.proxy_protocol.word} to {request.command.word} to {request.target},"
        f" method {request.method.word}; {extra} bytes came behind it",
    )


def resolved(session: SessionView, name: str, addresses: Sequence[str]) -> None:
    """The target's name has addresses, from the cache or from a look-up."""
    seconds = session.server.monotonic() - session.record.requested_at
    step(session, f'"{name}" resolved to {", ".join(addresses)} in {seconds:.6f}s')


def options(session: SessionView, set_: Sequence[SocketOption]) -> None:
    """Socket options were set, unless a warning says otherwise (``debug: 2``)."""
    for option in set_:
        step(session, f"socket option {option.text}: {option.value}")


def connected(session: SessionView) -> None:
    """The connection is established, by either side."""
    record = session.record
    seconds = record.connected_at - record.requested_at
    way = f"to {record.target} from {record.source}"
    if record.reply_rule is not None:
        way = f"by {record.target} to {record.source}"
    step(session, f"connected {way} after {seconds:.6f}s")


def moved(session: SessionView, origin: Side, count: int) -> None:
    """A chunk, or an end of file, was read (``debug: 2``)."""
    other = Side.TARGET if origin is Side.CLIENT else Side.CLIENT
    text = f"{count} bytes" if count else "end of file"
    step(session, f"{text} from {origin.word} for {other.word}")


def replied(session: SessionView, code: ReplyCode) -> None:
    """The request was answered."""
    step(session, f"replies {int(code)} ({code.name.lower().replace('_', ' ')})")


def ended(session: SessionView, ending: Ending) -> None:
    """The session has ended."""
    record = session.record
    how = f"{ending.side.word}, {ending.phase.word}, {ending.cause.word}"
    if ending.cause is Cause.CLOSED and ending.side in _FIRST:
        how = f"{how} ({_FIRST[ending.side]})"
    if ending.errno:
        how = f"{how} ({words_of(ending.errno)})"
    text = ending.text
    if ending.cause is Cause.BLOCKED and not text:
        text = blocked_by(record.reply_rule or record.socks_rule or record.client_rule)
    if text:
        how = f"{how}: {text}"
    if record.request is not None and record.socks_rule is None and ending.cause in REFUSALS:
        how = f"{how}; {UNASKED}"
    seconds = session.server.monotonic() - record.accepted_at
    others = len(session.server.sessions)
    step(session, f"ends after {seconds:.6f}s: {how}; {others} other sessions")
