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
    rights: Privileged,
    report: Callable[[str], None],
) -> IAuthenticator:
    """
    ``username``: the users of ``username.file`` if the policy has one, else the system's.

    :param threads: where hashes are computed.
    :param rights: do what takes privileges.
    :param report: told of mistakes in the users file.
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
            rights.open_file,
            rights.look,
        )
    else:
        inner = SystemUsers(reactor, threads, rights.check_password, rights.look)
    return CredentialsCache(inner, reactor)


def for_rfc931(
    policy: Policy,
    reactor: Any,
    threads: Threads,
    rights: Privileged,
    report: Callable[[str], None],
) -> IProver:
    """``rfc931``: whoever the client's host says it is."""
    return Ident(reactor)


def for_pam(
    policy: Policy,
    reactor: Any,
    threads: Threads,
    rights: Privileged,
    report: Callable[[str], None],
) -> IProver:
    """``pam.address``, ``pam.any``, ``pam.username``: whatever PAM says."""
    return Pam(reactor, rights.start_pam)
