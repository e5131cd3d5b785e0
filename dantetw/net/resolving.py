"""
Names to addresses and back, with the errors kept.

Twisted's resolver loses the ``EAI_`` code, which operators filter by, and caches nothing.  This one
calls the system's ``getaddrinfo`` and ``getnameinfo`` in threads of its own, so ``/etc/hosts`` and
``nsswitch.conf`` count.  As in Dante an answer is kept for 300 seconds and a failure not at all.

A name comes from a client, hence from anybody: whatever it is made of, the answer is addresses or
a :class:`ResolveError`.  A name that the C library reads as a number (``0x7f.1``) is resolved, as
in Dante, to that address; the rules treat it as the address too.

:class:`Answers` lets rules be asked with what is known, and looks up what is missing.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from dantetw.escaping import escape
from dantetw.net.naming import EAI_WORDS, eai_symbol_of, words_of
from dantetw.rules.addresses import Known, Lookup, LookupKind, literal, number_of
from dantetw.sharing import Shared
from dantetw.threads import BusyError, Job, Threads
from dantetw.values import AF_OF, Endpoint, Family

#: Seconds an answer is kept, and how many are: Dante's numbers.
KEEP_SECONDS: Final = 300
KEEP_ENTRIES: Final = 512

#: Look-ups under way at once.  A name whose servers do not answer holds a thread for 10-30
#: seconds, and others must not notice: so no client gets more than its share of them.
THREADS: Final = 32

#: Different names that may wait for a thread; the next one fails with ``EAI_AGAIN``.
WAITING: Final = 512

#: Addresses kept of one name.  A DNS answer may hold thousands; nobody tries them all.
ADDRESSES: Final = 64

BOTH: Final = frozenset((Family.IPV4, Family.IPV6))

# RFC 1035, 2.3.4.
_NAME_LENGTH: Final = 255
_LABEL_LENGTH: Final = 63

_log: Final = Logger()

# The place of the address family in a cache's key, for look-ups the other way.
_REVERSE: Final = -1

_Key = tuple[int, str]
_Decision = TypeVar("_Decision")


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
    """One look-up under way, and everybody who waits for it."""

    job: Job


class Resolver:
    """
    The system's resolver, asked in threads, with a cache.

    The same question asked while it is under way is not asked twice.  Cancelling a Deferred gives
    up waiting; a look-up that nobody waits for any more and that no thread has yet is dropped.

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
        from_threads: IReactorFromThreads = reactor
        self._threads = threads or Threads(from_threads, THREADS, WAITING, "resolver")
        self._getaddrinfo = getaddrinfo
        self._getnameinfo = getnameinfo
        self._kept: OrderedDict[_Key, tuple[float, tuple[str, ...]]] = OrderedDict()
        self._searches: dict[_Key, _Search] = {}

    def resolve(
        self, name: str, families: frozenset[Family] = BOTH, owner: str = ""
    ) -> Deferred[tuple[str, ...]]:
        """
        The addresses of a host name, in the system's order of preference (:rfc:`6724`).

        :param families: which kinds of addresses are wanted.
        :param owner: the client on whose behalf, see :class:`~dantetw.threads.Threads`.
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

        :returns: fires with None if it has none; fails with :class:`ResolveError` if nobody could
            say.
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
        """Empty the cache; what is under way now will not be kept either (SIGHUP)."""
        self._kept.clear()
        self._searches.clear()

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
        """Wait for a look-up, which is begun unless it is under way."""
        under_way = self._searches.get(key)
        if under_way is not None:
            return under_way.wait()
        search = _Search(lambda: self._abandon(key, search))
        try:
            search.job = self._threads.submit(
                thd_ask, lambda result: self._found(key, search, name, result), owner
            )
        except BusyError:
            return _failed("EAI_AGAIN", name)
        self._searches[key] = search
        return search.wait()

    def _abandon(self, key: _Key, search: _Search) -> None:
        # If a thread has it already, let it end: whoever asks next should not start another.
        if self._threads.withdraw(search.job):
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
            search.fail(_error(result, name))
        elif not result and key[0] != _REVERSE:
            search.fail(_known_error("EAI_NODATA", name))
        else:
            if current:
                self._keep(key, result)
            search.succeed(result)


class Answers:
    """
    What the rules may know: interfaces at once, names and addresses from the resolver's cache.

    A :class:`~dantetw.rules.addresses.Known`.

    :param interfaces: the numeric addresses an interface has now, by its name.
    """

    def __init__(self, resolver: Resolver, interfaces: Callable[[str], Sequence[str]]) -> None:
        self._resolver = resolver
        self._interfaces = interfaces

    def get(self, lookup: Lookup, /) -> tuple[str, ...] | None:
        """See :meth:`dantetw.rules.addresses.Known.get`."""
        if lookup.kind is LookupKind.FORWARD:
            return self._resolver.cached(lookup.name)
        if lookup.kind is LookupKind.REVERSE:
            return self._resolver.cached_reverse(lookup.name)
        return tuple(self._interfaces(lookup.name))

    async def decide_waiting(
        self,
        decide: Callable[[Known], _Decision | Lookup],
        failed: Callable[[ResolveError], None],
        owner: str = "",
    ) -> _Decision:
        """
        Decide, looking up what is missing.

        Most decisions hang on no look-up.  Ask directly first, which costs no coroutine::

            decision = decide(answers)
            if isinstance(decision, Lookup):
                decision = await answers.decide_waiting(decide, failed)

        It comes to an end: each round answers one question that was not answered before, and the
        rules of a policy ask only so many.  How long that may take is up to who waits.

        :param decide: takes a decision with what is known.
        :param failed: told of each look-up that failed.  The rule that asked is then treated as if
            its name had no address: it does not match.
        :param owner: as for :meth:`Resolver.resolve`.
        """
        round_ = _Round(self)
        while isinstance(decision := decide(round_), Lookup):
            assert decision not in round_.answers, decision
            try:
                round_.answers[decision] = await self._answer(decision, owner)
            except ResolveError as error:
                round_.answers[decision] = ()
                failed(error)
        return decision

    async def _answer(self, lookup: Lookup, owner: str) -> tuple[str, ...]:
        if lookup.kind is LookupKind.FORWARD:
            return await self._resolver.resolve(lookup.name, owner=owner)
        assert lookup.kind is LookupKind.REVERSE  # ``get`` always knows interfaces
        name = await self._resolver.reverse(lookup.name, owner)
        return () if name is None else (name,)


class _Round:
    """
    The answers one decision has waited for, and behind them what is known anyway.

    They must not come from the cache alone: failures are not in it, and answers may leave it
    before the decision is taken.
    """

    __slots__ = ("_behind", "answers")

    def __init__(self, behind: Known) -> None:
        self._behind = behind
        self.answers: dict[Lookup, tuple[str, ...]] = {}

    def get(self, lookup: Lookup, /) -> tuple[str, ...] | None:
        answer = self.answers.get(lookup)
        return self._behind.get(lookup) if answer is None else answer


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
        # A hostile AAAA record may map an IPv4 address; Endpoint.of unmaps it.
        endpoint = Endpoint.of(entry[4])
        if endpoint.family in families:
            addresses[endpoint.host] = None
            if len(addresses) == ADDRESSES:
                break
    return tuple(addresses)


def _known_error(symbol: str, name: str) -> ResolveError:
    return ResolveError(symbol, EAI_WORDS[symbol], name)


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
    # Our own mistake: say so, and let the client hear only that the name did not resolve.
    _log.failure("look-up failed", failure)
    return _known_error("EAI_FAIL", name)
