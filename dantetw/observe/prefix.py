"""
What stands in front of a message: date, program, process, severity.

Date and time are local, by ``TZ``, in English whatever the locale; the day is padded with a blank.
The parts that change once a second are made once a second.
"""

from __future__ import annotations

import os
import time
from typing import Final

from dantetw.values import Severity

#: The words for severities in the log; four differ from their names in ``sockd.conf``.
WORDS: Final = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")

_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
_MILLION: Final = 1_000_000


class Prefix:
    """
    Puts the prefix in front of messages and turns them into bytes.

    :param program: the program's name in the log, Dante: the base name of ``argv[0]``.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self._second = -1
        self._pid = -1
        self._date = ""
        self._before = ""
        # What stands behind the microseconds, by severity.
        self._after: tuple[str, ...] = ()

    def _refresh(self, second: int, pid: int) -> None:
        now = time.localtime(second)
        self._date = (
            f"{_MONTHS[now.tm_mon - 1]} {now.tm_mday:2} "
            f"{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}"
        )
        self._before = f"{self._date} ({second}."
        self._after = tuple(f") {self._program}[{pid}]: {word}: " for word in WORDS)
        self._second, self._pid = second, pid

    def stamped(self, severity: Severity, when: float, text: str) -> bytes:
        """
        The message as it stands in files:
        ``Nov 23 03:50:31 (1795405831.154986) sockd[22228]: info: …`` and a newline.

        :param when: seconds since the epoch.
        """
        # Rounded once, so that the date and the number tell the same second.
        second, micro = divmod(int(when * _MILLION), _MILLION)
        # Asked each time: after a fork we are somebody else.
        pid = os.getpid()
        if second != self._second or pid != self._pid:
            self._refresh(second, pid)
        line = f"{self._before}{micro:06}{self._after[severity]}{text}\n"
        return line.encode("utf-8", "backslashreplace")

    def datagram(self, facility: int, severity: Severity, when: float, text: str) -> bytes:
        """
        The message as :manpage:`syslog(3)` sends it (:rfc:`3164`, 4.1), with the severity's word
        and the newline that Dante hands to it: ``<30>Nov 23 03:50:32 sockd[22299]: info: …``.

        :param facility: 0-23.
        """
        second, pid = int(when), os.getpid()
        if second != self._second or pid != self._pid:
            self._refresh(second, pid)
        return (
            f"<{facility << 3 | severity}>{self._date}{self._after[severity][1:]}{text}\n"
        ).encode("utf-8", "backslashreplace")
