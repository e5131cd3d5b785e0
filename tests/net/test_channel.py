"""Tests of :mod:`dantetw.net.channel`."""

from __future__ import annotations

import os
import random
import resource
import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.channel import LONGEST, LONGEST_SAID, Channel, Frame
from tests.descriptors import descriptors


class Watching:
    """A reactor that only notes who watches what."""

    def __init__(self) -> None:
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()
        self.addReader, self.removeReader = self.readers.add, self.readers.discard
        self.addWriter, self.removeWriter = self.writers.add, self.writers.discard


class ChannelCase(SynchronousTestCase):
    """A channel whose other end is the test's."""

    def setUp(self) -> None:
        self.reactor = Watching()
        self.orders: list[Frame] = []
        self.lost = 0
        ours, self.theirs = socket.socketpair()
        self.addCleanup(self.theirs.close)
        self.channel = Channel(ours, self.reactor, self.orders.append, self.lose)
        self.addCleanup(self.channel.close)
        self.channel.start()

    def lose(self) -> None:
        self.lost += 1

    def said(self, *messages: tuple[Any, ...]) -> bytes:
        """What such messages are on the wire."""
        ours, theirs = socket.socketpair()
        channel = Channel(ours, Watching(), self.orders.append, self.lose)
        for message in messages:
            channel.send(*message)
        channel.close()
        data = b""
        while piece := theirs.recv(1 << 20):
            data += piece
        theirs.close()
        return data


MESSAGES = (
    ("stop",),
    ("tell", [3, 1.5]),
    ("prepare", None, bytes(range(256)) * 40),
    ("unable", "a text \u2603 with \n anything \0"),
    ("", {}, b"x"),
)
ORDERS = [Frame(*message) for message in MESSAGES]


class MessageTests(ChannelCase):
    """Messages without descriptors."""

    def test_whole(self) -> None:
        """All that comes at once is heard, in order."""
        self.theirs.sendall(self.said(*MESSAGES))
        self.channel.doRead()
        self.assertEqual(self.orders, ORDERS)

    def test_split(self) -> None:
        """Messages are heard however they are cut, byte by byte too."""
        data = self.said(*MESSAGES)
        dice = random.Random(7)
        for size in (1, None, None, None):
            self.orders.clear()
            rest = data
            while rest:
                cut = size or dice.randrange(1, 400)
                self.theirs.sendall(rest[:cut])
                rest = rest[cut:]
                self.channel.doRead()
            self.assertEqual(self.orders, ORDERS)

    def test_full(self) -> None:
        """What does not fit waits for the writer, and all arrives in the end."""
        payload = os.urandom(3 << 20)
        self.channel.send("prepare", None, payload)
        self.channel.send("stop")
        self.assertIn(self.channel, self.reactor.writers)
        heard: list[Frame] = []
        other = Channel(self.theirs, Watching(), heard.append, self.lose)
        while len(heard) < 2:
            other.doRead()
            self.channel.doWrite()
        self.assertEqual(heard, [Frame("prepare", None, payload), Frame("stop")])
        self.assertNotIn(self.channel, self.reactor.writers)

    def test_nothing(self) -> None:
        """Hearing nothing is nothing."""
        self.channel.doRead()
        self.assertEqual((self.orders, self.lost), ([], 0))


class UntrustedTests(ChannelCase):
    """What comes from a worker, whom a client may have taken over."""

    def setUp(self) -> None:
        super().setUp()
        ours, self.hostile = socket.socketpair()
        self.addCleanup(self.hostile.close)
        self.mothers = Channel(ours, self.reactor, self.orders.append, self.lose, trusted=False)
        self.addCleanup(self.mothers.close)

    def test_heard(self) -> None:
        """Words, numbers and text come as ever."""
        self.hostile.sendall(self.said(*MESSAGES))
        self.mothers.doRead()
        self.assertEqual(self.orders, ORDERS)

    def test_descriptors(self) -> None:
        """Descriptors do not arrive, however many: there would soon be no more to be had."""
        before = descriptors()
        for _ in range(10):
            socket.send_fds(self.hostile, [self.said(("running",))], [0] * 200)
            self.mothers.doRead()
        self.assertEqual(self.orders, [Frame("running")] * 10)
        self.assertEqual(descriptors() - before, set())
        socket.send_fds(self.hostile, [b'\0\0\0\x0b\0\0\0\0\1["a", null]'], [0])
        self.mothers.doRead()
        self.assertEqual((self.lost, self.mothers.fileno()), (1, -1))

    def test_long(self) -> None:
        """A message longer than any worker has to say ends the channel before it is there."""
        self.hostile.sendall((LONGEST_SAID + 1).to_bytes(4, "big") + bytes(5))
        self.mothers.doRead()
        self.assertEqual(self.lost, 1)

    def test_deep(self) -> None:
        """So does one that is nested deeper than we can follow."""
        said = b"[" * 100_000
        data = len(said).to_bytes(4, "big") + bytes(5) + said
        self.hostile.sendall(data)
        self.mothers.doRead()
        self.assertEqual(self.lost, 1)


