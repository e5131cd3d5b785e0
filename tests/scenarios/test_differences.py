"""Scenarios: what ``docs/differences.rst`` says of Dante is what Dante does."""

from __future__ import annotations

from tests.differing import ERROR, SAMPLES
from tests.scenarios.running import Scenario


class DifferenceScenarios(Scenario):
    """``danted`` reads the files that show how we differ."""

    def test_configurations(self) -> None:
        """It takes those that the samples say it takes, and refuses the others."""
        danted = self.program("danted")
        for row, sample in SAMPLES.items():
            if sample.danted is None:
                continue
            path = self.folder / "danted.conf"
            path.write_bytes(sample.data)
            done = self.run_program([danted, "-V", "-f", str(path)])
            said = done.stdout + done.stderr
            self.assertEqual(done.returncode != 0, sample.danted == ERROR, (row, said))
