"""
Waiting for the sockets of listeners, connection attempts and relays.

Twisted's reactor wraps each event of each descriptor and calls ``epoll_ctl`` whenever interest in
it changes.  A relay needs neither: :class:`EpollPoller` keeps an epoll of its own, which the
reactor sees as a single reader.  Sockets are registered in it once, edge-triggered, for input,
output and the peer's end, and are never modified; those of datagrams for input alone, as a level.
A reactor iteration costs as much as several events, so while events follow each other closely the
poller waits for the next one itself.  Where there is no epoll, :class:`ReactorPoller` does the same
with the reactor's means, level-triggered.

What a watcher may rely on, with either of them:

- it is called with a mask of :data:`READABLE`, :data:`WRITABLE`, :data:`URGENT`, :data:`HANGUP`
  and :data:`FAILED`; the mask is a hint, the truth is what the next system call says;
- after a call with :data:`READABLE` it is called again only when *more* comes, unless it has asked
  for input alone (:meth:`IPoller.watch_input`), so it reads until the socket is drained, or asks
  to be called again with :meth:`IPoller.again`; a read that brings less than was asked for has
  drained it, unless :data:`HANGUP` or :data:`URGENT` was reported;
- a descriptor that was forgotten is not reported again, even if its number is in use once more.
"""

# ruff: noqa: N805 - the methods of a zope interface have no ``self``
from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor, IReadWriteDescriptor
from twisted.logger import Logger
from zope.interface import Attribute, Interface, implementer

from dantetw.net.batch import Batch

READABLE: Final = 0x001  # EPOLLIN
WRITABLE: Final = 0x004  # EPOLLOUT
URGENT: Final = 0x002  # EPOLLPRI
FAILED: Final = 0x008  # EPOLLERR
HANGUP: Final = 0x2010  # EPOLLHUP | EPOLLRDHUP

#: Events taken from the kernel at a time, so that the reactor's other work is not delayed.
_BATCH: Final = 512
#: Seconds within which events follow each other closely.
_CLOSE_SECONDS: Final = 0.001
#: Times that more events are asked for before the reactor's other work is done, and seconds after
#: which it is.
_ROUNDS: Final = 32
_LONG_SECONDS: Final = 0.005

#: Input, output and the peer's end, edge-triggered: for connections.
EDGES: Final = 0x8000_2007  # EPOLLET | EPOLLRDHUP | EPOLLOUT | EPOLLPRI | EPOLLIN

Watcher = Callable[[int], None]
_log = Logger()


class IPoller(Interface):
    """Waits for sockets."""

    now = Attribute("Monotonic seconds when the last batch began, or of ``refresh`` since.")
    turned = Attribute(
        "Called with the microseconds that each batch took in which something happened to a socket"
        " with room for output, as connections have, if it is set."
    )
    tells_failures = Attribute("Whether a socket has no error if a mask says nothing of one.")

    def start() -> None:
        """Begin to wait."""

    def stop() -> None:
        """Wait no more."""

    def refresh() -> None:
        """Set ``now`` to the present time, for code that is not called by this poller."""

    def watch(fd: int, watcher: Watcher) -> None:
        """Call ``watcher(mask)`` when something happens on ``fd``, which is not watched yet."""

    def watch_input(fd: int, watcher: Watcher) -> None:
        """
        Likewise, for input alone, and repeatedly as long as there is any: for datagrams, each of
        which would be reported as room for output when it has been sent.
        """

    def hand_over(fd: int, watcher: Watcher) -> None:
        """Call another watcher for ``fd`` from now on.  Costs no system call."""

    def remind(fd: int) -> None:
        """Report soon, once more, what is the case with ``fd``, to a watcher that has changed."""

    def forget(fd: int, shared: bool = False) -> None:
        """
        Stop watching ``fd``, which the caller is about to close.

        :param shared: another process has the socket too, and so it is not over then.
        """

    def pause(fd: int) -> None:
        """The watcher of ``fd`` will not read for now; it may be called all the same."""

    def resume(fd: int) -> None:
        """It will again.  What was reported of ``fd`` meanwhile is not repeated."""

    def block(source: int, sink: int) -> None:
        """The watcher of ``source`` will not read until ``sink`` is writable."""

    def unblock(source: int, sink: int) -> None:
        """The contrary of :meth:`block`."""

    def again(call: Callable[[], None]) -> None:
        """Call soon, after other sockets have been served."""


