"""
Password hashes, computed where they disturb nobody.

One hash costs 5-100 ms of CPU by design: far too long for the reactor's thread, and enough to
bring a server down if anybody may ask for many.  So there are few threads and few who may wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from dantetw.auth.interfaces import AuthenticationFailed
from dantetw.threads import BusyError, Threads

#: Threads for hashing.  The C libraries release the interpreter's lock meanwhile, so two threads
#: are two CPUs that somebody guessing passwords can occupy; the relays want the others.
THREADS: Final = 2

#: Logins that may wait for a thread.  At 50 ms a hash the last of them waits 6 seconds.
WAITING: Final = 256

_log: Final = Logger()


def verify(
    threads: Threads,
    thd_refuse: Callable[[], AuthenticationFailed | None],
    refusal: AuthenticationFailed,
) -> Deferred[None]:
    """
    Compare a password with its hash in a thread.

    Cancelling it drops a comparison that no thread has begun.

    :param thd_refuse: None if it is right, else what to fail with.
    :param refusal: what to fail with if an error keeps us from telling.
    """

    def report(result: Any) -> None:
        if done.called:
            return
        if result is None:
            done.callback(None)
            return
        if isinstance(result, Failure):
            _log.failure("cannot verify a password", result)
            result = refusal
        done.errback(result)

    def give_up(_: Deferred[None]) -> None:
        threads.withdraw(job)

    done: Deferred[None] = Deferred(give_up)
    try:
        job = threads.submit(thd_refuse, report)
    except BusyError:
        return defer.fail(AuthenticationFailed("too many logins are waiting to be checked"))
    return done
