"""Tests of the two sides of a handover, each with the other."""

# ruff: noqa: N802 - Twisted's names
from __future__ import annotations

import errno
import os
import select
import socket
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from dantetw.handover import client, server
from dantetw.handover.client import HandoverClient
from dantetw.handover.names import ANSWER_SECONDS, HandoverError, names_of, predictable_name
from dantetw.handover.server import HandoverServer, await_successors
from dantetw.net.channel import Channel, Frame
from dantetw.observe.journal import Journal

#: Seconds after which a test gives up.
PATIENCE = 30

#: Binds and listens at names that the arguments give in hexadecimal, until standard input ends.
SQUATTER = """\
import socket, sys
held = []
for name in sys.argv[1:]:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(bytes.fromhex(name))
    sock.listen(0)
    held.append(sock)
print("ready", flush=True)
sys.stdin.read()
"""


class Readers(Clock):
    """A reactor whose readers are asked by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        if reader not in self.readers:
            self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        if reader in self.readers:
            self.readers.remove(reader)

    def addWriter(self, writer: Any) -> None:
        raise AssertionError("what is sent here fits")

    def removeWriter(self, writer: Any) -> None:
        """There is none."""

    def turn(self, seconds: float = 0.0) -> None:
        """Let readers read that have something."""
        ready, _, _ = select.select(self.readers, [], [], seconds)
        for reader in ready:
            if reader in self.readers:
                reader.doRead()


class HandoverCase(SynchronousTestCase):
    """An old server with some listening sockets."""

    number = 3

    def setUp(self) -> None:
        if next(names_of(0), None) is None or sys.platform != "linux":
            raise SkipTest("this system has no abstract sockets")
        self.reactor = Readers()
        self.taken: list[int] = []
        self.joined: list[Channel] = []
        self.sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(self.number)]
        for sock in self.sockets:
            self.addCleanup(sock.close)

    def offer(self) -> HandoverServer:
        """The old server's side."""
        offered = HandoverServer(self.reactor, os.getuid(), lambda: self.sockets, self.take_note)
        self.addCleanup(offered.stop)
        offered.start()
        return offered

    def take_note(self, pid: int, channel: Channel) -> None:
        """A successor serves clients."""
        self.taken.append(pid)
        self.joined.append(channel)
        self.addCleanup(channel.close)

    def squat(self, *squatted: bytes) -> None:
        """Have another process bind names."""
        command = [sys.executable, "-c", SQUATTER, *(name.hex() for name in squatted)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None and process.stdout is not None
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        self.assertEqual(process.stdout.readline(), b"ready\n")

    def connect(self) -> socket.socket:
        """A connection to the old server, accepted."""
        name = next(name for name in names_of(os.getpid()) if name.count(b"/") == 3)
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.connect(name)
        self.reactor.turn()
        return sock

    def take(self) -> HandoverClient:
        """A successor that has the sockets."""
        found: list[HandoverClient | Exception] = []

        def run() -> None:
            try:
                found.append(HandoverClient(str(os.getpid())))
            except Exception as failed:
                found.append(failed)

        thread = threading.Thread(target=run)
        thread.start()
        while thread.is_alive():
            self.reactor.turn(0.01)
        (result,) = found
        if isinstance(result, Exception):
            raise result
        self.addCleanup(result._channel.close)
        for sock in result.sockets:
            self.addCleanup(sock.close)
        return result

    def is_open(self, sock: socket.socket) -> bool:
        """Whether the old server keeps a connection."""
        sock.setblocking(False)
        try:
            return sock.recv(1) != b""
        except BlockingIOError:
            return True


class HandoverTests(HandoverCase):
    """Both sides."""

    def test_all(self) -> None:
        """The successor gets all sockets, in as many messages as it takes, and says it serves."""
        self.patch(server, "MOST_DESCRIPTORS", 2)
        self.offer()
        successor = self.take()
        self.assertEqual(
            [sock.getsockname() for sock in successor.sockets],
            [sock.getsockname() for sock in self.sockets],
        )
        self.assertEqual(self.taken, [])
        successor.done()
        self.reactor.turn()
        self.assertEqual(self.taken, [os.getpid()])
        self.assertEqual(self.reactor.readers, self.joined)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_squatted(self) -> None:
        """Who binds the name that can be predicted keeps nobody from anything."""
        self.squat(predictable_name(os.getpid()))
        self.offer()
        self.assertEqual(len(self.take().sockets), self.number)

    def test_decoys(self) -> None:
        """Nor does who binds names that look like a server's, before its own and after."""
        name = predictable_name(os.getpid())
        self.squat(*(b"%s/%032d" % (name, place) for place in range(50)))
        self.offer()
        self.squat(*(b"%s/%032d" % (name, place) for place in range(50, 100)))
        self.assertEqual(len(self.take().sockets), self.number)

    def test_silent(self) -> None:
        """Successors that say nothing block no other, and are not kept."""
        self.offer()
        silent = [self.connect() for _ in range(server.MOST_SUCCESSORS - 1)]
        self.assertEqual(len(self.take().sockets), self.number)
        self.assertTrue(all(self.is_open(sock) for sock in silent))
        self.reactor.advance(ANSWER_SECONDS)
        self.assertFalse(any(self.is_open(sock) for sock in silent))

    def test_many(self) -> None:
        """The oldest successor gives way to one that is too many."""
        self.offer()
        silent = [self.connect() for _ in range(server.MOST_SUCCESSORS + 1)]
        self.assertEqual([self.is_open(sock) for sock in silent[:2]], [False, True])
        self.assertEqual(len(self.take().sockets), self.number)

    def test_rivals(self) -> None:
        """While one successor starts, another is told which; if that one ends, it may try."""
        self.offer()
        first = self.take()
        failed = self.assertRaises(HandoverError, self.take)
        words = f"process {os.getpid()} is taking the place of process {os.getpid()}"
        self.assertIn(words, str(failed))
        [self.connect() for _ in range(2 * server.MOST_SUCCESSORS)]  # which do not displace it
        first.close()
        self.reactor.turn()
        second = self.take()
        self.reactor.advance(ANSWER_SECONDS)
        second.check()
        second.done()
        self.reactor.turn()
        self.assertEqual(self.taken, [os.getpid()])

    def test_slow_start(self) -> None:
        """One whose start takes too long may not serve beside the old server and the next."""
        self.offer()
        slow = self.take()
        self.reactor.advance(server.START_SECONDS)
        self.assertEqual(len(self.take().sockets), self.number)
        failed = self.assertRaises(HandoverError, slow.check)
        self.assertIn("the start took so long", str(failed))

    def test_old_server_gone(self) -> None:
        """One whose old server has died meanwhile serves."""
        offered = self.offer()
        successor = self.take()
        offered.stop()
        successor.check()

    def test_others(self) -> None:
        """Other users, and processes that cannot be named, get nothing."""
        self.offer()
        for peer in ((1, os.getuid() + 1), (0, os.getuid())):
            self.patch(server, "peer_of", lambda sock, peer=peer: peer)
            self.assertFalse(self.is_open(self.connect()))

    def test_nonsense(self) -> None:
        """What makes no sense ends its own connection."""
        self.offer()
        for data in (
            b"\xff" * 9,
            b"\0\0\0\2\0\0\0\0\0[]",
            b"\0\0\0\x0c\0\0\0\0\1" + b'["give", 1]x',
        ):
            sock = self.connect()
            sock.sendall(data)
            self.reactor.turn()
            self.assertFalse(self.is_open(sock))
        self.assertEqual(len(self.take().sockets), self.number)

    def test_no_descriptors(self) -> None:
        """While there are no descriptors for successors, the old server looks once a second."""
        offered = self.offer()
        entrance = offered._entrances[0]

        def accept() -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        kept = entrance._sock
        self.patch(entrance, "_sock", SimpleNamespace(accept=accept, fileno=kept.fileno))
        self.assertIn(entrance, self.reactor.readers)
        entrance.doRead()
        self.assertNotIn(entrance, self.reactor.readers)
        entrance._sock = kept
        self.reactor.advance(server.DESCRIPTORS_RETRY_SECONDS)
        self.assertEqual(len(self.take().sockets), self.number)

    def test_old_server(self) -> None:
        """A server of version 0.1 has the predictable name only, and sends one message."""
        with socket.socket(socket.AF_UNIX) as old:
            old.bind(predictable_name(os.getpid()))
            old.listen(1)
            orders: list[Frame] = []

            def answer(order: Frame) -> None:
                orders.append(order)
                channel.send("given", descriptors=[sock.fileno() for sock in self.sockets])

            def serve() -> None:
                nonlocal channel
                sock, _ = old.accept()
                channel = Channel(sock, self.reactor, answer, lambda: None)
                channel.start()

            channel: Channel
            self.reactor.addReader(SimpleNamespace(fileno=old.fileno, doRead=serve))
            self.assertEqual(len(self.take().sockets), self.number)
            self.assertEqual([order.word for order in orders], ["give"])
            channel.close()


class NoServerTests(HandoverCase):
    """A successor that gets no sockets."""

    number = 0

    def failed(self) -> str:
        """Why."""
        return str(self.assertRaises(HandoverError, self.take))

    def test_none(self) -> None:
        """A process that is no server of ours has no socket."""
        self.assertIn("it has no socket for successors", self.failed())

    def test_impostor(self) -> None:
        """Another process's socket with a name of the server's is not believed."""
        name = predictable_name(os.getpid())
        self.squat(name, name + b"/00")
        self.assertIn("another process", self.failed())

    def test_other_user(self) -> None:
        """Nor is the right process of another user."""
        self.offer()
        self.patch(client, "peer_of", lambda sock: (os.getpid(), os.geteuid() + 1))
        self.assertIn("another user's", self.failed())

    def test_busy(self) -> None:
        """A socket whose queue is full is tried again for a while."""
        self.patch(client, "ANSWER_SECONDS", 0.2)
        name = predictable_name(os.getpid()) + b"/00"
        self.squat(name)
        full = socket.socket(socket.AF_UNIX)
        self.addCleanup(full.close)
        full.connect(name)
        self.assertIn("it is busy", self.failed())

    def test_silent(self) -> None:
        """A server that does not answer is given up."""
        self.patch(client, "ANSWER_SECONDS", 0.1)
        with socket.socket(socket.AF_UNIX) as old:
            old.bind(predictable_name(os.getpid()))
            old.listen(1)
            self.assertIn("does not answer", self.failed())

    def test_nothing_to_hand_over(self) -> None:
        """A server that listens nowhere yet can be replaced too."""
        self.offer()
        self.assertEqual(self.take().sockets, [])

    def test_cannot_be_had(self) -> None:
        """If there can be no socket for successors, the log says so when the server starts."""

        def bind(reactor: object, name: bytes, offered: object) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        self.patch(server, "_Entrance", bind)
        said: list[str] = []
        journal = Journal.__new__(Journal)
        self.patch(Journal, "message", lambda self, severity, id, text: said.append(text))
        self.assertIsNone(await_successors(self.reactor, journal, list, self.take_note))
        self.assertEqual(len(said), 1)
        self.assertIn("no upgrade can replace this server", said[0])
        self.assertIn("Too many open files", said[0])
