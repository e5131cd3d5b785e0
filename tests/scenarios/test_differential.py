"""Scenario: random rules and requests, on Dante and here (:mod:`tests.differential`)."""

from __future__ import annotations

import os

from twisted.trial.unittest import SkipTest

from tests.differential.__main__ import settled
from tests.differential.known import why
from tests.differential.running import missing
from tests.scenarios.running import REQUIRED, Scenario

#: Always the same rules and requests.
SEED, REQUESTS = 12, 60


class DifferentialScenarios(Scenario):
    """Both servers side by side."""

    def setUp(self) -> None:
        super().setUp()
        self.needs_root()
        if lacking := missing():
            if os.environ.get(REQUIRED) and "is not installed" in lacking:
                self.fail(f"{lacking}, and {REQUIRED} is set")
            raise SkipTest(lacking)

    def compare(self, number: int) -> None:
        """Compare with one configuration."""
        differences, said = settled(self.folder / "runs", SEED, number, REQUESTS)
        self.assertEqual(said, [])
        unknown = [str(difference) for difference in differences if not why(difference)]
        self.assertEqual(unknown, [], "\n".join(unknown))

    def test_first(self) -> None:
        """Decisions, replies and lines are the same, but for what differs on purpose."""
        self.compare(0)

    def test_second(self) -> None:
        """Likewise with another configuration."""
        self.compare(1)
