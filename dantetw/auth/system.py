"""
Method ``username``: the system's users, as Dante checks them.

The user must be in the password database (``getpwnam``, so ``nsswitch.conf`` counts); the hash is
there or, as on every system of today, in ``/etc/shadow``, which is read with privileges.  Whoever
cannot log in to the system cannot log in here: no password, a locked one, an account that has
expired.

An unknown user, a locked one and a wrong password take the same time.
"""

from __future__ import annotations

import os
import pwd
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from dantetw.auth.crypting import Libcrypt
from dantetw.auth.interfaces import AuthenticationFailed, IAuthenticator, key_of
from dantetw.auth.stamps import UNPRIVILEGED, Privileged, Stamps
from dantetw.auth.verifying import verify
from dantetw.threads import Threads

PASSWD: Final = "/etc/passwd"
SHADOW: Final = "/etc/shadow"

_DAY: Final = 24 * 60 * 60

# Hashed when nobody's hash can be: SHA-512 with the default of 5000 rounds.
_DUMMY: Final = b"$6$nobody.at.all$"

_ANY_HASH: Final = re.compile(rb"^[^:\n]+:(\$[^:\n]+):", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Record:
    """
    What ``/etc/shadow`` says of a user (``shadow(5)``).

    :ivar hash: the hashed password; empty or not a hash if there is no way to log in.
    :ivar ends: the first day, counted from 1970, on which the account is no longer valid; None if
        it does not expire.
    """

    hash: bytes = field(repr=False)
    ends: int | None = None

    def usable(self, today: int) -> bool:
        """Whether the account can be logged in to at all."""
        if not self.hash or self.hash[:1] in b"!*":
            return False
        return self.ends is None or today < self.ends


def record_of(key: bytes, shadow: bytes) -> Record | None:
    """
    A user's record in the text of ``/etc/shadow``.

    :param key: the name; ``shadow``: the file.
    :returns: None if there is none, or one too short to be one.
    """
    for line in shadow.split(b"\n"):
        fields = line.split(b":")
        if fields[0] == key and len(fields) >= 2:
            return Record(fields[1], _end_of(fields))
    return None


def _end_of(fields: list[bytes]) -> int | None:
    """The day an account ends: its own end, or that of a password that was not changed in time."""
    numbers = [int(text) if text.isdigit() else None for text in fields[2:8]]
    numbers += [None] * (6 - len(numbers))
    changed, _, longest, _, inactive, expires = numbers
    ends = [] if expires is None else [expires]
    if changed and longest is not None and inactive is not None:
        ends.append(changed + longest + inactive + 1)
    return min(ends, default=None)


def _today() -> int:
    return int(time.time()) // _DAY


@implementer(IAuthenticator)
class SystemUsers:
    """
    The users of this system.

    :param clock: for noticing changes of the files.
    :param threads: where hashes are computed.
    :param privileged: enters and leaves the privileges that reading ``/etc/shadow`` takes; used in
        the reactor's thread only.
    :param crypt: None finds the C library's.
    :param getpwnam: the password database; ``today``: days since 1970.
    :raises LibcryptMissingError: if this system cannot check passwords.
    """

    def __init__(
        self,
        clock: IReactorTime,
        threads: Threads,
        privileged: Privileged = UNPRIVILEGED,
        shadow: str = SHADOW,
        crypt: Libcrypt | None = None,
        getpwnam: Callable[[str], pwd.struct_passwd] = pwd.getpwnam,
        today: Callable[[], int] = _today,
    ) -> None:
        self._threads = threads
        self._privileged = privileged
        self._shadow = shadow
        self._crypt = crypt or Libcrypt()
        self._getpwnam = getpwnam
        self._today = today
        self._stamps = Stamps((PASSWD, shadow), clock, privileged)

    def revision(self, name: str) -> object:
        """See :class:`~dantetw.auth.interfaces.IAuthenticator`."""
        return self._stamps.current()

    def authenticate(self, name: str, password: bytes) -> Deferred[None]:
        """See :class:`~dantetw.auth.interfaces.IAuthenticator`."""
        refusal = AuthenticationFailed.wrong_password(name)
        record, shadow = None, b""
        try:
            shadow = self._read()
            record = self._record(name, shadow)
        except OSError as error:
            refusal = AuthenticationFailed.no_record(name, os.strerror(error.errno or 0))
        else:
            if record is None:
                refusal = AuthenticationFailed.no_record(name)
        if record is not None and record.usable(self._today()):
            stored = record.hash
            return verify(self._threads, lambda: self._crypt.thd_matches(password, stored), refusal)
        # Somebody else's hash takes as long as a real one would have, and the answer is no.
        other = _ANY_HASH.search(shadow)
        setting = other[1] if other else _DUMMY

        def thd_refuse() -> bool:
            self._crypt.thd_matches(password, setting)
            return False

        return verify(self._threads, thd_refuse, refusal)

    def _read(self) -> bytes:
        try:
            with self._privileged(), open(self._shadow, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""  # a system whose hashes are in the password database itself

    def _record(self, name: str, shadow: bytes) -> Record | None:
        key = key_of(name)
        if not key:
            return None
        try:
            entry = self._getpwnam(name)
        except (KeyError, ValueError):
            return None
        if entry.pw_passwd != "x":
            return Record(os.fsencode(entry.pw_passwd))
        return record_of(key, shadow)
