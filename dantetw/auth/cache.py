"""
Caching successful logins.

A browser opens a hundred sessions for one page, each with the same name and password, and each
would cost a hash.  What is kept of a login is a keyed digest with a key made afresh in each
process: a later reader of our memory learns no password from it that could not be guessed.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from dantetw.auth.interfaces import AuthenticationFailed, IAuthenticator
from dantetw.sharing import Shared

#: Seconds a login is remembered, from when it was checked.
SECONDS: Final = 60

#: Logins remembered.
ENTRIES: Final = 1024

_DIGEST_SIZE: Final = 32


@dataclass(frozen=True, slots=True)
class _Login:
    """
    A successful login.

    :ivar expires: seconds of the clock; ``revision``: the user's when it was checked.
    """

    expires: float
    revision: object


class _Check(Shared[None]):
    """A check in progress, and all that wait for it."""

    revision: object
    inner: Deferred[None]


@implementer(IAuthenticator)
class CredentialsCache:
    """
    Remembers successful logins, and lets equal ones that come meanwhile share one check.

    A login is forgotten when its time is up or the user's
    :meth:`~dantetw.auth.interfaces.IAuthenticator.revision` has changed.  Failed ones are not
    remembered.

    :param inner: does the checks.
    :param seconds: how long a login is remembered; 0: not at all.
    :param entries: how many are; the least recently used goes first.
    """

    def __init__(
        self,
        inner: IAuthenticator,
        clock: IReactorTime,
        seconds: float = SECONDS,
        entries: int = ENTRIES,
    ) -> None:
        self._inner = inner
        self._clock = clock
        self._seconds = seconds
        self._entries = entries
        self._key = os.urandom(_DIGEST_SIZE)
        self._right: OrderedDict[bytes, _Login] = OrderedDict()
        self._checks: dict[bytes, _Check] = {}

    def revision(self, name: str) -> object:
        """See :class:`~dantetw.auth.interfaces.IAuthenticator`."""
        return self._inner.revision(name)

    def authenticate(self, name: str, password: bytes, client: str = "") -> Deferred[None]:
        """See :class:`~dantetw.auth.interfaces.IAuthenticator`."""
        revision = self._inner.revision(name)
        digest = self._digest(name, password)
        login = self._right.get(digest)
        if login is not None:
            if login.revision == revision and self._clock.seconds() < login.expires:
                self._right.move_to_end(digest)
                return defer.succeed(None)
            del self._right[digest]
        check = self._checks.get(digest)
        if check is not None and check.revision == revision:
            return check.wait()
        ask = partial(self._inner.authenticate, name, password, client)
        return self._begin(ask, digest, revision)

    def forget(self) -> None:
        """Remember nothing (SIGHUP)."""
        self._right.clear()
        self._checks.clear()

    def _digest(self, name: str, password: bytes) -> bytes:
        who = name.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(key=self._key, digest_size=_DIGEST_SIZE)
        # The length keeps name and password apart, whatever bytes they are made of.
        digest.update(len(who).to_bytes(4, "big"))
        digest.update(who)
        digest.update(password)
        return digest.digest()

    def _begin(
        self, ask: Callable[[], Deferred[None]], digest: bytes, revision: object
    ) -> Deferred[None]:
        check = _Check(lambda: check.inner.cancel())
        check.revision = revision
        self._checks[digest] = check
        waiter = check.wait()
        check.inner = ask()
        check.inner.addCallbacks(
            lambda _: self._succeeded(check, digest),
            lambda failure: self._failed(check, digest, failure),
        )
        return waiter

    def _ended(self, check: _Check, digest: bytes) -> bool:
        """Whether it was still the one to ask when it ended."""
        if self._checks.get(digest) is not check:
            return False
        del self._checks[digest]
        return True

    def _succeeded(self, check: _Check, digest: bytes) -> None:
        if self._ended(check, digest) and self._seconds > 0:
            expires = self._clock.seconds() + self._seconds
            self._right[digest] = _Login(expires, check.revision)
            self._right.move_to_end(digest)
            if len(self._right) > self._entries:
                self._right.popitem(last=False)
        check.succeed(None)

    def _failed(self, check: _Check, digest: bytes, failure: Failure) -> None:
        self._ended(check, digest)
        error = failure.value
        if isinstance(error, AuthenticationFailed):
            check.fail(error)
            return
        # Cancelled, by ourselves: nothing waits for it any more.
        assert isinstance(error, defer.CancelledError), error
