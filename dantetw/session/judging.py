"""
What the socks rules say of datagrams, on behalf of an association (reference: ``sockd.conf(5)``,
``udpassociate`` and ``udpreply``).

Names are looked up on the way, so an answer may take a while; nobody else waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from dantetw.addresses import literal_endpoint
from dantetw.net.lookups import ResolveError
from dantetw.net.resolving import too_many
from dantetw.policy import RuleKind
from dantetw.rules.addresses import Lookup
from dantetw.rules.authentication import AuthCheck
from dantetw.rules.decision import Decision, Question, block_rule, decide_socks
from dantetw.session import failures, tracing
from dantetw.session.requesting import question_of
from dantetw.session.session import Session
from dantetw.values import FAMILIES, Command, Endpoint, Family, Protocol

#: Questions of one association that may wait for names.  Each datagram can ask another one, faster
#: than any name server answers.
WAITING: Final = 256

#: Gets a decision and the numeric address that it is about, at once or later.
Decided = Callable[[Decision, Endpoint], None]


class Judge:
    """Asks the rules about the datagrams of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waiting: set[Deferred[Any]] = set()

    def target(
        self,
        client: Endpoint,
        target: Endpoint,
        decided: Decided,
        unresolved: Callable[[ResolveError], None],
    ) -> None:
        """
        May a datagram go there?

        :param client: where it came from.
        :param target: as its header has it.
        :param unresolved: called instead if the target's name has no address.
        """
        asked = literal_endpoint(target)
        if asked.family is not Family.NAME:
            self._judge(client, asked, None, decided)
            return
        session = self._session
        resolver, families = session.server.resolver, session.context.sources.families() or FAMILIES
        found = resolver.cached(asked.host, families)
        if found is not None:
            self._judge(client, asked, found, decided)
            return

        def failed(failure: Failure) -> None:
            reason = failure.value
            if not isinstance(reason, ResolveError):
                failure.raiseException()
            reason = failures.with_families(session, reason)
            failures.log_unresolved(session, reason, asked)
            unresolved(reason)

        if len(self._waiting) >= WAITING:
            unresolved(too_many(asked.host))
            return
        self._wait(
            resolver.resolve(asked.host, families, session.record.client.host),
            lambda found: self._judge(client, asked, found, decided),
            failed,
        )

    def _judge(
        self,
        client: Endpoint,
        asked: Endpoint,
        addresses: tuple[str, ...] | None,
        decided: Decided,
    ) -> None:
        session = self._session
        record = session.record
        assert record.request is not None

        def found(decision: Decision) -> None:
            target = decision.target
            if target.family is Family.NAME and addresses:
                target = Endpoint.of((addresses[0], target.port))
            decided(decision, target)

        question = question_of(session, record.request, asked)
        self._ask(replace(question, source=client, target=asked, addresses=addresses), found)

    def sender(self, sender: Endpoint, client: Endpoint, decided: Decided) -> None:
        """May what a target answers go to the client?"""
        session = self._session
        record = session.record
        assert record.request is not None
        question = Question(
            source=sender,
            target=client,
            command=Command.UDPREPLY,
            protocol=Protocol.UDP,
            proxy_protocol=record.request.proxy_protocol,
        )
        self._ask(question, lambda decision: decided(decision, sender))

    def _ask(self, question: Question, found: Callable[[Decision], None]) -> None:
        session = self._session
        record = session.record
        server, authentication = session.server, session.authentication
        state = None if authentication is None else authentication.state()

        def known(decision: Decision | AuthCheck) -> None:
            if isinstance(decision, AuthCheck):
                # The password is gone by now, and nobody is asked anew for each datagram.
                decision = blocked()
            found(decision)

        def blocked() -> Decision:
            nobody = block_rule(RuleKind.SOCKS, record.policy.default_log)
            return Decision(nobody, question.target or question.source)

        ask = partial(decide_socks, record.policy, question)
        decide = partial(tracing.judged, session, ask, state, datagram=question)
        decision = decide(server.known)
        if not isinstance(decision, Lookup):
            known(decision)
            return
        if len(self._waiting) >= WAITING:
            found(blocked())
            return
        # Whose names are the target's: the far end's.
        far = question.source if question.command is Command.UDPREPLY else question.target
        unresolved = partial(failures.log_unresolved, session, asked=far)
        waiting = server.known.decide_waiting(decide, unresolved, record.client.host)
        self._wait(Deferred.fromCoroutine(waiting), known)

    def _wait(
        self,
        deferred: Deferred[Any],
        then: Callable[[Any], None],
        otherwise: Callable[[Failure], None] | None = None,
    ) -> None:
        """Go on when a Deferred fires, unless that is no longer wanted."""

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
        """Nothing is wanted any more."""
        waiting, self._waiting = self._waiting, set()
        for deferred in waiting:
            deferred.cancel()
