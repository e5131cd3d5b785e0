"""Tests of :mod:`dantetw.privileged.privileges`."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

import dantetw
from dantetw.privileged import helper, requests
from dantetw.privileged.direct import ByProcess
from dantetw.privileged.helper import Helper
from dantetw.privileged.paths import Untrusted
from dantetw.privileged.permitted import Permitted
from dantetw.privileged.privileges import Privileges, ServerUser
from dantetw.privileged.remote import ByHelper
from dantetw.privileged.requests import HelperTask
from dantetw.privileged.watch import HelperWatch, words_of
from dantetw.process import prctl
from dantetw.values import Severity
from tests.observe.sinks.fakes import FakeReactor
from tests.privileged.policies import policy

USERS = {"root": (0, 0), "nobody": (65534, 65534), "proxy": (13, 14)}


class _Kernel:
    """Ids as the kernel keeps them: only root may choose, and the others cannot come back."""

    def __init__(self, case: SynchronousTestCase, uid: int = 0) -> None:
        self.uids, self.gids, self.groups = (uid,) * 3, (uid,) * 3, [uid]
        self.calls: list[str] = []
        case.patch(os, "geteuid", lambda: self.uids[1])
        case.patch(os, "getegid", lambda: self.gids[1])
        case.patch(os, "getgroups", lambda: self.groups)
        for name in ("setgroups", "setresgid", "setresuid"):
            case.patch(os, name, getattr(self, name))
        case.patch(os, "getgrouplist", lambda name, gid: [gid, 100])
        case.patch(pwd, "getpwnam", self.getpwnam)
        case.patch(prctl, "forbid_privileges", lambda: self.calls.append("no new privileges"))

    def getpwnam(self, name: str) -> pwd.struct_passwd:
        uid, gid = USERS[name]
        return pwd.struct_passwd((name, "x", uid, gid, "", "/", "/bin/false"))

    def _check(self, call: str) -> None:
        self.calls.append(call)
        if self.uids[1] != 0:
            raise PermissionError(1, "Operation not permitted")

    def setgroups(self, groups: Iterable[int]) -> None:
        self._check("groups")
        self.groups = list(groups)

    def setresgid(self, *gids: int) -> None:
        self._check("gid")
        self.gids = gids  # type: ignore[assignment]

    def setresuid(self, *uids: int) -> None:
        self._check("uid")
        self.uids = uids  # type: ignore[assignment]


class _Journal:
    """Keeps what it is told."""

    def __init__(self, told: list[str]) -> None:
        self._told = told

    def message(self, severity: Severity, kind: str, text: str) -> None:
        self._told.append(f"{severity.value} {kind} {text}")


class PrivilegesTests(SynchronousTestCase):
    """The two users of a configuration."""

    def setUp(self) -> None:
        """Helpers are made for nothing but to see that they are."""
        self.forked: list[tuple[Callable[[], None], Helper]] = []
        self.patch(helper, "fork", self.fork)

    def fork(
        self,
        prepare: Callable[[], None],
        make: Callable[[socket.socket], Helper],
        keep: Sequence[int] = (),
    ) -> tuple[socket.socket, int]:
        """No fork."""
        ours, theirs = requests.pair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        self.forked.append((prepare, make(theirs)))
        return ours, 1234

    def run_with(self, privileged: str | None, unprivileged: str | None) -> Privileges:
        """Start and drop."""
        privileges = Privileges(privileged, unprivileged)
        privileges.start(policy())
        self.assertIsInstance(privileges._backend, ByProcess)
        privileges.drop()
        return privileges

    def test_same(self) -> None:
        """Nothing changes where nobody else was named, nor where it is who we are."""
        for names in ((None, None), ("root", "root"), (None, "root"), ("proxy", "root")):
            kernel = _Kernel(self)
            privileges = self.run_with(*names)
            self.assertEqual((kernel.calls, self.forked), ([], []))
            self.assertIsInstance(privileges._backend, ByProcess)

    def test_not_root(self) -> None:
        """A server started by a user runs as that user, without a helper."""
        kernel = _Kernel(self, 65534)
        self.assertFalse(self.run_with(None, "nobody").lacking)
        self.assertEqual((kernel.calls, self.forked), ([], []))

    def test_lacking(self) -> None:
        """So does one that should have root's rights too: it cannot, and says so."""
        kernel = _Kernel(self, 65534)
        self.assertTrue(self.run_with("root", "nobody").lacking)
        self.assertEqual((kernel.calls, self.forked), ([], []))

    def test_dropped(self) -> None:
        """All ids and groups are those of ``user.unprivileged``, for good; the helper's are not."""
        kernel = _Kernel(self)
        privileges = self.run_with("root", "nobody")
        self.assertEqual((kernel.uids, kernel.gids), ((65534,) * 3, (65534,) * 3))
        self.assertEqual(kernel.groups, [65534, 100])
        # Who is not root any more can change nothing.
        self.assertEqual(kernel.calls, ["groups", "gid", "uid", "no new privileges"])
        ((prepare, _),) = self.forked
        kernel.calls.clear()
        prepare()
        self.assertEqual(kernel.calls, [])
        self.assertIsInstance(privileges._backend, ByHelper)

    def test_other_privileged(self) -> None:
        """The helper is ``user.privileged``, if that is not root, and trusts not the other."""
        kernel = _Kernel(self)
        privileges = Privileges("proxy", "nobody")
        privileges.start(policy())
        ((prepare, made),) = self.forked
        prepare()
        self.assertEqual((kernel.uids, kernel.gids), ((13,) * 3, (14,) * 3))
        self.assertEqual(made._direct._untrusted, Untrusted(65534, frozenset((65534, 100))))
        self.assertEqual(made._permitted, Permitted.of(policy()))

    def test_both_the_same(self) -> None:
        """Where both are somebody else, nobody has more rights to help with."""
        kernel = _Kernel(self)
        privileges = self.run_with("nobody", "nobody")
        self.assertEqual(kernel.uids, (65534,) * 3)
        self.assertEqual(self.forked, [])
        self.assertIsInstance(privileges._backend, ByProcess)
        # PAM's modules, which it runs itself, need a setuid program to see passwords.
        self.assertNotIn("no new privileges", kernel.calls)

    def test_owner(self) -> None:
        """What root creates for another ``user.privileged`` shall belong to that one."""
        _Kernel(self)
        self.assertEqual(Privileges("proxy", "nobody").owner, (13, 14))
        self.assertIsNone(Privileges("root", "nobody").owner)
        self.assertIsNone(Privileges(None, "nobody").owner)
        _Kernel(self, 65534)
        self.assertIsNone(Privileges("proxy").owner)

    def test_not_permitted(self) -> None:
        """Who is not root cannot become somebody else, and is told so."""
        _Kernel(self, 1000)
        self.assertRaises(PermissionError, Privileges(None, "nobody").drop)

    def test_unknown(self) -> None:
        """A user that does not exist is an error at once."""
        _Kernel(self)
        self.assertRaises(KeyError, Privileges, None, "noone")
        self.assertRaises(KeyError, ServerUser.of, "noone")

    def test_warnings(self) -> None:
        """Files that the server's user can change are warned of, where that matters."""
        _Kernel(self)
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        for name in ("config", "pid"):
            (folder / name).touch()
            (folder / name).chmod(0o666)
        told: list[str] = []
        privileges = Privileges("root", "nobody", f"{folder}/pid", f"{folder}/config")
        privileges.tell(_Journal(told))  # type: ignore[arg-type]
        privileges.start(policy())
        self.assertEqual(
            [line.partition(": ")[2] for line in told[:2]],
            [
                "it can be changed by user.unprivileged: it will not be read again at SIGHUP",
                "it can be changed by user.unprivileged: a signal to the process id"
                " in it may reach another process",
            ],
        )

    def test_imports(self) -> None:
        """The helper imports nothing from folders of the server's user."""
        _Kernel(self)
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        self.patch(sys, "path", [*sys.path, str(folder)])
        privileges = Privileges("root", "nobody")
        privileges.start(policy())
        ((prepare, _),) = self.forked
        prepare()
        self.assertIn(str(folder), sys.path)
        folder.chmod(0o777)
        prepare()
        self.assertNotIn(str(folder), sys.path)
        self.assertIn(os.path.dirname(os.path.dirname(dantetw.__file__)), sys.path)

    def test_be_worker(self) -> None:
        """A worker has a door of its own, which it gives the helper, and not the supervisor's."""
        _Kernel(self)
        privileges = Privileges("root", "nobody")
        privileges.be_worker()  # in a test, say: there is no helper
        privileges.start(policy(), workers=True)
        ((_, made),) = self.forked
        privileges.drop()
        privileges.be_worker()
        packet, descriptors = requests.receive(made._door)
        self.assertEqual(requests.parse_request(packet, 1).what, HelperTask.DOOR)
        # The other end of the door that is left.
        with socket.socket(fileno=descriptors[0]) as door:
            (after,) = privileges.descriptors
            os.write(after, b"order")
            self.assertEqual(door.recv(10), b"order")
            self.assertEqual(requests.receive(made._door), (b"", []))
        self.assertTrue(made._doors.acquire(blocking=False))
        privileges.close()

    def test_end_is_told(self) -> None:
        """When the helper ends, the operator is told what that means."""
        _Kernel(self)
        reactor = FakeReactor()
        privileges = self.run_with("root", "nobody")
        told: list[str] = []
        privileges.tell(_Journal(told))  # type: ignore[arg-type]
        privileges.watch(reactor)
        self.patch(os, "waitpid", lambda process, options: (process, signal.SIGKILL))
        assert privileges._watch is not None
        privileges._watch.doRead()
        reactor.turn()
        (text,) = told
        self.assertIn("(process 1234) has ended, by SIGKILL: work that needs", text)
        self.assertEqual(reactor.readers, [])
        privileges.close()

    def test_emptying_may_fail(self) -> None:
        """A folder that is gone keeps nobody from ending."""
        Privileges(pidfile=self.mktemp() + "/sockd.pid").empty_pidfile()
        Privileges().empty_pidfile()


