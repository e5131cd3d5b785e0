"""
Which failures of the network are worth a warning: ``internal.log`` and ``external.log``.
"""

from __future__ import annotations

from dantetw.config.policy import Edge, Policy
from dantetw.values import Severity


class ErrorFilters:
    """
    The ``SIDE.log.LEVEL.error`` lines of one policy, ready to be asked.

    A symbol that stands at several levels is reported once, at the most severe of them.
    """

    def __init__(self, policy: Policy) -> None:
        self._severities: dict[tuple[Edge, str], Severity] = {}
        for entry in policy.error_filters:
            for symbol in entry.symbols:
                key = entry.edge, symbol
                self._severities[key] = min(
                    entry.severity, self._severities.get(key, Severity.DEBUG)
                )

    def severity(self, edge: Edge, symbol: str) -> Severity:
        """The level to report this error at: :attr:`Severity.DEBUG` if no line names it."""
        return self._severities.get((edge, symbol), Severity.DEBUG)
