"""
A reactor for sinks, which looks at real descriptors, but only when told to; and quick disks.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe.sinks import file


class FakeReactor(Clock):
    """
    A clock that keeps readers and writers, and does not call what threads want to be called: a
    thread must not decide when.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[IReadDescriptor] = []
        self.writers: list[IWriteDescriptor] = []
        self.from_threads: list[Callable[[], object]] = []

    def addReader(self, reader: IReadDescriptor) -> None:  # noqa: N802
        """See ``IReactorFDSet``."""
        if reader not in self.readers:
            self.readers.append(reader)

    def removeReader(self, reader: IReadDescriptor) -> None:  # noqa: N802
        """See ``IReactorFDSet``."""
        if reader in self.readers:
            self.readers.remove(reader)

    def callFromThread(self, call: Callable[[], object]) -> None:  # noqa: N802
        """See ``IReactorFromThreads``."""
        self.from_threads.append(call)

    def addWriter(self, writer: IWriteDescriptor) -> None:  # noqa: N802
        """See ``IReactorFDSet``."""
        if writer not in self.writers:
            self.writers.append(writer)

    def removeWriter(self, writer: IWriteDescriptor) -> None:  # noqa: N802
        """See ``IReactorFDSet``."""
        if writer in self.writers:
            self.writers.remove(writer)

    def turn(self) -> None:
        """
        Call each reader whose descriptor has something to say, then each writer whose descriptor is
        writable, once.
        """
        for reader in list(self.readers):
            if _ready(reader.fileno(), select.POLLIN):
                reader.doRead()
        for writer in list(self.writers):
            if _ready(writer.fileno(), select.POLLOUT):
                writer.doWrite()


def _ready(descriptor: int, event: int) -> bool:
    poll: Any = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(0))


def make_disks_quick(case: SynchronousTestCase) -> None:
    """Have no write to a file take time, so that none needs a thread, however busy the machine."""
    case.patch(file, "monotonic", Clock().seconds)
