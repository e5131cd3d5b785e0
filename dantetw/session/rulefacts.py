"""
The facts that rules depend on: those that are known, and look-ups for those that are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from dantetw.net.lookups import ResolveError
from dantetw.net.resolving import Resolver
from dantetw.rules.addresses import Known, Lookup, LookupKind

#: Names that are looked up before a client needs them: a few threads' worth.
PREPARED: Final = 64

_Decision = TypeVar("_Decision")


class RuleFacts:
    """
    What is known now: the addresses of interfaces, and names and addresses that the resolver's
    cache has (a :class:`~dantetw.rules.addresses.Known`).

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

    def prepare(self, names: Iterable[str]) -> None:
        """
        Look names up in advance, so that clients wait less: the first ones in alphabetical order,
        an arbitrary choice.
        """
        for name in sorted(names)[:PREPARED]:
            self._resolver.resolve(name).addErrback(lambda failure: failure.trap(ResolveError))

    async def decide_waiting(
        self,
        decide: Callable[[Known], _Decision | Lookup],
        failed: Callable[[ResolveError], None],
        owner: str = "",
        known: GatheredFacts | None = None,
    ) -> _Decision:
        """
        Decide, looking up what is missing.

        Most decisions depend on no look-up.  Decide directly first, which costs no coroutine::

            decision = decide(facts)
            if isinstance(decision, Lookup):
                decision = await facts.decide_waiting(decide, failed)

        This terminates: each round answers one open question, and the rules of a policy have
        finitely many.  The caller sets the time limit.

        :param decide: takes a decision with what is known.
        :param failed: called with the error of each look-up that fails.  The rule is then treated
            as if its name had no address: it does not match.
        :param owner: as for :meth:`Resolver.resolve`.
        :param known: what decisions before this one have waited for; None: there were none.
        """
        if known is None:
            known = GatheredFacts(self)
        while isinstance(decision := decide(known), Lookup):
            assert decision not in known.answers, decision
            try:
                known.answers[decision] = await self._answer(decision, owner)
            except ResolveError as error:
                known.answers[decision] = ()
                failed(error)
        return decision

    async def _answer(self, lookup: Lookup, owner: str) -> tuple[str, ...]:
        if lookup.kind is LookupKind.FORWARD:
            return await self._resolver.resolve(lookup.name, owner=owner)
        assert lookup.kind is LookupKind.REVERSE  # ``get`` always knows interfaces
        name = await self._resolver.reverse(lookup.name, owner)
        return () if name is None else (name,)


class GatheredFacts:
    """
    The answers one decision has waited for, or several that belong together, and behind them what
    is known anyway.

    The cache alone does not suffice: it has no failures, and entries may expire before the decision
    is made.
    """

    __slots__ = ("_behind", "answers")

    def __init__(self, behind: Known) -> None:
        self._behind = behind
        self.answers: dict[Lookup, tuple[str, ...]] = {}

    def get(self, lookup: Lookup, /) -> tuple[str, ...] | None:
        answer = self.answers.get(lookup)
        return self._behind.get(lookup) if answer is None else answer
