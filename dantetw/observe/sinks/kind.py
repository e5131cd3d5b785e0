"""What every kind of sink is opened with, and what a kind of sink is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor, IWriteDescriptor

from dantetw.observe.interfaces import ISink, Said
from dantetw.observe.prefix import Prefix
from dantetw.process.appending import open_appending
from dantetw.values import Severity


class Reactor(Protocol):
    """
    What sinks need of a reactor: ``IReactorFDSet``, ``IReactorTime`` and ``IReactorFromThreads`` in
    part.
    """

    def addReader(self, reader: IReadDescriptor, /) -> None:  # noqa: N802 - Twisted's name
        """Call ``reader.doRead`` whenever its descriptor has something to say."""

    def removeReader(self, reader: IReadDescriptor, /) -> None:  # noqa: N802 - Twisted's name
        """No longer do so."""

    def addWriter(self, writer: IWriteDescriptor, /) -> None:  # noqa: N802 - Twisted's name
        """Call ``writer.doWrite`` whenever its descriptor is writable."""

    def removeWriter(self, writer: IWriteDescriptor, /) -> None:  # noqa: N802 - Twisted's name
        """No longer do so."""

    def callLater(self, delay: float, call: Any, /) -> IDelayedCall:  # noqa: N802 - Twisted's name
        """Call ``call`` after ``delay`` seconds."""

    def callFromThread(self, call: Any, /) -> object:  # noqa: N802 - Twisted's name
        """Call ``call`` in the reactor's thread; may be called in any."""


def _standard() -> Mapping[str, int]:
    """Duplicates of descriptors 1 and 2, as far as we were started with them."""
    found = {}
    for name, number in (("stdout", 1), ("stderr", 2)):
        try:
            found[name] = os.dup(number)
        except OSError:
            # Started with it closed; whatever is opened next may get that number.
            continue
    return found


@dataclass(frozen=True)
class Surroundings:
    """
    What sinks are opened with.  Made once, before the process turns into a daemon.

    :ivar prefix: puts date, program and severity in front of messages; ``prefixes`` do so for
        other formats than Dante's, by name.
    :ivar standard: descriptors behind the words ``stdout`` and ``stderr``: our own duplicates,
        since daemons put other things at 1 and 2; ``own``: those of them that could be opened once
        more, for writing without waiting, by descriptor.
    :ivar open_log: opens a file for appending, creating it if need be; its descriptor.
    :ivar device: where the log daemon listens.
    :ivar inherited: descriptors of destinations that were opened for us, by their names.
    """

    prefix: Prefix
    reactor: Reactor
    standard: Mapping[str, int] = field(default_factory=_standard)
    own: dict[int, int] = field(default_factory=dict)
    open_log: Callable[[str], int] = open_appending
    device: str = "/dev/log"
    prefixes: Mapping[str, Prefix] = field(default_factory=dict)
    inherited: Mapping[str, int] = field(default_factory=dict)

    def for_format(self, format: str) -> Surroundings:
        """The same for messages of a format."""
        return replace(self, prefix=self.prefixes.get(format, self.prefix))


class OneByOne:
    """A sink for which several messages are no better than each by itself."""

    def write(self, severity: Severity, when: float, text: str) -> None:
        """See :meth:`ISink.write`."""
        raise NotImplementedError

    def write_all(self, said: Sequence[Said]) -> None:
        """See :meth:`ISink.write_all`."""
        for severity, when, text in said:
            self.write(severity, when, text)


#: A kind of sink: opens the destination that the operator named so, or returns None if the name is
#: not one of its own.  Raises ``OSError`` if it cannot be opened, :exc:`MisnamedError` if it makes
#: no sense.
Kind = Callable[[str, Surroundings], ISink | None]


class MisnamedError(ValueError):
    """A destination is of our kind but cannot be meant: the message says why."""
