"""
Finds what a worker was writing when it was killed.

A session's slot in the scoreboard is freed once the lines of its end are written.  A worker that is
killed in between leaves a slot and lines, or a slot and no lines.  So before each write to a log
file that has ends of sessions in it, the worker notes, in memory that it shares with the supervisor
process, how many sessions have ended so far and how the last line of the write begins.  When the
worker has died, the supervisor looks for that line in the file.

Ended sessions are counted in the order in which their ends are logged.  Since a worker writes to
one destination after the other, a note that covers a session also says that the notes before it,
and the destinations in front of it, have their lines.

Each note is written beside the one before it, and comes into force when one byte changes, so no
note is ever incomplete.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from dantetw.observe.interfaces import ISink
from dantetw.observe.sinks.file import BeforeWrite, File

#: Log files that have notes; further files are assumed to lack lines that may not have been
#: written.
MOST_FILES: Final = 8
#: Bytes that the notes take.
SIZE: Final = MOST_FILES * 512

# Of a note: which file, by its name; ended sessions that earlier writes have covered, and those
# that this one does; how long the beginning of its last line is, which follows.
_NOTE: Final = struct.Struct("=I2QH")
_NOTE_SIZE: Final = 240
_LONGEST: Final = _NOTE_SIZE - _NOTE.size
# Of a file's notes, where the byte is that says which is in force.
_CURRENT_AT: Final = 2 * _NOTE_SIZE
# Bytes at the end of a file in which a line is looked for: others may have written behind it.
_TAIL: Final = 1024 * 1024


def _name_of(sink: ISink) -> int:
    return zlib.crc32(os.fsencode(sink.name))


class Writes:
    """
    The worker's side.

    :param memory: where the notes are; ``begin`` of them.
    :ivar ended: sessions that have ended.
    """

    def __init__(self, memory: mmap.mmap, begin: int) -> None:
        self._memory = memory
        self._begin = begin
        self._covered = [0] * MOST_FILES
        self.ended = 0

    def watch(self, sinks: Sequence[ISink]) -> None:
        """Note writes to these destinations from now on, and to no others."""
        files = [sink for sink in sinks if isinstance(sink, File)]
        for place, file in enumerate(files[:MOST_FILES]):
            self._covered[place] = self.ended
            self._write(place, _name_of(file), self.ended, b"")
            file.before_write = self._noting(place, _name_of(file))

    def _noting(self, place: int, name: int) -> BeforeWrite:
        covered = self._covered

        def before_write(data: bytes) -> None:
            if covered[place] != self.ended:
                line = data[data.rfind(b"\n", 0, -1) + 1 :][:_LONGEST]
                self._write(place, name, covered[place], line)
                covered[place] = self.ended

        return before_write

    def _write(self, place: int, name: int, covered: int, line: bytes) -> None:
        memory, begin = self._memory, self._begin + place * 512
        current = begin + _CURRENT_AT
        other = 1 - memory[current]
        at = begin + other * _NOTE_SIZE
        _NOTE.pack_into(memory, at, name, covered, self.ended, len(line))
        memory[at + _NOTE.size : at + _NOTE.size + len(line)] = line
        memory[current] = other


@dataclass(frozen=True, slots=True)
class _Note:
    name: int
    covered: int
    ended: int
    line: bytes


class Written:
    """
    The supervisor's side, when the worker has died.

    :param sinks: the destinations of the log, in the order in which a worker writes to them.
    """

    def __init__(self, memory: mmap.mmap, begin: int, sinks: Sequence[ISink]) -> None:
        self._sinks = sinks
        self._notes: dict[int, _Note] = {}
        for place in range(MOST_FILES):
            note = _read(memory, begin + place * 512)
            self._notes.setdefault(note.name, note)
        self._found: dict[int, bool] = {}

    def lacking(self, ended: int) -> list[ISink]:
        """
        The destinations that lack the end of a session.

        A destination where that cannot be found out, such as a log daemon, counts as lacking it: a
        line written twice is better than a line lost.

        :param ended: the session's place among those that have ended; 0: it has not.
        """
        lacking: list[ISink] = []
        if not ended:
            return list(self._sinks)
        begun = False  # a destination further behind has been written to
        for sink in reversed(self._sinks):
            note = self._notes.get(_name_of(sink)) if isinstance(sink, File) else None
            if not begun and not (note is not None and self._has(sink, note, ended)):
                lacking.append(sink)
            begun = begun or (note is not None and note.ended >= ended)
        return lacking

    def _has(self, sink: File | ISink, note: _Note, ended: int) -> bool:
        if ended <= note.covered:
            return True
        if ended > note.ended or not isinstance(sink, File):
            return False
        if note.name not in self._found:
            self._found[note.name] = _ends_with(sink.descriptor, note.line)
        return self._found[note.name]


def _read(memory: mmap.mmap, begin: int) -> _Note:
    at = begin + (memory[begin + _CURRENT_AT] & 1) * _NOTE_SIZE
    name, covered, ended, length = _NOTE.unpack_from(memory, at)
    at += _NOTE.size
    return _Note(name, covered, ended, bytes(memory[at : at + min(length, _LONGEST)]))


def _ends_with(descriptor: int, line: bytes) -> bool:
    """Whether a line is near the end of a file, as far as this process may read it."""
    with suppress(OSError):
        begin = max(0, os.fstat(descriptor).st_size - _TAIL)
        return bool(line) and line in os.pread(descriptor, 2 * _TAIL, begin)
    return False
