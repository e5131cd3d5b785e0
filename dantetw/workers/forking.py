"""
Making a process of this one.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn

from twisted.internet.main import installReactor

from dantetw.process.signals import STOPPING

#: Exit status of a worker that could not begin to work.
UNABLE: Final = 1

# Objects of the mother's whose descriptors we have closed: let nothing close those numbers again.
_abandoned: list[object] = []


def fork(child: Callable[[socket.socket], NoReturn]) -> tuple[int, socket.socket]:
    """
    Fork.

    :param child: what the new process does, and never comes back from: gets its end of a socket
        that joins the two.  Signals that stop us are blocked there until it unblocks them.
    :returns: the process id, and the mother's end.
    :raises OSError: if there can be no more processes or descriptors.
    """
    ours, theirs = socket.socketpair()
    sys.stdout.flush()
    sys.stderr.flush()
    # A collection would write to pages that the two share until one of them writes.
    gc.freeze()
    # A signal that comes before the child has its own handlers would run ours there.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
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
                child(theirs)
            finally:
                os._exit(UNABLE)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return pid, ours


def keep_only(descriptors: Iterable[int], abandoned: object) -> None:
    """
    Close all descriptors but these and the standard ones.

    :param abandoned: whatever still names closed ones; it is kept from doing anything with them.
    """
    _abandoned.append(abandoned)
    low = 3
    for descriptor in sorted({*descriptors}):
        os.closerange(low, descriptor)
        low = max(low, descriptor + 1)
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))


def new_reactor(old: Any) -> Any:
    """
    A reactor of the same kind, for a process that was forked: the old one is its parent's, whose
    epoll it would change.
    """
    sys.modules.pop("twisted.internet.reactor", None)
    reactor = type(old)()
    installReactor(reactor)
    return reactor
