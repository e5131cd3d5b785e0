"""
The users ``user.privileged`` and ``user.unprivileged``.

The server opens files and binds ports with the privileges it was started with, then drops them for
good; Dante can regain them in every process.  What takes privileges later is done by a helper
(:mod:`.helper`), which is started only if it will be needed.
"""

from __future__ import annotations

import os
import pwd
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import dantetw
from dantetw.auth.pamprocess import PamProcess
from dantetw.auth.privileges import Privileged
from dantetw.auth.shadow import PasswordVerdict
from dantetw.observe.journal import Journal
from dantetw.policy import Policy
from dantetw.privileged import helper, requests
from dantetw.privileged.direct import ByProcess
from dantetw.privileged.helper import Helper, Reread
from dantetw.privileged.paths import Untrusted, changeable
from dantetw.privileged.permitted import Permitted
from dantetw.privileged.remote import ByHelper
from dantetw.privileged.reports import HelperReports, ReportReader, writer
from dantetw.privileged.requests import HelperRequest, HelperTask
from dantetw.privileged.watch import HelperWatch
from dantetw.process import pidfile, prctl
from dantetw.process.filewatch import Stamp
from dantetw.values import Severity

#: The folder of our own package.
_PROGRAM: Final = os.path.dirname(os.path.abspath(dantetw.__file__))


@dataclass(frozen=True, slots=True)
class ServerUser:
    """A user and its groups, by number."""

    uid: int
    gid: int
    groups: tuple[int, ...]

    @classmethod
    def of(cls, name: str) -> ServerUser:
        """
        The identity of a user by name.

        :raises KeyError: if there is no such user.
        """
        entry = pwd.getpwnam(name)
        groups = tuple(os.getgrouplist(name, entry.pw_gid))
        return cls(entry.pw_uid, entry.pw_gid, groups)

    @classmethod
    def current(cls) -> ServerUser:
        """The user of this process now."""
        return cls(os.geteuid(), os.getegid(), tuple(os.getgroups()))

    def become(self) -> None:
        """
        Become this user for good.

        :raises OSError: if that is not permitted.
        """
        # In this order: only root may change groups.  The kernel makes the
        # process undumpable with it, so that others of the same user cannot look into its memory.
        os.setgroups(self.groups)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)


