"""
Names to addresses and back, with the errors kept.

Twisted's resolver loses the ``EAI_`` code, which operators filter by, and caches nothing.  This one
calls the system's ``getaddrinfo`` and ``getnameinfo`` in threads of its own.  As in Dante an answer
is kept for 300 seconds and a failure not at all, unless it took long to come.

Names without an answer
=======================

Such a name holds a thread for 10-30 seconds.  An asynchronous resolver (:mod:`twisted.names`,
c-ares) holds a few bytes instead, but has no ``nsswitch.conf`` (mDNS, LDAP, systemd-resolved), and
would have to repeat what the C library makes of search domains, ``ndots``, ``options`` and
:rfc:`6724`; operators expect what ``getent ahosts`` finds.  So there are threads, many, shared so
that dead names wait among themselves (:mod:`dantetw.fairness`):

- A look-up that takes longer than :data:`LONG_LOOKUP_SECONDS` counts against the client that asked.
  Clients with such look-ups share half of the threads; the other half is for all other clients.
- A client has a sixteenth of the threads that are free, so that there are some left before anything
  is known of a name.
- A failure that took long is remembered for seconds (:mod:`.deadnames`), so a dead name in a rule
  delays few clients.
- A client that asks for a name which already waits for a thread on behalf of a worse client takes
  it over.

A name comes from a client, hence from anybody: whatever it is made of, the answer is addresses or
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
from twisted.logger import Logger
from twisted.python.failure import Failure

from dantetw.addresses import literal, number_of
from dantetw.escaping import escape
from dantetw.fairness import BusyError, client_of
from dantetw.net.deadnames import DeadNames
from dantetw.net.errors import EAI_WORDS, eai_symbol_of, words_of
from dantetw.net.zones import endpoint_of
from dantetw.sharing import Shared
from dantetw.threads import Job, Threads
from dantetw.values import AF_OF, Family

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

#: Addresses kept of one name.  A DNS answer may hold thousands; no client tries them all.
ADDRESSES: Final = 64

BOTH: Final = frozenset((Family.IPV4, Family.IPV6))

# RFC 1035, 2.3.4.
_NAME_LENGTH: Final = 255
_LABEL_LENGTH: Final = 63

_log: Final = Logger()

# The place of the address family in a cache's key, for look-ups the other way.
_REVERSE: Final = -1

_Key = tuple[int, str]


class ResolveError(Exception):
    """
    A name has no address, or an address could not be asked for its name.

    :ivar symbol: the ``EAI_`` name, for ``external.log.LEVEL.error``.
    :ivar reason: ``gai_strerror``'s words; for ``EAI_SYSTEM`` those for the ``errno``.
    :ivar name: what was asked for, as received, hence hostile.
    """

    def __init__(self, symbol: str, reason: str, name: str) -> None:
        super().__init__(symbol, reason, name)
        self.symbol = symbol
        self.reason = reason
        self.name = name

    def __str__(self) -> str:
        return f'could not resolve hostname "{escape(self.name)}": {self.reason}'


class _Search(Shared[tuple[str, ...]]):
    """
    One look-up in progress, and all that wait for it.

    :ivar since: seconds of the clock at which it was asked for.
    """

    since: float
    job: Job | None = None


class Resolver:
    """
    The system's resolver, asked in threads, with a cache.

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
        self, name: str, families: frozenset[Family] = BOTH, owner: str = ""
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
        query = _query(name)
        if query is None:
            return _failed("EAI_NONAME", name)
        family = _af(families)

        def thd_resolve() -> tuple[str, ...]:
            found = self._getaddrinfo(query, 0, family, socket.SOCK_STREAM)
            return _addresses(found, families)

        return self._search((family, name.lower()), name, thd_resolve, owner)

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
            try:
                found = self._getnameinfo((address, 0), socket.NI_NAMEREQD)
            except socket.gaierror as error:
                if eai_symbol_of(error.errno or 0) in ("EAI_NONAME", "EAI_NODATA"):
                    return ()
                raise
            return (found[0],)

        search = self._search((_REVERSE, address), address, thd_reverse, owner)
        return search.addCallback(lambda names: names[0] if names else None)

    def cached(self, name: str, families: frozenset[Family] = BOTH) -> tuple[str, ...] | None:
        """The addresses of a name if they are known, at once; else None."""
        address = literal(name)
        if address is not None:
            family = Family.IPV6 if ":" in address else Family.IPV4
            return (address,) if family in families else None
        return self._get((_af(families), name.lower()))

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
        """Deliver nothing any more."""
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
            error = _error(result, name)
            if current and not result.check(BusyError):
                began = None if search.job is None else search.job.begun_at
                took = 0.0 if began is None else self._clock.seconds() - began
                self._dead.failed(key, error.symbol, error.reason, took)
            search.fail(error)
            return
        if current:
            self._dead.answered(key)
        if not result and key[0] != _REVERSE:
            search.fail(_known_error("EAI_NODATA", name))
        else:
            if current:
                self._keep(key, result)
            search.succeed(result)


