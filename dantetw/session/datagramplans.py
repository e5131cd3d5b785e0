"""
Decisions about the datagrams of one association.

A decision may wait for name look-ups; other associations do not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from dantetw.addresses import literal_endpoint
from dantetw.net.lookups import ResolveError, with_family
from dantetw.net.resolving import too_many
from dantetw.plan.case import Case, Traces
from dantetw.plan.datagram import (
    DatagramPlan,
    blocked,
    plan_datagram,
    plan_reply,
    reply_question,
    resolve_target,
)
from dantetw.rules.addresses import Known, Lookup
from dantetw.rules.decision import Question
from dantetw.session import failures, tracing
from dantetw.session.session import Session
from dantetw.values import COMMAND_UDPREPLY, Endpoint

#: Undecided datagrams of one association that may wait for names.  Datagrams can come faster than
#: any name server answers.
WAITING: Final = 256


#: Receives the decision about a datagram, at once or later.
Planned = Callable[[DatagramPlan], None]


class DatagramPlans:
    """
    Decides about the datagrams of one session.

    :param case: the request for the association.
    """

    __slots__ = ("_case", "_session", "_waiting")

    def __init__(self, session: Session, case: Case) -> None:
        self._session = session
        self._case = case
        self._waiting: set[Deferred[Any]] = set()

    def outbound(
        self,
        client: Endpoint,
        target: Endpoint,
        planned: Planned,
        unresolved: Callable[[ResolveError], None],
    ) -> None:
        """
        Decide about a datagram from the client.

        :param client: where it came from.
        :param target: as its header names it.
        :param unresolved: called instead if the target's name has no address.
        """
        case, session = self._case, self._session
        asked = literal_endpoint(target)
        needed = resolve_target(case, asked)
        if needed is None:
            self._ask(case.datagram_question(client, asked, None), planned)
            return
        resolver = session.server.resolver

        def found(addresses: tuple[str, ...]) -> None:
            self._ask(case.datagram_question(client, asked, addresses), planned)

        def failed(failure: Failure) -> None:
            reason = failure.value
            if not isinstance(reason, ResolveError):
                failure.raiseException()
            reason = with_family(reason, case.around.sources.families())
            failures.log_unresolved(session, reason, asked)
            unresolved(reason)

        addresses = resolver.cached(needed.name, needed.families)
        if addresses is not None:
            found(addresses)
        elif len(self._waiting) >= WAITING:
            unresolved(too_many(needed.name))
        else:
            looking = resolver.resolve(needed.name, needed.families, case.client.host)
            self._wait(looking, found, failed)

    def reply(self, sender: Endpoint, client: Endpoint, planned: Planned) -> None:
        """Decide about an answer from a target."""
        self._ask(reply_question(self._case, sender, client), planned)

    def _ask(self, question: Question, planned: Planned) -> None:
        session, case = self._session, self._case
        known = session.server.known
        plan = self._plan(question, known)
        if not isinstance(plan, Lookup):
            planned(plan)
            return
        if len(self._waiting) >= WAITING:
            planned(blocked(case, question))
            return
        # Whose names are the target's: the far end's.
        far = question.source if question.command is COMMAND_UDPREPLY else question.target
        unresolved = partial(failures.log_unresolved, session, asked=far)
        asking = partial(self._plan, question)
        waiting = known.decide_waiting(asking, unresolved, case.client.host)
        self._wait(Deferred.fromCoroutine(waiting), planned)

    def _plan(self, question: Question, known: Known) -> DatagramPlan | Lookup:
        session = self._session
        ask = plan_reply if question.command is COMMAND_UDPREPLY else plan_datagram
        if not session.server.journal.debug:
            return ask(self._case, question, known)
        traces: Traces = []
        plan = ask(self._case, question, known, traces)
        tracing.fared(session, traces)
        return plan

    def _wait(
        self,
        deferred: Deferred[Any],
        then: Callable[[Any], None],
        otherwise: Callable[[Failure], None] | None = None,
    ) -> None:
        """Go on when a Deferred fires, unless the association has ended."""

        def arrived(result: Any) -> None:
            if deferred not in self._waiting:
                return
            self._waiting.discard(deferred)
            if not isinstance(result, Failure):
                then(result)
            elif otherwise is not None:
                otherwise(result)
            elif result.check(CancelledError) is None:
                result.raiseException()

        self._waiting.add(deferred)
        deferred.addBoth(arrived).addErrback(self._session.broken)

    def cancel(self) -> None:
        """Drop all pending decisions."""
        waiting, self._waiting = self._waiting, set()
        for deferred in waiting:
            deferred.cancel()
