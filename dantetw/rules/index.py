"""
Finds the few rules that may match, of thousands, without trying the others.

A rule whose ``from`` or ``to`` is a net can match only addresses with the net's prefix.  So rules
are indexed by their nets: for each pair of masks that occurs, a dictionary from the numbers of both
nets to the rules.  A question looks into each of these with its own two numbers, masked. However
many rules there are, the pairs of masks are few, usually fewer than ten.

A rule may be left out only if it fails without side effects, so that leaving it out makes no
difference.  Hence:

- Only ``0/0`` and nets are indexed, since matching them needs no look-up.  A rule with a host
  name, a domain or an interface may match anything, and is always tried, in its place in the
  order: it may need a look-up.
- A rule's ``to`` counts only if its ``from`` is one of those two, or the look-up that its ``from``
  would ask for would no longer be asked for.
- For a target that is a name, the nets of all its addresses are looked into; if they are not known
  yet, and for a request without a target, ``to`` does not count.

All other conditions are left to :mod:`.decision`, which tries the rules found, in the order of the
file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import merge
from typing import Final

from dantetw.policy import Address, HostKind, Policy, Rule, RuleKind
from dantetw.rules.addresses import Subject
from dantetw.values import Family

#: Rules that are tried faster than found.
FEW: Final = 12

#: Conditions that never need a look-up if the client or target is an address.
_SURE: Final = frozenset((HostKind.ANY, HostKind.NET))
#: The key of what fits any number: nothing is left of it by this mask.
_ALL: Final = (0, 0)

#: The places of rules, in order, by the numbers of their nets; of each pair of masks.
_Table = list[tuple[int, int, dict[tuple[int, int], list[int]]]]


class Index:
    """
    One list of rules, in the order of the file.

    Tables are made when the first question of their kind comes: of IPv4 clients for IPv6 targets,
    say.
    """

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules
        self._tables: dict[tuple[Family, Family | None], _Table] = {}

    def candidates(
        self, source: Subject, target: Subject | None, resolved: bool, fake: bool
    ) -> Iterable[Rule]:
        """
        The rules that may match, each once, in order: all others fail without a look-up.

        :param resolved: the addresses of a target that is a name are known.
        :param fake: ``resolveprotocol: fake``: a name fits no net.
        """
        family = source.family
        if family is Family.NAME:
            return self._rules
        found: list[list[int]] = []
        if target is None or (target.family is Family.NAME and not (resolved or fake)):
            self._find(family, None, source.number, 0, found)
        else:
            self._find(family, Family.NAME, source.number, 0, found)
            if target.family is not Family.NAME:
                self._find(family, target.family, source.number, target.number, found)
            elif not fake:
                for its_family, number, _ in target.numbers(_NOTHING):
                    if its_family is not Family.NAME:
                        self._find(family, its_family, source.number, number, found)
        if len(found) == 1:
            return map(self._rules.__getitem__, found[0])
        return self._merged(found)

    def _find(
        self,
        family: Family,
        target_family: Family | None,
        source: int,
        target: int,
        found: list[list[int]],
    ) -> None:
        table = self._tables.get((family, target_family))
        if table is None:
            table = _table(self._rules, family, target_family)
            self._tables[family, target_family] = table
        for source_mask, target_mask, places in table:
            there = places.get((source & source_mask, target & target_mask))
            if there is not None:
                found.append(there)

    def _merged(self, found: list[list[int]]) -> Iterator[Rule]:
        last = -1
        for place in merge(*found):
            if place != last:  # two addresses of a name may lie in one net
                yield self._rules[place]
            last = place


#: Nothing is looked up here.
_NOTHING: Final[Mapping[object, tuple[str, ...]]] = {}


def _table(rules: tuple[Rule, ...], family: Family, target_family: Family | None) -> _Table:
    """
    The rules for sources of a family.

    :param target_family: those among them whose ``to`` is a net of this family; ``Family.NAME``:
        whose ``to`` does not count; None: all, as if no ``to`` did.
    """
    by_masks: dict[tuple[int, int], dict[tuple[int, int], list[int]]] = {}
    for place, rule in enumerate(rules):
        source = _net(rule.source, family)
        target: tuple[int, int] | None = _ALL
        if target_family is not None:
            counts = rule.target.kind is HostKind.NET and rule.source.kind in _SURE
            if counts is (target_family is Family.NAME):
                continue
            if counts:
                target = _net(rule.target, target_family)
        if source is None or target is None:
            continue
        places = by_masks.setdefault((source[0], target[0]), {})
        places.setdefault((source[1], target[1]), []).append(place)
    return [(*masks, places) for masks, places in by_masks.items()]


def _net(address: Address, family: Family) -> tuple[int, int] | None:
    """Mask and number that an address of a family must have; None: it cannot fit."""
    if address.kind is not HostKind.NET:
        return _ALL
    return (address.mask, address.network) if address.family is family else None


def index_of(policy: Policy, kind: RuleKind) -> Index:
    """The index of a policy's rules of a kind, made when it is first asked for."""
    index = policy.indexes.get(kind)
    if index is None:
        rules = policy.client_rules if kind is RuleKind.CLIENT else policy.socks_rules
        index = policy.indexes[kind] = Index(rules)
    assert isinstance(index, Index)
    return index
