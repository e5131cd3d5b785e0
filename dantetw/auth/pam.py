"""
Methods ``pam.username``, ``pam.any`` and ``pam.address``: PAM decides.

PAM's modules block, for as long as a directory somewhere takes to answer; change the user they run
as, which in one thread is all of them; and may crash.  So they run in processes of their own, with
the program :mod:`.pamworker`, as ``user.privileged``: few, started on demand, and ended when
they have been idle for a while.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from dantetw.auth.interfaces import IProver, Visitor
from dantetw.auth.pamprocess import PamProcess
from dantetw.auth.verifying import BUSY
from dantetw.escaping import escape
from dantetw.fairness import BusyError, FairQueue, Ticket, client_of
from dantetw.net.errors import words_of_error
from dantetw.rules.authentication import AuthCheck, AuthResult

#: Processes, and logins that may wait for one.
PROCESSES: Final = 4
WAITING: Final = 256

#: Seconds a process may take for one login before it is killed.
LONGEST: Final = 60
#: Seconds a process is kept for the next login.
IDLE: Final = 60

#: Seconds a process that has hung up may take for its last words.
LAST_WORDS: Final = 1

#: Bytes of what a process has to complain about that are kept.
_COMPLAINT: Final = 2000

_log: Final = Logger()


def _field(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


class _Job(Ticket):
    """One login, until it is answered."""

    __slots__ = ("done", "name", "refused", "request")

    def __init__(self, check: AuthCheck, visitor: Visitor, done: Deferred[AuthResult]) -> None:
        super().__init__(client_of(visitor.client.host))
        self.refused = False
        given = visitor.credentials if check.named else None
        self.done = done
        self.name = None if given is None else given.name
        name, password = (b"", b"") if given is None else (_bytes(given.name), given.password)
        fields = (
            check.service.encode("utf-8", "surrogateescape"),
            visitor.client.host.encode("ascii"),
            b"" if given is None else b"1",
            name,
            password,
        )
        self.request = b"".join(_field(each) for each in fields)

    def refuse(self, what: str, reason: str) -> None:
        """Refuse the login; ``what`` names the function as Dante does."""
        if what == "pam_authenticate":
            name = "<no user specified>" if self.name is None else escape(self.name)
            text = f'pam_authenticate() for user "{name}" failed: {reason}'
        elif what == "pam_acct_mgmt":
            text = f"pam_acct_mgmt(): {reason}"
        else:
            text = f"{what}() failed: {reason}"
        self.answer(AuthResult(refusal=text))

    def answer(self, result: AuthResult) -> None:
        """Deliver the result, if something still waits for it."""
        self.refused = bool(result.refusal)
        if not self.done.called:
            self.done.callback(result)


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


class _Complaints(Protocol):
    """What a process says on standard error."""

    def __init__(self, worker: _Worker) -> None:
        self._worker = worker

    def dataReceived(self, data: bytes) -> None:
        self._worker.complain(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._worker.hung_up()


class _Worker(Protocol):
    """A process, and what it is busy with."""

    def __init__(self, pam: Pam, reactor: Any, leash: int) -> None:
        self._pam = pam
        self._reactor = reactor
        self._leash = leash
        self._job: _Job | None = None
        self._heard = self._complaint = b""
        self._limit: IDelayedCall | None = None
        self._open = 2  # conversations: its answers and its complaints

    def begin(self, job: _Job) -> None:
        """Ask about a login."""
        self._stop_clock()
        self._job = job
        assert self.transport is not None
        self.transport.write(job.request)
        job.request = b""  # it holds the password
        self._limit = self._reactor.callLater(LONGEST, self._kill)

    def rest(self) -> None:
        """There is nothing to do now."""
        self._stop_clock()
        assert self.transport is not None
        self._limit = self._reactor.callLater(IDLE, self._pam.retire, self, self.transport)

    def _stop_clock(self) -> None:
        if self._limit is not None and self._limit.active():
            self._limit.cancel()
        self._limit = None

    def _kill(self) -> None:
        self._complaint += f"no answer within {LONGEST} seconds".encode()
        self._let_go()

    def _let_go(self) -> None:
        """The holder of the other end of the leash kills the process, if it still runs."""
        if self._leash >= 0:
            os.close(self._leash)
            self._leash = -1

    def dataReceived(self, data: bytes) -> None:
        self._heard += data
        end = 2 + int.from_bytes(self._heard[:2], "big")
        if self._job is None or len(self._heard) < max(2, end):
            return
        answer, self._heard = self._heard[2:end], self._heard[end:]
        job, self._job = self._job, None
        if answer:
            what, _, reason = answer.decode("utf-8", "replace").partition("\0")
            job.refuse(what, reason)
        else:
            job.answer(AuthResult())
        self._pam.free(self, job)

    def complain(self, data: bytes) -> None:
        """The process has something to complain about."""
        self._complaint = (self._complaint + data)[-_COMPLAINT:]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_clock()
        self._let_go()
        # Its last words may be on their way, but a program that it started may hold the line.
        self._limit = self._reactor.callLater(LAST_WORDS, self._end)
        self.hung_up()

    def hung_up(self) -> None:
        """One of the two conversations has ended."""
        self._open -= 1
        if not self._open:
            self._end()

    def _end(self) -> None:
        self._open = 0
        self._stop_clock()
        job, self._job = self._job, None
        if job is not None:
            said = escape(self._complaint.decode("utf-8", "replace"))
            _log.error("PAM: a process has ended: {said}", said=said or "it did not say why")
            job.refuse("pam_authenticate", "System error")
        self._pam.lost(self, job)


class _Only(Factory):
    """Makes the one protocol there is."""

    noisy = False

    def __init__(self, only: Protocol) -> None:
        self._only = only

    def buildProtocol(self, addr: object) -> Protocol:
        return self._only


@implementer(IProver)
class Pam:
    """
    What PAM says of names and passwords, and of addresses.

    Which login a process checks next, and how many each client may have,
    :class:`~dantetw.fairness.FairQueue` decides.

    :param reactor: talks to the processes, and watches the time.
    :param start: starts one, with the privileges it takes.
    """

    def __init__(self, reactor: Any, start: Callable[[], PamProcess]) -> None:
        self._reactor = reactor
        self._start_process = start
        self._queue: FairQueue[_Job] = FairQueue(PROCESSES, WAITING, reactor.seconds)
        self._idle: list[_Worker] = []
        self._alive: set[_Worker] = set()

    def prove(self, check: AuthCheck, visitor: Visitor) -> Deferred[AuthResult]:
        """
        See :class:`~dantetw.auth.interfaces.IProver`.

        What a process has begun it goes on with when it is cancelled: to end it would cost more.
        """

        def give_up(_: Deferred[AuthResult]) -> None:
            self._queue.remove(job)

        done: Deferred[AuthResult] = Deferred(give_up)
        job = _Job(check, visitor, done)
        if self._queue.start(job):
            self._run(job)
            return done
        try:
            dropped = self._queue.add(job)
        except BusyError:
            job.answer(AuthResult(refusal=BUSY))
        else:
            if dropped is not None:
                dropped.answer(AuthResult(refusal=BUSY))
        return done

    def _run(self, job: _Job | None) -> None:
        """Have a login checked; if that fails at once, those that may follow."""
        while job is not None:
            try:
                worker = self._idle.pop() if self._idle else self._start()
            except OSError as failed:
                _log.failure("Could not start a process for PAM")
                job.refuse("pam_start", words_of_error(failed))
                self._queue.finish(job)
                job = self._queue.take()
            else:
                worker.begin(job)
                return

    def _ended(self, job: _Job) -> None:
        """A login has been checked, or its process has ended."""
        self._queue.finish(job, job.refused)
        while (following := self._queue.take()) is not None:
            self._run(following)

    def _start(self) -> _Worker:
        process = self._start_process()
        worker = _Worker(self, self._reactor, process.leash)
        protocols = {process.talk: worker, process.complaints: _Complaints(worker)}
        try:
            for descriptor, protocol in protocols.items():
                self._reactor.adoptStreamConnection(descriptor, socket.AF_UNIX, _Only(protocol))
        finally:
            # The reactor has made duplicates.
            for descriptor in protocols:
                os.close(descriptor)
        self._alive.add(worker)
        return worker

    def free(self, worker: _Worker, job: _Job) -> None:
        """A process has answered."""
        self._idle.append(worker)
        worker.rest()
        self._ended(job)

    def retire(self, worker: _Worker, transport: Any) -> None:
        """A process has had nothing to do for a while: let it end."""
        self._idle.remove(worker)
        transport.loseConnection()

    def lost(self, worker: _Worker, job: _Job | None) -> None:
        """A process has ended, and with it what it was busy with."""
        self._alive.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        if job is not None:
            self._ended(job)
