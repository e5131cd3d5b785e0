"""
Names to addresses and back, with the errors kept.

Twisted's resolver loses the ``EAI_`` code, which operators filter by, and caches nothing.  This one
calls the system's ``getaddrinfo`` and ``getnameinfo`` in threads of its own.  As in Dante an answer
is kept for 300 seconds and a failure not at all, unless it took long to come.

Names without an answer
=======================

Such a name holds a thread for 10-30 seconds.  An asynchronous resolver (:mod:`twisted.names`,
c-ares) holds a few bytes instead, but has no ``nsswitch.conf`` (mDNS, LDAP, systemd-resolved), and
would have to imitate the C library's handling of search domains, ``ndots``, ``options`` and
:rfc:`6724`; operators expect what ``getent ahosts`` finds.  So many threads are used, shared so
that dead names delay only each other (:mod:`dantetw.fairness`):

- A look-up that takes longer than :data:`LONG_LOOKUP_SECONDS` counts against the client that asked.
  Clients with such look-ups share half of the threads; the other half is for all other clients.
- A client has a sixteenth of the threads that are free, so that some are left while nothing is
  known of a name.
- A failure that took long is remembered for seconds (:mod:`.deadnames`), so a dead name in a rule
  delays few clients.
- A client that asks for a name which already waits for a thread on behalf of a worse client takes
  it over.

A name comes from a client, hence is hostile: whatever it is made of, the answer is addresses or
a :class:`ResolveError`.  A name that the C library reads as a number (``0x7f.1``) is resolved, as
in Dante, to that address; the rules treat it as the address too.
"""

from __future__ import annotations

import socket
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from dantetw.addresses import literal, number_of
from dantetw.fairness import BusyError, client_of
from dantetw.net.deadnames import DeadNames
from dantetw.net.lookups import (
    ResolveError,
    af_of,
    ask,
    ask_back,
    error_of,
    known_error,
    query_of,
)
from dantetw.sharing import Shared
from dantetw.threads import Job, Threads
from dantetw.values import FAMILIES, Family

#: Seconds an answer is kept, and how many are: Dante's numbers.
KEEP_SECONDS: Final = 300
KEEP_ENTRIES: Final = 512

#: Look-ups in progress at once.  Threads are started on demand, and end when they are idle.
THREADS: Final = 256

#: One in so many of the process's descriptors may be a look-up's, each of which takes one.
FILES_SHARE: Final = 4

#: One client gets one in so many of the threads that are free.
SHARE: Final = 16

#: Seconds after which a look-up counts against the client that has asked.
LONG_LOOKUP_SECONDS: Final = 1.0

#: Different names that may wait for a thread; more fail with ``EAI_AGAIN``, and first those of
#: clients that have asked for most.
WAITING: Final = 512

#: Seconds after which a look-up fails for which there is no place; up to a half more or less.
BUSY_SECONDS: Final = 2.0

# The place of the address family in a cache's key, for look-ups the other way.
_REVERSE: Final = -1

_Key = tuple[int, str]


class _Search(Shared[tuple[str, ...]]):
    """
    One look-up in progress, and the callers that wait for it.

    :ivar since: seconds of the clock at which it was asked for.
    """

    since: float
    job: Job | None = None


