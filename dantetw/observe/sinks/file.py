"""
Files, and devices that take or refuse at once (``/dev/null``, ``/dev/full``).

Messages that come together are one ``write(2)`` to a descriptor opened for appending, so that lines
of several processes do not mix.  A regular file never makes one wait for a reader.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Final

from zope.interface import implementer

from dantetw.observe.interfaces import ISink, Said
from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks.appender import Appender
from dantetw.observe.sinks.behind import CALM, SLOW, Behind
from dantetw.observe.sinks.kind import SinkKind, Surroundings
from dantetw.observe.sinks.mounts import may_block
from dantetw.observe.sinks.stream import Stream
from dantetw.values import Severity

#: Called with what is about to be written.
BeforeWrite = Callable[[bytes], None]


@implementer(ISink)
class File:
    """
    A file.

    It is written at once, unless its file system may wait for another machine (:mod:`.mounts`), or
    a write has taken long: then a thread writes (:mod:`.behind`), until writes take no time again.

    :param opener: makes the descriptor, which then belongs to the sink; may raise ``OSError``.
    :ivar descriptor: -1 after :meth:`close`.
    :ivar before_write: called before each write of messages, or before they are given to the
        thread, if it is set.
    """

    rank = 1

    def __init__(self, name: str, prefix: Prefix, opener: Callable[[], int]) -> None:
        self.name = name
        self._prefix = prefix
        self._opener = opener
        # Lines lost before, and threads that may still have some in hand.
        self._past = 0
        self._left: list[Behind] = []
        self._behind: Behind | None = None
        self.before_write: BeforeWrite | None = None
        self._use(opener(), ())

    def _use(self, descriptor: int, lines: Sequence[bytes]) -> None:
        """Write to this from now on, these lines first."""
        self.descriptor = descriptor
        self._away = may_block(descriptor)
        self._appender = Appender(descriptor)
        if self._away or lines:
            self._behind = Behind(self.name, self._appender)
            self._behind.put(lines)

    @property
    def error(self) -> int:
        """See :attr:`ISink.error`."""
        return self._appender.error if self._behind is None else self._behind.error

    @property
    def lost(self) -> int:
        """See :attr:`ISink.lost`."""
        lost = self._past + sum(behind.lost for behind in self._left)
        return lost + (self._appender.lost if self._behind is None else self._behind.lost)

    @property
    def waiting(self) -> int:
        """See :attr:`ISink.waiting`."""
        return 0 if self._behind is None else self._behind.waiting

    def write(self, severity: Severity, when: float, text: str) -> None:
        """See :meth:`ISink.write`."""
        self.write_all(((severity, when, text),))

    def write_all(self, said: Sequence[Said]) -> None:
        """See :meth:`ISink.write_all`."""
        behind = self._behind
        if behind is not None:
            if self._away or behind.waiting or monotonic() - behind.slow_at < CALM:
                lines = [self._prefix.stamped(*each) for each in said]
                if self.before_write is not None:
                    self.before_write(b"".join(lines))
                behind.put(lines)
                return
            behind.leave(keep=True)
            self._behind = None
            self._past += behind.lost - self._appender.lost
        data = self._prefix.stamped_all(said)
        if self.before_write is not None:
            self.before_write(data)
        begun = monotonic()
        self._appender.append(data, lambda: [len(self._prefix.stamped(*each)) for each in said])
        if monotonic() - begun > SLOW:
            self._behind = Behind(self.name, self._appender)

    def reopen(self) -> None:
        """See :meth:`ISink.reopen`; what waits goes to the new file."""
        descriptor = self._opener()
        self._use(descriptor, self._let_go())

    def _let_go(self) -> Sequence[bytes]:
        """Close the file, without waiting for it; the lines that are still to be written."""
        behind, self._behind = self._behind, None
        done = [each for each in self._left if each.over]
        self._left = [each for each in self._left if not each.over]
        self._past += sum(each.lost for each in done)
        if behind is None:
            self._past += self._appender.lost
            self._appender.close()
            return ()
        self._left.append(behind)
        return behind.leave()

    def flush(self, seconds: float) -> None:
        """See :meth:`ISink.flush`."""
        if self._behind is not None:
            self._behind.flush(seconds)

    def close(self) -> None:
        """See :meth:`ISink.close`."""
        if self.descriptor >= 0:
            # What is being written may never be out.
            self._past += self.waiting
            self._let_go()
            self.descriptor = -1
            self._appender = Appender(-1)  # what comes now is lost, and counted


def open_file(text: str, surroundings: Surroundings) -> ISink:
    """
    Open a file, named relative to the working directory.

    A FIFO or a terminal becomes a :class:`~dantetw.observe.sinks.stream.Stream`.

    :raises OSError: it cannot be opened or created.
    """
    opener = partial(surroundings.open_log, text)
    descriptor = opener()
    try:
        slow = stat.S_ISFIFO(os.fstat(descriptor).st_mode) or os.isatty(descriptor)
    finally:
        os.close(descriptor)
    if slow:
        return Stream(text, surroundings.prefix, surroundings.reactor, opener)
    return File(text, surroundings.prefix, opener)


#: Every word that no other kind claims.
KIND: Final = SinkKind("FILE", lambda word: True, open_file, is_file=True)
