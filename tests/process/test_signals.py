"""Tests of :mod:`dantetw.process.signals`."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dantetw.process import signals


class _Queueing:
    """A reactor that keeps what is to be called from its main loop."""

    def __init__(self) -> None:
        self.queue: list[Callable[[], None]] = []

    def callFromThread(self, call: Callable[..., None], *args: Any) -> None:  # noqa: N802
        self.queue.append(lambda: call(*args))


# A signal that comes after the reactor has set its handlers and before we have ours again.
_STARTING = """\
import os, signal
from twisted.internet import reactor
from dantetw.process import signals

def stop(number):
    print("heard", number)
    reactor.stop()

def catch():
    signals.install(reactor, stop, None, None)

catch()
reactor.addSystemEventTrigger("during", "startup", os.kill, os.getpid(), signal.SIGTERM)
signals.keep(reactor, catch)
reactor.run()
print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""


class StartTests(SynchronousTestCase):
    """Signals while the reactor starts."""

    def test_kept(self) -> None:
        """A stopping signal that comes amid the start stops, as later; none stays blocked."""
        run = subprocess.run(
            [sys.executable, "-c", _STARTING], capture_output=True, text=True, timeout=60
        )
        self.assertEqual((run.stdout, run.stderr), (f"heard {signal.SIGTERM:d}\nset()\n", ""))


class SignalTests(SynchronousTestCase):
    """Who is called for which signal."""

    def setUp(self) -> None:
        self.installed: dict[int, Callable[[int, Any], None]] = {}
        self.patch(signal, "signal", self.installed.__setitem__)
        self.reactor = _Queueing()
        self.calls: list[object] = []
        signals.install(
            self.reactor,
            self.calls.append,
            lambda: self.calls.append("reload"),
            lambda: self.calls.append("status"),
        )

    def receive(self, number: int) -> list[object]:
        """Let a signal come; what was called, which must not be before the loop's turn."""
        self.calls.clear()
        self.installed[number](number, None)
        self.assertEqual(self.calls, [])
        for call in self.reactor.queue:
            call()
        self.reactor.queue.clear()
        return self.calls

    def test_stopping(self) -> None:
        """SIGTERM, SIGINT and SIGQUIT stop, and tell which it was."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            self.assertEqual(self.receive(number), [number])

    def test_reload(self) -> None:
        """SIGHUP reloads."""
        self.assertEqual(self.receive(signal.SIGHUP), ["reload"])

    def test_status(self) -> None:
        """SIGUSR1 asks for the status."""
        self.assertEqual(self.receive(signal.SIGUSR1), ["status"])

    def test_others(self) -> None:
        """No other signal is touched, but for SIGALRM, which Dante too outlives."""
        known = {*signals.STOPPING, *signals.STATUS, signal.SIGHUP, signal.SIGALRM}
        self.assertEqual(set(self.installed), known)
        self.assertEqual(self.installed[signal.SIGALRM], signal.SIG_IGN)