class EndTests(ChannelCase):
    """The end of a channel."""

    def expect_lost(self) -> None:
        self.assertEqual((self.lost, self.channel.fileno()), (1, -1))
        self.assertEqual(self.reactor.readers | self.reactor.writers, set())

    def test_gone(self) -> None:
        """The other end's end is told once."""
        self.theirs.close()
        self.channel.doRead()
        self.channel.close()
        self.expect_lost()

    def test_nonsense(self) -> None:
        """What is no message ends the channel, and nothing else."""
        for data in (
            b"\0\0\0\2\0\0\0\0\0{}",
            b"\0\0\0\2\0\0\0\0\0[]",
            b"\0\0\0\6\0\0\0\0\0[1, 2]",
            b'\0\0\0\4\0\0\0\0\0["a"',
            b"\0\0\0\2\0\0\0\0\0\xff\xff",
            LONGEST.to_bytes(4, "big") + LONGEST.to_bytes(4, "big") + b"\0",
            b'\0\0\0\x0b\0\0\0\0\1["a", null]',
        ):
            with self.subTest(data):
                self.setUp()
                self.theirs.sendall(data)
                self.channel.doRead()
                self.expect_lost()

    def test_sent_into_nothing(self) -> None:
        """Sending to nobody is nothing: reading finds it out."""
        self.theirs.close()
        for _ in range(3):
            self.channel.send("stop")
        self.assertEqual(self.lost, 0)
        self.channel.doRead()
        self.expect_lost()


class DescriptorTests(ChannelCase):
    """Descriptors on their way."""

    def setUp(self) -> None:
        super().setUp()
        self.heard: list[Frame] = []
        self.other = Channel(self.theirs, Watching(), self.heard.append, self.lose)
        self.addCleanup(self.other.close)

    def test_passed(self) -> None:
        """Each message brings its own; ours stay ours, and theirs are not for programs they run."""
        pipes = [os.pipe() for _ in range(3)]
        self.channel.send("one", descriptors=[pipes[0][1]])
        self.channel.send("none")
        self.channel.send("two", descriptors=[pipes[1][1], pipes[2][1]])
        self.other.doRead()
        while len(self.heard) < 3:
            self.other.doRead()
        self.assertEqual([order.word for order in self.heard], ["one", "none", "two"])
        passed = [descriptor for order in self.heard for descriptor in order.descriptors]
        for (read, write), descriptor in zip(pipes, passed, strict=True):
            self.assertFalse(os.get_inheritable(descriptor))
            os.write(descriptor, b"hello")
            self.assertEqual(os.read(read, 9), b"hello")
            for each in (read, write, descriptor):
                os.close(each)

    def test_too_many(self) -> None:
        """Who can have no more gets the first of them; those of the next message are its own."""
        read, write = os.pipe()
        most = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.channel.send("many", descriptors=[read, write, read, write])
        self.channel.send("one", descriptors=[write])
        lowest = os.dup(read)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 2, most[1]))
        try:
            self.other.doRead()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, most)
        self.other.doRead()
        self.assertEqual([order.word for order in self.heard], ["many", "one"])
        self.assertEqual([len(order.descriptors) for order in self.heard], [2, 1])
        last = self.heard[1].descriptors[0]
        os.write(last, b"hello")
        self.assertEqual(os.read(read, 9), b"hello")
        for each in (read, write, *self.heard[0].descriptors, last):
            os.close(each)

    def test_none_to_be_had(self) -> None:
        """Without descriptors for a message there is none, and those made for it are closed."""
        read, write = os.pipe()
        before = descriptors()
        self.assertRaises(OSError, self.channel.send, "two", descriptors=[read, write, -1])
        self.assertEqual(descriptors() - before, set())
        self.other.doRead()
        self.assertEqual(self.heard, [])
        os.close(read)
        os.close(write)

    def test_none_left_open(self) -> None:
        """What was not sent, or not heard, is closed with the channel."""
        before = descriptors()
        read, write = os.pipe()
        self.channel.send("much", None, bytes(3 << 20))
        self.channel.send("late", descriptors=[write, write])
        self.channel.close()
        self.assertEqual({number for number, _ in descriptors() - before}, {read, write})
        self.assertEqual(self.channel.fileno(), -1)
        os.close(read)
        os.close(write)
