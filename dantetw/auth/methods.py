"""
What checks logins, for each method that needs a check; the catalogue lists these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dantetw.auth.cache import CredentialsCache
from dantetw.auth.ident import Ident
from dantetw.auth.interfaces import IAuthenticator, IProver
from dantetw.auth.pam import Pam
from dantetw.auth.privileges import Privileged
from dantetw.auth.system import SystemUsers
from dantetw.auth.usersfile import UsersFile
from dantetw.policy import Policy
from dantetw.threads import Threads


def for_username(
    policy: Policy,
    reactor: Any,
    threads: Threads,
    privileged: Privileged,
    report: Callable[[str], None],
) -> IAuthenticator:
    """
    ``username``: the users of ``username.file`` if the policy has one, else the system's.

    :param threads: where hashes are computed.
    :param privileged: does what takes privileges.
    :param report: called with each error in the users file.
    :raises UsersFileError: if the file cannot be used; its text says why.
    :raises LibcryptMissingError: if this system cannot check passwords.
    """
    inner: IAuthenticator
    if policy.authentication.username_file is not None:
        inner = UsersFile(
            policy.authentication.username_file,
            reactor,
            threads,
            report,
            privileged.open_file,
            privileged.look,
        )
    else:
        inner = SystemUsers(reactor, threads, privileged.check_password, privileged.look)
    return CredentialsCache(inner, reactor)


def for_rfc931(
    policy: Policy,
    reactor: Any,
    threads: Threads,
    privileged: Privileged,
    report: Callable[[str], None],
) -> IProver:
    """``rfc931``: the user that the client's host names."""
    return Ident(reactor)


def for_pam(
    policy: Policy,
    reactor: Any,
    threads: Threads,
    privileged: Privileged,
    report: Callable[[str], None],
) -> IProver:
    """``pam.address``, ``pam.any``, ``pam.username``: whatever PAM says."""
    return Pam(reactor, privileged.start_pam)
