"""
The bounded queue in front of a slow reader.

When it is full, new messages are dropped, not old ones: what is read later then has no gap but the
one that is reported, and the oldest messages show how the problem began.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Reversible
from typing import Final

#: How much may wait for one destination, in bytes.  Some 7000 lines; a few seconds of a busy
#: server, and sixteen times what a pipe holds.
LIMIT: Final = 1024 * 1024


class Backlog:
    """
    Messages that wait, at most :data:`LIMIT` bytes of them (and always room for one).

    Once it had to drop a message it takes none until it is half empty, so that it does not
    alternate between the two at each message.

    :ivar dropping: whether it refuses messages now.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._size = 0
        self._queue: deque[bytes] = deque()
        self.dropping = False

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, message: bytes) -> bool:
        """Take a message to the end of the queue; False if there is no room."""
        if self._queue and (self.dropping or self._size + len(message) > self._limit):
            self.dropping = True
            return False
        self._queue.append(message)
        self._size += len(message)
        return True

    def put_back(self, messages: Reversible[bytes]) -> None:
        """Put messages, oldest first, that did not arrive before all others, room or not."""
        for message in reversed(messages):
            self._queue.appendleft(message)
            self._size += len(message)

    @property
    def head(self) -> bytes:
        """The oldest message; there must be one."""
        return self._queue[0]

    def pop(self) -> bytes:
        """Remove the oldest message; there must be one."""
        message = self._queue.popleft()
        self._size -= len(message)
        if self._size <= self._limit // 2:
            self.dropping = False
        return message

    def clear(self) -> int:
        """Forget all that waits, and say how many messages it was."""
        number = len(self._queue)
        self._queue.clear()
        self._size = 0
        self.dropping = False
        return number
