"""
Checking passwords of the system's users.

The user must be in the password database (``getpwnam``, so ``nsswitch.conf`` counts); the hash is
there or, as on every present system, in ``/etc/shadow``, which takes privileges to read.  Users
that cannot log in to the system are refused: no password, a locked one, an expired account.

An unknown user and a locked one cost as much as the costliest of all passwords would
(:class:`HashCosts`).
"""

from __future__ import annotations

import os
import pwd
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from dantetw.auth.crypting import Libcrypt
from dantetw.auth.interfaces import key_of

PASSWD: Final = "/etc/passwd"
SHADOW: Final = "/etc/shadow"

_DAY: Final = 24 * 60 * 60

# Hashed when there is no user's hash: SHA-512 with the default of 5000 rounds.
_DUMMY: Final = b"$6$nobody.at.all$"

_ANY_HASH: Final = re.compile(rb"^[^:\n]+:(\$[^:\n]+):", re.MULTILINE)

# Characters in which scrypt's hashes ($7$) hold the cost.
_SCRYPT_COST: Final = 11


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


def kind_of(stored: bytes) -> bytes:
    """
    What of a hash decides on its cost: method and rounds, without the salt (``crypt(5)``).

    :param stored: a hash that begins with ``$``.
    """
    parts = stored.split(b"$")
    parameters = parts[2] if len(parts) > 2 else b""
    if parts[1] == b"7":
        parameters = parameters[:_SCRYPT_COST]
    elif len(parts) < 5 and not parts[1].startswith(b"2"):
        parameters = b""  # it is the salt
    return parts[1] + b"$" + parameters


class HashCosts:
    """
    Which kind of hash costs most.

    Costs are measured, since the parameters of different methods do not compare; a kind that has
    not been measured yet is taken for the costliest.  Kinds are the operator's, hence few.
    """

    def __init__(self) -> None:
        self._seconds: dict[bytes, float] = {}

    def measured(self, stored: bytes, seconds: float) -> None:
        """Remember what comparing with a hash has cost, in seconds of CPU."""
        if stored.startswith(b"$"):
            self._seconds[kind_of(stored)] = seconds

    def costliest(self, hashes: Iterable[bytes]) -> bytes | None:
        """One of the hashes, of the costliest kind; None if there are none."""
        kinds: dict[bytes, bytes] = {}
        for stored in hashes:
            kinds.setdefault(kind_of(stored), stored)
        seconds, infinite = self._seconds, float("inf")
        kind = max(kinds, key=lambda kind: seconds.get(kind, infinite), default=None)
        return None if kind is None else kinds[kind]


class PasswordVerdict(Enum):
    """The outcome for a name and a password; also WRONG: an account that cannot log in at all."""

    RIGHT = "right"
    WRONG = "wrong"
    UNKNOWN = "unknown"


class SystemPasswords:
    """
    The passwords of this system's users.

    :param crypt: None finds the C library's.
    :param getpwnam: the password database; ``today``: days since 1970.
    :param cpu: seconds of CPU that this thread has used.
    :raises LibcryptMissingError: if this system cannot check passwords.
    """

    def __init__(
        self,
        shadow: str = SHADOW,
        crypt: Libcrypt | None = None,
        getpwnam: Callable[[str], pwd.struct_passwd] = pwd.getpwnam,
        today: Callable[[], int] = _today,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self._shadow = shadow
        self._crypt = crypt or Libcrypt()
        self._getpwnam = getpwnam
        self._today = today
        self._cpu = cpu
        self._costs = HashCosts()

    def thd_check(self, name: str, password: bytes) -> PasswordVerdict:
        """
        Check a password, which takes a thread 5-100 ms.

        :param name: as received: any text; bytes that are not UTF-8 as surrogate escapes.
        :raises OSError: if the passwords cannot be read.
        """
        try:
            shadow = self._read()
        except OSError:
            self._crypt.thd_matches(password, _DUMMY)
            raise
        record = self._record(name, shadow)
        if record is not None and record.usable(self._today()):
            right = self._thd_matches(password, record.hash)
            return PasswordVerdict.RIGHT if right else PasswordVerdict.WRONG
        # The answer is no, and takes as long as any would.
        self._thd_matches(password, self._costs.costliest(_ANY_HASH.findall(shadow)) or _DUMMY)
        return PasswordVerdict.UNKNOWN if record is None else PasswordVerdict.WRONG

    def _thd_matches(self, password: bytes, stored: bytes) -> bool:
        begun = self._cpu()
        right = self._crypt.thd_matches(password, stored)
        self._costs.measured(stored, self._cpu() - begun)
        return right

    def _read(self) -> bytes:
        try:
            with open(self._shadow, "rb") as file:
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
