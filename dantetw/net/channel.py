"""
Messages between processes of this host.

Messages go over a stream socket, each as a head and three parts: a word, a value as JSON, and
bytes.  Descriptors travel beside them (``SCM_RIGHTS``, :manpage:`unix(7)`).

A process that serves clients, and so reads their data, is not trusted: only words, numbers and text
are accepted from it.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeGuard, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

#: Most descriptors that one message can bring with it (``SCM_MAX_FD``).
MOST_DESCRIPTORS: Final = 253
#: Most bytes of a message; a longer one is a bug, and ends the channel.
LONGEST: Final = 64 * 1024 * 1024
#: The same for a process that is not trusted.  Latencies, which are the longest, take a quarter of
#: it.
LONGEST_SAID: Final = 1024 * 1024

#: Numbers from here on are refused as counts: no process has so many of anything.
COUNT_LIMIT: Final = 2**40

# Lengths of the text and of the bytes, number of descriptors.
_HEAD: Final = struct.Struct("!IIB")
_CHUNK: Final = 256 * 1024
# Messages that bring descriptors and may not be complete yet: one, since they are taken at once.
_MOST_BEFORE: Final = 2


@dataclass(frozen=True, slots=True)
class Frame:
    """
    A message.

    :ivar word: the kind of message; ``said``: its value; ``payload``: its bytes.
    :ivar descriptors: that came with it; the receiver owns them.  Only the first of them if a
        process can have no more.
    """

    word: str
    said: Any = None
    payload: bytes = b""
    descriptors: tuple[int, ...] = ()


@implementer(IReadWriteDescriptor)
class Channel:
    """
    One end.

    :param sock: belongs to the channel from now on.
    :param heard: called with each :class:`Frame` that comes.
    :param lost: called once when the other end has closed, or has sent nonsense.
    :param trusted: the other end may send descriptors, and long messages.
    :param unread: what another process has read before us.
    """

    def __init__(
        self,
        sock: socket.socket,
        reactor: Any,
        heard: Callable[[Frame], None],
        lost: Callable[[], None],
        trusted: bool = True,
        unread: bytes = b"",
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._reactor = reactor
        self._heard = heard
        self._lost = lost
        self._trusted = trusted
        self._longest = LONGEST if trusted else LONGEST_SAID
        self._unread = bytearray(unread)
        # Of that, where the next message begins.
        self._at = 0
        # Those of each message that brings some.
        self._descriptors: deque[tuple[int, ...]] = deque()
        # What is left of messages to send, each with the descriptors that go with its first byte.
        self._unsent: deque[tuple[bytes, tuple[int, ...]]] = deque()

    def start(self) -> None:
        """Begin to listen."""
        self._reactor.addReader(self)

    def distrust(self) -> None:
        """Accept no long messages from now on."""
        self._longest = LONGEST_SAID

    def release(self) -> tuple[socket.socket, bytes] | None:
        """
        Release the socket, so that another process can continue with it.

        :returns: the socket, and the bytes read of an incomplete message; None if not all messages
            have been sent, so that no process can continue.  The channel is closed then.
        """
        if not self.flush() or self._sock.fileno() < 0:
            self.close()
            return None
        sock, unread = self._sock.dup(), bytes(self._unread[self._at :])
        self.close()
        return sock, unread

    def attend(
        self, reactor: Any, heard: Callable[[Frame], None], lost: Callable[[], None]
    ) -> None:
        """Replace the functions that are called from now on."""
        self._reactor, self._heard, self._lost = reactor, heard, lost
        self.start()
        self.flush()

    def send(
        self, word: str, said: Any = None, payload: bytes = b"", descriptors: Sequence[int] = ()
    ) -> None:
        """
        Send a message, without waiting.

        :param descriptors: at most :data:`MOST_DESCRIPTORS`; duplicates of them are sent.
        :raises OSError: if there can be no more descriptors.
        """
        text = json.dumps([word, said]).encode()
        head = _HEAD.pack(len(text), len(payload), len(descriptors))
        own: list[int] = []
        try:
            for descriptor in descriptors:
                own.append(os.dup(descriptor))
        except OSError:
            _close(own)
            raise
        self._unsent.append((head + text + payload, tuple(own)))
        self.flush()

    def flush(self) -> bool:
        """Send what can be sent now; whether all has been."""
        try:
            while self._unsent:
                data, descriptors = self._unsent[0]
                if descriptors:
                    sent = socket.send_fds(self._sock, [data], descriptors)
                    _close(descriptors)
                else:
                    sent = self._sock.send(data)
                if sent == len(data):
                    self._unsent.popleft()
                else:
                    self._unsent[0] = (data[sent:], ())
        except BlockingIOError:
            self._reactor.addWriter(self)
            return False
        except OSError:
            self._forget()  # it has gone, which reading finds
        self._reactor.removeWriter(self)
        return True

    def fileno(self) -> int:
        return self._sock.fileno()

    def logPrefix(self) -> str:
        return "channel"

    def doWrite(self) -> None:
        """The reactor found that more can be sent."""
        self.flush()

    def doRead(self) -> None:
        """The reactor found that something has come."""
        try:
            data = self._received() if self._trusted else self._sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if len(self._descriptors) > _MOST_BEFORE:
            data = b""  # descriptors without a message, as many as it likes
        if not data:
            self._end()
            return
        self._unread += data
        try:
            while self._sock.fileno() >= 0 and (order := self._next()) is not None:
                self._heard(order)
        except (ValueError, RecursionError):  # the latter of JSON that is nested a thousand times
            self._end()
        # Once, not for each of thousands of messages.
        del self._unread[: self._at]
        self._at = 0

    def _received(self) -> bytes:
        """What has come; its descriptors are kept."""
        data, descriptors, flags, _ = socket.recv_fds(self._sock, _CHUNK, MOST_DESCRIPTORS)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)  # recv_fds drops the flag that would say so
        # The kernel gives those of one message at a time, and fewer if we can have no more.
        if descriptors or flags & socket.MSG_CTRUNC:
            self._descriptors.append(tuple(descriptors))
        return data

    def connectionLost(self, reason: Failure) -> None:
        """The reactor found that the other end has gone."""
        self._end()

    def _next(self) -> Frame | None:
        """
        Take a message from the bytes received, if there is a whole one.

        :raises ValueError: if it makes no sense.
        """
        begin = self._at + _HEAD.size
        if len(self._unread) < begin:
            return None
        text, payload, number = _HEAD.unpack_from(self._unread, self._at)
        if text + payload > self._longest:
            raise ValueError("too long")
        end = begin + text + payload
        if len(self._unread) < end:
            return None
        said = json.loads(self._unread[begin : begin + text])
        rest = bytes(self._unread[begin + text : end])
        self._at = end
        if number and not self._descriptors:
            raise ValueError("descriptors are missing")
        match said:
            case [str(word), what]:
                descriptors = self._descriptors.popleft() if number else ()
                return Frame(word, what, rest, descriptors)
        raise ValueError("not a message")

    def _end(self) -> None:
        if self._sock.fileno() >= 0:
            self.close()
            self._lost()

    def close(self) -> None:
        """Close the channel.  May be called twice."""
        if self._sock.fileno() < 0:
            return
        self._reactor.removeReader(self)
        self._reactor.removeWriter(self)
        self._forget()
        while self._descriptors:
            _close(self._descriptors.popleft())
        self._sock.close()

    def _forget(self) -> None:
        """Forget what has not been sent."""
        for _, descriptors in self._unsent:
            _close(descriptors)
        self._unsent.clear()


_Key = TypeVar("_Key", bound=Hashable)
_Answer = TypeVar("_Answer")


class Answers(Generic[_Key, _Answer]):
    """Answers that are awaited from the other end of a channel, by what distinguishes them."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._expected: dict[_Key, Deferred[_Answer | None]] = {}

    def expect(self, key: _Key, seconds: float) -> Deferred[_Answer | None]:
        """Fires with the answer; with None if there will be none, or not within these seconds."""

        def late(_: object) -> None:
            if self._expected.get(key) is expected:
                del self._expected[key]

        expected = self._expected[key] = Deferred()
        expected.addTimeout(seconds, self._reactor)
        expected.addErrback(late)
        return expected

    def heard(self, key: _Key, answer: _Answer) -> None:
        """An answer has come, perhaps one that is not awaited."""
        expected = self._expected.pop(key, None)
        if expected is not None:
            expected.callback(answer)

    def give_up(self) -> None:
        """Await no answer any longer."""
        while self._expected:
            self._expected.popitem()[1].callback(None)


def is_count(said: object) -> TypeGuard[int]:
    """Whether a value from another process is a valid count, from 0."""
    return type(said) is int and 0 <= said < COUNT_LIMIT


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
