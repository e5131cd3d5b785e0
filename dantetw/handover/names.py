"""
Names by which a server and its successor find each other.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from dantetw.process.regular import open_regular

#: Seconds that the old server has to answer, and a successor to send its request.
ANSWER_SECONDS: Final = 10.0

#: The kernel's list of Unix sockets of this network namespace (:manpage:`proc(5)`);
#: ``/proc/net`` is hidden where systemd sets ``ProcSubset=pid``.
_UNIX_SOCKETS: Final = "/proc/self/net/unix"
_PID_BYTES: Final = 32


class HandoverError(Exception):
    """There is no server to take the sockets of; the text says why."""


def predictable_name(pid: int) -> bytes:
    """The name of a server's socket in versions up to 0.1."""
    return b"\0dantetw/handover/%d" % pid


def random_name(pid: int) -> bytes:
    """A name for a server's socket that no other process can have bound before."""
    return predictable_name(pid) + b"/" + secrets.token_hex(16).encode()


def names_of(pid: int) -> Iterator[bytes]:
    """Names that may be those of a server's socket; any process can bind such a name."""
    predictable = predictable_name(pid)
    shown = predictable.replace(b"\0", b"@") + b"/"
    with suppress(OSError), open(_UNIX_SOCKETS, "rb") as sockets:
        for line in sockets:
            at = line.find(shown)
            if at >= 0:
                yield line[at:].rstrip(b"\n").replace(b"@", b"\0", 1)
    yield predictable


def process_of(text: str) -> int:
    """
    The process id of a server.

    :param text: the id, or the name of the file with it.
    :raises HandoverError: if there is none, or no process has it.
    """
    try:
        written: str | bytes = text
        if not text.isdecimal():
            with open(text, "rb", opener=open_regular) as file:
                written = file.read(_PID_BYTES)
        pid = int(written)
    except OSError as failed:
        raise HandoverError(f"{text}: {failed.strerror}") from None
    except ValueError:
        pid = 0
    if pid <= 0:
        raise HandoverError(f"{text}: there is no process id")
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass  # another user's, which is found when it is asked
    except (ProcessLookupError, OverflowError):
        raise HandoverError(f"there is no process {pid}") from None
    return pid
