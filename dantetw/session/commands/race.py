"""
A connection to one of the several addresses of a target's name (:rfc:`8305`).

Each address is judged by the socks rules before it is tried, as if the name had no other: a rule
that passes one of them says nothing about the next.  An attempt comes under the rule that passes
its address, and so does the session once that attempt has won.  Source address, socket options and
time limit are chosen for each attempt.
"""

from __future__ import annotations

import errno
import socket
from functools import partial
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from dantetw.net.dial import DialError
from dantetw.net.poller import HANGUP
from dantetw.net.race import HEAD_START_SECONDS, Race
from dantetw.net.sources import NoSource
from dantetw.plan.address import Candidate, judge_address, order_of
from dantetw.plan.case import Case, Traces
from dantetw.plan.outcome import NO_SOURCE_TO_CONNECT, Plan
from dantetw.plan.usable import unusable
from dantetw.rules.addresses import Known, Lookup
from dantetw.session import failures, tracing
from dantetw.session.commands.attempts import AttemptLog, Reason, Trial
from dantetw.session.commands.connection import Connect
from dantetw.session.rulefacts import GatheredFacts
from dantetw.session.session import Session
from dantetw.session.source import refuse_sourceless, warn_misrouted
from dantetw.values import Cause, Ending, Endpoint, Outcome, Phase, ReplyCode, Side

#: Local shortages, which say nothing about the address that was tried.
_OURS: Final = frozenset(
    (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)
)


