"""
Method ``username``: the system's users, as Dante checks them.

Their passwords are read and compared (:mod:`.shadow`) by a process with the privileges to do so,
which may be another one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from dantetw.auth.crypting import Libcrypt
from dantetw.auth.interfaces import AuthenticationFailed, IAuthenticator
from dantetw.auth.shadow import PASSWD, SHADOW, PasswordVerdict
from dantetw.auth.verifying import verify
from dantetw.fairness import client_of
from dantetw.net.errors import words_of_error
from dantetw.process.filewatch import FileWatch, Look, look
from dantetw.threads import Threads


@implementer(IAuthenticator)
class SystemUsers:
    """
    The users of this system.

    :param clock: for noticing changes of the files.
    :param threads: where passwords are checked.
    :param thd_check: checks a name and a password on behalf of a client, as
        :meth:`~dantetw.auth.privileges.Privileged.check_password` does.
    :param look: looks at files with privileges.
    :raises LibcryptMissingError: if this system cannot check passwords.
    """

    def __init__(
        self,
        clock: IReactorTime,
        threads: Threads,
        thd_check: Callable[[str, bytes, str], PasswordVerdict],
        look: Look = look,
        shadow: str = SHADOW,
    ) -> None:
        # The process that checks has the same library: report now that it is missing.
        Libcrypt()
        self._threads = threads
        self._thd_check = thd_check
        self._watch = FileWatch((PASSWD, shadow), clock, look)

    def revision(self, name: str) -> object:
        """See :class:`~dantetw.auth.interfaces.IAuthenticator`."""
        return self._watch.current()

    def authenticate(self, name: str, password: bytes, client: str = "") -> Deferred[None]:
        """See :class:`~dantetw.auth.interfaces.IAuthenticator`."""
        refusal = AuthenticationFailed.wrong_password(name)
        owner = client_of(client)
        thd_refuse = partial(self._thd_refuse, name, password, owner)
        return verify(self._threads, thd_refuse, refusal, owner)

    def _thd_refuse(self, name: str, password: bytes, owner: str) -> AuthenticationFailed | None:
        try:
            verdict = self._thd_check(name, password, owner)
        except OSError as error:
            return AuthenticationFailed.no_record(name, words_of_error(error))
        if verdict is PasswordVerdict.UNKNOWN:
            return AuthenticationFailed.no_record(name)
        return (
            None if verdict is PasswordVerdict.RIGHT else AuthenticationFailed.wrong_password(name)
        )
