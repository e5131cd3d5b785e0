"""
Our own warnings, in addition to Dante's: what is legal but probably not meant.

They look at the finished policy, and are given only where they are certain.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from dantetw.config.addresses import packed
from dantetw.config.report import Report
from dantetw.policy import Address, HostKind, Policy, PortSet, Rule, RuleKind
from dantetw.values import (
    LOG_CONNECT,
    LOG_DATA,
    LOG_DISCONNECT,
    LOG_ERROR,
    LOG_IOOP,
    Command,
    Family,
    Method,
    Verdict,
    is_loopback,
)

#: What a client from outside should not reach through us: ourselves, and the address at which
#: clouds give credentials to every process of the machine (169.254.169.254, RFC 3927 space).
_SENSITIVE: Final = ("127.0.0.1", "::1", "169.254.169.254")
_TRAFFIC: Final = frozenset((Command.CONNECT, Command.UDPASSOCIATE))
#: A refusal is logged if the rule logs one of these; with ``error`` alone it is not (as in Dante).
_LOG_REFUSALS: Final = LOG_CONNECT | LOG_DISCONNECT | LOG_IOOP | LOG_DATA
#: Failed logins are logged if the client rule logs one of these.
_LOG_LOGINS: Final = LOG_ERROR | LOG_DISCONNECT
_PASSWORDS: Final = frozenset((Method.USERNAME, Method.PAM_USERNAME))
_REQUESTS: Final = frozenset((Command.CONNECT, Command.BIND, Command.UDPASSOCIATE))


def lint(policy: Policy, report: Report) -> None:
    """Report everything doubtful about a policy without errors."""
    _unreachable(policy.client_rules, report)
    _unreachable(policy.socks_rules, report)
    _suffixes(policy, report)
    _unlogged(policy, report)
    _unlogged_logins(policy, report)
    if _listens_outside(policy):
        _open_to_all(policy, report)
        _inward(policy, report)


# Rules that can never match


def ports_cover(wide: PortSet, narrow: PortSet) -> bool:
    """Whether every port that ``narrow`` lets through is let through by ``wide``."""
    if narrow.outside:
        if wide.outside:
            return narrow.low <= wide.low and wide.high <= narrow.high
        return wide.low <= 0 and wide.high >= 65535
    if narrow.low > narrow.high:
        return True
    if wide.outside:
        return narrow.high < wide.low or narrow.low > wide.high
    return wide.low <= narrow.low and narrow.high <= wide.high


def address_covers(wide: Address, narrow: Address) -> bool:
    """Whether certainly everything that ``narrow`` matches is matched by ``wide``."""
    if not ports_cover(wide.ports, narrow.ports):
        return False
    if wide.kind is HostKind.ANY:
        return True
    if wide.kind is not narrow.kind:
        return False
    if wide.kind is HostKind.NET:
        return (
            wide.family is narrow.family
            and wide.mask & narrow.mask == wide.mask
            and narrow.network & wide.mask == wide.network
            and wide.scope == narrow.scope
        )
    if wide.kind is HostKind.DOMAIN:
        return narrow.name.endswith(wide.name)
    return wide.name == narrow.name


def rule_covers(wide: Rule, narrow: Rule) -> bool:
    """
    Whether certainly every request that ``narrow`` matches is matched by ``wide``.

    A UDP ASSOCIATE has no target yet: a block rule counts for it only if its ``to`` covers
    everything.
    """
    if (
        wide.verdict is Verdict.BLOCK
        and Command.UDPASSOCIATE in narrow.commands
        and not (wide.target.kind is HostKind.ANY and ports_cover(wide.target.ports, PortSet()))
    ):
        return False
    return (
        narrow.commands <= wide.commands
        and narrow.protocols <= wide.protocols
        and narrow.proxy_protocols <= wide.proxy_protocols
        and set(narrow.client_methods) <= set(wide.client_methods)
        # The methods that a client rule offers are no condition.
        and (
            Command.ACCEPT in narrow.commands
            or set(narrow.socks_methods) <= set(wide.socks_methods)
        )
        and _names_cover(wide.users, narrow.users)
        and _names_cover(wide.groups, narrow.groups)
        and address_covers(wide.source, narrow.source)
        and address_covers(wide.target, narrow.target)
    )


def _names_cover(wide: frozenset[str], narrow: frozenset[str]) -> bool:
    return not wide or (bool(narrow) and narrow <= wide)


_Key = tuple[HostKind, Family, int, int, str]


def _key(address: Address) -> _Key:
    return (address.kind, address.family, address.network, address.mask, address.name)


class _Covering:
    """
    Earlier rules by their addresses, so that a file of thousands of rules need not be compared
    each with each: those that can cover an address have one of few keys.
    """

    def __init__(self) -> None:
        self._rules: dict[tuple[_Key, _Key], list[Rule]] = {}
        self._masks: dict[Family, set[int]] = {Family.IPV4: set(), Family.IPV6: set()}

    def add(self, rule: Rule) -> None:
        for address in (rule.source, rule.target):
            if address.kind is HostKind.NET:
                self._masks[address.family].add(address.mask)
        same = self._rules.setdefault((_key(rule.source), _key(rule.target)), [])
        # Many rules with the same addresses differ in what they are about, not in thousands.
        if len(same) < 32:
            same.append(rule)

    def candidates(self, rule: Rule) -> Iterator[Rule]:
        targets = list(self._keys(rule.target))
        for source in self._keys(rule.source):
            for target in targets:
                yield from self._rules.get((source, target), ())

    def _keys(self, address: Address) -> Iterator[_Key]:
        yield (HostKind.ANY, Family.NAME, 0, 0, "")
        if address.kind is HostKind.NET:
            for mask in self._masks[address.family]:
                if mask & address.mask == mask:
                    yield (HostKind.NET, address.family, address.network & mask, mask, "")
        elif address.kind is HostKind.DOMAIN:
            for start in range(len(address.name) + 1):
                yield (HostKind.DOMAIN, Family.NAME, 0, 0, address.name[start:])
        elif address.kind is not HostKind.ANY:
            yield _key(address)


def _unreachable(rules: Iterable[Rule], report: Report) -> None:
    earlier = _Covering()
    for rule in rules:
        for other in earlier.candidates(rule):
            if rule_covers(other, rule):
                report.advice_at(
                    rule.where,
                    f"this {rule.kind.value} rule can never match: {other.kind.value} rule "
                    f"#{other.number} on line {other.where.line} matches all that it could",
                )
                break
        else:
            earlier.add(rule)


# As in Dante, but surprising


def _suffixes(policy: Policy, report: Report) -> None:
    """Report once that a domain is compared without regard to where a label begins."""
    for rule in (*policy.client_rules, *policy.socks_rules):
        for address in (rule.source, rule.target):
            # With two dots the label's beginning is compared too; a lone dot is every name.
            if address.kind is HostKind.DOMAIN and address.name and address.name[0] != ".":
                report.remark_at(
                    address.where,
                    f'"{address.text}" also matches "{address.name}" and "not{address.name}", as'
                    " in Dante",
                    f'".{address.text}" for subdomains only, "{address.name}" for the host itself',
                )
                return


def _unlogged(policy: Policy, report: Report) -> None:
    """Report once that requests which no rule matches are refused without a log line."""
    for rules in (policy.client_rules, policy.socks_rules):
        if not rules:
            continue
        last = rules[-1]
        if not _is_last_word(last):
            if not policy.default_log & _LOG_REFUSALS:
                report.remark_at(
                    last.where,
                    f"what no {last.kind.value} rule matches is refused without a line in the"
                    " log, as in Dante",
                    '"log.unmatched: connect" among the settings, or a last rule that blocks'
                    " the rest and has a log",
                )
                return
        elif last.verdict is Verdict.BLOCK and not last.log & _LOG_REFUSALS:
            report.remark_at(
                last.where,
                "what this rule blocks leaves no line in the log, as in Dante",
                '"log: connect" in the rule',
            )
            return


def _unlogged_logins(policy: Policy, report: Report) -> None:
    """Report once that wrong passwords are not logged: fail2ban, for one, would not see them."""
    for rule in policy.client_rules:
        if rule.verdict is Verdict.BLOCK or _only_from_here(rule.source):
            continue  # what comes from this host only is a health check, or its owner's
        if _PASSWORDS.intersection(rule.socks_methods) and not rule.log & _LOG_LOGINS:
            report.remark_at(
                rule.where,
                "failed logins under this rule leave no line in the log, as in Dante",
                '"log: error" in the rule',
            )
            return


def _is_last_word(rule: Rule) -> bool:
    """Whether nothing is left for the built-in block rule behind this one."""
    return (
        _is_everything(rule.source)
        and _is_everything(rule.target)
        and (rule.kind is RuleKind.CLIENT or rule.commands >= _REQUESTS)
        and not rule.users
        and not rule.groups
    )


# Open proxies


def _listens_outside(policy: Policy) -> bool:
    return any(
        not is_loopback(endpoint.host)
        for internal in policy.internal
        for endpoint in internal.listens
    )


def _is_everything(address: Address) -> bool:
    """Any port of any address, of IPv4 at least."""
    if not ports_cover(address.ports, PortSet()):
        return False
    return address.kind is HostKind.ANY or (
        address.kind is HostKind.NET and address.family is Family.IPV4 and address.mask == 0
    )


def _open_to_all(policy: Policy, report: Report) -> None:
    if not _admits_all(policy.client_rules):
        return
    for rule in policy.socks_rules:
        if not (_is_everything(rule.source) and _is_everything(rule.target)):
            continue
        if Command.CONNECT not in rule.commands:
            continue
        if rule.verdict is Verdict.BLOCK:
            return
        if Method.NONE in rule.socks_methods and not rule.users and not rule.groups:
            report.advice_at(
                rule.where,
                "this server passes everything from everywhere without authentication: anybody who "
                "reaches it can use it, and will",
            )
            return


def _admits_all(rules: Sequence[Rule]) -> bool:
    """Whether some client rule passes every client, and offers the method none."""
    for rule in rules:
        if _is_everything(rule.source) and Method.NONE in rule.client_methods:
            if rule.verdict is Verdict.PASS:
                return Method.NONE in rule.socks_methods
            return False
    return False


def _inward(policy: Policy, report: Report) -> None:
    """Report once which sensitive addresses clients from outside can reach."""
    left = list(_SENSITIVE)
    for rule in policy.socks_rules:
        if not rule.commands & _TRAFFIC or not rule.socks_methods:
            continue
        hit = [address for address in left if _reaches(rule.target, address)]
        if rule.verdict is Verdict.BLOCK:
            # What it blocks exactly does not matter: the operator has thought of it.
            left = [address for address in left if address not in hit]
        elif hit and not _only_from_here(rule.source):
            report.advice_at(
                rule.where,
                f"clients from outside can reach {' '.join(hit)} through this rule; a socks block "
                "rule before it would prevent that",
            )
            return


def _only_from_here(source: Address) -> bool:
    if source.kind is HostKind.INTERFACE:
        return source.name.startswith("lo")
    if source.kind is not HostKind.NET:
        return source.name == "localhost"
    bits = 32 if source.family is Family.IPV4 else 128
    width = bits // 8
    first = ipaddress.ip_address(source.network.to_bytes(width, "big"))
    return first.is_loopback and bin(source.mask).count("1") >= (8 if bits == 32 else 128)


def _reaches(target: Address, address: str) -> bool:
    """Whether a rule's target includes a numeric address, on some port."""
    if target.kind is HostKind.ANY:
        return True
    if target.kind is HostKind.NET:
        number = packed(address, target.family)
        if number is None:
            return False
        return int.from_bytes(number, "big") & target.mask == target.network
    if target.kind is HostKind.INTERFACE:
        return target.name.startswith("lo") and is_loopback(address)
    return target.name == "localhost" and is_loopback(address)
