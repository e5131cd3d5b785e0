"""Tests for :mod:`dantetw.auth.groups`."""

from __future__ import annotations

import grp
import pwd

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dantetw.auth.groups import ENTRIES, SECONDS, Groups

USERS = {"bob": 100, "eve": 200}
GROUPS = {"users": (100, []), "staff": (50, ["bob", "virtual"]), "wheel": (0, ["eve"])}


class GroupsTests(SynchronousTestCase):
    """Tests for :class:`Groups`."""

    def setUp(self) -> None:
        """Make the groups of a system that the test plays."""
        self.clock = Clock()
        self.asked: list[str] = []
        names = frozenset(("users", "staff", "nosuchgroup"))
        self.groups = Groups(names, self.clock, self.getpwnam, self.getgrnam)

    def getpwnam(self, name: str) -> pwd.struct_passwd:
        """The password database."""
        self.asked.append(name)
        name.encode()
        return pwd.struct_passwd((name, "x", 1000, USERS[name], "", "/", "/bin/sh"))

    def getgrnam(self, name: str) -> grp.struct_group:
        """The group database."""
        gid, members = GROUPS[name]
        return grp.struct_group((name, "x", gid, members))

    def test_membership(self) -> None:
        """The primary group and member lists count, of groups that rules name."""
        for user, expected in (
            ("bob", {"users", "staff"}),
            ("eve", set()),
            ("virtual", {"staff"}),
            ("nobody", set()),
            ("\ud800", set()),
        ):
            self.assertEqual(self.groups.of(user), expected, user)

    def test_cached(self) -> None:
        """An answer is kept for a minute."""
        self.groups.of("bob")
        self.clock.advance(SECONDS - 1)
        self.groups.of("bob")
        self.assertEqual(len(self.asked), 1)
        self.clock.advance(1)
        self.groups.of("bob")
        self.assertEqual(len(self.asked), 2)

    def test_bounded(self) -> None:
        """The least recently used answer goes first."""
        self.groups.of("bob")
        for number in range(ENTRIES - 1):
            self.groups.of(f"u{number}")
        self.groups.of("bob")
        self.groups.of("one more")
        self.asked.clear()
        self.groups.of("bob")
        self.assertEqual(self.asked, [])
        self.groups.of("u0")
        self.assertEqual(self.asked, ["u0"])

    def test_no_groups_in_rules(self) -> None:
        """If no rule names a group, nobody is asked."""
        groups = Groups(frozenset(), self.clock, self.getpwnam, self.getgrnam)
        self.assertEqual(groups.of("bob"), frozenset())
        self.assertEqual(self.asked, [])

    def test_real_system(self) -> None:
        """Root is in the group root."""
        root = grp.getgrgid(pwd.getpwnam("root").pw_gid).gr_name
        self.assertEqual(Groups(frozenset((root,)), self.clock).of("root"), {root})
