"""
The results of connecting to the several addresses of a target, and their logging.

A failure is logged as Dante does, which tries one address after another: if another attempt
follows, under the address; the one that ends the session, under the target's name.
"""

from __future__ import annotations

from dantetw.net.dial import DialError, IAttempt
from dantetw.net.sources import NoSource
from dantetw.observe.events import Attempt
from dantetw.plan.address import Candidate
from dantetw.policy import Edge, Rule
from dantetw.session import failures
from dantetw.session.session import Session
from dantetw.values import Endpoint, Operation, Outcome

#: Why an attempt did not connect.
Reason = DialError | NoSource


class Trial:
    """
    One of the addresses.

    :ivar began: monotonic seconds.
    :ivar candidate: the rules' decision about it; None: not made yet.
    :ivar attempt: the connection attempt, while it runs; ``source``: the address it is made from.
    """

    __slots__ = ("attempt", "began", "candidate", "source", "target")

    def __init__(self, target: Endpoint, began: float) -> None:
        self.target = target
        self.began = began
        self.candidate: Candidate | None = None
        self.attempt: IAttempt | None = None
        self.source: Endpoint | None = None

    @property
    def rule(self) -> Rule | None:
        """The rule that passes or blocks it; None: none has."""
        return None if self.candidate is None else self.candidate.rule


class AttemptLog:
    """
    Records how trials end.

    :ivar started: monotonic seconds from which the times of attempts count.
    """

    __slots__ = ("_attempts", "_failure", "_session", "started")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._attempts: list[Attempt] = []
        self._failure: tuple[Trial, Reason] | None = None
        self.started = session.server.monotonic()

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The results, in the order in which the trials ended."""
        return tuple(self._attempts)

    def end(self, trial: Trial, outcome: Outcome, number: int = 0) -> None:
        """
        A trial has ended.

        :param number: the ``errno``, if it has failed.
        """
        began, now = trial.began, self._session.server.monotonic()
        self._attempts.append(
            Attempt(
                trial.target,
                trial.source,
                trial.rule,
                outcome,
                began - self.started,
                now - began,
                number,
            )
        )

    def fail(self, trial: Trial, reason: Reason) -> None:
        """A trial has failed: log that when it turns out not to be the last."""
        if isinstance(reason, DialError):
            trial.source = reason.source
            self.end(trial, Outcome.FAILED, reason.number)
        else:
            self.end(trial, Outcome.UNUSABLE)
        self.go_on()
        self._failure = trial, reason

    def go_on(self) -> None:
        """The last failure does not end the session: log it, unless it is logged."""
        failure = self.take_failure()
        if failure is None:
            return
        trial, reason = failure
        if isinstance(reason, DialError) and trial.rule is not None:
            operation, more = Operation.CONNECT, (trial.rule,)
            failures.log_failure(
                self._session, Edge.EXTERNAL, operation, trial.target, reason.number, more
            )

    def take_failure(self) -> tuple[Trial, Reason] | None:
        """The last failure, if it is not logged; the caller does that."""
        failure, self._failure = self._failure, None
        return failure