class ConnectRace(Connect):
    """
    Attempts at several addresses, the first of which to connect is relayed.

    :ivar others_left: the one that has connected was not the last of its family: Dante's line has
        the name then.
    """

    __slots__ = (
        "_case",
        "_descriptors",
        "_dialled",
        "_judging",
        "_known",
        "_log",
        "_order",
        "_plan",
        "_race",
        "_timer",
        "_trials",
        "attempts",
        "others_left",
    )

    def __init__(self, session: Session, case: Case, plan: Plan) -> None:
        super().__init__(session, plan)
        self._case, self._plan = case, plan
        self._order = order_of(plan, session.server.unreached.lately)
        self._race = Race(self._order)
        self._trials: dict[str, Trial] = {}
        self._log = AttemptLog(session)
        self._judging: Trial | None = None
        # Names in rules are looked up once for all addresses: each failure may take its time.
        self._known: GatheredFacts | None = None
        self._timer: IDelayedCall | None = None
        self._dialled = False
        self._descriptors = 0
        self.attempts = ()
        self.others_left = False

    def begin(self) -> None:
        """
        Begin the attempts that may begin now; refuse the request if none is left.

        Called after each event.
        """
        session, race = self._session, self._race
        monotonic, port = session.server.monotonic, self._plan.address.port
        self._cancel_timer()
        if session.hints & HANGUP and self._overdue():
            race.finish()
        room = session.server.descriptors
        while (
            self._judging is None
            # A session has been given the descriptors for one attempt.
            and (roomy := not race.running or room.has(1))
            and (host := race.begin(now := monotonic())) is not None
        ):
            trial = self._trials[host] = Trial(Endpoint.of((host, port)), now)
            self._judge(trial)
        self._hold(len(race.running) - 1)
        if self._judging is not None:
            return
        if race.lost:
            self._give_up()
            return
        self._log.go_on()
        if (due := race.due) is not None:
            later = max(0.0 if roomy else HEAD_START_SECONDS, due - monotonic())
            self._timer = session.server.reactor.callLater(later, self._next)

    def _overdue(self) -> bool:
        """
        Whether ``timeout.connect`` has passed since the first attempt began.

        A client that has closed its half may still wait, as it may with one address; but dozens of
        addresses would hold descriptors for minutes for clients that have mostly gone.
        """
        limit = self._rule.timeouts.connect
        return bool(limit) and self._session.server.monotonic() - self._log.started > limit

    def _hold(self, more: int) -> None:
        """Count the descriptors of attempts beside the first."""
        more = max(0, more)
        if more != self._descriptors:
            self._descriptors = more
            self._session.server.descriptors.hold(self._session.record.number, more)

    def _next(self) -> None:
        """A head start has ended."""
        try:
            self.begin()
        except Exception:
            self._session.broken(Failure())

    # Judging.

    def _judge(self, trial: Trial) -> None:
        """Ask the rules about an address, and try it if they pass it."""
        session, target = self._session, trial.target
        server = session.server
        candidate = self._candidate(target, self._known or server.known)
        if not isinstance(candidate, Lookup):
            self._judged(trial, candidate)
            return
        if self._known is None:
            self._known = GatheredFacts(server.known)
        self._judging = trial
        decide = partial(self._candidate, target)
        unresolved = partial(failures.log_unresolved, session)
        client = session.record.client.host
        waiting = server.known.decide_waiting(decide, unresolved, client, self._known)
        session.when(Deferred.fromCoroutine(waiting), partial(self._judged_late, trial))

    def _candidate(self, target: Endpoint, known: Known) -> Candidate | Lookup:
        """Judge an address with what is known now."""
        if not self._session.server.journal.debug:
            return judge_address(self._case, self._plan, target, known)
        traces: Traces = []
        candidate = judge_address(self._case, self._plan, target, known, traces)
        tracing.fared(self._session, traces)
        return candidate

    def _judged_late(self, trial: Trial, candidate: Candidate) -> None:
        if self._judging is trial:  # else it was given up
            self._judging = None
            self._judged(trial, candidate)
            self.begin()

    def _judged(self, trial: Trial, candidate: Candidate) -> None:
        trial.candidate = candidate
        if candidate.refused is None:
            self._try(trial, candidate)
        else:
            self._skip(trial, candidate.refused, candidate.text)

    def _skip(self, trial: Trial, outcome: Outcome, why: str) -> None:
        """An address is not tried."""
        session = self._session
        if session.server.journal.debug:
            tracing.step(session, f"does not try {trial.target}: {why}")
        self._log.end(trial, outcome)
        self._race.fail(trial.target.host, session.server.monotonic())

    # Trying.

    def _try(self, trial: Trial, candidate: Candidate) -> None:
        """A rule passes an address: connect."""
        session, target = self._session, trial.target
        server = session.server
        # There is one more attempt, so what has failed before was not the last.
        self._log.go_on()
        self._come_under(candidate)
        try:
            attempt = self._open(target)
        except NoSource as none:
            warn_misrouted(session, target, none)
            self._lost(trial, none)
            return
        except DialError as failed:
            self._lost(trial, failed)
            return
        trial.attempt, trial.source = attempt, attempt.source
        trial.began = server.monotonic()
        if not self._dialled:
            self._dialled = True
            server.charging.perform()
            session.since = trial.began
            session.record.begin_connecting(trial.began)
        attempt.then(partial(self._won, trial), partial(self._failed, trial))

    def _come_under(self, candidate: Candidate) -> None:
        """The session's target and rule are those of an address now."""
        rule, record = candidate.rule, self._session.record
        assert rule is not None
        self._rule = record.socks_rule = rule
        record.target, self.named = candidate.target, candidate.name

    def _won(self, trial: Trial, sock: socket.socket) -> None:
        """An attempt has connected: end all others, and relay."""
        session, candidate = self._session, trial.candidate
        attempt, target = trial.attempt, trial.target
        assert attempt is not None and candidate is not None and candidate.rule is not None
        trial.attempt = None
        self._log.end(trial, Outcome.CONNECTED)
        self._overtake(trial)
        self._stop()
        self._hold(0)
        self._log.go_on()
        if self._rule is not candidate.rule and session.sock is not None:
            session.server.set_options(session.sock, candidate.rule.socket_options)
        self._come_under(candidate)
        session.record.source, self._attempt = attempt.source, attempt
        later = self._order[self._order.index(target.host) + 1 :]
        self.others_left = candidate.name is not None and any(
            (":" in host) == (":" in target.host) for host in later
        )
        self.connected(sock)

    def _overtake(self, winner: Trial) -> None:
        """End the trials that ``winner`` has overtaken."""
        unreached, target = self._session.server.unreached, winner.target
        unreached.discard(target.host, target.port)
        for host in self._race.win(target.host):
            # They had a head start and have not used it.
            if winner.began > self._trials[host].began:
                unreached.add(host, target.port)
            self._end(self._trials[host], Outcome.OVERTAKEN)
        self._trials = {}

    def _failed(self, trial: Trial, failed: DialError) -> None:
        """An attempt has failed after it had begun."""
        try:
            trial.attempt = None
            self._lost(trial, failed)
            self.begin()
        except Exception:
            self._session.broken(Failure())

    def _lost(self, trial: Trial, reason: Reason) -> None:
        """An attempt has failed."""
        server, target = self._session.server, trial.target
        if isinstance(reason, DialError) and reason.number not in _OURS:
            server.unreached.add(target.host, target.port)
        self._race.fail(target.host, server.monotonic())
        self._log.fail(trial, reason)

    def check(self, now: float) -> None:
        if self._relay is not None:
            super().check(now)
            return
        session, late = self._session, False
        limit = session.record.policy.timeouts.connect
        if self._judging is not None and limit and int(now) - int(self._judging.began) > limit:
            judging, self._judging = self._judging, None
            self._skip(judging, Outcome.BLOCKED, "no answer to what its rules ask for")
            late = True
        for trial in tuple(self._trials.values()):
            attempt, rule = trial.attempt, trial.rule
            limit = 0 if rule is None else rule.timeouts.connect
            if attempt is not None and limit and int(now) - int(trial.began) > limit:
                attempt.cancel()
                trial.attempt = None
                self._lost(trial, DialError(errno.ETIMEDOUT, False, attempt.source))
                late = True
        if late:
            self.begin()

    # The end.

    def _give_up(self) -> None:
        """No attempt is left."""
        session, failure = self._session, self._log.take_failure()
        if failure is None:
            self._refuse()
            return
        trial, reason = failure
        assert trial.candidate is not None
        self._come_under(trial.candidate)
        if isinstance(reason, NoSource):
            session.record.source = None
            refuse_sourceless(session, reason, NO_SOURCE_TO_CONNECT)
        elif reason.number == errno.ETIMEDOUT and not reason.immediate:
            session.record.source = reason.source
            self.late()
        else:
            self.failed(reason)

    def _refuse(self) -> None:
        """There was nothing to try."""
        session = self._session
        wrong = unusable(self._case, self._plan.address)
        if wrong is not None:
            session.refuse(wrong.ending, wrong.reply)
            return
        # The address was usable a moment ago.
        blocked = Ending(Side.RULE, Phase.AUTHORISE, Cause.BLOCKED)
        session.refuse(blocked, ReplyCode.NOT_ALLOWED)

    def _end(self, trial: Trial, outcome: Outcome) -> None:
        """Give an attempt up."""
        attempt, trial.attempt = trial.attempt, None
        if attempt is not None:
            self._log.end(trial, outcome)
            attempt.cancel()

    def _stop(self) -> None:
        """Begin no more."""
        self._race.stop()
        self._cancel_timer()

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def closing(self) -> None:
        super().closing()
        self._stop()
        for trial in self._trials.values():
            self._end(trial, Outcome.ABANDONED)
        self._log.go_on()
        self.attempts = self._log.attempts

    def cancel(self) -> None:
        self._stop()
        for trial in self._trials.values():
            if trial.attempt is not None:
                trial.attempt.cancel()
        super().cancel()

    @property
    def is_active(self) -> bool:
        return self._dialled
