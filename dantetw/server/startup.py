"""
Reports a failed start on standard error, in words, whatever fails and however early.

twistd redirects standard error to the log as soon as it has one.  That is the server's log, which
opens its destinations later, so failures in between (``--chroot``, ``--rundir``, ``--pidfile``,
``--uid``) would be lost.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Final

from twisted.application.service import Service
from twisted.logger import ILogObserver, LogEvent, Logger, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from dantetw.net.errors import words_of_error
from dantetw.observe.formats.oneline import one_line
from dantetw.process import pidfile
from dantetw.process.descriptors import Inherited, open_missing
from dantetw.process.journald import JournalStreams

#: Sent by the server in the background when it runs; not part of any text.
_RUNS: Final = b"\0"
#: Bytes to read at a time.
_MOST: Final = 4096
#: Follows the error where twistd may not use its pid file.
PID_FILE_HINT: Final = "; with --pidfile= there is none"
#: Options of twistd that name files and folders.
_FLAGS: Final = ("pidfile", "rundir", "chroot", "logfile")
#: Loggers of twistd's own messages at every start.
_GREETINGS: Final = "AppLogger"


class StartFailedError(Exception):
    """The server cannot start; the reason has been logged."""


class Startup:
    """
    Reports why a start fails.

    From its creation until :meth:`close` uncaught exceptions are reported in one line instead of a
    traceback, and the end of the process is reported with the last thing that Twisted logged.  In
    the background, where standard error is ``/dev/null``, the text goes through a pipe to the
    process that was started, which prints it and exits with status 1.

    Also opens the descriptors 0 to 2 where they are missing.

    :param program: the program's name, the prefix of reports.
    :param twistd: its options; None if the server is not its command (in an application file, for
        example).
    :ivar pidfile: twistd's own; empty: none, or not known.
    :ivar logged_here: standard error, or output, is a log destination: messages logged there need
        not be repeated.
    """

    def __init__(self, program: str, twistd: Mapping[str, Any] | None = None) -> None:
        open_missing()
        self._program = program
        twistd = {} if twistd is None else twistd
        self.pidfile: str = twistd.get("pidfile") or ""
        self._flags = {str(twistd.get(flag)): flag for flag in _FLAGS}
        self.logged_here = False
        self._inherited = Inherited()
        self._journal = JournalStreams()
        self._process = os.getpid()
        self._reported = False
        self._last = _Last()
        self._reading, self._writing = os.pipe()
        self._hook, sys.excepthook = sys.excepthook, self._uncaught
        self._begun = self._closed = False
        os.register_at_fork(after_in_parent=self._forked)
        atexit.register(self._at_exit)
        globalLogPublisher.addObserver(self._last)

    def fail(self, text: str) -> None:
        """Report the reason of a failure that has been logged."""
        if self._in_background or not self.logged_here:
            self.report(text)
        self._reported = True

    def report(self, text: str) -> None:
        """Write a line to standard error."""
        self._reported = True
        with suppress(OSError):
            os.write(self._writing if self._in_background else 2, self._line(text))

    def begin(self) -> None:
        """twistd has gone to the background, if configured: later forks are the server's."""
        self._begun = True
        self._journal.restore()

    def close(self) -> None:
        """The server runs: stop reporting, and in the background close inherited files."""
        if self._closed:
            return
        self._closed = True
        if self._in_background:
            self._inherited.close()
            with suppress(OSError):
                os.write(self._writing, _RUNS)
        globalLogPublisher.removeObserver(self._last)
        atexit.unregister(self._at_exit)
        sys.excepthook = self._hook
        os.close(self._reading)
        os.close(self._writing)

    @property
    def _in_background(self) -> bool:
        return os.getpid() != self._process

    def _forked(self) -> None:
        """
        In the process that was started: wait for the server in the background.

        twistd does so next, but it waits forever if the server is killed, and shows 100 bytes of an
        exception.
        """
        if self._begun or self._closed or self._in_background:
            return
        os.close(self._writing)
        words = b""
        while not words.endswith(_RUNS):
            try:
                data = os.read(self._reading, _MOST)
            except KeyboardInterrupt:
                os._exit(1)
            if not data:
                text = "the server has ended before it could serve; its log may say why"
                words = words or self._line(text)
                with suppress(OSError):
                    os.write(2, words)
                os._exit(1)
            words += data
        os.close(self._reading)

    def _line(self, text: str) -> bytes:
        line = f"{self._program}: error: {one_line(text)}\n"
        return line.encode(errors="backslashreplace")

    def _uncaught(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        """What :data:`sys.excepthook` does until the server runs."""
        if self._reported or isinstance(error, StartFailedError):
            return
        if isinstance(error, KeyboardInterrupt):
            words = "interrupted"
        elif isinstance(error, OSError) and error.strerror:
            words = self._words(error)
        else:
            # A bug.  With debug the log has the traceback, if there is a log by now.
            if self._begun:
                Logger().failure("could not start", Failure(error, kind, trace))
            words = f"{kind.__name__}: {error}"
        self.report(f"could not start: {words}")

    def _words(self, error: OSError) -> str:
        words, path = words_of_error(error), error.filename
        if path is None:
            return words
        flag = self._flags.get(str(path))
        if flag is None:
            return f"{path}: {words}"
        hint = PID_FILE_HINT if flag == "pidfile" else ""
        return f"twistd's --{flag} {path}: {words}{hint}"

    def _at_exit(self) -> None:
        """twistd has ended the process, and has logged why."""
        if not self._reported and self._last.text:
            self.report(f"could not start: {self._last.text}")


@implementer(ILogObserver)
class _Last:
    """
    Keeps the last message that Twisted has logged.

    :ivar text: the message; empty: there is none.
    """

    def __init__(self) -> None:
        self.text = ""

    def __call__(self, event: LogEvent) -> None:
        """Keep the message of an event."""
        if not str(event.get("log_namespace", "")).endswith(_GREETINGS):
            self.text = formatEvent(event).strip() or self.text


class PidLock(Service):
    """
    Locks twistd's pid file as long as the server runs, so that the next start can find
    out whether it is stale (:func:`dantetw.process.pidfile.is_stale`).
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def privilegedStartService(self) -> None:
        """twistd has written it: lock it.  On file systems without locks there is none."""
        with suppress(OSError):
            self._descriptor = pidfile.hold(self._path)
