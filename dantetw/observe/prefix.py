"""
The prefix of a message: date, program, process, severity.

Date and time are local, by ``TZ``, in English whatever the locale; the day is padded with a blank.
The parts that change once a second are made once a second.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Sequence
from typing import Final
from weakref import WeakSet

from dantetw.observe.formats.json import SCHEMA
from dantetw.observe.interfaces import Said
from dantetw.values import Severity

#: The words for severities in the log; four differ from their names in ``sockd.conf``.
WORDS: Final = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")

_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
_MILLION: Final = 1_000_000

# RFC 5424, 6: PRINTUSASCII, and how many characters of it a name may have.
_UNPRINTABLE: Final = re.compile(r"[^!-~]")
_HOST_LENGTH: Final = 255
_PROGRAM_LENGTH: Final = 48


# Those that know whose lines they begin, which is another behind a fork.
_all: Final[WeakSet[Prefix]] = WeakSet()


def _forked() -> None:
    for prefix in _all:
        prefix.forget()


os.register_at_fork(after_in_child=_forked)


class Prefix:
    """
    Puts the prefix in front of messages and turns them into bytes.

    :param program: the program's name in the log, Dante: the base name of ``argv[0]``.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self._second = -1
        self._date = ""
        self._before = ""
        _all.add(self)
        # What follows the microseconds, by severity.
        self._after: tuple[str, ...] = ()
        # Both for RFC 5424.
        self._date_5424 = ""
        self._after_5424: tuple[str, ...] = ()

    def forget(self) -> None:
        """Forget what the last line began with: we are another process now."""
        self._second = -1

    def _refresh(self, second: int) -> None:
        now, pid = time.localtime(second), os.getpid()
        self._date = (
            f"{_MONTHS[now.tm_mon - 1]} {now.tm_mday:2} "
            f"{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}"
        )
        self._before = f"{self._date} ({second}."
        self._after = tuple(f") {self._program}[{pid}]: {word}: " for word in WORDS)
        sign, minutes = "-" if now.tm_gmtoff < 0 else "+", abs(now.tm_gmtoff) // 60
        zone = f"{sign}{minutes // 60:02}:{minutes % 60:02}"
        host = _name(socket.gethostname(), _HOST_LENGTH)
        program = _name(self._program, _PROGRAM_LENGTH)
        self._date_5424 = time.strftime("%Y-%m-%dT%H:%M:%S", now)
        self._after_5424 = tuple(f"{zone} {host} {program} {pid} - - {word}: " for word in WORDS)
        self._second = second

    def stamped(self, severity: Severity, when: float, text: str) -> bytes:
        """
        The message as written to files:
        ``Nov 23 03:50:31 (1795405831.154986) sockd[22228]: info: …`` and a newline.

        :param when: seconds since the epoch.
        """
        return self.stamped_all(((severity, when, text),))

    def stamped_all(self, said: Sequence[Said]) -> bytes:
        """Several messages as written to files."""
        lines = []
        for severity, when, text in said:
            # Rounded once, so that the date and the number agree on the second.
            micros = int(when * _MILLION)
            second = micros // _MILLION
            if second != self._second:
                self._refresh(second)
            # The last six digits are the microseconds: half the price of formatting a remainder.
            lines.append(f"{self._before}{str(micros)[-6:]}{self._after[severity]}{text}\n")
        return "".join(lines).encode("utf-8", "backslashreplace")

    def datagram(self, facility: int, severity: Severity, when: float, text: str) -> bytes:
        """
        The message as :manpage:`syslog(3)` sends it (:rfc:`3164`, 4.1), with the severity's word
        and the newline that Dante hands to it: ``<30>Nov 23 03:50:32 sockd[22299]: info: …``.

        :param facility: 0-23.
        """
        second = int(when)
        if second != self._second:
            self._refresh(second)
        return (
            f"<{facility << 3 | severity}>{self._date}{self._after[severity][1:]}{text}\n"
        ).encode("utf-8", "backslashreplace")

    def rfc5424(self, facility: int, severity: Severity, when: float, text: str) -> bytes:
        """
        The message as :rfc:`5424` has it, for daemons elsewhere:
        ``<30>1 2026-11-23T03:50:31.154986+00:00 HOST sockd 22228 - - info: …``, without a newline.

        :param facility: 0-23.
        """
        second, micro = divmod(int(when * _MILLION), _MILLION)
        if second != self._second:
            self._refresh(second)
        return (
            f"<{facility << 3 | severity}>1 {self._date_5424}.{micro:06}"
            f"{self._after_5424[severity]}{text}"
        ).encode("utf-8", "backslashreplace")


class JsonPrefix(Prefix):
    """
    The same for JSON: the beginning of an object, whose end the messages are.

    In front of that daemons get their header, without the word for the severity.
    """

    def _refresh(self, second: int) -> None:
        super()._refresh(second)
        pid = os.getpid()
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        self._start = f'{{"schema":{SCHEMA},"time":"{when}.'
        self._middle = f'Z","epoch":{second}.'
        program = json.dumps(self._program)
        self._end = tuple(
            f',"program":{program},"pid":{pid},"severity":"{word}",' for word in WORDS
        )
        self._header = f" {self._program}[{pid}]: "
        self._header_5424 = self._after_5424[0].rpartition(" - - ")[0] + " - - "

    def _object(self, severity: Severity, when: float, text: str) -> str:
        second, micro = divmod(int(when * _MILLION), _MILLION)
        if second != self._second:
            self._refresh(second)
        return f"{self._start}{micro:06}{self._middle}{micro:06}{self._end[severity]}{text}"

    def stamped_all(self, said: Sequence[Said]) -> bytes:
        """See :meth:`Prefix.stamped_all`."""
        return "".join(f"{self._object(*each)}\n" for each in said).encode()

    def datagram(self, facility: int, severity: Severity, when: float, text: str) -> bytes:
        """See :meth:`Prefix.datagram`."""
        record = self._object(severity, when, text)
        priority = facility << 3 | severity
        return f"<{priority}>{self._date}{self._header}{record}\n".encode(
            "utf-8", "backslashreplace"
        )

    def rfc5424(self, facility: int, severity: Severity, when: float, text: str) -> bytes:
        """See :meth:`Prefix.rfc5424`."""
        record = self._object(severity, when, text)
        micro = int(when * _MILLION) % _MILLION
        priority = facility << 3 | severity
        return f"<{priority}>1 {self._date_5424}.{micro:06}{self._header_5424}{record}".encode()


def _name(text: str, length: int) -> str:
    """A name as :rfc:`5424` allows it; ``-`` if there is none."""
    return _UNPRINTABLE.sub("?", text)[:length] or "-"
