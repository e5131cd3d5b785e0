"""
Noticing that the privileged helper has ended.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer


def words_of(status: int) -> str:
    """How a process has ended, of what :func:`os.waitpid` says."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"with status {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"


@implementer(IReadDescriptor)
class HelperWatch:
    """
    Waits for the other end of the door to be closed, which happens when the helper ends.

    :param process: the helper's process id, a child of ours.
    :param report: called with how it ended, in words.
    """

    def __init__(
        self, reactor: Any, door: socket.socket, process: int, report: Callable[[str], None]
    ) -> None:
        self._reactor = reactor
        self._door = door
        self._process = process
        self._report = report
        reactor.addReader(self)

    def stop(self) -> None:
        """Wait no more."""
        self._reactor.removeReader(self)

    def fileno(self) -> int:
        """The door's descriptor."""
        return self._door.fileno()

    def doRead(self) -> None:
        """Nothing ever comes but the end."""
        self.stop()
        try:
            # It closes the door by ending: there is nothing to wait for but the kernel.
            _, status = os.waitpid(self._process, 0)
        except ChildProcessError:
            self._report("in an unknown way")
        else:
            self._report(words_of(status))

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has found the end in another way."""
        self.doRead()

    def logPrefix(self) -> str:
        """See ``ILoggingContext``."""
        return "privileged helper"
