"""Runs the fuzz targets over their seeds, as they are and cut short: no Atheris is needed."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from fuzz import configuration, wire
from fuzz.driver import SEEDS, seeds


class SeedTests(SynchronousTestCase):
    """What fuzzing begins with holds already."""

    def check(self, name: str, target: Callable[[bytes], None], step: int = 1) -> None:
        """A target passes its seeds, and every ``step`` bytes the beginning of each."""
        names = []
        for seed, data in seeds(name):
            names.append(seed)
            with self.subTest(seed):
                for end in (*range(0, len(data), step), len(data)):
                    target(data[:end])
        self.assertGreater(len(names), 10)

    def test_wire(self) -> None:
        """Whatever of the seeds a client sends is a request, an error, or not all of it."""
        self.check(wire.NAME, wire.one_input)

    def test_configuration(self) -> None:
        """Whatever of the seeds stands in a file is a policy, or errors with their places."""
        self.check(configuration.NAME, configuration.one_input, 23)

    def test_known(self) -> None:
        """Each folder of seeds belongs to a target."""
        folders = {path.name for path in SEEDS.iterdir()}
        self.assertEqual(folders, {wire.NAME, configuration.NAME})
