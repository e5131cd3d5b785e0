"""
The current addresses of interfaces, without asking the kernel each time.

The kernel reports changes on a netlink socket (:manpage:`rtnetlink(7)`).  Its reports are only
counted, not read: after one, the addresses are looked up again.  So none that is lost, or of a kind
we do not know, matters.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from dantetw.net import ifaddrs

#: ``linux/rtnetlink.h``: RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR.
_GROUPS: Final = 0x1 | 0x10 | 0x100
#: Enough for the head of a report; the rest is dropped by the kernel.
_HEAD: Final = 16


def open_monitor() -> socket.socket | None:
    """A socket that becomes readable when interfaces or addresses change; None: there is none."""
    family = getattr(socket, "AF_NETLINK", None)
    if family is None:
        return None
    monitor = None
    try:
        monitor = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
        monitor.bind((0, _GROUPS))
    except OSError:  # a sandbox without netlink
        if monitor is not None:
            monitor.close()
        return None
    return monitor


def drain(monitor: socket.socket) -> bool:
    """Take all reports off a monitor; whether there were any."""
    reported = False
    while True:
        try:
            monitor.recv(_HEAD)
        except BlockingIOError:
            return reported
        except OSError:  # ENOBUFS: more than it could hold
            pass
        reported = True


class Interfaces:
    """
    The addresses of all interfaces and alias labels.

    Must be used by the process that made it: a fork would take reports off its parent's monitor.

    :param read: looks all of them up.
    :param monitor: makes the socket that changes are reported on; without one, each question costs
        a look-up.
    """

    def __init__(
        self,
        read: Callable[[], Mapping[str, Sequence[str]]] = ifaddrs.interfaces,
        monitor: Callable[[], socket.socket | None] = open_monitor,
    ) -> None:
        self._read = read
        self._open = monitor
        self._monitor: socket.socket | None = None
        self._owner = 0
        self._known: Mapping[str, Sequence[str]] | None = None
        self._all: frozenset[str] = frozenset()

    def now(self) -> Mapping[str, Sequence[str]]:
        """All interfaces and labels with their addresses; an interface may have none."""
        if self._owner != os.getpid():
            # The first question, or one after a fork: the descriptor is our parent's, and its
            # number may be another file's here.
            self._owner = os.getpid()
            if self._monitor is not None:
                self._monitor.detach()
            self._monitor = self._open()
            self._known = None
        changed = self._monitor is None or drain(self._monitor)
        if self._known is None or changed:
            self._known = MappingProxyType(dict(self._read()))
            self._all = frozenset(a for addresses in self._known.values() for a in addresses)
        return self._known

    def addresses_of(self, interface: str) -> Sequence[str]:
        """The addresses of an interface or label; none if it has none, or does not exist."""
        return self.now().get(interface, ())

    def all_addresses(self) -> frozenset[str]:
        """The addresses of all interfaces."""
        self.now()
        return self._all

    def close(self) -> None:
        """Let go of the monitor."""
        if self._monitor is not None:
            if self._owner == os.getpid():
                self._monitor.close()
            else:
                self._monitor.detach()
            self._monitor = None
        self._owner = 0


class Monitor:
    """
    Calls back when interfaces or addresses have changed.

    An :class:`~twisted.internet.interfaces.IReadDescriptor`.

    :param changed: called for each batch of reports.
    :ivar reports: whether changes are reported; False: the caller has to poll.
    """

    def __init__(
        self,
        reactor: Any,
        changed: Callable[[], None],
        open_socket: Callable[[], socket.socket | None] = open_monitor,
    ) -> None:
        self._reactor = reactor
        self._changed = changed
        self._open = open_socket
        self._socket: socket.socket | None = None

    @property
    def reports(self) -> bool:
        return self._socket is not None

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._socket is None:
            self._socket = self._open()
            if self._socket is not None:
                self._reactor.addReader(self)

    def stop(self) -> None:
        """Report no more."""
        if self._socket is not None:
            self._reactor.removeReader(self)
            self._socket.close()
            self._socket = None

    def logPrefix(self) -> str:
        return "interfaces"

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def doRead(self) -> None:
        if self._socket is not None and drain(self._socket):
            self._changed()

    def connectionLost(self, reason: object) -> None:
        """The reactor gives it up."""
        self.stop()