class Privileges:
    """
    The two users of a configuration, and the work that takes ``user.privileged``.

    Implements :class:`~dantetw.auth.privileges.Privileged`: in this process until :meth:`drop`, and
    also after that where there is nothing to drop, or where ``user.unprivileged`` is
    ``user.privileged``; else by way of the helper.

    After a fork all processes can go on using it.  What :meth:`drop` does counts for the process
    that calls it and those it forks later.

    :param privileged: name in ``user.privileged``, None: the user that started the server;
        ``unprivileged`` likewise.
    :param pidfile: the process id's file; ``config``: the configuration's; empty: none.
    :ivar lacking: the user that started the server cannot become ``user.privileged``.
    :ivar owner: user and group of files that are created for ``user.privileged``; None: those of
        the process that creates them.
    """

    def __init__(
        self,
        privileged: str | None = None,
        unprivileged: str | None = None,
        pidfile: str = "",
        config: str = "",
    ) -> None:
        current = ServerUser.current()
        self._name = privileged
        self._high = ServerUser.of(privileged) if privileged else current
        self._low = ServerUser.of(unprivileged) if unprivileged else current
        self._pidfile = pidfile
        self._pid_descriptor: int | None = None
        self._config = config
        self.lacking = self._high.uid != current.uid != 0
        self.owner: tuple[int, int] | None = None
        if self._high.uid != current.uid == 0:
            self.owner = (self._high.uid, self._high.gid)
        self._journal: Journal | None = None
        self._dropping = self._low.uid != current.uid
        self._changing = self._high.uid != current.uid
        self._door: socket.socket | None = None
        self._process = 0
        self._watch: HelperWatch | None = None
        # Our end of the pipe for its reports, and what reads it.
        self._reports = -1
        self._reader: ReportReader | None = None
        # At the start too: processes of that user may be there, from before or of a server that is
        # to be replaced.
        self._untrusted = None
        if self._dropping and self._high.uid != self._low.uid:
            self._untrusted = Untrusted(
                self._low.uid, frozenset((self._low.gid, *self._low.groups))
            )
        self._direct = ByProcess(pidfile, self.owner, self._untrusted)
        self._backend: Privileged = self._direct

    def start(self, policy: Policy, reread: Reread | None = None, workers: bool = False) -> None:
        """
        Start the helper, if it will be needed; before anything is opened, and before any thread.

        :param policy: says what it permits; ``reread``: reads that again.
        :param workers: there will be some, which call :meth:`be_worker`.
        :raises OSError: if no further process can be started.
        """
        if self._untrusted is None:
            return
        self._warn(self._untrusted)
        direct = ByProcess(self._pidfile, self.owner, self._untrusted, os.getpid())
        permitted = Permitted.of(policy)
        self._reports, theirs = os.pipe()

        def make(door: socket.socket) -> Helper:
            return Helper(door, direct, permitted, reread, workers, HelperReports(writer(theirs)))

        try:
            self._door, self._process = helper.fork(self._prepare, make, (theirs,))
        finally:
            os.close(theirs)

    def _warn(self, untrusted: Untrusted) -> None:
        """Warn of files that let a taken-over server have more than it should."""
        for path, what in (
            (self._config, "it will not be read again at SIGHUP"),
            (self._pidfile, "a signal to the process id in it may reach another process"),
            (_PROGRAM, "the server's user can become user.privileged by it"),
        ):
            if path and (why := changeable(path, untrusted)) and self._journal is not None:
                text = f"{path}: {why}: {what}"
                self._journal.message(Severity.WARNING, "server.privileges", text)

    def tell(self, journal: Journal) -> None:
        """Log there what the helper reports; each process has a journal of its own."""
        self._journal = journal

    def _report(self, text: str) -> None:
        if self._journal is not None:
            self._journal.message(Severity.ERROR, "server.privileges", text)

    def _prepare(self) -> None:
        if self._changing:
            try:
                self._high.become()
            except OSError as failed:
                text = f"could not become user {self._name}: {os.strerror(failed.errno or 0)}"
                raise OSError(failed.errno, text) from None
        assert self._untrusted is not None
        # What is imported later must not be the other user's: from a current folder of theirs, say.
        ours = (f"{sys.prefix}/", f"{sys.base_prefix}/")
        sys.path[:] = [
            path
            for path in sys.path
            if path.startswith(ours)
            or path == os.path.dirname(_PROGRAM)
            or not changeable(path, self._untrusted)
        ]

    def drop(self) -> None:
        """
        Become ``user.unprivileged`` for good.

        :raises OSError: if that is not permitted.
        """
        if not self._dropping:
            return
        self._low.become()
        if self._door is not None:
            # Without a helper PAM's modules run as we do, and need a setuid program for passwords.
            prctl.forbid_privileges()
            self._backend = ByHelper(self._door)

    def be_worker(self) -> None:
        """
        Use the helper as a worker from now on, with a share of its own.

        For a new process, before it has read anything from clients.
        """
        if self._door is None or not isinstance(self._backend, ByHelper):
            return
        self._backend.close()
        ours, theirs = requests.pair()
        with theirs, suppress(OSError):  # the helper is gone, which is found when it is asked
            requests.send(
                self._door,
                requests.pack_request(HelperRequest(HelperTask.DOOR)),
                (theirs.fileno(),),
            )
        # Open in the supervisor process as before, which alone may use it.
        self._door.close()
        self._door = ours
        self._backend = ByHelper(ours)

    def watch(self, reactor: Any) -> None:
        """
        Log when the helper ends, and what it reports.

        For the process that has started it, once it has its own reactor.
        """
        if self._door is not None:
            self._watch = HelperWatch(reactor, self._door, self._process, self._ended)
            self._reader = ReportReader(reactor, self._reports, self._report)

    def _ended(self, how: str) -> None:
        self._report(
            f"the privileged helper (process {self._process}) has ended, {how}: work that needs its"
            " privileges will fail until the server is restarted"
        )

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What a process that was forked off must keep open to go on using this."""
        return () if self._door is None else (self._door.fileno(),)

    def close(self) -> None:
        """Let the helper end, unless other processes of the server still need it."""
        if self._watch is not None:
            self._watch.stop()
        if self._reader is not None:
            self._reader.stop()
        elif self._reports >= 0:
            os.close(self._reports)
        self._reports = -1
        if isinstance(self._backend, ByHelper):
            self._backend.close()
        if self._door is not None:
            self._door.close()
            self._door = None

    # The work: see Privileged.

    def open_log(self, path: str) -> int:
        """Open a log file for appending."""
        return self._backend.open_log(path)

    def open_file(self, path: str, flags: int = 0) -> int:
        """Open a file for reading."""
        return self._backend.open_file(path, flags)

    def open_config(self, path: str, flags: int = 0) -> int:
        """Open the configuration for a reload."""
        return self._backend.open_config(path, flags)

    def look(self, path: str) -> Stamp:
        """A file's stamp."""
        return self._backend.look(path)

    def bind(self, sock: socket.SocketType, address: tuple[str | int, ...]) -> None:
        """Bind a socket."""
        self._backend.bind(sock, address)

    def check_password(self, name: str, password: bytes, client: str = "") -> PasswordVerdict:
        """Check a password of the system."""
        return self._backend.check_password(name, password, client)

    def start_pam(self) -> PamProcess:
        """Start a process that talks to PAM."""
        return self._backend.start_pam()

    def open_pidfile(self) -> None:
        """
        Open the file for our process id, before :meth:`drop`.

        :raises OSError: if it cannot be opened.
        """
        self._pid_descriptor = self._direct.open_pidfile()

    def write_pidfile(self) -> None:
        """
        Write our process id into the file.

        :raises OSError: if it cannot be written.
        """
        descriptor, self._pid_descriptor = self._pid_descriptor, None
        if descriptor is not None:
            pidfile.write(descriptor)

    def empty_pidfile(self) -> None:
        """Take the process id out of its file, if it can be done."""
        # It may be in a folder that is gone by now: not worth a warning.
        with suppress(OSError):
            self._backend.empty_pidfile()
