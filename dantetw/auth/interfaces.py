"""
The interfaces of authentication methods: some check a name and a password, others ask elsewhere.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from zope.interface import Interface

from dantetw.escaping import escape
from dantetw.rules.authentication import AuthCheck, AuthResult
from dantetw.values import Endpoint, value
from dantetw.wire.messages import Credentials


class AuthenticationFailed(Exception):  # noqa: N818 - the name of the outcome, as in Dante's log
    """
    The login is wrong, or cannot be checked.

    ``str()`` gives one line for the log, in Dante's words, with the name escaped.
    """

    @classmethod
    def wrong_password(cls, name: str) -> AuthenticationFailed:
        """The password is wrong, or the account is locked or has expired."""
        return cls(f'system password authentication failed for user "{escape(name)}"')

    @classmethod
    def no_record(cls, name: str, reason: str = "no system error") -> AuthenticationFailed:
        """
        There is no such user, or the records cannot be read.

        :param reason: the system's words, if there was an error.
        """
        return cls(
            f'could not access user "{escape(name)}"\'s records in the system password file: '
            f"{reason}"
        )


class IAuthenticator(Interface):
    """Checks a name and a password."""

    def authenticate(
        name: str,  # noqa: N805 - zope's way
        password: bytes,
        client: str = "",
    ) -> Deferred[None]:
        """
        Check a login.

        :param name: as received: any text; bytes that are not UTF-8 as surrogate escapes.
        :param password: as received: any bytes.
        :param client: the client's numeric address, by which logins are scheduled
            (:mod:`dantetw.fairness`); empty: on the server's own behalf.
        :returns: fires with None if the login is right; fails with :class:`AuthenticationFailed`
            and nothing else.  May be cancelled.
        """

    def revision(name: str) -> object:  # noqa: N805 - zope's way
        """
        A value that compares equal as long as the answers for this name stay the same.

        Called once per session: cheap, and never raises.
        """


@value
class Visitor:
    """
    A client that another program is asked about.

    :ivar client: its end of the connection; ``local``: ours.
    :ivar credentials: what it gave to log in; None: nothing, or not yet.
    """

    client: Endpoint
    local: Endpoint
    credentials: Credentials | None = None


class IProver(Interface):
    """Asks another program for the user of a client's connection."""

    def prove(check: AuthCheck, visitor: Visitor) -> Deferred[AuthResult]:  # noqa: N805 - zope's way
        """
        Carry out a check.

        :returns: fires with the answer, which is a refusal if there is no other.  May be
            cancelled, and fails with nothing else.
        """


def key_of(name: str) -> bytes:
    """
    The bytes a name was received as, for comparing it with those in a file.

    :returns: empty, which is no user's name, if it has no encoding or no file could hold it.
    """
    try:
        key = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return b""
    return b"" if any(byte in key for byte in b"\x00\n:") else key
