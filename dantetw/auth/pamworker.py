"""
One login at a time with PAM: the program that :mod:`.pam` runs as ``user.privileged``.

It is a program of its own, since PAM's modules may do in a process what they like: wait for a
directory that does not answer, change the user, crash.  So it uses nothing of the rest of dantetw
and ends when its standard input does.

A request is five fields, each two bytes of length, in network order, and as many bytes: service,
client's host, ``1`` or nothing for whether the client gave a name and a password, name, password.
The answer is one field: empty, or which function refused, a NUL, and PAM's reason.

The process that asks may be compromised.  So ``--only SERVICE...`` limits the services that can be
asked about, and after :data:`REFUSED_BURST` refusals :data:`REFUSED_PER_SECOND` a second are
allowed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import pamela  # type: ignore[import-untyped,import-not-found,unused-ignore]

FIELDS: Final = 5
#: The asking user, and the user where the client gave no name (observed with Dante 1.4.2).
NO_USER_NAME: Final = b"rhostusr"

AUTHENTICATE: Final = b"pam_authenticate"
ACCOUNT: Final = b"pam_acct_mgmt"
OTHER: Final = b"pam_start"

#: Refusals without a pause, and each second from then on.
REFUSED_BURST: Final = 20
REFUSED_PER_SECOND: Final = 5.0

_LENGTH: Final = struct.Struct("!H")
# <security/_pam_types.h>: what sleeps after a failure; pamela does not name it.
_PAM_FAIL_DELAY: Final = 10
_PAM_CONV_ERR: Final = 19
_PROMPTS: Final = (pamela.PAM_PROMPT_ECHO_OFF, pamela.PAM_PROMPT_ECHO_ON)


# The client is answered late anyway after a failure; sleeping here would hold up other clients.
_DELAY: Final = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)
_no_delay: Final = _DELAY(lambda status, microseconds, data: None)


def field(data: bytes) -> bytes:
    """
    A field as bytes.

    :raises struct.error: if it has more than 65535.
    """
    return _LENGTH.pack(len(data)) + data


def conversation(name: bytes, password: bytes) -> Any:
    """Answers a module: with the password to prompts without echo, else with the name."""

    def answer(count: int, messages: Any, replies: Any, _: Any) -> int:
        memory = pamela.CALLOC(count, ctypes.sizeof(pamela.PamResponse))
        if not memory:
            return _PAM_CONV_ERR
        replies[0] = ctypes.cast(memory, ctypes.POINTER(pamela.PamResponse))
        for number in range(count):
            style = messages[number].contents.msg_style
            if style in _PROMPTS:
                hidden = style == pamela.PAM_PROMPT_ECHO_OFF
                replies[0][number].resp = pamela.STRDUP(password if hidden else name)
        return 0

    return pamela.CONV_FUNC(answer)


def ask(service: bytes, host: bytes, named: bool, name: bytes, password: bytes) -> bytes:
    """
    Ask PAM about a client.

    :param host: the client's address, ``PAM_RHOST``; ``named``: it gave a name and a password.
    :returns: empty if it may come in, else the function that said no, a NUL, and the reason.
    """
    # C would cut them at a NUL, and then take the rest for right.
    if b"\0" in name + password:
        return _refusal(AUTHENTICATE, "Authentication failure")
    user = name if named else NO_USER_NAME
    answer = conversation(user, password)
    try:
        handle = pamela.pam_start(service, user, answer)
    except pamela.PAMError as failed:
        return _refusal(OTHER, failed.message)
    what, status = OTHER, 0
    delay = ctypes.cast(_no_delay, ctypes.c_char_p)
    try:
        for item, value in (
            (pamela.PAM_RHOST, host),
            (pamela.PAM_RUSER, NO_USER_NAME),
            (_PAM_FAIL_DELAY, delay),
        ):
            status = status or pamela.PAM_SET_ITEM(handle, item, value)
        if not status:
            what, status = AUTHENTICATE, pamela.PAM_AUTHENTICATE(handle, 0)
        if not status:
            what, status = ACCOUNT, pamela.PAM_ACCT_MGMT(handle, 0)
        if not status:
            return b""
        return _refusal(what, pamela.pam_strerror(handle, status))
    finally:
        pamela.PAM_END(handle, status)


def _refusal(what: bytes, reason: str) -> bytes:
    return what + b"\0" + reason.encode()


class Pace:
    """Keeps refusals from coming too fast."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._left = float(REFUSED_BURST)
        self._at = clock()

    def wait(self) -> None:
        """Wait until there may be a refusal."""
        now = self._clock()
        self._left += (now - self._at) * REFUSED_PER_SECOND
        self._left, self._at = min(self._left, float(REFUSED_BURST)), now
        if self._left < 1.0:
            self._sleep((1.0 - self._left) / REFUSED_PER_SECOND)

    def refused(self) -> None:
        """There has been one."""
        self._left -= 1.0


def main() -> None:
    """Answer requests until there are no more."""
    only = None
    if sys.argv[1:2] == ["--only"]:
        only = frozenset(name.encode("utf-8", "surrogateescape") for name in sys.argv[2:])
    pace = Pace()
    # Signals meant for the server reach its whole process group; it closes our input when it ends.
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(name, signal.SIG_IGN)
    # What modules, or programs they run, read and write must not get between questions and answers.
    with os.fdopen(os.dup(0), "rb") as requests, os.fdopen(os.dup(1), "wb") as answers:
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1):
            os.dup2(null, number)
        while True:
            fields = []
            for _ in range(FIELDS):
                length = requests.read(_LENGTH.size)
                if len(length) < _LENGTH.size:
                    return
                fields.append(requests.read(_LENGTH.unpack(length)[0]))
            service, host, named, user, password = fields
            pace.wait()
            if only is None or service in only:
                answer = ask(service, host, bool(named), user, password)
            else:
                answer = _refusal(OTHER, "this service is not one of the configuration")
            if answer:
                pace.refused()
            answers.write(field(answer))
            answers.flush()


if __name__ == "__main__":
    main()
