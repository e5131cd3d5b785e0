"""
PID files.  Dante's is written when the server runs, and truncated, not removed, when it ends, which
takes privileges (:mod:`dantetw.privileged`).  twistd writes its own, and takes it as valid as long
as there is any process of that number.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

#: What the command line of a server has somewhere at its beginning.
_SERVERS: Final = (b"sockd", b"danted", b"twist", b"python", b"pypy")
#: Arguments that are looked at: an interpreter, its options, and the program.
_ARGUMENTS: Final = 4
#: Seconds that a process may seem to be younger than its pid file by rounding.
_ROUNDING: Final = 2.0
#: Bytes of a pid file that are read.
_MOST: Final = 64

_FLAGS: Final = os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_MODE: Final = 0o644


def open_pidfile(
    path: str, owner: tuple[int, int] | None = None, flags: int = 0, folder: int | None = None
) -> int:
    """
    Open the file for :func:`write`; one that does not exist becomes 0644.

    :param owner: user and group of a created file: those that will truncate it.
    :param flags: for ``open(2)``, beside ours.
    :param folder: descriptor of the folder that a relative path begins at; None: the current one.
    :raises OSError: if the file cannot be opened.
    """
    flags |= _FLAGS
    with suppress(FileNotFoundError):
        return os.open(path, flags, dir_fd=folder)
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, _MODE, dir_fd=folder)
    except FileExistsError:
        # Another process has created it, or it is a link to nowhere, which O_EXCL does not follow.
        return os.open(path, flags | os.O_CREAT, _MODE, dir_fd=folder)
    if owner is not None:
        os.fchown(descriptor, *owner)
    return descriptor


def write(descriptor: int) -> None:
    """
    Write our process id over what is there, and close the file.

    :raises OSError: if it cannot be written.
    """
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
    finally:
        os.close(descriptor)


def empty(descriptor: int, pid: int) -> None:
    """
    Empty the file if it has this process id, not one of a server that was started meanwhile.

    :param descriptor: the open file, which is closed.
    :raises OSError: if it cannot be emptied.
    """
    try:
        if os.read(descriptor, _MOST).strip() == b"%d" % pid:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def hold(path: str) -> int:
    """
    Lock a pid file of ours, so that it is known to be one as long as we live.

    :returns: the descriptor to keep open.
    :raises OSError: if it cannot be locked.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def is_stale(path: str) -> bool:
    """
    Whether a pid file was left by a server that has ended.

    After a power cut its number is often another process's, in a container even our own, and the
    file may be empty or full of zeros.  In doubt it is not stale: it is not when a process
    :func:`holds <hold>` it, nor when the process may be a server and is older than the file.

    :raises OSError: if there is such a file and it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")  # the null device, say
        text = os.read(descriptor, _MOST).strip(b"\0 \t\r\n")
        written = status.st_mtime
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass  # a file system without locks
    finally:
        os.close(descriptor)
    if not text:
        return True
    return text.isdigit() and not may_be_server(int(text), written)


def may_be_server(pid: int, since: float) -> bool:
    """
    Whether a process may be a server on Twisted, or danted, that has run since then.

    :param since: seconds since the epoch.
    """
    if pid in (0, os.getpid()):
        return False
    try:
        os.kill(pid, 0)
    except OverflowError:
        return False
    except OSError as failed:
        if failed.errno == errno.ESRCH:
            return False
    with suppress(OSError, ValueError, IndexError):
        return not other_program(pid) and _started(pid) <= since + _ROUNDING
    return True


def other_program(pid: int) -> str:
    """
    The name of a process's program if it is none that servers are run by; else nothing.

    :raises OSError: if the system does not say.
    """
    arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    command = b" ".join(arguments[:_ARGUMENTS])
    if any(name in command for name in _SERVERS):
        return ""
    return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip() or "?"


def _started(pid: int) -> float:
    """When a process was started, in seconds since the epoch."""
    # The second field may have blanks and parentheses; of those after it this is the 20th.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    lines = Path("/proc/stat").read_text().splitlines()
    boot = next(float(line.split()[1]) for line in lines if line.startswith("btime "))
    return boot + int(fields[19]) / os.sysconf("SC_CLK_TCK")
