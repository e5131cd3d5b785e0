"""
The system's log daemon, by datagrams to ``/dev/log``.

Sent as :manpage:`syslog(3)` would, byte for byte, but without ever waiting; see
:mod:`~dantetw.observe.sinks.connected`.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Final

from dantetw.observe.interfaces import ISink
from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks.backlog import LIMIT
from dantetw.observe.sinks.connected import BUSY, CUT, ConnectedSink, cut
from dantetw.observe.sinks.kind import Reactor, SinkKind, Surroundings
from dantetw.policy import Misspelling

_WORD: Final = "syslog"
#: The facility of messages where none is named.
DEFAULT_FACILITY: Final = "daemon"

#: The facilities Dante knows (``syslog/FACILITY``) and their numbers (:rfc:`3164`, 4.1.1).
FACILITIES: Final[Mapping[str, int]] = MappingProxyType(
    {"auth": 4, "authpriv": 10, "daemon": 3, "user": 1}
    | {f"local{number}": 16 + number for number in range(8)}
)


class Syslog(ConnectedSink):
    """
    The log daemon of this machine.

    :param facility: the number that goes into the priority.
    """

    def __init__(
        self,
        name: str,
        prefix: Prefix,
        reactor: Reactor,
        facility: int,
        device: str,
        limit: int = LIMIT,
    ) -> None:
        super().__init__(name, reactor, partial(prefix.datagram, facility), limit)
        self._device = device
        # Now, as LOG_NDELAY does: later we may be in a chroot without the device.  If there is no
        # daemon yet, the first message finds out.
        self._connect()

    def _connect(self) -> int:
        try:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        except OSError as problem:
            return problem.errno or errno.EIO
        connection.setblocking(False)
        error = connection.connect_ex(self._device)
        if error:
            connection.close()
        else:
            self._socket = connection
        return error

    def _send(self) -> int:
        """Send one datagram, reconnecting once if the daemon was replaced."""
        error, message = 0, self._backlog.head
        for _ in range(2):
            if self._socket is None and (error := self._connect()):
                return error
            assert self._socket is not None
            try:
                self._socket.send(message)
            except OSError as problem:
                error = problem.errno or errno.EIO
                if error == errno.EMSGSIZE and len(message) > CUT:
                    message = cut(message, "\n")
                elif error in BUSY:
                    return error
                else:
                    self._disconnect()
            else:
                return 0
        return error


def check_facility(facility: str, start: int) -> Misspelling | None:
    """
    What is wrong with the name of a facility.

    :param start: where it begins in its word.
    """
    if facility in FACILITIES:
        return None
    return Misspelling(
        f'unknown syslog facility "{facility}"',
        start,
        len(facility),
        f"one of: {' '.join(FACILITIES)}",
        tuple(FACILITIES),
    )


def _facility(text: str) -> str:
    """The facility in ``syslog`` or ``syslog/FACILITY``."""
    _, slash, facility = text.partition("/")
    return facility if slash else DEFAULT_FACILITY


def _check(text: str) -> Misspelling | None:
    found = check_facility(_facility(text), len(_WORD) + 1)
    return found and replace(found, is_fatal=False)


def open_syslog(text: str, surroundings: Surroundings) -> ISink:
    """Open ``syslog`` or ``syslog/FACILITY``; whether there is a daemon turns out later."""
    number, device = FACILITIES[_facility(text)], surroundings.device
    return Syslog(text, surroundings.prefix, surroundings.reactor, number, device)


#: The words ``syslog`` and ``syslog/FACILITY``.
KIND: Final = SinkKind(
    "syslog[/FACILITY]", lambda word: word.partition("/")[0] == _WORD, open_syslog, _check
)
