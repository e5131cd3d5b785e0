"""
The words ``stdout`` and ``stderr``.

A reader that hangs must not make us wait, but ``O_NONBLOCK`` is a property of the open file
description, which a shell, a pager or the next program of a pipeline may share.  Hence, by what the
descriptor is:

- pipe, FIFO, terminal: opened once more through ``/proc/self/fd``, which gives a description of our
  own that may be non-blocking; once only, since at a reload we may have no right to it any more
- socket: ``MSG_DONTWAIT`` at each call
- regular file, ``/dev/null`` and the like: written as it is, they have no reader
- anything else, and where opening once more is refused: a thread waits for it
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from dantetw.observe.interfaces import ISink
from dantetw.observe.sinks.file import File
from dantetw.observe.sinks.kind import SinkKind, Surroundings
from dantetw.observe.sinks.stream import Stream
from dantetw.observe.sinks.threaded import Threaded

#: The words of a configuration for standard output and standard error.
WORDS: Final = ("stdout", "stderr")

_FLAGS: Final = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_standard(text: str, surroundings: Surroundings) -> ISink:
    """
    Open ``stdout`` or ``stderr``.

    :raises OSError: the server was started without it.
    """
    if text not in surroundings.standard:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return standard(text, surroundings, surroundings.standard[text])


def standard(name: str, surroundings: Surroundings, descriptor: int) -> ISink:
    """
    A sink to a descriptor that others share.  It must stay open as long as the sink is used.

    :raises OSError: there is no such descriptor.
    """
    prefix, reactor = surroundings.prefix, surroundings.reactor
    mode = os.fstat(descriptor).st_mode

    def again() -> int:
        own = surroundings.own.get(descriptor)
        if own is None:
            own = os.open(f"/proc/self/fd/{descriptor}", _FLAGS)
            surroundings.own[descriptor] = own
        return os.dup(own)

    def duplicate() -> int:
        return os.dup(descriptor)

    if stat.S_ISFIFO(mode) or os.isatty(descriptor):
        try:
            return Stream(name, prefix, reactor, again)
        except OSError:
            # It has another owner, or there is no /proc.
            return Threaded(name, prefix, duplicate)
    if stat.S_ISSOCK(mode):
        return Stream(name, prefix, reactor, duplicate)
    if stat.S_ISREG(mode) or stat.S_ISCHR(mode):
        return File(name, prefix, duplicate)
    return Threaded(name, prefix, duplicate)


#: The words ``stdout`` and ``stderr``.
KIND: Final = SinkKind(" | ".join(WORDS), lambda word: word in WORDS, open_standard)