class Resolver:
    """
    The system's resolver, called in threads, with a cache.

    Equal questions share one look-up while it is in progress.  Cancelling a Deferred gives up
    waiting; a look-up that has no waiter left and no thread yet is dropped.

    :param reactor: clock, and where answers are delivered.
    :param threads: for tests; None makes :data:`THREADS` of our own.
    """

    def __init__(
        self,
        reactor: Any,
        threads: Threads | None = None,
        getaddrinfo: Callable[..., Sequence[tuple[Any, ...]]] = socket.getaddrinfo,
        getnameinfo: Callable[..., tuple[str, str]] = socket.getnameinfo,
    ) -> None:
        self._clock: IReactorTime = reactor
        self._threads = threads or Threads(
            reactor, THREADS, WAITING, "resolver", share=SHARE, slow=LONG_LOOKUP_SECONDS
        )
        self._getaddrinfo = getaddrinfo
        self._getnameinfo = getnameinfo
        self._kept: OrderedDict[_Key, tuple[float, tuple[str, ...]]] = OrderedDict()
        self._dead = DeadNames(reactor.seconds)
        self._searches: dict[_Key, _Search] = {}

    def resolve(
        self, name: str, families: frozenset[Family] = FAMILIES, owner: str = ""
    ) -> Deferred[tuple[str, ...]]:
        """
        The addresses of a host name, in the system's order of preference (:rfc:`6724`).

        :param families: which kinds of addresses are wanted.
        :param owner: the address of the client on whose behalf; empty: our own.
        :returns: fires with at least one numeric address, or fails with :class:`ResolveError`.
        """
        answer = self.cached(name, families)
        if answer is not None:
            return defer.succeed(answer)
        if literal(name) is not None:
            return _failed("EAI_ADDRFAMILY", name)
        query = query_of(name)
        if query is None:
            return _failed("EAI_NONAME", name)

        def thd_resolve() -> tuple[str, ...]:
            return ask(query, families, self._getaddrinfo)

        return self._search((af_of(families), name.lower()), name, thd_resolve, owner)

    def reverse(self, address: str, owner: str = "") -> Deferred[str | None]:
        """
        The name of a numeric address.

        :param owner: as for :meth:`resolve`.

        :returns: fires with None if it has none; fails with :class:`ResolveError` if it cannot be
            found out.
        """
        answer = self.cached_reverse(address)
        if answer is not None:
            return defer.succeed(answer[0] if answer else None)
        if number_of(address)[0] is Family.NAME:
            return _failed("EAI_NONAME", address)

        def thd_reverse() -> tuple[str, ...]:
            return ask_back(address, self._getnameinfo)

        search = self._search((_REVERSE, address), address, thd_reverse, owner)
        return search.addCallback(lambda names: names[0] if names else None)

    def cached(self, name: str, families: frozenset[Family] = FAMILIES) -> tuple[str, ...] | None:
        """The addresses of a name if they are known, at once; else None."""
        address = literal(name)
        if address is not None:
            return (address,) if number_of(address)[0] in families else None
        return self._get((af_of(families), name.lower()))

    def cached_reverse(self, address: str) -> tuple[str, ...] | None:
        """The name of an address if it is known, at once: none or one; else None."""
        return self._get((_REVERSE, address))

    def forget(self) -> None:
        """
        Empty the cache; what is being looked up will not be kept either (SIGHUP).

        Names that were dead are tried again, but a client waits for them no longer than before.
        """
        self._kept.clear()
        self._searches.clear()
        self._dead.retry()

    def fit(self, files: int | None) -> None:
        """
        Use no more threads than descriptors can be spared for.

        :param files: how many this process may have; None: any number.
        """
        if files is not None:
            self._threads.resize(max(1, min(THREADS, files // FILES_SHARE)))

    def stop(self) -> None:
        """Deliver no more answers."""
        self._threads.stop()

    def _get(self, key: _Key) -> tuple[str, ...] | None:
        entry = self._kept.get(key)
        if entry is None:
            return None
        expires, answer = entry
        if expires <= self._clock.seconds():
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return answer

    def _keep(self, key: _Key, answer: tuple[str, ...]) -> None:
        self._kept[key] = (self._clock.seconds() + KEEP_SECONDS, answer)
        self._kept.move_to_end(key)
        if len(self._kept) > KEEP_ENTRIES:
            self._kept.popitem(last=False)

    def _search(
        self, key: _Key, name: str, thd_ask: Callable[[], tuple[str, ...]], owner: str
    ) -> Deferred[tuple[str, ...]]:
        """Wait for a look-up, which is begun unless it is in progress."""
        dead, search, wait = self._dead.get(key), self._searches.get(key), 0.0
        if dead is not None:
            wait = self._dead.wait(dead, None if search is None else search.since)
            if wait <= 0:
                return defer.fail(ResolveError(dead.symbol, dead.reason, name))
        owner = client_of(owner)
        if search is None:
            search = self._begin(key, name, thd_ask, owner)
            if search is None:
                # Not at once, since some clients try again without a pause, and not all at a time.
                seconds = BUSY_SECONDS * (0.5 + zlib.crc32(name.encode()) / 2**32)
                return deferLater(self._clock, seconds, _raise, too_many(name))
        elif search.job is not None:
            self._threads.promote(search.job, owner)
        waiter = search.wait()
        if dead is not None:
            # Made here: one that is raised again and again would keep all its tracebacks.
            error = ResolveError(dead.symbol, dead.reason, name)
            waiter.addTimeout(wait, self._clock, lambda *_: Failure(error))
        return waiter

    def _begin(
        self, key: _Key, name: str, thd_ask: Callable[[], tuple[str, ...]], owner: str
    ) -> _Search | None:
        """Begin a look-up; None if too many wait."""
        search = _Search(lambda: self._abandon(key, search))
        search.since = self._clock.seconds()
        self._searches[key] = search
        try:
            search.job = self._threads.submit(
                thd_ask, lambda result: self._found(key, search, name, result), owner
            )
        except BusyError:
            self._forget_search(key, search)
            return None
        return search

    def _abandon(self, key: _Key, search: _Search) -> None:
        # If a thread has it already, let it end: the next client should not start another.
        if search.job is not None and self._threads.withdraw(search.job):
            self._forget_search(key, search)

    def _forget_search(self, key: _Key, search: _Search) -> bool:
        """Whether the look-up was begun since the cache was last emptied."""
        if self._searches.get(key) is not search:
            return False
        del self._searches[key]
        return True

    def _found(self, key: _Key, search: _Search, name: str, result: Any) -> None:
        current = self._forget_search(key, search)
        if isinstance(result, Failure):
            busy = result.check(BusyError)
            error = too_many(name) if busy else error_of(result, name)
            if current and not busy:
                began = None if search.job is None else search.job.begun_at
                took = 0.0 if began is None else self._clock.seconds() - began
                self._dead.failed(key, error.symbol, error.reason, took)
            search.fail(error)
            return
        if current:
            self._dead.answered(key)
        if not result and key[0] != _REVERSE:
            search.fail(known_error("EAI_NODATA", name))
        else:
            if current:
                self._keep(key, result)
            search.succeed(result)


def too_many(name: str) -> ResolveError:
    """The failure of a look-up for which there is no place."""
    return known_error("EAI_AGAIN", name)


def _raise(error: ResolveError) -> tuple[str, ...]:
    raise error


def _failed(symbol: str, name: str) -> Deferred[Any]:
    return defer.fail(known_error(symbol, name))
