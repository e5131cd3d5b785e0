"""
Forking a process.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, NoReturn

from twisted.internet.main import installReactor

from dantetw.process import garbage
from dantetw.process.closing import close_all_but
from dantetw.process.signals import STATUS, STOPPING

#: Exit status of a worker that could not begin to work.
UNABLE: Final = 1
#: Signals that a terminal or an operator may send to all processes at once: only the supervisor
#: receives them.
SUPERVISOR_SIGNALS: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGALRM, *STATUS)

# Objects of the supervisor's whose descriptors are closed here: nothing may close those numbers
# again.
_abandoned: list[object] = []


def fork(child: Callable[[socket.socket], NoReturn]) -> tuple[int, socket.socket]:
    """
    Fork.

    :param child: called in the new process with its end of a socket that connects the two; never
        returns.  It does not receive :data:`SUPERVISOR_SIGNALS`, nor SIGTERM until it unblocks
        that.
    :returns: the process id, and the supervisor's end.
    :raises OSError: if there can be no more processes or descriptors.
    """
    ours, theirs = socket.socketpair()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # there is none, or nothing reads it
            stream.flush()
    # Besides, a collection would write to pages that the two share until one of them writes.
    garbage.leave_alone()
    # A signal that arrives before the child has its own handlers would run the supervisor's there.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*STOPPING, *SUPERVISOR_SIGNALS})
    try:
        pid = os.fork()
    except OSError:
        ours.close()
        theirs.close()
        raise
    else:
        if pid == 0:
            try:
                ours.close()
                _forget_signals()
                child(theirs)
            finally:
                os._exit(UNABLE)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return pid, ours


def _forget_signals() -> None:
    """Remove the supervisor's signal handlers."""
    # Our reactor would be woken by way of a descriptor, whose number will be another file's here.
    signal.set_wakeup_fd(-1)
    for number in SUPERVISOR_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {*SUPERVISOR_SIGNALS} - {*STOPPING})


def keep_only(descriptors: Iterable[int], abandoned: object) -> None:
    """
    Close all descriptors but these and the standard ones.

    :param abandoned: objects that still refer to closed ones; they are disabled.
    """
    _abandoned.append(abandoned)
    # What only other threads had, which have stayed with the supervisor, is garbage here.
    garbage.leave_alone()
    close_all_but(descriptors)


def new_reactor(old: Any) -> Any:
    """
    A reactor of the same kind, for a process that was forked: the old one is its parent's, whose
    epoll it would change.
    """
    sys.modules.pop("twisted.internet.reactor", None)
    reactor = type(old)()
    installReactor(reactor)
    return reactor
