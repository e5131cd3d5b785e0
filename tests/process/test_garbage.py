"""Tests of :mod:`dantetw.process.garbage`."""

from __future__ import annotations

from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from dantetw.process import garbage


class GarbageTests(SynchronousTestCase):
    """What collectors of either kind are told."""

    def collector(self, *names: str) -> list[tuple[object, ...]]:
        """Have one with these functions; their calls."""
        calls: list[tuple[object, ...]] = []
        functions = {name: lambda *how, name=name: calls.append((name, *how)) for name in names}
        self.patch(garbage, "gc", SimpleNamespace(**functions))
        return calls

    def test_telling(self) -> None:
        """One that can be told leaves alone what there is, collecting only in order to settle."""
        calls = self.collector("collect", "freeze", "set_threshold")
        garbage.leave_alone()
        self.assertEqual(calls, [("freeze",)])
        garbage.settle(7)
        self.assertEqual(calls[1:], [("collect",), ("freeze",), ("set_threshold", 7)])

    def test_not_telling(self) -> None:
        """One that only collects leaves no garbage for later."""
        calls = self.collector("collect")
        garbage.leave_alone()
        self.assertEqual(calls, [("collect",)])
        garbage.settle(7)
        self.assertEqual(set(calls), {("collect",)})
