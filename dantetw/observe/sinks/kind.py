"""What every kind of sink is opened with, and what a kind of sink is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor, IWriteDescriptor

from dantetw.observe.interfaces import ISink, Said
from dantetw.observe.prefix import Prefix
from dantetw.policy import Misspelling
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
    """A sink that writes several messages one by one."""

    def write(self, severity: Severity, when: float, text: str) -> None:
        """See :meth:`ISink.write`."""
        raise NotImplementedError

    def write_all(self, said: Sequence[Said]) -> None:
        """See :meth:`ISink.write_all`."""
        for severity, when, text in said:
            self.write(severity, when, text)


def _is_right(word: str) -> None:
    """Every word of a kind is spelled right."""


@dataclass(frozen=True, slots=True)
class SinkKind:
    """
    A kind of sink: how it is written in a configuration, and how it is opened.

    It is a :class:`~dantetw.policy.Spelling` too, which says more of the first five.

    :ivar form: how it is written, for messages and documents.
    :ivar claims: whether a word of ``logoutput`` names a sink of this kind.
    :ivar check: what is wrong with such a word.
    :ivar schemes: what precedes ``://`` in such words.
    :ivar is_file: such words are names of files.
    :ivar open: opens what such a word names; raises ``OSError`` if that cannot be opened.
    """

    form: str
    claims: Callable[[str], bool]
    open: Callable[[str, Surroundings], ISink]
    check: Callable[[str], Misspelling | None] = _is_right
    schemes: tuple[str, ...] = ()
    is_file: bool = False


class MisnamedError(ValueError):
    """No sink can be opened for a word: the message says why."""
