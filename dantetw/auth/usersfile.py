"""
Method ``username`` with a file of users (``username.file``), which need not be users of the system.

One ``name:hash`` per line, the hash being bcrypt's, so that ``htpasswd -B`` can edit it as well as
our own command (:mod:`dantetw.cli.users`).  Blank lines and lines that begin with ``#`` are
ignored.  The file is read again when it has changed; if it has errors then, they are reported and
the previous users remain.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from dantetw.auth.interfaces import AuthenticationFailed, IAuthenticator, key_of
from dantetw.auth.verifying import verify
from dantetw.escaping import escape
from dantetw.fairness import client_of
from dantetw.process.filewatch import FileWatch, Look, Stamp, look
from dantetw.process.regular import open_regular
from dantetw.threads import Threads

#: bcrypt looks at no more of a password.  A longer one would be as good as its beginning.
PASSWORD_BYTES: Final = 72

#: A name has one byte for its length (:rfc:`1929` section 2).
NAME_BYTES: Final = 255

# Some 40,000 users; much more is another kind of file.
_FILE_BYTES: Final = 4 * 1024 * 1024

# Most errors reported: the file may be no users file at all.
_PROBLEMS: Final = 20

_BCRYPT: Final = re.compile(rb"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")

#: 2 to this many rounds of bcrypt: fewer than 4 it does not do; above 17, which is htpasswd's limit
#: too, one login takes more than 6 seconds of CPU.
COSTS: Final = range(4, 18)

# Compared with when the file has no users: of a random password, cost 10.
_DUMMY: Final = b"$2b$10$gDMkgadD44zcRU7b.7fpbu8/1YO0y7QllHs0x6Wjlub2GislQ2Qna"


class UsersFileError(Exception):
    """
    A users file cannot be used.

    :ivar problems: what is wrong, each with file and line; no passwords, no hashes.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self.problems)


def load_bcrypt() -> Any:
    """
    The library that computes the hashes.

    :raises UsersFileError: if it is not installed.
    """
    try:
        import bcrypt
    except ImportError:
        raise UsersFileError(
            "a users file takes the bcrypt library: pip install dantetw[users]"
        ) from None
    return bcrypt


def name_problem(key: bytes) -> str | None:
    """What keeps a name from standing in a users file; None if nothing does."""
    if not key:
        return "the name is empty"
    if len(key) > NAME_BYTES:
        return f"the name is longer than {NAME_BYTES} bytes"
    if b":" in key or any(byte < 0x20 or byte == 0x7F for byte in key):
        return "a name can have no colon and no control characters"
    if key.startswith(b"#") or key != key.strip():
        return "a name can begin with no # and begin or end with no blank"
    return None


def parse(data: bytes, file: str) -> dict[bytes, bytes]:
    """
    The users in the text of a users file: hashes by names.

    :param file: its name, for errors.
    :raises UsersFileError: with all that is wrong, up to twenty lines.
    """
    if len(data) > _FILE_BYTES:
        raise UsersFileError(f"{file}: larger than {_FILE_BYTES} bytes")
    users: dict[bytes, bytes] = {}
    problems: list[str] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        line = line.removesuffix(b"\r")
        if not line.strip() or line.startswith(b"#"):
            continue
        key, colon, stored = line.partition(b":")
        problem = _line_problem(key, colon, stored, users)
        if problem is None:
            users[key] = stored
        else:
            problems.append(f"{file}:{number}: {problem}")
            if len(problems) == _PROBLEMS:
                break
    if problems:
        raise UsersFileError(*problems)
    return users


def cost_of(stored: bytes) -> int:
    """The cost in a hash of bcrypt's."""
    match = _BCRYPT.fullmatch(stored)
    assert match is not None
    return int(match[1])


