"""
Password hashes, computed in threads of their own.

One hash costs 5-100 ms of CPU by design: far too long for the reactor's thread, and enough to
bring a server down if clients could ask for many.  So threads are few, and so are waiting logins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from dantetw.auth.interfaces import AuthenticationFailed
from dantetw.fairness import BusyError
from dantetw.threads import Threads

#: Threads for hashing.  The C libraries release the interpreter's lock meanwhile, so two threads
#: are two CPUs that password guessing can occupy; the relays need the others.
THREADS: Final = 2

#: Logins that may wait for a thread, of all clients together.  At 50 ms a hash the last of them
#: waits 6 seconds; which one is the last :mod:`dantetw.fairness` decides.
WAITING: Final = 256

#: What is logged of a login that found no place.
BUSY: Final = "too many logins are waiting to be checked"

_log: Final = Logger()


def is_refusal(result: object) -> bool:
    """Whether the result of a check is held against the client."""
    return isinstance(result, AuthenticationFailed)


def verify(
    threads: Threads,
    thd_refuse: Callable[[], AuthenticationFailed | None],
    refusal: AuthenticationFailed,
    owner: str = "",
) -> Deferred[None]:
    """
    Compare a password with its hash in a thread.

    Cancelling it drops a comparison that no thread has begun.

    :param thd_refuse: None if it is right, else what to fail with.
    :param refusal: what to fail with if an error keeps us from telling.
    :param owner: the client, of :func:`~dantetw.fairness.client_of`.
    """

    def report(result: Any) -> None:
        if done.called:
            return
        if result is None:
            done.callback(None)
            return
        if isinstance(result, Failure) and result.check(BusyError):
            result = AuthenticationFailed(BUSY)
        elif isinstance(result, Failure):
            _log.failure("cannot verify a password", result)
            result = refusal
        done.errback(result)

    def give_up(_: Deferred[None]) -> None:
        threads.withdraw(job)

    done: Deferred[None] = Deferred(give_up)
    try:
        job = threads.submit(thd_refuse, report, owner)
    except BusyError:
        return defer.fail(AuthenticationFailed(BUSY))
    return done
