"""
The duty of a container's first process: to wait for processes whose parents have ended.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.task import LoopingCall

#: Seconds between two checks.
INTERVAL_SECONDS: Final = 5.0
#: The process that inherits orphans (:manpage:`pid_namespaces(7)`).
INIT: Final = 1


class Orphans(Service):
    """
    Reaps orphans if we are process 1.

    Their parents have ended, the kernel made them ours, and each leaves a place in the table of
    processes behind.  Our own children are waited for at once by the code that started them.  So a
    child counts as an orphan when it was dead at two checks: no exit status that is still wanted is
    taken away.

    :param reactor: keeps the time; default: Twisted's.
    """

    def __init__(self, reactor: Any = None) -> None:
        self._reactor = reactor
        self._looking: LoopingCall | None = None
        self._dead: frozenset[int] = frozenset()

    def startService(self) -> None:
        """Begin, in the background's process if there is one."""
        super().startService()  # type: ignore[no-untyped-call]
        if os.getpid() != INIT:
            return
        if self._reactor is None:
            from twisted.internet import reactor

            self._reactor = reactor
        self._looking = LoopingCall(self.look)
        self._looking.clock = self._reactor
        self._looking.start(INTERVAL_SECONDS, now=False)

    def stopService(self) -> None:
        """End with the server: the kernel ends all processes of the container then."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._looking is not None and self._looking.running:
            self._looking.stop()

    def look(self) -> None:
        """Reap those that were dead at the last look, and are so still."""
        dead = _dead_children()
        for pid in dead & self._dead:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        self._dead = dead - self._dead


def _dead_children() -> frozenset[int]:
    """Our children that are dead and have not been waited for."""
    ours, found = str(os.getpid()), set()
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError):
                state, parent = (
                    Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:2]
                )
                if state == "Z" and parent == ours:
                    found.add(int(name))
    return frozenset(found)
