"""
What takes privileges.  :class:`~dantetw.privileged.direct.ByProcess` does it in this process,
:class:`~dantetw.privileged.remote.ByHelper` by way of the privileged helper.
"""

from __future__ import annotations

import socket
from typing import Protocol

from dantetw.auth.pamprocess import PamProcess
from dantetw.auth.shadow import PasswordVerdict
from dantetw.process.filewatch import Stamp


class Privileged(Protocol):
    """
    The work that ``user.privileged`` is for, and nothing else.

    All of it may be called in any thread, and all but :meth:`check_password` takes no longer than a
    look at a file.  Each raises ``OSError``, with words in its ``strerror``, if it cannot be done.
    """

    def open_log(self, path: str, /) -> int:
        """Open a log file for appending, creating it if need be; its descriptor."""

    def open_file(self, path: str, flags: int = 0, /) -> int:
        """Open a regular file for reading; an opener for :func:`open`."""

    def open_config(self, path: str, flags: int = 0, /) -> int:
        """Open the configuration, for a reload; an opener likewise.  May wait: for a thread."""

    def look(self, path: str, /) -> Stamp:
        """A file's stamp."""

    def bind(self, sock: socket.SocketType, address: tuple[str | int, ...], /) -> None:
        """Bind a socket to an address as the kernel's interface of :mod:`socket` has it."""

    def check_password(self, name: str, password: bytes, client: str = "", /) -> PasswordVerdict:
        """
        Check a password of the system.  Takes long: for a thread.

        :param client: on whose behalf, of :func:`dantetw.fairness.client_of`.
        """

    def start_pam(self) -> PamProcess:
        """Start a process that talks to PAM."""

    def empty_pidfile(self) -> None:
        """Take the process id out of its file."""