class _Again:
    """The queue behind :meth:`IPoller.again`."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._calls: deque[Callable[[], None]] = deque()

    def again(self, call: Callable[[], None]) -> None:
        if not self._calls:
            self._reactor.callLater(0, self._run)
        self._calls.append(call)

    def _run(self) -> None:
        # Only those that are waiting now: what they queue waits for the next iteration.
        calls, self._calls = self._calls, deque()
        for call in calls:
            try:
                call()
            except Exception:
                _log.failure("Failure in a relay's turn")


@implementer(IPoller, IReadDescriptor)
class EpollPoller(_Again):
    """
    One nested epoll for all relays of a process.

    :param reactor: gets this poller as a reader in :meth:`start`.
    :param monotonic: the clock behind :attr:`now`.
    :param batch: the batch in which watchers are called.
    """

    def __init__(
        self,
        reactor: Any,
        monotonic: Callable[[], float] = time.monotonic,
        batch: Batch | None = None,
    ) -> None:
        super().__init__(reactor)
        self._monotonic = monotonic
        self._batch = Batch() if batch is None else batch
        self._epoll = select.epoll()
        self._watchers: dict[int, Watcher] = {}
        self._forgotten: set[int] = set()
        self.turned: Callable[[int], None] | None = None
        self.now = monotonic()
        # When something last happened.
        self._heard = float("-inf")

    tells_failures = True

    def start(self) -> None:
        """Join the reactor."""
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Leave the reactor and free the epoll descriptor."""
        self._reactor.removeReader(self)
        self._epoll.close()

    def fileno(self) -> int:
        return self._epoll.fileno()

    def logPrefix(self) -> str:
        return "relays"

    def connectionLost(self, reason: Any) -> None:
        """Asked for by the interface; an epoll descriptor is never lost."""

    def refresh(self) -> None:
        self.now = self._monotonic()

    def watch(self, fd: int, watcher: Watcher) -> None:
        self._epoll.register(fd, EDGES)
        self._watchers[fd] = watcher

    def watch_input(self, fd: int, watcher: Watcher) -> None:
        self._epoll.register(fd, READABLE)
        self._watchers[fd] = watcher

    def hand_over(self, fd: int, watcher: Watcher) -> None:
        self._watchers[fd] = watcher

    def remind(self, fd: int) -> None:
        # Modifying, even without a change, makes the kernel look afresh.
        self._epoll.modify(fd, EDGES)

    def forget(self, fd: int, shared: bool = False) -> None:
        if self._watchers.pop(fd, None) is None:
            return
        self._forgotten.add(fd)
        # Closing the descriptor, which follows, takes it out of the epoll, unless others have it.
        if shared and not self._epoll.closed:
            self._epoll.unregister(fd)

    def pause(self, fd: int) -> None:
        """Edges need no pausing."""

    def resume(self, fd: int) -> None:
        """Edges need no resuming."""

    def block(self, source: int, sink: int) -> None:
        """Edges need no blocking."""

    def unblock(self, source: int, sink: int) -> None:
        """Edges need no unblocking."""

    def doRead(self) -> None:
        """Call the watchers of what has happened.  The reactor calls this."""
        before = self._heard
        if not self._tell(0.0):
            return
        began = self._heard
        wait = _CLOSE_SECONDS if began - before < _CLOSE_SECONDS else 0.0
        for _ in range(_ROUNDS):
            # Calls of ``again`` have waited for the other sockets by now.
            if self._calls or self._epoll.closed:
                return
            if not self._tell(wait) or self._heard - began > _LONG_SECONDS:
                return

    def _tell(self, wait: float) -> bool:
        """
        Call the watchers of what has happened, once.

        :param wait: seconds to wait until something does.
        :returns: whether anything has.
        """
        events = self._epoll.poll(wait, _BATCH)
        self.now = self._monotonic()
        if not events:
            return False
        self._heard = self.now
        watchers, forgotten = self._watchers, self._forgotten
        forgotten.clear()
        seen = 0
        self._batch.begin()
        try:
            for fd, mask in events:
                seen |= mask
                # A watcher earlier in this batch may have closed ``fd``, and its number may already
                # belong to another socket: this event is not for that one.
                if fd in forgotten:
                    continue
                watcher = watchers.get(fd)
                if watcher is not None:
                    try:
                        watcher(mask)
                    except Exception:
                        _log.failure("Failure in serving a socket")
        finally:
            self._batch.end()
        if seen & WRITABLE and self.turned is not None:
            self.turned(int((self._monotonic() - self.now) * 1_000_000))
        return True


