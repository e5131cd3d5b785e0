"""Tests of :mod:`dantetw.process.privileges`."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable

from twisted.trial.unittest import SynchronousTestCase

from dantetw.process.privileges import Identity, Privileges

USERS = {"root": (0, 0), "nobody": (65534, 65534), "proxy": (13, 14)}


class _Kernel:
    """Effective ids as the kernel keeps them: only root may choose, and may come back."""

    def __init__(self, case: SynchronousTestCase, uid: int = 0, saved: int = 0) -> None:
        self.uid, self.gid, self.groups, self.saved = uid, uid, [uid], saved
        self.calls = 0
        for name in ("geteuid", "getegid", "getgroups", "seteuid", "setegid", "setgroups"):
            case.patch(os, name, getattr(self, name))
        case.patch(os, "getgrouplist", lambda name, gid: [gid, 100])
        case.patch(pwd, "getpwnam", self.getpwnam)

    def getpwnam(self, name: str) -> pwd.struct_passwd:
        uid, gid = USERS[name]
        return pwd.struct_passwd((name, "x", uid, gid, "", "/", "/bin/false"))

    def geteuid(self) -> int:
        return self.uid

    def getegid(self) -> int:
        return self.gid

    def getgroups(self) -> list[int]:
        return self.groups

    def _check(self) -> None:
        self.calls += 1
        if self.uid != 0:
            raise PermissionError(1, "Operation not permitted")

    def seteuid(self, uid: int) -> None:
        if uid not in (self.uid, self.saved):
            self._check()
        self.calls += 1
        self.uid = uid

    def setegid(self, gid: int) -> None:
        self._check()
        self.gid = gid

    def setgroups(self, groups: Iterable[int]) -> None:
        self._check()
        self.groups = list(groups)

    @property
    def who(self) -> tuple[int, int, list[int]]:
        """User, group and groups that count now."""
        return self.uid, self.gid, self.groups


class PrivilegesTests(SynchronousTestCase):
    """Changing between the two users of a configuration."""

    def test_same(self) -> None:
        """Nothing changes where nobody else was named, nor where it is who we are."""
        for names in ((None, None), ("root", "root"), (None, "root")):
            with self.subTest(names):
                kernel = _Kernel(self)
                privileges = Privileges(*names)
                privileges.drop()
                with privileges.raised():
                    pass
                self.assertEqual(kernel.calls, 0)

    def test_not_root(self) -> None:
        """A server started by a user runs as that user."""
        kernel = _Kernel(self, 65534, 65534)
        privileges = Privileges(None, "nobody")
        privileges.drop()
        with privileges.raised():
            pass
        self.assertEqual(kernel.calls, 0)
        self.assertFalse(privileges.lacking)

    def test_lacking(self) -> None:
        """So does one that should become root now and then: it cannot, and says so."""
        kernel = _Kernel(self, 65534, 65534)
        privileges = Privileges("root", "nobody")
        privileges.drop()
        with privileges.raised():
            pass
        self.assertEqual(kernel.calls, 0)
        self.assertTrue(privileges.lacking)

    def test_dropped(self) -> None:
        """After the drop user, group and further groups are those of ``user.unprivileged``."""
        kernel = _Kernel(self)
        privileges = Privileges("root", "nobody")
        self.assertEqual(kernel.uid, 0)
        privileges.drop()
        self.assertEqual(kernel.who, (65534, 65534, [65534, 100]))

    def test_raised(self) -> None:
        """Within the block we are ``user.privileged``, behind it not any more."""
        kernel = _Kernel(self)
        privileges = Privileges("proxy", "nobody")
        privileges.drop()
        with privileges.raised():
            self.assertEqual(kernel.who, (13, 14, [14, 100]))
        self.assertEqual(kernel.uid, 65534)

    def test_raised_again(self) -> None:
        """The rights are given up again also if the block fails."""
        kernel = _Kernel(self)
        privileges = Privileges(None, "nobody")
        privileges.drop()
        with self.assertRaises(ZeroDivisionError), privileges.raised():
            self.assertEqual(kernel.uid, 0)
            raise ZeroDivisionError
        self.assertEqual(kernel.uid, 65534)

    def test_raised_halfway(self) -> None:
        """Nor are any kept if only some of them can be had."""
        kernel = _Kernel(self)
        privileges = Privileges("proxy", "nobody")
        privileges.drop()

        def refuse(gid: int) -> None:
            self.patch(os, "setegid", kernel.setegid)
            raise PermissionError(1, "Operation not permitted")

        self.patch(os, "setegid", refuse)
        with self.assertRaises(PermissionError), privileges.raised():
            self.fail("it is not raised")
        self.assertEqual(kernel.who, (65534, 65534, [65534, 100]))

    def test_raised_before(self) -> None:
        """Before the drop there is nothing to raise."""
        kernel = _Kernel(self)
        with Privileges(None, "nobody").raised():
            self.assertEqual(kernel.uid, 0)
        self.assertEqual(kernel.calls, 0)

    def test_owner(self) -> None:
        """What root creates for another ``user.privileged`` shall belong to that one."""
        _Kernel(self)
        self.assertEqual(Privileges("proxy", "nobody").owner, (13, 14))
        self.assertIsNone(Privileges("root", "nobody").owner)
        self.assertIsNone(Privileges(None, "nobody").owner)
        _Kernel(self, 65534, 65534)
        self.assertIsNone(Privileges("proxy").owner)

    def test_not_permitted(self) -> None:
        """Who is not root cannot become somebody else, and is told so."""
        _Kernel(self, 1000, 1000)
        self.assertRaises(PermissionError, Privileges(None, "nobody").drop)

    def test_unknown(self) -> None:
        """A user that does not exist is an error at once."""
        _Kernel(self)
        self.assertRaises(KeyError, Privileges, None, "noone")
        self.assertRaises(KeyError, Identity.of, "noone")
