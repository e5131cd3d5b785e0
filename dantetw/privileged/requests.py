"""
The wire between the server and its privileged helper (:mod:`.helper`): requests and answers.

Each is one packet of a Unix socket (``SOCK_SEQPACKET``), a JSON array in ASCII, with descriptors
beside it (``SCM_RIGHTS``).  Nothing that runs code on being read, such as a pickle, may be used
here: the reader has more privileges than the writer.

There are two kinds of sockets.  By a *door* the helper is handed one end of a fresh pair, and says
nothing.  That pair is a *channel*: one request, then its answer, then the next.  So no thread gets
another's answer; two requests at a time take two channels.  The supervisor process has
the first door.  A worker hands the helper one end of a door of its own by it when it begins, and
lets go of the first one: by that the helper knows them apart.
"""

from __future__ import annotations

import json
import os
import socket
from array import array
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

from dantetw.values import value

#: Bytes of a packet.  A path has 4096 at most, and JSON makes six characters of some of its bytes.
LARGEST: Final = 32 * 1024
#: Descriptors beside a packet: a process for PAM has three.
MOST_DESCRIPTORS: Final = 3

_KIND: Final = socket.SOCK_SEQPACKET
_NUMBERS: Final = array("i")
# Python has it where the system does, PyPy never.  Without, a program that is started at the very
# moment could inherit a descriptor.
_CLOSE_ON_EXEC: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class MalformedError(Exception):
    """A packet is no request, or no answer; the text says why."""


class HelperTask(Enum):
    """What can be requested."""

    DOOR = "door"
    CHANNEL = "channel"
    OPEN_LOG = "open log"
    OPEN_FILE = "open file"
    OPEN_CONFIG = "open config"
    STAMP = "stamp"
    BIND = "bind"
    CHECK_PASSWORD = "check password"
    START_PAM = "start pam"
    EMPTY_PIDFILE = "empty pidfile"


#: For each request the types of its arguments, and how many descriptors come with it.
SIGNATURES: Final[Mapping[HelperTask, tuple[tuple[type, ...], int]]] = {
    HelperTask.DOOR: ((), 1),
    HelperTask.CHANNEL: ((), 1),
    HelperTask.OPEN_LOG: ((str,), 0),  # path
    HelperTask.OPEN_FILE: ((str,), 0),  # path
    HelperTask.OPEN_CONFIG: ((), 0),
    HelperTask.STAMP: ((str,), 0),  # path
    HelperTask.BIND: ((str, int, int), 1),  # host, port, scope
    # Name; password, a byte each character; client.
    HelperTask.CHECK_PASSWORD: ((str, str, str), 0),
    HelperTask.START_PAM: ((), 0),
    HelperTask.EMPTY_PIDFILE: ((), 0),
}


@value
class HelperRequest:
    """
    A request: what to do.

    :ivar arguments: as :data:`SIGNATURES` says; they do not show in a ``repr``, since one of them
        may be a password.
    """

    what: HelperTask
    arguments: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return f"<HelperRequest {self.what.value}>"


class HelperOutcome(Enum):
    """Done, failed by an error of the system, or refused."""

    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"


@value
class HelperAnswer:
    """
    The answer to a request.

    :ivar words: for people: the error, or why it was refused.
    :ivar number: the error's ``errno``.
    :ivar found: what was asked for: numbers and texts.
    """

    outcome: HelperOutcome
    words: str = ""
    number: int = 0
    found: tuple[Any, ...] = ()


def refused(what: HelperTask, words: str) -> str:
    """A log line: a request is not permitted, and why."""
    return f"the privileged helper refuses to {what.value}: {words}"


def pack_request(request: HelperRequest) -> bytes:
    """A request as a packet."""
    return json.dumps([request.what.value, *request.arguments]).encode()


def parse_request(packet: bytes, descriptors: int) -> HelperRequest:
    """
    The request in a packet.

    :param descriptors: how many came with it.
    :raises MalformedError: if it is none.
    """
    fields = _fields(packet)
    try:
        what = HelperTask(fields[0])
    except (IndexError, ValueError):
        raise MalformedError("no such request") from None
    types, wanted = SIGNATURES[what]
    # Not isinstance: True is not a number here.
    if tuple(type(field) for field in fields[1:]) != types:
        raise MalformedError(f"{what.value}: wrong arguments")
    if descriptors != wanted:
        raise MalformedError(f"{what.value}: {descriptors} descriptors")
    return HelperRequest(what, tuple(fields[1:]))


def pack_answer(answer: HelperAnswer) -> bytes:
    """An answer as a packet."""
    fields = [answer.outcome.value, answer.words, answer.number, *answer.found]
    return json.dumps(fields).encode()


def parse_answer(packet: bytes) -> HelperAnswer:
    """
    The answer in a packet.

    :raises MalformedError: if it is none.
    """
    match _fields(packet):
        case [str() as outcome, str() as words, int() as number, *found]:
            try:
                return HelperAnswer(HelperOutcome(outcome), words, number, tuple(found))
            except ValueError:
                pass
    raise MalformedError("no such answer")


def _fields(packet: bytes) -> list[Any]:
    try:
        fields = json.loads(packet.decode("ascii"))
    # Deeply nested arrays use the stack up; numbers of thousands of digits are a ValueError.
    except (ValueError, RecursionError):
        raise MalformedError("not JSON") from None
    if not isinstance(fields, list):
        raise MalformedError("not an array")
    return fields


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets for packets."""
    return socket.socketpair(socket.AF_UNIX, _KIND)


def send(sock: socket.socket, packet: bytes, descriptors: Sequence[int] = ()) -> None:
    """
    Send a packet, and descriptors, which stay open here.

    :raises OSError: if the other end is closed.
    """
    if descriptors:
        socket.send_fds(sock, [packet], list(descriptors))
    else:
        sock.send(packet)


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """
    Wait for a packet, and its descriptors, which then belong to the caller.

    :returns: an empty packet if there will be no more.
    :raises MalformedError: if it was too large, or had too many descriptors; all are closed then.
    """
    # socket.recv_fds() of Python 3.11 forgets the flags.
    room = socket.CMSG_LEN(MOST_DESCRIPTORS * _NUMBERS.itemsize)
    packet, ancillary, flags, _ = sock.recvmsg(LARGEST, room, _CLOSE_ON_EXEC)
    descriptors: list[int] = []
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers = array(_NUMBERS.typecode)
            numbers.frombytes(data[: len(data) - len(data) % _NUMBERS.itemsize])
            descriptors += numbers
    if not _CLOSE_ON_EXEC:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        close(descriptors)
        raise MalformedError("too large")
    return packet, descriptors


def close(descriptors: Sequence[int]) -> None:
    """Close descriptors that are not used."""
    for descriptor in descriptors:
        os.close(descriptor)
