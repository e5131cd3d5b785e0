"""
A connection to one of the several addresses of a target's name (:rfc:`8305`).

Each address is judged by the socks rules before it is tried, as if the name had no other: a rule
that passes one of them says nothing about the next.  An attempt comes under the rule that passes
its address, and so does the session once that attempt has won.  Source address, socket options and
time limit are chosen for each attempt.

What fails is reported as Dante does, which tries one address after another: each failure under the
address, the one that ends the session under its name.
"""

from __future__ import annotations

import errno
import socket
from functools import partial
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from dantetw.net.dial import DialError, IAttempt
from dantetw.net.poller import HANGUP
from dantetw.net.race import HEAD_START_SECONDS, Race
from dantetw.net.sources import NoSource
from dantetw.observe.events import Attempt
from dantetw.plan.address import Candidate, judge_address, order_of
from dantetw.plan.case import Case, Traces
from dantetw.plan.outcome import NO_SOURCE_TO_CONNECT, Plan
from dantetw.plan.usable import unusable
from dantetw.policy import Edge, Rule
from dantetw.rules.addresses import Known, Lookup
from dantetw.session import failures, tracing
from dantetw.session.answers import Round
from dantetw.session.commands.connection import Connect
from dantetw.session.session import Session
from dantetw.session.source import refuse_sourceless, warn_misrouted
from dantetw.values import (
    Cause,
    Ending,
    Endpoint,
    Family,
    Operation,
    Outcome,
    Phase,
    ReplyCode,
    Side,
)

#: Shortages of our own, which say nothing about the address that was tried.
_OURS: Final = frozenset(
    (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)
)
_NAME: Final = Family.NAME


class _Trial:
    """
    One of the addresses.

    :ivar rule: what passes or blocks it; ``named``: the name, if it is passed by that.
    :ivar began: monotonic seconds; ``dial``: the attempt, while it runs.
    """

    __slots__ = ("began", "dial", "named", "rule", "source", "target")

    def __init__(self, target: Endpoint, began: float) -> None:
        self.target = target
        self.began = began
        self.rule: Rule | None = None
        self.named: Endpoint | None = None
        self.dial: IAttempt | None = None
        self.source: Endpoint | None = None


# Why the attempt that came to its end last has not connected.
_Reason = DialError | NoSource


