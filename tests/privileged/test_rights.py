"""Tests of who does what takes privileges: in this process, or by way of the helper."""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading
import time
from typing import TYPE_CHECKING

from twisted.internet.task import Clock

from dantetw.auth.shadow import PasswordVerdict
from dantetw.config import Parsed
from dantetw.privileged.remote import RefusedError
from dantetw.process.filewatch import look
from dantetw.threads import Gate
from tests.privileged.helping import PATIENCE, HelperCase, RightsCase
from tests.privileged.policies import parsed

if TYPE_CHECKING:
    _Case = RightsCase
else:
    _Case = object  # so that the tests run only in those who mix them in


class RightsMixin(_Case):
    """What everybody does who does what takes privileges."""

    def test_log(self) -> None:
        """A log is created, with its mode, and appended to."""
        for text in (b"one\n", b"two\n"):
            descriptor = self.rights.open_log(str(self.log))
            self.assertFalse(os.get_inheritable(descriptor))
            os.write(descriptor, text)
            os.close(descriptor)
        self.assertEqual(self.log.read_text(), "one\ntwo\n")
        self.assertEqual(stat.S_IMODE(self.log.stat().st_mode), 0o640)

    def test_log_fails(self) -> None:
        """A log that cannot be opened fails with the system's error."""
        self.log.mkdir()
        error = self.assertRaises(IsADirectoryError, self.rights.open_log, str(self.log))
        self.assertEqual(error.strerror, "Is a directory")

    def test_file(self) -> None:
        """A file is read, one that is none fails."""
        path = str(self.users)
        with open(path, "rb", opener=self.rights.open_file) as file:
            self.assertEqual(file.read(), b"joe:x\n")
        self.assertEqual(self.rights.look(path), look(path))
        self.users.unlink()
        self.assertRaises(FileNotFoundError, self.rights.open_file, path)
        self.assertRaises(FileNotFoundError, self.rights.look, path)
        os.mkfifo(path)
        self.assertRaises(OSError, self.rights.open_file, path)

    def test_config(self) -> None:
        """The configuration is opened, at its beginning."""
        with open(self.config, "rb", opener=self.rights.open_config) as file:
            self.assertEqual(file.read(), b"# configuration\n")
        self.config.unlink()
        self.assertRaises(FileNotFoundError, self.rights.open_config, str(self.config))

    def test_bind(self) -> None:
        """A socket is bound; an address that is taken is an error."""
        with socket.socket() as first, socket.socket() as second:
            self.rights.bind(first, ("127.0.0.1", self.port))
            self.assertEqual(first.getsockname(), ("127.0.0.1", self.port))
            error = self.assertRaises(OSError, self.rights.bind, second, ("127.0.0.1", self.port))
            self.assertEqual(error.errno, errno.EADDRINUSE)

    def test_password(self) -> None:
        """A password, of whatever bytes, is right, wrong or nobody's."""
        for name, password, verdict in (
            ("jo\udcff", b"jo\xff\0", PasswordVerdict.RIGHT),
            ("jo\udcff", b"", PasswordVerdict.WRONG),
            ("\ud800", b"jo", PasswordVerdict.UNKNOWN),
        ):
            self.assertIs(self.rights.check_password(name, password), verdict)

    def test_pam(self) -> None:
        """A process for PAM answers, complains, and ends with its leash."""
        process = self.rights.start_pam()
        with socket.socket(fileno=process.talk) as talk:
            talk.settimeout(PATIENCE)
            talk.sendall(b"x")
            self.assertEqual(talk.recv(10), b"x")
            os.close(process.leash)
            self.assertEqual(talk.recv(10), b"")
        with socket.socket(fileno=process.complaints) as complaints:
            complaints.settimeout(PATIENCE)
            self.assertEqual(complaints.recv(10), b"y\n")

    def test_pidfile(self) -> None:
        """The file for the process id is emptied, not removed, unless it has another's by now."""
        for text, left in ((f"{os.getpid()}\n", ""), ("123\n", "123\n"), ("", "")):
            self.pidfile.write_text(text)
            self.rights.empty_pidfile()
            self.assertEqual(self.pidfile.read_text(), left)


class DirectTests(RightsMixin, RightsCase):
    """In this process."""

    def setUp(self) -> None:
        self.rights = self.make_direct()


class AskingTests(RightsMixin, HelperCase):
    """By way of the helper."""

    def test_at_a_time(self) -> None:
        """A password that takes its time holds nothing else up, nor the next one."""
        self.passwords.go_on.clear()
        found: list[PasswordVerdict] = []

        def thd_check(password: bytes) -> None:
            found.append(self.rights.check_password("jo\udcff", password))

        threads = [threading.Thread(target=thd_check, args=(b"%d" % n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        self.test_log()
        self.passwords.go_on.set()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual(found, [PasswordVerdict.WRONG] * 3)
        self.assertEqual(sorted(self.passwords.asked), [b"0", b"1", b"2"])

    def test_fair(self) -> None:
        """Clients take turns at passwords, whichever process asks, and those who guess go last."""
        self.passwords.go_on.clear()
        self.helper._hashing = Gate(1, 100, Clock().seconds)
        gate = self.helper._hashing._queue

        def thd_check(client: str) -> None:
            self.rights.check_password("jo\udcff", client.encode(), client)

        threads = []
        for client in (*("192.0.2.66",) * 6, "2001:db8::1", "2001:db8::2", "192.0.2.1"):
            threads.append(threading.Thread(target=thd_check, args=(client,), daemon=True))
            threads[-1].start()
            while gate.running + gate.waiting < len(threads):
                time.sleep(0.001)
        self.assertEqual((gate.running, gate.waiting), (1, 8))
        self.passwords.go_on.set()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual(set(self.passwords.asked[-3:]), {b"192.0.2.66"})
        self.assertEqual(gate.faults("192.0.2.66"), 6)
        self.assertEqual(gate.faults("2001:db8::/64"), 2)

    def test_one_channel(self) -> None:
        """Who asks one thing after the other needs one channel."""
        for _ in range(3):
            self.rights.look(str(self.users))
        self.assertEqual(len(self.remote._free), 1)

    def test_forked(self) -> None:
        """After a fork each process has channels of its own, and the parent's still work."""
        self.rights.look(str(self.users))
        (before,) = self.remote._free
        self.addCleanup(os.close, before.fileno())
        self.patch(os, "getpid", lambda: 0)
        self.rights.look(str(self.users))
        (after,) = self.remote._free
        self.assertIsNot(after, before)
        # It has forgotten the parent's, whose number may be another's by now.
        self.assertEqual(before.fileno(), -1)

    def test_reload(self) -> None:
        """What the configuration names after a reload is permitted, and what it named before."""
        new = str(self.folder / "new")
        self.assertRaises(RefusedError, self.rights.open_log, new)
        self.parsed = parsed(f"logoutput: {new}\n", *self.texts()[1:])
        os.close(self.rights.open_config(str(self.config)))
        for path in (new, str(self.log)):
            os.close(self.rights.open_log(path))

    def test_wrong_configuration(self) -> None:
        """A configuration that is wrong changes nothing; the server shall see it all the same."""
        self.parsed = Parsed(None, ())
        os.close(self.rights.open_config(str(self.config)))
        self.test_log()
