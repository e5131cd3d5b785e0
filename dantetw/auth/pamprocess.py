"""
Processes that run the program :mod:`.pamworker`.  They are started by the process that has the
privileges PAM takes, and used by the server, which may be another one.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from threading import Thread
from typing import Final

from dantetw.values import value

#: Most processes in all, and for one process of the server.
MOST: Final = 64
MOST_FOR_ONE: Final = 12

#: The option that lists the only services that the program may be asked about.
ONLY: Final = "--only"

_PROGRAM: Final = Path(__file__).with_name("pamworker.py")
# Milliseconds until the starting process notices its end; the one that uses it notices at once.
_INTERVAL: Final = 1000


@value
class PamProcess:
    """
    The descriptors of a process, for the one that uses it.

    :ivar talk: a socket for requests and answers; ``complaints``: one for what it says on standard
        error.
    :ivar leash: the process is killed when this is closed, by whatever end of the server.
    """

    talk: int
    complaints: int
    leash: int

    @property
    def descriptors(self) -> tuple[int, int, int]:
        """All of them."""
        return self.talk, self.complaints, self.leash


def arguments() -> list[str]:
    """The command line.  Without ``-P`` its folder, and our names, would come before PAM's."""
    return [sys.executable, "-P", str(_PROGRAM)]


class PamProcesses:
    """
    The processes that we have started.

    :param command: the command line.
    """

    def __init__(self, command: list[str] | None = None) -> None:
        self._command = arguments() if command is None else command
        # Each, and what it is for.
        self._running: dict[subprocess.Popen[bytes], int] = {}

    def start(self, asking: int = 0, services: Iterable[str] | None = None) -> PamProcess:
        """
        Start one.

        :param asking: names the process of the server that it is for.
        :param services: PAM services that it may be asked about; None: any.
        :raises OSError: if that cannot be, or there are too many.
        """
        owners = tuple(self._running.values())
        if len(owners) >= MOST or owners.count(asking) >= MOST_FOR_ONE:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        pairs = [socket.socketpair() for _ in range(3)]
        (talk, stdio), (complaints, stderr), (leash, ours) = pairs
        try:
            process = subprocess.Popen(
                [*self._command, *(() if services is None else (ONLY, *services))],
                stdin=stdio.fileno(),
                stdout=stdio.fileno(),
                stderr=stderr.fileno(),
                cwd="/",
                env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
        except OSError:
            for sock in (talk, complaints, leash, ours):
                sock.close()
            raise
        finally:
            stdio.close()
            stderr.close()
        self._running[process] = asking
        Thread(target=self._thd_watch, args=(process, ours), name="pam", daemon=True).start()
        return PamProcess(talk.detach(), complaints.detach(), leash.detach())

    def _thd_watch(self, process: subprocess.Popen[bytes], leash: socket.socket) -> None:
        poller = select.poll()
        poller.register(leash, select.POLLIN)
        while process.poll() is None:
            if poller.poll(_INTERVAL):
                process.kill()
                process.wait()
        leash.close()
        self._running.pop(process, None)

    def kill(self) -> None:
        """End all of them, at once."""
        for process in tuple(self._running):
            process.kill()
