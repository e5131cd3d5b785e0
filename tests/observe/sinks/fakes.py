"""A reactor for sinks: it looks at real descriptors, but only when told to."""

from __future__ import annotations

import select
from typing import Any

from twisted.internet.interfaces import IWriteDescriptor
from twisted.internet.task import Clock


class FakeReactor(Clock):
    """A clock that keeps writers."""

    def __init__(self) -> None:
        super().__init__()
        self.writers: list[IWriteDescriptor] = []

    def addWriter(self, writer: IWriteDescriptor) -> None:  # noqa: N802
        """See ``IReactorFDSet``."""
        if writer not in self.writers:
            self.writers.append(writer)

    def removeWriter(self, writer: IWriteDescriptor) -> None:  # noqa: N802
        """See ``IReactorFDSet``."""
        if writer in self.writers:
            self.writers.remove(writer)

    def turn(self) -> None:
        """Call each writer whose descriptor is writable, once."""
        for writer in list(self.writers):
            poll: Any = select.poll()
            poll.register(writer.fileno(), select.POLLOUT)
            if poll.poll(0):
                writer.doWrite()
