"""Tests of :mod:`dantetw.process.notifying` and :mod:`dantetw.process.journald`."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from dantetw.process import journald
from dantetw.process.journald import JournalStreams
from dantetw.process.notifying import VARIABLE, Notifier


class NotifierTests(SynchronousTestCase):
    """What the service manager hears."""

    def listen(self, address: str) -> socket.socket:
        """Be the service manager."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.bind(address)
        sock.setblocking(False)
        return sock

    def path(self) -> str:
        """A short one: names of sockets have 107 bytes."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return f"{folder.name}/notify"

    def test_messages(self) -> None:
        """Each is one datagram of assignments."""
        path = self.path()
        sock = self.listen(path)
        notifier = Notifier(path)
        notifier.ready()
        self.assertEqual(sock.recv(100), b"READY=1\nMAINPID=%d" % os.getpid())
        before = time.monotonic_ns() // 1000
        notifier.reloading()
        lines = dict(line.split(b"=") for line in sock.recv(100).split(b"\n"))
        self.assertEqual(lines[b"RELOADING"], b"1")
        self.assertLessEqual(before, int(lines[b"MONOTONIC_USEC"]))
        notifier.reloaded()
        notifier.stopping()
        self.assertEqual([sock.recv(100), sock.recv(100)], [b"READY=1", b"STOPPING=1"])

    def test_abstract(self) -> None:
        """The socket may have an abstract name."""
        if sys.platform != "linux":
            raise SkipTest("this system has no abstract sockets")
        name = f"dantetw-test-{os.getpid()}"
        sock = self.listen(f"\0{name}")
        Notifier(f"@{name}").stopping()
        self.assertEqual(sock.recv(100), b"STOPPING=1")

    def test_nobody(self) -> None:
        """Without a service manager nothing is sent, and one that is not there does no harm."""
        for address in ("", self.path(), "x" * 200, "@" + "x" * 200):
            Notifier(address).ready()

    def test_behind(self) -> None:
        """One that is behind keeps nobody waiting."""
        path = self.path()
        self.listen(path)
        for _ in range(5000):
            Notifier(path).reloaded()

    def test_environment(self) -> None:
        """Its name is in the environment, and then no more: children shall not speak for us."""
        path = self.path()
        sock = self.listen(path)
        self.patch(os, "environ", {VARIABLE: path})
        Notifier.of_environment().stopping()
        self.assertEqual(sock.recv(100), b"STOPPING=1")
        self.assertEqual(os.environ, {})
        Notifier.of_environment().stopping()
        self.assertRaises(BlockingIOError, sock.recv, 100)


class JournalTests(SynchronousTestCase):
    """Standard output that leads to the journal."""

    def setUp(self) -> None:
        read, self.stream = os.pipe()
        self.addCleanup(os.close, read)
        self.addCleanup(os.close, self.stream)
        self.patch(journald, "_STREAMS", (self.stream,))
        self.before = os.fstat(self.stream)

    def tell(self, inode: int) -> None:
        """Say which one is the journal's."""
        told = f"{self.before.st_dev}:{inode}"
        self.patch(os, "environ", {journald.VARIABLE: told})

    def to_background(self) -> None:
        """Do what twistd does."""
        with open(os.devnull, "wb") as null:
            os.dup2(null.fileno(), self.stream)

    def test_kept(self) -> None:
        """It leads there in the background, too."""
        self.tell(self.before.st_ino)
        streams = JournalStreams()
        self.to_background()
        streams.restore()
        self.assertTrue(os.path.samestat(os.fstat(self.stream), self.before))
        streams.restore()

    def test_other(self) -> None:
        """What leads elsewhere does not."""
        self.tell(self.before.st_ino + 1)
        for streams in (JournalStreams(), self.without()):
            self.to_background()
            streams.restore()
            self.assertFalse(os.path.samestat(os.fstat(self.stream), self.before))

    def without(self) -> JournalStreams:
        """Where nothing is said of a journal."""
        self.patch(os, "environ", {})
        return JournalStreams()
