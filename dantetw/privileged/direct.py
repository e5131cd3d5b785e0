"""
Privileged work, done in this process with the privileges it has.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property

from dantetw.auth.pamprocess import PamProcess, PamProcesses
from dantetw.auth.shadow import PasswordVerdict, SystemPasswords
from dantetw.privileged.paths import Untrusted, look_trusted, open_trusted
from dantetw.process import pidfile
from dantetw.process.appending import open_appending
from dantetw.process.filewatch import Stamp, look
from dantetw.process.regular import open_regular

# Opens a name with flags beside its own, in a folder; None: the current one.
_Opener = Callable[[str, int, int | None], int]


class ByProcess:
    """
    Implements :class:`~dantetw.auth.privileges.Privileged`.

    :param pidfile: the process id's file; empty: none.
    :param owner: user and group of the logs it creates; None: this process's.
    :param untrusted: a user that must not choose what files a name leads to (:mod:`.paths`); None:
        this is done for no other user.
    :param server: process id of the server, which the pid file may have; 0: ours.
    """

    def __init__(
        self,
        pidfile: str = "",
        owner: tuple[int, int] | None = None,
        untrusted: Untrusted | None = None,
        server: int = 0,
    ) -> None:
        self._pidfile = pidfile
        self._owner = owner
        self._untrusted = untrusted
        self._server = server
        self._pam = PamProcesses()

    def open_log(self, path: str) -> int:
        """See :class:`~dantetw.auth.privileges.Privileged`."""
        return self._open(
            path, lambda name, flags, folder: open_appending(name, self._owner, flags, folder)
        )

    def open_file(self, path: str, flags: int = 0) -> int:
        """See :class:`~dantetw.auth.privileges.Privileged`."""
        return self._open(path, _reading(flags))

    def open_config(self, path: str, flags: int = 0) -> int:
        """
        See :class:`~dantetw.auth.privileges.Privileged`.

        All that may be asked for depends on it, so the untrusted user must not be able to write it.
        """
        return self._open(path, _reading(flags), strict=True)

    def look(self, path: str) -> Stamp:
        """See :class:`~dantetw.auth.privileges.Privileged`."""
        return look(path) if self._untrusted is None else look_trusted(path, self._untrusted)

    def bind(self, sock: socket.SocketType, address: tuple[str | int, ...]) -> None:
        """
        See :class:`~dantetw.auth.privileges.Privileged`.

        The socket becomes ours if another user made it: the kernel lets sockets share a port
        (``SO_REUSEPORT``) with those of the same user only, and those we began with were ours.
        """
        if self._untrusted is not None:
            with suppress(OSError):
                os.fchown(sock.fileno(), os.geteuid(), -1)
        sock.bind(address)

    def check_password(self, name: str, password: bytes, client: str = "") -> PasswordVerdict:
        """See :class:`~dantetw.auth.privileges.Privileged`."""
        return self._passwords.thd_check(name, password)

    @cached_property
    def _passwords(self) -> SystemPasswords:
        return SystemPasswords()

    def start_pam(self, process: int = 0, services: Iterable[str] | None = None) -> PamProcess:
        """
        See :class:`~dantetw.auth.privileges.Privileged`.

        :param process: names the one that it is for, which may have so many.
        :param services: PAM services that it may be asked about; None: any.
        """
        return self._pam.start(process, services)

    def open_pidfile(self) -> int | None:
        """
        Open the file for the process id; None: there is none.

        :raises OSError: if it cannot be opened.
        """
        if not self._pidfile:
            return None
        return self._open(
            self._pidfile,
            lambda name, flags, folder: pidfile.open_pidfile(name, self._owner, flags, folder),
        )

    def empty_pidfile(self) -> None:
        """See :class:`~dantetw.auth.privileges.Privileged`."""
        if self._pidfile:
            descriptor = self._open(self._pidfile, _reading(os.O_RDWR))
            pidfile.empty(descriptor, self._server or os.getpid())

    def close(self) -> None:
        """End what was started."""
        self._pam.kill()

    def _open(self, path: str, opener: _Opener, strict: bool = False) -> int:
        if self._untrusted is None:
            return opener(path, 0, None)
        return open_trusted(path, opener, self._untrusted, strict)


def _reading(more: int) -> _Opener:
    """An opener of regular files with these flags."""
    return lambda name, flags, folder: open_regular(name, flags | more, folder)
