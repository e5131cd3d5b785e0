"""Tests of :mod:`dantetw.net.poller`."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReadDescriptor
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from dantetw.net import poller as module
from dantetw.net.batch import Batch
from dantetw.net.poller import (
    FAILED,
    HANGUP,
    READABLE,
    URGENT,
    WRITABLE,
    EpollPoller,
    IPoller,
    ReactorPoller,
    make_poller,
)
from tests.descriptors import descriptors
from tests.net.reactors import TurningReactor, connected


class PollerCase(SynchronousTestCase):
    """A poller, and sockets to watch."""

    poller_class: type[EpollPoller] | type[ReactorPoller]

    def setUp(self) -> None:
        self.reactor = TurningReactor()
        self.poller = self.poller_class(self.reactor, self.reactor.seconds)
        self.poller.start()
        self.addCleanup(self.poller.stop)
        self.heard: list[tuple[str, int]] = []

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Two connected sockets: ours and its far end."""
        near, far = socket.socketpair()
        for sock in (near, far):
            sock.setblocking(False)
            self.addCleanup(sock.close)
        return near, far

    def hear(self, name: str) -> Callable[[int], None]:
        """A watcher that writes down what it is told."""
        return lambda mask: self.heard.append((name, mask))

    def names(self) -> list[str]:
        """Who has been told anything since the last time we looked."""
        heard, self.heard = self.heard, []
        return [name for name, _ in heard]


_Suite = PollerCase if TYPE_CHECKING else object


