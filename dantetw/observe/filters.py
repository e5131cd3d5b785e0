"""
Which failures of the network are worth a warning: ``internal.log`` and ``external.log``.
"""

from __future__ import annotations

from collections.abc import Iterable

from dantetw.policy import Edge, ErrorFilter, Policy, Rule
from dantetw.values import Severity


class ErrorFilters:
    """
    The ``SIDE.log.LEVEL.error`` lines of one policy, ready to be asked.

    A failure is reported once, at the most severe of all levels that list its symbol: in the
    global lines, and in those of the rules that its session is under.
    """

    def __init__(self, policy: Policy) -> None:
        self._filters = policy.logging.error_filters

    def severity(self, edge: Edge, symbol: str, rules: Iterable[Rule] = ()) -> Severity:
        """
        The level to report this error at: :attr:`Severity.DEBUG` if no line names it.

        :param symbol: an ``errno`` or ``EAI_`` name, as :mod:`dantetw.net.errors` has it.
        :param rules: those of the session, whose own lines count too.
        """
        found = _severity(self._filters, edge, symbol)
        for rule in rules:
            found = min(found, _severity(rule.error_filters, edge, symbol))
        return found


def _severity(filters: Iterable[ErrorFilter], edge: Edge, symbol: str) -> Severity:
    # Only failures get here, and configurations have few such lines.
    levels = (entry.severity for entry in filters if entry.edge is edge and symbol in entry.symbols)
    return min(levels, default=Severity.DEBUG)