def _line_problem(
    key: bytes, colon: bytes, stored: bytes, users: Mapping[bytes, bytes]
) -> str | None:
    if not colon:
        return 'expected "name:hash"'  # without the line, which may well be a password
    problem = name_problem(key)
    if problem is not None:
        return problem
    name = escape(key)
    if key in users:
        return f'user "{name}" was named before'
    match = _BCRYPT.fullmatch(stored)
    if match is None:
        return f'the hash of user "{name}" is not one of bcrypt; make it with "sockd users add"'
    if int(match[1]) not in COSTS:
        return f'the hash of user "{name}" has a cost outside {COSTS.start}-{COSTS.stop - 1}'
    return None


def thd_matches(bcrypt: Any, password: bytes, stored: bytes) -> bool:
    """Whether a password is the one that was hashed; takes the same time if it is not."""
    fits = len(password) <= PASSWORD_BYTES and b"\x00" not in password
    # What bcrypt would refuse it gets shortened, so that refusing takes as long.
    given = password if fits else password.replace(b"\x00", b"")[:PASSWORD_BYTES]
    same: bool = bcrypt.checkpw(given, stored)
    return same and fits


def _whose(path: str) -> str:
    """The file's mode and owner and our own user id, as far as they are known; for messages."""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return f" (mode {status.st_mode & 0o7777:04o}, user {status.st_uid}; we are {os.geteuid()})"


@implementer(IAuthenticator)
class UsersFile:
    """
    The users in a file.

    :param path: the file; it is read at once.
    :param clock: it is looked at once a second at most, when a client logs in.
    :param threads: where hashes are computed.
    :param report: called with one line for the operator about the file.
    :param opener: opens it, for :func:`open`, with the privileges that takes; ``look`` looks at it
        likewise.
    :raises UsersFileError: if the file cannot be used.
    """

    def __init__(
        self,
        path: str,
        clock: IReactorTime,
        threads: Threads,
        report: Callable[[str], None],
        opener: Callable[[str, int], int] = open_regular,
        look: Look = look,
    ) -> None:
        self._path = path
        self._threads = threads
        self._report = report
        self._opener = opener
        self._bcrypt = load_bcrypt()
        self._watch = FileWatch((path,), clock, look)
        self._read_at: tuple[Stamp | None, ...] = self._watch.current()
        self._users = self._read()

    def revision(self, name: str) -> object:
        """See :class:`~dantetw.auth.interfaces.IAuthenticator`."""
        return self._current().get(key_of(name))

    def authenticate(self, name: str, password: bytes, client: str = "") -> Deferred[None]:
        """See :class:`~dantetw.auth.interfaces.IAuthenticator`."""
        users = self._current()
        stored = users.get(key_of(name))
        known = stored is not None
        if stored is None:
            # The costliest hash of all: a quick answer would reveal an unknown user.
            stored = self._costliest
            refusal = AuthenticationFailed.no_record(name)
        else:
            refusal = AuthenticationFailed.wrong_password(name)

        def thd_refuse() -> AuthenticationFailed | None:
            right = thd_matches(self._bcrypt, password, stored)
            return None if right and known else refusal

        return verify(self._threads, thd_refuse, refusal, client_of(client))

    def _current(self) -> dict[bytes, bytes]:
        """The users, read again if the file has changed."""
        stamp = self._watch.current()
        if stamp != self._read_at:
            self._read_at = stamp
            try:
                self._users = self._read()
            except UsersFileError as error:
                first, *more = error.problems
                rest = f" (and {len(more)} more)" if more else ""
                self._report(f"{first}{rest}; keeping the users of before")
        return self._users

    def _read(self) -> dict[bytes, bytes]:
        try:
            with open(self._path, "rb", opener=self._opener) as file:
                mode = os.fstat(file.fileno()).st_mode
                data = file.read(_FILE_BYTES + 1)
        except OSError as error:
            hint = _whose(self._path) if isinstance(error, PermissionError) else ""
            raise UsersFileError(f"{self._path}: {error.strerror}{hint}") from None
        users = parse(data, self._path)
        # Equal costs: the first one.
        self._costliest = max(users.values(), key=cost_of, default=_DUMMY)
        if mode & 0o007:
            self._report(
                f"{self._path}: everybody on this system may use this file of passwords "
                f"(mode {mode & 0o7777:04o}); chmod 0640 would be better"
            )
        return users
