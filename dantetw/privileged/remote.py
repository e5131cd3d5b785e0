"""
What takes privileges, done by the privileged helper: the server's side.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from dantetw.auth.pamprocess import PamProcess
from dantetw.auth.shadow import PasswordVerdict
from dantetw.privileged import requests
from dantetw.privileged.requests import (
    HelperAnswer,
    HelperOutcome,
    HelperRequest,
    HelperTask,
    MalformedError,
    refused,
)
from dantetw.process.appending import open_appending
from dantetw.process.filewatch import Stamp, look
from dantetw.process.regular import open_regular

#: Seconds that the reactor's thread waits for an answer at most, and other threads: for passwords,
#: since others may come first, and for the configuration, since it may look up names.
QUICK: Final = 10
SLOW: Final = 300

LOST: Final = "the privileged helper has ended: the server must be restarted"
LATE: Final = "the privileged helper does not answer"


_Result = TypeVar("_Result")


class HelperError(PermissionError):
    """The privileged helper does not do it; ``strerror`` says why."""

    def __init__(self, words: str) -> None:
        super().__init__(errno.EPERM, words)


class RefusedError(HelperError):
    """It may not."""


class LostError(HelperError):
    """It cannot be asked."""


class ByHelper:
    """
    Implements :class:`~dantetw.auth.privileges.Privileged`.  Files that this process may read it
    reads itself.

    May be used in several threads and, after a fork, in all processes: each opens channels of its
    own, as many as it asks things at a time.

    :param door: our end of it.
    """

    def __init__(self, door: socket.socket) -> None:
        self._door = door
        self._process = os.getpid()
        # Free channels.  One is taken and given back by list operations that no other thread can
        # come between; a lock might be held by another thread at the moment of a fork.
        self._free: list[socket.socket] = []

    def open_log(self, path: str) -> int:
        """See :class:`~dantetw.auth.privileges.Privileged`."""
        try:
            return self._ask(HelperTask.OPEN_LOG, path)[1][0]
        except LostError as lost:
            return _or(lost, lambda: open_appending(path))

    def open_file(self, path: str, flags: int = 0) -> int:
        """See :class:`~dantetw.auth.privileges.Privileged`."""
        try:
            return open_regular(path, flags)
        except PermissionError:
            return self._ask(HelperTask.OPEN_FILE, path)[1][0]

    def open_config(self, path: str, flags: int = 0) -> int:
        """See :class:`~dantetw.auth.privileges.Privileged`.  It is the helper that knows which."""
        try:
            # Not ourselves first: the helper has to know what the new one names.
            return self._ask(HelperTask.OPEN_CONFIG, timeout=SLOW)[1][0]
        except LostError as lost:
            return _or(lost, lambda: open_regular(path, flags))

    def look(self, path: str) -> Stamp:
        """See :class:`~dantetw.auth.privileges.Privileged`."""
        try:
            return look(path)
        except PermissionError:
            changed, size, inode = self._ask(HelperTask.STAMP, path)[0]
            return changed, size, inode

    def bind(self, sock: socket.SocketType, address: tuple[str | int, ...]) -> None:
        """See :class:`~dantetw.auth.privileges.Privileged`."""
        host, port, scope = address[0], address[1], address[3] if len(address) > 3 else 0
        try:
            # Not ourselves first: it makes the socket its own, see Direct.bind.
            self._ask(HelperTask.BIND, host, port, scope, descriptors=(sock.fileno(),))
        except LostError as lost:
            _or(lost, lambda: sock.bind(address))

    def check_password(self, name: str, password: bytes, client: str = "") -> PasswordVerdict:
        """See :class:`~dantetw.auth.privileges.Privileged`."""
        secret = password.decode("latin-1")
        (verdict,), _ = self._ask(HelperTask.CHECK_PASSWORD, name, secret, client, timeout=SLOW)
        return PasswordVerdict(verdict)

    def start_pam(self) -> PamProcess:
        """See :class:`~dantetw.auth.privileges.Privileged`."""
        return PamProcess(*self._ask(HelperTask.START_PAM)[1])

    def empty_pidfile(self) -> None:
        """See :class:`~dantetw.auth.privileges.Privileged`."""
        self._ask(HelperTask.EMPTY_PIDFILE)

    def close(self) -> None:
        """Ask nothing more."""
        for channel in self._free:
            channel.close()
        self._free.clear()

    def _ask(
        self,
        what: HelperTask,
        *arguments: str | int,
        descriptors: Sequence[int] = (),
        timeout: float = QUICK,
    ) -> tuple[tuple[Any, ...], list[int]]:
        """
        Make a request and wait for the answer.

        :returns: what was found, and descriptors.
        :raises OSError: if it was not done.
        """
        packet = requests.pack_request(HelperRequest(what, arguments))
        channel = self._channel()
        try:
            channel.settimeout(timeout)
            requests.send(channel, packet, descriptors)
            reply, received = requests.receive(channel)
            if not reply:
                raise LostError(LOST)
            answer = requests.parse_answer(reply)
        except TimeoutError:
            channel.close()  # the answer to come would be taken for the next one's
            raise LostError(LATE) from None
        except (OSError, MalformedError):
            channel.close()
            raise LostError(LOST) from None
        self._free.append(channel)
        if answer.outcome is not HelperOutcome.DONE:
            requests.close(received)
            raise _error(what, answer)
        return answer.found, received

    def _channel(self) -> socket.socket:
        """
        A channel of this process that is not in use.

        :raises LostError: if there is none and none can be had.
        """
        if self._process != os.getpid():
            # We have been forked, and these are our parent's.  They are not closed: they may have
            # been, together with all that is not ours, and their numbers be those of others.
            self._process = os.getpid()
            while self._free:
                self._free.pop().detach()
        try:
            return self._free.pop()
        except IndexError:
            pass
        ours, theirs = requests.pair()
        try:
            packet = requests.pack_request(HelperRequest(HelperTask.CHANNEL))
            requests.send(self._door, packet, (theirs.fileno(),))
        except OSError:
            ours.close()
            raise LostError(LOST) from None
        finally:
            theirs.close()
        return ours


def _or(lost: LostError, ourselves: Callable[[], _Result]) -> _Result:
    """Do it ourselves, without a helper, if we may."""
    try:
        return ourselves()
    except PermissionError:
        raise lost from None


def _error(what: HelperTask, answer: HelperAnswer) -> OSError:
    """What an answer says that is none of success; the helper reports what it refuses."""
    if answer.outcome is HelperOutcome.FAILED:
        return OSError(answer.number, answer.words)
    return RefusedError(refused(what, answer.words))