class PollerSuite(_Suite):
    """What both pollers promise."""

    def test_interface(self) -> None:
        """It is what it says it is."""
        verifyObject(IPoller, self.poller)

    def test_writable_once(self) -> None:
        """A new socket that is writable is told of once, not in each turn."""
        near, _ = self.pair()
        self.poller.watch(near.fileno(), self.hear("new"))
        self.reactor.turn()
        self.assertEqual(self.heard, [("new", WRITABLE)])
        self.assertEqual(self.reactor.settle(), 0)

    def test_readable(self) -> None:
        """Input is told of, to whom the socket was handed over."""
        near, far = self.pair()
        self.poller.watch(near.fileno(), self.hear("first"))
        self.reactor.settle()
        self.names()
        self.poller.hand_over(near.fileno(), self.hear("second"))
        far.send(b"x")
        self.reactor.turn()
        self.assertEqual(self.names(), ["second"])

    def test_remind(self) -> None:
        """What was told before a socket was handed over is told again if asked for."""
        near, far = self.pair()
        far.send(b"x")
        far.shutdown(socket.SHUT_WR)
        self.poller.watch(near.fileno(), self.hear("first"))
        self.reactor.turn()
        self.assertIn("first", self.names())
        self.poller.remind(near.fileno())
        self.poller.hand_over(near.fileno(), self.hear("second"))
        self.reactor.turn()
        self.assertTrue(any(name == "second" and mask & READABLE for name, mask in self.heard))

    def test_forget(self) -> None:
        """A forgotten socket is not heard of; forgetting twice, or a stranger, is no error."""
        near, far = self.pair()
        self.poller.watch(near.fileno(), self.hear("forgotten"))
        self.poller.forget(near.fileno())
        self.poller.forget(near.fileno())
        self.poller.forget(12345)
        far.send(b"x")
        self.reactor.settle()
        self.assertEqual(self.heard, [])

    def test_forget_in_read(self) -> None:
        """Nor is one that is forgotten while it is told that it is readable."""
        near, far = self.pair()

        def forget(mask: int) -> None:
            self.heard.append(("once", mask))
            self.poller.forget(near.fileno())

        far.send(b"x")
        self.poller.watch(near.fileno(), forget)
        self.reactor.turn()
        self.assertEqual(self.names(), ["once"])

    def test_reused_number(self) -> None:
        """What happened to a forgotten socket is not told of another with its number."""
        first, first_far = self.pair()
        second, second_far = self.pair()
        third, _ = self.pair()

        replaced: list[socket.socket] = []

        def replace(closing: socket.socket) -> Callable[[int], None]:
            def watcher(mask: int) -> None:
                self.heard.append(("old", mask))
                if replaced:
                    return
                replaced.append(closing)
                number = closing.fileno()
                self.poller.forget(number)
                closing.close()
                os.dup2(third.fileno(), number)
                self.addCleanup(os.close, number)
                self.poller.watch(number, self.hear("new"))

            return watcher

        for far in (first_far, second_far):
            far.send(b"x")
        # Whichever comes first replaces the other, whose event waits in the same batch.
        self.poller.watch(first.fileno(), replace(second))
        self.poller.watch(second.fileno(), replace(first))
        self.reactor.turn()
        self.assertFalse([name for name, mask in self.heard if name == "new" and mask & READABLE])
        self.names()
        self.reactor.turn()
        self.assertFalse([name for name, mask in self.heard if name == "new" and mask != WRITABLE])

    def test_failing_watcher(self) -> None:
        """A watcher that raises is logged, and the others have their turn."""
        nears = []
        for name in ("one", "two", "three"):
            near, far = self.pair()
            far.send(b"x")
            nears.append(near)

            def watcher(mask: int, name: str = name) -> None:
                self.heard.append((name, mask))
                if name == "two":
                    raise ZeroDivisionError

            self.poller.watch(near.fileno(), watcher)
        self.reactor.turn()
        self.assertEqual(set(self.names()), {"one", "two", "three"})
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))

    def test_again(self) -> None:
        """What is asked for again comes later, in order, and what it asks for later still."""
        order: list[str] = []

        def first() -> None:
            order.append("first")
            self.poller.again(lambda: order.append("third"))

        self.poller.again(first)
        self.poller.again(lambda: order.append("second"))
        self.assertEqual(order, [])
        self.reactor.turn()
        self.assertEqual(order, ["first", "second"])
        self.reactor.turn()
        self.assertEqual(order, ["first", "second", "third"])

    def test_again_fails(self) -> None:
        """A call that raises is logged, and does not cost the others their turn."""
        order: list[int] = []
        self.poller.again(lambda: order.append(1 // 0))
        self.poller.again(lambda: order.append(2))
        self.reactor.turn()
        self.assertEqual(order, [2])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_now(self) -> None:
        """The time is that of the turn."""
        near, far = self.pair()
        self.poller.watch(near.fileno(), lambda mask: self.heard.append(("", int(self.poller.now))))
        self.reactor.advance(7)
        far.send(b"x")
        self.reactor.turn()
        self.assertEqual(self.heard[-1], ("", 7))

    def test_blocked(self) -> None:
        """A paused or blocked socket with input costs no turns; afterwards it is told of."""
        near, far = self.pair()
        sink, sink_far = self.pair()
        for sock, name in ((near, "source"), (sink, "sink")):
            self.poller.watch(sock.fileno(), self.hear(name))
        self.reactor.settle()
        self.poller.pause(near.fileno())
        far.send(b"x")
        self.reactor.turn()
        self.assertEqual(self.reactor.settle(), 0)
        self.poller.resume(near.fileno())
        self.poller.remind(near.fileno())
        self.reactor.turn()
        self.assertIn("source", self.names())
        near.recv(9)
        try:
            while True:
                sink.send(bytes(4096))
        except BlockingIOError:
            pass
        self.poller.block(near.fileno(), sink.fileno())
        self.reactor.settle()
        self.names()
        sink_far.recv(1 << 24)
        self.reactor.turn()
        self.assertTrue(any(name == "sink" and mask & WRITABLE for name, mask in self.heard))
        self.poller.unblock(near.fileno(), sink.fileno())
        self.reactor.turn()
        self.assertEqual(self.reactor.settle(), 0)
        self.names()
        far.send(b"y")
        self.reactor.turn()
        self.assertEqual(self.names(), ["source"])

    def test_failed(self) -> None:
        """A connection that is reset is told of as something to read, or as failed."""
        peer, near = connected()
        self.addCleanup(near.close)
        self.poller.watch(near.fileno(), self.hear("reset"))
        self.reactor.settle()
        self.heard = []
        peer.reset()
        self.reactor.turn(50)
        self.assertTrue(any(mask & (READABLE | FAILED | HANGUP) for _, mask in self.heard))


if hasattr(select, "epoll"):

    class EpollPollerTests(PollerSuite, PollerCase):
        """The nested epoll."""

        poller_class = EpollPoller

        def test_descriptor(self) -> None:
            """The reactor has it as a reader as long as it runs."""
            verifyObject(IReadDescriptor, self.poller)
            self.assertEqual(self.reactor.getReaders(), [self.poller])

        def test_stop(self) -> None:
            """Afterwards the reactor knows nothing of it, and its descriptor is closed."""
            before = descriptors()
            poller = EpollPoller(self.reactor)
            poller.start()
            self.assertEqual(len(descriptors() - before), 1)
            poller.stop()
            self.assertEqual(descriptors() - before, set())
            self.assertEqual(self.reactor.getReaders(), [self.poller])

        def test_turn(self) -> None:
            """While it tells what has happened a turn is under way, which ends behind that."""
            turn = Batch()
            poller = EpollPoller(self.reactor, batch=turn)
            poller.start()
            self.addCleanup(poller.stop)
            near, _ = self.pair()
            seen: list[bool] = []

            def watcher(mask: int) -> None:
                turn.put_off(lambda: seen.append(turn.active))
                seen.append(turn.active)

            poller.watch(near.fileno(), watcher)
            self.reactor.turn()
            self.assertEqual(seen, [True, False])

        def test_constants(self) -> None:
            """Our names stand for the kernel's bits."""
            self.assertEqual(
                (READABLE, WRITABLE, URGENT, FAILED, HANGUP),
                (
                    select.EPOLLIN,
                    select.EPOLLOUT,
                    select.EPOLLPRI,
                    select.EPOLLERR,
                    select.EPOLLHUP | select.EPOLLRDHUP,
                ),
            )

        def test_edge(self) -> None:
            """Input that nobody reads is told of once; more of it is told of again."""
            near, far = self.pair()
            self.poller.watch(near.fileno(), self.hear("edge"))
            self.reactor.settle()
            self.names()
            for _ in range(2):
                far.send(b"x")
                self.reactor.settle()
                self.assertEqual(self.names(), ["edge"])

        def test_batch(self) -> None:
            """More sockets than are served at a time have their turn in the next."""
            self.patch(module, "_BATCH", 2)
            self.patch(module, "_ROUNDS", 0)
            for name in ("a", "b", "c"):
                near, _ = self.pair()
                self.poller.watch(near.fileno(), self.hear(name))
            self.reactor.turn()
            self.assertEqual(len(self.heard), 2)
            self.reactor.turn()
            self.assertEqual(sorted(self.names()), ["a", "b", "c"])

        def chain(self, length: int) -> list[float]:
            """
            Have one turn told of input to which so much other input follows.

            :returns: seconds that the epoll was given each time to wait.
            """
            waits: list[float] = []
            epoll = self.poller._epoll

            class Asked:
                """The epoll, and how it was asked."""

                closed = False

                def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
                    waits.append(timeout)
                    return epoll.poll(timeout, most)

            near, far = self.pair()

            def watcher(mask: int) -> None:
                if mask & READABLE:
                    self.heard.append(("told", len(near.recv(1))))
                    if len(self.heard) < length:
                        far.send(b"x")

            self.poller.watch(near.fileno(), watcher)
            self.poller.doRead()
            far.send(b"x")
            self.poller._epoll = Asked()  # type: ignore[assignment]
            self.poller.doRead()
            self.poller._epoll = epoll
            return waits

        def test_forget_shared(self) -> None:
            """A socket that others have is not heard of when we have closed ours."""
            near, far = self.pair()
            number, theirs = near.fileno(), os.dup(near.fileno())
            self.addCleanup(os.close, theirs)
            self.poller.watch(number, self.hear("old"))
            self.reactor.settle()
            self.poller.forget(number, shared=True)
            other, _ = self.pair()
            near.close()
            os.dup2(other.fileno(), number)
            self.addCleanup(os.close, number)
            self.poller.watch(number, self.hear("new"))
            self.reactor.settle()
            self.names()
            far.send(b"x")
            self.reactor.settle()
            self.assertEqual(self.names(), [])

        def test_again_at_once(self) -> None:
            """Who has asked for another turn gets it before more is waited for."""
            near, far = self.pair()
            self.poller.watch(near.fileno(), self.hear("other"))
            self.reactor.settle()
            self.names()

            def watcher(mask: int) -> None:
                self.poller.again(lambda: self.heard.append(("again", 0)))
                far.send(b"x")

            first, _ = self.pair()
            self.poller.watch(first.fileno(), watcher)
            self.reactor.turn()
            self.assertEqual(self.names(), [])
            self.reactor.turn()
            self.assertEqual(self.names()[0], "again")

        def test_interrupted(self) -> None:
            """A turn is over also if what it told of has ended the process, or tried to."""

            def ending(mask: int) -> None:
                raise SystemExit

            near, _ = self.pair()
            self.poller.watch(near.fileno(), ending)
            self.assertRaises(SystemExit, self.poller.doRead)
            self.assertFalse(self.poller._batch.active)

        def test_hard_behind(self) -> None:
            """Where one event comes hard behind the other it waits a little for the next."""
            waits = self.chain(3)
            self.assertEqual(len(self.heard), 3)
            self.assertEqual(waits, [0.0, *[module._CLOSE_SECONDS] * 3])

        def test_now_and_then(self) -> None:
            """Where they come now and then it asks once more, but does not wait."""
            times = iter(range(100))
            self.poller._monotonic = lambda: float(next(times))
            self.assertEqual(set(self.chain(1)), {0.0})

        def test_others(self) -> None:
            """However many there are, the reactor's other work has its turn."""
            self.chain(1000)
            self.assertEqual(len(self.heard), module._ROUNDS + 1)

        def test_long(self) -> None:
            """So it has when they have taken long."""
            times = iter(range(1000))
            self.poller._monotonic = lambda: next(times) * module._LONG_SECONDS / 4
            self.chain(1000)
            self.assertLess(len(self.heard), 8)

        def test_best(self) -> None:
            """It is preferred where there is one."""
            poller = make_poller(self.reactor)
            self.assertIsInstance(poller, EpollPoller)
            poller.start()
            poller.stop()
            self.patch(module.select, "epoll", None)
            delattr(module.select, "epoll")
            self.assertIsInstance(make_poller(self.reactor), ReactorPoller)


class ReactorPollerTests(PollerSuite, PollerCase):
    """The portable poller."""

    poller_class = ReactorPoller

    def test_leaves_nothing(self) -> None:
        """Of a forgotten socket the reactor knows nothing."""
        near, _ = self.pair()
        self.poller.watch(near.fileno(), self.hear("x"))
        self.poller.forget(near.fileno())
        self.assertEqual(self.reactor.removeAll(), [])

    def test_handed_over_early(self) -> None:
        """One that is handed over in its first event is not called by its old name again."""
        near, far = self.pair()

        def first(mask: int) -> None:
            self.heard.append(("first", mask))
            self.poller.hand_over(near.fileno(), self.hear("second"))

        self.poller.watch(near.fileno(), first)
        self.reactor.turn()
        far.send(b"x")
        self.reactor.turn()
        self.assertEqual(self.heard, [("first", WRITABLE), ("second", READABLE)])
