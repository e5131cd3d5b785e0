"""Tests of :mod:`dantetw.net.interfaces`."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.interfaces import Interfaces, Monitor, drain, open_monitor


class _Socket:
    """A monitor with reports of the test's own."""

    def __init__(self) -> None:
        self.reports: list[OSError | bytes] = []
        self.asked = 0
        self.closed = self.detached = False

    def recv(self, size: int) -> bytes:
        self.asked += 1
        if not self.reports:
            raise BlockingIOError
        report = self.reports.pop(0)
        if isinstance(report, OSError):
            raise report
        return report[:size]

    def fileno(self) -> int:
        return 5

    def close(self) -> None:
        self.closed = True

    def detach(self) -> int:
        self.detached = True
        return 5


class InterfacesTests(SynchronousTestCase):
    """What interfaces have now."""

    def setUp(self) -> None:
        self.looks = 0
        self.found: dict[str, tuple[str, ...]] = {"eth0": ("10.0.0.1",), "down0": ()}
        self.monitor = _Socket()

    def read(self) -> Mapping[str, tuple[str, ...]]:
        """A look."""
        self.looks += 1
        return self.found

    def interfaces(self, monitor: bool = True) -> Interfaces:
        """Interfaces with our monitor, or none."""
        return Interfaces(self.read, lambda: cast(Any, self.monitor) if monitor else None)

    def test_once(self) -> None:
        """Without a report the addresses are looked up once."""
        made = self.interfaces()
        self.assertEqual(made.addresses_of("eth0"), ("10.0.0.1",))
        self.assertEqual((made.addresses_of("down0"), made.addresses_of("eth1")), ((), ()))
        self.assertEqual(made.all_addresses(), {"10.0.0.1"})
        self.assertEqual(self.looks, 1)

    def test_reported(self) -> None:
        """After a report, or the loss of some, they are looked up again."""
        made = self.interfaces()
        made.now()
        for report in (b"x" * 100, OSError(errno.ENOBUFS, "lost")):
            self.monitor.reports += [report, b"more"]
            self.found["eth0"] = (f"10.0.0.{self.looks + 5}",)
            self.assertEqual(made.addresses_of("eth0"), self.found["eth0"])
            made.now()
        self.assertEqual(self.looks, 3)

    def test_none(self) -> None:
        """Without a monitor each question is a look."""
        made = self.interfaces(monitor=False)
        made.now()
        made.now()
        self.assertEqual(self.looks, 2)

    def test_fork(self) -> None:
        """A process that was forked has a monitor of its own, and leaves its parent's number be."""
        made, first = self.interfaces(), self.monitor
        made.now()
        self.monitor = _Socket()
        self.patch(os, "getpid", lambda: -1)
        made.now()
        self.assertEqual((first.detached, first.closed), (True, False))
        self.assertEqual((first.asked, self.looks), (1, 2))
        self.assertGreater(self.monitor.asked, 0)
        made.close()
        self.assertTrue(self.monitor.closed)

    def test_real(self) -> None:
        """The loopback interface is there."""
        made = Interfaces()
        self.addCleanup(made.close)
        self.assertIn("127.0.0.1", made.all_addresses())


class MonitorTests(SynchronousTestCase):
    """Reports in a reactor."""

    def setUp(self) -> None:
        self.readers: list[object] = []
        self.changes = 0
        self.socket = _Socket()

    def addReader(self, reader: object) -> None:  # noqa: N802 - Twisted's name
        self.readers.append(reader)

    def removeReader(self, reader: object) -> None:  # noqa: N802 - Twisted's name
        self.readers.remove(reader)

    def monitor(self, there: bool = True) -> Monitor:
        """A monitor of ours."""

        def changed() -> None:
            self.changes += 1

        return Monitor(self, changed, lambda: cast(Any, self.socket) if there else None)

    def test_reports(self) -> None:
        """All reports there are are one change."""
        made = self.monitor()
        made.start()
        made.start()
        self.assertEqual((self.readers, made.reports), ([made], True))
        self.socket.reports += [b"a", b"b"]
        made.doRead()
        made.doRead()
        self.assertEqual(self.changes, 1)
        made.stop()
        made.stop()
        self.assertEqual((self.readers, self.socket.closed, made.reports), ([], True, False))
        self.assertEqual(made.fileno(), -1)
        made.doRead()

    def test_none(self) -> None:
        """Where there is no such socket it says so."""
        made = self.monitor(there=False)
        made.start()
        self.assertEqual((made.reports, self.readers), (False, []))

    def test_refused(self) -> None:
        """A sandbox without netlink has none."""

        def refuse(*args: object) -> socket.socket:
            raise PermissionError

        self.patch(socket, "socket", refuse)
        self.assertIs(open_monitor(), None)

    def test_real(self) -> None:
        """Nothing has changed on this machine since a moment ago, or it has been reported."""
        made = open_monitor()
        if made is not None:
            with made:
                drain(made)
