"""
A policy in words, with which an operator can check how a file was understood (``debug``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum

from dantetw.config.keywords.filters import LEVEL_NAMES
from dantetw.config.keywords.logging import log_words
from dantetw.policy import Address, Output, Policy, Rule, RuleKind, Timeouts
from dantetw.values import PAM_METHODS, Method

_LEVELS = {severity: name for name, severity in LEVEL_NAMES.items()}


def describe(policy: Policy) -> Iterator[str]:
    """The lines that describe a policy, defaults included, in about the order of a file."""
    yield f"config file: {policy.file}"
    for number, internal in enumerate(policy.internal, 1):
        # Unlike in the log, with the zone of a link-local address.
        listens = ", ".join(f"{each.host}.{each.port}" for each in internal.listens) or "nothing"
        yield f"internal #{number}, line {internal.where.line}: {internal.text}: {listens}"
    for number, external in enumerate(policy.external, 1):
        what = f"interface, now {', '.join(external.addresses)}" if external.interface else ""
        what = what or ", ".join(external.addresses)
        yield f"external #{number}, line {external.where.line}: {external.text}: {what}"
    families = _words(policy.external_families)
    yield f"external: families: {families}, external.rotation: {policy.rotation.value}"
    yield f"clientmethod: {_methods(policy.authentication.client_methods)}"
    yield f"socksmethod: {_methods(policy.authentication.socks_methods)}"
    yield (
        f"user.privileged: {policy.users.privileged or 'as started'},"
        f" user.unprivileged: {policy.users.unprivileged or 'as started'}"
    )
    if policy.authentication.username_file is not None:
        yield f"username.file: {policy.authentication.username_file}"
    yield f"timeouts: {_timeouts(policy.timeouts)}"
    yield f"logoutput: {_outputs(policy.logging.outputs)}"
    yield f"errorlog: {_outputs(policy.logging.errors)}"
    yield f"resolveprotocol: {policy.resolve_protocol.value}"
    for option in policy.socket_options:
        yield f"socket option, line {option.where.line}: {option.text}: {option.value}"
    for wanted in policy.logging.error_filters:
        keyword = f"{wanted.edge.value}.log.{_LEVELS[wanted.severity]}.error"
        yield f"{keyword}, line {wanted.where.line}: {' '.join(sorted(wanted.symbols))}"
    for rules in (policy.client_rules, policy.socks_rules):
        for rule in rules:
            yield _rule(rule, policy)


def _rule(rule: Rule, policy: Policy) -> str:
    """One line: all of a rule, whether written or filled in."""
    parts = [
        f"{rule.kind.value}-rule #{rule.number}, line {rule.where.line}: {rule.verdict.word}",
        f"from: {_address(rule.source)}",
        f"to: {_address(rule.target)}",
    ]
    if rule.kind is RuleKind.SOCKS:
        parts.append(f"command: {_words(rule.commands)}")
        parts.append(f"protocol: {_words(rule.protocols)}")
        parts.append(f"proxyprotocol: {_words(rule.proxy_protocols)}")
    parts.append(f"clientmethod: {_methods(rule.client_methods)}")
    parts.append(f"socksmethod: {_methods(rule.socks_methods)}")
    if rule.users:
        parts.append(f"user: {' '.join(sorted(rule.users))}")
    if rule.groups:
        parts.append(f"group: {' '.join(sorted(rule.groups))}")
    if not PAM_METHODS.isdisjoint(rule.client_methods + rule.socks_methods):
        parts.append(f"pam.servicename: {rule.pam_service}")
    if rule.udp.portrange is not None:
        low, high = rule.udp.portrange
        parts.append(f"udp.portrange: {low}-{high}")
    if rule.timeouts != policy.timeouts:
        parts.append(f"timeouts: {_timeouts(rule.timeouts)}")
    parts += [f"{option.text}: {option.value}" for option in rule.socket_options]
    parts.append(f"log: {_log(rule.log)}")
    return "; ".join(parts)


def _address(address: Address) -> str:
    return f"{address.text} {address.ports.text}".rstrip()


def _words(members: Iterable[Enum]) -> str:
    return " ".join(sorted(str(member.value) for member in members)) or "none"


def _methods(methods: Iterable[Method]) -> str:
    # In order: the first that the client supports is chosen.
    return " ".join(method.value for method in methods) or "(none is set)"


def _outputs(outputs: Iterable[Output]) -> str:
    return " ".join(output.text for output in outputs) or "(none is set)"


def _timeouts(timeouts: Timeouts) -> str:
    return (
        f"connect {_seconds(timeouts.connect)}, negotiate {_seconds(timeouts.negotiate)},"
        f" io.tcp {_seconds(timeouts.io_tcp)}, io.udp {_seconds(timeouts.io_udp)},"
        f" tcp_fin_wait {_seconds(timeouts.tcp_fin_wait)}"
    )


def _seconds(number: int) -> str:
    return f"{number} s" if number else "none"


def _log(bits: int) -> str:
    return " ".join(log_words(bits)) or "nothing"