def _af(families: frozenset[Family]) -> int:
    if len(families) != 1:
        return int(socket.AF_UNSPEC)
    (family,) = families
    return AF_OF[family]


def _query(name: str) -> bytes | None:
    """
    The bytes to ask for; None if no host can have this name.

    Bytes, since Python would encode text as IDNA, which makes a digit of anything that looks like
    one, and cuts bytes at a NUL.
    """
    try:
        query = name.encode("ascii")
    except UnicodeEncodeError:
        return None
    # A backslash would begin an escape (RFC 1035, 5.1): the C library asks for another name than
    # the one the rules have seen.
    if b"\x00" in query or b"\\" in query or len(query) > _NAME_LENGTH:
        return None
    labels = query.removesuffix(b".").split(b".")
    if all(0 < len(label) <= _LABEL_LENGTH for label in labels):
        return query
    return None


def _addresses(found: Sequence[tuple[Any, ...]], families: frozenset[Family]) -> tuple[str, ...]:
    """The numeric addresses in ``getaddrinfo``'s answer: wanted, each once, not too many."""
    addresses: dict[str, None] = {}
    for entry in found:
        # A hostile AAAA record may map an IPv4 address; this unmaps it.
        endpoint = endpoint_of(entry[4])
        if endpoint.family in families:
            addresses[endpoint.host] = None
            if len(addresses) == ADDRESSES:
                break
    return tuple(addresses)


def too_many(name: str) -> ResolveError:
    """The failure of a look-up for which there is no place."""
    return _known_error("EAI_AGAIN", name)


def _known_error(symbol: str, name: str) -> ResolveError:
    return ResolveError(symbol, EAI_WORDS[symbol], name)


def _raise(error: ResolveError) -> tuple[str, ...]:
    raise error


def _failed(symbol: str, name: str) -> Deferred[Any]:
    return defer.fail(_known_error(symbol, name))


def _error(failure: Failure, name: str) -> ResolveError:
    """What went wrong in a thread, as a :class:`ResolveError`."""
    error = failure.value
    if isinstance(error, socket.gaierror):
        symbol = eai_symbol_of(error.errno or 0)
        return ResolveError(symbol, error.strerror or symbol, name)
    if isinstance(error, OSError):
        # Python raises the errno behind an EAI_SYSTEM instead.
        return ResolveError("EAI_SYSTEM", words_of(error.errno or 0), name)
    if isinstance(error, UnicodeError | ValueError):
        return _known_error("EAI_NONAME", name)
    if isinstance(error, BusyError):
        return too_many(name)
    # A bug: log it, and let the client know only that the name did not resolve.
    _log.failure("look-up failed", failure)
    return _known_error("EAI_FAIL", name)