@implementer(IReadWriteDescriptor)
class _Descriptor:
    """One descriptor of a :class:`ReactorPoller`, as the reactor sees it."""

    __slots__ = ("_fd", "watcher")

    def __init__(self, fd: int, watcher: Watcher) -> None:
        self._fd = fd
        self.watcher = watcher

    def fileno(self) -> int:
        return self._fd

    def logPrefix(self) -> str:
        return "relay"

    def doRead(self) -> None:
        self._tell(READABLE)

    def doWrite(self) -> None:
        self._tell(WRITABLE)

    def connectionLost(self, reason: Any) -> None:
        """The reactor has seen an error condition: the watcher finds out which."""
        self._tell(READABLE | FAILED | HANGUP)

    def _tell(self, mask: int) -> None:
        try:
            self.watcher(mask)
        except Exception:
            # The reactor would remove the descriptor, and it would not be reported any more.
            _log.failure("Failure in a relay")

    def forget(self) -> None:
        """
        Have no descriptor: some reactors call ``doWrite`` after a ``doRead`` that forgot this one,
        but not for a descriptor of -1.
        """
        self._fd = -1


@implementer(IPoller)
class ReactorPoller(_Again):
    """
    The portable poller: every socket is a reader and a writer of the reactor.

    Level-triggered: a socket that must not be read is not among the readers until its sink is
    writable (:meth:`block`), and a socket is a writer only as long as something waits for that.
    """

    tells_failures = False

    def __init__(self, reactor: Any, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__(reactor)
        self._set: IReactorFDSet = reactor
        self.turned: Callable[[int], None] | None = None  # there are no batches
        self._monotonic = monotonic
        self._descriptors: dict[int, _Descriptor] = {}

    @property
    def now(self) -> float:
        return self._monotonic()

    def start(self) -> None:
        """Nothing to do: each socket joins the reactor when it is watched."""

    def stop(self) -> None:
        """Nothing to do."""

    def refresh(self) -> None:
        """Nothing to do: ``now`` is always the present time."""

    def watch(self, fd: int, watcher: Watcher) -> None:
        def first(mask: int) -> None:
            # A new socket is reported writable once, as an edge is: the connection is made.
            if mask & WRITABLE:
                self._set.removeWriter(descriptor)
                if descriptor.watcher is first:
                    descriptor.watcher = watcher
            watcher(mask)

        descriptor = self._descriptors[fd] = _Descriptor(fd, first)
        self._set.addReader(descriptor)
        self._set.addWriter(descriptor)

    def watch_input(self, fd: int, watcher: Watcher) -> None:
        descriptor = self._descriptors[fd] = _Descriptor(fd, watcher)
        self._set.addReader(descriptor)

    def hand_over(self, fd: int, watcher: Watcher) -> None:
        descriptor = self._descriptors[fd]
        self._set.removeWriter(descriptor)
        descriptor.watcher = watcher

    def forget(self, fd: int, shared: bool = False) -> None:
        descriptor = self._descriptors.pop(fd, None)
        if descriptor is not None:
            self._set.removeReader(descriptor)
            self._set.removeWriter(descriptor)
            descriptor.forget()

    def remind(self, fd: int) -> None:
        """Levels need no reminding."""

    def pause(self, fd: int) -> None:
        self._set.removeReader(self._descriptors[fd])

    def resume(self, fd: int) -> None:
        self._set.addReader(self._descriptors[fd])

    def block(self, source: int, sink: int) -> None:
        self.pause(source)
        self._set.addWriter(self._descriptors[sink])

    def unblock(self, source: int, sink: int) -> None:
        self._set.removeWriter(self._descriptors[sink])
        self.resume(source)


def make_poller(reactor: Any, batch: Batch | None = None) -> EpollPoller | ReactorPoller:
    """
    The best poller this system has.

    :param batch: see :class:`EpollPoller`; the other one has no batches.
    """
    if hasattr(select, "epoll"):
        return EpollPoller(reactor, batch=batch)
    return ReactorPoller(reactor)
