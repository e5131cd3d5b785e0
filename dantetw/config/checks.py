"""
Checks of the configuration as a whole, those that Dante makes.
"""

from __future__ import annotations

from dantetw.config.machine import Machine
from dantetw.config.report import Report
from dantetw.config.settings import Settings
from dantetw.policy import Policy, Rotation
from dantetw.values import Method


def check_policy(policy: Policy, settings: Settings, system: Machine, report: Report) -> None:
    """Note what is missing and what does not fit together."""
    _check_methods(policy, report)
    if system.effective_root and "user.unprivileged" not in report.attempted:
        user = policy.users.unprivileged
        if user is None or user == "root":
            report.warning(
                None,
                "checkconfig(): setting the unprivileged uid to 0 is not recommended for security "
                "reasons",
            )
    if not policy.internal and "internal" not in report.attempted:
        report.error(
            None,
            "checkconfig(): no internal address given for server to listen for clients on",
            '"internal: ADDRESS port = 1080"',
        )
    if not policy.external and "external" not in report.attempted:
        report.error(
            None,
            "checkconfig(): no external address specified for server to use when forwarding data "
            "on behalf of clients",
            '"external: ADDRESS" or "external: INTERFACE"',
        )
    _check_rotation(policy, report)
    if settings.maxfail == 0 and settings.badexpire != 0:
        report.warning(
            None,
            'checkconfig(): it does not make sense to set "route.badexpire" when "route.maxfail" '
            "is set to zero",
        )


def _check_methods(policy: Policy, report: Report) -> None:
    methods = policy.authentication.socks_methods
    if not methods and "socksmethod" not in report.attempted and "method" not in report.attempted:
        report.warning(
            None,
            "checkconfig(): no socks authentication methods enabled.  This means all socks "
            "requests will be blocked after negotiation.  Perhaps this is not intended?",
        )
    if Method.NONE in methods[:-1]:
        following = methods[methods.index(Method.NONE) + 1]
        report.warning(
            None,
            'authentication method "none" is configured in the global socksmethod list, but since '
            "authentication methods are selected by the priority given, we will never try to match "
            "any of the subsequent authentication methods.  I.e., no match will ever be attempted "
            f'on the next method, method "{following.value}"',
        )


def _check_rotation(policy: Policy, report: Report) -> None:
    several = len(policy.external) > 1
    if several and policy.rotation is Rotation.NONE:
        report.advice_at(
            policy.external[1].where,
            "more than one external address has been specified, but as long as external.rotation "
            'has the default value "none" only the first address specified will be used',
        )
    if len(policy.external) == 1 and policy.rotation is Rotation.SAME_SAME:
        report.warning(
            None,
            "checkconfig(): rotation for external addresses is set to same-same, but the number of "
            "external addresses is only one, so this does not make sense",
        )
