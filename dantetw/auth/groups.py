"""
Membership in the system's groups, for the keyword ``group`` of rules.
"""

from __future__ import annotations

import grp
import pwd
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime

#: Seconds an answer is kept, and how many are.
SECONDS: Final = 60
ENTRIES: Final = 1024


class Groups:
    """
    Membership in the groups that rules name.

    As in Dante a user is in a group if it is their primary one or its list of members has them.
    Users need not be the system's: those of a users file may stand in a member list too.

    The databases are asked in the reactor's thread: files answer in microseconds, and where they
    stand on a network the system's own cache (``nscd``, ``sssd``) must be on.

    :param names: all groups that rules name
        (:func:`dantetw.rules.decision.asks_for_groups`); others are not looked at.
    """

    def __init__(
        self,
        names: frozenset[str],
        clock: IReactorTime,
        getpwnam: Callable[[str], pwd.struct_passwd] = pwd.getpwnam,
        getgrnam: Callable[[str], grp.struct_group] = grp.getgrnam,
    ) -> None:
        self._names = names
        self._clock = clock
        self._getpwnam = getpwnam
        self._getgrnam = getgrnam
        self._kept: OrderedDict[str, tuple[float, frozenset[str]]] = OrderedDict()

    def of(self, user: str) -> frozenset[str]:
        """The groups that a user is in, of those that rules name."""
        if not self._names:
            return frozenset()
        now = self._clock.seconds()
        kept = self._kept.get(user)
        if kept is not None and now < kept[0]:
            self._kept.move_to_end(user)
            return kept[1]
        groups = self._look_up(user)
        self._kept[user] = (now + SECONDS, groups)
        self._kept.move_to_end(user)
        if len(self._kept) > ENTRIES:
            self._kept.popitem(last=False)
        return groups

    def _look_up(self, user: str) -> frozenset[str]:
        return groups_of(user, self._names, self._getpwnam, self._getgrnam)


def groups_of(
    user: str,
    names: frozenset[str],
    getpwnam: Callable[[str], pwd.struct_passwd] = pwd.getpwnam,
    getgrnam: Callable[[str], grp.struct_group] = grp.getgrnam,
) -> frozenset[str]:
    """The groups that a user is in, of those named, as the system has it now."""
    try:
        primary: int | None = getpwnam(user).pw_gid
    except (KeyError, ValueError, OSError):  # ValueError: no bytes stand for such a name
        primary = None
    found = set()
    for name in names:
        try:
            group = getgrnam(name)
        except (KeyError, ValueError, OSError):
            continue
        if group.gr_gid == primary or user in group.gr_mem:
            found.add(name)
    return frozenset(found)