class ForkTests(SynchronousTestCase):
    """The helper's process."""

    def setUp(self) -> None:
        if not os.path.exists("/proc/self/status"):
            raise SkipTest("this system tells nothing of its processes")

        def make(door: socket.socket) -> Helper:
            return Helper(door, ByProcess(), Permitted(), None)

        self.door, self.process = helper.fork(lambda: None, make)
        self.reaped = False
        self.addCleanup(self.reap)
        self.remote = ByHelper(self.door)
        # Once it answers, it has prepared itself.
        self.remote.empty_pidfile()

    def reap(self) -> None:
        """Leave no process behind."""
        self.remote.close()
        self.door.close()
        if not self.reaped:
            os.waitpid(self.process, 0)

    def end(self) -> int:
        """Wait for its end; the status."""
        _, status = os.waitpid(self.process, 0)
        self.reaped = True
        return status

    def test_descriptors(self) -> None:
        """It has the standard ones, the door, and the channel that is open, and nothing of ours."""
        numbers = os.listdir(f"/proc/{self.process}/fd")
        self.assertLessEqual(len([n for n in numbers if int(n) > 2]), 2)

    def test_signals(self) -> None:
        """What a terminal or a script tells the whole process group is not for it."""
        for name in helper.IGNORED:
            os.kill(self.process, getattr(signal, name))
        self.remote.empty_pidfile()

    def test_name(self) -> None:
        """It can be told from the server in a list of processes."""
        with open(f"/proc/{self.process}/comm") as file:
            self.assertEqual(file.read().strip(), helper.NAME)

    def test_end(self) -> None:
        """It ends when the server has, however that ended."""
        self.remote.close()
        self.door.close()
        self.assertEqual(words_of(self.end()), "with status 0")

    def test_killed(self) -> None:
        """If it is killed, that is noticed by its door, and it is buried."""
        told: list[str] = []
        reactor = FakeReactor()
        watch = HelperWatch(reactor, self.door, self.process, told.append)
        self.assertEqual(watch.fileno(), self.door.fileno())
        os.kill(self.process, signal.SIGKILL)
        self.assertEqual(self.door.recv(1), b"")
        watch.doRead()
        self.reaped = True
        self.assertEqual(told, ["by SIGKILL"])


class WordsTests(SynchronousTestCase):
    """How a process has ended."""

    def test_words(self) -> None:
        """By status or signal, which may have no name."""
        for status, words in (
            (0, "with status 0"),
            (256, "with status 1"),
            (9, "by SIGKILL"),
            (63, "by signal 63"),
        ):
            self.assertEqual(words_of(status), words)