class ConnectRace(Connect):
    """
    Attempts at several addresses, the first of which to connect is relayed.

    :ivar others_left: the one that has connected was not the last of its family: Dante's line has
        the name then.
    """

    __slots__ = (
        "_attempts",
        "_case",
        "_dialled",
        "_judging",
        "_known",
        "_more",
        "_order",
        "_plan",
        "_race",
        "_reason",
        "_start",
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
        self._trials: dict[str, _Trial] = {}
        self._judging: _Trial | None = None
        # Names in rules are looked up once for all addresses: each failure may take its time.
        self._known: Round | None = None
        self._reason: tuple[_Trial, _Reason] | None = None
        self._timer: IDelayedCall | None = None
        self._attempts: list[Attempt] = []
        self.attempts = ()
        self._start = session.server.monotonic()
        self._dialled = False
        self._more = 0
        self.others_left = False

    def begin(self) -> None:
        """
        Begin what may begin now, and refuse the request if nothing is left.

        Called again whenever something has happened.
        """
        session, race = self._session, self._race
        monotonic, port = session.server.monotonic, self._plan.address.port
        if self._timer is not None:
            if self._timer.active():
                self._timer.cancel()
            self._timer = None
        if session.hints & HANGUP and self._overdue():
            race.finish()
        room = session.server.descriptors
        while (
            self._judging is None
            # A session has been given the descriptors for one attempt.
            and (roomy := not race.running or room.has(1))
            and (host := race.begin(now := monotonic())) is not None
        ):
            trial = self._trials[host] = _Trial(Endpoint.of((host, port)), now)
            self._judge(trial)
        self._hold(len(race.running) - 1)
        if self._judging is not None:
            return
        if race.lost:
            self._give_up()
            return
        self._report()
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
        return bool(limit) and self._session.server.monotonic() - self._start > limit

    def _hold(self, more: int) -> None:
        """Count the descriptors of attempts beside the first."""
        more = max(0, more)
        if more != self._more:
            self._more = more
            self._session.server.descriptors.hold(self._session.record.number, more)

    def _next(self) -> None:
        """Time has passed."""
        try:
            self.begin()
        except Exception:
            self._session.broken(Failure())

    # Judging.

    def _judge(self, trial: _Trial) -> None:
        """Ask the rules about an address, and try it if they pass it."""
        session, target = self._session, trial.target
        server = session.server
        candidate = self._candidate(target, self._known or server.known)
        if not isinstance(candidate, Lookup):
            self._judged(trial, candidate)
            return
        if self._known is None:
            self._known = Round(server.known)
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

    def _judged_late(self, trial: _Trial, candidate: Candidate) -> None:
        if self._judging is trial:  # else it was given up
            self._judging = None
            self._judged(trial, candidate)
            self.begin()

    def _judged(self, trial: _Trial, candidate: Candidate) -> None:
        trial.rule, trial.named = candidate.rule, candidate.name
        if candidate.refused is None:
            self._try(trial)
        else:
            self._skip(trial, candidate.refused, candidate.text)

    def _skip(self, trial: _Trial, outcome: Outcome, why: str) -> None:
        """An address is not tried."""
        session = self._session
        if session.server.journal.debug:
            tracing.step(session, f"does not try {trial.target}: {why}")
        self._over(trial, outcome)
        self._race.fail(trial.target.host, session.server.monotonic())

    # Trying.

    def _try(self, trial: _Trial) -> None:
        """A rule passes an address: connect."""
        session, target, rule = self._session, trial.target, trial.rule
        record = session.record
        server = session.server
        assert rule is not None
        # There is one more attempt, so what has failed before was not the last.
        self._report()
        self._rule = record.socks_rule = rule
        record.target, self.named = target, trial.named
        try:
            dial = self._open(target)
        except NoSource as none:
            warn_misrouted(session, target, none)
            self._lost(trial, none, Outcome.UNUSABLE)
            return
        except DialError as failed:
            self._lost(trial, failed, Outcome.FAILED)
            return
        trial.dial, trial.source = dial, dial.source
        trial.began = server.monotonic()
        if not self._dialled:
            self._dialled = True
            server.charging.perform()
            record.connecting_at = session.since = trial.began
        dial.then(partial(self._won, trial), partial(self._failed, trial))

    def _won(self, trial: _Trial, sock: socket.socket) -> None:
        session, race, dial = self._session, self._race, trial.dial
        record = session.record
        unreached, target = session.server.unreached, trial.target
        assert dial is not None and trial.rule is not None
        trial.dial = None
        self._over(trial, Outcome.CONNECTED)
        unreached.discard(target.host, target.port)
        for host in race.win(target.host):
            # They had a head start and have not used it.
            if trial.began > self._trials[host].began:
                unreached.add(host, target.port)
            self._end(self._trials[host], Outcome.OVERTAKEN)
        self._trials = {}
        self._stop()
        self._hold(0)
        self._report()
        if self._rule is not trial.rule and session.sock is not None:
            session.server.set_options(session.sock, trial.rule.socket_options)
        self._rule = record.socks_rule = trial.rule
        record.target, record.source, self._attempt = target, dial.source, dial
        later = self._order[self._order.index(target.host) + 1 :]
        self.others_left = trial.named is not None and any(
            (":" in host) == (":" in target.host) for host in later
        )
        self.connected(sock)

    def _failed(self, trial: _Trial, failed: DialError) -> None:
        """An attempt has failed, as it turned out in the end."""
        try:
            trial.dial = None
            self._lost(trial, failed, Outcome.FAILED)
            self.begin()
        except Exception:
            self._session.broken(Failure())

    def _lost(self, trial: _Trial, reason: _Reason, outcome: Outcome) -> None:
        session, target = self._session, trial.target
        number = 0
        if isinstance(reason, DialError):
            trial.source, number = reason.source, reason.number
            if number not in _OURS:
                session.server.unreached.add(target.host, target.port)
        self._over(trial, outcome, number)
        self._race.fail(target.host, session.server.monotonic())
        self._report()
        self._reason = (trial, reason)

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
            dial, rule = trial.dial, trial.rule
            limit = 0 if rule is None else rule.timeouts.connect
            if dial is not None and limit and int(now) - int(trial.began) > limit:
                dial.cancel()
                trial.dial = None
                self._lost(trial, DialError(errno.ETIMEDOUT, False, dial.source), Outcome.FAILED)
                late = True
        if late:
            self.begin()

    # The end.

    def _report(self) -> None:
        """The failure before was not the one that ends the session: report it."""
        reason, self._reason = self._reason, None
        if reason is None:
            return
        trial, why = reason
        if isinstance(why, DialError) and trial.rule is not None:
            edge, connecting, more = Edge.EXTERNAL, Operation.CONNECT, (trial.rule,)
            failures.log_failure(self._session, edge, connecting, trial.target, why.number, more)

    def _give_up(self) -> None:
        """No attempt is left."""
        session, reason = self._session, self._reason
        record = session.record
        self._reason = None
        if reason is None:
            self._refuse()
            return
        trial, why = reason
        assert trial.rule is not None
        self._rule = record.socks_rule = trial.rule
        record.target, self.named = trial.target, trial.named
        if isinstance(why, NoSource):
            record.source = None
            refuse_sourceless(session, why, NO_SOURCE_TO_CONNECT)
        elif why.number == errno.ETIMEDOUT and not why.immediate:
            record.source = why.source
            self.late()
        else:
            self.failed(why)

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

    def _over(self, trial: _Trial, outcome: Outcome, number: int = 0) -> None:
        """It has turned out what becomes of an address."""
        began, now = trial.began, self._session.server.monotonic()
        self._attempts.append(
            Attempt(
                trial.target,
                trial.source,
                trial.rule,
                outcome,
                began - self._start,
                now - began,
                number,
            )
        )

    def _end(self, trial: _Trial, outcome: Outcome) -> None:
        """An attempt is given up."""
        dial, trial.dial = trial.dial, None
        if dial is not None:
            self._over(trial, outcome)
            dial.cancel()

    def _stop(self) -> None:
        """Begin no more."""
        self._race.stop()
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def closing(self) -> None:
        super().closing()
        self._stop()
        for trial in self._trials.values():
            self._end(trial, Outcome.ABANDONED)
        self._report()
        self.attempts = tuple(self._attempts)

    def cancel(self) -> None:
        self._stop()
        for trial in self._trials.values():
            if trial.dial is not None:
                trial.dial.cancel()
        super().cancel()

    @property
    def under_way(self) -> bool:
        return self._dialled
