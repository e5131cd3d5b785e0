"""
Whose rights we work with: ``user.privileged`` and ``user.unprivileged``.

As with Dante, the process stays able to become privileged again: it has to read the system's
passwords and to open log files anew.  Only the effective ids change, and only for as long as a
``with`` block on the reactor's thread lasts.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """A user and its groups, by number."""

    uid: int
    gid: int
    groups: tuple[int, ...]

    @classmethod
    def of(cls, name: str) -> Identity:
        """
        The identity of a user by name.

        :raises KeyError: if there is no such user.
        """
        entry = pwd.getpwnam(name)
        groups = tuple(os.getgrouplist(name, entry.pw_gid))
        return cls(entry.pw_uid, entry.pw_gid, groups)

    @classmethod
    def current(cls) -> Identity:
        """Who we are now."""
        return cls(os.geteuid(), os.getegid(), tuple(os.getgroups()))


def _become(identity: Identity) -> None:
    # Only root may change groups, so the way from one user to another leads through root.
    if os.geteuid() != 0:
        os.seteuid(0)
    os.setgroups(identity.groups)
    os.setegid(identity.gid)
    os.seteuid(identity.uid)


class Privileges:
    """
    Changes between the two users of a configuration.

    Does nothing at all if both are who we already are, so a server that was not started by root
    runs as it is; also, as with Dante, if ``user.privileged`` names somebody else.

    :param privileged: name in ``user.privileged``, None: whoever started us; ``unprivileged``
        likewise.
    :ivar lacking: who started us cannot become ``user.privileged``.
    :ivar owner: user and group that files which we create for ``user.privileged`` shall belong to;
        None: whoever creates them.
    """

    def __init__(self, privileged: str | None = None, unprivileged: str | None = None) -> None:
        current = Identity.current()
        self._high = Identity.of(privileged) if privileged else current
        self._low = Identity.of(unprivileged) if unprivileged else current
        self.lacking = self._high.uid != current.uid != 0
        self.owner: tuple[int, int] | None = None
        if self._high.uid != current.uid == 0:
            self.owner = (self._high.uid, self._high.gid)
        self._same = self._low.uid == current.uid and (
            self._high.uid == current.uid or self.lacking
        )
        self._dropped = False

    def drop(self) -> None:
        """
        Be ``user.unprivileged`` from now on.

        :raises OSError: if we may not.
        """
        if not self._same:
            _become(self._low)
            self._dropped = True

    @contextmanager
    def raised(self) -> Iterator[None]:
        """
        Be ``user.privileged`` within the block.

        :raises OSError: if we may not.
        """
        if not self._dropped:
            yield
            return
        try:
            _become(self._high)
            yield
        finally:
            _become(self._low)
