"""
What takes privileges, done in this process with the rights it has.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property

from dantetw.auth.pamprocess import PamProcess, PamProcesses
from dantetw.auth.shadow import SystemPasswords, Verdict
from dantetw.auth.stamps import Stamp, look
from dantetw.process import links
from dantetw.process.appending import open_appending
from dantetw.process.regular import open_regular


class Direct:
    """
    Implements :class:`~dantetw.process.rights.Rights`.

    :param pidfile: the process id's file; empty: none.
    :param owner: user and group that logs we create shall belong to; None: whoever we are.
    :param distrusted: a user who must not choose what files a name leads to (:mod:`.links`); None:
        there is nobody else whom this is done for.
    """

    def __init__(
        self,
        pidfile: str = "",
        owner: tuple[int, int] | None = None,
        distrusted: int | None = None,
    ) -> None:
        self._pidfile = pidfile
        self._owner = owner
        self._distrusted = distrusted
        self._pam = PamProcesses()

    def open_log(self, path: str) -> int:
        """See :class:`~dantetw.process.rights.Rights`."""
        return self._open(path, lambda path, flags: open_appending(path, self._owner, flags))

    def open_file(self, path: str, flags: int = 0) -> int:
        """See :class:`~dantetw.process.rights.Rights`."""
        return self._open(path, lambda path, more: open_regular(path, flags | more))

    open_config = open_file

    def look(self, path: str) -> Stamp:
        """See :class:`~dantetw.process.rights.Rights`."""
        if self._distrusted is not None:
            path = links.resolve(path, self._distrusted)
        return look(path)

    def bind(self, sock: socket.SocketType, address: tuple[str | int, ...]) -> None:
        """
        See :class:`~dantetw.process.rights.Rights`.

        The socket becomes ours if another user made it: the kernel lets sockets share a port
        (``SO_REUSEPORT``) with those of the same user only, and those we began with were ours.
        """
        if self._distrusted is not None:
            with suppress(OSError):
                os.fchown(sock.fileno(), os.geteuid(), -1)
        sock.bind(address)

    def check_password(self, name: str, password: bytes) -> Verdict:
        """See :class:`~dantetw.process.rights.Rights`."""
        return self._passwords.thd_check(name, password)

    @cached_property
    def _passwords(self) -> SystemPasswords:
        return SystemPasswords()

    def start_pam(self) -> PamProcess:
        """See :class:`~dantetw.process.rights.Rights`."""
        return self._pam.start()

    def empty_pidfile(self) -> None:
        """See :class:`~dantetw.process.rights.Rights`."""
        if self._pidfile:
            descriptor = self._open(self._pidfile, _open_writing)
            try:
                os.ftruncate(descriptor, 0)
            finally:
                os.close(descriptor)

    def close(self) -> None:
        """End what was started."""
        self._pam.kill()

    def _open(self, path: str, opener: Callable[[str, int], int]) -> int:
        if self._distrusted is None:
            return opener(path, 0)
        return links.open_trusted(path, opener, self._distrusted)


def _open_writing(path: str, flags: int) -> int:
    return open_regular(path, flags | os.O_WRONLY)
